"""Double mutants in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.pair_engine import PairProgram, Pairs, Separation
from kipoi_tfbind.graph.incremental.pair_propagation import SingleChange
from kipoi_tfbind.graph.incremental.regions import RunNode
from kipoi_tfbind.graph.torch.ops import TorchOps

# What is looked up of single edits, some edits at a time: changes, and where regions start.
Parts = list[list[tuple[Any, Any]]]


class TorchPairs(Pairs):
    """Double mutants of one sequence.

    Parameters
    ----------
    program
        What is looked up.
    ops
        PyTorch's arrays.
    run
        Number of double mutants -> what runs a node on arrays of so many.
    look_up
        Gives the cached activations of the sequence.
    follow
        Gives what is looked up of single edits.
    """

    def __init__(
        self,
        program: PairProgram,
        ops: TorchOps,
        run: Callable[[int], RunNode],
        look_up: Callable[[list[Cached]], list[torch.Tensor]],
        follow: Callable[[], Parts],
    ) -> None:
        self._ops, self._run, self._look_up, self._follow = ops, run, look_up, follow
        super().__init__(program)

    def prepare(self) -> dict[Ref, NDArray]:
        """See the base class."""
        program = self.program
        self._cached = dict(zip(program.cached, self._look_up(program.cached), strict=True))
        self._singles: dict[Cached, SingleChange] = {}
        parts = self._follow()
        starts: dict[Ref, NDArray] = {}
        for k, cached in enumerate(program.singles):
            changes = torch.cat([part[k][0] for part in parts])
            at_each = None if parts[0][k][1] is None else torch.cat([part[k][1] for part in parts])
            if cached.form == "rows":
                rows = changes.reshape(-1, *changes.shape[2:])
                changes = torch.cat([torch.zeros_like(rows[:1]), rows])
            if cached.form == "starts" and at_each is not None:
                starts[cached.ref] = at_each.cpu().numpy()
            self._singles[cached] = SingleChange(changes, at_each)
        return starts

    def predict_prepared(self, first: NDArray, second: NDArray, separation: Separation) -> NDArray:
        """See the base class."""
        with torch.no_grad():
            propagation = self.program.propagation(
                self._ops,
                self._run(len(first)),
                self._cached.__getitem__,
                self._singles.__getitem__,
                (self._ops.indices(first), self._ops.indices(second)),
                separation,
            )
            return propagation.outputs().cpu().numpy()
