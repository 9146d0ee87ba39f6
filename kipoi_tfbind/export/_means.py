"""Means of scores by position on a contig, in memory for the stretches that are covered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Peaks are hundreds to thousands of bases long and lie far apart: of longer blocks, most would be empty.
_BLOCK = 1024
_BLOCKS_AT_ONCE = 256


class Means:
    """Means of scores by position, to which any number of scores may be added.

    It is false as long as there are none.

    Examples
    --------
    >>> means = Means()
    >>> means.add(np.array([7, 5]), np.array([1.0, 2.0]))
    >>> means.add(np.array([7, 2000]), np.array([4.0, 8.0]))
    >>> [(positions.tolist(), scores.tolist()) for positions, scores in means.parts()]
    [([5, 7, 2000], [2.0, 2.5, 8.0])]
    """

    def __init__(self) -> None:
        # Number of a block of positions -> sums and numbers of the scores in it.
        self._blocks: dict[int, tuple[NDArray[np.float64], NDArray[np.int32]]] = {}

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def add(self, positions: NDArray[np.int64], scores: NDArray) -> None:
        """Add scores at 0-based positions, which may come in any order and more than once."""
        order = np.argsort(positions, kind="stable")
        block = positions[order] // _BLOCK
        for rows in np.split(order, np.flatnonzero(np.diff(block)) + 1):
            if not len(rows):
                continue
            number = int(positions[rows[0]] // _BLOCK)
            if number not in self._blocks:
                self._blocks[number] = np.zeros(_BLOCK), np.zeros(_BLOCK, dtype=np.int32)
            sums, counts = self._blocks[number]
            offset = positions[rows] - number * _BLOCK
            np.add.at(sums, offset, scores[rows])
            np.add.at(counts, offset, 1)

    def __len__(self) -> int:
        """Number of positions that have scores."""
        return sum(int(np.count_nonzero(counts)) for _, counts in self._blocks.values())

    def parts(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Positions that have scores, sorted, and the mean of the scores at each, some at a time."""
        numbers = sorted(self._blocks)
        for first in range(0, len(numbers), _BLOCKS_AT_ONCE):
            some = numbers[first : first + _BLOCKS_AT_ONCE]
            sums, counts = (
                np.array(values) for values in zip(*(self._blocks[number] for number in some), strict=True)
            )
            row, offset = np.nonzero(counts)
            positions = np.array(some, dtype=np.int64)[row] * _BLOCK + offset
            yield positions, sums[row, offset] / counts[row, offset]
