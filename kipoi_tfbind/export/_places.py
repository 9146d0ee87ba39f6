"""Where the bases of a result are in the genome, and whether the genome has them there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.text_files import MAX_DIGITS, numbered_lines

ChromSizes = Mapping[str, int] | str | os.PathLike[str]


@dataclass(frozen=True)
class Contigs:
    """Names and lengths of the contigs that scores are written to.

    Attributes
    ----------
    lengths
        Length of each contig.
    source
        The file that they are from, for messages.
    genome
        The genome, where they are from a FASTA file.
    """

    lengths: Mapping[str, int]
    source: str
    genome: Genome | None = None

    def own_name(self, name: str) -> str:
        """Name of a contig here: chr20 and 20 are the same.

        Raises
        ------
        InputError
            There is no such contig.
        """
        if self.genome is not None:
            return self.genome.contig(name)
        for own in (name, f"chr{name}", name.removeprefix("chr")):
            if own in self.lengths:
                return own
        there = ", ".join(list(self.lengths)[:5]) + (", ..." if len(self.lengths) > 5 else "")
        raise InputError(
            f"{self.source}: no contig {name!r}; it has {there}; use the lengths of the assembly that the "
            "result was made with"
        )


def contigs_of(fasta: str | os.PathLike[str] | None, chrom_sizes: ChromSizes | None) -> Contigs | None:
    """Contigs of a genome or of a table of their lengths; None where neither is given.

    Raises
    ------
    InputError
        Both are given, or what is given cannot be read.
    """
    if fasta is not None and chrom_sizes is not None:
        raise InputError("chrom_sizes: the FASTA has the lengths of its contigs; give one of the two")
    if fasta is not None:
        genome = Genome(fasta)
        return Contigs(genome.lengths, genome.path, genome)
    if chrom_sizes is None:
        return None
    if isinstance(chrom_sizes, Mapping):
        return Contigs(chrom_sizes, "chrom_sizes")
    return Contigs(_read_chrom_sizes(chrom_sizes), os.fspath(chrom_sizes))


def _read_chrom_sizes(path: str | os.PathLike[str]) -> dict[str, int]:
    """Lengths of contigs from the first two columns of a file such as hg19.chrom.sizes or genome.fa.fai."""
    lengths: dict[str, int] = {}
    for number, line in numbered_lines(path):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 2 or not fields[1].isdecimal() or len(fields[1]) > MAX_DIGITS or _is_bed(fields):
            raise InputError(
                f"{path}: line {number}: expected a contig and its length, such as 'chr20 63025520', got "
                f"{line[:40]!r}; give a file such as hg19.chrom.sizes"
                + (", not a BED" if _is_bed(fields) else "")
            )
        length = int(fields[1])
        if lengths.setdefault(fields[0], length) != length:
            raise InputError(
                f"{path}: line {number}: {fields[0]} has two lengths, {lengths[fields[0]]} and {length}; "
                "give a file such as hg19.chrom.sizes"
            )
    return lengths


def _is_bed(fields: list[str]) -> bool:
    """Whether a line has a third number; only an index of a FASTA has, with two more."""
    n_numbers = sum(field.isdecimal() for field in fields[1:])
    return len(fields) > 2 and fields[2].isdecimal() and not len(fields) == n_numbers + 1 == 5


def places_of(piece: xr.Dataset, name: str) -> NDArray[np.int64]:
    """0-based place in the genome (sequence, position) of each base; `name` is the result's, for messages.

    Raises
    ------
    InputError
        The sequences have no places, or places of another length than theirs.
    """
    if not {"chrom", "start", "end"} <= set(piece.coords):
        raise InputError(
            f"{name}: its sequences have no places in the genome; read them with --fasta and --intervals, or "
            "from a dataloader whose metadata has genomic ranges"
        )
    offset = piece["position"].values[np.newaxis]
    start, end = (piece[side].values.astype(np.int64)[:, np.newaxis] for side in ("start", "end"))
    if (end - start != end[0] - start[0]).any() or offset.max() >= end[0, 0] - start[0, 0]:
        raise InputError(
            f"{name}: its intervals are of another length than its sequences, so that its bases have no "
            "known places; give each sequence the start and end of its own bases"
        )
    return np.where(is_reverse(piece)[:, np.newaxis], end - 1 - offset, start + offset)


def is_reverse(piece: xr.Dataset) -> NDArray[np.bool_]:
    """Whether each sequence (sequence) is the reverse complement of its interval."""
    if "strand" not in piece.coords:
        return np.zeros(piece.sizes["sequence"], dtype=bool)
    return np.asarray(piece["strand"].values == "-")


def inside(
    piece: xr.Dataset, places: NDArray[np.int64], is_base: NDArray[np.bool_], contigs: Contigs | None
) -> NDArray[np.bool_]:
    """Which bases (sequence, position) are on their contig.

    Raises
    ------
    InputError
        Of a sequence, more than half of the bases are beyond the contig: the contigs are of another genome.
    """
    found = is_base & (places >= 0)
    if contigs is None:
        return found
    chrom = [contigs.own_name(str(name)) for name in piece["chrom"].values]
    lengths = np.array([contigs.lengths[name] for name in chrom])
    found &= places < lengths[:, np.newaxis]
    beyond = np.flatnonzero(2 * found.sum(axis=1) < is_base.sum(axis=1))
    if beyond.size:
        row = int(beyond[0])
        raise InputError(
            f"{contigs.source}: contig {chrom[row]} has {lengths[row]:,} bases, and most of the result's "
            f"sequence {_described(piece, row, chrom[row])} is beyond it; use the genome that the result was "
            "made with"
        )
    return found


def check_bases(piece: xr.Dataset, compared: NDArray[np.bool_], genome: Genome) -> None:
    """Compare bases (sequence, position) of sequences with what the genome has at their places.

    A variant may be in them; of another strand, or another assembly, a quarter of the bases agree by chance.

    Raises
    ------
    InputError
        Of a sequence, more than half of the bases are others.
    """
    one_hot = piece["one_hot"].transpose("sequence", "position", "base").values
    chrom = [genome.contig(str(name)) for name in piece["chrom"].values]
    start = piece["start"].values
    codes = genome.windows(chrom, start, int(piece["end"].values[0] - start[0]))
    reverse = is_reverse(piece)
    codes[reverse] = reverse_complement_codes(codes[reverse])
    agree = compared & (codes[:, piece["position"].values] == one_hot.argmax(axis=-1))
    other = np.flatnonzero(2 * agree.sum(axis=1) < compared.sum(axis=1))
    if other.size:
        row = int(other[0])
        raise InputError(
            f"{genome.path}: the result's sequence {_described(piece, row, chrom[row])} is not what this "
            f"FASTA has there, read on the strand {'-' if reverse[row] else '+'}; use the FASTA that the "
            "result was made with"
        )


def _described(piece: xr.Dataset, row: int, chrom: str) -> str:
    start, end = int(piece["start"].values[row]), int(piece["end"].values[row])
    name = f"{piece['id'].values[row]!s} at " if "id" in piece.coords else ""
    return f"{name}{chrom}:{start + 1}-{end}"
