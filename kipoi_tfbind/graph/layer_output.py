"""The outputs of a model's layers along the sequence, with the receptive field of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.graph import Graph, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.receptive_field import ReceptiveField, receptive_fields


@dataclass(frozen=True)
class LayerOutput:
    """The output of a layer that has positions of the sequence.

    Attributes
    ----------
    name
        The layer, as the framework names it.
    ref
        The value.
    shape
        Without the batch.
    channel_axis
        The axis that is neither batch nor positions, with the batch as axis 0; None if there are several.
    field
        Its receptive field, and the axis of its positions.
    """

    name: str
    ref: Ref
    shape: tuple[int, ...]
    channel_axis: int | None
    field: ReceptiveField

    def mask(self, silenced: Sequence[int]) -> NDArray[np.float32]:
        """1 and, in some channels, 0; it broadcasts to the layer's output without the batch.

        Raises
        ------
        InputError
            The layer has no channel axis, or not so many channels.
        """
        mask = np.ones([1] * len(self.shape), np.float32)
        if len(silenced) == 0:
            return mask
        if self.channel_axis is None:
            raise InputError(f"layer {self.name}: expected one axis of channels, got the shape {self.shape}")
        n = self.shape[self.channel_axis - 1]
        if not all(0 <= channel < n for channel in silenced):
            raise InputError(f"channels: layer {self.name} has {n} channels, got {list(silenced)}")
        mask = np.repeat(mask, n, self.channel_axis - 1)
        mask.swapaxes(0, self.channel_axis - 1)[list(silenced)] = 0
        return mask


def layer_outputs(graph: Graph, wrt: int, axis: int, shapes: Sequence[tuple[int, ...]]) -> list[LayerOutput]:
    """The last value of each layer that has positions of the sequence, in order of execution.

    Parameters
    ----------
    graph
        The model.
    wrt, axis
        Number of the input that is the sequence, and the axis of its positions.
    shapes
        Shape of each input, without the batch.
    """
    program = Program.of(graph, wrt, axis, shapes, np.empty(0))
    last: dict[str, LayerOutput] = {}
    for ref, field in sorted(receptive_fields(program).items()):
        name, shape = graph.nodes[ref[0]].layer, program.shapes[ref]
        if not name or ref == program.sequence:
            continue
        others = [i for i, n in enumerate(shape, start=1) if i != field.axis and n != 1]
        last.pop(name, None)
        last[name] = LayerOutput(name, ref, shape, others[0] if len(others) == 1 else None, field)
    return list(last.values())


def named(outputs: Sequence[LayerOutput], name: str) -> LayerOutput:
    """The output of a layer that has positions of the sequence, by its name as of `match_name`."""
    chosen = match_name([output.name for output in outputs], name, " that has positions of the sequence")
    return next(output for output in outputs if output.name == chosen)


def match_name(names: Sequence[str], name: str, kind: str = "") -> str:
    """A layer's full name, from that or the part of it that the user gave; `kind` is for the message.

    TensorFlow adds "_1" and the like to a layer's name, and before it the names of the models that it is in.

    Raises
    ------
    InputError
        There is no such layer.

    Examples
    --------
    >>> match_name(["functional_1/conv1d_1", "functional_1/dense_2"], "dense")
    'functional_1/dense_2'
    """
    patterns = (re.escape(name), rf"(.*[/.])?{re.escape(name)}", rf"(.*[/.])?{re.escape(name)}_\d+")
    for pattern in patterns:
        found = [each for each in names if re.fullmatch(pattern, each)]
        if found:
            return found[-1]
    raise InputError(f"layer: expected one{kind} ({', '.join(names)}), got {name!r}")
