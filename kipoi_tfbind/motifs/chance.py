"""Matches of motifs that have learned nothing, and q-values from them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from kipoi_tfbind.motifs.match import match_motifs
from kipoi_tfbind.motifs.motif import Motif

# A single motif with a match needs more than 20 permutations of each to have q < 0.05.
_NULLS, _FEWEST_PERMUTATIONS = 640, 25
_LEVEL = 0.05
_TEXTS = ("match_id", "match_name", "match_orientation")


def needed_permutations(n_motifs: int) -> int:
    """Number of permutations of each of some motifs that make 640 permuted ones; at least 25.

    Examples
    --------
    >>> needed_permutations(1), needed_permutations(32)
    (640, 25)
    """
    return max(_FEWEST_PERMUTATIONS, math.ceil(_NULLS / n_motifs))


def matched(
    result: xr.Dataset, database: str | os.PathLike[str] | Mapping[str, Motif], top: int
) -> xr.Dataset:
    """Matches of all motifs of a result, by Tomtom; of those without a site they are empty."""
    matches = match_motifs(result, database, top=top).reindex(motif=result["motif"].values)
    return matches.assign({name: matches[name].fillna("") for name in _TEXTS})


def with_matches(result: xr.Dataset, matches: xr.Dataset) -> xr.Dataset:
    """A result with the matches of its motifs, and its own attributes where both have one."""
    about = {name: value for name, value in matches.attrs.items() if name not in ("method", "versions")}
    merged = result.merge(matches.drop_attrs(deep=False), combine_attrs="override")
    return merged.assign_attrs(about | result.attrs)


class ChanceMatches:
    """How good the best matches of permuted motifs are.

    Permuted motifs match some known ones more than others: those that are common in the sequences, and long
    ones with little information. So a p-value counts by what this known motif has by chance: -log p over its
    mean in the permuted motifs.

    Parameters
    ----------
    null
        Tomtom's p-values (permuted motif, known).
    """

    def __init__(self, null: NDArray[np.float64]) -> None:
        strength = _strength(null[np.isfinite(null[:, 0])])
        # Tomtom's own p-values have the mean 1.
        self._mean = np.maximum(strength.mean(axis=0), 1)
        self._best = np.sort((strength / self._mean).max(axis=1))

    def q_values(self, p: NDArray[np.float64], at: NDArray[np.intp]) -> NDArray[np.float64]:
        """q-values (motif, rank) of p-values for the known motifs at these indices, over the motifs."""
        strength = _strength(p) / self._mean[at]
        as_good = len(self._best) - np.searchsorted(self._best, np.nan_to_num(strength), side="left")
        share = (1 + as_good) / (1 + len(self._best))
        has = np.isfinite(p[:, 0])
        q = np.full(p.shape, np.nan)
        q[has] = false_discovery_control(share[has], axis=0)
        return q

    def tested(self, matches: xr.Dataset, known: Sequence[str]) -> xr.Dataset:
        """Matches with q-values of at least those by chance; `known` are the ids of the known motifs."""
        at = _indices(matches, known)
        q = np.fmax(self.q_values(matches["match_p_value"].values, at), matches["match_q_value"].values)
        return matches.assign(match_q_value=matches["match_q_value"].copy(data=q))

    def best_first(self, matches: xr.Dataset, known: Sequence[str], top: int) -> xr.Dataset:
        """Of each motif the matches that are rarest by chance, the best first."""
        strength = _strength(matches["match_p_value"].values) / self._mean[_indices(matches, known)]
        order = np.argsort(-np.nan_to_num(strength), axis=1, kind="stable")[:, :top]
        kept = {
            str(name): (("motif", "rank"), np.take_along_axis(values.values, order, axis=1))
            for name, values in matches.data_vars.items()
        }
        ranks = np.arange(1, order.shape[1] + 1)
        return xr.Dataset(kept, {"motif": matches["motif"].values, "rank": ranks}, matches.attrs)

    def false_match_rates(self, other: NDArray[np.float64], *, best_first: bool = False) -> dict[str, float]:
        """Shares of other permuted motifs whose best match has q < 0.05: so tested, and by Tomtom alone.

        The best match is Tomtom's, or that which is rarest by chance.
        """
        p = np.nan_to_num(other, nan=1)
        best = (_strength(p) / (self._mean if best_first else 1)).argmax(axis=1)
        of_tomtom = false_discovery_control(p, axis=1).min(axis=1)
        q = self.q_values(other[np.arange(len(other)), best][:, np.newaxis], best[:, np.newaxis])[:, 0]
        return {
            "false_match_rate": float((np.fmax(q, of_tomtom) < _LEVEL).mean()),
            "tomtom_false_match_rate": float((of_tomtom < _LEVEL).mean()),
        }


def _indices(matches: xr.Dataset, known: Sequence[str]) -> NDArray[np.intp]:
    """Index (motif, rank) of each match among the known motifs."""
    index = {identifier: i for i, identifier in enumerate(known)}
    names = matches["match_id"].values
    return np.array([index.get(str(name), 0) for name in names.ravel()], dtype=np.intp).reshape(names.shape)


def _strength(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log(np.maximum(p, np.finfo(float).tiny))
