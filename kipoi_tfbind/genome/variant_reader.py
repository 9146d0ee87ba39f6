"""Windows with either allele for all variants of a file, read by row number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import find_changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import (
    MAX_MISMATCHES,
    MISMATCHES,
    Anchors,
    OnRefMismatch,
    alternative_windows,
    check_anchors,
    check_on_ref_mismatch,
    middle_offsets,
    ref_mismatch_error,
    unfit_for_length,
    window_status,
)
from kipoi_tfbind.genome.vcf import SKIP_REASONS, Alleles, count_reasons
from kipoi_tfbind.genome.window_reader import WindowReader


class VariantWindowReader:
    """Windows for every allele that can be scored; why the others cannot is in `reason`.

    Parameters
    ----------
    genome
        The FASTA.
    alleles
        What :func:`kipoi_tfbind.genome.vcf.read_alleles` returned.
    length
        Length of the windows.
    on_ref_mismatch
        "skip": an allele whose REF is not what the FASTA has is left out, unless they are more than
        half of all; "error": the first one is an error.
    anchors
        Which flank of an indel stays where it is; "both": the shift is spread over both.

    Attributes
    ----------
    reason
        Why each allele of `alleles` has no window, a key of `SKIP_REASONS`, or "".
    rows
        Alleles that have windows, as indices into `alleles`.
    starts
        0-based start of the reference windows of `rows`.

    Raises
    ------
    InputError
        No allele can be scored; REF mismatches as above; or the FASTA cannot be read.
    """

    def __init__(
        self,
        genome: Genome,
        alleles: Alleles,
        length: int,
        *,
        on_ref_mismatch: OnRefMismatch = "skip",
        anchors: Anchors = "both",
    ) -> None:
        check_on_ref_mismatch(on_ref_mismatch)
        check_anchors(anchors)
        self.length = length
        self._genome = genome
        self._alleles = alleles
        changes = find_changes(
            genome,
            alleles.contigs,
            alleles.contig,
            alleles.pos,
            alleles.ref.tolist(),
            alleles.alt.tolist(),
            alleles.reason,
        )
        self.reason = unfit_for_length(genome, changes, length)
        self.rows = np.flatnonzero(self.reason == "")
        if len(self.rows) or (self.reason != "outside_contig").any():
            self._check_ref(on_ref_mismatch)
        if not len(self.rows):
            raise self._nothing_to_score()
        self._changes = changes.rows(self.rows)
        self.starts = self._changes.window_starts(length)
        shift = self._changes.shift
        self._offsets = {"left": np.zeros_like(shift), "right": shift, "both": middle_offsets(self._changes)}[
            anchors
        ]
        self._windows = WindowReader(genome, alleles.contigs, self._changes.contig, self.starts, length)

    def __len__(self) -> int:
        return len(self.rows)

    def read(
        self, index: NDArray[np.integer]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.str_]]:
        """Windows of some of `rows`.

        Parameters
        ----------
        index
            Positions in `rows`.

        Returns
        -------
        ref, alt
            Base codes (allele, position).
        status
            As :func:`window_status` says.
        """
        changes, starts = self._changes.rows(index), self.starts[index]
        ref = self._windows.read(index)
        alt = alternative_windows(self._genome, changes, starts, self.length, self._offsets[index], ref)
        return ref, alt, window_status(self._genome, changes, starts, (ref, alt))

    def _check_ref(self, on_ref_mismatch: OnRefMismatch) -> None:
        wrong = np.flatnonzero(np.logical_or.reduce([self.reason == name for name in MISMATCHES]))
        n_checked = len(wrong) + int((self.reason == "").sum())
        if len(wrong) > MAX_MISMATCHES * n_checked or (len(wrong) and on_ref_mismatch == "error"):
            alleles, row = self._alleles, wrong[0]
            raise ref_mismatch_error(
                self._genome,
                f"{alleles.path}: {alleles.unit} {alleles.line[row]}",
                (alleles.contigs[alleles.contig[row]], int(alleles.pos[row]), str(alleles.ref[row])),
                len(wrong),
                n_checked,
            )

    def _nothing_to_score(self) -> InputError:
        counts = count_reasons(self.reason)
        most = next(iter(counts))
        first = np.flatnonzero(self.reason == most)[0]
        problem = SKIP_REASONS[most]
        if most == "unknown_contig":
            try:
                self._genome.contig(self._alleles.contigs[self._alleles.contig[first]])
            except InputError as error:
                problem = str(error)
        listed = ", ".join(f"{n} {reason}" for reason, n in counts.items())
        return InputError(
            f"{self._alleles.path}: {self._alleles.unit} {self._alleles.line[first]}: {problem}; "
            f"none of the {len(self._alleles)} alleles of this file can be scored ({listed})"
        )
