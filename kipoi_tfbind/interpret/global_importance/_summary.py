"""Effects of patterns on backgrounds -> their means, intervals, tests and ranks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.interpret._method import Variables, _over_members
from kipoi_tfbind.interpret.global_importance._comparisons import (
    Factors,
    compared,
    mean_difference,
    mean_over_backgrounds,
)
from kipoi_tfbind.interpret.global_importance.statistics import (
    benjamini_hochberg,
    paired_statistics,
    rounding_of,
)
from kipoi_tfbind.results.files import add_variables
from kipoi_tfbind.results.shards import MARK

# Predictions (background, target) and effects (pattern, background, target) of one model.
MemberEffects = tuple[NDArray, NDArray]
# Attribute of a shard: the comparisons, as rows, and rows and factors of what each is compared with.
FACTORS = f"{MARK}_factors"
# Statistics of paired_statistics -> the ending of a variable's name.
_ENDINGS = {
    "mean": "",
    "standard_error": "_standard_error",
    "low": "_low",
    "high": "_high",
    "bootstrap_low": "_bootstrap_low",
    "bootstrap_high": "_bootstrap_high",
    "p_value": "_p_value",
    "permutation_p_value": "_permutation_p_value",
}


def summary(
    members: Iterable[MemberEffects],
    factors: Factors,
    statistics: Mapping[str, Any],
    *,
    corrected: bool = True,
) -> Variables:
    """All variables of a result.

    Parameters
    ----------
    members
        Predictions and effects of the model, or of each member of an ensemble.
    factors
        The comparisons between patterns.
    statistics
        Arguments of `paired_statistics`.
    corrected
        Correct for the number of patterns.
    """

    def variables(prediction: NDArray, effect: NDArray) -> Variables:
        return {
            "unedited_prediction": (("background", "target"), prediction),
            "pattern_effect": (("pattern", "background", "target"), effect),
            "importance": (("pattern", "target"), mean_over_backgrounds(effect)),
            "difference": (("pattern", "target"), mean_difference(effect, factors)),
        }

    found = _over_members(variables(*member) for member in members)
    effect, unedited = found["pattern_effect"][1], found["unedited_prediction"][1]
    return found | _statistics(effect, unedited, factors, statistics, corrected=corrected)


def correct(result: xr.Dataset) -> xr.Dataset:
    """Add what depends on all patterns of a result: the q-values, and the ranks by importance."""
    dims = ("pattern", "target")
    added: Variables = {}
    for name, p in (("q_value", "p_value"), ("difference_q_value", "difference_p_value")):
        added[name] = dims, benjamini_hochberg(result[p].values)
    order = np.argsort(-np.nan_to_num(result["importance"].values, nan=-np.inf), axis=0, kind="stable")
    rank = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(rank, order, np.arange(1, len(order) + 1)[:, np.newaxis], axis=0)
    added["rank"] = dims, rank
    return schema.annotate(result.assign(added))


def add_corrected(path: str | os.PathLike[str]) -> None:
    """Write into a result file what depends on all of its patterns."""
    names = ["importance", "p_value", "difference_p_value"]
    with xr.open_dataset(path, engine="h5netcdf", cache=False) as result:
        held = result[names].load()
    add_variables(correct(held)[["q_value", "difference_q_value", "rank"]], path)


def _statistics(
    effect: NDArray,
    unedited: NDArray,
    factors: Factors,
    options: Mapping[str, Any],
    *,
    corrected: bool,
) -> Variables:
    """Statistics of the effects and of the differences between them."""
    dims = ("pattern", "target")
    options = {"axis": 1, **options}
    rounding = _rounding(effect, unedited)
    found = paired_statistics(effect, **options, rounding=rounding)._asdict()
    variables: Variables = {"n_backgrounds": (dims, found["n"])}
    for statistic, ending in _ENDINGS.items():
        is_own = ending.endswith(("_p_value", "_error"))
        variables[ending[1:] if is_own else "importance" + ending] = dims, found[statistic]

    rows = list(factors)
    table = {name: np.full((len(effect), effect.shape[2]), np.nan) for name in _ENDINGS}
    if rows:
        terms = np.array([1 + sum(abs(factor) for factor in factors[row].values()) for row in rows])
        found = paired_statistics(
            compared(effect, factors), **options, rounding=rounding * terms[:, np.newaxis]
        )._asdict()
        for statistic, values in table.items():
            values[rows] = found[statistic]
    for statistic, ending in _ENDINGS.items():
        variables["difference" + ending] = dims, table[statistic]
    if corrected:
        for label, added in correct(xr.Dataset(variables)).data_vars.items():
            variables[str(label)] = dims, added.values
    return variables


def _rounding(effect: NDArray, unedited: NDArray) -> NDArray[np.float64]:
    """Size of a mean effect (target) that rounding can make."""
    axes = (0, 1)
    largest = np.maximum(np.nanmax(effect, axes, initial=0), -np.nanmin(effect, axes, initial=0))
    return rounding_of((largest + np.abs(unedited).max(axis=0))[np.newaxis].astype(effect.dtype), axis=0)
