"""Predictions of edited sequences from the windows that edits reach, at a cost that is known beforehand."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.incremental.affected_region import Table
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays, running_maximum
from kipoi_tfbind.graph.incremental.pair_engine import PRODUCTS_PER_ELEMENT, PairProgram, Pairs, empty_table
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.shape_only import WindowCounts
from kipoi_tfbind.graph.incremental.single_edits import IncrementalWalk

# A plan that saves less than this is not worth its overhead; nor is one for a model that runs in no time.
_WORTHWHILE = 2.0
_SMALL = 2_000_000


@dataclass(frozen=True)
class Plan:
    """What predictions of edited sequences cost, one sequence each.

    Attributes
    ----------
    width
        Positions from the first edited one to the last.
    naive_products, products
        Multiply-accumulates of a forward pass, and of an incremental one.
    naive_elements, elements
        Elements that the two pass through memory.
    largest
        Elements of the largest window.
    table_elements
        Elements that are kept of each unedited sequence.
    spans
        Whether it has arrays whose size depends on where the edits are.
    whole_from
        The layer where the windows end, if they do so before the positions do; "" otherwise.
    """

    width: int
    naive_products: int
    products: int
    naive_elements: int
    elements: int
    largest: int
    table_elements: int
    spans: bool = False
    whole_from: str = ""

    @property
    def naive_work(self) -> int:
        """The cost of a forward pass, in multiply-accumulates."""
        return self.naive_products + PRODUCTS_PER_ELEMENT * self.naive_elements

    @property
    def work(self) -> int:
        """The cost of an incremental one."""
        return self.products + PRODUCTS_PER_ELEMENT * self.elements

    def worthwhile(self, per_sequence: float) -> bool:
        """Whether the incremental path is to be taken, for so many edits of each sequence.

        It does not depend on the number of sequences, so that a result is the same in pieces and whole.
        """
        incremental = self.work + 2 * self.naive_work / max(per_sequence, 1)
        return self.saves(incremental, _WORTHWHILE)

    def saves(self, work: float, times: float) -> bool:
        """Whether a forward pass is so many times this work, of a model that does not run in no time."""
        return self.naive_work >= max(times * work, _SMALL)


class Incremental(ABC):
    """Predictions of edited sequences, in one framework.

    Parameters
    ----------
    program
        The model.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._plans: dict[int, tuple[Plan, list[Table]]] = {}

    def plan(self, width: int) -> Plan:
        """What edits of so many positions beside each other cost."""
        return self._planned(width)[0]

    @abstractmethod
    def references(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """What edits of `width` positions look up of some sequences: their inputs, and their base codes."""

    @abstractmethod
    def predict(self, references: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """Predictions (edit, target).

        Parameters
        ----------
        references
            Of some sequences and the width of these edits.
        sequence, first
            Which sequence each edit is of, and where it starts.
        codes
            Base codes (edit, position), 4 for N.
        """

    @abstractmethod
    def pairs(self, inputs: Sequence[NDArray], codes: NDArray, first: NDArray, new: NDArray) -> Pairs:
        """What predicts pairs of edits of one sequence.

        Parameters
        ----------
        inputs, codes
            Of the sequence, as for `references`.
        first
            The position of each edit.
        new
            The code of its new base.
        """

    @cached_property
    def pair_program(self) -> PairProgram:
        """What pairs look up."""
        return PairProgram.of(self.program)

    def _planned(self, width: int) -> tuple[Plan, list[Table]]:
        if width not in self._plans:
            self._plans[width] = self._plan(width)
        return self._plans[width]

    def _plan(self, width: int) -> tuple[Plan, list[Table]]:
        tables: dict[Table, None] = {}
        program = self.program

        def table(wanted: Table) -> Any:
            tables[wanted] = None
            return empty_table(program, wanted)

        nothing = np.empty(0, np.int64)
        walk = IncrementalWalk(
            WindowCounts(),
            program,
            table,
            sequence=nothing,
            first=nothing,
            codes=np.empty((0, width), np.int64),
        )
        walk.outputs()
        plan = Plan(
            width,
            sum(program.products(i) for i in program.steps),
            walk.windows.products,
            sum(program.elements(i) for i in program.steps),
            walk.windows.elements,
            walk.windows.largest,
            sum(math.prod(program.shapes[table.ref]) for table in tables),
            walk.spans,
            walk.ended_at,
        )
        return plan, list(tables)


def make_table(arrays: WindowArrays, program: Program, table: Table, value: Any) -> Any:
    """What is looked up of a value of some sequences, in the framework's layout."""
    if table.how == "whole" or table.axis == 0:
        return value
    length = program.shapes[table.ref][table.axis - 1]
    rows = arrays.from_layout(value, table.axis, length)
    if table.how != "rows":
        rows = running_maximum(arrays, rows, length, backward=table.how == "after")
    return arrays.flat(rows)
