"""Predictions on backgrounds beside those on real sequences."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind.plot._pattern_axes import LINES, tidy
from kipoi_tfbind.plot.position_axes import PLAIN
from kipoi_tfbind.results.view import model_name, select_target, unit

_BINS = 40


def plot_distribution_shift(
    result: xr.Dataset, *, target: int | str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the distributions of the predictions on backgrounds and on real sequences.

    The central 95% of the real sequences are shaded.

    Parameters
    ----------
    result
        From `distribution_shift`.
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
        The result has no such target, or is one of another method.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, distribution_shift, make_backgrounds
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> one, other = (make_backgrounds("uniform", 200, length=20, seed=seed) for seed in (0, 1))
    >>> plot_distribution_shift(distribution_shift(model, one, other)).get_xlabel()
    'Prediction (output)'
    """
    view = select_target(result, target, "background_sample", "real_sample", "share_outside")
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3))
    fake, real = view["background_sample"].values, view["real_sample"].values
    low, high = np.quantile(real, [0.025, 0.975])
    ax.axvspan(low, high, color="0.93", zorder=0)
    # Rice's rule for the smaller sample.
    n_bins = int(np.clip(2 * min(len(fake), len(real)) ** (1 / 3), 6, _BINS))
    bins = np.linspace(min(fake.min(), real.min()), max(fake.max(), real.max()), n_bins + 1)
    kind = str(view.attrs.get("background", "given")).replace("_", " ")
    for values, colour, label in (
        (real, "0.35", f"{len(real):,} real sequences"),
        (fake, LINES[0], f"{len(fake):,} backgrounds ({kind})"),
    ):
        ax.hist(values, bins=list(bins), density=True, histtype="stepfilled", color=colour, alpha=0.3)
        ax.hist(values, bins=list(bins), density=True, histtype="step", color=colour, label=label)
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    ax.set_xlabel(f"Prediction ({unit(view)})", fontsize=9)
    ax.set_ylabel("Density", fontsize=9)
    tidy(ax)
    share = float(view["share_outside"])
    ax.set_title(
        f"{view['target'].item()}   {share:.0%} of backgrounds outside the central 95%",
        loc="left",
        pad=19,
        fontsize=11,
        fontweight="bold",
        **PLAIN,
    )
    ax.annotate(
        f"{model_name(view)}; shaded: the central 95% of the real sequences",
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color="0.35",
        **PLAIN,
    )
    return ax
