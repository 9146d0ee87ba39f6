"""A design step by step: how the predictions rise and fall, and which base was substituted."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot.position_axes import PLAIN, finish, height_of, new_axes
from kipoi_tfbind.results.view import find, labels_of, select, unit


def plot_design(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the predictions after each step of a design; the one of the target is black, with its edits.

    Parameters
    ----------
    result
        From `design`.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; up to nine others are drawn in grey.
    start, end
        Positions of the sequence; a design is drawn whole whatever they are.
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
    >>> from kipoi_tfbind import as_sequence_model, design, encode_sequences
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = design(model, encode_sequences(["ACTTACTT"]), n_edits=2)
    >>> plot_design(result).get_ylabel()
    'Prediction (output)'
    """
    view = select(result, "step_prediction", "step_position", "step_base", sequence=sequence, target=target)
    ax = new_axes(ax, 7.5, 3.6)
    steps = np.arange(view.sizes["step"])
    others = result["step_prediction"].isel(sequence=find(result, "sequence", "id", sequence))
    ends: dict[str, tuple[int, float]] = {}
    for name in [n for n in others["target"].values if n != view["target"].item()][:9]:
        values = others.sel(target=name).values
        ax.plot(steps, values, color="0.7", linewidth=1)
        last = int(np.isfinite(values).sum()) - 1
        ends[str(name)] = last, float(values[last])
    values = view["step_prediction"].values
    ax.plot(steps, values, color="black", linewidth=1.2, marker="o", markersize=3)
    observed = view["one_hot"].transpose("position", "base").values
    first = int(view["position"].values[0])
    for step, (position, base) in enumerate(
        zip(view["step_position"].values, view["step_base"].values, strict=True)
    ):
        if position >= 0:
            label = labels_of(view, np.array([position]))[0]
            ax.annotate(
                f"{BASES[observed[position - first].argmax()]}{label}{BASES[base]}",
                (step, float(values[step])),
                (0, 5),
                textcoords="offset points",
                fontsize=7,
                rotation=90,
                ha="center",
                va="bottom",
                **PLAIN,
            )
    ax.margins(y=0.3)
    ax.set_xlim(-0.3, len(steps) - 0.2)
    ax.set_xticks(steps if len(steps) < 25 else steps[::5])
    ax.set_xlabel("Substitutions made", fontsize=9)
    ax.set_ylabel(f"Prediction ({unit(view)})", fontsize=9)
    _name_lines(ax, ends)
    return finish(ax, view)


def _name_lines(ax: Axes, ends: dict[str, tuple[int, float]]) -> None:
    """Write the name of each line at its end, moved upwards where the one below has no room."""
    lowest = -np.inf
    line_height = 8 / 72 * float(np.ptp(ax.get_ylim())) / height_of(ax)
    for name, (step, value) in sorted(ends.items(), key=lambda item: item[1][1]):
        at = max(value, lowest + line_height)
        lowest = at
        ax.annotate(
            name,
            (step, value),
            (step + 0.12, at),
            fontsize=7.5,
            color="0.5",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.85", "linewidth": 0.6, "shrinkB": 0},
            **PLAIN,
        )
