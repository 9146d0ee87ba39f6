"""Names for filters, with the rate at which filters that learned nothing get one."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import xarray as xr

from kipoi_tfbind.interpret.filter_motifs import Source
from kipoi_tfbind.interpret.permuted_filters import permuted_filter_motifs
from kipoi_tfbind.motifs.chance import ChanceMatches, matched, needed_permutations, with_matches
from kipoi_tfbind.motifs.collect import collect_motifs
from kipoi_tfbind.motifs.match import compare, known_motifs
from kipoi_tfbind.motifs.motif import Motif


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
        Of each filter; by default as many as make 640 permuted filters, at least 25. None are made where the
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
    matches = matched(result, database, top)
    rates = {"false_match_rate": np.nan, "tomtom_false_match_rate": np.nan}
    if np.isfinite(result["kernel_matrix"].values).any():
        known, _ = known_motifs(database)
        n = n_permutations or needed_permutations(result.sizes["motif"])
        null, other = (
            compare(collect_motifs(permuted_filter_motifs(result, sequences, n=k, seed=own)), known).p_value
            for k, own in ((n, seed), (1, seed + 1))
        )
        chance = ChanceMatches(null)
        matches = chance.tested(matches, list(known))
        rates = chance.false_match_rates(other) | {"n_permuted_filters": len(null)}
    return with_matches(result, matches).assign_attrs(rates)
