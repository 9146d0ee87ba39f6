"""Titles, labels, intervals and significance: the drawing that plots of patterns share."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.position_axes import PLAIN
from kipoi_tfbind.results.view import model_name, unit

# Okabe and Ito's palette, for up to four lines.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
LEVEL = 0.05


def require_experiment(result: xr.Dataset, *experiments: str) -> str:
    """Name of a result's experiment, one of those that a plot can show.

    Raises
    ------
    InputError
        It is another one.
    """
    experiment = str(result.attrs.get("experiment", "none"))
    if experiment not in experiments:
        raise InputError(
            f"dataset: expected the result of the experiment {' or '.join(experiments)}, got {experiment}; "
            "plot_result finds the picture that suits"
        )
    return experiment


def describe(ax: Axes, view: xr.Dataset, text: str) -> None:
    """Write target and what is shown over a plot, and under them the model and the backgrounds."""
    ax.set_title(
        f"{view['target'].item()}   {text}", loc="left", pad=19, fontsize=11, fontweight="bold", **PLAIN
    )
    attributes = view.attrs
    kind = str(attributes.get("background", "given")).replace("_", " ")
    n = int(view["n_backgrounds"].max()) if view.sizes["pattern"] else 0
    names = {"necessity": "real sequences", "swap": "real sequences"}
    what = names.get(str(attributes.get("experiment")), f"backgrounds ({kind})")
    detail = (
        f"{model_name(view)}, {n:,} {what}, {100 * float(attributes.get('confidence', 0.95)):g}% intervals"
    )
    ax.annotate(
        detail,
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color="0.35",
        **PLAIN,
    )


def effect_label(view: xr.Dataset, name: str) -> str:
    """Axis label of an effect."""
    words = {"importance": "Importance", "difference": "Interaction"}
    if view.attrs.get("experiment") in ("orientation", "necessity", "effect", "context"):
        words["difference"] = "Difference"
    if view.attrs.get("experiment") in ("necessity", "swap"):
        words["importance"] = "Effect"
    return f"{words[name]} (Δ {unit(view)})"


def is_significant(view: xr.Dataset, name: str) -> NDArray[np.bool_]:
    """Whether each pattern's q-value is at most 0.05."""
    q = view["q_value" if name == "importance" else f"{name}_q_value"].values
    return np.nan_to_num(q, nan=1) <= LEVEL


def tidy(ax: Axes) -> None:
    """Take away what an axis does not need."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)


def band(ax: Axes, x: NDArray, view: xr.Dataset, name: str, **style: Any) -> None:
    """Draw a line with its interval, with gaps where steps are missing."""
    order = np.argsort(x, kind="stable")
    x = x[order].astype(float)
    middle, low, high = (view[name + end].values[order] for end in ("", "_low", "_high"))
    steps = np.diff(x)
    if len(steps):
        gap = np.flatnonzero(steps > 1.5 * steps.min()) + 1
        x, middle, low, high = (np.insert(values, gap, np.nan) for values in (x, middle, low, high))
    ax.fill_between(x, low, high, color=style["color"], alpha=0.22, linewidth=0)
    ax.plot(x, middle, linewidth=1.3, **style)
