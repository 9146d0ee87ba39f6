"""Predictions of double mutants from the changes that each edit makes by itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.cached import Cached, empty_cached
from kipoi_tfbind.graph.incremental.pair_propagation import PairPropagation, PairRegions, SingleChange
from kipoi_tfbind.graph.incremental.plan import MACS_PER_ELEMENT
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.propagation import Propagation, propagate_edits
from kipoi_tfbind.graph.incremental.regions import RunNode
from kipoi_tfbind.graph.incremental.shape_only import ShapeOnlyOps, run_shapes
from kipoi_tfbind.graph.incremental.states import State
from kipoi_tfbind.graph.operations import size_of

# How far the regions of each value start from each other, at least: values and distances.
Separation = tuple[tuple[Ref, int], ...]


@dataclass(frozen=True)
class PairProgram:
    """A model for double mutants: the cached activations and single changes that they are made of.

    Attributes
    ----------
    template
        State of each value of a single edit, without arrays.
    ended
        The values where the regions of a single edit end in a sum.
    cached
        The cached activations of the sequence.
    singles
        The changes of single edits that are looked up.
    own
        The cached activations for these changes. The three lists grow where edits that are farther from each
        other look up something else.
    """

    program: Program = field(repr=False)
    template: Mapping[Ref, State] = field(repr=False)
    ended: frozenset[Ref] = field(repr=False)
    cached: list[Cached] = field(repr=False)
    singles: list[Cached] = field(repr=False)
    own: list[Cached] = field(repr=False)
    _costs: dict[Separation, tuple[int, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, program: Program) -> PairProgram:
        """Find out for a model."""
        found = cls(program, {}, frozenset(), [], [], [])
        single = found._single()
        states = {ref: state for ref, state in single.states.items() if state.position_axis is not None}
        found = replace(found, template=states, ended=frozenset(single.regions.ends))
        found.cost(())
        return found

    @property
    def size(self) -> tuple[int, int, int]:
        """How much is looked up."""
        return len(self.cached), len(self.singles), len(self.own)

    def cost(self, separation: Separation) -> tuple[int, int]:
        """Multiply-accumulates of one double mutant, and elements that pass through memory."""
        if separation not in self._costs:
            self._costs[separation] = self._count(separation)
            single_changes(self._single(), self.singles)
        return self._costs[separation]

    @cached_property
    def typical_work(self) -> float:
        """The cost of double mutants, between neighbouring edits and those that never interact."""
        far = []
        for ref, state in self.template.items():
            region = state.outline()
            if region is not None and region.start.by_edit is not None:
                far.append((ref, region.width))
        costs = [self.cost(()), self.cost(tuple(far))]
        return sum(macs + MACS_PER_ELEMENT * traffic for macs, traffic in costs) / 2

    @cached_property
    def typical_elements(self) -> int:
        """Elements that pass through memory for a double mutant of neighbouring edits."""
        return self.cost(())[1]

    def prepared_elements(self, n_edits: int) -> int:
        """Elements that are looked up: cached activations, and the changes that each single edit makes."""
        shapes = self.program.shapes
        cached = sum(math.prod(shapes[key.ref]) for key in {*self.cached, *self.own})
        changes = 0
        for key in self.singles:
            outline = self.template[key.ref].outline() if key.ref in self.template else None
            size = size_of(shapes[key.ref])
            if key.form == "rows" and outline is not None:
                size = size * outline.width // max(outline.length, 1)
            changes += 0 if key.form == "starts" else size
        return cached + n_edits * changes

    def propagation(
        self,
        ops: ArrayOps,
        run: RunNode,
        cached: Callable[[Cached], Any],
        single: Callable[[Cached], SingleChange],
        edits: tuple[Any, Any],
        separation: Separation,
    ) -> PairPropagation:
        """The propagation of double mutants, of which `edits` gives the numbers of both edits."""
        regions = PairRegions(
            ops,
            run,
            self.program,
            cached,
            single,
            first=edits[0],
            second=edits[1],
            template=self.template,
            ended=self.ended,
        )
        return PairPropagation(regions, self.template, lambda ref: dict(separation).get(ref, 0))

    def separation(self, starts: Mapping[Ref, NDArray], first: NDArray, second: NDArray) -> Separation:
        """How far from each other the regions of double mutants start, no farther than their widths.

        Parameters
        ----------
        starts
            Where the region of each value starts (edit).
        first, second
            Which edits they are made of.
        """
        found = []
        for ref, positions in starts.items():
            outline = self.template[ref].outline()
            distance = int(np.abs(positions[first] - positions[second]).min())
            found.append((ref, distance if outline is None else min(distance, outline.width)))
        return tuple(found)

    def _single(self) -> Propagation:
        """The propagation of no single edits, which tells what they look up."""
        own = dict.fromkeys(self.own)

        def cached(wanted: Cached) -> Any:
            if wanted not in own:
                own[wanted] = None
                self.own.append(wanted)
            return empty_cached(self.program, wanted)

        nothing = np.empty(0, np.int64)
        return propagate_edits(
            ShapeOnlyOps(),
            run_shapes,
            self.program,
            cached,
            sequence=nothing,
            first=nothing,
            codes=np.empty((0, 1), np.int64),
        )

    def _count(self, separation: Separation) -> tuple[int, int]:
        wanted, singles = dict.fromkeys(self.cached), dict.fromkeys(self.singles)

        def cached(key: Cached) -> Any:
            wanted[key] = None
            return empty_cached(self.program, key)

        def single(key: Cached) -> SingleChange:
            singles[key] = None
            return SingleChange(empty_cached(self.program, key), np.empty(0, np.int64))

        nothing = np.empty(0, np.int64)
        found = self.propagation(ShapeOnlyOps(), run_shapes, cached, single, (nothing, nothing), separation)
        found.outputs()
        self.cached[:], self.singles[:] = wanted, singles
        return found.regions.macs, found.regions.traffic


class Pairs(ABC):
    """Double mutants of one sequence: pairs of edits, each of which changes one position.

    Parameters
    ----------
    program
        The model, with the activations and changes that are looked up.

    Attributes
    ----------
    starts
        Where the region of each value starts (edit), of those that do not start alike for all edits.
    """

    def __init__(self, program: PairProgram) -> None:
        self.program = program
        self._prepared_for = program.size
        self.starts: Mapping[Ref, NDArray] = self.prepare()
        self._separation: Separation = ()

    @abstractmethod
    def prepare(self) -> dict[Ref, NDArray]:
        """Compute what the program looks up, and return `starts`."""

    @abstractmethod
    def predict_prepared(self, first: NDArray, second: NDArray, separation: Separation) -> NDArray:
        """Predictions of pairs from what has been prepared."""

    def measure(self, first: NDArray, second: NDArray) -> int:
        """See how far from each other the regions of these pairs start, for `predict`; what one costs."""
        self._separation = self.program.separation(self.starts, first, second)
        macs, traffic = self.program.cost(self._separation)
        if self._prepared_for != self.program.size:
            self._prepared_for = self.program.size
            self.starts = self.prepare()
        return macs + MACS_PER_ELEMENT * traffic

    def predict(self, first: NDArray, second: NDArray) -> NDArray:
        """Predictions (pair, target) of some of the pairs that were measured."""
        return self.predict_prepared(first, second, self._separation)


def joined_changes(
    ops: ArrayOps, wanted: list[Cached], parts: list[list[tuple[Any, Any]]]
) -> tuple[dict[Cached, SingleChange], dict[Ref, Any]]:
    """Changes of all single edits from those of some at a time, and where their regions start."""
    singles, starts = {}, {}
    for k, cached in enumerate(wanted):
        changes = ops.concat([part[k][0] for part in parts], 0)
        at_each = None if parts[0][k][1] is None else ops.concat([part[k][1] for part in parts], 0)
        if cached.form == "rows":
            rows = ops.flat(changes)
            changes = ops.concat([ops.zeros_like(rows[:1]), rows], 0)
        if cached.form == "starts" and at_each is not None:
            starts[cached.ref] = at_each
        singles[cached] = SingleChange(changes, at_each)
    return singles, starts


def single_changes(propagation: Propagation, wanted: list[Cached]) -> list[tuple[Any, Any]]:
    """Changes of single edits, and where their regions start; None if all alike."""
    found = []
    for cached in wanted:
        region = propagation.states[cached.ref].region()
        if region is None:
            found.append((propagation.regions.ends[cached.ref], None))
            continue
        starts = None if region.start.by_edit is None else region.start.first()
        # Of the starts alone the changes are not looked at.
        change = (
            propagation.ops.span(propagation.regions.sequence, 0)
            if cached.form == "starts"
            else propagation.regions.change(region)
        )
        found.append((change, starts))
    return found
