"""Predictions for both alleles of changes of the genome, each (change, window) pair once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import Changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import (
    Anchors,
    alternative_windows,
    check_anchors,
    reference_windows,
)
from kipoi_tfbind.interpret._batches import check_batch_size
from kipoi_tfbind.interpret._paths import Path
from kipoi_tfbind.interpret.variants.grouping import distinct, fills, groups, padded, stretches
from kipoi_tfbind.interpret.variants.predictions import AllelePredictions, WindowSums
from kipoi_tfbind.interpret.variants.profiles import Profile
from kipoi_tfbind.models.evaluator import EditEngine
from kipoi_tfbind.models.sequence_model import SequenceModel

# Substitutions that span at most so many bases are predicted from what they change, where that is faster.
_WIDTHS = (1, 2, 4, 8, 16)
# So much less work must an edit be than a whole prediction: one more pass over the reference is not for free.
_WORTHWHILE = 4


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
    profile_bins
        Number of positions of a profile that the targets are, positions before tracks: the profiles of the
        alleles of an indel are compared base for base. None where the targets are no profile.

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
    profile_bins: int | None = None
    _engines: dict[tuple[int, int], EditEngine | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)
        check_anchors(self.anchors)
        if self.shifts < 0:
            raise InputError(f"shifts: expected a number of bases from 0 on, got {self.shifts}")
        if self.path not in ("auto", "incremental", "full"):
            raise InputError(f"path: expected auto, incremental, full, got {self.path!r}")
        n_targets = len(self.model.target_names)
        bins = self.profile_bins
        self._profile = None if bins is None else Profile(bins, self.length, n_targets)
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
        first, inverse = distinct(changes)
        found = self._predict_distinct(changes.rows(first))
        return found.rows(inverse)

    def _predict_distinct(self, changes: Changes) -> AllelePredictions:
        n, targets = len(changes), len(self.model.target_names)
        ref, alt, window_spread = (np.zeros((n, targets)) for _ in range(3))
        contains_n = np.zeros(n, dtype=bool)
        effects = []
        for number, member in enumerate(self.members):
            sums = WindowSums(n, targets)
            for shift in range(-self.shifts, self.shifts + 1):
                self._add_windows(sums, number, member, changes, changes.window_starts(self.length) + shift)
            contains_n |= sums.contains_n
            with np.errstate(invalid="ignore"):  # where a profile has no base of the other allele
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
        sums: WindowSums,
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
        """Engine of edits of a width; None where whole windows are faster."""
        if self.path == "full" or width >= self.length:
            return None
        if (number, width) not in self._engines:
            example = np.zeros((1, self.length, 4), dtype=np.float32)
            engine = member.edits(example)
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
        sums: WindowSums,
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
            stretch = stretches(changes, starts, rows[chosen], first, codes, width)
            # All batches have as many windows, and edits, after padding: compiled once, and each bit is the
            # same in any company.
            n_windows = padded(len(np.unique(window[chosen])), self.batch_size)
            n_edits = n_windows * max(round(len(chosen) / len(np.unique(window[chosen]))), 1)
            for part in groups(window[chosen], n_windows, n_edits):
                own, place = np.unique(window[chosen[part]], return_inverse=True)
                filled = np.minimum(np.arange(n_windows), len(own) - 1)
                batch = windows[own[filled]], place, first[part], stretch[part]
                ref, alt = self._edit_batch(member, engine, *batch, n_edits)
                sums.add(rows[chosen[part]], ref, alt)

    def _edit_batch(
        self,
        member: SequenceModel,
        engine: EditEngine | None,
        windows: NDArray[np.uint8],
        place: NDArray[np.intp],
        first: NDArray[np.int64],
        stretch: NDArray[np.uint8],
        n_edits: int,
    ) -> tuple[NDArray, NDArray]:
        """Predictions (edit, target) of the windows of some edits, and of the edits, `n_edits` with padding.

        One pass over the windows gives their predictions, and what their edits are predicted from.
        """
        if engine is None:
            raise InputError("path: the model has no engine of edits")
        some = np.minimum(np.arange(n_edits), len(place) - 1)
        new = stretch[some].astype(np.intp)
        ref, alt = engine.predict_both(one_hot_codes(windows), {}, place[some], first[some], new)
        columns = list(member.columns)
        ref, alt = ref[:, columns], alt[: len(place), columns]
        for predictions in (ref, alt):
            member.check_finite(predictions, "prediction")
        return ref[place], alt

    def _whole(
        self,
        sums: WindowSums,
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
        for offsets, chosen in fills(changes.shift[rows], self.anchors):
            some = changes.rows(rows[chosen])
            alt = alternative_windows(
                self.genome, some, starts[rows[chosen]], self.length, offsets, codes[rows[chosen]]
            )
            sums.contains_n[rows[chosen]] |= (alt == N_CODE).any(axis=1)
            output = self._predict_codes(member, alt)
            if self._profile is not None:
                at, size = some.start - starts[rows[chosen]], some.ref_size
                output = self._profile.aligned(output, at, size, size + some.shift, offsets)
            sums.add(rows[chosen], ref[window[chosen]], output)

    def predict_windows(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Mean output (window, target) over the members for windows of base codes, each as a whole."""
        outputs = [self._predict_codes(member, codes).astype(np.float64) for member in self.members]
        return np.asarray(sum(outputs) / len(outputs))

    def _predict_codes(self, member: SequenceModel, codes: NDArray[np.uint8]) -> NDArray:
        found = []
        step = padded(len(codes), self.batch_size)
        for begin in range(0, len(codes), step):
            some = np.minimum(np.arange(begin, begin + step), len(codes) - 1)
            found.append(member.predict(one_hot_codes(codes[some]))[: len(codes) - begin])
        return np.concatenate(found)
