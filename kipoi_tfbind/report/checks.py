"""The checks of a report: do contributions add up, and does a model treat both strands alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_AT_ONCE = 256  # sequences


@dataclass(frozen=True)
class Check:
    """A check of one target of one result, over its sequences.

    Attributes
    ----------
    target
        Name of the target.
    median, worst
        Of the relative errors.
    worst_absolute
        Largest magnitude of the error, in the unit of the output.
    worst_sequence
        Id, or index, of the sequence with the worst relative error.
    passed
        Whether the worst relative error is within the tolerance; None where there is none.
    """

    target: str
    median: float
    worst: float
    worst_absolute: float
    worst_sequence: str
    passed: bool | None


def completeness(result: xr.Dataset) -> list[Check]:
    """Check that contributions sum to the difference of the prediction and the mean for the references.

    The error is relative to the larger of that difference and the largest contribution, as in the
    methods' own warning: where large contributions cancel out, rounding is as large as they are. The
    tolerance is the result's (attribute ``tolerance``). Empty where its method promises nothing of the
    kind.
    """
    needed = ("completeness_error", "mean_reference_prediction", "contribution")
    if not all(name in result for name in needed):
        return []
    error = _by_target(result, "completeness_error")
    if np.isnan(error).all():  # saliency
        return []
    difference = _by_target(result, "prediction") - _by_target(result, "mean_reference_prediction")
    scale = np.maximum(np.abs(difference), _largest_contribution(result))
    tolerance = result.attrs.get("tolerance")
    return _checks(result, error, scale, None if tolerance is None else float(tolerance))


def _largest_contribution(result: xr.Dataset) -> NDArray[np.float64]:
    """Largest magnitude of a contribution (sequence, target), read a few sequences at a time."""
    n = result.sizes["sequence"]
    if "contribution" not in result:  # of pairs or units: the difference itself is the scale
        return np.zeros((n, result.sizes["target"]))
    parts = [
        abs(result["contribution"].isel(sequence=slice(first, first + _AT_ONCE))).max(("position", "base"))
        for first in range(0, n, _AT_ONCE)
    ]
    return np.concatenate([part.transpose("sequence", "target").values for part in parts])


def equivariance(result: xr.Dataset) -> list[Check]:
    """Check that a sequence and its reverse complement have the same prediction.

    The difference is relative to the largest magnitude of the target's predictions. It is a property of
    the model, not an error: there is no tolerance. Empty where the result does not hold the difference.
    """
    if "reverse_complement_difference" not in result:
        return []
    difference = _by_target(result, "reverse_complement_difference")
    scale = np.abs(_by_target(result, "prediction")).max(axis=0, keepdims=True, initial=0)
    return _checks(result, difference, np.broadcast_to(scale, difference.shape), None)


def _by_target(result: xr.Dataset, name: str) -> NDArray[np.float64]:
    return np.asarray(result[name].transpose("sequence", "target").values, dtype=np.float64)


def _checks(
    result: xr.Dataset, error: NDArray[np.float64], scale: NDArray[np.float64], tolerance: float | None
) -> list[Check]:
    """A check for each target; an error that is not a number is infinite."""
    magnitude = np.where(np.isnan(error), np.inf, np.abs(error))
    relative = np.where(magnitude == 0, 0, magnitude / np.maximum(scale, np.finfo(float).tiny))
    worst = relative.argmax(axis=0)
    names = result["id"].values if "id" in result.coords else np.arange(len(error))
    return [
        Check(
            target=str(name),
            median=float(np.median(relative[:, i])),
            worst=float(relative[:, i].max()),
            worst_absolute=float(magnitude[:, i].max()),
            worst_sequence=str(names[worst[i]]),
            passed=None if tolerance is None else bool(relative[:, i].max() <= tolerance),
        )
        for i, name in enumerate(result["target"].values)
    ]
