"""Occlusion profile: the effect of occluding each window of a sequence on the prediction."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.plot._colours import LOWERS, RAISES
from kipoi_tfbind.plot.position_axes import finish, label_positions, new_axes
from kipoi_tfbind.results.view import select, unit
from kipoi_tfbind.schema import SPREAD


def plot_occlusion(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the effect of occluding each window against the place of the window.

    Below zero (blue) the prediction falls when the window is occluded: the window supports it. Windows that
    do not overlap are steps as wide as they are. Windows that do are points of a line, at their centres,
    and a bar shows how wide they are. An ensemble has a band of one standard deviation to either side.

    Parameters
    ----------
    result
        From `occlusion`.
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
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, occlusion
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> plot_occlusion(occlusion(model, encode_sequences(["AAGGGA"]), width=2, stride=2)).get_ylabel()
    'Effect of occlusion\n(Δ output)'
    """
    view = select(result, "occlusion_effect", sequence=sequence, target=target, start=start, end=end)
    ax = new_axes(ax, 9, 2.4)
    view = view.sortby("window_start")
    overlapping = bool((view["window_start"].values[1:] < view["window_end"].values[:-1]).any())
    label_positions(ax, view)
    x, effect, spread = _line(view) if overlapping else _steps(view)
    for colour, side in ((LOWERS, effect < 0), (RAISES, effect > 0)):
        ax.fill_between(x, effect, 0, where=side, color=colour, alpha=0.35, linewidth=0, interpolate=True)
    if spread is not None:
        ax.fill_between(x, effect - spread, effect + spread, color="0.6", alpha=0.5, linewidth=0)
    ax.plot(x, effect, color="0.2", linewidth=1)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.margins(y=0.08)
    if overlapping:
        _show_width(ax, view)
    ax.set_ylabel(f"Effect of occlusion\n(Δ {unit(view)})", fontsize=8)
    return finish(ax, view)


def _line(view: xr.Dataset) -> tuple[NDArray, NDArray, NDArray | None]:
    """Centre, effect and spread of each window."""
    # The centre of [start, end) among positions, each of which reaches half a base to either side.
    centre = (view["window_start"].values + view["window_end"].values - 1) / 2
    return centre, view["occlusion_effect"].values, _spread(view)


def _steps(view: xr.Dataset) -> tuple[NDArray, NDArray, NDArray | None]:
    """Both ends, the effect and the spread of each window, with a gap where no window is."""
    starts, ends = view["window_start"].values, view["window_end"].values
    gap = np.flatnonzero(starts[1:] > ends[:-1]) + 1

    def twice(values: NDArray) -> NDArray:
        return np.insert(np.repeat(values.astype(float), 2), 2 * gap, np.nan)

    x = np.insert(np.stack([starts, ends], axis=1).ravel() - 0.5, 2 * gap, np.nan)
    spread = _spread(view)
    return x, twice(view["occlusion_effect"].values), None if spread is None else twice(spread)


def _spread(view: xr.Dataset) -> NDArray | None:
    name = "occlusion_effect" + SPREAD
    return view[name].values if name in view else None


def _show_width(ax: Axes, view: xr.Dataset) -> None:
    """Draw a bar as wide as a window, in the lower right corner."""
    widths = np.unique(view["window_end"] - view["window_start"])
    if len(widths) > 1:
        return
    width, right = int(widths[0]), ax.get_xlim()[1]
    right -= 0.01 * (right - ax.get_xlim()[0])
    place = ax.get_xaxis_transform()
    ax.plot([right - width, right], [0.07, 0.07], color="0.2", linewidth=2.5, transform=place)
    ax.annotate(
        f"window, {width} bp",
        (right - width, 0.07),
        (-4, 0),
        xycoords=place,
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8,
    )
