"""The array interface: what the neutral parts need of a framework's arrays.

Arithmetic, comparison and slices are the arrays' own. Names that NumPy has mean what they mean there, except
that a reduction takes `keep` for `keepdims`. `graph/tensorflow/ops.py`, `graph/torch/ops.py` and the
shape-only pass (`graph/incremental/shape_only.py`) implement it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.position_kernel import PositionKernel


class ArrayOps(ABC):
    """Functions of a framework's arrays."""

    # Arrays from NumPy, and types.

    @abstractmethod
    def constant(self, array: NDArray, like: Any = None) -> Any:
        """A NumPy array in its own type, or in that of `like`."""

    @abstractmethod
    def indices(self, x: Any) -> Any:
        """A NumPy array, or numbers of the framework, as indices."""

    @abstractmethod
    def arange(self, n: Any) -> Any:
        """Indices 0, 1, ... n - 1."""

    @abstractmethod
    def vector(self, sizes: Sequence[Any]) -> Any:
        """A vector of integers, some of which may only be known at run time."""

    # Shapes.

    @abstractmethod
    def known_shape(self, x: Any) -> tuple[int | None, ...] | None:
        """The shape as far as it is known before anything runs."""

    @abstractmethod
    def shape(self, x: Any) -> Any:
        """The length of each axis, as an integer where it is known."""

    @abstractmethod
    def reshape(self, x: Any, shape: Any) -> Any:
        """As in NumPy."""

    @abstractmethod
    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        """As in NumPy."""

    @abstractmethod
    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        """As `numpy.flip`."""

    @abstractmethod
    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        """As `numpy.concatenate`."""

    # Functions of elements, and reductions.

    @abstractmethod
    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """As in NumPy; one of `x` and `y` may be a number."""

    @abstractmethod
    def clip(self, x: Any, low: float, high: float) -> Any:
        """As in NumPy."""

    @abstractmethod
    def maximum(self, x: Any, y: Any) -> Any:
        """As in NumPy."""

    @abstractmethod
    def sum(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        """As in NumPy."""

    @abstractmethod
    def max(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        """As in NumPy."""

    @abstractmethod
    def all(self, x: Any) -> Any:
        """Whether all of an array is true."""

    # Indexing.

    @abstractmethod
    def take(self, table: Any, index: Any) -> Any:
        """Rows of a table (row, ...) for an index of any shape."""

    @abstractmethod
    def place(self, x: Any, shift: Any, width: Any) -> Any:
        """Regions of `width` that have `x` from position `shift` (an integer, or one per edit) on, else 0."""

    # Products.

    @abstractmethod
    def spread(self, x: Any, kernel: PositionKernel) -> Any:
        """Shares of each position in all outputs that it reaches, without stride or padding.

        `x` is (edit, position, channel in); the result has ``span - 1`` more positions.
        """

    @abstractmethod
    def strided_convolution(self, x: Any, kernel: PositionKernel) -> Any:
        """Convolution without padding of (edit, position, channel)."""

    @abstractmethod
    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        """Sum over j of ``x[:, j] @ weight[positions[:, j]]``: (edit, unit).

        `x` is (edit, position, channel), `weight` (position, channel, unit); `positions` follow each other,
        and those that are none have no share.
        """

    # Control.

    @abstractmethod
    def cond(self, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """One of two arrays of the same shape, of which only the one is computed."""

    # What DeepLIFT alone asks for: the shape-only pass has none of it.

    def cast(self, x: Any, like: Any) -> Any:
        """Numbers or truth values in the type of `like`."""
        raise NotImplementedError

    def is_floating(self, x: Any) -> bool:
        """Whether an array holds real numbers."""
        raise NotImplementedError

    def finfo(self, x: Any) -> np.finfo[Any]:
        """The limits of the array's type."""
        raise NotImplementedError

    def pad(self, x: Any, before: int, after: int, axis: int) -> Any:
        """With zeros before and after an axis."""
        raise NotImplementedError

    def repeat(self, x: Any, n: Any, axis: int) -> Any:
        """As in NumPy."""
        raise NotImplementedError

    def tile_rows(self, x: Any, n: Any) -> Any:
        """`n` times the whole array along the first axis."""
        raise NotImplementedError

    def unary(self, name: str, x: Any) -> Any:
        """One of exp, expm1, log, log1p, tanh, sqrt, abs, sigmoid, sign."""
        raise NotImplementedError

    def minimum(self, x: Any, y: Any) -> Any:
        """As in NumPy."""
        raise NotImplementedError

    def zeros_like(self, x: Any) -> Any:
        """As in NumPy."""
        raise NotImplementedError

    def reshape_like(self, x: Any, like: Any) -> Any:
        """In the shape of another array."""
        raise NotImplementedError

    def sum_to_shape(self, x: Any, like: Any) -> Any:
        """The sum over the axes along which `like` was broadcast to the shape of `x`."""
        raise NotImplementedError

    def add_shifted(self, arrays: Sequence[Any], axis: int, step: int = 1) -> Any:
        """The sum of arrays of the same shape, each `step` further along an axis than the one before."""
        raise NotImplementedError

    def matmul(self, x: Any, y: Any) -> Any:
        """As in NumPy."""
        raise NotImplementedError

    def gathered_matmul(self, values: Any, index: Any, table: Any) -> Any:
        """Products of each of (item, target, channel) with rows of a table: (item, target, column).

        The matrix of an item has the rows `index` (item, channel) of `table` (row, column). Items come a
        part at a time, so that what is fetched from the table stays in the cache.
        """
        raise NotImplementedError

    def each_row(self, function: Callable[[Any], Any], n: Any, like: Any) -> Any:
        """Results of a function of 0, 1, ... n - 1, one after the other, in an array of `like`'s type."""
        raise NotImplementedError

    def scan(
        self,
        step: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]],
        arrays: Sequence[Any],
        states: Sequence[Any],
        *,
        n: int,
        reverse: bool = False,
    ) -> tuple[list[Any], list[Any]]:
        """Arrays of what `n` steps give, and the states after the last one.

        A step makes of slices along axis 0 of the arrays and of the states slices and new states. In reverse,
        the last slices come first, and what is given has their order.
        """
        raise NotImplementedError

    # What follows from these.

    def split(self, x: Any, axis: int) -> tuple[Any, Any]:
        """The two halves along an axis."""
        axis %= len(self.shape(x))
        half = self.shape(x)[axis] // 2
        before = (slice(None),) * axis
        return x[(*before, slice(None, half))], x[(*before, slice(half, None))]

    def same_shape(self, x: Any, y: Any) -> bool:
        """Whether two arrays are known to have the same shape."""
        mine, its = self.known_shape(x), self.known_shape(y)
        return mine is not None and mine == its and None not in mine[1:]

    def row_size(self, x: Any) -> int:
        """Numbers in each row; 1 where that is not known."""
        known = self.known_shape(x)
        return 1 if not known or None in known[1:] else math.prod(n or 1 for n in known[1:])

    def flat(self, x: Any) -> Any:
        """(sequence, position, ...) as (sequence * position, ...)."""
        return self.reshape(x, (-1, *self.shape(x)[2:]))

    def span(self, first: Any, width: Any) -> Any:
        """The `width` positions from each of `first` on: (edit, width)."""
        return first[:, None] + self.arange(width)

    def masked(self, x: Any, mask: Any, outside: float) -> Any:
        """`x` (edit, position, ...) where the mask (edit, position) is true; at little cost where all is."""
        wide = self.reshape(mask, [*self.shape(mask), *[1] * (len(self.shape(x)) - 2)])
        return self.cond(self.all(mask), lambda: x, lambda: self.where(wide, x, outside))

    def to_layout(self, x: Any, axis: int) -> Any:
        """Regions (edit, position, ...) with their positions at `axis`; for 0, as rows of the first axis."""
        if axis == 0:
            return self.flat(x)
        rank = len(self.shape(x))
        return self.transpose(x, [0, *range(2, axis + 1), 1, *range(axis + 1, rank)])

    def from_layout(self, x: Any, axis: int, width: Any) -> Any:
        """The inverse of `to_layout`."""
        if axis == 0:
            return self.reshape(x, (-1, width, *self.shape(x)[1:]))
        rank = len(self.shape(x))
        return self.transpose(x, [0, axis, *range(1, axis), *range(axis + 1, rank)])

    def running_maximum(self, rows: Any, n: int, *, backward: bool) -> Any:
        """Maximum over all positions before (or from) each one: (sequence, n + 1, ...) of (sequence, n, ...).

        It is minus infinity where there is none.
        """
        end = rows[:, :1] * 0 - math.inf
        x = self.concat([rows, end] if backward else [end, rows], 1)
        step = 1
        while step <= n:
            if backward:
                x = self.concat([self.maximum(x[:, :-step], x[:, step:]), x[:, n + 1 - step :]], 1)
            else:
                x = self.concat([x[:, :step], self.maximum(x[:, step:], x[:, :-step])], 1)
            step *= 2
        return x
