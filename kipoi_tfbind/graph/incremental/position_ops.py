"""What an operation does along the positions of a sequence, in no framework's terms.

`tensorflow_geometry` and `torch_geometry` read these from a node; None means that it is not known. Axes
count the batch as axis 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Kinds of nodes that act on each element by itself, with inputs that broadcast.
BROADCASTING = frozenset(
    {"elementwise", "elementwise_pair", "product", "ratio", "add", "select", "identity", "cast"}
)


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


@dataclass(frozen=True, eq=False)
class Convolution:
    """out[o] = sum over t of in[o * stride + t * dilation - before] @ kernel[t].

    Attributes
    ----------
    kernel
        (tap, channels in, channels out); the channels are all axes but batch and positions, flattened.
    """

    kernel: NDArray = field(repr=False)
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def span(self) -> int:
        """Positions from the first tap to the last."""
        return (len(self.kernel) - 1) * self.dilation + 1

    @cached_property
    def taps(self) -> NDArray:
        """The kernel from its last tap to its first: what a position gives to outputs from left to right."""
        return np.ascontiguousarray(self.kernel[::-1])

    @cached_property
    def by_channel(self) -> NDArray:
        """The taps as one matrix (channel in, tap * channel out)."""
        return np.ascontiguousarray(self.taps.transpose(1, 0, 2)).reshape(self.kernel.shape[1], -1)

    def of_substitutions(self, units: NDArray) -> NDArray:
        """What replacing one of the `units` (code, channel) by another gives to the outputs, as rows.

        Returns
        -------
        rows
            (old code * new code * span, channel out), old codes slowest, and a last row of zeros.
        """
        differences = (units[np.newaxis] - units[:, np.newaxis]).reshape(-1, units.shape[1])
        rows = np.zeros((len(differences), self.span, self.kernel.shape[2]), self.kernel.dtype)
        rows[:, :: self.dilation] = np.einsum("pc,kco->pko", differences, self.taps)
        rows = rows.reshape(-1, rows.shape[2])
        return np.concatenate([rows, np.zeros_like(rows[:1])])


@dataclass(frozen=True)
class Pool:
    """out[o] = maximum or mean of in[o * stride - before], and the `span` positions from there."""

    span: int
    stride: int
    before: int
    maximum: bool


@dataclass(frozen=True)
class Reduce:
    """Sum, mean or maximum over axes that the positions are among."""

    axes: tuple[int, ...]
    how: str


@dataclass(frozen=True)
class Local:
    """The same at every position, from that position of all inputs, which broadcast if `broadcasts`."""

    broadcasts: bool = False
    # Axes that are gone from the output.
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sum:
    """Local, and the change of the output is the sum of those of the inputs."""


@dataclass(frozen=True)
class Scale:
    """Local, and the operation itself turns a change of its only changed input into that of the output."""

    broadcasts: bool = True


@dataclass(frozen=True)
class Reshape:
    """The same elements in the same order."""


@dataclass(frozen=True)
class Permute:
    """Axes in another order."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """A stretch of some axes: axis -> (first, number, step)."""

    stretches: dict[int, tuple[int, int, int]]


@dataclass(frozen=True)
class ZeroPad:
    """Zeros along the positions."""

    before: int


@dataclass(frozen=True)
class Reverse:
    """Axes in reverse."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Linear:
    """A flat input (batch, feature) times a weight (feature, unit)."""

    weight: NDArray = field(repr=False)
    _by_position: dict[tuple[tuple[int, ...], int], NDArray] = field(default_factory=dict, repr=False)

    def by_position(self, shape: tuple[int, ...], axis: int) -> NDArray:
        """The weight (position, channel, unit), for features of this shape with the positions at `axis`."""
        if (shape, axis) not in self._by_position:
            weight = np.moveaxis(self.weight.reshape(*shape, -1), axis - 1, 0)
            weight = np.ascontiguousarray(weight).reshape(len(weight), -1, weight.shape[-1])
            self._by_position[shape, axis] = weight
        return self._by_position[shape, axis]


@dataclass(frozen=True)
class Blocks:
    """Positions dealt out to `size` blocks, as TensorFlow does before a dilated convolution."""

    size: int
    before: int


@dataclass(frozen=True)
class Unblocks:
    """The inverse of `Blocks`, without `before` positions at the start."""

    size: int
    before: int


Geometry = (
    Convolution
    | Pool
    | Reduce
    | Local
    | Sum
    | Scale
    | Reshape
    | Permute
    | Cut
    | ZeroPad
    | Reverse
    | Linear
    | Blocks
    | Unblocks
)


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
