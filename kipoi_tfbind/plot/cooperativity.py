"""Heat map of what motifs do together."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import DIVERGING
from kipoi_tfbind.plot._pattern_axes import LEVEL, describe, effect_label, is_significant, require_experiment
from kipoi_tfbind.plot.position_axes import PLAIN, figure_of
from kipoi_tfbind.results.view import number, select_target, with_role

_ROOM = 12  # motifs, of more the cells are too small for numbers


def plot_cooperativity(
    result: xr.Dataset,
    *,
    target: int | str | None = None,
    gap: int | None = None,
    orientation: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the interaction of every two motifs, at one gap and orientation.

    Red pairs do more together than the sum of both, blue ones less. Numbers in bold have a q-value of at most
    0.05, those in brackets a larger one.

    Parameters
    ----------
    result
        From `cooperativity`.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    gap
        Bases between the motifs; by default the first gap of the result.
    orientation
        "++", "+-", "-+" or "--"; by default the first one of the result.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such target, gap or orientation, or is one of another method or experiment.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, cooperativity, make_backgrounds
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1) ** 2, targets=["square"])
    >>> result = cooperativity(model, make_backgrounds("uniform", 50, length=40), ["GGG", "AAA"])
    >>> plot_cooperativity(result).get_ylabel()
    'Upstream'
    """
    require_experiment(result, "cooperativity")
    view = with_role(select_target(result, target, "importance", "difference", "difference_q_value"), "pair")
    gap = int(view["gap"].values[0]) if gap is None else gap
    orientation = str(view["orientation"].values[0]) if orientation is None else orientation
    view = view.isel(pattern=((view["gap"] == gap) & (view["orientation"] == orientation)).values)
    if not view.sizes["pattern"]:
        raise InputError(
            f"gap, orientation: this result has none with {gap} and {orientation!r}; it has the gaps "
            f"{result.attrs.get('gaps')} and orientations {result.attrs.get('orientations')}"
        )
    names = list(dict.fromkeys(view["motif_a"].values.astype(str)))
    values, sure = _matrices(view, names)
    if ax is None:
        size = 1.8 + 0.7 * len(names)
        _, ax = plt.subplots(figsize=(size + 1.2, size))
    largest = max(float(np.nanmax(np.abs(values))), np.finfo(float).tiny)  # pairs may be missing
    image = ax.imshow(values, cmap=DIVERGING, vmin=-largest, vmax=largest)
    if len(names) <= _ROOM:
        _write_numbers(ax, values, sure, largest)
    ax.set_xticks(np.arange(len(names)), names, rotation=40, ha="right", fontsize=8, **PLAIN)
    ax.set_yticks(np.arange(len(names)), names, fontsize=8, **PLAIN)
    ax.set_xlabel("Downstream", fontsize=9)
    ax.set_ylabel("Upstream", fontsize=9)
    bar = figure_of(ax).colorbar(image, ax=ax, shrink=0.8)
    bar.set_label(effect_label(view, "difference"), fontsize=8)
    bar.ax.tick_params(labelsize=8)
    signs = orientation.replace("-", "\N{MINUS SIGN}")
    describe(ax, view, f"interaction, {gap} bp between, {signs}", f"; in brackets: q > {LEVEL:g}")
    return ax


def _matrices(view: xr.Dataset, names: list[str]) -> tuple[NDArray, NDArray[np.bool_]]:
    """Interaction (upstream, downstream), and whether it is significant."""
    values = np.full((len(names), len(names)), np.nan)
    sure = np.zeros(values.shape, dtype=bool)
    significant = is_significant(view, "difference")
    for row, (a, b) in enumerate(zip(view["motif_a"].values, view["motif_b"].values, strict=True)):
        place = names.index(str(a)), names.index(str(b))
        values[place], sure[place] = view["difference"].values[row], significant[row]
    return values, sure


def _write_numbers(ax: Axes, values: NDArray, sure: NDArray[np.bool_], largest: float) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        text = number(float(value), "+.2f")
        ax.text(
            column,
            row,
            text if sure[row, column] else f"({text})",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if sure[row, column] else "normal",
            color="white" if abs(value) > 0.6 * largest else "0.15",
        )
