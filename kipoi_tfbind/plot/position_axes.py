"""Axes of positions, titles, and sizes of figures: the drawing that pictures of sequences share."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.view import interval, labels_of, model_name, number, position_label

_TICK_WIDTH = 1.1  # inches; a label such as 62,345,678 with room around it
# Names come from files: a dollar sign in one is no formula.
PLAIN: dict[str, Any] = {"parse_math": False}


def label_positions(ax: Axes, view: xr.Dataset) -> None:
    """Label the x axis of sequence positions, with genomic coordinates where they are known."""
    positions = view["position"].values
    ax.set_xlim(positions[0] - 0.5, positions[-1] + 0.5)
    ticks, labels = position_ticks(view, np.arange(positions[0], positions[-1] + 1), width_of(ax))
    ax.set_xticks(ticks, labels)
    ax.set_xlabel(position_label(view), fontsize=9, **PLAIN)


def position_ticks(
    view: xr.Dataset, positions: NDArray[np.integer], width: float
) -> tuple[NDArray[np.integer], list[str]]:
    """Positions whose coordinate is round, as many as have room in `width` inches, and their labels."""
    locator = MaxNLocator(nbins=max(2, int(width / _TICK_WIDTH)), integer=True, steps=[1, 2, 5, 10])
    labels = labels_of(view, positions)
    shown = np.isin(labels, locator.tick_values(labels.min(), labels.max()))
    return positions[shown], [f"{label:,}" for label in labels[shown]]


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes to draw on: the given ones, else those of a new figure of this size in inches."""
    return plt.subplots(figsize=(width, height))[1] if ax is None else ax


def finish(ax: Axes, view: xr.Dataset, note: str = "") -> Axes:
    """Take away what axes do not need, write the title, with a further line under it, and return them."""
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    title(ax, view, note)
    return ax


def title(ax: Axes, view: xr.Dataset, note: str = "") -> None:
    """Write target and interval over a plot, and under them the model, its prediction and what is shown."""
    detail = _detail(view) + (f"\n{note}" if note else "")
    ax.set_title(
        f"{view['target'].item()}   {interval(view)}",
        loc="left",
        pad=19 + 11 * detail.count("\n"),
        fontsize=11,
        fontweight="bold",
        **PLAIN,
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


def _detail(view: xr.Dataset) -> str:
    output = view.attrs.get("output", "raw")
    words = f"{model_name(view)}, prediction for the whole sequence {_with_spread(view, 'prediction')}"
    words += "" if output == "raw" else f" ({output})"
    if "mean_reference_prediction" in view and np.isfinite(view["mean_reference_prediction"]):
        words += f", for the references {_with_spread(view, 'mean_reference_prediction')}"
    shown, there = view.sizes["position"], view.attrs.get("n_positions", 0)
    return words + (f"; {shown} of {there} positions" if shown < there else "")


def _with_spread(view: xr.Dataset, name: str) -> str:
    """A number of a view and its standard deviation over the models of an ensemble, if it is of one."""
    spread = name + schema.SPREAD
    return number(float(view[name])) + (f" ± {number(float(view[spread]))}" if spread in view else "")


def figure_width(n_positions: int) -> float:
    """Width of a figure in inches: a readable letter for each position, as far as a page allows."""
    return float(np.clip(1.8 + 0.125 * n_positions, 6, 18))


def width_of(ax: Axes) -> float:
    """Width of axes in inches."""
    return float(ax.get_position().width * figure_of(ax).get_figwidth())


def height_of(ax: Axes) -> float:
    """Height of axes in inches."""
    return float(ax.get_position().height * figure_of(ax).get_figheight())


def figure_of(ax: Axes) -> Figure:
    """Figure that axes are in.

    Raises
    ------
    InputError
        They are in none any more.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("axes: belong to no figure any more; draw the plot again")
    return figure
