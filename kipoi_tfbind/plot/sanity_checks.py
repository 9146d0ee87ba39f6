"""Sanity checks as a curve: what is left of a map while the model forgets."""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind import schema
from kipoi_tfbind.plot.position_axes import PLAIN
from kipoi_tfbind.results.view import find_target, model_name

_WIDTH = 100  # letters


def plot_sanity_checks(
    result: xr.Dataset, *, target: int | str | None = None, ax: Axes | None = None
) -> Axes:
    r"""Draw the rank correlation of each randomised model's map with that of the whole one.

    A bar is the interval of the mean over the sequences, thin lines are the sequences; the dashed line is the
    map of a shuffle of the sequence, the dotted one that of a model trained on shuffled labels.

    Parameters
    ----------
    result
        From `sanity_checks`.
    target
        Index of the target, or its name; by default the first.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        There is no such target, or the result is one of another method.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import encode_sequences, sanity_checks
    >>> layers = torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1), torch.nn.Flatten()
    >>> network = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1))
    >>> result = sanity_checks(network, encode_sequences(["ACGTTGCATGCCAAGTTA"]), wrapping={"length": 18})
    >>> plot_sanity_checks(result).get_ylabel()
    'Rank correlation with\nthe map of the model'
    """
    schema.require(result, "randomised_correlation", "shuffled_correlation", "verdict")
    view = result.isel(target=find_target(result, target))
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 3.6))
    x = np.arange(view.sizes["layer"])
    ax.plot(
        x, view["randomised_correlation"].transpose("layer", "sequence").values, color="0.85", linewidth=0.7
    )
    mean, low, high = (view[f"mean_randomised_correlation{end}"].values for end in ("", "_low", "_high"))
    ax.plot(x, mean, color="black", linewidth=1.4, marker="o", markersize=3)
    ax.vlines(x, low, high, color="black", linewidth=1.4)
    shuffled = float(view["mean_shuffled_correlation"])
    ax.axhline(shuffled, color="#0072B2", linestyle="--", linewidth=1)
    ax.annotate(
        "map of a shuffle\nof the sequence",
        (1, shuffled),
        (4, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color="#0072B2",
    )
    if "relabelled" in view.attrs:
        relabelled = float(view["mean_relabelled_correlation"])
        ax.axhline(relabelled, color="#D55E00", linestyle=":", linewidth=1.2)
        ax.annotate(
            "map of a model trained on shuffled labels",
            (x[-1], relabelled),
            (0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="#D55E00",
        )
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_ylim(min(-0.05, float(np.nanmin(view["randomised_correlation"])) - 0.05), 1.05)
    ax.set_xticks(
        x, [str(name) for name in view["layer"].values], rotation=30, ha="right", fontsize=8, **PLAIN
    )
    ax.set_xlabel("Randomised from the output down to", fontsize=9)
    ax.set_ylabel("Rank correlation with\nthe map of the model", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    lines = textwrap.wrap(str(view["verdict"].item()), _WIDTH)
    ax.set_title(
        f"{view['target'].item()}   {view.attrs['checked']}, {model_name(view)}, {view.sizes['sequence']} "
        "sequences",
        loc="left",
        pad=8 + 12 * len(lines),
        fontsize=11,
        fontweight="bold",
        **PLAIN,
    )
    ax.annotate(
        "\n".join(lines),
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color="0.35",
        **PLAIN,
    )
    return ax
