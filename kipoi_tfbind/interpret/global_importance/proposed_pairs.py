"""Pairs of motifs that co-occur in hits, put to the test: their interactions in one table."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.co_occurrence import co_occurring_motifs
from kipoi_tfbind.interpret.global_importance.cooperativity import cooperativity
from kipoi_tfbind.interpret.global_importance.spacing import spacing_of_pairs
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.collect import collect_motifs
from kipoi_tfbind.results.files import open_result

Experiment = Literal["spacing", "cooperativity"]
_LEVEL = 0.05


def interaction_of_proposed_pairs(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    hits: xr.Dataset | str | os.PathLike[str],
    *,
    experiment: Experiment = "cooperativity",
    top: int = 5,
    level: float = 0.05,
    consensus: bool = False,
    **settings: Any,
) -> xr.Dataset:
    """Test by global importance analysis whether motifs interact whose hits are in the same sequences.

    The pairs are those of `co_occurring_motifs` with a q-value of at most `level`, the first `top` of them.
    That motifs co-occur says how sequences are made, that they interact says what the model makes of it.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    hits
        Result of `find_hits`, or the file of one; its motifs are embedded.
    experiment
        "spacing" or "cooperativity": `spacing_of_pairs`, or `cooperativity` of these pairs.
    top
        Largest number of pairs.
    level
        Largest q-value of the co-occurrence.
    consensus
        Embed the likeliest sequence of each motif, instead of draws from it.
    **settings
        Of the experiment.

    Returns
    -------
    xr.Dataset
        That of the experiment, and by pair those of `co_occurring_motifs`, and by (pair, target)
        ``pair_interaction``, of the pair's patterns the one with the smallest q-value, with its interval
        ``pair_interaction_low`` and ``_high``, ``pair_interaction_q_value`` (corrected for all patterns
        of all pairs), ``pair_interaction_pattern``, and ``pair_n_interacting`` of
        ``pair_n_arrangements`` with a q-value below 0.05.

    Raises
    ------
    InputError
        No pair co-occurs, or as of the experiment.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.motifs.collect import motif_table
    >>> from kipoi_tfbind.testing import motif_counter
    >>> places = {"sequence": [0, 0, 1, 1, 2, 2, 3], "start": [5, 20, 9, 30, 4, 40, 8]}
    >>> variables = {f"hit_{name}": ("hit", values) for name, values in places.items()}
    >>> names = ["GATA", "CACG", "GATA", "CACG", "GATA", "CACG", "TTT"]
    >>> variables |= {"hit_end": ("hit", np.array(places["start"]) + 4), "hit_motif": ("hit", names)}
    >>> motifs = motif_table(collect_motifs(["GATA", "CACG", "TTT"]))
    >>> hits = xr.Dataset(variables, attrs={"n_sequences": 20}).merge(motifs, combine_attrs="override")
    >>> model = as_sequence_model(motif_counter("GATANNNCACG"))
    >>> result = interaction_of_proposed_pairs(
    ...     model, make_backgrounds("uniform", 50, length=40), hits, gaps=[3]
    ... )
    >>> result["pair"].values.tolist(), result["pair_interaction_pattern"].values.tolist()
    (['CACG, GATA'], [['GATA CACG ++ gap 3']])
    """
    if experiment not in get_args(Experiment) or top < 1 or not 0 < level <= 1:
        raise InputError(
            f"experiment, top, level: expected {' or '.join(get_args(Experiment))}, a number from 1 on and a "
            f"q-value, got {experiment!r}, {top} and {level}"
        )
    if not isinstance(hits, xr.Dataset):
        with open_result(hits) as opened:
            hits = opened.load()
    co_occurring = co_occurring_motifs(hits)
    proposed = co_occurring.isel(pair=(co_occurring["pair_q_value"] <= level).values).isel(pair=slice(top))
    if not proposed.sizes["pair"]:
        best = co_occurring.isel(pair=0)
        raise InputError(
            f"hits: no two of its motifs co-occur at q <= {level:g}; the best are {best['pair'].item()} with "
            f"q = {float(best['pair_q_value']):.2g}; give more sequences"
        )
    pairs = list(zip(proposed["pair_motif_a"].values, proposed["pair_motif_b"].values, strict=True))
    used = {name for pair in pairs for name in pair}
    motifs = {name: motif for name, motif in collect_motifs(hits).items() if name in used}
    if consensus:
        motifs = {name: motif.consensus() for name, motif in motifs.items()}
    if experiment == "spacing":
        found = spacing_of_pairs(model, backgrounds, motifs, pairs, **settings)
    else:
        found = cooperativity(model, backgrounds, motifs, pairs=pairs, **settings)
    return schema.annotate(
        found.assign(_strongest(found, pairs))
        .merge(proposed, combine_attrs="override")
        .assign_attrs(
            **found.attrs, n_proposed=len(pairs), n_pairs_in_hits=co_occurring.sizes["pair"], level=level
        )
    )


def _strongest(
    result: xr.Dataset, pairs: list[tuple[str, str]]
) -> dict[str, tuple[tuple[str, ...], NDArray]]:
    """Of each pair and target, the interaction with the smallest q-value, the larger one of equal ones."""
    shape = len(pairs), result.sizes["target"]
    numbers = ("interaction", "interaction_low", "interaction_high", "interaction_q_value")
    found = {name: np.full(shape, np.nan) for name in numbers}
    found |= {name: np.zeros(shape, dtype=np.int64) for name in ("n_interacting", "n_arrangements")}
    found["interaction_pattern"] = np.full(shape, "", dtype=object)
    q, difference = result["difference_q_value"].values, result["difference"].values
    a, b = (result[name].values.astype(str) for name in ("motif_a", "motif_b"))
    is_pair = result["role"].values == "pair"
    for i, (first, second) in enumerate(pairs):
        own = np.flatnonzero(is_pair & (((a == first) & (b == second)) | ((a == second) & (b == first))))
        for j in range(shape[1]):
            tested = own[np.isfinite(q[own, j])]
            found["n_arrangements"][i, j] = len(tested)
            if not len(tested):
                continue
            best = tested[np.lexsort((-np.abs(difference[tested, j]), q[tested, j]))[0]]
            found["n_interacting"][i, j] = (q[tested, j] < _LEVEL).sum()
            found["interaction"][i, j], found["interaction_q_value"][i, j] = difference[best, j], q[best, j]
            for end in ("low", "high"):
                found[f"interaction_{end}"][i, j] = result[f"difference_{end}"].values[best, j]
            found["interaction_pattern"][i, j] = str(result["pattern"].values[best])
    return {f"pair_{name}": (("pair", "target"), values) for name, values in found.items()}
