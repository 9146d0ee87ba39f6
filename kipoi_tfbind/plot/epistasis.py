"""Epistasis map: which pairs of positions act together, and which substitutions show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, ListedColormap
from matplotlib.patches import Rectangle
from mpl_toolkits.axes_grid1 import make_axes_locatable  # type: ignore[import-untyped]
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import DIVERGING, MISSING
from kipoi_tfbind.plot.logo import draw_letter, draw_logo
from kipoi_tfbind.plot.position_axes import PLAIN, figure_of, finish, new_axes, position_ticks, width_of
from kipoi_tfbind.results.view import labels_of, number, position_label, select, unit
from kipoi_tfbind.schema import SPREAD

_READABLE = 5.0  # points; a smaller cell has no room for a letter
_LABEL_WIDTH = 0.8  # inches
# Of the number of a marked cell: its size in points, and where it is tried around the cell, in circles.
_NUMBER = 8.0
_DIRECTIONS = np.deg2rad([0, 90, 45, 315, 180, 270, 135, 225])
_TRIES = 80


@dataclass(frozen=True)
class Pair:
    """The two substitutions with the strongest epistasis at a pair of positions.

    Attributes
    ----------
    position_a, position_b
        Positions in the sequence, 0-based.
    substitution_a, substitution_b
        The observed base, the coordinate that the plots' axes have, and the new base: "C181A".
    epistasis
        In the unit of the model's output.
    spread
        Standard deviation over the models of an ensemble; None for a single model.
    """

    position_a: int
    position_b: int
    substitution_a: str
    substitution_b: str
    epistasis: float
    spread: float | None


def plot_epistasis(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    n_strongest: int = 5,
    ax: Axes | None = None,
) -> Axes:
    """Draw the epistasis of every pair of positions as a triangle, over the logo of single effects.

    A cell is the epistasis of largest magnitude over the nine pairs of substitutions at its two
    positions, with its sign: red where both together raise the prediction more, or lower it less, than
    the sum of their single effects; blue where they lower it more, or raise it less. Grey is no value
    (N). The strongest pairs of positions are numbered, and their substitutions are listed with the
    coordinates that the axes have; an ensemble's with one standard deviation.

    Parameters
    ----------
    result
        From `second_order_mutagenesis`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    start, end
        Positions in the sequence to show, 0-based, `end` not included; all by default.
    n_strongest
        How many pairs of positions to mark.
    ax
        Axes whose place the map and the logo share; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the map. Those of the logo are in the same figure.

    Raises
    ------
    InputError
        The result has no such sequence, target or positions, or is one of another method; fewer than two
        of its positions lie in the range.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, second_order_mutagenesis
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, 0, 2] * one_hot[:, 2, 2], targets=["G.G"])
    >>> ax = plot_epistasis(second_order_mutagenesis(model, encode_sequences(["ACT"], ids=["tiny"])))
    >>> ax.texts[1].get_text().replace("\N{NO-BREAK SPACE}", " ")  # the strongest pair
    '1  A0G × T2G  +1.0'
    """
    view = select(
        result,
        *("epistasis", "mutation_effect"),
        sequence=sequence,
        target=target,
        start=start,
        end=end,
    )
    if not view.sizes["pair"]:
        raise InputError("start, end: expected a range with a pair of this result's positions, got none")
    ax = new_axes(ax, 7, 8.2)
    logo = make_axes_locatable(ax).append_axes("bottom", size="20%", pad=0.06)
    _draw_triangle(ax, view)
    _label_axes(ax, logo, view)
    _mark(ax, strongest_pairs(view, n_strongest), view["position"].values)
    return finish(ax, view)


def strongest_pairs(view: xr.Dataset, n: int) -> list[Pair]:
    """Return the pairs of positions with the strongest epistasis, the strongest first.

    Parameters
    ----------
    view
        One sequence and target of a result, as `select` returns it.
    n
        How many at most; a pair without any epistasis is never among them.
    """
    strongest, at = _strongest(view)
    magnitude = np.nan_to_num(np.abs(strongest))
    order = np.argsort(-magnitude, kind="stable")[:n]
    return [_pair(view, int(pair), int(at[pair])) for pair in order if magnitude[pair] > 0]


def _strongest(view: xr.Dataset) -> tuple[NDArray, NDArray[np.intp]]:
    """Epistasis of largest magnitude at each pair of positions, and which of the 16 pairs of bases has it."""
    epistasis = view["epistasis"].transpose("pair", "base_a", "base_b").values
    flat = epistasis.reshape(len(epistasis), -1)
    at = np.nan_to_num(np.abs(flat), nan=-1).argmax(axis=1)
    return flat[np.arange(len(flat)), at], at


def _pair(view: xr.Dataset, pair: int, at: int) -> Pair:
    bases = divmod(at, len(BASES))
    positions = [int(view[f"position_{side}"][pair]) for side in "ab"]
    there = view["one_hot"].sel(position=positions).transpose("position", "base").values.argmax(axis=-1)
    labels = labels_of(view, np.array(positions))
    a, b = (f"{BASES[i]}{label}{BASES[j]}" for i, label, j in zip(there, labels, bases, strict=True))

    def value(name: str) -> float:
        return float(view[name].transpose("pair", "base_a", "base_b").values[pair, bases[0], bases[1]])

    name = "epistasis"
    spread = value(name + SPREAD) if name + SPREAD in view else None
    return Pair(positions[0], positions[1], a, b, value(name), spread)


def _draw_triangle(ax: Axes, view: xr.Dataset) -> None:
    """Draw the map: first position of a pair to the right, second downwards; the sequence is the diagonal."""
    positions = view["position"].values
    n = len(positions)
    column, row = (np.searchsorted(positions, view[f"position_{side}"].values) for side in "ab")
    strongest, _ = _strongest(view)
    values, missing = np.full((2, n, n), np.nan)
    values[row, column] = strongest
    missing[row, column] = np.where(np.isnan(strongest), 1, np.nan)

    edges = np.arange(n + 1) - 0.5
    mesh = ax.pcolormesh(
        edges,
        edges,
        np.ma.masked_invalid(values),
        cmap=DIVERGING.with_extremes(bad=(0, 0, 0, 0)),
        norm=CenteredNorm(halfrange=float(np.nanmax(np.abs(values), initial=0)) or 1.0),
        rasterized=True,
    )
    ax.pcolormesh(
        edges, edges, np.ma.masked_invalid(missing), cmap=ListedColormap([MISSING]), rasterized=True
    )
    steps = np.repeat(np.arange(n + 1) - 0.5, 2)
    ax.plot(steps[:-1], steps[1:], color="0.7", linewidth=0.6)
    for gap in np.flatnonzero(np.diff(positions) > 1):
        ax.plot([gap + 0.5] * 2, [gap + 0.5, n - 0.5], color="black", linewidth=0.8)
        ax.plot([-0.5, gap + 0.5], [gap + 0.5] * 2, color="black", linewidth=0.8)
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylim(n - 0.5, -0.5)
    ax.set_aspect("equal")

    bar = figure_of(ax).colorbar(
        mesh, cax=ax.inset_axes((0.635, 0.965, 0.345, 0.022)), orientation="horizontal"
    )
    bar.set_label(f"Strongest epistasis\nof the two positions (ΔΔ {unit(view)})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def _label_axes(ax: Axes, logo: Axes, view: xr.Dataset) -> None:
    """Write the sequence along the diagonal, draw its logo under the map, and label both axes."""
    positions = view["position"].values
    n = len(positions)
    cell = 72 * width_of(ax) / n
    if cell >= _READABLE:
        for at, row in enumerate(view["one_hot"].transpose("position", "base").values):
            if row.any():
                # The y axis points down.
                draw_letter(ax, BASES[row.argmax()], at, [at - 0.42, at + 0.42], flip=True)

    ax.set_yticks(*_ticks(view, 2 * width_of(ax)))  # labels are twice as wide as high, and more
    ticks = _ticks(view, width_of(ax))
    ax.set_xticks(ticks[0], [])  # the labels are under the logo
    ax.set_ylabel(position_label(view), fontsize=9, **PLAIN)
    draw_logo(logo, view, np.arange(n))
    logo.set_xlim(ax.get_xlim())
    logo.set_xticks(*ticks)
    logo.set_xlabel(position_label(view), fontsize=9, **PLAIN)


def _ticks(view: xr.Dataset, width: float) -> tuple[NDArray[np.integer], list[str]]:
    """Columns to label, and their coordinates: round ones, or where there are gaps some of each run."""
    positions = view["position"].values
    if positions[-1] - positions[0] == len(positions) - 1:
        ticks, labels = position_ticks(view, positions, width)
        return ticks - positions[0], labels
    run_starts = np.concatenate([[0], np.flatnonzero(np.diff(positions) > 1) + 1])
    apart = int(np.ceil(len(positions) * _LABEL_WIDTH / width))
    shown: list[int] = []
    for column in run_starts:
        if not shown or column - shown[-1] >= apart:
            shown.append(int(column))
    return np.array(shown), [f"{label:,}" for label in labels_of(view, positions[shown])]


def _mark(ax: Axes, pairs: list[Pair], positions: NDArray[np.integer]) -> None:
    """Number the cells of some pairs, and list their substitutions in the empty half of the map."""
    cell = 72 * width_of(ax) / len(positions)
    places = [np.searchsorted(positions, [pair.position_a, pair.position_b]) for pair in pairs]
    inside = cell >= 1.8 * _READABLE
    offsets = [(0.0, 0.0)] * len(pairs) if inside else label_offsets(np.array(places).reshape(-1, 2), cell)
    for rank, ((column, row), offset) in enumerate(zip(places, offsets, strict=True), start=1):
        ax.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=1.2, zorder=3)
        )
        ax.annotate(
            str(rank),
            (column, row),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=min(8.0, 0.8 * cell) if inside else 7,
            fontweight="bold",
            path_effects=[patheffects.withStroke(linewidth=2, foreground="white")],
            arrowprops=None if inside else {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
            zorder=4,
        )
    lines = [f"{rank}  {_described(pair)}" for rank, pair in enumerate(pairs, start=1)]
    widest = max(map(len, lines), default=0)
    text = "\n".join(line[0] + line[1:].rjust(widest - 1) for line in lines)
    text = text.replace(" ", "\N{NO-BREAK SPACE}")  # SVG draws several plain ones as one
    ax.text(0.98, 0.825, text, transform=ax.transAxes, ha="right", va="top", fontsize=8, family="monospace")


def label_offsets(places: NDArray, cell: float) -> list[tuple[float, float]]:
    """Where the numbers of marked cells stand, in points from their cells, so that no two touch.

    Parameters
    ----------
    places
        (cell, 2); column and row of each, rows counted downwards.
    cell
        Width of a cell in points.
    """
    centres = places * cell * [1, -1]
    taken: list[NDArray] = []
    offsets = []
    for centre in centres:
        for step in range(_TRIES):
            angle, radius = (
                _DIRECTIONS[step % len(_DIRECTIONS)],
                0.5 * cell + 5 + 4 * (step // len(_DIRECTIONS)),
            )
            offset = radius * np.array([np.cos(angle), np.sin(angle)])
            away = [np.abs(centre + offset - other).max() for other in taken]
            off_cells = np.abs(centre + offset - centres).max(axis=1)
            if min(away, default=np.inf) >= _NUMBER and off_cells.min() >= 0.5 * (cell + _NUMBER) - 1:
                break
        taken.append(centre + offset)
        offsets.append((float(offset[0]), float(offset[1])))
    return offsets


def _described(pair: Pair) -> str:
    """Write a pair as C181A × G195T +1.2."""
    spread = "" if pair.spread is None else f" ± {number(pair.spread, '.1g')}"
    value = number(pair.epistasis, "+#.2g" if abs(pair.epistasis) < 9.95 else "+.0f")
    return f"{pair.substitution_a} × {pair.substitution_b}  {value}{spread}"
