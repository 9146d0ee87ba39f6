"""Contributions from hypothetical contributions, and the check that they add up."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import CompletenessWarning
from kipoi_tfbind.interpret._method import Variables

BY_BASE = ("sequence", "position", "base", "target")
BY_TARGET = ("sequence", "target")


def contribution_variables(
    one_hot: NDArray, hypothetical: NDArray, prediction: NDArray, of_references: NDArray
) -> Variables:
    """Hypothetical contributions with what follows from them.

    Parameters
    ----------
    one_hot
        (sequence, position, base).
    hypothetical
        Contribution that each base would have (sequence, position, base, target).
    prediction, of_references
        Predictions for the sequence, and mean predictions for its references (sequence, target).
    """
    contribution = hypothetical * one_hot[..., np.newaxis]
    # In float64: a thousand positions add up, and the error is compared with rounding.
    total = contribution.sum(axis=(1, 2), dtype=np.float64)
    error = total - (prediction.astype(np.float64) - of_references)
    return {
        "mean_reference_prediction": (BY_TARGET, of_references),
        "hypothetical_contribution": (BY_BASE, hypothetical),
        "contribution": (BY_BASE, contribution),
        "completeness_error": (BY_TARGET, error.astype(prediction.dtype)),
    }


def relative_error(variables: Variables, prediction: NDArray) -> NDArray:
    """Completeness errors (sequence, target), relative to what they are errors of.

    That is the largest of the difference that is explained and the contributions: where large ones cancel
    out, rounding is as large as they are. What is not finite is an error too.
    """
    error = np.abs(variables["completeness_error"][1])
    difference = np.abs(prediction - variables["mean_reference_prediction"][1])
    largest = np.abs(variables["contribution"][1]).max(axis=(1, 2), initial=0)
    scale = np.maximum(np.maximum(difference, largest), np.finfo(error.dtype).tiny)
    return np.where(np.isfinite(error), error / scale, np.inf)


def warn_incomplete(
    method: str, variables: Variables, prediction: NDArray, names: tuple[str, ...], tolerance: float
) -> None:
    """Warn where the relative completeness error is larger than the tolerance."""
    relative = relative_error(variables, prediction)
    if not relative.size or relative.max() <= tolerance:
        return
    sequence, target = np.unravel_index(relative.argmax(), relative.shape)
    error = abs(variables["completeness_error"][1][sequence, target])
    difference = abs((prediction - variables["mean_reference_prediction"][1])[sequence, target])
    warnings.warn(
        f"{method}: {(relative > tolerance).sum()} of {relative.size} results are not complete within "
        f"{tolerance:g}; the worst is sequence {sequence}, target {names[target]}: the contributions miss "
        f"the difference of {difference:.3g} by {error:.3g}",
        CompletenessWarning,
        stacklevel=2,
    )
