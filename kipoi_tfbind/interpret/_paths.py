"""The path of edited sequences, chosen once: from the region that an edit affects, or each as a whole.

Both give the same numbers. Where the model's graph is known, only the affected region is computed
(`kipoi_tfbind.graph.incremental`), if that is expected to be faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.incremental.plan import SHARING_SETUP, Plan
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.memory import memory_budget
from kipoi_tfbind.models.evaluator import EditEngine
from kipoi_tfbind.models.sequence_model import SequenceModel

Path = Literal["auto", "incremental", "full"]
Settings = Mapping[str, str | int]

# A pair must save this much of a forward pass to be worth the engine's overhead.
_WORTHWHILE_PAIR = 1.5


@dataclass(frozen=True)
class Incremental:
    """The incremental path of edits of one width.

    Attributes
    ----------
    engine
        Predicts the edits.
    plan
        Cost of one of them.
    """

    engine: EditEngine
    plan: Plan

    @property
    def settings(self) -> Settings:
        """Attributes of a result."""
        return {
            "path": "incremental",
            "multiply_accumulates": self.plan.macs,
            "multiply_accumulates_of_full": self.plan.full_macs,
        }


class EditPath:
    """How one model's edits are predicted; chosen once for each width of them, and remembered.

    Parameters
    ----------
    model
        The model; no ensemble.
    batch
        Sequences like those that are edited.
    path
        "incremental" or "full"; "auto" for the one that is expected to be faster.

    Raises
    ------
    InputError
        `path` is none of these, or "incremental" for a model that cannot be traced.
    """

    def __init__(self, model: SequenceModel, batch: Batch, path: Path = "auto") -> None:
        self.model = model
        self._path = check_path(path)
        self._engine = self._ask_for_engine(batch)
        self._taken: dict[tuple[int, float], Incremental | None] = {}
        self._pairs: list[str] = []

    def of(self, width: int, per_sequence: float, sharing: int = SHARING_SETUP) -> Incremental | None:
        """Path of edits of a width; None for each edited sequence as a whole.

        Parameters
        ----------
        width
            Positions from an edit's first to its last.
        per_sequence
            Number of edits of each sequence.
        sharing
            Number of sequences that share the setup.
        """
        key = width, per_sequence
        if key not in self._taken:
            self._taken[key] = self._choose(width, per_sequence, sharing)
        return self._taken[key]

    def of_pairs(self, n_edits: int, n_pairs: int) -> EditEngine | None:
        """Engine of pairs of substitutions; None for each double mutant as a whole.

        Parameters
        ----------
        n_edits
            Number of single substitutions of each sequence.
        n_pairs
            Number of its double mutants.
        """
        engine = self._engine
        if engine is not None and self._path == "auto":
            plan, cost = engine.plan(1), engine.pair_cost(n_edits)
            fits = cost.prepared_bytes + cost.bytes_each <= memory_budget()
            work = cost.work + plan.overhead() / max(n_pairs, 1)
            engine = engine if fits and plan.saves(work, _WORTHWHILE_PAIR) else None
        self._pairs = ["full" if engine is None else "incremental"]
        return engine

    @property
    def settings(self) -> Settings:
        """Attributes of a result: the path that was taken, "mixed" where widths differ, and its cost.

        Where pairs were asked for, it is theirs.
        """
        if self._pairs:
            return {"path": self._pairs[0]}
        return merged([{"path": "full"} if way is None else way.settings for way in self._taken.values()])

    def _choose(self, width: int, per_sequence: float, sharing: int) -> Incremental | None:
        if self._engine is None:
            return None
        plan = self._engine.plan(width)
        fits = plan.fits(memory_budget())
        if self._path == "auto" and not (fits and plan.worthwhile(per_sequence, sharing)):
            return None
        return Incremental(self._engine, plan)

    def _ask_for_engine(self, batch: Batch) -> EditEngine | None:
        if self._path == "full" or not len(batch):
            return None
        one = batch.rows(np.array([0]))
        engine = self.model.edits(one.one_hot, one.auxiliary)
        if engine is None and self._path == "incremental":
            raise InputError(
                f"path: model {self.model.name} gives predictions only, and cannot be followed step by step; "
                f"use 'auto' or 'full'"
            )
        return engine


class Paths:
    """The paths of a model and of an ensemble's members in one call of a method.

    Parameters
    ----------
    path
        As of `EditPath`.

    Raises
    ------
    InputError
        `path` is none.
    """

    def __init__(self, path: Path = "auto") -> None:
        self._path = check_path(path)
        self._members: dict[int, EditPath] = {}

    def of(self, model: SequenceModel, batch: Batch) -> EditPath:
        """Path of one member, the same at every call."""
        # The path holds its model, so that no other has this identity.
        if id(model) not in self._members:
            self._members[id(model)] = EditPath(model, batch, self._path)
        return self._members[id(model)]

    def settings(self) -> Settings:
        """Attributes of the result, when all is computed; "mixed" where members or widths differ."""
        return merged([member.settings for member in self._members.values()])


def merged(settings: list[Settings]) -> Settings:
    """Attributes of several predictions as those of one: what all agree in; "mixed" for different paths.

    Examples
    --------
    >>> merged([{"path": "incremental", "multiply_accumulates": 5}, {"path": "full"}])
    {'path': 'mixed'}
    >>> merged([{"path": "incremental", "multiply_accumulates": 5}, {"path": "incremental"}])
    {'path': 'incremental'}
    """
    if not settings:
        return {"path": "full"}
    paths = {each["path"] for each in settings}
    path = paths.pop() if len(paths) == 1 else "mixed"
    first = settings[0]
    agreed = {name: value for name, value in first.items() if all(s.get(name) == value for s in settings)}
    return {"path": path} | (agreed if path != "mixed" else {})


def check_path(path: Path) -> Path:
    """Check that a path is one of the names.

    Raises
    ------
    InputError
        It is not.
    """
    if path not in get_args(Path):
        raise InputError(f"path: expected {', '.join(get_args(Path))}, got {path!r}")
    return path
