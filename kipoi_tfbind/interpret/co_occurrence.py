"""Pairs of motifs whose hits are in the same sequences more often than chance has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._segments import q_values
from kipoi_tfbind.results.files import open_result


def co_occurring_motifs(hits: xr.Dataset | str | os.PathLike[str]) -> xr.Dataset:
    """Test of every two motifs whether they have hits in the same sequences more often than chance.

    Of n sequences some have a hit of the one motif, some of the other. If these are independent, the number
    that have both is hypergeometric; the p-value is the probability of as many or more (Fisher's exact test,
    one-sided), the q-values are Benjamini and Hochberg's over all pairs. Sequences of one kind should be
    given: of bound and unbound ones together, motifs co-occur because both are where factors bind.

    Parameters
    ----------
    hits
        Result of `find_hits`, or the file of one. Its hits do not overlap, so that alike motifs are not
        counted at one place.

    Returns
    -------
    xr.Dataset
        (pair), the smallest p-value first: ``pair_motif_a``, ``pair_motif_b``, ``n_with_both``,
        ``expected_with_both``, ``odds_ratio``, ``pair_distance`` (median distance of the centres of the
        closest two in a sequence, bp), ``pair_p_value``, ``pair_q_value``.

    Raises
    ------
    InputError
        It is no result of `find_hits`, or fewer than two motifs have hits.

    Examples
    --------
    >>> places = {"sequence": [0, 0, 1, 1, 2, 2, 3], "start": [5, 20, 9, 30, 4, 40, 8]}
    >>> variables = {f"hit_{name}": ("hit", values) for name, values in places.items()}
    >>> variables |= {"hit_end": ("hit", np.array(places["start"]) + 8)}
    >>> variables |= {"hit_motif": ("hit", list("ABABABC"))}
    >>> found = co_occurring_motifs(xr.Dataset(variables, attrs={"n_sequences": 20})).isel(pair=0)
    >>> found["pair"].item(), int(found["n_with_both"]), float(found["expected_with_both"])
    ('A, B', 3, 0.45)
    >>> float(found["pair_p_value"].round(6))
    0.000877
    """
    if not isinstance(hits, xr.Dataset):
        with open_result(hits) as opened:
            return co_occurring_motifs(opened)
    if "hit_motif" not in hits or "n_sequences" not in hits.attrs:
        method = hits.attrs.get("method", "an unknown method")
        raise InputError(f"hits: of {method}, which has no hits in a number of sequences; give one of hits")
    n = int(hits.attrs["n_sequences"])
    motif = hits["hit_motif"].values.astype(str)
    names = sorted(set(motif))
    if len(names) < 2:
        raise InputError(
            f"hits: expected hits of at least two motifs, got {', '.join(names) or 'none'}; look for more, "
            "or with a larger --fdr"
        )
    sequence = hits["hit_sequence"].values.astype(np.intp)
    centre = (hits["hit_start"].values + hits["hit_end"].values) / 2
    has = np.zeros((len(names), n), dtype=bool)
    has[np.searchsorted(names, motif), sequence] = True
    pairs = list(combinations(range(len(names)), 2))
    table = np.array([[(has[a] & has[b]).sum(), has[a].sum(), has[b].sum()] for a, b in pairs])
    both, first, second = table.T
    p = stats.hypergeom.sf(both - 1, n, first, second)
    q = q_values(np.clip(p, 0, 1))
    order = np.lexsort((-both, p))
    by_name = {name: (sequence[motif == name], centre[motif == name]) for name in names}
    distance = [_median_distance(by_name[names[pairs[i][0]]], by_name[names[pairs[i][1]]]) for i in order]
    values: dict[str, NDArray | Sequence[object]] = {
        "pair_motif_a": np.array([names[pairs[i][0]] for i in order], dtype=object),
        "pair_motif_b": np.array([names[pairs[i][1]] for i in order], dtype=object),
        "n_with_both": both[order],
        "expected_with_both": (first * second / n)[order],
        "odds_ratio": _odds_ratio(both, first, second, n)[order],
        "pair_distance": np.array(distance),
        "pair_p_value": p[order],
        "pair_q_value": q[order],
    }
    labels = [f"{a}, {b}" for a, b in zip(values["pair_motif_a"], values["pair_motif_b"], strict=True)]
    kept = ("target", "model", "model_hash", "contribution_method", "fdr")
    return schema.annotate(
        xr.Dataset(
            {name: (("pair",), each) for name, each in values.items()},
            coords={"pair": labels},
            attrs={
                "method": "co_occurring_motifs",
                "n_sequences": n,
                **{name: hits.attrs[name] for name in kept if name in hits.attrs},
            },
        )
    )


def _odds_ratio(both: NDArray, first: NDArray, second: NDArray, n: int) -> NDArray[np.float64]:
    """Odds ratios with half a sequence added to each of the four numbers."""
    neither = n - first - second + both
    return (both + 0.5) * (neither + 0.5) / ((first - both + 0.5) * (second - both + 0.5))


def _median_distance(one: tuple[NDArray, NDArray], other: tuple[NDArray, NDArray]) -> float:
    """Median distance of the closest two hits, over the sequences that have both."""
    shared = np.intersect1d(one[0], other[0])
    closest = [
        np.abs(one[1][one[0] == row][:, np.newaxis] - other[1][other[0] == row]).min() for row in shared
    ]
    return float(np.median(closest)) if closest else np.nan
