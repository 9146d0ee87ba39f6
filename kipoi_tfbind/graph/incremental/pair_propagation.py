"""Propagation of double mutants, each of whose two edits has been propagated by itself.

Of each value the sum of the two changes is known; what is followed here is what both edits do beyond that. It
begins where the regions of both overlap in an operation that is not linear, and is nothing elsewhere: edits
that do not interact go through the last layers only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.handlers import Found
from kipoi_tfbind.graph.incremental.offsets import ALL, Offsets
from kipoi_tfbind.graph.incremental.position_ops import Largest, Local, PoolPositions, PositionOp, Sum
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.propagation import Propagation
from kipoi_tfbind.graph.incremental.regions import Regions, RunNode
from kipoi_tfbind.graph.incremental.states import AffectedRegion, NonInteracting, State, Whole


class SingleChange(NamedTuple):
    """The change that each edit makes of one value by itself.

    Attributes
    ----------
    changes
        Of regions: a row of zeros, then (edit * position, ...); of whole values (edit, ...).
    starts
        Where the regions start (edit); None where they are the same for all, or there are none.
    """

    changes: Any
    starts: Any = None


class PairRegions(Regions):
    """Regions in which a sequence's own value is its value with the changes of both edits added.

    Parameters
    ----------
    single
        Gives the changes that single edits make.
    first, second
        Which edits the double mutants are made of.
    template
        States of the single edits' values, without arrays.
    ended
        The values where their regions end in a sum.
    """

    def __init__(
        self,
        ops: ArrayOps,
        run: RunNode,
        program: Program,
        cached: Callable[[Cached], Any],
        single: Callable[[Cached], SingleChange],
        *,
        first: Any,
        second: Any,
        template: Mapping[Ref, State],
        ended: Collection[Ref],
    ) -> None:
        super().__init__(ops, run, program, cached, first * 0)
        self.single, self.ended = single, ended
        self.pair = (first, second)
        self.template: dict[Ref, AffectedRegion] = {}
        for ref, state in template.items():
            outline = state.outline()
            if outline is not None:
                self.template[ref] = outline

    def own(self, region: AffectedRegion) -> Any:
        """See the base class."""
        cached = Cached(region.ref, "rows", region.axis)
        single, width = self.single(cached), self.template[region.ref].width
        found = super().own(region)
        for edit in self.pair:
            offset = self.positions(region) - self._start(region.ref, single, edit)
            inside = (offset >= 0) & (offset < width)
            row = edit[:, None] * width + self.ops.clip(offset, 0, width - 1) + 1
            found = found + self.ops.take(single.changes, self.ops.where(inside, row, 0))
            self.traffic += 2 * region.width * self.channels(region)
        return found

    def whole(self, ref: Ref) -> Any:
        """See the base class."""
        changes = self.single(Cached(ref, "whole")).changes
        return self.unchanged(ref) + sum(self.ops.take(changes, edit) for edit in self.pair)

    def overlap(self, ref: Ref, separation: int) -> tuple[Offsets, int] | None:
        """Where the regions of both edits overlap, which start at least `separation` from each other."""
        region = self.template[ref]
        width = region.width - separation
        if width <= 0:
            return None
        if region.start.by_edit is None:
            return region.start, width
        single = self.single(Cached(ref, "starts", region.axis))
        first, second = (self.ops.take(single.starts, edit) for edit in self.pair)
        return Offsets(self.ops.maximum(first, second)), width

    def placed(self, ref: Ref, state: State, start: Offsets, width: int) -> AffectedRegion:
        """The change of a value beyond those of both edits by themselves, in a given region."""
        region = state.region()
        if region is not None:
            return self.moved(region, start, width)
        single = self.template[ref]
        bare = AffectedRegion(ref, single.axis, single.length, start, width)
        return replace(bare, value=self.own(bare))

    def _start(self, ref: Ref, single: SingleChange, edit: Any) -> Any:
        start = self.template[ref].start
        return start.shared if start.by_edit is None else self.ops.take(single.starts, edit)[:, None]


class PairPropagation(Propagation):
    """The propagation of double mutants.

    Parameters
    ----------
    regions
        Of the double mutants.
    template
        States of the single edits' values, without arrays.
    separation
        How far the regions of a value start from each other, at least, in all of the double mutants.
    """

    looks_ahead = False

    def __init__(
        self, regions: PairRegions, template: Mapping[Ref, State], separation: Callable[[Ref], int]
    ) -> None:
        self._pairs, self._template, self._separation = regions, template, separation
        super().__init__(regions, NonInteracting(template[regions.program.sequence]))

    def handled(self, i: int, op: PositionOp) -> Found:
        """See the base class."""
        inputs = [ref for ref in self.program.graph.nodes[i].inputs if self._is_followed(ref)]
        has_region = (i, 0) in self._pairs.template
        interacting = [ref for ref in inputs if self.states[ref].interacts]
        if isinstance(op, Sum) and interacting and has_region:
            if all(self.program.shapes[ref] == self.program.shapes[(i, 0)] for ref in inputs):
                return self._added(i, interacting)
            op = Local(broadcasts=True)
        if op.interacts:
            return self._overlapping(i, inputs, op) if has_region else None
        if isinstance(op, Largest):
            return self._largest(i, inputs[0], op)
        if interacting:
            return super().handled(i, op)
        if op.ends:
            return Whole(self._pairs.whole((i, 0))) if (i, 0) in self._pairs.ended else None
        return NonInteracting(self._template[(i, 0)]) if (i, 0) in self._template else None

    def joined(self, ref: Ref) -> Any:
        """See the base class."""
        region = self._pairs.template.get(ref)
        if self.states[ref].interacts or region is None:
            return super().joined(ref)
        return self.regions.in_layout(self._pairs.placed(ref, self.states[ref], ALL, region.length))

    def _is_followed(self, ref: Ref) -> bool:
        return ref in self.states and self.states[ref].position_axis is not None

    def _added(self, i: int, interacting: Sequence[Ref]) -> AffectedRegion:
        """The change of a sum beyond the single ones: the sum of those of its terms."""
        regions = [region for ref in interacting if (region := self.states[ref].region()) is not None]
        together = self.regions.together(regions)
        change = functools.reduce(lambda a, b: a + b, map(self.regions.change, together))
        place = together[0]
        return AffectedRegion((i, 0), place.axis, place.length, place.start, place.width, change)

    def _overlapping(self, i: int, inputs: Sequence[Ref], op: PositionOp) -> Found:
        """The change beyond the single ones of a function of the positions, where the regions overlap."""
        found = self._pairs.overlap((i, 0), self._separation((i, 0)))
        if found is None:
            n_outputs = self.program.graph.nodes[i].n_outputs
            refs = [(i, j) for j in range(n_outputs) if (i, j) in self._pairs.template]
            return {ref: NonInteracting(self._template[ref]) for ref in refs}
        start, width = found
        states: dict[Ref, State] = dict(self.states)
        for ref in inputs:
            if isinstance(op, PoolPositions):
                by_edit = None if start.by_edit is None else start.by_edit * op.stride
                start_in = Offsets(by_edit, start.shared * op.stride - op.before)
                width_in = (width - 1) * op.stride + op.span
                region = self._pairs.placed(ref, self.states[ref], start_in, width_in)
                states[ref] = replace(region, ready=(op, start, width))
            else:
                states[ref] = self._pairs.placed(ref, self.states[ref], start, width)
        return self.with_states(i, op, states)

    def _largest(self, i: int, ref: Ref, op: Largest) -> State | None:
        """A maximum over all positions, which has no simple form for a double mutant."""
        outline, shape = self.states[ref].outline(), self.program.shapes[ref]
        if outline is None or any(shape[a - 1] != 1 for a in op.axes if a != outline.axis):
            return None
        everywhere = self._pairs.placed(ref, self.states[ref], ALL, outline.length)
        self.regions.traffic += outline.length * self.regions.channels(outline)
        largest = self.ops.max(self.regions.value(everywhere), 1)
        return Whole(self.ops.reshape(largest, (-1, *self.program.shapes[(i, 0)])))
