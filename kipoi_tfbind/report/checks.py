"""The checks of a report: do contributions add up, and does a model treat both strands alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray


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
    """Check that contributions sum to the difference of the prediction and the background's.

    The error is relative to the magnitude of that difference, and the tolerance the result's own
    (attribute ``tolerance``). Empty where the result's method promises nothing of the kind.
    """
    if "completeness_error" not in result or "background_prediction" not in result:
        return []
    error = _by_target(result, "completeness_error")
    difference = _by_target(result, "reference_prediction") - _by_target(result, "background_prediction")
    tolerance = result.attrs.get("tolerance")
    return _checks(result, error, np.abs(difference), None if tolerance is None else float(tolerance))


def equivariance(result: xr.Dataset) -> list[Check]:
    """Check that a sequence and its reverse complement have the same prediction.

    The difference is relative to the largest magnitude of the target's predictions. It is a property of
    the model, not an error: there is no tolerance. Empty where the result does not hold the difference.
    """
    if "reverse_complement_difference" not in result:
        return []
    difference = _by_target(result, "reverse_complement_difference")
    scale = np.abs(_by_target(result, "reference_prediction")).max(axis=0, keepdims=True, initial=0)
    return _checks(result, difference, np.broadcast_to(scale, difference.shape), None)


def _by_target(result: xr.Dataset, name: str) -> NDArray[np.float64]:
    return np.asarray(result[name].transpose("sequence", "target").values, dtype=np.float64)


def _checks(
    result: xr.Dataset, error: NDArray[np.float64], scale: NDArray[np.float64], tolerance: float | None
) -> list[Check]:
    """A check for each target of which there are errors; saliency has none (NaN)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(error == 0, 0, np.abs(error) / scale)
    checks = []
    for target, name in enumerate(result["target"].values):
        known = np.flatnonzero(np.isfinite(error[:, target]))
        if not known.size:
            continue
        here = relative[known, target]
        worst = int(known[here.argmax()])
        checks.append(
            Check(
                target=str(name),
                median=float(np.median(here)),
                worst=float(here.max()),
                worst_absolute=float(np.abs(error[known, target]).max()),
                worst_sequence=str(result["id"].values[worst]) if "id" in result.coords else str(worst),
                passed=None if tolerance is None else bool(here.max() <= tolerance),
            )
        )
    return checks
