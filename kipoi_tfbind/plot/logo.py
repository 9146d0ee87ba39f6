"""Sequence logo: each base as high as the prediction rests on it."""

from __future__ import annotations

from functools import cache

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot._colours import BASE_COLOURS
from kipoi_tfbind.plot.position_axes import figure_width, label_positions, new_axes, title, width_of
from kipoi_tfbind.results.position_scores import scores_of, source_of
from kipoi_tfbind.results.view import select

# Inches for a letter; with less there are bars in the colours of the bases.
_READABLE = 0.05
_LETTER_WIDTH = 0.9  # of a position, so that neighbours do not touch


def plot_logo(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sequence, each base as high as the prediction rests on it.

    The height of a base is, by the result's method: for `deep_shap` and `gradients` its contribution; for
    mutagenesis minus the mean effect of its three substitutions, so positive where mutating the base
    lowers the prediction; for `occlusion` minus the mean effect of the windows that occlude it. N has no
    height. Contributions of an ensemble have a thin line of one standard deviation to either side.

    Parameters
    ----------
    result
        From `in_silico_mutagenesis`, `second_order_mutagenesis`, `deep_shap`, `gradients` or `occlusion`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
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

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> ax = plot_logo(in_silico_mutagenesis(model, encode_sequences(["AGGA"], ids=["tiny"])))
    >>> ax.get_title(loc="left")
    'number of G   tiny, positions 0-3 (0-based)'
    """
    view = select(result, source_of(result), sequence=sequence, target=target, start=start, end=end)
    ax = new_axes(ax, figure_width(view.sizes["position"]), 2)
    draw_logo(ax, view)
    label_positions(ax, view)
    title(ax, view)
    return ax


def draw_logo(ax: Axes, view: xr.Dataset, at: NDArray | None = None) -> None:
    """Draw the letters and the y axis of the logo of one sequence and target.

    The letters stand at their positions in the sequence, or at `at`, an x for each of them.
    """
    scores = scores_of(view)
    bases = view["one_hot"].transpose("position", "base").values.argmax(axis=-1)
    at = view["position"].values if at is None else at
    known = scores.values[np.isfinite(scores.values)]
    # Lower letters are less than a line; each takes milliseconds.
    visible = np.abs(known).max(initial=0) / 500
    has_room = width_of(ax) / max(len(at), 1) >= _READABLE
    for x, base, height in zip(at, bases, scores.values, strict=True):
        if not np.abs(height) > visible:  # so for N, whose height is NaN
            continue
        if not has_room:
            ax.vlines(x, 0, height, color=BASE_COLOURS[BASES[base]], linewidth=1)
        else:
            draw_letter(ax, BASES[base], float(x), sorted((0.0, float(height))), flip=bool(height < 0))
    low, high = known.min(initial=0), known.max(initial=0)
    if scores.spread is not None:
        where = np.isfinite(scores.values)
        spread = scores.spread[where]
        ax.vlines(at[where], known - spread, known + spread, color="0.25", linewidth=0.7, zorder=3)
        low, high = (known - spread).min(initial=low), (known + spread).max(initial=high)
    margin = 0.04 * (high - low) or 1.0
    ax.set_ylim(low - margin, high + margin)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylabel(scores.label, fontsize=8)
    ax.tick_params(labelsize=8)


def draw_letter(ax: Axes, letter: str, x: float, extent: list[float], *, flip: bool = False) -> None:
    """Draw one letter over one position, from the lower to the upper end of its extent."""
    low, high = extent
    height = low - high if flip else high - low
    place = Affine2D().scale(_LETTER_WIDTH, height).translate(x - _LETTER_WIDTH / 2, high if flip else low)
    ax.add_patch(
        PathPatch(place.transform_path(letter_outline(letter)), facecolor=BASE_COLOURS[letter], linewidth=0)
    )


@cache
def letter_outline(letter: str) -> Path:
    """Outline of a bold letter that fills the square from (0, 0) to (1, 1)."""
    path = TextPath((0, 0), letter, size=100, prop=FontProperties(family="sans", weight="bold"))
    box = path.get_extents()
    return Affine2D().translate(-box.x0, -box.y0).scale(1 / box.width, 1 / box.height).transform_path(path)
