"""A convolution layer of a model: its activations by filter, its receptive field, its tied filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.layer_values import LayerValues, ancestors
from kipoi_tfbind.dna.one_hot import BASES, reverse_complement
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.graph.graph import Graph, Ref
from kipoi_tfbind.models.adapted import Adapted
from kipoi_tfbind.models.sequence_model import SequenceModel

# What acts on each number of a layer by itself: batch normalisation, bias, activation.
_BY_ELEMENT = frozenset(
    {"add", "cast", "elementwise", "elementwise_pair", "identity", "normalise", "product", "ratio"}
) | {"reshape", "select", "squared_difference"}
_PROBES = 48
_BLOCK = 16


@dataclass(frozen=True)
class ConvolutionLayer:
    """Activations of a layer by filter, whatever axes the model has them on.

    Activation `j` of a filter depends on the positions from ``offset + j * stride`` on, `size` of them.

    Attributes
    ----------
    name
        Name of the layer.
    n_filters
        Number of its filters.
    size, stride, offset
        The receptive field, in bp.
    partner
        Of each filter, the one that gives the same on the reverse complement; itself where it is
        palindromic, -1 where there is none.
    """

    name: str
    n_filters: int
    size: int
    stride: int
    offset: int
    partner: tuple[int, ...]
    _adapted: Adapted = field(repr=False)
    _values: LayerValues = field(repr=False)
    _ref: Ref = field(repr=False)
    _linear: Ref = field(repr=False)
    _filters_last: bool = field(repr=False)
    _mask_shape: tuple[int, ...] = field(repr=False)

    def activations(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Activations (sequence, position of the layer, filter), after normalisation and activation."""
        return self._by_filter(self._ref, one_hot, auxiliary)

    def convolved(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Output of the convolution itself (sequence, position of the layer, filter)."""
        return self._by_filter(self._linear, one_hot, auxiliary)

    def silenced(
        self, one_hot: NDArray, filters: Sequence[int], auxiliary: Mapping[str, NDArray] | None = None
    ) -> NDArray:
        """All outputs (sequence, column) of the model with some filters' activations at zero."""
        kept = np.ones(self.n_filters)
        kept[list(filters)] = 0
        inputs = self._adapted.inputs(one_hot, auxiliary or {})
        return self._values.silenced(inputs, self._ref, kept.reshape(self._mask_shape))

    def _by_filter(self, ref: Ref, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None) -> NDArray:
        values = self._values.values(self._adapted.inputs(one_hot, auxiliary or {}), ref)
        return by_filter(values, self.n_filters, self._filters_last)


def convolution_layer(model: SequenceModel, length: int, layer: str | None = None) -> ConvolutionLayer:
    """A convolution layer of a model, by name; the first by default.

    Parameters
    ----------
    model
        One model that can be traced: no ensemble, no average of strands.
    length
        Length of the sequences.
    layer
        Name of the layer, of a convolution or of an activation after one.

    Raises
    ------
    InputError
        There is no such layer; the message names those there are.
    UnsupportedModelError
        The model cannot be traced, or has no convolution along the sequence.
    """
    adapted = model.evaluator
    if not isinstance(adapted, Adapted):
        raise UnsupportedModelError(
            f"model {model.name}: is an average of models or strands; give one model, whose filters are meant"
        )
    probes = random_sequences(_PROBES, length, seed=7)
    values = LayerValues(adapted.backend, adapted.inputs(probes[:2], {}))
    name, linear = _chosen(values.graph, layer, model.name)
    ref = after_elements(values.graph, linear)

    def convolved(one_hot: NDArray) -> NDArray:
        return values.values(adapted.inputs(one_hot, {}), linear)

    plain = convolved(probes)
    positions, filters = _axes(convolved, probes, plain, name)
    n, n_filters = plain.shape[positions], plain.shape[filters]

    def arranged(one_hot: NDArray) -> NDArray:
        return by_filter(convolved(one_hot), n_filters, positions < filters)

    start, end = _field(arranged, probes, n // 2)
    after, _ = _field(arranged, probes, min(n // 2 + 1, n - 1))
    stride = max(1, after - start)
    activations = values.values(adapted.inputs(probes[:1], {}), ref)
    return ConvolutionLayer(
        name,
        n_filters,
        end - start,
        stride,
        start - stride * (n // 2),
        _partners(arranged(probes), arranged(reverse_complement(probes))[:, ::-1]),
        adapted,
        values,
        ref,
        linear,
        positions < filters,
        _mask_shape(activations.shape, n, n_filters, positions < filters),
    )


def by_filter(values: NDArray, n_filters: int, filters_last: bool) -> NDArray:
    """Values (sequence, position, filter); all other axes have length 1."""
    if filters_last:
        return values.reshape(len(values), -1, n_filters)
    return values.reshape(len(values), n_filters, -1).transpose(0, 2, 1)


def _mask_shape(shape: tuple[int, ...], n: int, n_filters: int, filters_last: bool) -> tuple[int, ...]:
    """Shape of a factor for each filter, that broadcasts over values of this shape."""
    axes = [axis for axis in range(1, len(shape)) if shape[axis] == n_filters]
    if n == n_filters or len(axes) > 1:
        axes = axes[-1:] if filters_last else axes[:1]
    return tuple(n_filters if axis == axes[0] else 1 for axis in range(len(shape)))


def layer_names(graph: Graph) -> dict[str, Ref]:
    """Names of the convolution layers, with the convolution of each, in their order."""
    varying = _varying(graph)
    found: dict[str, Ref] = {}
    for i, node in enumerate(graph.nodes):
        if node.kind == "convolution" and i in varying and i in ancestors(graph, graph.outputs[0]):
            found.setdefault(_short(node.layer) or f"convolution {len(found) + 1}", (i, 0))
    return found


def _chosen(graph: Graph, layer: str | None, model: str) -> tuple[str, Ref]:
    there = layer_names(graph)
    if not there:
        raise UnsupportedModelError(f"model {model}: has no convolution, and so no filters")
    if layer is None:
        return next(iter(there.items()))
    if layer in there:
        return layer, there[layer]
    raise InputError(f"layer: model {model} has no convolution layer {layer!r}; it has {', '.join(there)}")


def _short(layer: str) -> str:
    """Name of a layer without the parts of the operation and the number that a trace adds."""
    parts = [part for part in re.split(r"[/]", layer) if part not in ("convolution", "Conv1D", "conv1d")]
    return re.sub(r"_\d+$", "", parts[-1]) if parts else ""


def _varying(graph: Graph) -> set[int]:
    """The nodes that depend on an input."""
    varying = set(graph.inputs)
    for i, node in enumerate(graph.nodes):
        if any(source in varying for source, _ in node.inputs):
            varying.add(i)
    return varying


def after_elements(graph: Graph, ref: Ref) -> Ref:
    """The last value that is a function of each number of this one by itself: after its activation."""
    varying = _varying(graph)
    reached = {ref[0]}
    last = ref[0]
    for i in range(ref[0] + 1, len(graph.nodes)):
        node = graph.nodes[i]
        sources = {source for source, _ in node.inputs if source in varying}
        if sources and sources <= reached and node.kind in _BY_ELEMENT:
            reached.add(i)
            # A reshape before the next operation may take the axes apart.
            if node.kind not in ("reshape", "identity", "cast") or last == ref[0]:
                last = i
    return last, 0


def _axes(
    values: Callable[[NDArray], NDArray], probes: NDArray, plain: NDArray, name: str
) -> tuple[int, int]:
    """Axes of the positions and of the filters in a layer's values."""
    long = [axis for axis in range(1, plain.ndim) if plain.shape[axis] > 1]
    if len(long) == 1 and plain.ndim > 2:
        return long[0], next(axis for axis in range(1, plain.ndim) if axis != long[0])  # a single filter
    if len(long) == 2:
        half = probes.shape[1] // 2
        changed = probes.copy()
        changed[:, : half // 2] = probes[:, : half // 2, ::-1]
        differs = values(changed) != plain
        for axis, other in (long, long[::-1]):
            profile = differs.any(axis=tuple(a for a in range(plain.ndim) if a != axis))
            # What changes at one end alone changes few positions, and filters all alike.
            if not profile[-max(1, len(profile) // 4) :].any() and profile.any():
                return axis, other
    raise UnsupportedModelError(
        f"layer {name}: its values have the shape {plain.shape[1:]}, not positions and filters"
    )


def _field(values: Callable[[NDArray], NDArray], probes: NDArray, j: int) -> tuple[int, int]:
    """Range of the positions that value `j` of any filter depends on, by changing each of them."""
    length = probes.shape[1]
    plain = values(probes)
    n = plain.shape[1]

    def matters(position: int) -> bool:
        for shift in (1, 2):
            changed = probes.copy()
            changed[:, position] = np.roll(probes[:, position], shift, axis=-1)
            if (values(changed)[:, j] != plain[:, j]).any():
                return True
        return False

    centre = min(length - 1, int((j + 0.5) * length / n))
    found = [p for p in range(max(0, centre - _BLOCK), min(length, centre + _BLOCK)) if matters(p)]
    if not found:
        found = [p for p in range(length) if matters(p)]
    if not found:
        raise UnsupportedModelError("layer: its middle depends on no position of random sequences")
    start, end = found[0], found[-1] + 1
    for first in range(start - 1, -1, -_BLOCK):
        more = [p for p in range(max(0, first - _BLOCK + 1), first + 1) if matters(p)]
        if not more:
            break
        start = more[0]
    for first in range(end, length, _BLOCK):
        more = [p for p in range(first, min(length, first + _BLOCK)) if matters(p)]
        if not more:
            break
        end = more[-1] + 1
    return start, end


def _partners(forward: NDArray, backward: NDArray) -> tuple[int, ...]:
    """Of each filter, the one whose activations on the reverse complement are this one's, reversed."""
    scale = np.abs(forward).max(axis=(0, 1), keepdims=True)
    tolerance = 1e-4 * np.where(scale > 0, scale, 1)
    found = []
    for filter_ in range(forward.shape[2]):
        own = forward[:, :, filter_ : filter_ + 1]
        same = (np.abs(backward - own) <= tolerance[:, :, filter_]).all(axis=(0, 1))
        alive = scale[0, 0, filter_] > 0
        found.append(int(np.flatnonzero(same)[0]) if same.any() and alive else -1)
    return tuple(found)


def kernel_of(layer: ConvolutionLayer, length: int) -> NDArray[np.float64] | None:
    """Kernel (filter, column, base) of a layer that sees the sequence itself, up to a constant per column.

    It is measured: what the convolution gives for a single base in a sequence of N, minus that for N alone.
    None where the layer is not linear in the one-hot sequence.
    """
    if layer.stride != 1:
        return None
    j = length // 2 - max(layer.offset, 0) - layer.size // 2
    start = layer.offset + j
    probes = np.zeros((1 + layer.size * len(BASES), length, len(BASES)), dtype=np.float32)
    for i in range(layer.size):
        for b in range(len(BASES)):
            probes[1 + i * len(BASES) + b, start + i, b] = 1
    found = layer.convolved(probes)[:, j].astype(np.float64)
    kernel = (found[1:] - found[0]).reshape(layer.size, len(BASES), layer.n_filters).transpose(2, 0, 1)
    check = random_sequences(20, length, seed=3)
    window = check[:, start : start + layer.size]
    expected = np.einsum("nib,fib->nf", window, kernel) + found[0]
    actual = layer.convolved(check)[:, j]
    scale = np.abs(kernel).sum(axis=(1, 2)).max(initial=1e-12)
    return kernel if np.abs(expected - actual).max() <= 1e-4 * scale else None
