"""The part of a value that an edit may change, and the looking up of what it leaves as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.offsets import ALL, Start
from kipoi_tfbind.graph.incremental.position_ops import Blocks, Convolution, Pool
from kipoi_tfbind.graph.incremental.program import Program


@dataclass(frozen=True)
class Table:
    """What of the sequences' own values is looked up.

    Attributes
    ----------
    ref
        The value.
    how
        "rows": (sequence * position, ...); "before" and "after": running maxima
        (sequence * (position + 1), ...); "whole": the array as it is; "codes": base codes
        (sequence * position); "starts": where the windows of edits start (edit).
    axis
        Of the positions; 0 where they are one axis with the batch.
    """

    ref: Ref
    how: str
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Window:
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
        Where the windows lie; what is outside of the whole does not count.
    change
        Edited minus own value, 0 outside of the whole: (edit, position, ...).
    value
        The edited value, anything outside of the whole. One of the two may be missing.
    ready
        A pool that these windows are made for, and where its output lies.
    substitution
        Which of the 25 substitutions of one code by another it is, of an input that is edited in one place.
    """

    ref: Ref
    axis: int
    length: int
    start: Start
    width: int
    change: Any = None
    value: Any = None
    ready: tuple[Pool, Start, int] | None = None
    substitution: Any = None


@dataclass(frozen=True, eq=False)
class Flat:
    """A window whose positions and channels a reshape has merged."""

    window: Window
    axis: int = 1


@dataclass(frozen=True, eq=False)
class Dealt:
    """A window between a `Blocks` and its `Unblocks`, with the convolution that was met in between."""

    window: Window
    blocks: Blocks
    axis: int
    convolution: Convolution | None = None


@dataclass(frozen=True, eq=False)
class Unmet:
    """A value that two edits change each by itself so far; `single` is what each of them does."""

    single: Window | Flat | Dealt

    @property
    def axis(self) -> int:
        """Axis of the positions."""
        return self.single.axis


class Windows:
    """What can be done with windows, whatever the model.

    Parameters
    ----------
    arrays
        The framework.
    program
        The model.
    table
        Gives what is looked up.
    sequence
        Which of the sequences each edit is of.

    Attributes
    ----------
    products, elements
        Multiply-accumulates of one edit so far, and elements of arrays that were made.
    largest
        Elements of the largest window.
    """

    def __init__(
        self, arrays: WindowArrays, program: Program, table: Callable[[Table], Any], sequence: Any
    ) -> None:
        self.arrays, self.program, self.table, self.sequence = arrays, program, table, sequence
        self.products = self.elements = self.largest = 0
        self._positions: dict[tuple[int, int, int], Any] = {}
        self._keep: list[Any] = []  # Places by whose id positions are known.

    def count(self, window: Window) -> None:
        """Note that an array of this window was made."""
        size = window.width * self.channels(window)
        self.elements += size
        self.largest = max(self.largest, size)

    def channels(self, window: Window) -> int:
        """Number of elements at one position."""
        return math.prod(self.rest(window.ref, window.axis))

    def rest(self, ref: Ref, axis: int) -> tuple[int, ...]:
        """Shape of a value at one position."""
        shape = self.program.shapes[ref]
        return shape if axis == 0 else (*shape[: axis - 1], *shape[axis:])

    def positions(self, window: Window) -> Any:
        """Positions (edit, width); one row where they are the same for all edits."""
        key = (id(window.start.places), window.start.offset, window.width)
        if key not in self._positions:
            self._keep.append(window.start.places)
            at = window.start.at()
            at = self.arrays.constant(np.array([at])) if window.start.places is None else at
            self._positions[key] = self.arrays.span(at, window.width)
        return self._positions[key]

    def own_rows(self, window: Window, more: int = 0) -> Any:
        """Where a window is in a table of `more` rows than positions for each sequence."""
        within = self.arrays.clip(self.positions(window), 0, window.length - 1)
        return self.sequence[:, None] * (window.length + more) + within

    def own(self, window: Window) -> Any:
        """The sequences' own values in a window."""
        self.count(window)
        return self.arrays.take(self.table(Table(window.ref, "rows", window.axis)), self.own_rows(window))

    def whole(self, ref: Ref) -> Any:
        """A value that edits change, of their sequences: (edit, ...)."""
        return self.unchanged(ref)

    def unchanged(self, ref: Ref) -> Any:
        """A value of the sequences: (edit, ...)."""
        return self.arrays.take(self.table(Table(ref, "whole")), self.sequence)

    def change(self, window: Window) -> Any:
        """Edited minus own value."""
        if window.change is not None:
            return window.change
        return self.kept(window, window.value - self.own(window), 0)

    def value(self, window: Window) -> Any:
        """The edited value."""
        return window.change + self.own(window) if window.value is None else window.value

    def kept(self, window: Window, x: Any, outside: float) -> Any:
        """An array of a window with another value outside of the whole."""
        if window.start.places is None and 0 <= window.start.offset <= window.length - window.width:
            return x
        positions = self.positions(window)
        self.count(window)
        return self.arrays.kept(x, (positions >= 0) & (positions < window.length), outside)

    def moved(self, window: Window, start: Start, width: int) -> Window:
        """The same change in other windows, which reach over it or over all positions."""
        shift = window.start.minus(start)
        if isinstance(shift, int) and shift == 0 and width == window.width:
            return replace(window, start=start)
        change = self.arrays.place(self.change(window), shift, width)
        found = Window(window.ref, window.axis, window.length, start, width, change)
        self.count(found)
        return found

    def everywhere(self, window: Window) -> Window:
        """The same change in a window of all positions."""
        return self.moved(window, ALL, window.length)

    def together(self, windows: Sequence[Window]) -> list[Window]:
        """Windows of values of one length in the same places."""
        base = windows[0].start
        if any(not isinstance(window.start.minus(base), int) for window in windows):
            return [self.everywhere(window) for window in windows]
        low = min(window.start.offset for window in windows)
        high = max(window.start.offset + window.width for window in windows)
        return [self.moved(window, base.moved(low - base.offset), high - low) for window in windows]
