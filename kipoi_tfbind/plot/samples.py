"""The logo of maximum-entropy samples: which bases a prediction needs."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot.logo import draw_letter
from kipoi_tfbind.plot.position_axes import figure_width, finish, label_positions, new_axes
from kipoi_tfbind.results.view import number, select

_LEAST = 0.02  # bits; a lower letter is less than a line


def plot_samples(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the information in the samples' bases at each position, as a logo in bits.

    Parameters
    ----------
    result
        From `maximum_entropy_samples`.
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
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, maximum_entropy_samples
    >>> model = as_sequence_model(lambda one_hot: 5 * one_hot[:, 1, 2], targets=["G in the middle"])
    >>> result = maximum_entropy_samples(model, encode_sequences(["AGT"]), n_samples=20, thin=5)
    >>> plot_samples(result).get_ylabel()
    'Information in\nthe samples (bit)'
    """
    names = ("base_probability", "position_weight", "acceptance", "effective_sample_size")
    view = select(result, *names, sequence=sequence, target=target, start=start, end=end)
    ax = new_axes(ax, figure_width(view.sizes["position"]), 2.2)
    heights = view["base_probability"].transpose("position", "base").values
    heights = heights * np.nan_to_num(view["position_weight"].values)[:, np.newaxis]
    for x, column in zip(view["position"].values, heights, strict=True):
        floor = 0.0
        for base in np.argsort(column, kind="stable"):
            height = float(column[base])
            if height > _LEAST:
                draw_letter(ax, BASES[base], float(x), [floor, floor + height])
            floor += height
    label_positions(ax, view)
    ax.set_ylim(0, 2.05)
    ax.set_ylabel("Information in\nthe samples (bit)", fontsize=8)
    return finish(
        ax,
        view,
        f"{view.sizes['sample']} samples worth {number(float(view['effective_sample_size']), '.0f')} "
        f"independent ones; accepted {number(100 * float(view['acceptance']), '.0f')}%",
    )
