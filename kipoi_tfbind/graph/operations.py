"""Descriptions of operations in no framework's terms.

A node's operation is described once, when the model is traced: `graph/tensorflow/operations.py` and
`graph/torch/operations.py` read it from a framework's attributes and argument positions, and nothing neutral
looks at those. Rules of DeepLIFT, handlers of edits and the cost model ask the description. Axes count the
batch as axis 0; what has a value for each axis ("by axis") leaves the batch out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

# Kinds that act on each element by itself, with operands that broadcast.
BROADCASTING = frozenset(
    {"add", "cast", "elementwise", "elementwise_pair", "identity", "product", "ratio", "select"}
) | {"squared_difference"}


@dataclass(frozen=True)
class Operation:
    """An operation of which no more is asked than its kind.

    Attributes
    ----------
    kind
        The name that rules and handlers know it by; "" where nothing is known.
    """

    kind: str = ""

    def window_sizes(self, shape: Shape) -> Shape | None:
        """By axis, the sizes of windows side by side of each of which it gives one number; None otherwise."""
        return None

    def macs(self, operands: Sequence[Shape], kernel: Shape | None, out: Shape) -> int:
        """Multiply-accumulates for one sequence.

        Parameters
        ----------
        operands
            Shapes of the operands that vary, without the batch.
        kernel
            Shape of the first later operand that is a constant.
        out
            Shape of the output, without the batch.
        """
        return 0


@dataclass(frozen=True, kw_only=True)
class Elementwise(Operation):
    """A function of each number by itself, or of a few that broadcast, such as "relu" or "maximum"."""

    kind: str = "elementwise"
    function: str


@dataclass(frozen=True, kw_only=True)
class Add(Operation):
    """A sum or difference; `plain` if it is the sum of all operands as they are."""

    kind: str = "add"
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class Reshape(Operation):
    """The same elements in the same order; `ones_only` if only axes of length 1 come or go."""

    kind: str = "reshape"
    ones_only: bool = False


@dataclass(frozen=True, kw_only=True)
class AlongAxes(Operation):
    """Softmax, concat, split and others that work along some axes; None where they are not known."""

    axes: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Reduce(AlongAxes):
    """One number of all along some axes.

    Attributes
    ----------
    how
        "sum", "mean", "max", "min", or what it is called.
    kept
        Whether the axes stay, with length 1.
    correction
        Degrees of freedom that a deviation takes off.
    """

    how: str
    kept: bool = False
    correction: float = 0

    def window_sizes(self, shape: Shape) -> Shape | None:
        """See the base class."""
        if self.axes is None or 0 in self.axes:
            return None
        return tuple(n if axis in self.axes else 1 for axis, n in enumerate(shape, start=1))


@dataclass(frozen=True, kw_only=True)
class Pool(Operation):
    """Maxima or means of windows.

    Attributes
    ----------
    sizes, strides
        By axis.
    padding
        By axis, positions before and after the input; None for as many as make ceil(length / stride) outputs.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int] | None, ...]

    @property
    def maximum(self) -> bool:
        """Whether it takes maxima."""
        return self.kind == "max_pool"

    def before(self, axis: int, length: int) -> int:
        """Positions of padding before the input along an axis."""
        return padding_before(self.padding[axis - 1], length, self.sizes[axis - 1], self.strides[axis - 1])

    def covers(self, axis: int, length: int) -> bool:
        """Whether no window reaches over the ends."""
        padding = self.padding[axis - 1]
        if padding is not None:
            return padding == (0, 0)
        size = self.sizes[axis - 1]
        return size == 1 or (size == self.strides[axis - 1] and length % size == 0)

    def window_sizes(self, shape: Shape) -> Shape | None:
        """See the base class."""
        whole = all(self.covers(axis, n) for axis, n in enumerate(shape, start=1))
        return self.sizes if whole and self.strides == self.sizes else None


