"""Windows with the reference and with the alternative allele, for changes of the genome.

A window of length L is centred on the interval over which the change can slide
(`kipoi_tfbind.genome.changes`). The reference window [s, s + L) is the genome there. The alternative window
is as long, cut from the haplotype that has the change: the genome up to it, the new bases, the genome after
them. Where those are d bases more or fewer, one flank at least has to move. With the offset 0 the haplotype
is cut at s, so that the left flanks are the same and the right one moves; with the offset d the right
flanks are the same; in between, the shift is spread over both. Beyond the ends of a contig there is N.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, decode_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.assemblies import likely_assembly
from kipoi_tfbind.genome.changes import Changes, contig_lengths
from kipoi_tfbind.genome.reference import Genome

OnRefMismatch = Literal["skip", "error"]
Anchors = Literal["left", "right", "both"]

MISMATCHES = ("ref_mismatch", "ref_alt_swapped", "outside_contig")
# Above this share of alleles whose REF is not in the FASTA, the two belong to different assemblies.
MAX_MISMATCHES = 0.5


def check_anchors(anchors: str) -> None:
    """Check the choice of flanks.

    Raises
    ------
    InputError
        It is none.
    """
    if anchors not in get_args(Anchors):
        raise InputError(f"indel_anchors: expected 'left', 'right' or 'both', got {anchors!r}")


def check_on_ref_mismatch(choice: str) -> None:
    """Check what is to be done of a REF that the FASTA has not.

    Raises
    ------
    InputError
        It is neither "skip" nor "error".
    """
    if choice not in get_args(OnRefMismatch):
        raise InputError(f"on_ref_mismatch: expected 'skip' or 'error', got {choice!r}")


def fill_offsets(shift: int, anchors: Anchors = "both") -> list[int]:
    """Offsets at which the haplotype of an indel is cut, in bases.

    Parameters
    ----------
    shift
        Bases that the alternative allele has more, or, negative, fewer.
    anchors
        Which flank stays where it is: "left" gives the offset 0, "right" the shift; "both" gives these two,
        and up to four between them, as many left as right of the middle.

    Examples
    --------
    >>> fill_offsets(-1), fill_offsets(10), fill_offsets(10, "left"), fill_offsets(0)
    ([-1, 0], [0, 2, 5, 8, 10], [0], [0])
    """
    if anchors == "left" or shift == 0:
        return [0]
    if anchors == "right":
        return [shift]
    size, sign = abs(shift), 1 if shift > 0 else -1
    some = {0, size // 4, size // 2, size - size // 2, size - size // 4, size}
    return sorted(sign * offset for offset in some)


def middle_offsets(changes: Changes) -> NDArray[np.int64]:
    """One offset for each change that spreads the shift over both flanks, the same way on either strand."""
    shift = changes.shift
    return (shift >> 1) + (shift & 1) * changes.rounds_up


def unfit_for_length(genome: Genome, changes: Changes, length: int, margin: int = 0) -> NDArray:
    """Reasons of the changes, with those added that do not fit in windows of this length.

    With a margin, they have to fit also in the windows that are up to so many bases further left or right.
    """
    reason = changes.reason.copy()
    lengths = contig_lengths(genome, changes.contigs)[changes.contig]
    starts, shift = changes.window_starts(length), changes.shift
    longer = np.maximum(shift, 0) + margin
    inside = (starts + longer <= changes.low) & (changes.high + longer <= starts + length)
    for name, applies in (
        ("contig_shorter_than_window", lengths < length),
        ("allele_longer_than_window", ~inside),
    ):
        reason[applies & (reason == "")] = name
    return reason


def reference_windows(
    genome: Genome, changes: Changes, starts: NDArray[np.int64], length: int
) -> NDArray[np.uint8]:
    """Base codes (change, position) of the genome in windows, one for each change."""
    codes = np.empty((len(changes), length), dtype=np.uint8)
    for i in np.unique(changes.contig):
        here = np.flatnonzero(changes.contig == i)
        codes[here] = genome.windows(changes.contigs[i], starts[here], length)
    return codes


def alternative_windows(
    genome: Genome,
    changes: Changes,
    starts: NDArray[np.int64],
    length: int,
    offsets: NDArray[np.int64],
    reference: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    r"""Base codes (change, position) of the haplotype with each change.

    Parameters
    ----------
    starts
        0-based start of the reference window of each change.
    offsets
        Where the haplotype is cut, from that start on; see the module.
    reference
        The reference windows, where they have been read.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_codes
    >>> from kipoi_tfbind.genome.changes import find_changes
    >>> path = getfixture("tmp_path") / "a.fa"
    >>> _ = path.write_text(">20\nAACCGGTTACGT\n")
    >>> genome = Genome(path)
    >>> deletion = find_changes(genome, ["20"], np.array([0]), np.array([4]), ["CGG"], ["C"])
    >>> for offset in (0, -1, -2):
    ...     found = alternative_windows(genome, deletion, np.array([2]), 6, np.array([offset]))
    ...     print(decode_codes(found))
    ['CCTTAC']
    ['ACCTTA']
    ['AACCTT']
    """
    if reference is None:
        reference = reference_windows(genome, changes, starts, length)
    codes = reference.copy()
    sizes = np.array([len(alt) for alt in changes.alt], dtype=np.int64).reshape(-1)
    within = changes.start - starts
    is_single = (sizes == 1) & (changes.ref_size == 1)
    single = np.flatnonzero(is_single)
    codes[single, within[single]] = np.frombuffer(
        b"".join(changes.alt[i] for i in single.tolist()), dtype=np.uint8
    )
    for rows, margin, wide in _wide_windows(genome, changes, starts, length, np.flatnonzero(~is_single)):
        for row, around in zip(rows.tolist(), wide, strict=True):
            at = int(within[row]) + margin
            text = around.tobytes()
            haplotype = text[:at] + changes.alt[row] + text[at + int(changes.ref_size[row]) :]
            first = margin + int(offsets[row])
            codes[row] = np.frombuffer(haplotype, dtype=np.uint8, count=length, offset=first)
    return codes


def _wide_windows(
    genome: Genome, changes: Changes, starts: NDArray[np.int64], length: int, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], int, NDArray[np.uint8]]]:
    """Windows with a margin on either side, for changes of about one size and one contig together."""
    if not len(rows):
        return
    size = np.abs(changes.shift[rows])
    bucket = np.where(size, np.ceil(np.log2(np.maximum(size, 1))).astype(int) + 1, 0)
    for each in np.unique(bucket):
        margin = 1 << int(each)
        for c in np.unique(changes.contig[rows]):
            here = rows[(bucket == each) & (changes.contig[rows] == c)]
            if len(here):
                yield (
                    here,
                    margin,
                    genome.windows(changes.contigs[c], starts[here] - margin, length + 2 * margin),
                )


def window_status(
    genome: Genome,
    changes: Changes,
    starts: NDArray[np.int64],
    windows: tuple[NDArray[np.uint8], ...],
) -> NDArray:
    """Notes on each change's windows.

    "ok"; "padded": a window reaches over the end of the contig (N there); "contains_n": a window has an N or
    another ambiguity code of the genome in it.
    """
    lengths = contig_lengths(genome, changes.contigs)[changes.contig]
    missing = np.maximum(-changes.shift, 0)
    length = windows[0].shape[1]
    padded = (starts - missing < 0) | (starts + length + missing > lengths)
    contains_n = np.zeros(len(changes), dtype=bool)
    for codes in windows:
        contains_n |= (codes == N_CODE).any(axis=1)
    return np.select([padded & contains_n, contains_n], ["padded", "contains_n"], "ok")


def ref_mismatch_error(
    genome: Genome, where: str, record: tuple[str, int, str], n_wrong: int, n_checked: int
) -> InputError:
    """The error of a REF that is not what the FASTA has.

    Parameters
    ----------
    genome
        The FASTA.
    where
        The file and line of the first one.
    record
        Its contig, 1-based position and REF.
    n_wrong, n_checked
        Number of alleles whose REF is wrong, and of all.
    """
    name, pos, ref = record
    there = decode_codes(genome.windows(name, [pos - 1], len(ref)))[0]
    if n_wrong > MAX_MISMATCHES * n_checked:
        remedy = (
            "the two are of different assemblies: give the FASTA that the VCF was made with"
            f"{likely_assembly(genome.lengths)}"
        )
    else:
        remedy = "mend the record, or use on_ref_mismatch='skip' to leave such alleles out"
    return InputError(
        f"{where}: REF is {shown(ref)} and {genome.path} has {shown(there)} at {name}:{pos}; "
        f"REF does not match for {n_wrong} of {n_checked} alleles; {remedy}"
    )


def shown(allele: str) -> str:
    """An allele as a message shows it: the beginning of a long one."""
    return allele if len(allele) <= 20 else f"{allele[:20]}... ({len(allele)} bases)"
