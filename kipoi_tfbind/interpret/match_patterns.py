"""Names for patterns of contributions, with the rate at which patterns in another order get one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import numpy as np
import xarray as xr

from kipoi_tfbind.motifs.chance import ChanceMatches, matched, needed_permutations, with_matches
from kipoi_tfbind.motifs.collect import collect_motifs
from kipoi_tfbind.motifs.match import compare, kept_columns, known_motifs
from kipoi_tfbind.motifs.motif import Motif

_CANDIDATES = 10  # of Tomtom's matches, which are put in the order in which chance has them
_TRIM = 0.3  # of the contributions of the strongest column, as in TF-MoDISco's own reports


def match_patterns(
    result: xr.Dataset,
    database: str | os.PathLike[str] | Mapping[str, Motif] = "JASPAR",
    *,
    top: int = 3,
    n_permutations: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Add the known motifs that patterns are like to a result of `find_patterns`.

    A wide pattern of few seqlets has many columns with little information, and by Tomtom alone is like any
    known motif that is long and has such columns, too. So the same patterns with their columns in another
    order go through the same matching; the q-values come from them, as in `match_filters`, and of ten matches
    by Tomtom that which is rarest by chance comes first. Columns at the
    ends of a pattern whose contributions are below 0.3 of those of its strongest column are not compared.

    Parameters
    ----------
    result
        Result of `find_patterns`.
    database
        As in `match_motifs`.
    top
        How many matches of each pattern to give.
    n_permutations
        Of each pattern; by default as many as make 640 permuted ones, at least 25.
    seed
        Of the permutations.

    Returns
    -------
    xr.Dataset
        The result with ``match_id``, ``match_name``, ``match_p_value``, ``match_q_value`` and the others of
        `match_motifs` (motif, rank), and the attributes ``false_match_rate`` and
        ``tomtom_false_match_rate`` of other permuted patterns.

    Raises
    ------
    InputError
        As `match_motifs`.
    MissingProgramError
        memelite or pyjaspar is not installed.

    Examples
    --------
    >>> named = match_patterns(find_patterns("deepshap.nc"))  # doctest: +SKIP
    >>> named["match_name"].values[0, 0]  # doctest: +SKIP
    'CTCF'
    """
    trimmed, start = _trimmed(result)
    matches = matched(trimmed, database, max(top, _CANDIDATES))
    matches = matches.assign(match_offset=matches["match_offset"] - start)
    known, _ = known_motifs(database)
    patterns = collect_motifs(trimmed)
    n = n_permutations or needed_permutations(len(patterns))
    chance = ChanceMatches(compare(_permuted(patterns, n, seed), known).p_value)
    rates = chance.false_match_rates(
        compare(_permuted(patterns, 1, seed + 1), known).p_value, best_first=True
    )
    best = chance.tested(chance.best_first(matches, list(known), top), list(known))
    return with_matches(result, best).assign_attrs(rates)


def _trimmed(result: xr.Dataset) -> tuple[xr.Dataset, xr.DataArray]:
    """Patterns without the ends that contribute little, and the column at which each begins."""
    if "contribution_matrix" not in result:
        return result, xr.zeros_like(result["n_motif_sites"])
    size = abs(result["contribution_matrix"]).sum("base")  # 0 where a column is missing
    strong = size >= _TRIM * size.max("column")
    start, end = strong.argmax("column"), strong.sizes["column"] - strong[:, ::-1].argmax("column")
    inside = (size["column"] >= start) & (size["column"] < end)
    return result.assign(motif_matrix=result["motif_matrix"].where(inside)), start


def _permuted(patterns: Mapping[str, Motif], n: int, seed: int) -> dict[str, Motif]:
    """Patterns with the columns between their uninformative ends in another order."""
    found = {}
    for name, pattern in patterns.items():
        start, end = kept_columns(pattern.matrix, 0.2)
        core = pattern.matrix[start:end] if end > start else pattern.matrix
        rounded = np.rint(core * 1e6).astype(np.int64).tobytes()
        rng = np.random.default_rng([seed, *hashlib.sha256(rounded).digest()])
        for draw in range(n):
            label = f"{name} permuted {draw}"
            found[label] = Motif(label, rng.permutation(core))
    return found
