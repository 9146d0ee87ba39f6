"""Every SNV of some intervals, as a stream of VCF records: an atlas is a VCF that nobody had to write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, N_CODE
from kipoi_tfbind.genome.intervals import Intervals, check_places, read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.vcf_stream import RecordBlock

_OTHERS = [[base for base in BASES if base != own] for own in BASES]
# Blocks whose bases are read in one go.
_READ_TOGETHER = 256


@dataclass(frozen=True)
class UnmadeBlock:
    """The bases that a block of records is made of.

    Attributes
    ----------
    contig
        Name of the contig.
    place
        0-based position of each base.
    codes
        Base codes, none of them N.
    n_before
        Number of records in the blocks before this one.
    """

    contig: str
    place: NDArray[np.int64]
    codes: NDArray[np.uint8]
    n_before: int

    def __len__(self) -> int:
        return len(self.place)

    @property
    def content(self) -> bytes:
        """Bytes that tell this block from any other one."""
        return b"\0".join([self.contig.encode(), self.place.tobytes(), self.codes.tobytes()])

    def make(self) -> RecordBlock:
        """The records."""
        own, pos, n = self.codes.tolist(), (self.place + 1).tolist(), len(self)
        return RecordBlock(
            lines=[
                f"{self.contig}\t{p}\t.\t{BASES[code]}\t{','.join(_OTHERS[code])}\t.\t.\t.\n".encode()
                for p, code in zip(pos, own, strict=True)
            ],
            numbers=list(range(self.n_before + 1, self.n_before + n + 1)),
            contigs=[self.contig],
            line=np.repeat(np.arange(n), 3),
            contig=np.zeros(3 * n, dtype=np.int64),
            pos=np.repeat(np.array(pos, dtype=np.int64), 3),
            id=["."] * (3 * n),
            ref=[BASES[code] for code in own for _ in range(3)],
            alt=[base for code in own for base in _OTHERS[code]],
            reason=[""] * (3 * n),
        )


class AllSnvs:
    r"""One record for each base of the intervals, with the three other bases as its alternative alleles.

    Records are sorted as the FASTA's contigs are, overlapping intervals are joined, and N has no record.

    Parameters
    ----------
    genome
        The FASTA.
    intervals
        BED or narrowPeak file, or intervals.

    Attributes
    ----------
    name : str
        Name of the records in messages.
    header : list of bytes
        Lines of the VCF's header.
    unit : str
        Word for a record.

    Raises
    ------
    InputError
        The intervals cannot be read, or do not lie on the FASTA's contigs.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.fa").write_text(">20\nAANCGG\n")
    >>> _ = (folder / "a.bed").write_text("chr20\t1\t3\nchr20\t2\t4\n")
    >>> [block] = AllSnvs(Genome(folder / "a.fa"), folder / "a.bed").blocks(100)
    >>> print(b"".join(block.lines).decode().replace("\t", " ").strip())
    20 2 . A C,G,T . . .
    20 4 . C A,G,T . . .
    """

    unit = "record"

    def __init__(self, genome: Genome, intervals: str | os.PathLike[str] | Intervals) -> None:
        where = "regions" if isinstance(intervals, Intervals) else os.fspath(intervals)
        self.name = f"all SNVs of {where}"
        self._genome = genome
        found = intervals if isinstance(intervals, Intervals) else read_intervals(intervals)
        check_places(found, genome, 1)
        order = {name: number for number, name in enumerate(genome.lengths)}
        own = [genome.contig(name) for name in found.contigs]
        places = zip(found.contig.tolist(), found.start.tolist(), found.end.tolist(), strict=True)
        self._stretches: list[tuple[str, int, int]] = []
        for _, name, start, end in sorted((order[own[c]], own[c], start, end) for c, start, end in places):
            if self._stretches and self._stretches[-1][0] == name and start <= self._stretches[-1][2]:
                _, before, after = self._stretches.pop()
                start, end = before, max(after, end)
            self._stretches.append((name, start, end))
        contigs = dict.fromkeys(name for name, _, _ in self._stretches)
        lines = [
            "##fileformat=VCFv4.3",
            *(f"##contig=<ID={name},length={genome.lengths[name]}>" for name in contigs),
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
        ]
        self.header = [line.encode() + b"\n" for line in lines]

    def blocks(self, size: int) -> Iterator[RecordBlock]:
        """Blocks of `size` records, fewer at the end of an interval, or where there is N."""
        for block in self.unmade_blocks(size):
            yield block.make()

    def unmade_blocks(self, size: int) -> Iterator[UnmadeBlock]:
        """The same, not made yet: to make a record takes far longer than to read its base."""
        number = 0
        for name, start, end in self._stretches:
            for piece in range(start, end, size * _READ_TOGETHER):
                piece_end = min(piece + size * _READ_TOGETHER, end)
                piece_codes = self._genome.windows(name, [piece], piece_end - piece)[0]
                for first in range(piece, piece_end, size):
                    codes = piece_codes[first - piece :][:size]
                    known = np.flatnonzero(codes != N_CODE)
                    if len(known):
                        yield UnmadeBlock(name, first + known, codes[known], number)
                        number += len(known)
