"""The outputs of a model's layers along the sequence, with the receptive field of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.graph import Graph, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.operations import BROADCASTING
from kipoi_tfbind.graph.receptive_field import ReceptiveField, receptive_fields

# What gives the numbers of its input as they are; and, with it, what acts on each by itself: bias, batch
# normalisation, activation, and blocks of a dilated convolution put together.
_SAME_NUMBERS = frozenset({"batch_to_space", "cast", "identity", "reshape"})
_OPERATION = re.compile(r"/(convolution|conv[12]d|(max|avg)pool[12]d|reshape)$", re.IGNORECASE)
_BY_ELEMENT = BROADCASTING | _SAME_NUMBERS | {"normalise"}


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

    def by_channel(self, values: NDArray) -> NDArray:
        """Values of the output as (sequence, position, channel).

        Raises
        ------
        InputError
            The layer has no channel axis.
        """
        if self.channel_axis is None:
            raise InputError(f"layer {self.name}: expected one axis of channels, got the shape {self.shape}")
        moved = np.moveaxis(values, (self.field.axis, self.channel_axis), (1, 2))
        return moved.reshape(moved.shape[:3])

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
        last.pop(name, None)
        last[name] = _layer_output(name, ref, shape, field)
    return list(last.values())


@dataclass(frozen=True)
class ConvolutionOutput:
    """A convolution that sees positions of the sequence.

    Attributes
    ----------
    linear
        What the convolution itself gives.
    activated
        The same after all that acts on each number by itself: bias, normalisation, activation.
    """

    linear: LayerOutput
    activated: LayerOutput


def convolution_outputs(
    graph: Graph, wrt: int, axis: int, shapes: Sequence[tuple[int, ...]]
) -> list[ConvolutionOutput]:
    """The convolutions along the sequence, in order of execution, named by their layers.

    Parameters are those of `layer_outputs`. One without a layer is called "convolution" and its number.
    """
    program = Program.of(graph, wrt, axis, shapes, np.empty(0))
    fields = receptive_fields(program)
    chains = []
    for i in program.steps:
        if graph.nodes[i].kind == "convolution":
            chain = [ref for ref in _by_element(graph, program.steps, i) if ref in fields]
            outputs = [_layer_output(graph.nodes[i].layer, r, program.shapes[r], fields[r]) for r in chain]
            chains.append([output for output in outputs if output.channel_axis is not None])
    chains = [chain for chain in chains if chain]
    # All are in one where a file has no layers inside, as of TorchScript and ONNX: that is no name of one.
    is_whole = len({node.layer for node in graph.nodes if node.layer}) == 1
    names = _convolution_names(["" if is_whole else chain[0].name for chain in chains])
    return [
        ConvolutionOutput(replace(chain[0], name=name), replace(_last_activated(graph, chain), name=name))
        for name, chain in zip(names, chains, strict=True)
    ]


def _layer_output(name: str, ref: Ref, shape: tuple[int, ...], field: ReceptiveField) -> LayerOutput:
    others = [i for i in range(1, len(shape) + 1) if i != field.axis]
    wide = [i for i in others if shape[i - 1] != 1] or others[:1]
    return LayerOutput(name, ref, shape, wide[0] if len(wide) == 1 else None, field)


def _by_element(graph: Graph, steps: Sequence[int], start: int) -> list[Ref]:
    """A node's output, and the values that are functions of each of its numbers by itself."""
    varying, reached = graph.varying(), {start}
    for i in steps:
        node = graph.nodes[i]
        sources = {source for source, _ in node.inputs if source in varying}
        if sources and sources <= reached and node.kind in _BY_ELEMENT:
            reached.add(i)
    return [(i, 0) for i in sorted(reached)]


def _last_activated(graph: Graph, outputs: Sequence[LayerOutput]) -> LayerOutput:
    """The last that is more than another shape of the one before, which the next operation may ask for."""
    changed = [output for output in outputs[1:] if graph.nodes[output.ref[0]].kind not in _SAME_NUMBERS]
    return (changed or outputs[-1:])[-1]


def layer_of(name: str) -> str:
    """Name of a layer without that of the operation in it, which TensorFlow writes behind it.

    Examples
    --------
    >>> layer_of("model/motifs_1/convolution"), layer_of("model/pool/MaxPool1d"), layer_of("features.0")
    ('model/motifs_1', 'model/pool', 'features.0')
    """
    return _OPERATION.sub("", name)


def short_names(layers: Sequence[str]) -> list[str]:
    """The end of each layer's name that no other has, as short as that can be.

    TensorFlow's have the models and layers that a layer is in before it, and "_1" or the like behind each.

    Examples
    --------
    >>> short_names(["model_1/conv_1", "model_1/conv_1_1"])
    ['conv', 'conv_1']
    >>> short_names(["mix_1/one_1_1/conv_1", "mix_1/one_2_1/conv_1", "mix_1/dense_1"])
    ['one_1/conv', 'one_2/conv', 'dense']
    >>> short_names(["model/motifs", "model/block_1/conv", "model/block_2/conv"])
    ['motifs', 'block_1/conv', 'block_2/conv']
    >>> short_names(["features.conv_1", "features.conv_2"])
    ['features.conv_1', 'features.conv_2']
    """
    paths = [layer.split("/") for layer in layers]
    levels: list[list[str]] = []
    for depth in range(1, max(map(len, paths), default=0) + 1):
        ends = [path[-depth:] for path in paths]
        levels.append(
            [
                "/".join(re.sub(r"_\d+$", "", part) if len(path) > 1 else part for part in end)
                for end, path in zip(ends, paths, strict=True)
            ]
        )
        levels.append(["/".join(end) for end in ends])
    counts = [Counter(names) for names in levels]
    found = [
        next((names[i] for names, n in zip(levels, counts, strict=True) if n[names[i]] == 1), layer)
        for i, layer in enumerate(layers)
    ]
    return found if len(set(found)) == len(found) else list(layers)


def _convolution_names(layers: Sequence[str]) -> list[str]:
    """Names of convolutions; the number of each that has no layer.

    Examples
    --------
    >>> _convolution_names(["model_1/conv_1/Conv1D", "model_1/conv_1_1/Conv1D"])
    ['conv', 'conv_1']
    >>> _convolution_names(["features.conv_1", "features.conv_2", ""])
    ['features.conv_1', 'features.conv_2', 'convolution 3']
    """
    numbered = [f"convolution {i}" for i in range(1, len(layers) + 1)]
    known = [layer_of(layer) or number for layer, number in zip(layers, numbered, strict=True)]
    found = short_names(known)
    return found if len(set(found)) == len(found) else numbered


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
        There is no such layer, or several.

    Examples
    --------
    >>> match_name(["functional_1/conv1d_1", "functional_1/dense_2"], "dense")
    'functional_1/dense_2'
    """
    patterns = (re.escape(name), rf"(.*[/.])?{re.escape(name)}", rf"(.*[/.])?{re.escape(name)}_\d+")
    for pattern in patterns:
        found = list(dict.fromkeys(each for each in names if re.fullmatch(pattern, each)))
        if len(found) > 1:
            raise InputError(f"layer: expected one, got {name!r}, the end of {', '.join(found)}; name one")
        if found:
            return found[0]
    raise InputError(f"layer: expected one{kind} ({', '.join(names)}), got {name!r}")
