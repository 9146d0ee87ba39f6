"""Names for filters, with the rate at which filters that learned nothing get one."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.stats import false_discovery_control

from kipoi_tfbind.interpret.filter_motifs import Source
from kipoi_tfbind.interpret.permuted_filters import false_match_rate, permuted_filter_motifs
from kipoi_tfbind.motifs.match import match_motifs
from kipoi_tfbind.motifs.motif import Motif


def match_filters(
    result: xr.Dataset,
    sequences: Source,
    database: str | os.PathLike[str] | Mapping[str, Motif] = "JASPAR",
    *,
    top: int = 3,
    n_permutations: int = 10,
    seed: int = 0,
) -> xr.Dataset:
    """Add the known motifs that filters are like to a result of `filter_motifs`.

    Tomtom's p-values are for motifs whose columns are drawn at random. Those of filters are not: they are
    made of stretches of real sequence. So the same filters with permuted weights go through the same
    matching, and the q-value of a filter's match is at least what these say: the share of the permuted
    filters with a best match as good, corrected for the number of filters (Benjamini and Hochberg).

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
        Of each filter; none where the layer does not see the sequence itself.
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
    """
    matches = match_motifs(result, database, top=top).reindex(motif=result["motif"].values)
    for name in ("match_id", "match_name", "match_orientation"):
        matches[name] = matches[name].fillna("")
    rates = {"false_match_rate": np.nan, "tomtom_false_match_rate": np.nan}
    if np.isfinite(result["kernel_matrix"].values).any():
        null = permuted_filter_motifs(result, sequences, n=n_permutations, seed=seed)
        other = permuted_filter_motifs(result, sequences, n=1, seed=seed + 1)
        of_null, of_other = (match_motifs(each, database, top=1) for each in (null, other))
        rates["tomtom_false_match_rate"] = false_match_rate(of_other)
        best = of_null["match_p_value"].values[:, 0]
        matches["match_q_value"] = matches["match_q_value"].dims, _against(matches, best)
        of_other["match_q_value"] = of_other["match_q_value"].dims, _against(of_other, best)
        rates["false_match_rate"] = false_match_rate(of_other)
    known = {name: value for name, value in matches.attrs.items() if name not in ("method", "versions")}
    return result.merge(matches.drop_attrs(deep=False), combine_attrs="override").assign_attrs(
        **result.attrs, **known, **rates
    )


def _against(matches: xr.Dataset, null: np.ndarray) -> np.ndarray:
    """q-values (motif, rank) of matches, at least those by the null's best p-values."""
    p = matches["match_p_value"].values
    known = np.isfinite(null)
    larger = (null[known][np.newaxis, np.newaxis] <= p[..., np.newaxis]).sum(axis=-1)
    empirical = (1 + larger) / (1 + known.sum())
    has = np.isfinite(p[:, 0])
    q = np.full(p.shape, np.nan)
    for rank in range(p.shape[1]):
        q[has, rank] = false_discovery_control(empirical[has, rank])
    return np.fmax(q, matches["match_q_value"].values)
