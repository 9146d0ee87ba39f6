"""Flanks of an allele: how far an indel can slide in it, and which strand reads first."""

from __future__ import annotations

from collections.abc import Callable

from kipoi_tfbind.dna.one_hot import N_CODE
from kipoi_tfbind.genome.reference import Genome

# Bases that are looked at on either side of an allele at first; where they do not suffice, more.
FLANK = 64
_TRANSLATE = bytes.maketrans(bytes(range(N_CODE + 1)), bytes([3, 2, 1, 0, N_CODE]))


class Flanks:
    """The genome around one allele, of which more is read when it is needed."""

    def __init__(self, genome: Genome, name: str, context: bytes, first: int) -> None:
        self._genome, self._name = genome, name
        self._context, self._first = context, first

    def codes(self, start: int, end: int) -> bytes:
        """Base codes of [start, end), N outside the contig."""
        if start < self._first or end > self._first + len(self._context):
            size = end - start
            first = min(start - size, self._first)
            last = max(end + size, self._first + len(self._context))
            self._context = self._genome.windows(self._name, [first], last - first)[0].tobytes()
            self._first = first
        return self._context[start - self._first : end - self._first]

    def slides(self, unit: bytes, start: int, end: int) -> tuple[int, int]:
        """By how many bases an indel can be written further left and further right.

        Parameters
        ----------
        unit
            The bases that are deleted or inserted.
        start, end
            0-based, half-open: the bases that are replaced.
        """
        mirrored = unit[::-1]
        left = self._agreement(lambda i, j: self.codes(start - j, start - i)[::-1], mirrored)
        right = self._agreement(lambda i, j: self.codes(end + i, end + j), unit)
        return left, right

    def _agreement(self, read: Callable[[int, int], bytes], unit: bytes) -> int:
        """Number of bases that go on with the unit, over and over; N ends it."""
        done, step = 0, FLANK // 2
        while True:
            there = read(done, done + step)
            turn = done % len(unit)
            repeats = (step + turn) // len(unit) + 1
            expected = (unit * repeats)[turn : turn + step]
            if there != expected:
                return done + next(i for i in range(step) if there[i] != expected[i])
            done, step = done + step, 4 * step


def rounds_up(flanks: Flanks, low: int, high: int, start: int, ref_size: int, alt: bytes) -> bool:
    """Whether the reading from the right end comes first in the alphabet; see the module."""
    inside = flanks.codes(low, high)
    changed = inside[: start - low] + alt + inside[start - low + ref_size :]
    for text in (inside, changed):
        mirrored = text[::-1].translate(_TRANSLATE)
        if text != mirrored:
            return mirrored < text
    for size in (FLANK // 2, 16 * FLANK):
        left = flanks.codes(low - size, low)[::-1]
        right = flanks.codes(high, high + size).translate(_TRANSLATE)
        if left != right:
            return right < left
    return False
