"""What the rules need of a framework: some array functions, and each operation's own gradient."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kipoi_tfbind.graph.graph import Graph, Node


class Windows(NamedTuple):
    """Windows of `size` that lie side by side along one axis of each sequence's (before, length, after)."""

    before: int
    length: int
    after: int
    size: int

    @property
    def n(self) -> int:
        """Number of windows; what is left at the end belongs to none."""
        return self.length // self.size


class Convolution(NamedTuple):
    """A convolution along positions, in steps of 1: output[l] = sum_k input[l + k * dilation - padding] W[k].

    `kernel` is (width, input channel, channel); `length` counts the input's positions.
    """

    kernel: Any
    padding: int
    dilation: int
    length: int
    channels_last: bool


@dataclass(frozen=True)
class Factored:
    """Cotangents of several targets that have not been multiplied out: `values` times one `factor`.

    Attributes
    ----------
    values
        (target * row, ...): one for each window, or for each element where there are no windows.
    factor
        (row, ...), the same for all targets.
    windows
        Where the values go.
    n_pairs
        Number of pairs of sequence and reference; a row is one of them, or a part of one.
    """

    values: Any
    factor: Any
    windows: Windows | None
    n_pairs: Any


@dataclass(frozen=True)
class Pull:
    """What takes cotangents back through an operation.

    Attributes
    ----------
    run
        From a cotangent of each output (None for an output that nothing depends on) to one of each wanted
        input.
    of_targets
        The same for several targets at once, whose rows stand one after the other along the first axis:
        from cotangents and the number of targets. None where it has to be one after the other.
    of_factored
        From one factored cotangent and the number of targets to a cotangent, or None where that is no gain.
    diagonal
        Whether it is one factor for each element, so that it goes through a `Factored` as its factor does.
    windows
        Whether it is diagonal after the values have been spread over windows.
    """

    run: Callable[[Sequence[Any]], list[Any]]
    of_targets: Callable[[Sequence[Any], Any], list[Any]] | None = None
    of_factored: Callable[[Factored, Any], Any] | None = None
    diagonal: bool = False
    windows: Windows | None = None

    def __call__(self, cotangents: Sequence[Any]) -> list[Any]:
        """As `run`."""
        return self.run(cotangents)

    @property
    def takes_targets(self) -> bool:
        """Whether it can do several targets at once."""
        return self.of_targets is not None or self.diagonal


