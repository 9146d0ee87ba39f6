"""Comparison of what an interrupted run has written with what the run that goes on with it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.files import OPTION

Attributes = Mapping[str, Any]

# A run may go on with another batch size, and after an update: neither changes what a method computes.
_MAY_DIFFER = ("batch_size", "versions")


def differences(stored: Attributes, given: Attributes, *, both: bool = False) -> list[str]:
    """Differences between attributes, of those that are given; with `both`, of those that are in both."""
    names = [name for name in given if name not in _MAY_DIFFER and (name in stored or not both)]
    return [
        f"{name.removeprefix(OPTION)} was {stored.get(name, 'not set')!s}, is now {given[name]!s}"
        for name in names
        if name not in stored or stored[name] != given[name]
    ]


def listed(found: Sequence[str], most: int = 4) -> str:
    """Differences in a message: the first ones.

    Examples
    --------
    >>> listed(["seed was 1, is now 2", "end was 5, is now 6", "path was full, is now auto"], most=2)
    'seed was 1, is now 2; end was 5, is now 6; ...'
    """
    return "; ".join([*found[:most], *(["..."] if len(found) > most else [])])


def check_fits(piece: xr.Dataset, template: xr.Dataset, path: Path, dimension: str) -> None:
    """Check that a result can follow the pieces before it."""

    def misfit(problem: str) -> InputError:
        return InputError(
            f"result: does not fit what is already in {path}: {problem}; append results of one method, model "
            "and settings"
        )

    for kind, now, before in (
        ("variables", set(piece.variables), set(template.variables)),
        ("attributes", set(piece.attrs), set(template.attrs)),
    ):
        if odd := sorted(map(str, (now ^ before) - set(_MAY_DIFFER))):
            raise misfit(f"only one of them has the {kind} {', '.join(odd)}")
    if other := differences(template.attrs, piece.attrs):
        raise misfit(other[0])
    for name, variable in piece.variables.items():
        there = template.variables[name]
        sizes, sizes_there = ({**v.sizes, dimension: 0} for v in (variable, there))
        if variable.dims != there.dims or sizes != sizes_there:
            raise misfit(f"{name} was {dict(there.sizes)}, is now {dict(variable.sizes)}")
        # Text is of any width, and of another type when it comes from a file.
        if variable.dtype != there.dtype and not {variable.dtype.kind, there.dtype.kind} <= set("UOT"):
            raise misfit(f"{name} was of type {there.dtype}, is now of {variable.dtype}")
        if dimension not in variable.dims and not _same(variable, there):
            raise misfit(f"{name} has other values")


def _same(variable: xr.Variable, there: xr.Variable) -> bool:
    """Whether values are the same, but for the rounding that another batch size makes in predictions."""
    if variable.dtype.kind != "f":
        return bool(variable.equals(there))
    largest = np.nanmax(np.abs(there.values), initial=0)
    return np.allclose(variable.values, there.values, rtol=0, atol=1e-5 * largest, equal_nan=True)


def first_difference(then: xr.Dataset, now: xr.Dataset) -> int | None:
    """Row of the first sequence that is not the same, compared by everything that both Datasets have."""
    if "position" in then.indexes and "position" in now.indexes:
        # A result may have only some of the positions.
        there = then.indexes["position"].isin(now.indexes["position"])
        now = now.sel(position=then["position"][there])
        then = then.isel(position=there)
    rows = [
        int(np.flatnonzero(differs)[0])
        for name in sorted(set(then.variables) & set(now.variables), key=str)
        if "sequence" in now[name].dims and now[name].dims == then[name].dims
        if (differs := _differing_rows(then[name], now[name])).any()
    ]
    return min(rows, default=None)


def _differing_rows(then: xr.DataArray, now: xr.DataArray) -> np.ndarray:
    if then.shape != now.shape:
        return np.ones(now.sizes["sequence"], dtype=bool)
    differs = np.asarray(then.values != now.values) & ~(then.isnull().values & now.isnull().values)
    axis = now.dims.index("sequence")
    return np.moveaxis(differs, axis, 0).reshape(now.sizes["sequence"], -1).any(axis=1)
