"""Sequence logo: how much the prediction rests on each base."""

from __future__ import annotations

import logomaker
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind.one_hot import BASES
from kipoi_tfbind.plot._view import figure_width, label_positions, select, title, unit

# Okabe and Ito's palette, which colour-blind people can tell apart, in the usual roles of the four bases.
BASE_COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}


def plot_logo(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str = 0,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sequence, each base as high as its importance by in-silico mutagenesis.

    The height of a base is minus the mean effect of its three substitutions: positive where mutating
    the base lowers the prediction. N has no height.

    Parameters
    ----------
    result
        From `in_silico_mutagenesis`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name.
    start, end
        Positions in the sequence to show, 0-based, `end` not included; all by default.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such sequence, target or positions, or is one of another method.
    """
    view = select(result, sequence, target, start, end)
    if ax is None:
        _, ax = plt.subplots(figsize=(figure_width(view.sizes["position"]), 2))
    draw_logo(ax, view)
    label_positions(ax, view)
    title(ax, view)
    return ax


def draw_logo(ax: Axes, view: xr.Dataset) -> None:
    """Draw the letters and the y axis of the logo of one sequence and target."""
    effect = view["mutation_effect"].transpose("position", "base").values
    bases = view["one_hot"].transpose("position", "base").values.argmax(axis=-1)
    heights = -effect.sum(axis=-1) / (len(BASES) - 1)
    known = heights[np.isfinite(heights)]
    visible = (
        np.abs(known).max(initial=0) / 500
    )  # lower letters are less than a line; each takes milliseconds
    for position, base, height in zip(view["position"].values, bases, heights, strict=True):
        if np.abs(height) > visible:  # not so for N, whose height is NaN
            letter = BASES[base]
            floor, ceiling = sorted((0.0, float(height)))
            logomaker.Glyph(
                int(position),
                letter,
                floor=floor,
                ceiling=ceiling,
                flip=bool(height < 0),
                color=BASE_COLOURS[letter],
                vpad=0,
                ax=ax,
            )
    low, high = known.min(initial=0), known.max(initial=0)
    margin = 0.04 * (high - low) or 1.0
    ax.set_ylim(low - margin, high + margin)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylabel(f"$-$ mean effect\nof substitution\n({unit(view)})", fontsize=8)
    ax.tick_params(labelsize=8)
