"""Pairs of windows, with the reference and with the alternative allele, for the alleles of a VCF.

A window of length L around an allele whose REF has r bases and begins at p (0-based) spans
[s, s + L) with s = p + r // 2 - L // 2: REF is centred, and the base of an SNV has index L // 2, as
the centre of an interval's window has. The reference window is the genome there. The alternative
window begins at the same s, so that both share the left flank; then come the bases of ALT, then the
genome from p + r on, cut to L. So an insertion pushes the right flank out of the window, and a
deletion pulls more of it in. Beyond the ends of a contig there is N.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import CODE_OF_ASCII, N_CODE, decode_codes, encode_bases
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.vcf import SKIP_REASONS, Alleles, count_reasons
from kipoi_tfbind.genome.window_reader import WindowReader

OnRefMismatch = Literal["skip", "error"]

# Above this share of alleles whose REF is not in the FASTA, the two belong to different assemblies.
_MAX_MISMATCHES = 0.5
_ROWS_PER_CHECK = 4096
_CODE_OF_CHARACTER = np.frombuffer(CODE_OF_ASCII, dtype=np.uint8)


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

    Attributes
    ----------
    reason
        Why each allele of `alleles` has no window, a key of `SKIP_REASONS`, or "".
    rows
        Alleles that have windows, as indices into `alleles`.
    starts
        0-based start of the windows of `rows`.

    Raises
    ------
    InputError
        No allele can be scored; REF mismatches as above; or the FASTA cannot be read.
    """

    def __init__(
        self, genome: Genome, alleles: Alleles, length: int, *, on_ref_mismatch: OnRefMismatch = "skip"
    ) -> None:
        if on_ref_mismatch not in ("skip", "error"):
            raise InputError(f"on_ref_mismatch: expected 'skip' or 'error', got {on_ref_mismatch!r}")
        self.length = length
        self._genome = genome
        self._alleles = alleles
        self._ref_size = np.strings.str_len(alleles.ref).astype(np.int64)
        self._alt_size = np.strings.str_len(alleles.alt).astype(np.int64)
        self._left = length // 2 - self._ref_size // 2
        self._contig_length = self._contig_lengths()
        self.reason = alleles.reason.copy()
        self._sort_out_by_place()
        candidates = self._usable()
        self._read_windows(candidates)
        self._check_ref(candidates, on_ref_mismatch)
        self.rows = self._usable()
        self.starts = self._starts_of(self.rows)
        self._window_of_row = np.searchsorted(candidates, self.rows)

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
            "ok"; "padded": a window reaches over the end of the contig (N there); "contains_n": a
            window has an N or another ambiguity code of the genome in it.
        """
        rows = self.rows[index]
        ref = self._windows.read(self._window_of_row[index])
        alt = self._alternative(ref, rows)
        end = self._starts_of(rows) + self.length + np.maximum(self._ref_size - self._alt_size, 0)[rows]
        padded = (self._starts_of(rows) < 0) | (end > self._contig_length[rows])
        contains_n = (ref == N_CODE).any(axis=1) | (alt == N_CODE).any(axis=1)
        return ref, alt, np.select([padded, contains_n], ["padded", "contains_n"], "ok")

    def _contig_lengths(self) -> NDArray[np.int64]:
        """Length of each allele's contig, -1 where the FASTA has none such."""
        lengths = []
        self._unknown_contig: InputError | None = None
        for name in self._alleles.contigs:
            try:
                lengths.append(self._genome.lengths[self._genome.contig(name)])
            except InputError as error:
                self._unknown_contig = self._unknown_contig or error
                lengths.append(-1)
        return np.array(lengths, dtype=np.int64)[self._alleles.contig]

    def _starts_of(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        return self._alleles.pos[rows] - 1 - self._left[rows]

    def _usable(self) -> NDArray[np.intp]:
        """Alleles that nothing speaks against so far; there has to be one."""
        rows = np.flatnonzero(self.reason == "")
        if not len(rows):
            raise self._nothing_to_score()
        return rows

    def _sort_out_by_place(self) -> None:
        begin = self._alleles.pos - 1
        longer = np.maximum(self._ref_size, self._alt_size)
        for reason, applies in (
            ("unknown_contig", self._contig_length < 0),
            ("contig_shorter_than_window", self._contig_length < self.length),
            ("outside_contig", (begin < 0) | (begin + self._ref_size > self._contig_length)),
            ("allele_longer_than_window", (self._left < 0) | (self._left + longer > self.length)),
        ):
            self.reason[applies & (self.reason == "")] = reason

    def _read_windows(self, candidates: NDArray[np.intp]) -> None:
        """Prepare reference windows of all candidates, and what follows the windows of the deletions."""
        contigs, contig = self._alleles.contigs, self._alleles.contig
        starts = self._starts_of(candidates)
        self._windows = WindowReader(self._genome, contigs, contig[candidates], starts, self.length)
        missing = (self._ref_size - self._alt_size)[candidates]
        self._deletions = candidates[missing > 0]
        self._tails = WindowReader(
            self._genome,
            contigs,
            contig[self._deletions],
            self._starts_of(self._deletions) + self.length,
            max(int(missing.max()), 1),
        )

    def _check_ref(self, candidates: NDArray[np.intp], on_ref_mismatch: OnRefMismatch) -> None:
        """Compare every REF with the genome."""
        for first in range(0, len(candidates), _ROWS_PER_CHECK):
            rows = candidates[first : first + _ROWS_PER_CHECK]
            windows = self._windows.read(np.arange(first, first + len(rows)))
            self._compare_with_genome(rows, windows)
        wrong = np.flatnonzero((self.reason == "ref_mismatch") | (self.reason == "outside_contig"))
        n_checked = len(candidates) + (self.reason == "outside_contig").sum()
        if len(wrong) > _MAX_MISMATCHES * n_checked or (len(wrong) and on_ref_mismatch == "error"):
            raise self._mismatch(wrong, int(n_checked))

    def _compare_with_genome(self, rows: NDArray[np.intp], windows: NDArray[np.uint8]) -> None:
        texts = self._alleles.ref[rows]
        left, size = self._left[rows], self._ref_size[rows]
        single = np.flatnonzero(size == 1)
        expected = _first_bases(texts[single])
        there = windows[single, left[single]]
        self.reason[rows[single[there != expected]]] = "ref_mismatch"
        self.reason[rows[single[there == N_CODE]]] = "ambiguous_base"
        for i in np.flatnonzero(size > 1):
            there = windows[i, left[i] : left[i] + size[i]]
            if (there == N_CODE).any():
                self.reason[rows[i]] = "ambiguous_base"
            elif (there != encode_bases([texts[i]])[0]).any():
                self.reason[rows[i]] = "ref_mismatch"

    def _alternative(self, ref: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        alt = ref.copy()
        texts = self._alleles.alt[rows]
        left, ref_size, alt_size = self._left[rows], self._ref_size[rows], self._alt_size[rows]
        single = np.flatnonzero((ref_size == 1) & (alt_size == 1))
        alt[single, left[single]] = _first_bases(texts[single])
        deletions = np.searchsorted(self._deletions, rows[ref_size > alt_size])
        tails = iter(self._tails.read(deletions))
        for i in np.flatnonzero((ref_size > 1) | (alt_size > 1)):
            parts = [encode_bases([texts[i]])[0], ref[i, left[i] + ref_size[i] :]]
            if ref_size[i] > alt_size[i]:
                parts.append(next(tails))
            alt[i, left[i] :] = np.concatenate(parts)[: self.length - left[i]]
        return alt

    def _nothing_to_score(self) -> InputError:
        counts = count_reasons(self.reason)
        most = next(iter(counts))
        first = np.flatnonzero(self.reason == most)[0]
        problem = str(self._unknown_contig) if most == "unknown_contig" else SKIP_REASONS[most]
        listed = ", ".join(f"{n} {reason}" for reason, n in counts.items())
        return InputError(
            f"{self._alleles.path}: {self._alleles.unit} {self._alleles.line[first]}: {problem}; "
            f"none of the {len(self._alleles)} alleles of this file can be scored ({listed})"
        )

    def _mismatch(self, wrong: NDArray[np.intp], n_checked: int) -> InputError:
        alleles, row = self._alleles, wrong[0]
        name, pos = alleles.contigs[alleles.contig[row]], int(alleles.pos[row])
        there = decode_codes(self._genome.windows(name, [pos - 1], int(self._ref_size[row])))[0]
        remedy = (
            "the two are of different assemblies: give the FASTA that the VCF was made with"
            if len(wrong) > _MAX_MISMATCHES * n_checked
            else "mend the record, or use on_ref_mismatch='skip' to leave such alleles out"
        )
        return InputError(
            f"{alleles.path}: {alleles.unit} {alleles.line[row]}: REF is {_shown(alleles.ref[row])} and "
            f"{self._genome.path} has {_shown(there)} at {name}:{pos}; REF does not match for {len(wrong)} "
            f"of {n_checked} alleles; {remedy}"
        )


def _first_bases(texts: NDArray) -> NDArray[np.uint8]:
    """Base code of the first letter of each text."""
    return _CODE_OF_CHARACTER[texts.astype("U1").view(np.uint32)]


def _shown(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:20]}... ({len(allele)} bases)"
