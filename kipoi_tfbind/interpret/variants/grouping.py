"""Changes and windows put together so that each is predicted once, in batches of few sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.genome.changes import Changes
from kipoi_tfbind.genome.variant_windows import Anchors, fill_offsets

_SMALLEST_BATCH = 16


def distinct(changes: Changes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Changes that differ from all before them, and which of these each change is."""
    known: dict[tuple[int, int, int, bytes], int] = {}
    first: list[int] = []
    inverse = np.empty(len(changes), dtype=np.intp)
    columns = changes.contig.tolist(), changes.start.tolist(), changes.ref_size.tolist(), changes.alt
    for i, key in enumerate(zip(*columns, strict=True)):
        place = known.setdefault(key, len(first))
        if place == len(first):
            first.append(i)
        inverse[i] = place
    return np.array(first, dtype=np.intp), inverse


def fills(shift: NDArray[np.int64], anchors: Anchors) -> Iterator[tuple[NDArray[np.int64], NDArray[np.intp]]]:
    """Offsets at which haplotypes are cut, and the changes that they are of: each change once at a time."""
    offsets = [fill_offsets(each, anchors) for each in shift.tolist()]
    for turn in range(max(map(len, offsets))):
        chosen = np.array([i for i, some in enumerate(offsets) if turn < len(some)], dtype=np.intp)
        yield np.array([offsets[i][turn] for i in chosen], dtype=np.int64), chosen


def stretches(
    changes: Changes,
    starts: NDArray[np.int64],
    rows: NDArray[np.intp],
    first: NDArray[np.int64],
    codes: NDArray[np.uint8],
    width: int,
) -> NDArray[np.uint8]:
    """Codes (edit, position) of `width` bases from `first` on, with the new ones among them."""
    stretch = codes[rows[:, np.newaxis], first[:, np.newaxis] + np.arange(width)]
    if width == 1:
        new = b"".join([changes.alt[row] for row in rows.tolist()])
        stretch[:, 0] = np.frombuffer(new, dtype=np.uint8)
        return stretch
    for i, row in enumerate(rows.tolist()):
        at = int(changes.start[row] - starts[row] - first[i])
        new_codes = np.frombuffer(changes.alt[row], dtype=np.uint8)
        stretch[i, at : at + len(new_codes)] = new_codes
    return stretch


def groups(window: NDArray[np.intp], n_windows: int, n_edits: int) -> Iterator[slice]:
    """Slices of sorted window numbers, one for each edit, that have at most so many windows and edits each.

    Examples
    --------
    >>> [(s.start, s.stop) for s in groups(np.array([3, 3, 4, 6, 6, 6, 8]), 2, 4)]
    [(0, 3), (3, 7)]
    """
    is_new = np.concatenate([[True], np.diff(window) != 0])
    rank = np.cumsum(is_new) - 1
    begin = 0
    while begin < len(window):
        last = int(np.searchsorted(rank, rank[begin] + n_windows))
        end = min(last, begin + n_edits)
        yield slice(begin, end)
        begin = end


def padded(n: int, batch_size: int) -> int:
    """Size of a batch: few sizes, because a compiled model may be compiled anew for each."""
    size = min(_SMALLEST_BATCH, batch_size)
    while size < min(n, batch_size):
        size = min(2 * size, batch_size)
    return size
