"""Interactions of pairs, by whichever method: one schema, one table to compare them in."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import CompletenessWarning, InputError

Summary = Literal["mean", "largest"]
_SUBSTITUTIONS = 9


def epistasis_interaction(result: xr.Dataset, *, summary: Summary = "mean") -> xr.Dataset:
    """Make one number of the epistasis of each pair of positions, as the other methods have it.

    Parameters
    ----------
    result
        From `second_order_mutagenesis`.
    summary
        "mean" over the nine pairs of substitutions, with its sign; or the "largest" in magnitude, with its
        sign.

    Returns
    -------
    xr.Dataset
        The result with ``interaction`` (sequence, pair, target) in place of the epistasis.

    Raises
    ------
    InputError
        The result of another method, or no such summary.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, second_order_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, 0, 0] * x[:, 2, 2], targets=["A.G"])
    >>> result = second_order_mutagenesis(model, encode_sequences(["ACG"]))
    >>> epistasis_interaction(result)["interaction"].values[0, :, 0]
    array([0., 1., 0.], dtype=float32)
    """
    schema.require(result, "epistasis")
    epistasis = result["epistasis"].transpose("sequence", "pair", "target", "base_a", "base_b").values
    flat = epistasis.reshape(*epistasis.shape[:3], -1)
    if summary == "mean":
        # 0 where one of the two bases is the observed one.
        interaction = flat.sum(axis=-1) / _SUBSTITUTIONS
    elif summary == "largest":
        at = np.nan_to_num(np.abs(flat), nan=-1).argmax(axis=-1)
        interaction = np.take_along_axis(flat, at[..., np.newaxis], axis=-1)[..., 0]
    else:
        raise InputError(f"summary: expected mean or largest, got {summary!r}")
    keep = result.drop_vars(
        [name for name in result.variables if str(name).startswith(("epistasis", "base_"))]
    )
    keep["interaction"] = ("sequence", "pair", "target"), interaction
    return schema.annotate(keep.assign_attrs(summary=summary))


def compare_interactions(results: Mapping[str, xr.Dataset], *, n: int = 20) -> pd.DataFrame:
    """List the strongest pairs of several methods, each with what all the methods say of it.

    Parameters
    ----------
    results
        Name -> a result with ``interaction``, of the same sequences; that of `second_order_mutagenesis`
        counts by the mean over substitutions.
    n
        Pairs of each sequence and target: those with the best rank in any of the methods.

    Returns
    -------
    pandas.DataFrame
        A row for each sequence, target and pair: its ``id``, ``target``, ``position_a`` and ``position_b``;
        for each method its interaction, under the name of the method, and ``rank NAME`` by magnitude, 1 the
        largest. NaN where a method has no such pair.

    Raises
    ------
    InputError
        A result without interactions, or of other sequences than the first.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, second_order_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, 0, 0] * x[:, 2, 2], targets=["A.G"])
    >>> result = second_order_mutagenesis(model, encode_sequences(["ACG"]))
    >>> table = compare_interactions({"ISM": result}, n=1)
    >>> table[["position_a", "position_b", "ISM", "rank ISM"]].values.tolist()
    [[0.0, 2.0, 1.0, 1.0]]
    """
    if not results:
        raise InputError("results: expected at least one, got none")
    first_name, first = next(iter(results.items()))
    keys = ["id", "target", "position_a", "position_b"]
    table = pd.DataFrame(columns=keys)
    for name, given in results.items():
        result = epistasis_interaction(given) if "epistasis" in given else given
        if "interaction" not in result:
            raise InputError(
                f"results: {name} ({given.attrs.get('method', 'unknown method')}) has no interactions; give "
                "those of second_order_mutagenesis, integrated_hessians, deep_feature_interaction, "
                "shapley_interactions, or of surrogate with pairs"
            )
        schema.require(result, "interaction")
        ids = [_ids(each) for each in (first, result)]
        if ids[0] != ids[1]:
            raise InputError(f"results: {name} is of other sequences than {first_name}")
        own = _long(result, name)
        table = own if table.empty else table.merge(own, how="outer", on=keys)
    ranks = table[[f"rank {name}" for name in results]]
    table = table.assign(best=ranks.min(axis=1)).sort_values(
        ["id", "target", "best", "position_a", "position_b"]
    )
    chosen = table.groupby(["id", "target"], sort=False).head(n)
    return chosen.drop(columns="best").reset_index(drop=True)


def pair_coordinates(positions: NDArray[np.intp]) -> dict[str, Any]:
    """Coordinates of all pairs of positions, the lower first."""
    first, second = np.triu_indices(len(positions), k=1)
    return {"position_a": ("pair", positions[first]), "position_b": ("pair", positions[second])}


def incompleteness(
    method: str, error: NDArray, difference: NDArray, names: tuple[str, ...], tolerance: float
) -> None:
    """Warn where the error (sequence, target) of a sum is more than the tolerance, relative to the sum."""
    relative = np.abs(error) / np.maximum(np.abs(difference), 1e-12)
    if not relative.size or relative.max() <= tolerance:
        return
    sequence, target = np.unravel_index(relative.argmax(), relative.shape)
    warnings.warn(
        f"{method}: {(relative > tolerance).sum()} of {relative.size} results are not complete within "
        f"{tolerance:g}; the worst is sequence {sequence}, target {names[target]}: the interactions miss the "
        f"difference of {difference[sequence, target]:.3g} by {error[sequence, target]:.3g}",
        CompletenessWarning,
        stacklevel=2,
    )


def _ids(result: xr.Dataset) -> list[str]:
    if "id" in result.coords:
        return [str(value) for value in result["id"].values]
    return [str(row) for row in range(result.sizes["sequence"])]


def _long(result: xr.Dataset, name: str) -> pd.DataFrame:
    """One row for each sequence, target and pair."""
    values = result["interaction"].transpose("sequence", "target", "pair").values
    n, n_targets, n_pairs = values.shape
    magnitude = np.nan_to_num(np.abs(values), nan=-1)
    rank = np.empty(values.shape)
    np.put_along_axis(
        rank, np.argsort(-magnitude, axis=-1, kind="stable"), np.arange(1.0, n_pairs + 1), axis=-1
    )
    rank[np.isnan(values)] = np.nan
    targets = [str(target) for target in result["target"].values]
    return pd.DataFrame(
        {
            "id": np.repeat(_ids(result), n_targets * n_pairs),
            "target": np.tile(np.repeat(targets, n_pairs), n),
            "position_a": np.tile(result["position_a"].values, n * n_targets),
            "position_b": np.tile(result["position_b"].values, n * n_targets),
            name: values.ravel(),
            f"rank {name}": rank.ravel(),
        }
    )
