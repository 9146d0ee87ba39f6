"""Linear maps between values of a graph, along the positions, as they are measured.

What lies between two values may be convolutions, normalisations, sums of strands and others, one after the
other. If it is linear, it is known by what it makes of impulses, whatever a framework calls it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref

# An impulse that is so large takes the constant beside it, such as a bias, out of the rounding.
_IMPULSE = 2.0**20
# Elements of what is measured at once, and of a matrix: a larger one is dearer than what it stands for.
_AT_ONCE, _MOST = 2**24, 2**22


@dataclass(frozen=True)
class Value:
    """A value of a graph, by position.

    Attributes
    ----------
    ref
        The value.
    axis
        Axis of its positions, with the batch as axis 0; 0 where it has none, and counts as one position.
    shape
        Without the batch.
    operands
        Values of one position each that are its positions; then the graph itself has no such value.
    """

    ref: Ref
    axis: int
    shape: tuple[int, ...]
    operands: tuple[Ref, ...] = ()

    @property
    def length(self) -> int:
        """Number of positions."""
        return self.shape[self.axis - 1] if self.axis else 1

    @property
    def channels(self) -> int:
        """Numbers at each position."""
        return math.prod(self.shape) // self.length

    def by_position(self, values: NDArray) -> NDArray:
        """(sequence, *shape) as (sequence, position, channel)."""
        moved = np.moveaxis(values, self.axis, 1) if self.axis else values
        return moved.reshape(len(values), self.length, -1)

    def in_layout(self, values: NDArray) -> NDArray:
        """The inverse of `by_position`."""
        if not self.axis:
            return values.reshape(len(values), *self.shape)
        rest = self.shape[: self.axis - 1] + self.shape[self.axis :]
        return np.moveaxis(values.reshape(len(values), self.length, *rest), 1, self.axis)


@dataclass(frozen=True, eq=False)
class Taps:
    """A map that is the same at all positions: out[o] = sum over k of in[o + offsets[k]] @ taps[k].

    Attributes
    ----------
    offsets
        Of the taps, in order.
    taps
        (tap, channel in, channel out).
    """

    offsets: NDArray[np.intp]
    taps: NDArray = field(repr=False)

    @property
    def first(self) -> int:
        """The least offset."""
        return int(self.offsets[0])

    @property
    def last(self) -> int:
        """The largest offset."""
        return int(self.offsets[-1])

    @property
    def span(self) -> int:
        """Positions from the first tap to the last."""
        return self.last - self.first + 1

    @cached_property
    def scale(self) -> NDArray | None:
        """A factor for each channel, if that is all that the map is but for a shift."""
        if len(self.taps) > 1 or self.taps.shape[1] != self.taps.shape[2]:
            return None
        diagonal: NDArray = np.diagonal(self.taps[0])
        return diagonal if (self.taps[0] == np.diag(diagonal)).all() else None

    @cached_property
    def transposed(self) -> Taps:
        """From cotangents of the outputs to those of all inputs."""
        taps = np.ascontiguousarray(self.taps[::-1].transpose(0, 2, 1))
        return Taps(-self.offsets[::-1], taps)

    @cached_property
    def _by_channel_in(self) -> NDArray:
        n_in = self.taps.shape[1]
        return np.ascontiguousarray(self.taps.transpose(1, 0, 2)).reshape(n_in, -1)

    @cached_property
    def _by_channel_out(self) -> NDArray:
        n_in = self.taps.shape[1]
        return np.ascontiguousarray(self.taps.transpose(0, 2, 1)).reshape(-1, n_in)

    def spread(self, x: NDArray) -> NDArray:
        """What a region (..., position, channel in) gives to all outputs, from its start less `last` on."""
        if self.scale is not None:
            return x if (self.scale == 1).all() else x * self.scale
        *lead, width, _ = x.shape
        n_taps, n_in, n_out = self.taps.shape
        shares = (x.reshape(-1, n_in) @ self._by_channel_in).reshape(*lead, width, n_taps, n_out)
        if n_taps == 1:
            return shares[..., 0, :]
        found = np.zeros((*lead, width + self.span - 1, n_out), x.dtype)
        for k, offset in enumerate(self.offsets.tolist()):
            at = self.last - offset
            found[..., at : at + width, :] += shares[..., k, :]
        return found

    def gathered(self, cotangent: NDArray) -> NDArray:
        """Cotangent of the region whose outputs, as of `spread`, have this one."""
        if self.scale is not None:
            return cotangent if (self.scale == 1).all() else cotangent * self.scale
        *lead, width, n_out = cotangent.shape
        n_taps, n_in, _ = self.taps.shape
        width -= self.span - 1
        shifts = (self.last - self.offsets).tolist()
        parts = [cotangent[..., at : at + width, :] for at in shifts]
        together = parts[0] if n_taps == 1 else np.concatenate(parts, axis=-1)
        found: NDArray = together.reshape(-1, n_taps * n_out) @ self._by_channel_out
        return found.reshape(*lead, width, n_in)


@dataclass(frozen=True, eq=False)
class Whole:
    """A map from all positions to one: a matrix (position, channel in, channel out)."""

    matrix: NDArray = field(repr=False)


LinearMap = Taps | Whole
# From rows of the source's values by position to rows of the output's; the constant is in it.
Run = Callable[[NDArray], NDArray]


def measure(run: Run, source: Value, after: Value) -> LinearMap | None:
    """The map from one value to another; None where it is of neither kind.

    It is held against what the network makes of random numbers.

    Parameters
    ----------
    run
        What lies between the two.
    source, after
        Both values.

    Examples
    --------
    >>> value = Value((0, 0), 1, (9, 2))
    >>> def run(x):
    ...     return 3 + x - 2 * np.pad(x, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    >>> found = measure(run, value, value)
    >>> found.offsets, found.taps[0]
    (array([-1,  0]), array([[-2.,  0.],
           [ 0., -2.]]))
    """
    n, c = source.length, source.channels
    zero = run(np.zeros((1, n, c)))
    dtype = zero.dtype
    test = np.random.default_rng(0).normal(size=(2, n, c)).astype(dtype)
    expected = run(test) - zero
    near = np.abs(expected).max() * np.finfo(dtype).eps * 1e3

    def impulses(positions: NDArray[np.intp], channels: NDArray[np.intp]) -> NDArray:
        found = []
        step = max(1, _AT_ONCE // (max(n * c, after.length * after.channels)))
        for at in range(0, len(positions), step):
            some, own = positions[at : at + step], channels[at : at + step]
            rows = np.zeros((len(some), n, c), dtype)
            rows[np.arange(len(some)), some, own] = _IMPULSE
            found.append((run(rows) - zero) / _IMPULSE)
        return np.concatenate(found)

    middle = n // 2
    found = impulses(np.full(c, middle), np.arange(c))
    seen = np.flatnonzero((found != 0).any(axis=(0, 2)))[::-1]
    if len(seen):
        taps = Taps(middle - seen, np.ascontiguousarray(found[:, seen].swapaxes(0, 1)))
        start = -taps.last
        outputs = np.zeros((2, after.length, after.channels), dtype)
        low, high = max(start, 0), min(start + n + taps.span - 1, after.length)
        if low < high:
            outputs[:, low:high] = taps.spread(test)[:, low - start : high - start]
        if np.abs(outputs - expected).max() <= near:
            return taps
    if after.length > 1 or n * c * after.channels > _MOST:
        return None
    matrix = impulses(np.repeat(np.arange(n), c), np.tile(np.arange(c), n))[:, 0]
    whole = np.abs(test.reshape(2, -1) @ matrix - expected[:, 0]).max() <= near
    return Whole(matrix.reshape(n, c, -1)) if whole else None


def is_identity(linear: LinearMap, source: Value, after: Value) -> bool:
    """Whether a map gives its input as it is."""
    if source.length != after.length or not isinstance(linear, Taps) or linear.scale is None:
        return False
    return linear.first == 0 and bool((linear.scale == 1).all())
