"""States of a value of the edited sequences, as classes with the same few verbs.

A state is an affected region; a region whose positions and channels a reshape has merged; one that is dealt
out to blocks of the batch (space-to-batch); the sum of two changes that do not interact; or the whole array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.offsets import Offsets
from kipoi_tfbind.graph.incremental.position_ops import (
    Blocks,
    PoolPositions,
    Unblocks,
    reshaped_axis,
)
from kipoi_tfbind.graph.position_kernel import PositionKernel

Shape = tuple[int, ...]


class State:
    """The state of a value; by default, it has nothing that a verb asks for."""

    @property
    def position_axis(self) -> int | None:
        """The axis of the positions, 0 where they are one axis with the batch; None for a whole array."""
        return None

    @property
    def interacts(self) -> bool:
        """Whether it is more than the sum of what each of two edits changes by itself."""
        return True

    def region(self) -> AffectedRegion | None:
        """The affected region with its arrays, if the positions are an axis of their own (or the batch's)."""
        return None

    def outline(self) -> AffectedRegion | None:
        """The affected region of a single edit, perhaps without arrays."""
        return self.region()

    def joined(self, in_layout: Callable[[AffectedRegion], Any]) -> Any:
        """The whole array, where `in_layout` gives that of a region; None if only its node can give it."""
        return None

    def flattened(self) -> AffectedRegion | None:
        """The affected region that a reshape has flattened."""
        return None

    def reshaped(self, before: Shape, after: Shape) -> State | None:
        """The state of the same elements in another shape, without arrays."""
        return None

    def deferred(self, kernel: PositionKernel) -> State | None:
        """The state after a convolution that is not done before something else is known."""
        return None

    def put_together(self, unblocks: Unblocks) -> tuple[AffectedRegion, PositionKernel, int] | None:
        """A region, a convolution of it that was put off until now, and the axis of the positions."""
        return None


@dataclass(frozen=True, eq=False)
class Whole(State):
    """The whole array (edit, ...), in the framework's layout."""

    array: Any

    def joined(self, in_layout: Callable[[AffectedRegion], Any]) -> Any:
        """See the base class."""
        return self.array


@dataclass(frozen=True, eq=False)
class AffectedRegion(State):
    """The part of a value that each edit may change.

    Attributes
    ----------
    ref
        The value.
    axis
        Axis of the positions in the framework's layout; 0 where they are one axis with the batch.
    length
        Number of positions of the whole.
    start, width
        Where the regions lie; what is outside of the whole does not count.
    change
        Edited minus own value, 0 outside of the whole: (edit, position, ...).
    value
        The edited value, anything outside of the whole. One of the two may be missing.
    ready
        A pool that these regions are made for, and where its output lies.
    substitution
        Which of the 25 substitutions of one code by another it is, of an input that is edited in one place.
    """

    ref: Ref
    axis: int
    length: int
    start: Offsets
    width: int
    change: Any = None
    value: Any = None
    ready: tuple[PoolPositions, Offsets, int] | None = None
    substitution: Any = None

    @property
    def position_axis(self) -> int | None:
        """See the base class."""
        return self.axis

    def region(self) -> AffectedRegion | None:
        """See the base class."""
        return self

    def joined(self, in_layout: Callable[[AffectedRegion], Any]) -> Any:
        """See the base class."""
        return in_layout(self)

    def reshaped(self, before: Shape, after: Shape) -> State | None:
        """See the base class."""
        if self.axis:
            axis = reshaped_axis(before, self.axis, after)
            if axis is None:
                return Flattened(self) if len(after) == 1 else None
        elif math.prod(after) == math.prod(before):
            axis = 0
        elif after[0] == self.length and math.prod(after[1:]) == math.prod(before):
            axis = 1
        else:
            return None
        return replace(self, axis=axis)

    def with_arrays(self, function: Callable[[Any], Any]) -> AffectedRegion:
        """The region with a function of the arrays that are there."""
        change = None if self.change is None else function(self.change)
        return replace(self, change=change, value=None if self.value is None else function(self.value))


@dataclass(frozen=True, eq=False)
class Flattened(State):
    """A region whose positions and channels a reshape has merged."""

    inner: AffectedRegion

    @property
    def position_axis(self) -> int | None:
        """See the base class: the merged one."""
        return 1

    def flattened(self) -> AffectedRegion | None:
        """See the base class."""
        return self.inner

    def reshaped(self, before: Shape, after: Shape) -> State | None:
        """See the base class."""
        return self if before == after else None


@dataclass(frozen=True, eq=False)
class InBlocks(State):
    """A region between a `Blocks` and its `Unblocks`, with the convolution that came in between."""

    inner: AffectedRegion
    blocks: Blocks
    axis: int
    kernel: PositionKernel | None = None

    @property
    def position_axis(self) -> int | None:
        """See the base class."""
        return self.axis

    def reshaped(self, before: Shape, after: Shape) -> State | None:
        """See the base class."""
        axis = reshaped_axis(before, self.axis, after)
        return replace(self, axis=axis) if axis else None

    def deferred(self, kernel: PositionKernel) -> State | None:
        """See the base class: until the blocks are put together."""
        plain = kernel.stride == kernel.dilation == 1 and kernel.before == 0 and self.kernel is None
        return replace(self, kernel=kernel) if plain else None

    def put_together(self, unblocks: Unblocks) -> tuple[AffectedRegion, PositionKernel, int] | None:
        """See the base class: a dilated one, seen whole."""
        if self.kernel is None or self.blocks.size != unblocks.size:
            return None
        before = self.blocks.before - unblocks.before
        dilated = PositionKernel(self.kernel.kernel, 1, unblocks.size, before)
        return self.inner, dilated, self.axis


@dataclass(frozen=True, eq=False)
class NonInteracting(State):
    """A value that two edits change each by itself so far; `single` is what each of them does."""

    single: State

    @property
    def position_axis(self) -> int | None:
        """See the base class."""
        return self.single.position_axis

    @property
    def interacts(self) -> bool:
        """See the base class."""
        return False

    def outline(self) -> AffectedRegion | None:
        """See the base class."""
        return self.single.outline()
