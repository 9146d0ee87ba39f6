"""Null effects in strata: by the GC content of the window and by the prediction for the reference allele."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.interpret.variants.null_statistics import NullEffects, Tail

NULL_SCORES = ("effect_p_value", "effect_quantile", "effect_tail_fit", "n_nulls")
# Nulls in a stratum, at least: with half of them, p-values of 1% come from the tail's fit, and are too large.
_STRATUM = 2000


class Strata:
    """Null variants of one class, by GC content and, for each target, by the prediction for the reference.

    Parameters
    ----------
    gc
        GC content (null).
    ref, effect
        Output for the reference allele, and the effect (null, target).
    """

    def __init__(self, gc: NDArray, ref: NDArray, effect: NDArray) -> None:
        n, targets = effect.shape
        n_strata = max(n // _STRATUM, 1)
        n_gc = 2 if n_strata >= 4 else 1
        self._gc_edges = np.quantile(gc, np.arange(1, n_gc) / n_gc)
        n_ref = n_strata // n_gc
        part = np.searchsorted(self._gc_edges, gc)
        self._ref_edges: list[list[NDArray]] = []
        self._nulls: list[list[list[NullEffects]]] = []
        for target in range(targets):
            edges, groups = [], []
            for each in range(n_gc):
                here = part == each
                cut = np.quantile(ref[here, target], np.arange(1, n_ref) / n_ref)
                which = np.searchsorted(cut, ref[here, target])
                edges.append(cut)
                groups.append([effect[here, target][which == i] for i in range(n_ref)])
            tail = Tail.of([np.sort(np.abs(own)) for group in groups for own in group])
            self._ref_edges.append(edges)
            self._nulls.append([[NullEffects.of(own, tail) for own in group] for group in groups])

    def compare(self, gc: NDArray, ref: NDArray, effect: NDArray) -> dict[str, NDArray]:
        """Scores (change, target) of effects among the nulls of their stratum."""
        found = {name: np.full(effect.shape, np.nan) for name in NULL_SCORES}
        part = np.searchsorted(self._gc_edges, gc)
        for target, (edges, nulls) in enumerate(zip(self._ref_edges, self._nulls, strict=True)):
            for each, cut in enumerate(edges):
                here = np.flatnonzero(part == each)
                which = np.searchsorted(cut, ref[here, target])
                for i in np.unique(which):
                    rows = here[which == i]
                    own = nulls[each][i]
                    p, fit = own.p_values(effect[rows, target])
                    found["effect_p_value"][rows, target] = p
                    found["effect_tail_fit"][rows, target] = fit
                    found["effect_quantile"][rows, target] = own.quantiles(effect[rows, target])
                    found["n_nulls"][rows, target] = len(own.magnitudes)
        return found
