"""One layer of a model: its values, its receptive fields, and what the rest of the model makes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend
from kipoi_tfbind.backends.layer_head import LayerHead, head_of
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.graph.from_value import all_passes_through
from kipoi_tfbind.graph.graph import Graph, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.layer_output import convolution_outputs, layer_of, match_name, short_names
from kipoi_tfbind.graph.receptive_field import ReceptiveField, receptive_fields
from kipoi_tfbind.models.adapted import Adapted, position_axis
from kipoi_tfbind.models.sequence_model import SequenceModel

Auxiliary = Mapping[str, NDArray] | None
# Two sequences tell whether a value has a row for each.
_PROBES = 2


@dataclass(frozen=True)
class Layer:
    """The values of a layer, with a row for each sequence.

    Attributes
    ----------
    name
        The layer, as the framework names it.
    shape
        Shape of its values, without the batch.
    field
        Its receptive field, and the axis of its positions; None where a unit may see all of the sequence.
    length
        Length of the sequences.
    """

    name: str
    shape: tuple[int, ...]
    field: ReceptiveField | None
    length: int
    _model: SequenceModel = dataclasses.field(repr=False)
    _graph: Graph = dataclasses.field(repr=False)
    _ref: Ref = dataclasses.field(repr=False)

    def values(self, one_hot: NDArray, auxiliary: Auxiliary = None) -> NDArray:
        """Values (sequence, *shape)."""
        return self._backend.activations(self._inputs(one_hot, auxiliary), self._ref)

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary = None) -> tuple[NDArray, NDArray]:
        """Values (sequence, *shape), and the gradient by them of each target (sequence, *shape, target)."""
        inputs = self._inputs(one_hot, auxiliary)
        values = self._backend.activations(inputs, self._ref)
        return values, self._head.gradient(values, inputs, self._model.columns)

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary = None
    ) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Values, their values at references, and DeepLIFT multipliers of each target from here on.

        Parameters
        ----------
        one_hot
            (sequence, position, base).
        references
            (sequence, reference, position, base).
        auxiliary
            As in `SequenceModel.predict`.

        Returns
        -------
        values, reference_values, multipliers
            (sequence, *shape), (sequence, reference, *shape), (sequence, reference, *shape, target).
        reference_prediction
            (sequence, reference, target).
        """
        n, n_references = references.shape[:2]
        inputs = self._inputs(one_hot, auxiliary)
        values = self._backend.activations(inputs, self._ref)
        rows = references.reshape(n * n_references, *references.shape[2:])
        repeated = {name: np.repeat(each, n_references, 0) for name, each in (auxiliary or {}).items()}
        at_references = self._backend.activations(self._inputs(rows, repeated), self._ref)
        at_references = at_references.reshape(n, n_references, *self.shape)
        found = self._head.multipliers(values, at_references, inputs, self._model.columns)
        return values, at_references, *found

    def fields(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First position of the sequence that each position of the layer sees, and the end, within it.

        A layer without positions has one for all of its units.
        """
        if self.field is None:
            return np.zeros(1, np.intp), np.full(1, self.length, np.intp)
        return clipped_fields(self.field, self.shape[self.field.axis - 1], self.length)

    @property
    def axis(self) -> int:
        """Axis of the positions, with the batch as axis 0; 0 where the layer has none."""
        return 0 if self.field is None else self.field.axis

    def positions_first(self, values: NDArray) -> NDArray:
        """Values (sequence, *shape, ...) with the positions, where there are any, behind the sequences."""
        return np.moveaxis(values, self.axis, 1) if self.axis else values

    @cached_property
    def _head(self) -> LayerHead:
        return head_of(self._backend, self._graph, self._ref, self.shape)

    @property
    def _backend(self) -> Backend:
        return adapted_of(self._model).backend

    def _inputs(self, one_hot: NDArray, auxiliary: Auxiliary) -> list[NDArray]:
        return adapted_of(self._model).inputs(one_hot, auxiliary or {})


def clipped_fields(field: ReceptiveField, n: int, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Start and end of the receptive fields of `n` positions, cut off at the ends of the sequence."""
    seen = [field.of(position) for position in range(n)]
    edges = np.array([(each.start, each.stop) for each in seen], dtype=np.intp).reshape(-1, 2)
    edges = edges.clip(0, length)
    return edges[:, 0], edges[:, 1]


def coverage(start: NDArray, end: NDArray, length: int) -> NDArray[np.float64]:
    """Weights (position, field) that make means over the fields that see a position; NaN where none does.

    Examples
    --------
    >>> coverage(np.array([0, 1]), np.array([2, 3]), 4)
    array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ],
           [nan, nan]])
    """
    position = np.arange(length)[:, np.newaxis]
    sees = ((start <= position) & (position < end)).astype(np.float64)
    count = sees.sum(axis=1, keepdims=True)
    return np.where(count > 0, sees / np.maximum(count, 1), np.nan)


def convolution(
    model: SequenceModel, one_hot: NDArray, auxiliary: Auxiliary = None, name: str | None = None
) -> Layer:
    """A convolution layer after its activation, by name; the last one by default.

    Parameters
    ----------
    model
        One model that can be traced.
    one_hot, auxiliary
        Sequences like those that will come, as in `SequenceModel.predict`.
    name
        Name of the layer, or the end of it.

    Raises
    ------
    InputError
        There is no such layer; the message names those there are.
    UnsupportedModelError
        The model cannot be traced, has no convolution, or is an average of models or strands.
    """
    probes = example_inputs(model, one_hot, auxiliary)
    graph = traced(model, probes)
    there = _convolutions(model, graph, probes)
    if not there:
        raise UnsupportedModelError(f"model {model.name}: has no convolution layer; use deep_shap")
    chosen = list(there)[-1] if name is None else match_name(list(there), name)
    layer = _layer(model, graph, chosen, [there[chosen]], probes)
    if layer.field is None:
        raise UnsupportedModelError(
            f"layer {chosen}: the positions that its values see are not known; use deep_shap"
        )
    return layer


def any_layer(
    model: SequenceModel, one_hot: NDArray, auxiliary: Auxiliary = None, name: str | None = None
) -> Layer:
    """A layer that all of the sequence's effect passes through, by name; the last convolution by default.

    Parameters
    ----------
    model, one_hot, auxiliary, name
        As of `convolution`.

    Raises
    ------
    InputError
        There is no such layer, or something passes it by; the message names those there are.
    UnsupportedModelError
        The model cannot be traced, or is an average of models or strands.
    """
    probes = example_inputs(model, one_hot, auxiliary)
    graph = traced(model, probes)
    refs = _by_layer(graph, adapted_of(model).sequence_index)
    if name is None:
        found = _convolutions(model, graph, probes)
        passed = [known for known, ref in found.items() if _is_passed(graph, model, ref)]
        if passed:
            return _layer(model, graph, passed[-1], [found[passed[-1]]], probes)
        # Without such a convolution, the first layer of any kind.
        some = (n for n, own in refs.items() if any(_is_passed(graph, model, r) for r in own))
        name = next(some, "")
    elif len(refs) == 1:
        # TorchScript and ONNX files have no layers inside; their convolutions are numbered.
        refs = {known: [ref] for known, ref in _convolutions(model, graph, probes).items()} | refs
        _check_numbered(model, list(refs), name)
    chosen = match_name(list(refs), name)
    whole = [ref for ref in refs[chosen] if _is_passed(graph, model, ref)]
    if not whole:
        there = [n for n, some in refs.items() if any(_is_passed(graph, model, r) for r in some)]
        raise InputError(
            f"layer {chosen}: only a part of what the model {model.name} computes passes through it, so that "
            f"the contributions of its units cannot add up; all passes through {', '.join(there)}"
        )
    return _layer(model, graph, chosen, whole, probes)


def _check_numbered(model: SequenceModel, names: Sequence[str], name: str) -> None:
    """Refuse a layer of a model whose layers have no names, in words that say so."""
    if name not in names:
        raise InputError(
            f"layer: model {model.name} has no names of layers, as TorchScript and ONNX files have none; "
            f"expected one of {', '.join(names)}, got {name!r}; to name others, give the module that the "
            "file was made of to as_sequence_model"
        )


def _convolutions(model: SequenceModel, graph: Graph, probes: Sequence[NDArray]) -> dict[str, Ref]:
    """The convolutions along the sequence, in order of execution, each after its activation."""
    adapted = adapted_of(model)
    shapes = [tuple(array.shape[1:]) for array in probes]
    axis = position_axis(adapted.layout)
    outputs = convolution_outputs(graph, adapted.sequence_index, axis, shapes)
    return {output.linear.name: output.activated.ref for output in outputs}


def adapted_of(model: SequenceModel) -> Adapted:
    """The model in its framework.

    Raises
    ------
    UnsupportedModelError
        It is an average of models or strands.
    """
    if not isinstance(model.evaluator, Adapted):
        raise UnsupportedModelError(
            f"model {model.name}: is an average of models or strands; give one model, whose layer is meant"
        )
    return model.evaluator


def traced(model: SequenceModel, inputs: Sequence[NDArray]) -> Graph:
    """The model's graph, for inputs like these.

    Raises
    ------
    UnsupportedModelError
        The model cannot be traced, or is an average of models or strands.
    """
    model.require("multipliers")
    return adapted_of(model).backend.traced(inputs)


def program_of(model: SequenceModel, graph: Graph, inputs: Sequence[NDArray]) -> Program:
    """The model's graph with the shape of each value, and what is known of its positions."""
    adapted = adapted_of(model)
    shapes = [tuple(array.shape[1:]) for array in inputs]
    axis = position_axis(adapted.layout)
    return Program.of(graph, adapted.sequence_index, axis, shapes, np.empty(0))


def example_inputs(model: SequenceModel, one_hot: NDArray, auxiliary: Auxiliary) -> list[NDArray]:
    """The model's inputs for two sequences: the first of these, twice."""
    twice = np.zeros(_PROBES, np.intp)
    if not len(one_hot):
        return adapted_of(model).inputs(np.zeros((_PROBES, *one_hot.shape[1:]), one_hot.dtype), {})
    own = {name: values[twice] for name, values in (auxiliary or {}).items()}
    return adapted_of(model).inputs(one_hot[twice], own)


def _is_passed(graph: Graph, model: SequenceModel, ref: Ref) -> bool:
    return all_passes_through(graph, ref, adapted_of(model).sequence_index)


def _by_layer(graph: Graph, wrt: int) -> dict[str, list[Ref]]:
    """The values of each layer that depend on the sequence, in order of execution, by its short name."""
    varying = {graph.inputs[wrt]}
    found: dict[str, list[Ref]] = {}
    for i in graph.live_nodes():
        node = graph.nodes[i]
        if i not in graph.inputs and any(source in varying for source, _ in node.inputs):
            varying.add(i)
            if node.layer and node.kind not in ("shape", "shape_of", "steps"):
                found.setdefault(layer_of(node.layer), []).append((i, 0))
    return dict(zip(short_names(list(found)), found.values(), strict=True))


def _layer(
    model: SequenceModel, graph: Graph, name: str, refs: Sequence[Ref], probes: Sequence[NDArray]
) -> Layer:
    """The last of these values that has a row for each sequence."""
    adapted = adapted_of(model)
    length = probes[adapted.sequence_index].shape[position_axis(adapted.layout)]
    for ref in reversed(refs):
        found = adapted.backend.activations(probes, ref)
        if found.dtype.kind == "f" and found.ndim > 1 and len(found) == _PROBES:
            field = receptive_fields(program_of(model, graph, probes)).get(ref)
            return Layer(name, found.shape[1:], field, length, model, graph, ref)
    raise InputError(f"layer {name}: has no value with a row for each sequence; name another layer")
