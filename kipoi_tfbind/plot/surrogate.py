"""The parameters of a surrogate beside the effects of ISM."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot._colours import BASE_COLOURS
from kipoi_tfbind.plot.position_axes import PLAIN, finish, new_axes
from kipoi_tfbind.results.view import labels_of, number, select, unit

_NAMED = 6


def plot_surrogate(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each substitution's effect in the additive model against its effect in the sequence as it is.

    On the diagonal are substitutions whose effect does not depend on the rest; nearer to the x axis those
    whose effect is less where other bases are mutated, too. A bar is the 95% interval, a colour the new base;
    the strongest effects have names.

    Parameters
    ----------
    result
        From `surrogate`.
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
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, surrogate
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = surrogate(model, encode_sequences(["AGTC"]), n_mutants=200, mutation_rate=0.5)
    >>> plot_surrogate(result).get_ylabel()
    'Effect in the additive model (Δ output)'
    """
    view = select(
        result,
        *("surrogate_effect", "mutation_effect", "r_squared"),
        sequence=sequence,
        target=target,
        start=start,
        end=end,
    )
    ax = new_axes(ax, 5.6, 5.2)
    by_base = ("position", "base")
    ism, fitted, low, high = (
        view[name].transpose(*by_base).values
        for name in ("mutation_effect", *(f"surrogate_effect{end}" for end in ("", "_low", "_high")))
    )
    for base, letter in enumerate(BASES):
        shown = (view["one_hot"].transpose(*by_base).values[:, base] == 0) & np.isfinite(fitted[:, base])
        x, y = ism[shown, base], fitted[shown, base]
        colour = BASE_COLOURS[letter]
        ax.vlines(x, low[shown, base], high[shown, base], color=colour, linewidth=0.8, alpha=0.5)
        ax.scatter(x, y, s=9, color=colour, label=f"to {letter}", linewidth=0, zorder=3)
    ends = np.array([ax.get_xlim(), ax.get_ylim()])
    line = [ends[:, 0].max(), ends[:, 1].min()]
    ax.plot(line, line, color="0.6", linewidth=0.8, zorder=0)
    for level in (ax.axhline, ax.axvline):
        level(0, color="black", linewidth=0.5, zorder=0)
    _name_strongest(ax, view, ism, fitted)
    ax.set_xlabel(f"Effect of the substitution alone (ISM, Δ {unit(view)})", fontsize=9)
    ax.set_ylabel(f"Effect in the additive model (Δ {unit(view)})", fontsize=9)
    ax.text(
        *(0.03, 0.97),
        f"R² of mutants that were not fitted: {number(float(view['r_squared']), '.2f')}",
        transform=ax.transAxes,
        va="top",
        fontsize=8.5,
    )
    ax.legend(loc="lower right", fontsize=8, frameon=False)
    return finish(ax, view)


def _name_strongest(ax: Axes, view: xr.Dataset, ism: NDArray, fitted: NDArray) -> None:
    """Name the strongest effects, with the coordinates that other plots' axes have."""
    strength = np.nan_to_num(np.abs(fitted)) + np.nan_to_num(np.abs(ism))
    observed = view["one_hot"].transpose("position", "base").values.argmax(axis=1)
    labels = labels_of(view, view["position"].values)
    named: list[int] = []
    apart = 0.035 * float(np.ptp(ax.get_ylim()))
    heights: list[float] = []
    for at in np.argsort(-strength, axis=None, kind="stable"):
        position, base = divmod(int(at), len(BASES))
        height = float(fitted[position, base])
        crowded = position in named or any(abs(height - other) < apart for other in heights)
        if not strength[position, base] > 0 or len(named) == _NAMED:
            break
        if not crowded:
            named.append(position)
            heights.append(height)
            ax.annotate(
                f"{BASES[observed[position]]}{labels[position]}{BASES[base]}",
                (ism[position, base], height),
                (4, 0),
                textcoords="offset points",
                fontsize=7,
                va="center",
                path_effects=[patheffects.withStroke(linewidth=1.5, foreground="white")],
                zorder=4,
                **PLAIN,
            )
