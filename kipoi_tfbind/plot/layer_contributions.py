"""Contributions of a layer's units: channels by positions, or bars where the layer has no positions."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm

from kipoi_tfbind.plot._colours import DIVERGING
from kipoi_tfbind.plot.position_axes import PLAIN, figure_of, new_axes, position_ticks, title, width_of
from kipoi_tfbind.results.view import position_label, select, unit

_BARS = 20


def plot_layer_contributions(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str = 0,
    start: int | None = None,
    end: int | None = None,
    n_channels: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Draw what the units of a layer contribute: red ones raise the prediction, blue ones lower it.

    Parameters
    ----------
    result
        From `layer_contributions`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name.
    start, end
        Positions in the sequence to show, 0-based, `end` not included; all by default. A unit lies at the
        middle of what it sees.
    n_channels
        How many channels to show, those of the largest contributions.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such sequence, target or positions, or is one of another method.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, layer_contributions
    >>> parts = torch.nn.Conv1d(4, 2, 2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(6, 1)
    >>> model = as_sequence_model(torch.nn.Sequential(*parts), length=4)
    >>> result = layer_contributions(model, encode_sequences(["ACGT"]), n_references=2)
    >>> plot_layer_contributions(result).get_ylabel()
    'Channel of layer 0'
    """
    view = select(result, "unit_contribution", sequence=sequence, target=target, start=start, end=end)
    ax = new_axes(ax, 8, 4.4)
    values, position = view["unit_contribution"].values, view["unit_position"].values
    channel, layer = view["unit_channel"].values, view.attrs.get("layer", "")
    ax.tick_params(labelsize=8)
    if position.max(initial=-1) < 0:
        order = np.argsort(-np.abs(values), kind="stable")[:_BARS]
        colours = DIVERGING(np.where(values[order] > 0, 0.9, 0.1))
        ax.bar(np.arange(len(order)), values[order], color=colours)
        ax.set_xticks(np.arange(len(order)), [str(channel[i]) for i in order], fontsize=8)
        ax.axhline(0, color="black", linewidth=0.5)
        ax.set_xlabel(f"Unit of layer {layer}, by size of its contribution", fontsize=9, **PLAIN)
        ax.set_ylabel(f"Contribution ({unit(view)})", fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
        title(ax, view)
        return ax
    table = np.full((channel.max() + 1, position.max() + 1), np.nan)
    table[channel, position] = values
    largest = np.nan_to_num(np.abs(table)).max(axis=1)
    rows = np.sort(np.argsort(-largest, kind="stable")[:n_channels])
    middle = np.empty(table.shape[1])
    middle[position] = (view["unit_field_start"].values + view["unit_field_end"].values - 1) / 2
    step = np.median(np.diff(middle)) if len(middle) > 1 else float(view.sizes["position"])
    edges = middle[len(middle) // 2] + step * (np.arange(len(middle) + 1) - len(middle) // 2 - 0.5)
    mesh = ax.pcolormesh(
        edges,
        np.arange(len(rows) + 1),
        table[rows],
        cmap=DIVERGING,
        norm=CenteredNorm(halfrange=float(np.abs(table[rows]).max(initial=0)) or 1.0),
        rasterized=True,
    )
    first, last = int(view["position"][0]), int(view["position"][-1])
    ax.set_xlim(first - 0.5, last + 0.5)
    ax.set_xticks(*position_ticks(view, np.arange(first, last + 1), width_of(ax)))
    ax.set_yticks(np.arange(len(rows)) + 0.5, [str(row) for row in rows], fontsize=7)
    ax.set_xlabel(position_label(view), fontsize=9, **PLAIN)
    ax.set_ylabel(f"Channel of layer {layer}", fontsize=9, **PLAIN)
    bar = figure_of(ax).colorbar(mesh, ax=ax, shrink=0.7)
    bar.set_label(f"Contribution ({unit(view)})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    title(ax, view)
    return ax
