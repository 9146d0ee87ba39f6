"""Curves of importance: along positions, spacings, numbers of copies, and GC contents."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._pattern_axes import LINES, band, describe, effect_label, require_experiment, tidy
from kipoi_tfbind.plot.position_axes import PLAIN
from kipoi_tfbind.results.view import select_target, with_role


def plot_importance_curve(
    result: xr.Dataset, *, target: int | str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a scan with a band that is its confidence interval.

    Of positions: the importance at each, for either orientation. Of spacings: the interaction of both motifs
    at each distance, for each orientation; where they overlap, the curve has a gap. Of copies: the
    importance of each number, against the sum of single ones. Of GC contents: the importance of the motif
    between such flanks, against that of the motif alone.

    Parameters
    ----------
    result
        From `position_importance`, `spacing_importance`, `number_importance`, or `context_importance` with
        GC contents.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such target, or is one of another method or experiment.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds, position_importance
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :9, 2].sum(axis=1), targets=["G at the start"])
    >>> result = position_importance(model, make_backgrounds("uniform", 50, length=20), "GGG")
    >>> plot_importance_curve(result).get_xlabel()
    "Position of the motif's first base (0-based)"
    """
    experiment = require_experiment(result, *_CURVES)
    view = select_target(result, target, "importance", "importance_low", "difference_low")
    if ax is None:
        _, ax = plt.subplots(figsize=(8 if experiment in ("position", "spacing") else 5, 3.2))
    ax.axhline(0, color="black", linewidth=0.6)
    _CURVES[experiment](ax, view)
    tidy(ax)
    return ax


def _position(ax: Axes, view: xr.Dataset) -> None:
    for colour, orientation in zip(LINES, ("+", "-"), strict=False):
        own = view.isel(pattern=(view["orientation"] == orientation).values)
        if own.sizes["pattern"]:
            label = f"{orientation} strand".replace("-", "\N{MINUS SIGN}")
            band(ax, own["offset"].values, own, "importance", color=colour, label=label)
    ax.legend(frameon=False, fontsize=8)
    ax.set_xlabel("Position of the motif's first base (0-based)", fontsize=9)
    ax.set_ylabel(effect_label(view, "importance"), fontsize=9)
    describe(ax, view, f"{view.attrs['motif']} along the background")


def _spacing(ax: Axes, view: xr.Dataset) -> None:
    view = with_role(view, "pair")
    a, b = view.attrs["motif_a"], view.attrs["motif_b"]
    if "motif_a" in view.coords:  # of several pairs, the first
        view = view.isel(pattern=((view["motif_a"] == a) & (view["motif_b"] == b)).values)
    for colour, orientation in zip(LINES, ("++", "+-", "-+", "--"), strict=True):
        own = view.isel(pattern=(view["orientation"] == orientation).values)
        if own.sizes["pattern"]:
            label = f"{a}{_arrow(orientation[0])} {b}{_arrow(orientation[1])}"
            band(ax, own["distance"].values, own, "difference", color=colour, label=label)
    ax.axvspan(0.5 - int(view.attrs["width_b"]), int(view.attrs["width_a"]) - 0.5, color="0.93", zorder=0)
    # Under the axis, where it covers no curve.
    legend = ax.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    for text in legend.get_texts():
        text.set_parse_math(False)
    ax.set_xlabel(f"First base of {b} from that of {a} (bp; shaded: they overlap)", fontsize=9, **PLAIN)
    ax.set_ylabel(effect_label(view, "difference"), fontsize=9)
    describe(ax, view, f"{a} and {b}: beyond the sum of both")


def _number(ax: Axes, view: xr.Dataset) -> None:
    view = with_role(view, "copies")
    n, middle = view["copies"].values, view["importance"].values
    ends = np.abs(np.stack([view["importance_low"].values, view["importance_high"].values]) - middle)
    expected = middle - view["difference"].values
    ax.plot(n, expected, "--", color="0.45", linewidth=1.2, label="sum of single copies")
    ax.errorbar(n, middle, yerr=ends, color=LINES[0], marker="o", capsize=3, linewidth=1.3, label="together")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=8)
    ax.set_xlabel(f"Copies of {view.attrs['motif']}, every {view.attrs['distance']} bp", fontsize=9, **PLAIN)
    ax.set_ylabel(effect_label(view, "importance"), fontsize=9)
    describe(ax, view, "copies of a motif")


def _context(ax: Axes, view: xr.Dataset) -> None:
    inside = with_role(view, "in context")
    if np.isnan(inside["gc"].values).any():
        raise InputError("dataset: flanks of given bases make no curve; draw them with plot_importance")
    alone = with_role(view, "motif").isel(pattern=0)
    ends = float(alone["importance_low"]), float(alone["importance_high"])
    ax.axhspan(*ends, color="0.9", zorder=0)
    ax.axhline(float(alone["importance"]), color="0.45", linestyle="--", linewidth=1.2, label="motif alone")
    band(ax, inside["gc"].values, inside, "difference", color=LINES[0], marker="o", label="between flanks")
    ends_of = np.concatenate([inside["difference_low"].values, inside["difference_high"].values, ends])
    low, high = np.nanmin(ends_of), np.nanmax(ends_of)
    # Zero is often far away; the difference that flanks make is what is asked.
    ax.set_ylim(low - 0.1 * (high - low), high + 0.35 * (high - low))
    ax.legend(frameon=False, fontsize=8, loc="upper right")
    ax.set_xlabel(f"GC content of {view.attrs['flank']} bp on either side", fontsize=9)
    ax.set_ylabel(effect_label(view, "importance"), fontsize=9)
    describe(ax, view, f"{view.attrs['motif']} in context")


def _arrow(orientation: str) -> str:
    return "→" if orientation == "+" else "←"


_CURVES: dict[str, Callable[[Axes, xr.Dataset], None]] = {
    "position": _position,
    "spacing": _spacing,
    "number": _number,
    "context": _context,
}
