"""Agreement of maps as a table of colours and numbers."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import DIVERGING
from kipoi_tfbind.plot.position_axes import PLAIN, figure_of
from kipoi_tfbind.results.view import find_target, number

_MEASURES = {
    "cosine": "cosine",
    "rank_correlation": "rank correlation",
    "top_overlap": "overlap of the top positions",
}


def plot_agreement(
    result: xr.Dataset,
    *,
    target: int | str | None = None,
    measure: str = "rank_correlation",
    ax: Axes | None = None,
) -> Axes:
    """Draw how alike every two maps are: the mean over the sequences, and its interval.

    Parameters
    ----------
    result
        From `agreement`.
    target
        Index of the target, or its name; by default the first.
    measure
        "cosine", "rank_correlation" or "top_overlap".
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        There is no such target or measure, or the result is one of another method.

    Examples
    --------
    >>> from kipoi_tfbind import agreement, as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> ism = in_silico_mutagenesis(model, encode_sequences(["AGGATGTC"]))
    >>> ax = plot_agreement(agreement({"first": ism, "again": ism}, top=3))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['again']
    """
    if measure not in _MEASURES:
        raise InputError(f"measure: expected one of {', '.join(_MEASURES)}, got {measure!r}")
    name = f"mean_{measure}"
    schema.require(result, name, f"{name}_low", f"{name}_high")
    view = result.isel(target=find_target(result, target))
    names = list(dict.fromkeys([*view["map_a"].values, *view["map_b"].values]))
    n = len(names)
    if ax is None:
        _, ax = plt.subplots(figsize=(2.6 + 1.1 * n, 1.6 + 0.8 * n))
    table = np.full((n, n), np.nan)
    for one in range(view.sizes["comparison"]):
        at = view.isel(comparison=one)
        column, row = names.index(at["map_a"].item()), names.index(at["map_b"].item())
        mean, low, high = (float(at[name + end]) for end in ("", "_low", "_high"))
        table[row, column] = mean
        interval = "" if np.isnan(low) else f"\n{number(low, '.2f')} to {number(high, '.2f')}"
        ax.text(
            column,
            row,
            f"{number(mean, '.2f')}{interval}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if abs(mean) > 0.7 else "black",
        )
    image = ax.imshow(np.ma.masked_invalid(table), cmap=DIVERGING.with_extremes(bad="white"), vmin=-1, vmax=1)
    ax.set_xlim(-0.5, n - 1.5)
    ax.set_ylim(n - 0.5, 0.5)
    ax.set_xticks(np.arange(n - 1), names[:-1], fontsize=8, rotation=30, ha="right", **PLAIN)
    ax.set_yticks(np.arange(1, n), names[1:], fontsize=8, **PLAIN)
    ax.spines[:].set_visible(False)
    bar = figure_of(ax).colorbar(image, ax=ax, shrink=0.8)
    bar.set_label(_MEASURES[measure].capitalize(), fontsize=8)
    bar.ax.tick_params(labelsize=8)
    ax.set_title(
        f"{view['target'].item()}   agreement of maps, {view.sizes['sequence']} sequences",
        loc="left",
        fontsize=11,
        fontweight="bold",
        **PLAIN,
    )
    return ax
