"""A page of motifs: logo, the known motif that it is like, number of sites, importance."""

from __future__ import annotations

import contextlib

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.motifs.collect import jaspar_motifs
from kipoi_tfbind.motifs.match import information
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.plot._colours import LOWERS, RAISES
from kipoi_tfbind.plot.logo import draw_letter
from kipoi_tfbind.results.view import find_target, q_value_text

_ROW, _TOP, _BOTTOM = 0.85, 0.3, 0.6  # inches
_LEVEL = 0.05  # of the q-value; known motifs above it are pale


def plot_motifs(
    result: xr.Dataset,
    *,
    target: int | str | None = None,
    top: int = 20,
    known: dict[str, Motif] | None = None,
) -> Figure:
    r"""Draw the motifs of filters or patterns, one under the other, the most important first.

    To the left the logo of each in bits; in the middle the known motif that it is most like, at its offset
    and in its orientation, with the q-value, pale where that is above 0.05; to the right, of filters, the
    change of the prediction when the filter is silenced, with its interval, else the number of sites.

    Parameters
    ----------
    result
        From `match_filters`, `filter_motifs` or `find_patterns`.
    target
        Index of the target, or its name, of the importance.
    top
        Most motifs to draw.
    known
        Known motifs by id, such as those of `kipoi_tfbind.motifs.collect.jaspar_motifs`, whose logos are
        drawn; without them, their names are written.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        The result has no motifs with a site, or no such target.

    Examples
    --------
    >>> from kipoi_tfbind.motifs.collect import collect_motifs, motif_table
    >>> table = motif_table(collect_motifs({"AP-1": "TGASTCA", "E-box": "CACGTG"}))
    >>> page = plot_motifs(table.assign(n_motif_sites=("motif", [20, 1200])))
    >>> page.axes[0].get_ylabel()
    'E-box\n1,200 sites'
    """
    schema.require(result, "motif_matrix", "n_motif_sites")
    has_sites = np.flatnonzero(result["n_motif_sites"].values > 0)
    if not has_sites.size:
        raise InputError("result: none of its motifs has a site")
    effect = effect_of(result, target)
    strength = np.abs(effect[0]) if effect is not None else result["n_motif_sites"].values
    order = has_sites[np.argsort(-strength[has_sites], kind="stable")][:top]
    height = _TOP + _BOTTOM + _ROW * len(order)
    figure = Figure(figsize=(10.5, height))
    ends = {"top": 1 - _TOP / height, "bottom": _BOTTOM / height}
    grid = figure.add_gridspec(
        len(order), 3, width_ratios=(4, 4, 2.4), hspace=0.45, wspace=0.12, left=0.1, right=0.98, **ends
    )
    shared = None
    for row, i in enumerate(order):
        one = result.isel(motif=int(i))
        left, middle = (figure.add_subplot(grid[row, column]) for column in (0, 1))
        matrix = finite_columns(one["motif_matrix"].transpose("column", "base").values)
        draw_motif(left, matrix)
        sites = int(one["n_motif_sites"])
        label = f"{one['motif'].item()}\n{sites:,} sites"
        left.set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")
        # Both on one scale, so that the columns that are alike stand at the same place.
        left.set_xlim(*_draw_match(middle, one, len(matrix), known))
        right = figure.add_subplot(grid[row, 2], sharex=shared)
        shared = right
        _draw_bar(right, one, None if effect is None else tuple(part[i] for part in effect))
        right.tick_params(labelbottom=row == len(order) - 1, labelsize=7)
    bottom = "silenced: change of the prediction" if effect is not None else "number of sites"
    name = "" if effect is None else f"\n({result['target'].values[find_target(result, target)]})"
    right.set_xlabel(bottom + name, fontsize=7)
    return figure


def draw_motif(ax: Axes, matrix: NDArray, first: int = 0) -> None:
    """Draw the logo of probabilities (column, base) in bits, from this x on."""
    bits = information(matrix)
    for i, (row, height) in enumerate(zip(matrix, bits, strict=True)):
        bottom = 0.0
        for b in np.argsort(row, kind="stable"):
            top = bottom + row[b] * height
            if top - bottom > 0.01:
                draw_letter(ax, BASES[b], float(first + i), [bottom, top])
            bottom = top
    ax.set_xlim(first - 0.6, first + len(matrix) - 0.4)
    ax.set_ylim(0, 2)
    ax.set_yticks([])
    ax.set_xticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)


def known_motifs(result: xr.Dataset) -> dict[str, Motif] | None:
    """The motifs of JASPAR that a result was matched with, by id; None where they cannot be had.

    Parameters
    ----------
    result
        From `match_filters`, or with what `match_motifs` adds.
    """
    if result.attrs.get("database") != "JASPAR":
        return None
    group = str(result.attrs["tax_group"])
    with contextlib.suppress(MissingProgramError, InputError):
        return jaspar_motifs(
            release=str(result.attrs["release"]),
            collection=str(result.attrs["collection"]),
            tax_group=None if group == "all" else group,
        )
    return None


def effect_of(result: xr.Dataset, target: int | str | None) -> tuple[NDArray, NDArray, NDArray] | None:
    """Effect of silencing each filter, with the ends of its interval; None for patterns."""
    if "silencing_effect" not in result:
        return None
    index = find_target(result, target)
    ends = ("", "_low", "_high")
    mean, low, high = (result[f"silencing_effect{end}"].values[:, index] for end in ends)
    return mean, low, high


def finite_columns(matrix: NDArray) -> NDArray:
    """The columns that a motif has; shorter ones than the longest are filled with NaN."""
    return matrix[np.isfinite(matrix).all(axis=1)]


def _draw_match(ax: Axes, one: xr.Dataset, width: int, known: dict[str, Motif] | None) -> tuple[float, float]:
    """Draw the known motif that one is most like; return the range of x that holds both."""
    ax.set_axis_off()
    alone = -0.6, width - 0.4
    if "match_name" not in one or not str(one["match_name"].values[0]):
        return alone
    identifier, q = str(one["match_id"].values[0]), float(one["match_q_value"].values[0])
    text = f"{one['match_name'].values[0]}  {identifier}  {q_value_text(q)}"
    ax.set_title(text, fontsize=7, color="black" if q < _LEVEL else "0.6", loc="left", pad=1)
    if known is None or identifier not in known:
        return alone
    matrix = known[identifier].matrix
    if str(one["match_orientation"].values[0]) == "-":
        matrix = matrix[::-1, ::-1]
    # The motif begins at this column of the known one.
    first = -int(one["match_offset"].values[0])
    draw_motif(ax, matrix, first)
    limits = min(first, 0) - 0.6, max(width, first + len(matrix)) - 0.4
    ax.set_xlim(*limits)
    if q >= _LEVEL:
        for patch in ax.patches:
            patch.set_alpha(0.35)
    return limits


def _draw_bar(ax: Axes, one: xr.Dataset, effect: tuple[float, ...] | None) -> None:
    if effect is None:
        ax.barh(0, float(one["n_motif_sites"]), color="0.6", height=0.5)
    else:
        mean, low, high = map(float, effect)
        ax.barh(0, mean, color=RAISES if mean > 0 else LOWERS, height=0.5)
        if np.isfinite([low, high]).all():
            ax.hlines(0, low, high, color="black", linewidth=1.2)
        ax.axvline(0, color="black", linewidth=0.6)
    ax.set_ylim(-0.6, 0.6)
    ax.set_yticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)
