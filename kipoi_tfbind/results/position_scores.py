"""How much a prediction rests on each position: one number per position, from the result of any method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._view import unit
from kipoi_tfbind.schema import SPREAD

# Of the variables that say how much a position counts, the first that a result has is taken.
_SOURCES = ("contribution", "mutation_effect", "occlusion_effect")
_KINDS = {
    "saliency": "gradient",
    "gradient_x_input": "gradient × input",
    "integrated_gradients": "integrated gradients",
    "sampled_shapley": "sampled Shapley values",
}


@dataclass(frozen=True)
class Importance:
    """Importance of the positions of one sequence, for one target.

    Attributes
    ----------
    values
        (position); positive where the base supports the prediction, NaN at N and where nothing is known.
    spread
        (position); standard deviation over the models of an ensemble, where the result has it.
    label
        What it is, as an axis label of several lines.
    """

    values: NDArray
    spread: NDArray | None
    label: str


def source_of(result: xr.Dataset) -> str:
    """Name of the variable that says how much each position counts.

    Raises
    ------
    InputError
        There is none.
    """
    for name in _SOURCES:
        if name in result:
            return name
    found = ", ".join(map(str, result.data_vars)) or "no variable"
    raise InputError(
        f"dataset: expected one of the variables {', '.join(_SOURCES)}, found {found}; "
        "is it the result of another method?"
    )


def importance_of(view: xr.Dataset) -> Importance:
    """Importance of each position of a view of a result.

    It is the contribution of the base that is there; or minus the mean effect of its three substitutions;
    or minus the mean effect of the windows that hide the position. An ensemble's standard deviation
    exists for contributions only: that of a mean of effects does not follow from those of the effects.
    """
    source = source_of(view)
    one_hot = view["one_hot"].transpose("position", "base").values
    known = one_hot.sum(axis=-1) > 0
    spread = None
    if source == "contribution":
        values = view[source].transpose("position", "base").values.sum(axis=-1)
        label = f"Contribution\n({contribution_kind(view)},\n{unit(view)})"
        if source + SPREAD in view:
            by_base = view[source + SPREAD].transpose("position", "base").values
            spread = np.where(one_hot > 0, by_base, 0).sum(axis=-1)
    elif source == "mutation_effect":
        effect = view[source].transpose("position", "base").values
        values = -effect.sum(axis=-1) / (len(BASES) - 1)
        label = f"− mean effect\nof substitution\n({unit(view)})"
    else:
        values = -_mean_over_windows(view)
        label = f"− mean effect\nof occlusion\n({unit(view)})"
    return Importance(np.where(known, values, np.nan), spread, label)


def contribution_kind(view: xr.Dataset) -> str:
    """Method that a contribution is from, in the words of an axis label."""
    if view.attrs.get("method") == "deep_shap":
        return "DeepSHAP"
    kind = str(view.attrs.get("kind", view.attrs.get("method", "attribution")))
    return _KINDS.get(kind, kind.replace("_", " "))


def _mean_over_windows(view: xr.Dataset) -> NDArray:
    """Mean effect of the windows that hide each position; NaN where none does."""
    position = view["position"].values[:, np.newaxis]
    hides = (view["window_start"].values <= position) & (position < view["window_end"].values)
    effect = view["occlusion_effect"].values
    count = hides.sum(axis=1)
    total = np.where(hides, effect, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
