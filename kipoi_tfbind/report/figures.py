"""The pictures of a report, as data inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import make_axes_locatable  # type: ignore[import-untyped]
from PIL import Image

from kipoi_tfbind.plot.hits import Arrow, draw_arrows, lanes_of
from kipoi_tfbind.plot.position_axes import label_positions
from kipoi_tfbind.plot.result import kind_of, plot_result
from kipoi_tfbind.report.places import Place
from kipoi_tfbind.report.tables import top_table
from kipoi_tfbind.results.position_scores import has_scores, scores_of, source_of
from kipoi_tfbind.results.view import interval, name_of, number, select

_DPI = 180  # of the picture's own size; on paper it is smaller and so finer
_INCH = 96  # a browser's pixels
_COLOURS = 256
# What a report shows of each kind of result: kind of plot, width and height in inches.
_SHAPES = {
    "map": (11.0, 3.2),
    "logo": (11.0, 2.2),
    "epistasis": (6.6, 7.7),
    "occlusion": (11.0, 2.4),
    "surrogate": (5.6, 5.2),
    "interaction": (6.6, 6.0),
    "samples": (9.0, 2.4),
    "design": (8.0, 3.6),
}
# Of results without a score of each position: no table, no tracks, and all of it in the picture.
ONLY_PICTURES = ("interaction", "samples", "design")
_NAMES = {
    "surrogate": "Effects in the surrogate beside those of ISM",
    "map": "Logo and map",
    "logo": "Logo",
    "epistasis": "Epistasis map",
    "occlusion": "Occlusion profile",
    "interaction": "Interactions of pairs",
    "samples": "Logo of the samples",
    "design": "Predictions of a design",
}
_MARGINS = {"left": 0.08, "right": 0.94}
_STRIP = 0.55  # inches; the whole sequence under what is shown of it
_HITS = 0.4  # inches


@dataclass(frozen=True)
class Picture:
    """A picture in a page.

    Attributes
    ----------
    source
        Data URL of a PNG.
    alternative
        A description for those who do not see it.
    width, height
        In a browser's pixels, at its own size.
    """

    source: str
    alternative: str
    width: int
    height: int


def draw(
    result: xr.Dataset,
    sequence: int,
    target: int,
    window: tuple[int, int],
    places: Sequence[Place] = (),
) -> Picture:
    """Draw one sequence and target of a result.

    Parameters
    ----------
    result
        Result of any method that has a plot.
    sequence, target
        Indices in the result.
    window
        Range of positions to show; the whole sequence is shown small under it where it is longer.
        An occlusion profile is drawn whole.
    places
        Hits and seqlets in the sequence, drawn beneath its logo.
    """
    kind = shown_kind(result)
    width, height = _SHAPES[kind]
    here = {"sequence": sequence, "target": target}
    view = select(result, *([] if kind in ONLY_PICTURES else [source_of(result)]), **here)
    first, last = view["position"].values[[0, -1]]
    is_part = kind in ("map", "logo") and bool(window[0] > first or window[1] < last + 1)

    arrows = _arrows(places, window) if kind in ("map", "logo") else []
    heights = [height] + [_HITS * (1 + max(lanes_of(arrows), default=0))] * bool(arrows) + [_STRIP] * is_part

    # Not through pyplot, which keeps its figures and may open windows.
    figure = Figure(figsize=(width, sum(heights) + 0.6 * (len(heights) - 1)))
    gap = 0.55 * len(heights) / sum(heights)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights, hspace=gap, **_MARGINS)
    ax = figure.add_subplot(grid[0])
    if arrows:
        _draw_arrows(figure.add_subplot(grid[1]), arrows, window, beside_map=kind == "map")
    if is_part:
        _draw_strip(figure.add_subplot(grid[-1]), view, window, beside_map=kind == "map")
    start, end = (None, None) if kind in ("occlusion", *ONLY_PICTURES) else window
    plot_result(result, kind=kind, start=start, end=end, whole=True, ax=ax, **here)
    source, size = encode(figure)
    return Picture(source, f"{_NAMES[kind]} of {_described(view)}", *size)


def shown_kind(result: xr.Dataset) -> str:
    """Kind of the picture that a report shows of a result."""
    kind = kind_of(result)
    # A map has the logo over it.
    return "map" if kind == "logo" and "hypothetical_contribution" in result else kind


def _arrows(places: Sequence[Place], window: tuple[int, int]) -> list[Arrow]:
    """The hits in a window."""
    return [
        Arrow(start, end, strand == "+", name, contribution)
        for start, end, strand, name, contribution, _ in places
        if end > window[0] and start < window[1]
    ]


def _draw_arrows(ax: Axes, arrows: Sequence[Arrow], window: tuple[int, int], *, beside_map: bool) -> None:
    if beside_map:
        make_axes_locatable(ax).append_axes("right", size=0.12, pad=0.12).set_axis_off()
    ax.set_xlim(window[0] - 0.5, window[1] - 0.5)
    draw_arrows(ax, arrows)
    ax.spines["bottom"].set_visible(False)
    ax.set_xticks([])
    ax.set_ylabel("hits", fontsize=8)


def _draw_strip(ax: Axes, view: xr.Dataset, window: tuple[int, int], *, beside_map: bool) -> None:
    """Draw the scores of all positions, with those that are shown in full shaded."""
    if beside_map:
        # Room for the map's colour bar, so that both are of one width.
        make_axes_locatable(ax).append_axes("right", size=0.12, pad=0.12).set_axis_off()
    label_positions(ax, view)
    ax.set_xlabel("")
    positions, values = view["position"].values, scores_of(view).values
    ax.axvspan(window[0] - 0.5, window[1] - 0.5, color="0.9", zorder=0)
    ax.vlines(positions, 0, np.nan_to_num(values), color="0.25", linewidth=0.9)
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_ylabel("whole\nsequence", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)


def _described(view: xr.Dataset) -> str:
    """Description of a picture: the place of the sequence, and its strongest positions."""
    prediction = number(float(view["prediction"]))
    words = f"{name_of(view)}, {interval(view)}, target {view['target'].item()}, prediction {prediction}"
    if not has_scores(view):
        return words
    table = top_table(view, 1)
    strongest = (
        ", ".join(f"{c} {cell}" for c, cell in zip(table.columns, table.rows[0], strict=True))
        if table.rows
        else ""
    )
    return f"{words}; strongest: {strongest}" if strongest else f"{words}; nothing has an effect"


def encode(figure: Figure) -> tuple[str, tuple[int, int]]:
    """PNG of a figure as a data URL, and its size in a browser's pixels."""
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=_DPI, bbox_inches="tight", facecolor="white")
    # A quarter of the bytes, and no difference that can be seen.
    image = Image.open(full).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, "PNG", optimize=True)
    width, height = (round(pixels / _DPI * _INCH) for pixels in image.size)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}", (width, height)
