"""Predictions of edited sequences from the regions that edits affect, at a cost that is known beforehand."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.incremental.cached import Cached, empty_cached
from kipoi_tfbind.graph.incremental.pair_engine import PairProgram, Pairs
from kipoi_tfbind.graph.incremental.plan import PairCost, Plan
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.propagation import propagate_edits
from kipoi_tfbind.graph.incremental.shape_only import ShapeOnlyOps, run_shapes


class Incremental(ABC):
    """Predictions of edited sequences, in one framework.

    Parameters
    ----------
    program
        The model.
    """

    # What a step costs before its first run, in multiply-accumulates: tracing and compiling it.
    setup_work_per_step = 0

    def __init__(self, program: Program) -> None:
        self.program = program
        self._plans: dict[int, tuple[Plan, list[Cached]]] = {}

    def plan(self, width: int) -> Plan:
        """Cost of edits of so many positions beside each other."""
        return self._planned(width)[0]

    @abstractmethod
    def cached_activations(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """Cached activations of some sequences, from their inputs and base codes, for edits of `width`."""

    @abstractmethod
    def predict_both(
        self,
        inputs: Sequence[NDArray],
        codes: NDArray,
        sequence: NDArray,
        first: NDArray,
        new_codes: NDArray,
    ) -> tuple[NDArray, NDArray]:
        """Predictions (sequence, target) of sequences and (edit, target) of edits of them, of one pass.

        Parameters
        ----------
        inputs, codes
            Of the sequences, as for `cached_activations`.
        sequence, first, new_codes
            Of the edits, as for `predict`.
        """

    @abstractmethod
    def predict(self, cached: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """Predictions (edit, target).

        Parameters
        ----------
        cached
            Activations of some sequences and the width of these edits.
        sequence, first
            Which sequence each edit is of, and where it starts.
        codes
            Base codes (edit, position), 4 for N.
        """

    @abstractmethod
    def pairs(self, inputs: Sequence[NDArray], codes: NDArray, first: NDArray, new: NDArray) -> Pairs:
        """Predictions of double mutants of one sequence.

        Parameters
        ----------
        inputs, codes
            Of the sequence, as for `cached_activations`.
        first
            The position of each edit.
        new
            The code of its new base.
        """

    def pair_cost(self, n_edits: int) -> PairCost:
        """Cost of the double mutants of so many single edits of a sequence."""
        program, plan = self.pair_program, self.plan(1)
        # The changes of the single edits are computed some at a time, and kept.
        return PairCost(
            program.typical_work,
            program.prepared_elements(n_edits) * plan.itemsize + plan.bytes_each,
            program.typical_elements * plan.itemsize,
        )

    @cached_property
    def pair_program(self) -> PairProgram:
        """The model for double mutants."""
        return PairProgram.of(self.program)

    def _planned(self, width: int) -> tuple[Plan, list[Cached]]:
        if width not in self._plans:
            self._plans[width] = self._plan(width)
        return self._plans[width]

    def _plan(self, width: int) -> tuple[Plan, list[Cached]]:
        """The shape-only pass."""
        wanted: dict[Cached, None] = {}
        program = self.program

        def cached(key: Cached) -> Any:
            wanted[key] = None
            return empty_cached(program, key)

        nothing = np.empty(0, np.int64)
        propagation = propagate_edits(
            ShapeOnlyOps(),
            run_shapes,
            program,
            cached,
            sequence=nothing,
            first=nothing,
            codes=np.empty((0, width), np.int64),
        )
        propagation.outputs()
        regions = propagation.regions
        plan = Plan(
            width,
            sum(map(program.macs, program.steps)),
            regions.macs,
            sum(map(program.traffic, program.steps)),
            regions.traffic,
            regions.largest,
            sum(math.prod(program.shapes[key.ref]) for key in wanted),
            regions.spans,
            propagation.ended_at,
            self.setup_work_per_step * len(program.steps),
            self.program.base_encodings.dtype.itemsize,
        )
        return plan, list(wanted)
