"""Alleles as changes of the genome, the same for every spelling of one haplotype.

An allele is trimmed of the bases that REF and ALT share, and an insertion or deletion is left-aligned against
the FASTA (Tan, Abecasis and Kang 2015, doi:10.1093/bioinformatics/btv112; as `bcftools norm`). A change that
lies in a repeat can be written at several places: all of them together are the interval on which a window is
centred, so that the window does not depend on the spelling either.

Where the middle of a window lies between two bases, one of two has to be taken. The rule must not prefer a
strand: it reads the interval from both of its ends, with complemented letters from the right one, and
rounds to the left where the left reading comes first in the alphabet. Of an SNV that is: to the left for A
and C, to the right for G and T. Where both readings are the same, the alternative allele decides, then the
flanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import CODE_OF_ASCII, N_CODE
from kipoi_tfbind.genome.flanks import FLANK, Flanks, rounds_up
from kipoi_tfbind.genome.reference import Genome

_NO_CODES = b""


@dataclass(frozen=True)
class Changes:
    """Changes of the genome; every field has one entry for each allele.

    Attributes
    ----------
    contigs
        Distinct contigs.
    contig
        Index of the change's contig in `contigs`.
    start
        0-based position of the first base that is replaced, left-aligned.
    ref_size
        Number of bases that are replaced; 0 of an insertion.
    alt
        Base codes of what replaces them, as bytes; empty for a deletion.
    low, high
        0-based, half-open: all bases that one of the change's spellings replaces, or between which it
        inserts.
    rounds_up
        Whether a window whose middle lies between two bases is moved to the right one.
    reason
        Why an allele cannot be scored, a key of `SKIP_REASONS`, or "".
    """

    contigs: tuple[str, ...]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    ref_size: NDArray[np.int64]
    alt: list[bytes]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    rounds_up: NDArray[np.bool_]
    reason: NDArray

    def __len__(self) -> int:
        return len(self.start)

    @property
    def shift(self) -> NDArray[np.int64]:
        """By how much what follows the change moves: positive for insertions."""
        return np.array([len(alt) for alt in self.alt], dtype=np.int64).reshape(-1) - self.ref_size

    def rows(self, index: NDArray[np.integer]) -> Changes:
        """Some of the changes."""
        return Changes(
            self.contigs,
            self.contig[index],
            self.start[index],
            self.ref_size[index],
            [self.alt[i] for i in index.tolist()],
            self.low[index],
            self.high[index],
            self.rounds_up[index],
            self.reason[index],
        )

    def window_starts(self, length: int) -> NDArray[np.int64]:
        """0-based starts of windows that are centred on the interval of each change."""
        twice = self.low + self.high - length
        return (twice >> 1) + (twice & 1) * self.rounds_up


def find_changes(
    genome: Genome,
    contigs: Sequence[str],
    contig: NDArray[np.integer],
    pos: NDArray[np.integer],
    ref: Sequence[str],
    alt: Sequence[str],
    reason: Sequence[str] | NDArray | None = None,
    *,
    longest: int = 1 << 20,
) -> Changes:
    r"""Turn the alleles of a VCF into changes, and find those that cannot be ones.

    Parameters
    ----------
    genome
        The FASTA.
    contigs, contig
        Distinct contigs, and the index of each allele's contig among them.
    pos
        1-based position of the first base of REF.
    ref, alt
        As in the file: letters A, C, G and T, where there is no reason yet.
    reason
        Why an allele is none that can be scored; by default "" for all. The reasons that are found here are
        added: unknown_contig, outside_contig, ref_mismatch, ref_alt_swapped, ambiguous_base,
        allele_longer_than_window.
    longest
        Alleles with more bases than this are not looked at.

    Returns
    -------
    Changes
        Where there is a reason, the numbers mean nothing.

    Examples
    --------
    A deletion of CA in CACACA, written at either end of the repeat:

    >>> path = getfixture("tmp_path") / "a.fa"
    >>> _ = path.write_text(">20\nGGTTCACACATTGG\n")
    >>> found = find_changes(
    ...     Genome(path), ["20"], np.array([0, 0]), np.array([4, 7]), ["TCA", "CACA"], ["T", "CA"]
    ... )
    >>> found.start.tolist(), found.ref_size.tolist(), found.low.tolist(), found.high.tolist()
    ([4, 4], [2, 2], [4, 4], [10, 10])
    """
    n = len(ref)
    reasons = np.array(reason if reason is not None else [""] * n, dtype=np.dtypes.StringDType())
    pos = np.asarray(pos, dtype=np.int64)
    start: NDArray[np.int64] = pos.astype(np.int64) - 1
    ref_size = np.fromiter(map(len, ref), np.int64, n)
    alt_size = np.fromiter(map(len, alt), np.int64, n)
    lengths = contig_lengths(genome, contigs)[contig]
    for name, applies in (
        ("unknown_contig", lengths < 0),
        ("outside_contig", (start < 0) | (start + ref_size > lengths)),
        ("allele_longer_than_window", np.maximum(ref_size, alt_size) > longest),
    ):
        reasons[applies & (reasons == "")] = name
    changes = Changes(
        tuple(contigs),
        np.asarray(contig, dtype=np.int32),
        start.copy(),
        ref_size.copy(),
        [_NO_CODES] * n,
        start.copy(),
        start + ref_size,
        np.zeros(n, dtype=bool),
        reasons,
    )
    usable = reasons == ""
    single = (ref_size == 1) & (alt_size == 1)
    _fill_snvs(genome, changes, np.flatnonzero(usable & single), ref, alt)
    _fill_others(genome, changes, np.flatnonzero(usable & ~single), ref, alt)
    return changes


def contig_lengths(genome: Genome, contigs: Sequence[str]) -> NDArray[np.int64]:
    """Length of each contig, -1 where the FASTA has none such."""
    found = []
    for name in contigs:
        try:
            found.append(genome.lengths[genome.contig(name)])
        except ValueError:
            found.append(-1)
    return np.array(found, dtype=np.int64).reshape(len(contigs))


def _fill_snvs(
    genome: Genome, changes: Changes, rows: NDArray[np.intp], ref: Sequence[str], alt: Sequence[str]
) -> None:
    """All SNVs at once."""
    if not len(rows):
        return
    letters = ["".join(texts[i] for i in rows.tolist()) for texts in (ref, alt)]
    want, new = (
        np.frombuffer(text.encode("ascii").translate(CODE_OF_ASCII), dtype=np.uint8) for text in letters
    )
    there = _bases(genome, changes, rows)
    for row, code in zip(rows.tolist(), new.tolist(), strict=True):
        changes.alt[row] = _SINGLE[code]
    changes.rounds_up[rows] = want >= 2
    wrong = np.flatnonzero((there != want) | (there == N_CODE))
    for i in wrong.tolist():
        changes.reason[rows[i]] = (
            "ambiguous_base"
            if there[i] == N_CODE
            else "ref_alt_swapped"
            if there[i] == new[i]
            else "ref_mismatch"
        )


_SINGLE = [bytes([code]) for code in range(N_CODE + 1)]


def _bases(genome: Genome, changes: Changes, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The genome's base at the start of each change."""
    codes = np.empty(len(rows), dtype=np.uint8)
    contig = changes.contig[rows]
    for i in np.unique(contig):
        here = np.flatnonzero(contig == i)
        codes[here] = genome.windows(changes.contigs[i], changes.start[rows[here]], 1)[:, 0]
    return codes


