"""Predictions for both alleles of changes of the genome, each (change, window) pair once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, one_hot_codes
from kipoi_tfbind.edit_engine import EditEngine
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import Changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import (
    Anchors,
    alternative_windows,
    check_anchors,
    fill_offsets,
    reference_windows,
)
from kipoi_tfbind.interpret._batches import check_batch_size
from kipoi_tfbind.interpret._edits import Path
from kipoi_tfbind.models.sequence_model import SequenceModel

# Substitutions that span at most so many bases are predicted from what they change, where that is faster.
_WIDTHS = (1, 2, 4, 8, 16)
# So much less work must an edit be than a whole prediction: one more pass over the reference is not for free.
_WORTHWHILE = 4
_SMALLEST_BATCH = 16


class AllelePredictions(NamedTuple):
    """What a model predicts for both alleles of some changes.

    Attributes
    ----------
    ref, alt
        Mean output (change, target) over the windows, and over the members of an ensemble.
    window_spread
        Largest difference of one window's alt - ref from the mean (change, target), over the shifts of a
        change and the ways to fill the window of an indel: where the mean is larger, every window has its
        sign; 0 where there is one window.
    member_sd
        Standard deviation of alt - ref (change, target) over the members of an ensemble; 0 of one model.
    agreeing
        Number of members (change, target) whose alt - ref has the sign of the mean.
    contains_n
        Whether one of a change's windows has an N, or another ambiguity code of the genome, in it.
    """

    ref: NDArray[np.float64]
    alt: NDArray[np.float64]
    window_spread: NDArray[np.float64]
    member_sd: NDArray[np.float64]
    agreeing: NDArray[np.int64]
    contains_n: NDArray[np.bool_]

    def rows(self, index: NDArray[np.intp]) -> AllelePredictions:
        """Those of some of the changes."""
        return AllelePredictions(
            self.ref[index],
            self.alt[index],
            self.window_spread[index],
            self.member_sd[index],
            self.agreeing[index],
            self.contains_n[index],
        )


@dataclass
class AlleleScorer:
    """Predicts both alleles of changes.

    Attributes
    ----------
    model
        The model; an ensemble is asked member by member.
    genome
        The FASTA.
    length
        Length of the windows.
    anchors
        Which flank of an indel stays where it is.
    shifts
        Windows are also moved by 1 to this number of bases to either side, and everything is averaged.
    path
        "incremental": substitutions are predicted from what they change; "full": each window as a whole;
        "auto": what is expected to be faster.
    batch_size
        Windows that the model is given at once.

    Raises
    ------
    InputError
        An option is not one of those above, or the model needs inputs beside the sequence.
    """

    model: SequenceModel
    genome: Genome
    length: int
    anchors: Anchors = "both"
    shifts: int = 0
    path: Path = "auto"
    batch_size: int = 128
    _engines: dict[tuple[int, int], EditEngine | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)
        check_anchors(self.anchors)
        if self.shifts < 0:
            raise InputError(f"shifts: expected a number of bases from 0 on, got {self.shifts}")
        if self.path not in ("auto", "incremental", "full"):
            raise InputError(f"path: expected auto, incremental, full, got {self.path!r}")
        if self.model.auxiliary:
            raise InputError(
                f"model {self.model.name}: has inputs beside the sequence "
                f"({', '.join(self.model.auxiliary)}); give values for all: auxiliary={{...}} (--auxiliary)"
            )

    @property
    def members(self) -> tuple[SequenceModel, ...]:
        """The models that are asked."""
        return self.model.members or (self.model,)

    def predict(self, changes: Changes) -> AllelePredictions:
        """Predict both alleles of changes that have no reason not to be scored."""
        first, inverse = _distinct(changes)
        found = self._predict_distinct(changes.rows(first))
        return found.rows(inverse)

    def _predict_distinct(self, changes: Changes) -> AllelePredictions:
        n, targets = len(changes), len(self.model.target_names)
        ref, alt, window_spread = (np.zeros((n, targets)) for _ in range(3))
        contains_n = np.zeros(n, dtype=bool)
        effects = []
        for number, member in enumerate(self.members):
            sums = _Sums(n, targets)
            for shift in range(-self.shifts, self.shifts + 1):
                self._add_windows(sums, number, member, changes, changes.window_starts(self.length) + shift)
            contains_n |= sums.contains_n
            ref += sums.ref / sums.n
            alt += sums.alt / sums.n
            effects.append(sums.effect / sums.n)
            window_spread += sums.spread()
        m = len(effects)
        effect = np.mean(effects, axis=0)
        agreeing = sum((np.sign(each) == np.sign(effect)).astype(np.int64) for each in effects)
        spread = np.std(effects, axis=0)
        return AllelePredictions(
            ref / m, alt / m, window_spread / m, spread, np.asarray(agreeing), contains_n
        )

    def _add_windows(
        self,
        sums: _Sums,
        number: int,
        member: SequenceModel,
        changes: Changes,
        starts: NDArray[np.int64],
    ) -> None:
        """Predict one window of each change, or, of an indel, all fills of it."""
        codes = reference_windows(self.genome, changes, starts, self.length)
        sums.contains_n |= (codes == N_CODE).any(axis=1)
        edited = self._edited(number, member, changes)
        key = changes.contig.astype(np.int64) << 40 | starts + self.length
        # Windows of edits and of whole predictions are never mixed: each pair is predicted in one way.
        for rows, predict in (
            (np.flatnonzero(edited), self._by_edits),
            (np.flatnonzero(~edited), self._whole),
        ):
            if not len(rows):
                continue
            _, first, window = np.unique(key[rows], return_index=True, return_inverse=True)
            predict(sums, number, member, changes, starts, rows, codes[rows[first]], window, codes)

    def _edited(self, number: int, member: SequenceModel, changes: Changes) -> NDArray[np.bool_]:
        """Which changes are predicted from what they change."""
        alt_size = np.array([len(alt) for alt in changes.alt], dtype=np.int64).reshape(-1)
        same = (alt_size == changes.ref_size) & (alt_size > 0)
        widths = np.searchsorted(_WIDTHS, alt_size)
        usable = np.array(
            [self._engine(number, member, width) is not None for width in _WIDTHS] + [False], dtype=bool
        )
        return same & usable[widths]

    def _engine(self, number: int, member: SequenceModel, width: int) -> EditEngine | None:
        """What predicts edits of a width; None where whole windows are faster."""
        if self.path == "full" or width >= self.length:
            return None
        if (number, width) not in self._engines:
            example = np.zeros((1, self.length, 4), dtype=np.float32)
            engine = member.edit_engine(example)
            if engine is None and self.path == "incremental":
                raise InputError(
                    f"path: model {member.name} cannot be traced, so that every window is predicted as a "
                    "whole; use 'auto' or 'full'"
                )
            if engine is not None and self.path == "auto":
                plan = engine.plan(width)
                engine = engine if plan.saves(plan.work, _WORTHWHILE) else None
            self._engines[number, width] = engine
        return self._engines[number, width]

    def _by_edits(
        self,
        sums: _Sums,
        number: int,
        member: SequenceModel,
        changes: Changes,
        starts: NDArray[np.int64],
        rows: NDArray[np.intp],
        windows: NDArray[np.uint8],
        window: NDArray[np.intp],
        codes: NDArray[np.uint8],
    ) -> None:
        """Substitutions: the reference window is read once, and only what its edits reach is computed."""
        size = changes.ref_size[rows]
        bucket = np.searchsorted(_WIDTHS, size)
        order = np.lexsort((window, bucket))
        for each in np.unique(bucket):
            width = _WIDTHS[each]
            engine = self._engine(number, member, width)
            chosen = order[bucket[order] == each]
            first = np.minimum((changes.start - starts)[rows[chosen]], self.length - width)
            stretch = _stretches(changes, starts, rows[chosen], first, codes, width)
            for part in _groups(window[chosen], self.batch_size):
                own, place = np.unique(window[chosen[part]], return_inverse=True)
                ref, alt = self._edit_batch(member, engine, windows[own], place, first[part], stretch[part])
                sums.add(rows[chosen[part]], ref, alt)

    def _edit_batch(
        self,
        member: SequenceModel,
        engine: EditEngine | None,
        windows: NDArray[np.uint8],
        place: NDArray[np.intp],
        first: NDArray[np.int64],
        stretch: NDArray[np.uint8],
    ) -> tuple[NDArray, NDArray]:
        """Predictions (edit, target) of the windows of some edits, and of the edits.

        Both come from the engine, so that an edit that changes nothing would have the effect 0.
        """
        if engine is None:
            raise InputError("path: the model has no engine of edits")
        width = stretch.shape[1]
        own = np.minimum(np.arange(_padded(len(windows), self.batch_size)), len(windows) - 1)
        one_hot = one_hot_codes(windows[own])
        references = engine.references(one_hot, {}, width)
        middle = (self.length - width) // 2
        sequence = np.concatenate([np.arange(len(windows)), place])
        at = np.concatenate([np.full(len(windows), middle), first])
        bases = np.concatenate([windows[:, middle : middle + width], stretch])
        found = []
        step = 2 * len(own)
        for begin in range(0, len(sequence), step):
            some = np.minimum(np.arange(begin, begin + step), len(sequence) - 1)
            found.append(engine.predict(references, sequence[some], at[some], bases[some].astype(np.intp)))
        predictions = np.concatenate(found)[: len(sequence), list(member.columns)]
        member.check_finite(predictions, "prediction")
        return predictions[place], predictions[len(windows) :]

    def _whole(
        self,
        sums: _Sums,
        number: int,
        member: SequenceModel,
        changes: Changes,
        starts: NDArray[np.int64],
        rows: NDArray[np.intp],
        windows: NDArray[np.uint8],
        window: NDArray[np.intp],
        codes: NDArray[np.uint8],
    ) -> None:
        """All other changes: both alleles as whole windows."""
        ref = self._predict_codes(member, windows)
        for offsets, chosen in _fills(changes.shift[rows], self.anchors):
            some = changes.rows(rows[chosen])
            alt = alternative_windows(
                self.genome, some, starts[rows[chosen]], self.length, offsets, codes[rows[chosen]]
            )
            sums.contains_n[rows[chosen]] |= (alt == N_CODE).any(axis=1)
            sums.add(rows[chosen], ref[window[chosen]], self._predict_codes(member, alt))

    def _predict_codes(self, member: SequenceModel, codes: NDArray[np.uint8]) -> NDArray:
        found = []
        step = _padded(len(codes), self.batch_size)
        for begin in range(0, len(codes), step):
            some = np.minimum(np.arange(begin, begin + step), len(codes) - 1)
            found.append(member.predict(one_hot_codes(codes[some]))[: len(codes) - begin])
        return np.concatenate(found)


class _Sums:
    """Sums over the windows of each change."""

    def __init__(self, n: int, targets: int) -> None:
        self.n = np.zeros((n, 1))
        self.contains_n = np.zeros(n, dtype=bool)
        self.ref, self.alt, self.effect = (np.zeros((n, targets)) for _ in range(3))
        self.low, self.high = np.full((n, targets), np.inf), np.full((n, targets), -np.inf)

    def spread(self) -> NDArray[np.float64]:
        """Largest difference of one window's alt - ref from the mean."""
        mean = self.effect / self.n
        return np.maximum(self.high - mean, mean - self.low)

    def add(self, rows: NDArray[np.intp], ref: NDArray, alt: NDArray) -> None:
        """Add one window of each of some changes, none of them twice."""
        ref, alt = ref.astype(np.float64), alt.astype(np.float64)
        effect = alt - ref
        self.n[rows] += 1
        self.ref[rows] += ref
        self.alt[rows] += alt
        self.effect[rows] += effect
        self.low[rows] = np.minimum(self.low[rows], effect)
        self.high[rows] = np.maximum(self.high[rows], effect)


