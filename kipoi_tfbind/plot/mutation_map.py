"""Mutation map: the effect or contribution of every base as a heat map, under the logo."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from mpl_toolkits.axes_grid1 import make_axes_locatable  # type: ignore[import-untyped]

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import DIVERGING
from kipoi_tfbind.plot.logo import draw_logo
from kipoi_tfbind.plot.position_axes import (
    figure_of,
    figure_width,
    label_positions,
    new_axes,
    title,
    width_of,
)
from kipoi_tfbind.results.view import select, unit

# Variable of the map -> label of its rows, and what the colours mean.
_MAPS = {
    "hypothetical_contribution": ("Base", "Hypothetical\ncontribution"),
    "mutation_effect": ("Substituted\nbase", "Effect"),
}


def plot_mutation_map(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a value for every base at every position as a heat map, with the logo above it.

    For mutagenesis the value is the effect of substituting the base; for `deep_shap` and `gradients` the
    contribution that the base would have. Red raises the prediction and blue lowers it; white is
    nothing, and a dot marks the observed base. Grey is no value: N, or a position that was left
    out. The logo is that of `plot_logo`.

    Parameters
    ----------
    result
        From `in_silico_mutagenesis`, `second_order_mutagenesis`, `deep_shap` or `gradients`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
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

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> ax = plot_mutation_map(in_silico_mutagenesis(model, encode_sequences(["AGGA"])))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['A', 'C', 'G', 'T']
    """
    view = select(result, _variable(result), sequence=sequence, target=target, start=start, end=end)
    ax = new_axes(ax, figure_width(int(np.ptp(view["position"].values)) + 1), 3.2)
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


def _variable(result: xr.Dataset) -> str:
    schema.require(result)
    for name in _MAPS:
        if name in result:
            return name
    found = ", ".join(map(str, result.data_vars)) or "no variable"
    raise InputError(
        f"dataset: a mutation map needs the variable {' or '.join(_MAPS)}, found {found}; "
        "draw another kind of plot, or the result of another method"
    )


def _draw_map(ax: Axes, view: xr.Dataset, colour_bar: Axes) -> None:
    name = _variable(view)
    rows, meaning = _MAPS[name]
    # Positions that were left out are a gap, not a wider neighbour.
    first, last = view["position"].values[[0, -1]]
    whole = view[[name, "one_hot"]].reindex(position=np.arange(first, last + 1), fill_value=np.nan)
    values = whole[name].transpose("base", "position").values
    known = (whole["one_hot"].sum("base") > 0).values
    values = np.where(known, values, np.nan)

    mesh = ax.pcolormesh(
        np.arange(first, last + 2) - 0.5,
        np.arange(len(BASES) + 1) - 0.5,
        np.ma.masked_invalid(values),
        cmap=DIVERGING,
        norm=CenteredNorm(halfrange=float(np.nanmax(np.abs(values), initial=0)) or 1.0),
        rasterized=True,
    )
    _mark_the_sequence(ax, view)
    ax.set_yticks(range(len(BASES)), list(BASES))
    ax.set_ylim(len(BASES) - 0.5, -0.5)
    ax.set_ylabel(rows, fontsize=8)
    ax.tick_params(labelsize=8)
    bar = figure_of(ax).colorbar(mesh, cax=colour_bar)
    bar.set_label(f"{meaning} ({_colour_unit(view, name)})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def _colour_unit(view: xr.Dataset, name: str) -> str:
    return f"Δ {unit(view)}" if name == "mutation_effect" else unit(view)


def _mark_the_sequence(ax: Axes, view: xr.Dataset) -> None:
    """Put a dot on the observed base at each position."""
    where, base = np.nonzero(view["one_hot"].transpose("position", "base").values == 1)
    positions = view["position"].values
    cell = 72 * width_of(ax) / (positions[-1] - positions[0] + 1)
    size = min(3.2, 0.5 * cell)
    ax.plot(
        *(positions[where], base, "o"),
        color="0.3",
        markersize=size,
        markeredgecolor="white",  # or it would be lost on the darkest cells
        markeredgewidth=0.15 * size,
    )
