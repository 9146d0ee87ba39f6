"""Attention of one head as a matrix of queries and keys, on the bases that they stand at."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.plot.position_axes import PLAIN, figure_of, new_axes, position_ticks, title, width_of
from kipoi_tfbind.results.view import find, number, position_label, select


def plot_attention(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str = 0,
    start: int | None = None,
    end: int | None = None,
    head: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the weights of one head, each query in a row; its correlations with mutations stand under it.

    Parameters
    ----------
    result
        From `attention_maps`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name: the correlations are those with its effects.
    start, end
        Positions in the sequence to show, 0-based, `end` not included; all by default.
    head
        Index of the head, or its name; by default the one that agrees best with ISM.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such sequence, target, head or positions, or is one of another method.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, attention_maps, encode_sequences
    >>> class Attends(torch.nn.Module):
    ...     def forward(self, x):
    ...         x = x.transpose(1, 2)
    ...         return torch.nn.functional.scaled_dot_product_attention(x, x, x, scale=9)[:, 0, :1]
    >>> result = attention_maps(as_sequence_model(Attends(), length=4), encode_sequences(["ACGA"]))
    >>> plot_attention(result).get_ylabel()
    'Query: takes from a key'
    """
    view = select(
        result, "attention", "ism_correlation", sequence=sequence, target=target, start=start, end=end
    )
    best = np.nan_to_num(view["ism_correlation"].values, nan=-2).argmax()
    view = view.isel(head=int(best) if head is None else find(view, "head", "head", head))
    ax = new_axes(ax, 6.4, 5.6)
    first, last = int(view["position"][0]), int(view["position"][-1])
    rows, columns = (_shown(view, side, first, last) for side in ("query", "key"))
    weights = view["attention"].transpose("query", "key").values[np.ix_(rows[0], columns[0])]
    mesh = ax.pcolormesh(columns[1], rows[1], weights, cmap="Blues", vmin=0, rasterized=True)
    ax.set_xlim(first - 0.5, last + 0.5)
    ax.set_ylim(rows[1][-1], rows[1][0])
    ax.set_xticks(*position_ticks(view, np.arange(first, last + 1), width_of(ax)))
    if view["query_field_start"].values[0] >= 0:
        ax.set_yticks(*position_ticks(view, np.arange(first, last + 1), 2 * width_of(ax)))
    ax.set_xlabel(f"Key. {position_label(view)}", fontsize=9, **PLAIN)
    ax.set_ylabel("Query: takes from a key", fontsize=9)
    ax.tick_params(labelsize=8)
    bar = figure_of(ax).colorbar(mesh, ax=ax, shrink=0.7)
    bar.set_label("Attention", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    said = ", ".join(
        f"{what} {number(float(view[name]), '+.2f')}"
        for what, name in (("ISM", "ism_correlation"), ("second-order ISM", "epistasis_correlation"))
        if np.isfinite(view[name])
    )
    text = f"{view['head'].item()}; rank correlation with {said or 'mutations not known'}"
    ax.annotate(
        text, (0, 0), (0, -38), xycoords="axes fraction", textcoords="offset points", fontsize=8.5, **PLAIN
    )
    title(ax, view)
    return ax


def _shown(view: xr.Dataset, side: str, first: int, last: int) -> tuple[NDArray[np.intp], NDArray]:
    """Queries or keys that stand within the range, and the edges between them, in positions."""
    start, end = (view[f"{side}_field_{which}"].values for which in ("start", "end"))
    if start[0] < 0:
        return np.arange(len(start)), np.linspace(first - 0.5, last + 0.5, len(start) + 1)
    centre = (start + end - 1) / 2
    # Fields that are cut off at the ends have the same centre: positions are as far apart as those inside.
    inside = np.arange(len(centre))
    if len(centre) > 2:
        step = np.median(np.diff(centre))
        middle = len(centre) // 2
        centre = centre[middle] + step * (inside - middle)
        edges = np.append(centre - step / 2, centre[-1] + step / 2)
    else:
        edges = np.linspace(first - 0.5, last + 0.5, len(centre) + 1)
    keep = np.flatnonzero((edges[1:] > first - 0.5) & (edges[:-1] < last + 0.5))
    return keep, edges[keep[0] : keep[-1] + 2]
