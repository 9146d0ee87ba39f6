"""Mutation map: the effect of every substitution as a heat map, under the logo."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from mpl_toolkits.axes_grid1 import make_axes_locatable  # type: ignore[import-untyped]

from kipoi_tfbind.one_hot import BASES
from kipoi_tfbind.plot._view import figure_width, label_positions, select, title, unit
from kipoi_tfbind.plot.logo import draw_logo

# Blue to red over white, which colour-blind people can tell apart; grey is "no value".
_COLOURS = mpl.colormaps["RdBu_r"].with_extremes(bad="0.88")


def plot_mutation_map(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str = 0,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect of every substitution, base by position, with the logo above it.

    Red raises the prediction and blue lowers it; white is no effect, and a dot marks the base that is
    there. Grey is N, which is not mutated. The logo is that of `plot_logo`.

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
        Axes whose place the map, the logo and the colour bar share; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the map. Those of the logo and of the colour bar are in the same figure.

    Raises
    ------
    InputError
        The result has no such sequence, target or positions, or is one of another method.
    """
    view = select(result, sequence, target, start, end)
    if ax is None:
        _, ax = plt.subplots(figsize=(figure_width(view.sizes["position"]), 3.2))
    divider = make_axes_locatable(ax)
    logo = divider.append_axes("top", size="125%", pad=0.12, sharex=ax)
    colour_bar = divider.append_axes("right", size=0.12, pad=0.12)

    _draw_map(ax, view, colour_bar)
    draw_logo(logo, view)
    label_positions(ax, view)
    logo.tick_params(axis="x", labelbottom=False, length=0)
    logo.spines["bottom"].set_visible(False)
    title(logo, view)
    return ax


def _draw_map(ax: Axes, view: xr.Dataset, colour_bar: Axes) -> None:
    effect = view["mutation_effect"].transpose("base", "position").values
    positions = view["position"].values
    largest = np.nanmax(np.abs(effect), initial=0)
    edges = np.append(positions, positions[-1] + 1) - 0.5
    mesh = ax.pcolormesh(
        edges,
        np.arange(len(BASES) + 1) - 0.5,
        np.ma.masked_invalid(effect),
        cmap=_COLOURS,
        norm=CenteredNorm(halfrange=float(largest) or 1.0),
        rasterized=True,
    )
    is_base = view["one_hot"].transpose("position", "base").values == 1
    where, base = np.nonzero(is_base)
    figure = ax.get_figure(root=True)
    cell = 72 * ax.get_position().width * (figure.get_figwidth() if figure else 8) / len(positions)
    ax.plot(positions[where], base, "o", color="0.35", markersize=min(3.0, 0.45 * cell), markeredgewidth=0)
    ax.set_yticks(range(len(BASES)), list(BASES))
    ax.set_ylim(len(BASES) - 0.5, -0.5)
    ax.set_ylabel("Substituted\nbase", fontsize=8)
    ax.tick_params(labelsize=8)
    bar = plt.colorbar(mesh, cax=colour_bar)
    bar.set_label(f"Effect ($\\Delta$ {unit(view)})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