def _fill_others(
    genome: Genome, changes: Changes, rows: NDArray[np.intp], ref: Sequence[str], alt: Sequence[str]
) -> None:
    """Indels, multi-nucleotide and complex alleles, one by one."""
    if not len(rows):
        return
    sizes = changes.ref_size[rows]
    # Of about one size together: a long deletion does not make the windows of all others long.
    bucket = np.ceil(np.log2(np.maximum(sizes, 1))).astype(int)
    for each in np.unique(bucket):
        chosen = rows[bucket == each]
        width = 2 * FLANK + (1 << int(each))
        contig = changes.contig[chosen]
        for c in np.unique(contig):
            here = chosen[contig == c]
            windows = genome.windows(changes.contigs[c], changes.start[here] - FLANK, width)
            for row, codes in zip(here.tolist(), windows, strict=True):
                _fill_one(genome, changes, row, ref[row], alt[row], codes.tobytes())


def _fill_one(genome: Genome, changes: Changes, row: int, ref: str, alt: str, context: bytes) -> None:
    old, new = (text.encode("ascii").translate(CODE_OF_ASCII) for text in (ref, alt))
    there = context[FLANK : FLANK + len(old)]
    problem = (
        "ambiguous_base"
        if N_CODE in there
        else ""
        if there == old
        else "ref_alt_swapped"
        if _reads(genome, changes, row, new)
        else "ref_mismatch"
    )
    if problem:
        changes.reason[row] = problem
        return
    prefix, old, new = trimmed(old, new)
    start = int(changes.start[row]) + prefix
    flanks = Flanks(genome, changes.contigs[changes.contig[row]], context, int(changes.start[row]) - FLANK)
    low, high = start, start + len(old)
    if not (old and new):
        left, right = flanks.slides(old or new, start, high)
        if not old:
            turn = left % len(new)
            new = new[len(new) - turn :] + new[: len(new) - turn]
        low, high, start = start - left, high + right, start - left
    changes.start[row], changes.ref_size[row], changes.alt[row] = start, len(old), new
    changes.low[row], changes.high[row] = low, high
    changes.rounds_up[row] = rounds_up(flanks, low, high, start, len(old), new)


def _reads(genome: Genome, changes: Changes, row: int, codes: bytes) -> bool:
    """Whether the genome reads like this where REF is said to be."""
    name, start = changes.contigs[changes.contig[row]], int(changes.start[row])
    return bool(codes) and genome.windows(name, [start], len(codes))[0].tobytes() == codes


def trimmed(ref: bytes, alt: bytes) -> tuple[int, bytes, bytes]:
    """Take away what two alleles share at their ends.

    Returns
    -------
    prefix, ref, alt
        How many bases were taken from the left, and what is left of each allele.

    Examples
    --------
    >>> trimmed(b"CACA", b"CA")
    (0, b'CA', b'')
    >>> trimmed(b"GATTC", b"GACTC")
    (2, b'T', b'C')
    """
    shortest = min(len(ref), len(alt))
    suffix = 0
    while suffix < shortest and ref[-1 - suffix] == alt[-1 - suffix]:
        suffix += 1
    prefix = 0
    while prefix < shortest - suffix and ref[prefix] == alt[prefix]:
        prefix += 1
    return prefix, ref[prefix : len(ref) - suffix], alt[prefix : len(alt) - suffix]