def _distinct(changes: Changes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Changes that differ from all before them, and which of these each change is."""
    known: dict[tuple[int, int, int, bytes], int] = {}
    first: list[int] = []
    inverse = np.empty(len(changes), dtype=np.intp)
    columns = changes.contig.tolist(), changes.start.tolist(), changes.ref_size.tolist(), changes.alt
    for i, key in enumerate(zip(*columns, strict=True)):
        place = known.setdefault(key, len(first))
        if place == len(first):
            first.append(i)
        inverse[i] = place
    return np.array(first, dtype=np.intp), inverse


def _fills(
    shift: NDArray[np.int64], anchors: Anchors
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.intp]]]:
    """Offsets at which haplotypes are cut, and the changes that they are of: each change once at a time."""
    offsets = [fill_offsets(each, anchors) for each in shift.tolist()]
    for turn in range(max(map(len, offsets))):
        chosen = np.array([i for i, some in enumerate(offsets) if turn < len(some)], dtype=np.intp)
        yield np.array([offsets[i][turn] for i in chosen], dtype=np.int64), chosen


def _stretches(
    changes: Changes,
    starts: NDArray[np.int64],
    rows: NDArray[np.intp],
    first: NDArray[np.int64],
    codes: NDArray[np.uint8],
    width: int,
) -> NDArray[np.uint8]:
    """Codes (edit, position) of `width` bases from `first` on, with the new ones among them."""
    stretch = codes[rows[:, np.newaxis], first[:, np.newaxis] + np.arange(width)]
    if width == 1:
        new = b"".join([changes.alt[row] for row in rows.tolist()])
        stretch[:, 0] = np.frombuffer(new, dtype=np.uint8)
        return stretch
    for i, row in enumerate(rows.tolist()):
        at = int(changes.start[row] - starts[row] - first[i])
        new_codes = np.frombuffer(changes.alt[row], dtype=np.uint8)
        stretch[i, at : at + len(new_codes)] = new_codes
    return stretch


def _groups(window: NDArray[np.intp], size: int) -> Iterator[slice]:
    """Slices of sorted window numbers that have at most so many windows each."""
    is_new = np.concatenate([[True], np.diff(window) != 0])
    rank = np.cumsum(is_new) - 1
    edges = np.flatnonzero(is_new & (rank % size == 0)).tolist()
    for begin, end in zip(edges, [*edges[1:], len(window)], strict=True):
        yield slice(begin, end)


def _padded(n: int, batch_size: int) -> int:
    """Size of a batch: few sizes, because a compiled model may be compiled anew for each."""
    size = min(_SMALLEST_BATCH, batch_size)
    while size < min(n, batch_size):
        size = min(2 * size, batch_size)
    return size
