"""Predictions for the alleles of changes, over their windows and over the members of an ensemble."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class AllelePredictions(NamedTuple):
    """Predictions for both alleles of some changes.

    Attributes
    ----------
    ref, alt
        Mean output (change, target) over the windows, and over the members of an ensemble.
    window_spread
        Largest difference of one window's alt - ref from the mean (change, target), over the shifts of a
        change and the ways to fill the window of an indel: where the mean is larger, every window has its
        sign; 0 where there is one window.
    member_sd
        Standard deviation of alt - ref (change, target) over the members of an ensemble; 0 of one model.
    agreeing
        Number of members (change, target) whose alt - ref has the sign of the mean.
    contains_n
        Whether one of a change's windows has an N, or another ambiguity code of the genome, in it.
    """

    ref: NDArray[np.float64]
    alt: NDArray[np.float64]
    window_spread: NDArray[np.float64]
    member_sd: NDArray[np.float64]
    agreeing: NDArray[np.int64]
    contains_n: NDArray[np.bool_]

    def rows(self, index: NDArray[np.intp]) -> AllelePredictions:
        """Those of some of the changes."""
        return AllelePredictions(
            self.ref[index],
            self.alt[index],
            self.window_spread[index],
            self.member_sd[index],
            self.agreeing[index],
            self.contains_n[index],
        )


class WindowSums:
    """Sums over the windows of each change."""

    def __init__(self, n: int, targets: int) -> None:
        self.n = np.zeros((n, targets))
        self.contains_n = np.zeros(n, dtype=bool)
        self.ref, self.alt, self.effect = (np.zeros((n, targets)) for _ in range(3))
        self.low, self.high = np.full((n, targets), np.inf), np.full((n, targets), -np.inf)

    def spread(self) -> NDArray[np.float64]:
        """Largest difference of one window's alt - ref from the mean."""
        mean = self.effect / self.n
        return np.maximum(self.high - mean, mean - self.low)

    def add(self, rows: NDArray[np.intp], ref: NDArray, alt: NDArray) -> None:
        """Add one window of each of some changes, none twice; what is missing in `alt` is left out."""
        ref, alt = ref.astype(np.float64), alt.astype(np.float64)
        known = ~np.isnan(alt)
        effect = alt - ref
        self.n[rows] += known
        self.ref[rows] += np.where(known, ref, 0)
        self.alt[rows] += np.where(known, alt, 0)
        self.effect[rows] += np.where(known, effect, 0)
        self.low[rows] = np.fmin(self.low[rows], effect)
        self.high[rows] = np.fmax(self.high[rows], effect)
