"""Effects of patterns with their intervals."""

from __future__ import annotations

from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import LOWERS, RAISES
from kipoi_tfbind.plot._pattern_axes import LEVEL, describe, effect_label, is_significant, tidy
from kipoi_tfbind.plot.position_axes import PLAIN
from kipoi_tfbind.results.view import select_target, with_role

Value = Literal["importance", "difference"]


def plot_importance(
    result: xr.Dataset,
    *,
    target: int | str | None = None,
    value: Value | None = None,
    top: int = 30,
    ax: Axes | None = None,
) -> Axes:
    """Draw the importance of patterns with its intervals, one under the other.

    Full points have a q-value of at most 0.05, empty ones a larger one. The thin line is the interval by
    Student's t, the thick grey one that of the bootstrap.

    Parameters
    ----------
    result
        From `global_importance_analysis` or any of its experiments.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    value
        "importance", or "difference": from what each pattern is compared with; those without are left out.
        By default the importance, and of orientations, which hardly differ next to it, the difference.
    top
        Most patterns to show: those with the largest magnitude, sorted. Fewer stay in their order.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such target, nothing to show, or is one of another method.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds, motif_importance
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = motif_importance(model, make_backgrounds("uniform", 50, length=20), ["GGG", "AAA"])
    >>> [label.get_text() for label in plot_importance(result).get_yticklabels()]
    ['GGG', 'AAA']
    """
    if value is None:
        value = "difference" if result.attrs.get("experiment") == "orientation" else "importance"
    if value not in ("importance", "difference"):
        raise InputError(f"value: expected 'importance' or 'difference', got {value!r}")
    view = select_target(result, target, "importance", "difference", "importance_low", "q_value")
    if view.attrs.get("experiment") == "context" and value == "difference":
        view = with_role(view, "in context")
    view = view.isel(pattern=_chosen(view[value].values, top))
    n = view.sizes["pattern"]
    if not n:
        raise InputError(f"value: this result has no {value}; its patterns are compared with nothing")
    if ax is None:
        _, ax = plt.subplots(figsize=(6.5, 1.2 + 0.24 * n))
    y = np.arange(n)[::-1]
    low, high, b_low, b_high = (
        view[value + end].values for end in ("_low", "_high", "_bootstrap_low", "_bootstrap_high")
    )
    colours = np.where(view[value].values > 0, RAISES, LOWERS)
    ax.hlines(y, b_low, b_high, color="0.82", linewidth=6, zorder=1)
    ax.hlines(y, low, high, color=colours, linewidth=1.4, zorder=2)
    filled = np.where(is_significant(view, value), colours, "white")
    ax.scatter(
        view[value].values,
        y,
        s=26,
        facecolors=list(filled),
        edgecolors=list(colours),
        linewidths=1.2,
        zorder=3,
    )
    ax.axvline(0, color="black", linewidth=0.7)
    ax.set_yticks(y, [str(name) for name in view["pattern"].values], **PLAIN)
    ax.set_ylim(-0.8, n - 0.2)
    key = f"line: Student's t, grey: bootstrap; filled: q ≤ {LEVEL:g}; red raises, blue lowers the prediction"
    ax.set_xlabel(f"{effect_label(view, value)}\n{key}", fontsize=8.5)
    tidy(ax)
    there = result.sizes["pattern"]
    shown = f"; the strongest {n} of {there:,}" if n == top < there else ""
    describe(ax, view, f"{value} of patterns{shown}")
    return ax


def _chosen(values: NDArray, top: int) -> NDArray[np.intp]:
    """The patterns that have a value; where they are many, the strongest, the largest first."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known) <= top:
        return known
    strongest = known[np.argsort(-np.abs(values[known]), kind="stable")[:top]]
    return strongest[np.argsort(-values[strongest], kind="stable")]
