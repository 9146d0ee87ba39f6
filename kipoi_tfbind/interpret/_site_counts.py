"""Bases under the strong activations of filters, counted in two passes over a stream of sequences."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.models.convolution_layer import ConvolutionLayer

# Activations are counted by the first 16 bits of their order: to 0.8% of their size.
_BINS = 1 << 16


@dataclass
class Largest:
    """First pass: the largest and smallest activation of each filter, and how often each size occurs."""

    n_filters: int
    with_counts: bool = False
    high: NDArray[np.float32] = field(init=False)
    low: NDArray[np.float32] = field(init=False)
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.high = np.full(self.n_filters, -np.inf, dtype=np.float32)
        self.low = np.full(self.n_filters, np.inf, dtype=np.float32)
        self.counts = np.zeros((self.n_filters, _BINS if self.with_counts else 0), dtype=np.int64)

    def add(self, activations: NDArray) -> None:
        """Add activations (sequence, position, filter)."""
        self.high = np.maximum(self.high, activations.max(axis=(0, 1)))
        self.low = np.minimum(self.low, activations.min(axis=(0, 1)))
        if self.with_counts:
            for filter_, values in enumerate(np.moveaxis(activations, 2, 0)):
                self.counts[filter_] += np.bincount(_order(values.ravel()), minlength=_BINS)

    def quantile(self, share: float) -> NDArray[np.float32]:
        """Activation of each filter that this share of its activations do not exceed, to 0.8%."""
        below = np.cumsum(self.counts, axis=1)
        bins = (below < share * below[:, -1:]).sum(axis=1)
        return _value(np.minimum(bins, _BINS - 1).astype(np.uint32))


def _order(values: NDArray) -> NDArray[np.int64]:
    """The first 16 bits of whole numbers in the order of float32 values."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    return (ordered >> 16).astype(np.int64)


def _value(bins: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Largest value of each bin."""
    ordered = (bins << np.uint32(16)) | np.uint32(0xFFFF)
    bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), ~ordered)
    return bits.astype(np.uint32).view(np.float32)


def starts_of(layer: ConvolutionLayer, n_positions: int, length: int) -> NDArray[np.intp]:
    """Start in the sequence of what each activation sees; -1 where that reaches over an end."""
    start = layer.offset + layer.stride * np.arange(n_positions)
    return np.where((start >= 0) & (start + layer.size <= length), start, -1)


def strong_sites(
    activations: NDArray, start: NDArray[np.intp], least: NDArray | None
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Sequence, start and filter of the activations above the least; without one, of each maximum above 0."""
    inside = np.flatnonzero(start >= 0)
    seen = activations[:, inside]
    if least is not None:
        sequence, j, filter_ = np.nonzero(seen > least)
    else:
        best = seen.argmax(axis=1)
        sequence, filter_ = np.nonzero(np.take_along_axis(seen, best[:, np.newaxis], axis=1)[:, 0] > 0)
        j = best[sequence, filter_]
    return sequence, start[inside[j]], filter_


def count_bases(
    codes: NDArray[np.uint8],
    sequence: NDArray[np.intp],
    start: NDArray[np.intp],
    filter_: NDArray[np.intp],
    shape: tuple[int, int],
) -> NDArray[np.int64]:
    """Counts (filter, column, base) of the bases of sites, aligned; N counts for none."""
    n_filters, size = shape
    windows = codes[sequence[:, np.newaxis], start[:, np.newaxis] + np.arange(size)]
    index = (filter_[:, np.newaxis] * size + np.arange(size)) * 5 + windows
    counts = np.bincount(index.ravel(), minlength=n_filters * size * 5)
    return counts.reshape(n_filters, size, 5)[:, :, :4]
