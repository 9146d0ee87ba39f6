"""Maximal scoring segments of score tracks, and how often the null has such ones."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

# Scores become whole numbers of this many units per unit of scale: their sums are exact, so that a track
# read backwards has the same segments.
_UNITS = 1 << 20


def segments(
    scores: NDArray[np.float32], baseline: float, scale: float, *, min_length: int = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """All maximal scoring segments of what scores are above a baseline.

    A segment is maximal where every part of it has a smaller sum than it, and no longer stretch has this
    property (Ruzzo and Tompa 1999, ISMB 7:234-241). The definition knows no direction.

    Parameters
    ----------
    scores
        (sequence, position); no segment has a NaN in it.
    baseline
        Number that is subtracted from each score; above 0.
    scale
        Size of typical scores; differences below a millionth of it do not count.
    min_length
        Shorter segments are left out.

    Returns
    -------
    sequence, start, end
        Where each segment is, in the order of the sequences and positions.
    excess
        Sum of its scores above the baseline.

    Examples
    --------
    >>> track = np.array([[0, 3, -1, 4, 0, 0, -9, 2, np.nan]], dtype=np.float32)
    >>> [part.tolist() for part in segments(track, 0.5, 1.0)]
    [[0, 0], [1, 7], [4, 8], [4.5, 1.5]]
    """
    limit = (1 << 62) // max(scores.shape[1], 1) / _UNITS
    units = np.rint(np.clip((scores.astype(np.float64) - baseline) / scale, -limit, limit) * _UNITS)
    is_base = np.isfinite(scores)
    found = _maximal_segments(np.where(is_base, units, 0).astype(np.int64), is_base, min_length)
    return found[0], found[1], found[2], found[3] * (scale / _UNITS)


@numba.njit(cache=True)
def _maximal_segments(units, is_base, min_length):  # type: ignore[no-untyped-def]
    n, length = units.shape
    out_sequence = []
    out_start = []
    out_end = []
    out_sum = []
    start = np.empty(length, dtype=np.int64)
    end = np.empty(length, dtype=np.int64)
    left = np.empty(length, dtype=np.int64)
    right = np.empty(length, dtype=np.int64)
    for row in range(n):
        n_found = 0
        first = 0  # candidates before it are closed: an N lies between
        total = 0
        for i in range(length):
            if not is_base[row, i]:
                first = n_found
                continue
            before = total
            total += units[row, i]
            if units[row, i] <= 0:
                continue
            start[n_found], end[n_found], left[n_found], right[n_found] = i, i + 1, before, total
            k = n_found
            n_found += 1
            while True:
                j = k - 1
                while j >= first and left[j] >= left[k]:
                    j -= 1
                if j < first or right[j] >= right[k]:
                    break
                end[j], right[j] = end[k], right[k]
                k = j
                n_found = j + 1
        for k in range(n_found):
            if end[k] - start[k] >= min_length:
                out_sequence.append(row)
                out_start.append(start[k])
                out_end.append(end[k])
                out_sum.append(right[k] - left[k])
    return np.array(out_sequence), np.array(out_start), np.array(out_end), np.array(out_sum)


def p_values(scores: NDArray, null: NDArray, n_tests: int | None = None) -> NDArray[np.float64]:
    """Share of the null's tests with a score at least as large, itself counted among them.

    Parameters
    ----------
    scores
        (test,)
    null
        Scores of the null; those of its tests that are too small to be of interest may be missing.
    n_tests
        Number of the null's tests; by default those that are there.

    Examples
    --------
    >>> p_values(np.array([1.0, 5.0]), np.array([0.0, 2.0, 3.0]))
    array([0.75, 0.25])
    """
    ordered = np.sort(null)
    larger = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return (1 + larger) / (1 + (len(null) if n_tests is None else n_tests))


def q_values(p: NDArray[np.float64], n_tests: int | None = None) -> NDArray[np.float64]:
    """Benjamini and Hochberg's q-values; tests that are not there have p-values above all of these.

    Examples
    --------
    >>> q_values(np.array([0.001, 0.5]), 10)
    array([0.01, 1.  ])
    """
    n = len(p) if n_tests is None else n_tests
    if not len(p):
        return p
    return np.minimum(1, false_discovery_control(np.clip(p, 0, 1)) * (n / len(p)))
