"""The walk for pairs of edits, each of which has been followed by itself.

Of each value the sum of the two changes is known; what is followed here is what the pair does beyond that. It
begins where the windows of both meet in an operation that is not linear, and is nothing elsewhere: pairs
that never meet go through the last layers only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental import position_ops as geo
from kipoi_tfbind.graph.incremental.affected_region import Table, Unmet, Window, Windows
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.offsets import ALL, Start
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.single_edits import Walk

_LOCAL = (geo.Local, geo.Pool)
# What gives whole arrays where the two changes add up.
_ENDS = (geo.Reduce, geo.Linear)


class Single(NamedTuple):
    """The change that each edit makes of one value by itself.

    Attributes
    ----------
    changes
        Of windows: a row of zeros, then (edit * position, ...); of whole values (edit, ...).
    starts
        Where the windows start (edit); None where they are the same for all, or there are none.
    """

    changes: Any
    starts: Any = None


class PairWindows(Windows):
    """Windows in which a sequence's own value is its value with the changes of both edits added.

    Parameters
    ----------
    single
        Gives the changes that single edits make.
    first, second
        Which edits the pairs are of.
    template
        What is known of the single edits' values: windows without arrays.
    ends
        The values where their windows end in a sum.
    """

    def __init__(
        self,
        arrays: WindowArrays,
        program: Program,
        table: Callable[[Table], Any],
        single: Callable[[Table], Single],
        *,
        first: Any,
        second: Any,
        template: Mapping[Ref, Any],
        ends: Collection[Ref],
    ) -> None:
        super().__init__(arrays, program, table, first * 0)
        self.single, self.template, self.ends = single, template, ends
        self.pair = (first, second)

    def own(self, window: Window) -> Any:
        """See the base class."""
        table = Table(window.ref, "rows", window.axis)
        single, width = self.single(table), self.template[window.ref].width
        found = super().own(window)
        for edit in self.pair:
            place = self.positions(window) - self._start(window.ref, single, edit)
            inside = (place >= 0) & (place < width)
            row = edit[:, None] * width + self.arrays.clip(place, 0, width - 1) + 1
            found = found + self.arrays.take(single.changes, self.arrays.where(inside, row, 0))
            self.elements += 2 * window.width * self.channels(window)
        return found

    def whole(self, ref: Ref) -> Any:
        """See the base class."""
        changes = self.single(Table(ref, "whole")).changes
        return self.unchanged(ref) + sum(self.arrays.take(changes, edit) for edit in self.pair)

    def meeting(self, ref: Ref, apart: int) -> tuple[Start, int] | None:
        """Where the windows of both edits of each pair meet, which start at least `apart` from each other."""
        window = self.template[ref]
        width = window.width - apart
        if width <= 0:
            return None
        if window.start.places is None:
            return window.start, width
        single = self.single(Table(ref, "starts", window.axis))
        first, second = (self.arrays.take(single.starts, edit) for edit in self.pair)
        return Start(self.arrays.maximum(first, second)), width

    def _start(self, ref: Ref, single: Single, edit: Any) -> Any:
        start = self.template[ref].start
        return start.offset if start.places is None else self.arrays.take(single.starts, edit)[:, None]


class PairWalk(Walk):
    """The walk for pairs.

    Parameters
    ----------
    windows
        Of the pairs.
    apart
        How far the windows of a value start from each other, at least, in all of the pairs.
    """

    looks_ahead = False

    def __init__(self, windows: PairWindows, apart: Callable[[Ref], int]) -> None:
        self._pairs, self._apart = windows, apart
        super().__init__(windows, Unmet(windows.template[windows.program.sequence]))

    def handled(self, i: int, known: Any) -> Any:
        """See the base class."""
        inputs = [ref for ref in self.program.graph.nodes[i].inputs if self.is_window(ref)]
        template = self._pairs.template.get((i, 0))
        met = [ref for ref in inputs if not isinstance(self.state[ref], Unmet)]
        if isinstance(known, geo.Sum) and met and isinstance(template, Window):
            if all(self.program.shapes[ref] == self.program.shapes[(i, 0)] for ref in inputs):
                return self._added(i, met)
            known = geo.Local(broadcasts=True)
        if isinstance(known, _LOCAL):
            return self._met(i, inputs, known) if isinstance(template, Window) else None
        if isinstance(known, geo.Reduce) and known.how == "max":
            return self._largest(i, inputs[0], known)
        if met:
            return super().handled(i, known)
        if isinstance(known, _ENDS):
            return self._pairs.whole((i, 0)) if (i, 0) in self._pairs.ends else None
        return None if template is None else Unmet(template)

    def _added(self, i: int, met: Sequence[Ref]) -> Window:
        """What the pair does to a sum: the sum of what it does to its terms."""
        together = self.windows.together([self.state[ref] for ref in met])
        change = functools.reduce(lambda a, b: a + b, map(self.windows.change, together))
        place = together[0]
        return Window((i, 0), place.axis, place.length, place.start, place.width, change)

    def _met(self, i: int, inputs: Sequence[Ref], known: geo.Local | geo.Pool) -> Any:
        """What the pair does to the output of a function of the positions, where the windows of both meet."""
        found = self._pairs.meeting((i, 0), self._apart((i, 0)))
        if found is None:
            singles = {(i, j): self._pairs.template.get((i, j)) for j in range(len(self._outputs(i)))}
            return {ref: Unmet(single) for ref, single in singles.items() if isinstance(single, Window)}
        start, width = found
        before = {ref: self.state[ref] for ref in inputs}
        if isinstance(known, geo.Pool):
            places = None if start.places is None else start.places * known.stride
            start_in = Start(places, start.offset * known.stride - known.before)
            width_in = (width - 1) * known.stride + known.span
            windows = {
                ref: replace(self._window(ref, start_in, width_in), ready=(known, start, width))
                for ref in inputs
            }
        else:
            windows = {ref: self._window(ref, start, width) for ref in inputs}
        self.state.update(windows)
        result = super().handled(i, known)
        self.state.update(before)
        return result

    def _outputs(self, i: int) -> range:
        return range(self.program.graph.nodes[i].n_outputs)

    def _largest(self, i: int, ref: Ref, known: geo.Reduce) -> Any:
        """A maximum over all positions, which has no simple form for a pair."""
        state = self.state[ref].single if isinstance(self.state[ref], Unmet) else self.state[ref]
        shape = self.program.shapes[ref]
        if not isinstance(state, Window) or any(shape[a - 1] != 1 for a in known.axes if a != state.axis):
            return None
        value = self.windows.value(self._window(ref, ALL, state.length))
        self.windows.elements += state.length * self.windows.channels(state)
        return self.arrays.reshape(self.arrays.max(value, [1]), (-1, *self.program.shapes[(i, 0)]))

    def _joined(self, ref: Ref) -> Any:
        state = self.state[ref]
        if isinstance(state, Unmet) and isinstance(state.single, Window):
            window = self._window(ref, ALL, state.single.length)
            return self.arrays.to_layout(self.windows.value(window), window.axis)
        return super()._joined(ref)

    def _window(self, ref: Ref, start: Start, width: int) -> Window:
        """What the pair does to a value beyond its two changes, in given windows."""
        state = self.state[ref]
        if isinstance(state, Window):
            return self.windows.moved(state, start, width)
        single = state.single
        bare = Window(ref, single.axis, single.length, start, width)
        return Window(ref, single.axis, single.length, start, width, value=self.windows.own(bare))
