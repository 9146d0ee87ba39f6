"""Pairs of edits in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.affected_region import Table
from kipoi_tfbind.graph.incremental.pair_engine import Apart, PairProgram, Pairs
from kipoi_tfbind.graph.incremental.pair_propagation import PairWalk, PairWindows, Single
from kipoi_tfbind.graph.torch.edit_arrays import TorchWindows

# What is looked up of single edits, some edits at a time: changes, and where windows start.
Parts = list[list[tuple[Any, Any]]]


class TorchPairs(Pairs):
    """Pairs of one sequence's edits.

    Parameters
    ----------
    program
        What is looked up.
    arrays
        Number of pairs -> windows in PyTorch.
    look_up
        Gives what is looked up of the sequence.
    follow
        Gives what is looked up of single edits.
    device
        Where all of this is.
    """

    def __init__(
        self,
        program: PairProgram,
        arrays: Callable[[int], TorchWindows],
        look_up: Callable[[list[Table]], list[torch.Tensor]],
        follow: Callable[[], Parts],
        device: torch.device,
    ) -> None:
        self._arrays, self._look_up, self._follow, self._device = arrays, look_up, follow, device
        super().__init__(program)

    def prepare(self) -> dict[Ref, NDArray]:
        """See the base class."""
        program = self.program
        self._tables = dict(zip(program.tables, self._look_up(program.tables), strict=True))
        self._singles: dict[Table, Single] = {}
        parts = self._follow()
        starts: dict[Ref, NDArray] = {}
        for k, table in enumerate(program.singles):
            changes = torch.cat([part[k][0] for part in parts])
            at_each = None if parts[0][k][1] is None else torch.cat([part[k][1] for part in parts])
            if table.how == "rows":
                rows = changes.reshape(-1, *changes.shape[2:])
                changes = torch.cat([torch.zeros_like(rows[:1]), rows])
            if table.how == "starts" and at_each is not None:
                starts[table.ref] = at_each.cpu().numpy()
            self._singles[table] = Single(changes, at_each)
        return starts

    def predict_prepared(self, first: NDArray, second: NDArray, apart: Apart) -> NDArray:
        """See the base class."""
        places: list[Any] = [
            torch.as_tensor(array.astype(np.int64), device=self._device) for array in (first, second)
        ]
        with torch.no_grad():
            windows = PairWindows(
                self._arrays(len(first)),
                self.program.program,
                self._tables.__getitem__,
                self._singles.__getitem__,
                first=places[0],
                second=places[1],
                template=self.program.template,
                ends=self.program.ends,
            )
            return PairWalk(windows, lambda ref: dict(apart).get(ref, 0)).outputs().cpu().numpy()
