"""A convolution layer of a model: its activations by filter, its receptive field, its tied filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, reverse_complement
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.layer_output import ConvolutionOutput, LayerOutput, match_name
from kipoi_tfbind.models.adapted import Adapted, position_axis
from kipoi_tfbind.models.sequence_model import SequenceModel

_PROBES = 48
# Correlation of the log of activations with the convolution; a sigmoid that bounds them keeps it above this.
_EXPONENTIAL_FROM, _UNDERFLOW = 0.999, 1e-30


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
    is_exponential
        Whether an activation is the exponential of the convolution, scaled and shifted.
    """

    name: str
    n_filters: int
    size: int
    stride: int
    offset: int
    partner: tuple[int, ...]
    is_exponential: bool
    _adapted: Adapted = field(repr=False)
    _output: ConvolutionOutput = field(repr=False)
    _others: Mapping[str, NDArray] = field(default_factory=dict, repr=False)

    def activations(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Activations (sequence, position of the layer, filter), after normalisation and activation."""
        return _by_filter(self._adapted, self._output.activated, one_hot, auxiliary)

    def convolved(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Output of the convolution itself (sequence, position of the layer, filter).

        Where no auxiliary inputs are given, those that the layer was found with.
        """
        others = _repeated(self._others, len(one_hot)) if auxiliary is None else auxiliary
        return _by_filter(self._adapted, self._output.linear, one_hot, others)

    def silenced(
        self, one_hot: NDArray, filters: Sequence[int], auxiliary: Mapping[str, NDArray] | None = None
    ) -> NDArray:
        """All outputs (sequence, column) of the model with some filters' activations at zero."""
        inputs = self._adapted.inputs(one_hot, auxiliary or {})
        return self._adapted.backend.predict_silenced(inputs, self._output.activated, filters)


def convolution_layer(
    model: SequenceModel,
    length: int,
    layer: str | None = None,
    auxiliary: Mapping[str, NDArray] | None = None,
) -> ConvolutionLayer:
    """A convolution layer of a model, by name; the first by default.

    Parameters
    ----------
    model
        One model that can be traced: no ensemble, no average of strands.
    length
        Length of the sequences.
    layer
        Name of the convolution layer.
    auxiliary
        Inputs of a sequence beside it, where the model has such.

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
    others = auxiliary or {}
    there = _convolutions(adapted, probes[:2], _repeated(others, 2), model.name)
    output = _chosen(there, layer, model.name)
    linear = output.linear
    repeated = _repeated(others, _PROBES)
    forward, backward = (
        _by_filter(adapted, linear, each, repeated) for each in (probes, reverse_complement(probes))
    )
    return ConvolutionLayer(
        linear.name,
        forward.shape[2],
        linear.field.size,
        linear.field.stride,
        linear.field.offset,
        _partners(forward, backward[:, ::-1]),
        _is_exponential(forward, _by_filter(adapted, output.activated, probes, repeated)),
        adapted,
        output,
        others,
    )


def _repeated(auxiliary: Mapping[str, NDArray], n: int) -> dict[str, NDArray]:
    """Inputs of the first sequence for each of so many."""
    return {name: np.repeat(values[:1], n, axis=0) for name, values in auxiliary.items()}


def _convolutions(
    adapted: Adapted, one_hot: NDArray, auxiliary: Mapping[str, NDArray], model: str
) -> list[ConvolutionOutput]:
    if "multipliers" not in adapted.capabilities or adapted.layout.flattened:
        raise UnsupportedModelError(f"model {model}: cannot be traced, so that its layers are not known")
    inputs = adapted.inputs(one_hot, auxiliary)
    return adapted.backend.convolutions(inputs, adapted.sequence_index, position_axis(adapted.layout))


def _chosen(there: Sequence[ConvolutionOutput], layer: str | None, model: str) -> ConvolutionOutput:
    names = [output.linear.name for output in there]
    if not there:
        raise UnsupportedModelError(
            f"model {model}: has no convolution along the sequence, and so no filters"
        )
    return there[0 if layer is None else names.index(match_name(names, layer))]


def _by_filter(
    adapted: Adapted, layer: LayerOutput, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None
) -> NDArray:
    inputs = adapted.inputs(one_hot, auxiliary or {})
    return layer.by_channel(adapted.backend.activations(inputs, layer.ref))


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


def _is_exponential(linear: NDArray, activated: NDArray) -> bool:
    """Whether the log of each filter's activations is a line in what its convolution gives.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 50).reshape(1, 50, 1)
    >>> _is_exponential(x, np.exp(2 * x - 1)), _is_exponential(x, np.log1p(np.exp(x)))
    (True, False)
    >>> _is_exponential(x, np.exp(40 * x - 80).astype(np.float32)), _is_exponential(x, np.maximum(x, 0))
    (True, False)
    """
    if linear.shape != activated.shape or (activated < 0).any():
        return False
    alike = []
    for x, y in zip(np.moveaxis(linear, 2, 0), np.moveaxis(activated, 2, 0), strict=True):
        kept = y > _UNDERFLOW
        if kept.any() and np.ptp(x[kept]) > 0 and np.ptp(y[kept]) > 0:
            alike.append(abs(np.corrcoef(x[kept], np.log(y[kept]))[0, 1]))
    return bool(alike and min(alike) > _EXPONENTIAL_FROM)


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
