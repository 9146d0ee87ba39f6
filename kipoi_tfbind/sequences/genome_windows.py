"""Windows of one length around the intervals of a file, as sequence Datasets."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES, one_hot_codes, reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.intervals import Intervals, check_places
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.results.numbered import Numbered

# A window takes about as long to read as so many bytes of the FASTA take to hash.
_BYTES_OF_A_WINDOW = 1 << 16
_MOST = 1024


class GenomeWindows:
    """Windows of a genome.

    Parameters
    ----------
    table
        The intervals; one of strand "-" is read as its reverse complement.
    genome
        The FASTA.
    length
        Length of the windows, around the intervals' centres; None for the intervals as they are.

    Raises
    ------
    InputError
        An interval is not on the FASTA's contigs; no `length`, and intervals of several lengths.
    """

    def __init__(self, table: Intervals, genome: Genome, length: int | None) -> None:
        self._table, self._genome = table, genome
        self._chrom = np.array(table.contigs, dtype=np.str_)[table.contig]
        if length is None:
            self.length, self._start = _common_length(table), table.start
        else:
            self.length, self._start = length, table.center - length // 2
        check_places(table, genome, self.length)

    def __len__(self) -> int:
        return len(self._chrom)

    def datasets(
        self, rows: NDArray[np.intp] | None = None, chunk: int | None = _MOST
    ) -> Iterator[xr.Dataset]:
        """Windows of these intervals, or of all, so many at a time; None for all at once.

        Raises
        ------
        InputError
            As `Genome.windows`; before the first Dataset, and not after hours.
        """
        rows = np.arange(len(self)) if rows is None else rows
        if chunk is not None and chunk < len(rows):
            self._genome.check_windows(self._chrom[rows].tolist(), self._start[rows], self.length)
        step = len(rows) if chunk is None else chunk
        for first in range(0, len(rows), step):
            yield self._dataset(rows[first : first + step])

    def numbered(self, chunk: int | None) -> Numbered:
        """The same, by number."""
        return Numbered(len(self), self.length, self._hash(), lambda rows: self.datasets(rows, chunk))

    def _dataset(self, rows: NDArray[np.intp]) -> xr.Dataset:
        start, strand = self._start[rows], self._table.strand[rows]
        codes = self._genome.windows(self._chrom[rows].tolist(), start, self.length)
        reverse = strand == "-"
        codes[reverse] = reverse_complement_codes(codes[reverse])
        return sequence_dataset(
            codes,
            id=np.array(self._table.name[rows].tolist(), dtype=np.str_),
            chrom=self._chrom[rows],
            start=start,
            end=start + self.length,
            strand=strand,
        )

    def _hash(self) -> str:
        """Hash of the places, and of all windows, or of the FASTA's bytes where that is less work."""
        digest = hashlib.sha256(f"{self.length}\0".encode())
        for texts in (self._chrom, self._table.name, self._table.strand):
            digest.update("".join(f"{text}\0" for text in texts.tolist()).encode())
        digest.update(np.ascontiguousarray(self._start).data)
        n, path = len(self), self._genome.path
        if os.path.getsize(path) <= n * _BYTES_OF_A_WINDOW:
            contigs = "".join(f"{name} {length}\0" for name, length in self._genome.lengths.items())
            digest.update(f"{contigs}{_hash_of_file(path, *_version(path))}".encode())
        else:
            for first in range(0, n, _MOST):
                rows = slice(first, first + _MOST)
                codes = self._genome.windows(self._chrom[rows].tolist(), self._start[rows], self.length)
                digest.update(codes.data)
        return digest.hexdigest()[:16]


def sequence_dataset(codes: NDArray[np.uint8], **coordinates: NDArray) -> xr.Dataset:
    """A sequence Dataset from base codes (sequence, position) and coordinates (sequence)."""
    return schema.annotate(
        xr.Dataset(
            {"one_hot": (("sequence", "position", "base"), one_hot_codes(codes))},
            coords={
                **{name: ("sequence", values) for name, values in coordinates.items()},
                "position": np.arange(codes.shape[1]),
                "base": list(BASES),
            },
        )
    )


def _version(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=16)
def _hash_of_file(path: str, size: int, time: int) -> str:
    """Hash of a file's bytes; once for all shards of a process, as long as the file is the same."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _common_length(table: Intervals) -> int:
    lengths = table.end - table.start
    other = np.flatnonzero(lengths != lengths[0])
    if other.size:
        raise InputError(
            f"{table.path}: line {table.line[other[0]]}: an interval of {lengths[other[0]]} bases, where "
            f"line {table.line[0]} has one of {lengths[0]}; set a length for windows around their centres "
            "(length=; --length)"
        )
    return int(lengths[0])
