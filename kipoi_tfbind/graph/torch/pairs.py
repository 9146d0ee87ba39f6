"""Double mutants in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.pair_engine import PairProgram, Pairs, Separation, joined_changes
from kipoi_tfbind.graph.incremental.regions import RunNode
from kipoi_tfbind.graph.torch.ops import TorchOps

# What is looked up of single edits, some edits at a time: changes, and where regions start.
Parts = list[list[tuple[Any, Any]]]


class TorchPairs(Pairs):
    """Double mutants of one sequence.

    Parameters
    ----------
    program
        The model, with the activations and changes that are looked up.
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
        self._singles, starts = joined_changes(self._ops, program.singles, self._follow())
        return {ref: first.cpu().numpy() for ref, first in starts.items()}

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