@dataclass(frozen=True, kw_only=True)
class Convolution(Operation):
    """A convolution along the spatial axes.

    Attributes
    ----------
    strides, dilations, padding
        By spatial axis; padding as for `Pool`.
    channels_last
        Whether the channels are the last axis, or axis 1.
    order
        Axes of the kernel in the order (*spatial, channel in, channel out).
    groups
        Number of groups of channels; all channels by themselves where it is `depthwise`.
    transposed
        Whether it is the transpose of a convolution.
    """

    kind: str = "convolution"
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int] | None, ...]
    channels_last: bool
    order: tuple[int, ...]
    groups: int = 1
    depthwise: bool = False
    transposed: bool = False

    def spatial(self, axis: int) -> int:
        """Which of the spatial axes an axis of the input is; negative for none."""
        return axis - (1 if self.channels_last else 2)

    def before(self, spatial: int, length: int, n_taps: int) -> int:
        """Positions of padding before the input along a spatial axis."""
        span = (n_taps - 1) * self.dilations[spatial] + 1
        return padding_before(self.padding[spatial], length, span, self.strides[spatial])

    def dense_kernel(self, kernel: NDArray) -> NDArray:
        """The kernel (*spatial, channel in, channel out) of the convolution in one group that it is."""
        kernel = kernel.transpose(self.order)
        *spatial, n_in, n_out = kernel.shape
        groups = self.groups
        if self.depthwise:
            groups, n_in, n_out = n_in, 1, n_in * n_out
            kernel = kernel.reshape(*spatial, 1, n_out)
        if groups == 1:
            return kernel
        dense = np.zeros((*spatial, groups, n_in, groups, n_out // groups), kernel.dtype)
        for group, part in enumerate(np.split(kernel, groups, axis=-1)):
            dense[..., group, :, group, :] = part
        return dense.reshape(*spatial, groups * n_in, n_out)

    def macs(self, operands: Sequence[Shape], kernel: Shape | None, out: Shape) -> int:
        """See the base class: the taps and channels in of each number of the output."""
        if kernel is None:
            return 0
        n_in, n_out = (kernel[axis] for axis in self.order[-2:])
        return size_of(out) * math.prod(kernel) // (n_in * n_out if self.depthwise else n_out)


@dataclass(frozen=True)
class Contraction(Operation):
    """A product of arrays, summed over some axes."""

    def macs(self, operands: Sequence[Shape], kernel: Shape | None, out: Shape) -> int:
        """See the base class: the length of the axis that is summed over."""
        widest: Shape = max(operands, key=math.prod, default=())
        return size_of(out) * (widest[-1] if widest else 1)


@dataclass(frozen=True, kw_only=True)
class MatMul(Contraction):
    """A product of matrices.

    Attributes
    ----------
    left, right
        Numbers of the operands that are multiplied.
    added
        Number of the operand that is added, if any.
    transposed
        Which of the two is transposed.
    plain
        Whether it is the product (and sum) without another factor.
    """

    kind: str = "matmul"
    left: int = 0
    right: int = 1
    added: int | None = None
    transposed: tuple[bool, bool] = (False, False)
    plain: bool = True


@dataclass(frozen=True, kw_only=True)
class Normalise(Operation):
    """Batch normalisation with fixed statistics."""

    kind: str = "normalise"
    channel_axis: int


@dataclass(frozen=True, kw_only=True)
class Standardise(Operation):
    """Layer or group normalisation, with statistics of the sequence's own.

    Attributes
    ----------
    first_axis
        The first of the axes that a layer normalisation takes together.
    groups
        Number of groups of channels; 0 for a layer normalisation.
    epsilon
        Added to the variance.
    weight
        Number of the operand that scales the result, if any.
    """

    first_axis: int = 0
    groups: int = 0
    epsilon: float
    weight: int | None


@dataclass(frozen=True, kw_only=True)
class Transpose(Operation):
    """Axes in another order."""

    kind: str = "transpose"
    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Slice(Operation):
    """A stretch of some axes.

    Attributes
    ----------
    stretches
        Axis -> first position, end (None for all), and step.
    dropped
        Axes of one position that are gone from the output.
    """

    kind: str = "slice"
    stretches: Mapping[int, tuple[int | None, int | None, int]] = field(hash=False)
    dropped: tuple[int, ...] = ()

    def positions(self, axis: int, length: int) -> range:
        """The positions of an axis that are taken."""
        return range(length)[slice(*self.stretches.get(axis, (None, None, 1)))]


@dataclass(frozen=True, kw_only=True)
class Pad(Operation):
    """Zeros before and after some axes: axis -> number of both."""

    kind: str = "pad"
    widths: Mapping[int, tuple[int, int]] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class SpaceToBatch(Operation):
    """Positions dealt out to blocks of the batch for a dilated convolution, or (batch_to_space) put together.

    Attributes
    ----------
    sizes
        By axis, from the first on: the number of blocks; None where that is not known.
    padding
        By axis, positions added (or cut off) before and after.
    """

    sizes: tuple[int, ...] | None
    padding: tuple[tuple[int, int], ...] | None

    @property
    def n_blocks(self) -> int | None:
        """Number of blocks of each sequence."""
        return None if self.sizes is None else math.prod(self.sizes)


def padding_before(padding: tuple[int, int] | None, length: int, span: int, stride: int) -> int:
    """Positions of padding before an axis, as given or as needed for ceil(length / stride) outputs."""
    if padding is not None:
        return padding[0]
    n_out = -(-length // stride)
    return max((n_out - 1) * stride + span - length, 0) // 2


def size_of(shape: Sequence[int]) -> int:
    """Number of elements for one sequence: a size that is not known is that of the batch."""
    return math.prod(max(size, 1) for size in shape)
