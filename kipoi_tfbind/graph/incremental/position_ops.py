"""Effects of operations along the positions of a sequence, as handlers are told.

`along_positions` derives them from an operation's description and the axis of the positions. Axes count the
batch as axis 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.position_kernel import PositionKernel


@dataclass(frozen=True)
class Operand:
    """One input of a node.

    Attributes
    ----------
    shape
        Without the batch; the whole shape of a constant.
    axis
        The axis of its positions, if it changes with the sequence; 0 where batch and positions are one axis.
    value
        The array, if it is a constant.
    """

    shape: tuple[int, ...]
    axis: int | None = None
    value: NDArray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class PositionOp:
    """The effect of an operation along the positions.

    Attributes
    ----------
    interacts
        Whether two changes that overlap in it are not the sum of both.
    ends
        Whether its output has no positions, and changes with its input by a sum.
    """

    interacts: ClassVar[bool] = False
    ends: ClassVar[bool] = False


@dataclass(frozen=True)
class Local(PositionOp):
    """The same at every position, from that position of all inputs, which broadcast if `broadcasts`."""

    broadcasts: bool = False
    # Axes that are gone from the output.
    dropped: tuple[int, ...] = ()
    interacts = True


@dataclass(frozen=True)
class Sum(PositionOp):
    """Local, and the change of the output is the sum of those of the inputs."""


@dataclass(frozen=True)
class Scale(PositionOp):
    """Local, and the operation itself turns a change of its only changed input into that of the output."""

    broadcasts: bool = True


@dataclass(frozen=True)
class SameElements(PositionOp):
    """The same elements in the same order."""


@dataclass(frozen=True)
class Permute(PositionOp):
    """Axes in another order."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Cut(PositionOp):
    """Stretches of some axes: axis -> positions."""

    stretches: dict[int, range]


@dataclass(frozen=True)
class ZeroPad(PositionOp):
    """Zeros along the positions."""

    before: int


@dataclass(frozen=True)
class Mirror(PositionOp):
    """Axes in reverse."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class Convolve(PositionOp):
    """A convolution."""

    kernel: PositionKernel


@dataclass(frozen=True)
class PoolPositions(PositionOp):
    """out[o] = maximum or mean of in[o * stride - before], and the `span` positions from there."""

    span: int
    stride: int
    before: int
    maximum: bool
    interacts = True


@dataclass(frozen=True)
class Total(PositionOp):
    """Sum or mean over axes that the positions are among."""

    axes: tuple[int, ...]
    mean: bool
    ends = True


@dataclass(frozen=True)
class Largest(PositionOp):
    """Maximum over axes that the positions are among."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class Dense(PositionOp):
    """A flat input (batch, feature) times a weight (feature, unit)."""

    weight: NDArray = field(repr=False, compare=False)
    _by_position: dict[tuple[tuple[int, ...], int], NDArray] = field(default_factory=dict, repr=False)
    ends = True

    def by_position(self, shape: tuple[int, ...], axis: int) -> NDArray:
        """The weight (position, channel, unit), for features of this shape with the positions at `axis`."""
        if (shape, axis) not in self._by_position:
            weight = np.moveaxis(self.weight.reshape(*shape, -1), axis - 1, 0)
            weight = np.ascontiguousarray(weight).reshape(len(weight), -1, weight.shape[-1])
            self._by_position[shape, axis] = weight
        return self._by_position[shape, axis]


@dataclass(frozen=True)
class Blocks(PositionOp):
    """Positions dealt out to `size` blocks of the batch, as TensorFlow does before a dilated convolution."""

    size: int
    before: int


@dataclass(frozen=True)
class Unblocks(PositionOp):
    """The inverse of `Blocks`, without `before` positions at the start."""

    size: int
    before: int


def reshaped_axis(before: Sequence[int], axis: int, after: Sequence[int]) -> int | None:
    """The axis of the positions after a reshape of (batch, *before) to (batch, *after).

    Returns
    -------
    axis
        0 where the positions are merged with the batch; None where they are merged with other axes.

    Examples
    --------
    >>> reshaped_axis((100, 8), 1, (1, 100, 8)), reshaped_axis((1, 100, 8), 2, (100, 2, 4))
    (2, 1)
    >>> reshaped_axis((100, 8), 1, (800,)) is None, reshaped_axis((100, 8), 1, (8,))
    (True, 0)
    """
    n = before[axis - 1]
    outer, inner = math.prod(before[: axis - 1]), math.prod(before[axis:])
    if math.prod(before) != math.prod(after):
        return 0 if outer == 1 and math.prod(after) == inner else None
    for i, size in enumerate(after):
        if size == n and math.prod(after[:i]) == outer and math.prod(after[i + 1 :]) == inner:
            return i + 1
    return None
