"""Scores of positions: how much a prediction rests on each base, from the result of any method.

Pictures, reports and exports all take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.view import unit
from kipoi_tfbind.schema import SPREAD

# The first of these variables that a result has is the source of its scores.
_SOURCES = ("contribution", "surrogate_effect", "mutation_effect", "occlusion_effect", "grad_cam")
# Of these, effects of substitutions.
_EFFECTS = ("surrogate_effect", "mutation_effect")
_KINDS = {
    "saliency": "gradient",
    "gradient_x_input": "gradient × input",
    "integrated_gradients": "integrated gradients",
    "sampled_shapley": "sampled Shapley values",
}


@dataclass(frozen=True)
class PositionScores:
    """Scores of the positions of one sequence, for one target.

    Attributes
    ----------
    values
        (position); positive where the base supports the prediction, NaN at N and where nothing is known.
    spread
        (position); standard deviation over the models of an ensemble, where the result has it.
    label
        Name and unit, as an axis label of several lines.
    """

    values: NDArray
    spread: NDArray | None
    label: str


def source_of(result: xr.Dataset) -> str:
    """Name of the variable that the scores of a result are taken from.

    Raises
    ------
    InputError
        There is none.
    """
    if not isinstance(result, xr.Dataset):
        raise InputError(
            f"result: expected a Dataset, of a method or of open_result, got {type(result).__name__}"
        )
    for name in _SOURCES:
        if name in result:
            return name
    found = ", ".join(map(str, result.data_vars)) or "no variable"
    raise InputError(
        f"dataset: expected one of the variables {', '.join(_SOURCES)}, found {found}; "
        "is it the result of another method?"
    )


def has_scores(result: xr.Dataset) -> bool:
    """Whether a result has scores of positions."""
    return any(name in result for name in _SOURCES)


def base_scores(result: xr.Dataset) -> NDArray:
    """Score of the observed base at each position; NaN at N and where nothing is known.

    Its contribution, or what Grad-CAM has there; of mutagenesis, and of a surrogate by its additive model,
    minus the mean effect of its three substitutions; of occlusion, minus the mean effect of the windows that
    occlude the position.

    Parameters
    ----------
    result
        One target of a result, of one sequence or of several.

    Returns
    -------
    scores
        (position) or (sequence, position).

    Raises
    ------
    InputError
        It is the result of a method without such scores.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = in_silico_mutagenesis(model, encode_sequences(["AGN"]))
    >>> base_scores(result.isel(target=0)).round(2)
    array([[-0.33,  1.  ,   nan]], dtype=float32)
    """
    source = source_of(result)
    if source == "contribution":
        scores = result[source].transpose(..., "position", "base").values.sum(axis=-1)
    elif source == "grad_cam":
        scores = result[source].transpose(..., "position").values
    elif source in _EFFECTS:
        effect = result[source].transpose(..., "position", "base").values
        scores = -effect.sum(axis=-1) / (len(BASES) - 1)
    else:
        scores = -_mean_over_windows(result)
    return np.where(_is_known(result), scores, np.nan)


def hypothetical_scores(result: xr.Dataset, name: str) -> NDArray:
    """Score (sequence, position, base) that each base would have, not projected; 0 for N.

    The hypothetical contribution; of mutagenesis and surrogates, the effect minus its mean over the bases.

    Parameters
    ----------
    result
        One target of a result.
    name
        Name of the result in messages.

    Raises
    ------
    InputError
        It is the result of a method without such scores.
    """
    if "hypothetical_contribution" in result:
        scores = result["hypothetical_contribution"].transpose(..., "position", "base").values
    elif source := next((name for name in _EFFECTS if name in result), None):
        effect = result[source].transpose(..., "position", "base").values
        scores = effect - effect.mean(axis=-1, keepdims=True)
    else:
        raise InputError(
            f"{name}: of {result.attrs.get('method', 'an unknown method')}, which has scores of the observed "
            "bases only; give tfmodisco-lite a result of ism, deepshap or gradients"
        )
    return np.where(_is_known(result)[..., np.newaxis], scores, 0)


def scores_of(view: xr.Dataset) -> PositionScores:
    """Scores of the positions of a view of a result, with their spread and an axis label.

    An ensemble's standard deviation exists for contributions only: that of a mean of effects does not
    follow from those of the effects.
    """
    source, spread = source_of(view), None
    if source == "contribution":
        label = f"Contribution\n({contribution_kind(view)},\n{unit(view)})"
        if source + SPREAD in view:
            by_base = view[source + SPREAD].transpose("position", "base").values
            one_hot = view["one_hot"].transpose("position", "base").values
            spread = np.where(one_hot > 0, by_base, 0).sum(axis=-1)
    elif source == "grad_cam":
        label = f"Grad-CAM\n({unit(view)})"
    else:
        what = {
            "surrogate_effect": "substitution,\nadditive model",
            "mutation_effect": "substitution",
            "occlusion_effect": "occlusion",
        }[source]
        label = f"− mean effect\nof {what}\n({unit(view)})"
    return PositionScores(base_scores(view), spread, label)


def contribution_kind(view: xr.Dataset) -> str:
    """Name of the method of a contribution, in the words of an axis label."""
    if view.attrs.get("method") == "deep_shap":
        return "DeepSHAP"
    kind = str(view.attrs.get("gradient_method", view.attrs.get("method", "attribution")))
    return _KINDS.get(kind, kind.replace("_", " "))


def _is_known(result: xr.Dataset) -> NDArray[np.bool_]:
    """Whether each position has a base, and not N."""
    return np.any(result["one_hot"].transpose(..., "position", "base").values, axis=-1)


def _mean_over_windows(result: xr.Dataset) -> NDArray:
    """Mean effect of the windows that occlude each position; NaN where none does."""
    position = result["position"].values[:, np.newaxis]
    occludes = (result["window_start"].values <= position) & (position < result["window_end"].values)
    effect = result["occlusion_effect"].transpose(..., "window").values[..., np.newaxis, :]
    count = occludes.sum(axis=1)
    total = np.where(occludes, effect, 0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
