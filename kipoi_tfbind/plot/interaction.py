"""Interactions of pairs as a triangle, and the strongest of them by name."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot._colours import DIVERGING
from kipoi_tfbind.plot.position_axes import PLAIN, figure_of, finish, new_axes, position_ticks, width_of
from kipoi_tfbind.results.view import labels_of, number, position_label, select, unit

_METHODS = {
    "integrated_hessians": "Integrated Hessian",
    "deep_feature_interaction": "Deep feature interaction",
    "shapley_interactions": "Shapley interaction",
    "surrogate": "Interaction in the surrogate",
    "second_order_mutagenesis": "Epistasis",
}


def plot_interaction(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    n_strongest: int = 5,
    ax: Axes | None = None,
) -> Axes:
    """Draw the interaction of every two positions, or segments, as a triangle; the sequence is its diagonal.

    Red pairs raise the prediction together more than each alone would, blue ones lower it. The strongest are
    listed, by the coordinates that the axes have.

    Parameters
    ----------
    result
        With ``interaction``: of `integrated_hessians`, `deep_feature_interaction`, `shapley_interactions`,
        `epistasis_interaction`, or `surrogate` with pairs.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    start, end
        Positions in the sequence to show, 0-based, `end` not included; all by default, of segments those
        from the first to the last.
    n_strongest
        How many pairs to list.
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
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, shapley_interactions
    >>> model = as_sequence_model(lambda x: x[:, 0, 0] * x[:, 2, 2] + x[:, 1, 1], targets=["y"])
    >>> segments = [(0, 1), (1, 2), (2, 3)]
    >>> result = shapley_interactions(model, encode_sequences(["ACG"]), segments=segments, references="zeros")
    >>> plot_interaction(result).get_xlabel()
    'Position in the sequence (0-based)'
    """
    if start is None and end is None and "end_b" in result.coords and result.sizes["pair"]:
        start, end = int(result["position_a"].min()), int(result["end_b"].max())
    view = select(result, "interaction", sequence=sequence, target=target, start=start, end=end)
    ax = new_axes(ax, 6.6, 6.0)
    first, last = int(view["position"][0]), int(view["position"][-1])
    values = view["interaction"].values
    n = last - first + 1
    table = np.full((n, n), np.nan)
    for pair in range(view.sizes["pair"]):
        sides = [int(view[f"position_{side}"][pair]) for side in "ab"]
        ends = [
            int(view[f"end_{s}"][pair]) if f"end_{s}" in view.coords else at + 1
            for s, at in zip("ab", sides, strict=True)
        ]
        (a, b), (c, d) = ((at - first, stop - first) for at, stop in zip(sides, ends, strict=True))
        table[c:d, a:b] = values[pair]
    edges = np.arange(first, last + 2) - 0.5
    mesh = ax.pcolormesh(
        edges,
        edges,
        np.ma.masked_invalid(table),
        cmap=DIVERGING.with_extremes(bad=(0, 0, 0, 0)),
        norm=CenteredNorm(halfrange=float(np.nanmax(np.abs(table), initial=0)) or 1.0),
        rasterized=True,
    )
    ax.plot(edges[[0, -1]], edges[[0, -1]], color="0.7", linewidth=0.6)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(edges[-1], edges[0])
    ax.set_aspect("equal")
    ax.set_xticks(*position_ticks(view, np.arange(first, last + 1), width_of(ax)))
    ax.set_yticks(*position_ticks(view, np.arange(first, last + 1), 2 * width_of(ax)))
    ax.set_xlabel(position_label(view), fontsize=9, **PLAIN)
    _list_strongest(ax, view, n_strongest)
    what = _METHODS.get(str(view.attrs.get("method")), "Interaction")
    bar = figure_of(ax).colorbar(
        mesh, cax=ax.inset_axes((0.62, 0.965, 0.36, 0.022)), orientation="horizontal"
    )
    bar.set_label(f"{what} ({unit(view)})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return finish(ax, view)


def _list_strongest(ax: Axes, view: xr.Dataset, n: int) -> None:
    values = view["interaction"].values
    observed = view["one_hot"].transpose("position", "base").values
    first = int(view["position"][0])
    lines = []
    for pair in np.argsort(-np.nan_to_num(np.abs(values)), kind="stable")[:n]:
        if not np.abs(values[pair]) > 0:
            break
        names = []
        for side in "ab":
            at = int(view[f"position_{side}"][pair])
            if f"end_{side}" in view.coords:
                ends = labels_of(view, np.array([at, int(view[f"end_{side}"][pair]) - 1]))
                names.append(f"{ends.min()}-{ends.max()}")
            else:
                names.append(f"{BASES[observed[at - first].argmax()]}{labels_of(view, np.array([at]))[0]}")
        lines.append(f"{' × '.join(names)}  {number(float(values[pair]), '+.2g')}")
    widest = max(map(len, lines), default=0)
    text = "\n".join(line.rjust(widest) for line in lines).replace(" ", "\N{NO-BREAK SPACE}")
    ax.text(0.98, 0.84, text, transform=ax.transAxes, ha="right", va="top", fontsize=8, family="monospace")
