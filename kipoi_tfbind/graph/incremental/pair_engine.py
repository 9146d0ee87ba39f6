"""Predictions of pairs of edits from the changes that each edit makes by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.affected_region import Table, Window
from kipoi_tfbind.graph.incremental.pair_propagation import PairWalk, PairWindows, Single
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.shape_only import WindowCounts
from kipoi_tfbind.graph.incremental.single_edits import IncrementalWalk, Walk

# Passing an element through memory takes about as long as this many multiply-accumulates.
PRODUCTS_PER_ELEMENT = 12

# How far the windows of each value start from each other, at least: values and distances.
Apart = tuple[tuple[Ref, int], ...]


@dataclass(frozen=True)
class PairProgram:
    """What pairs of edits of one position look up.

    Attributes
    ----------
    template
        What is known of each value of a single edit: windows without arrays.
    ends
        The values where the windows of a single edit end in a sum.
    tables
        What is looked up of the sequence.
    singles
        What is looked up of the changes that single edits make.
    own
        What is looked up of the sequence for these changes. The three lists grow where pairs that are
        farther apart look up something else.
    """

    program: Program = field(repr=False)
    template: Mapping[Ref, Any] = field(repr=False)
    ends: frozenset[Ref] = field(repr=False)
    tables: list[Table] = field(repr=False)
    singles: list[Table] = field(repr=False)
    own: list[Table] = field(repr=False)
    _costs: dict[Apart, tuple[int, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, program: Program) -> PairProgram:
        """Find out for a model."""
        found = cls(program, {}, frozenset(), [], [], [])
        walk = found._single()
        states = {ref: state for ref, state in walk.state.items() if hasattr(state, "axis")}
        found = replace(found, template=states, ends=frozenset(walk.ends))
        found.cost(())
        return found

    @property
    def size(self) -> tuple[int, int, int]:
        """How much is looked up."""
        return len(self.tables), len(self.singles), len(self.own)

    def cost(self, apart: Apart) -> tuple[int, int]:
        """Multiply-accumulates of one pair, and elements that pass through memory."""
        if apart not in self._costs:
            self._costs[apart] = self._count(dict(apart))
            single_changes(self._single(), self.singles)
        return self._costs[apart]

    @cached_property
    def typical_work(self) -> float:
        """The cost of pairs, between those that are next to each other and those that never meet."""
        windows = {ref: state for ref, state in self.template.items() if isinstance(state, Window)}
        far = tuple((ref, window.width) for ref, window in windows.items() if window.start.places is not None)
        costs = [self.cost(()), self.cost(far)]
        return sum(products + PRODUCTS_PER_ELEMENT * elements for products, elements in costs) / 2

    def _single(self) -> IncrementalWalk:
        """The walk of no single edits, which tells what they look up."""
        own = dict.fromkeys(self.own)

        def table(wanted: Table) -> Any:
            if wanted not in own:
                own[wanted] = None
                self.own.append(wanted)
            return empty_table(self.program, wanted)

        nothing = np.empty(0, np.int64)
        return IncrementalWalk(
            WindowCounts(),
            self.program,
            table,
            sequence=nothing,
            first=nothing,
            codes=np.empty((0, 1), np.int64),
        )

    def _count(self, apart: Mapping[Ref, int]) -> tuple[int, int]:
        tables, singles = dict.fromkeys(self.tables), dict.fromkeys(self.singles)

        def table(wanted: Table) -> Any:
            tables[wanted] = None
            return empty_table(self.program, wanted)

        def single(wanted: Table) -> Single:
            singles[wanted] = None
            return Single(empty_table(self.program, wanted), np.empty(0, np.int64))

        nothing = np.empty(0, np.int64)
        windows = PairWindows(
            WindowCounts(),
            self.program,
            table,
            single,
            first=nothing,
            second=nothing,
            template=self.template,
            ends=self.ends,
        )
        PairWalk(windows, lambda ref: apart.get(ref, 0)).outputs()
        self.tables[:], self.singles[:] = tables, singles
        return windows.products, windows.elements

    def apart(self, starts: Mapping[Ref, NDArray], first: NDArray, second: NDArray) -> Apart:
        """How far apart the windows of pairs start, no farther than their widths.

        Parameters
        ----------
        starts
            Where the window of each value starts (edit).
        first, second
            Which edits the pairs are of.
        """
        found = []
        for ref, places in starts.items():
            distance = int(np.abs(places[first] - places[second]).min())
            found.append((ref, min(distance, self.template[ref].width)))
        return tuple(found)


def empty_table(program: Program, table: Table) -> NDArray:
    """An array of no rows that has the shape of a table."""
    shape = tuple(max(size, 0) for size in program.shapes[table.ref])
    if table.how == "codes":
        return np.empty(0, np.int64)
    if table.how == "whole" or table.axis == 0:
        return np.empty((0, *shape), np.float32)
    return np.empty((0, *shape[: table.axis - 1], *shape[table.axis :]), np.float32)


class Pairs(ABC):
    """Pairs of the edits of one sequence, each of which changes one position.

    Parameters
    ----------
    program
        What is looked up.

    Attributes
    ----------
    starts
        Where the window of each value starts (edit), of those that do not start alike for all edits.
    """

    def __init__(self, program: PairProgram) -> None:
        self.program = program
        self._prepared_for = program.size
        self.starts: Mapping[Ref, NDArray] = self.prepare()
        self._apart: Apart = ()

    @abstractmethod
    def prepare(self) -> dict[Ref, NDArray]:
        """Compute what the program looks up, and return `starts`."""

    @abstractmethod
    def predict_prepared(self, first: NDArray, second: NDArray, apart: Apart) -> NDArray:
        """Predictions of pairs from what has been prepared."""

    def measure(self, first: NDArray, second: NDArray) -> int:
        """See how far apart the windows of these pairs start, for `predict`; what one of them costs."""
        self._apart = self.program.apart(self.starts, first, second)
        products, elements = self.program.cost(self._apart)
        if self._prepared_for != self.program.size:
            self._prepared_for = self.program.size
            self.starts = self.prepare()
        return products + PRODUCTS_PER_ELEMENT * elements

    def predict(self, first: NDArray, second: NDArray) -> NDArray:
        """Predictions (pair, target) of some of the pairs that were measured."""
        return self.predict_prepared(first, second, self._apart)


def single_changes(walk: Walk, tables: list[Table]) -> list[tuple[Any, Any]]:
    """What pairs look up of a walk for single edits: changes, and where windows start; None if all alike."""
    found = []
    for table in tables:
        state = walk.state[table.ref]
        if not isinstance(state, Window):
            found.append((walk.ends[table.ref], None))
            continue
        starts = None if state.start.places is None else state.start.at()
        # Of the starts alone the changes are not looked at.
        change = (
            walk.arrays.span(walk.windows.sequence, 0)
            if table.how == "starts"
            else walk.windows.change(state)
        )
        found.append((change, starts))
    return found
