"""Names for filters, with the rate at which filters that learned nothing get one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from kipoi_tfbind.interpret.filter_motifs import Source
from kipoi_tfbind.interpret.permuted_filters import permuted_filter_motifs
from kipoi_tfbind.motifs.collect import collect_motifs
from kipoi_tfbind.motifs.match import compare, known_motifs, match_motifs
from kipoi_tfbind.motifs.motif import Motif

_NULLS, _FEWEST_PERMUTATIONS = 640, 5
_LEVEL = 0.05


def match_filters(
    result: xr.Dataset,
    sequences: Source,
    database: str | os.PathLike[str] | Mapping[str, Motif] = "JASPAR",
    *,
    top: int = 3,
    n_permutations: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Add the known motifs that filters are like to a result of `filter_motifs`.

    Tomtom's p-values are for motifs whose columns are drawn at random. Those of filters are not: they are
    made of stretches of real sequence, and those have motifs. So the same filters with permuted weights go
    through the same matching, and the q-value of a filter's match is at least what these say: the share of
    the permuted filters with a best match as good, corrected for the number of filters (Benjamini and
    Hochberg). As good is measured by -log p over its mean for the same known motif in the permuted filters:
    some known motifs are like much of the sequences.

    Parameters
    ----------
    result
        Result of `filter_motifs`.
    sequences
        The sequences that it was made with.
    database
        As in `match_motifs`.
    top
        How many matches of each filter to give.
    n_permutations
        Of each filter; by default as many as make 640 permuted filters, at least 5. None are made where the
        layer does not see the sequence itself.
    seed
        Of the permutations.

    Returns
    -------
    xr.Dataset
        The result with ``match_id``, ``match_name``, ``match_p_value``, ``match_q_value`` and the others of
        `match_motifs` (motif, rank). The attribute ``false_match_rate`` is the share of other permuted
        filters, put in the filters' place, that match at q < 0.05; ``tomtom_false_match_rate`` that by
        Tomtom alone. They are NaN where no weights can be permuted.

    Raises
    ------
    InputError
        As `match_motifs`.
    MissingProgramError
        memelite or pyjaspar is not installed.

    Examples
    --------
    Tomtom is compiled at its first call, which takes a minute.

    >>> found = match_filters(filter_motifs(model, sequences), sequences)  # doctest: +SKIP
    >>> found["match_name"].values[:2, 0].tolist()  # doctest: +SKIP
    ['CTCF', 'ZNF354A']
    >>> found.attrs["false_match_rate"]  # doctest: +SKIP
    0.0
    """
    matches = match_motifs(result, database, top=top).reindex(motif=result["motif"].values)
    for name in ("match_id", "match_name", "match_orientation"):
        matches[name] = matches[name].fillna("")
    rates = {"false_match_rate": np.nan, "tomtom_false_match_rate": np.nan}
    if np.isfinite(result["kernel_matrix"].values).any():
        known, _ = known_motifs(database)
        n = n_permutations or max(_FEWEST_PERMUTATIONS, math.ceil(_NULLS / result.sizes["motif"]))
        null, other = (
            compare(collect_motifs(permuted_filter_motifs(result, sequences, n=k, seed=own)), known).p_value
            for k, own in ((n, seed), (1, seed + 1))
        )
        chance = _Chance(null)
        best = np.argmin(np.nan_to_num(other, nan=1), axis=1)
        own_p = other[np.arange(len(other)), best]
        of_tomtom = false_discovery_control(np.nan_to_num(other, nan=1), axis=1).min(axis=1)
        rates["tomtom_false_match_rate"] = float((of_tomtom < _LEVEL).mean())
        q = np.fmax(chance.q_values(own_p[:, np.newaxis], best[:, np.newaxis])[:, 0], of_tomtom)
        rates["false_match_rate"] = float((q < _LEVEL).mean())
        index = {identifier: i for i, identifier in enumerate(known)}
        at = np.vectorize(lambda identifier: index.get(identifier, 0), otypes=[int])(
            matches["match_id"].values
        )
        q = np.fmax(chance.q_values(matches["match_p_value"].values, at), matches["match_q_value"].values)
        matches["match_q_value"] = matches["match_q_value"].dims, q
        rates["n_permuted_filters"] = len(null)
    known_to = {name: value for name, value in matches.attrs.items() if name not in ("method", "versions")}
    return result.merge(matches.drop_attrs(deep=False), combine_attrs="override").assign_attrs(
        **result.attrs, **known_to, **rates
    )


class _Chance:
    """How good the best matches of permuted filters are.

    Permuted filters match some known motifs more than others, those that are common in the sequences. So a
    p-value counts by what this known motif has by chance: -log p over its mean in the permuted filters.
    """

    def __init__(self, null: NDArray[np.float64]) -> None:
        """From Tomtom's p-values (permuted filter, known)."""
        strength = _strength(null[np.isfinite(null[:, 0])])
        # Tomtom's own p-values have the mean 1.
        self._mean = np.maximum(strength.mean(axis=0), 1)
        self._best = np.sort((strength / self._mean).max(axis=1))

    def q_values(self, p: NDArray[np.float64], at: NDArray[np.intp]) -> NDArray[np.float64]:
        """q-values (filter, rank) of p-values for the known motifs at these indices, over the filters."""
        strength = _strength(p) / self._mean[at]
        as_good = len(self._best) - np.searchsorted(self._best, np.nan_to_num(strength), side="left")
        share = (1 + as_good) / (1 + len(self._best))
        has = np.isfinite(p[:, 0])
        q = np.full(p.shape, np.nan)
        q[has] = false_discovery_control(share[has], axis=0)
        return q


def _strength(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log(np.maximum(p, np.finfo(float).tiny))
