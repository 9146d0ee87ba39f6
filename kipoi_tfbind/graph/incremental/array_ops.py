"""What the incremental walk needs of a framework: arrays of windows, (edit, position, ...) in any layout.

Windows have the positions as their second axis, whatever the framework's own layout is: `to_layout` and
`from_layout` go between the two. Places are integers, one for each edit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.position_ops import Convolution


class WindowArrays(ABC):
    """Functions of arrays; arithmetic and comparison are the arrays' own."""

    @abstractmethod
    def constant(self, array: NDArray) -> Any:
        """An array of NumPy's, integers as places."""

    @abstractmethod
    def floor_divide(self, places: Any, n: int) -> Any:
        """As ``//``, also below 0."""

    @abstractmethod
    def clip(self, x: Any, low: int, high: int) -> Any:
        """As `numpy.clip`."""

    @abstractmethod
    def span(self, places: Any, width: Any) -> Any:
        """The `width` places from each of `places` on: (edit, width)."""

    @abstractmethod
    def take(self, table: Any, index: Any) -> Any:
        """Rows of a table (row, ...) for an index of any shape."""

    @abstractmethod
    def place(self, x: Any, shift: Any, width: Any) -> Any:
        """Windows of `width` that have `x` from position `shift` (an integer, or one per edit) on, else 0."""

    @abstractmethod
    def where(self, mask: Any, x: Any, y: float) -> Any:
        """`x` where the mask (edit, position) is true, else the number `y`."""

    @abstractmethod
    def kept(self, x: Any, mask: Any, y: float) -> Any:
        """As `where`; at little cost where the whole mask is true."""

    @abstractmethod
    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        """As `numpy.reshape`."""

    @abstractmethod
    def flat(self, x: Any) -> Any:
        """(sequence, position, ...) as (sequence * position, ...)."""

    @abstractmethod
    def transpose(self, x: Any, order: Sequence[int]) -> Any:
        """As `numpy.transpose`."""

    @abstractmethod
    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        """As `numpy.flip`."""

    @abstractmethod
    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        """As `numpy.concatenate`."""

    @abstractmethod
    def sum(self, x: Any, axes: Sequence[int]) -> Any:
        """Sum over axes."""

    @abstractmethod
    def max(self, x: Any, axes: Sequence[int]) -> Any:
        """Maximum over axes."""

    @abstractmethod
    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        """Mean over axes."""

    @abstractmethod
    def maximum(self, x: Any, y: Any) -> Any:
        """As `numpy.maximum`."""

    @abstractmethod
    def spread(self, x: Any, convolution: Convolution) -> Any:
        """What each position gives to all outputs that it has a share in, without stride or padding.

        `x` is (edit, position, channel in); the result has ``span - 1`` more positions.
        """

    @abstractmethod
    def stride_convolution(self, x: Any, convolution: Convolution) -> Any:
        """Convolution without padding of (edit, position, channel)."""

    @abstractmethod
    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        """Sum over j of ``x[:, j] @ weight[positions[:, j]]``: (edit, unit).

        `x` is (edit, position, channel), `weight` (position, channel, unit); `positions` follow each other,
        and those that are none have no share.
        """

    @abstractmethod
    def to_layout(self, x: Any, axis: int) -> Any:
        """Windows with their positions at `axis`; for 0, as rows of the first axis."""

    @abstractmethod
    def from_layout(self, x: Any, axis: int, width: Any) -> Any:
        """The inverse of `to_layout`."""

    @abstractmethod
    def run(self, node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        """Outputs of a node, which have these shapes without the first axis."""

    @abstractmethod
    def shape_of(self, x: Any, shape: Sequence[int]) -> Any:
        """What a node that asks for the shape of a value gets: (number of edits, *shape)."""


def running_maximum(arrays: WindowArrays, rows: Any, n: int, *, backward: bool) -> Any:
    """Maximum over all positions before (or from) each one: (sequence, n + 1, ...) of (sequence, n, ...).

    It is minus infinity where there is none.
    """
    end = rows[:, :1] * 0 - math.inf
    x = arrays.concat([rows, end] if backward else [end, rows], 1)
    step = 1
    while step <= n:
        if backward:
            x = arrays.concat([arrays.maximum(x[:, :-step], x[:, step:]), x[:, n + 1 - step :]], 1)
        else:
            x = arrays.concat([x[:, :step], arrays.maximum(x[:, step:], x[:, :-step])], 1)
        step *= 2
    return x
