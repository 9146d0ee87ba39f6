"""From blocks of a VCF to blocks of scores: what every way to score variants has in common."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import Changes, contig_lengths, find_changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import (
    MAX_MISMATCHES,
    MISMATCHES,
    Anchors,
    OnRefMismatch,
    check_on_ref_mismatch,
    ref_mismatch_error,
    unfit_for_length,
)
from kipoi_tfbind.genome.vcf_stream import RecordBlock
from kipoi_tfbind.interpret._paths import Path
from kipoi_tfbind.interpret.variants.peaks import PeakPredictions
from kipoi_tfbind.interpret.variants.scores import scores_of
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer
from kipoi_tfbind.interpret.variants.strata import NULL_SCORES
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel


class Nulls(Protocol):
    """Null effects and peaks to compare effects with."""

    def compare(self, changes: Changes, ref: NDArray, effect: NDArray) -> dict[str, NDArray]:
        """Scores (change, target) of effects among null effects."""


_TALLIES = ("alleles", "scored", "checked", "wrong")


@dataclass(frozen=True)
class ScoredBlock:
    """Scores of the alleles of a block of lines.

    Attributes
    ----------
    records
        The lines and their alleles.
    status
        Of each allele: "ok", "padded", "contains_n", or a key of `SKIP_REASONS`.
    window_start
        0-based start of the reference window; -1 where there is none.
    scores
        By name: (allele, target), or (allele); missing where an allele has no score.
    changes
        The alleles as changes of the genome.
    targets
        Names of the targets.
    tallies
        Numbers of its alleles, as `VariantEvaluator.tallies` has them of all.
    """

    records: RecordBlock
    status: list[str]
    window_start: NDArray[np.int64]
    scores: dict[str, NDArray]
    changes: Changes
    targets: tuple[str, ...]
    tallies: dict[str, int]

    def __len__(self) -> int:
        return len(self.status)


@dataclass(frozen=True)
class VariantOptions:
    """How variants are scored.

    Attributes
    ----------
    length
        Length of the windows; by default the model's.
    indel_anchors
        "left", "right": the flank of an indel that stays where it is; "both": the mean of both, and of
        windows between them.
    shifts
        Windows are also moved by 1 to this number of bases to either side, and everything is averaged.
    on_ref_mismatch
        "skip" an allele whose REF is not what the FASTA has, unless they are more than half of those so far;
        "error": the first one is an error.
    skip_missing
        Whether records on contigs that the FASTA does not have are passed over; else they are an error.
    path
        "auto", "incremental" or "full"; see `kipoi_tfbind.interpret.variants.scoring.AlleleScorer`.
    batch_size
        Windows that the model is given at once.
    profile_bins
        Number of positions of a profile that the targets are; None where they are none.
    """

    length: int | None = None
    indel_anchors: Anchors = "both"
    shifts: int = 0
    on_ref_mismatch: OnRefMismatch = "skip"
    skip_missing: bool = False
    path: Path = "auto"
    batch_size: int = 128
    profile_bins: int | None = None


class VariantEvaluator:
    """Scores blocks of alleles, one after the other.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    fasta
        The genome, or the path of its FASTA.
    options
        How variants are scored.
    name
        Name of the alleles' file in messages.

    Attributes
    ----------
    model, genome
        As above.
    length : int
        Length of the windows.
    top
        Alleles of the largest effects, when a file is done.
    nulls
        Null effects to compare with; None for none.
    peaks
        Peaks to compare the predictions for either allele with; None for none.
    tallies : dict of str to int
        Numbers of alleles so far: "alleles", "scored", "checked" and "wrong" (of their REF), and, by reason,
        those without a score.

    Raises
    ------
    InputError
        An option is not one of those that there are, or the model takes any length and none was given.
    """

    def __init__(
        self, model: Any, fasta: Genome | str | os.PathLike[str], options: VariantOptions, name: str
    ) -> None:
        check_on_ref_mismatch(options.on_ref_mismatch)
        self.model: SequenceModel = as_sequence_model(model)
        self.genome = fasta if isinstance(fasta, Genome) else Genome(fasta)
        self.options, self.name = options, name
        self.length = window_length(self.model, options.length)
        self.scorer = AlleleScorer(
            self.model,
            self.genome,
            self.length,
            options.indel_anchors,
            options.shifts,
            options.path,
            options.batch_size,
            options.profile_bins,
        )
        self.tallies = dict.fromkeys(_TALLIES, 0)
        self.top: list[Any] = []
        self.nulls: Nulls | None = None
        self.peaks: PeakPredictions | None = None

    @property
    def reasons(self) -> dict[str, int]:
        """Number of alleles without a score, by reason, the most frequent first."""
        found = {name: n for name, n in self.tallies.items() if name not in _TALLIES}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def evaluate(self, records: RecordBlock, unit: str = "line") -> ScoredBlock:
        """Score a block.

        Raises
        ------
        InputError
            REF is not what the FASTA has, in one allele or in more than half (see the options); a contig is
            missing.
        """
        before = dict(self.tallies)
        changes = find_changes(
            self.genome,
            records.contigs,
            records.contig,
            records.pos,
            records.ref,
            records.alt,
            records.reason,
        )
        reason = unfit_for_length(self.genome, changes, self.length, self.options.shifts)
        self._check(records, reason, unit)
        rows = np.flatnonzero(reason == "")
        some = changes.rows(rows)
        starts = some.window_starts(self.length)
        n = len(records)
        window_start = np.full(n, -1, dtype=np.int64)
        window_start[rows] = starts
        status = reason.copy()
        scores: dict[str, NDArray] = {}
        if len(rows):
            found = self.scorer.predict(some)
            lengths = contig_lengths(self.genome, some.contigs)[some.contig]
            margin = np.maximum(-some.shift, 0) + self.options.shifts
            over = (starts - margin < 0) | (starts + self.length + margin > lengths)
            status[rows] = np.select(
                [found.contains_n & over, found.contains_n], ["padded", "contains_n"], "ok"
            )
            scored = scores_of(found, self.model.output)
            if self.nulls is not None:
                scored |= self.nulls.compare(some, found.ref, found.alt - found.ref)
                scored["effect_q_value"] = np.full(found.ref.shape, np.nan)  # when all p-values are known
            if self.peaks is not None:
                scored |= self.peaks.compare(found.ref, found.alt)
            scores = {name: _spread_out(values, rows, n) for name, values in scored.items()}
        else:
            scores = _nothing(n, len(self.model.target_names))
            more = [*NULL_SCORES, "effect_q_value"] if self.nulls is not None else []
            more += ["ref_quantile", "alt_quantile"] if self.peaks is not None else []
            scores |= {name: np.full((n, len(self.model.target_names)), np.nan) for name in more}
        self._count("alleles", n)
        self._count("scored", len(rows))
        own = {name: count - before.get(name, 0) for name, count in self.tallies.items()}
        targets = self.model.target_names
        return ScoredBlock(records, status.tolist(), window_start, scores, changes, targets, own)

    def _check(self, records: RecordBlock, reason: NDArray, unit: str) -> None:
        for name in set(reason.tolist()) - {""}:
            self._count(name, int((reason == name).sum()))
        if not self.options.skip_missing and (missing := reason == "unknown_contig").any():
            row = int(missing.argmax())
            where = f"{self.name}: {unit} {records.numbers[records.line[row]]}"
            try:
                self.genome.contig(records.contigs[records.contig[row]])
            except InputError as error:
                raise InputError(f"{where}: {error}, or pass over such records (--skip-missing)") from None
        wrong = np.flatnonzero(np.logical_or.reduce([reason == name for name in MISMATCHES]))
        self._count("wrong", len(wrong))
        self._count("checked", len(wrong) + int((reason == "").sum()))
        n_wrong, n_checked = self.tallies["wrong"], self.tallies["checked"]
        if len(wrong) and (self.options.on_ref_mismatch == "error" or n_wrong > MAX_MISMATCHES * n_checked):
            row = int(wrong[0])
            raise ref_mismatch_error(
                self.genome,
                f"{self.name}: {unit} {records.numbers[records.line[row]]}",
                (records.contigs[records.contig[row]], int(records.pos[row]), records.ref[row]),
                n_wrong,
                n_checked,
            )

    def _count(self, name: str, n: int) -> None:
        self.tallies[name] = self.tallies.get(name, 0) + n


def window_length(model: SequenceModel, length: int | None) -> int:
    """Length of the windows of a model.

    Raises
    ------
    InputError
        The model takes any length and none is given, or another one than is given.
    """
    if model.length is not None and length not in (None, model.length):
        raise InputError(f"length: model {model.name} takes windows of {model.length} bases, not {length}")
    if model.length is None and length is None:
        raise InputError(
            f"length: model {model.name} takes windows of any length; say which (length=; --length)"
        )
    return model.length or length or 0


def _spread_out(values: NDArray, rows: NDArray[np.intp], n: int) -> NDArray:
    """Values of some alleles among all; missing (of integers -1) in between."""
    shape = (n, *values.shape[1:])
    whole = np.full(shape, -1, np.int64) if values.dtype.kind == "i" else np.full(shape, np.nan)
    whole[rows] = values
    return whole


def _nothing(n: int, targets: int) -> dict[str, NDArray]:
    names: Sequence[str] = (
        "ref_prediction",
        "alt_prediction",
        "logit_difference",
        "signal_difference",
        "log2_fold_change",
        "window_spread",
        "member_sd",
    )
    found: dict[str, NDArray] = {name: np.full((n, targets), np.nan) for name in names}
    return found | {
        "agreeing": np.full((n, targets), -1),
        "jensen_shannon": np.full(n, np.nan),
        "largest": np.full(n, np.nan),
        "largest_target": np.full(n, -1),
    }
