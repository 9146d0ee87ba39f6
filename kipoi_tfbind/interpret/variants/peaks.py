"""Predictions for real sites, among which those for an allele have their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.genome.intervals import Intervals, check_places
from kipoi_tfbind.interpret.variants.null_statistics import quantiles_among
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer


class PeakPredictions:
    """Predictions for windows on the summits of peaks, which those for an allele are compared with.

    Parameters
    ----------
    scorer
        Scorer of changes.
    peaks
        The peaks.
    most
        Number of peaks that are looked at, evenly spaced in the file.
    """

    def __init__(self, scorer: AlleleScorer, peaks: Intervals, most: int = 20_000) -> None:
        check_places(peaks, scorer.genome, scorer.length)
        chosen = np.unique(np.linspace(0, len(peaks) - 1, min(most, len(peaks))).astype(int))
        starts = peaks.center[chosen] - scorer.length // 2
        names = [peaks.contigs[i] for i in peaks.contig[chosen].tolist()]
        outputs = scorer.predict_windows(scorer.genome.windows(names, starts, scorer.length))
        self._sorted = np.sort(outputs, axis=0)

    def compare(self, ref: NDArray, alt: NDArray) -> dict[str, NDArray]:
        """Share of the peaks with a lower prediction than each allele (change, target)."""
        return {
            f"{name}_quantile": np.stack(
                [quantiles_among(values[:, i], self._sorted[:, i]) for i in range(values.shape[1])], axis=1
            )
            for name, values in (("ref", ref), ("alt", alt))
        }