class Arrays(ABC):
    """Array functions of a framework, for one graph.

    Arithmetic, comparison and slices are the arrays' own.
    """

    graph: Graph

    @abstractmethod
    def run(self, node: Node, inputs: Sequence[Any], batch_size: Any) -> list[Any]:
        """Outputs of one node."""

    @abstractmethod
    def linearise(
        self, node: Node, inputs: Sequence[Any], wanted: Sequence[int], batch_size: Any
    ) -> tuple[list[Any], Pull]:
        """Outputs of one node, and the operation's own gradient there with respect to some of its inputs."""

    @abstractmethod
    def batch_leads(self, node: Node, output: int, value: Any) -> bool:
        """Whether the first axis of an output, and no other, depends on the batch size."""

    @abstractmethod
    def keeps_rows(self, node: Node, inputs: Sequence[Any]) -> bool:
        """Whether an operation does not join or split along the first axis."""

    @abstractmethod
    def block_size(self, node: Node, inputs: Sequence[Any]) -> int | None:
        """Number of blocks that a space-to-batch makes of each sequence; None if that is not known."""

    @abstractmethod
    def windows(self, node: Node, x: Any) -> Windows | None:
        """Where the windows of a maximum lie; None where they overlap or are padded."""

    @abstractmethod
    def convolution(self, node: Node, inputs: Sequence[Any]) -> Convolution | None:
        """What a node is as a convolution along positions; None where it is another one."""

    def multiplied_out(self, cotangent: Factored, n_targets: Any) -> Any:
        """The values times the factor: (target * row, ...)."""
        factor, windows, n_pairs = cotangent.factor, cotangent.windows, cotangent.n_pairs
        rows, *shape = self.sizes(factor)
        if windows is None:
            values = self.reshape(cotangent.values, (n_targets, n_pairs, -1))
            product = values * self.reshape(factor, (n_pairs, -1))
            return self.reshape(product, (n_targets * rows, *shape))
        before, n, size, after = windows.before, windows.n, windows.size, windows.after
        factor = self.reshape(factor, (n_pairs, before, windows.length, after))[:, :, : n * size]
        values = self.reshape(cotangent.values, (n_targets, n_pairs, before, n, 1, after))
        product = values * self.reshape(factor, (n_pairs, before, n, size, after))
        if n * size < windows.length:
            product = self.reshape(product, (n_targets * n_pairs, before, n * size, after))
            product = self.pad(product, windows.length - n * size, 2)
        return self.reshape(product, (n_targets * rows, *shape))

    @abstractmethod
    def gathered_matmul(self, values: Any, index: Any, table: Any) -> Any:
        """Products of each of (item, target, channel) with rows of a table: (item, target, column).

        The matrix of an item has the rows `index` (item, channel) of `table` (row, column). Items come a
        part at a time, so that what is fetched from the table stays in the cache.
        """

    @abstractmethod
    def each_row(self, function: Callable[[Any], Any], n: Any, like: Any) -> Any:
        """What a function gives for 0, 1, ... n - 1, one after the other, in one array.

        It is of the type of `like`.
        """

    @abstractmethod
    def add_shifted(self, arrays: Sequence[Any]) -> Any:
        """The sum of arrays of the same shape, each one place further along the first axis."""

    @abstractmethod
    def matmul(self, x: Any, y: Any) -> Any:
        """As `numpy.matmul`."""

    @abstractmethod
    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        """As `numpy.transpose`."""

    @abstractmethod
    def axis(self, node: Node) -> int:
        """The axis of a softmax and the like."""

    @abstractmethod
    def is_floating(self, x: Any) -> bool:
        """Whether an array holds real numbers."""

    @abstractmethod
    def epsilon(self, x: Any) -> float:
        """Distance from 1 to the next number of the array's type."""

    @abstractmethod
    def shape(self, x: Any) -> Any:
        """The shape, fit for `reshape`."""

    @abstractmethod
    def sizes(self, x: Any) -> list[Any]:
        """The length of each axis."""

    @abstractmethod
    def row_size(self, x: Any) -> int:
        """Numbers in each row; 1 where that is not known."""

    @abstractmethod
    def same_shape(self, x: Any, y: Any) -> bool:
        """Whether two arrays are known to have the same shape."""

    @abstractmethod
    def reshape(self, x: Any, shape: Any) -> Any:
        """As `numpy.reshape`."""

    @abstractmethod
    def repeat(self, x: Any, n: Any, axis: int) -> Any:
        """As `numpy.repeat`."""

    @abstractmethod
    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """As `numpy.where`."""

    @abstractmethod
    def unary(self, name: str, x: Any) -> Any:
        """One of exp, expm1, log, log1p, tanh, sqrt, abs, sigmoid, sign."""

    @abstractmethod
    def constant(self, array: Any, like: Any) -> Any:
        """A NumPy array in the type of `like`."""

    @abstractmethod
    def scalar(self, value: float, like: Any) -> Any:
        """A number of the type of `like`."""

    @abstractmethod
    def tiny(self, x: Any) -> float:
        """The smallest normal number of the array's type."""

    @abstractmethod
    def large(self, x: Any) -> float:
        """A number of the array's type that is far larger than what a model computes with."""

    @abstractmethod
    def clip(self, x: Any, low: float, high: float) -> Any:
        """As `numpy.clip`."""

    @abstractmethod
    def count(self, x: Any, axis: int, like: Any) -> Any:
        """How often `x` is true along an axis, which stays with length 1, in the type of `like`."""

    @abstractmethod
    def largest(self, x: Any, axis: int) -> Any:
        """The largest magnitude over an axis and all after it, which stay with length 1."""

    @abstractmethod
    def maximum(self, x: Any, y: Any) -> Any:
        """As `numpy.maximum`."""

    @abstractmethod
    def minimum(self, x: Any, y: Any) -> Any:
        """As `numpy.minimum`."""

    @abstractmethod
    def sum(self, x: Any, axis: Any) -> Any:
        """Sum over an axis or axes, which stay with length 1."""

    @abstractmethod
    def max(self, x: Any, axis: int) -> Any:
        """Maximum over an axis, which stays with length 1."""

    @abstractmethod
    def pad(self, x: Any, n: int, axis: int, before: int = 0) -> Any:
        """With `n` zeros at the end of an axis, and `before` at its start."""

    @abstractmethod
    def tile_rows(self, x: Any, n: Any) -> Any:
        """`n` times the whole array along the first axis."""

    @abstractmethod
    def range(self, n: int, like: Any) -> Any:
        """0, 1, ... n - 1 in the type of `like`."""

    @abstractmethod
    def integers(self, x: Any) -> Any:
        """Numbers as indices."""

    @abstractmethod
    def all(self, x: Any) -> Any:
        """Whether all of an array is true."""

    @abstractmethod
    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        """As `numpy.concatenate`."""

    @abstractmethod
    def split(self, x: Any, axis: int) -> tuple[Any, Any]:
        """The two halves along an axis."""

    @abstractmethod
    def ones_like(self, x: Any) -> Any:
        """As `numpy.ones_like`."""

    @abstractmethod
    def zeros_like(self, x: Any) -> Any:
        """As `numpy.zeros_like`."""

    @abstractmethod
    def sum_to_shape(self, x: Any, like: Any) -> Any:
        """The sum over the axes along which `like` was broadcast to the shape of `x`."""


def windows_of_axes(shape: Sequence[int], sizes: Sequence[int]) -> Windows | None:
    """Windows with a size along each axis of a sequence's array, if they are so along one stretch of axes.

    Examples
    --------
    >>> windows_of_axes((1, 100, 8), (1, 4, 1))
    Windows(before=1, length=100, after=8, size=4)
    >>> windows_of_axes((5, 6, 8), (5, 6, 1))
    Windows(before=1, length=30, after=8, size=30)
    >>> windows_of_axes((6, 6), (2, 3)) is None
    True
    """
    pooled = [axis for axis, size in enumerate(sizes) if size > 1]
    if not pooled:
        pooled = [0]
    first, last = pooled[0], pooled[-1]
    # A window over several axes is one stretch only if it takes all of each axis after the first.
    if any(sizes[axis] != shape[axis] for axis in range(first + 1, last + 1)):
        return None
    inner = math.prod(shape[first + 1 : last + 1])
    return Windows(
        before=math.prod(shape[:first]),
        length=shape[first] * inner,
        after=math.prod(shape[last + 1 :]),
        size=sizes[first] * inner,
    )
