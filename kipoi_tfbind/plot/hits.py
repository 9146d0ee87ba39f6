"""Hits under the contributions of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import LOWERS, RAISES
from kipoi_tfbind.plot.logo import plot_logo
from kipoi_tfbind.plot.position_axes import PLAIN
from kipoi_tfbind.results.view import q_value_text


@dataclass(frozen=True)
class Arrow:
    """A hit as it is drawn.

    Attributes
    ----------
    start, end
        Positions in the sequence, 0-based, `end` not included.
    reads_right
        Whether it reads in the direction of the sequence.
    label
        Written over it.
    contribution
        Red where it is positive, else blue.
    """

    start: int
    end: int
    reads_right: bool
    label: str
    contribution: float


def lanes_of(arrows: Sequence[Arrow]) -> list[int]:
    """Rows in which hits are drawn, counted downwards, so that none covers another.

    Examples
    --------
    >>> lanes_of([Arrow(0, 9, True, "a", 1), Arrow(5, 12, True, "b", 1), Arrow(9, 20, True, "c", 1)])
    [0, 1, 0]
    """
    ends: list[int] = []
    lanes = []
    for arrow in arrows:
        lane = next((lane for lane, end in enumerate(ends) if end <= arrow.start), len(ends))
        ends[lane : lane + 1] = [arrow.end]
        lanes.append(lane)
    return lanes


def draw_arrows(ax: Axes, arrows: Sequence[Arrow]) -> None:
    """Draw hits as arrows along the x axis of positions; those that overlap one under the other."""
    lanes = lanes_of(arrows)
    for arrow, lane in zip(arrows, lanes, strict=True):
        low, high = arrow.start - 0.5, arrow.end - 0.5
        tail, head = (low, high) if arrow.reads_right else (high, low)
        colour, y = RAISES if arrow.contribution > 0 else LOWERS, 0.3 - 1.1 * lane
        ax.annotate(
            "", (head, y), (tail, y), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.5}
        )
        ax.text(
            *((low + high) / 2, y + 0.2, arrow.label),
            ha="center",
            va="bottom",
            fontsize=7,
            clip_on=True,
            **PLAIN,
        )
    ax.set_ylim(-1.1 * max(lanes, default=0), 1.1)
    ax.set_yticks([])
    ax.spines[["top", "right", "left"]].set_visible(False)


def plot_hits(
    result: xr.Dataset,
    hits: xr.Dataset,
    *,
    sequence: int = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
) -> Axes:
    """Draw the logo of the contributions of a sequence, and the hits in it as arrows beneath.

    Parameters
    ----------
    result
        The contributions that `find_hits` was given.
    hits
        Its hits.
    sequence
        Index of the sequence.
    target
        Index of the target, or its name; by default the one that the hits are for.
    start, end
        Positions in the sequence to show, 0-based, `end` not included.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the logo; the hits are on axes beneath that share its x.

    Raises
    ------
    InputError
        No hits, or no such sequence or target.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, 3:9, 2].sum(axis=1) ** 2, targets=["G"])
    >>> result = in_silico_mutagenesis(model, encode_sequences(["ACTGGGGGGTCA"]))
    >>> hit = {"sequence": 0, "start": 3, "end": 9, "strand": "+", "motif": "GGGGGG"}
    >>> hit |= {"contribution": 9.0, "q_value": 0.01}
    >>> hits = xr.Dataset({f"hit_{name}": ("hit", [value]) for name, value in hit.items()})
    >>> plot_hits(result, hits, target="G").figure.axes[1].texts[-1].get_text()
    'GGGGGG (q = 0.01)'
    """
    schema.require(hits, "hit_start", "hit_end", "hit_strand", "hit_motif")
    if not 0 <= sequence < result.sizes["sequence"]:
        raise InputError(f"sequence: expected an index below {result.sizes['sequence']}, got {sequence}")
    chosen = str(hits.attrs.get("target", 0)) if target is None else target
    _figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(11, 2.9), sharex=True, gridspec_kw={"height_ratios": (3, 1), "hspace": 0.12}
    )
    settings: dict[str, Any] = {"sequence": sequence, "target": chosen, "start": start, "end": end}
    plot_logo(result, **settings, ax=top)
    label_of_x = top.get_xlabel()
    top.set_xlabel("")
    first, last = top.get_xlim()
    here = np.flatnonzero(hits["hit_sequence"].values == sequence)
    forward = _reads_plus(hits, result, sequence)
    shown = []
    for i in here:
        one = hits.isel(hit=int(i))
        on_plus = (str(one["hit_strand"].item()) == "+") == forward
        label = f"{one['hit_motif'].item()} ({q_value_text(float(one['hit_q_value']))})"
        ends = int(one["hit_start"]), int(one["hit_end"])
        shown.append(Arrow(*ends, on_plus, label, float(one["hit_contribution"])))
    draw_arrows(bottom, [arrow for arrow in shown if arrow.end > first and arrow.start < last])
    bottom.set_xlabel(label_of_x, fontsize=8)
    bottom.tick_params(labelsize=8)
    return top


def _reads_plus(hits: xr.Dataset, result: xr.Dataset, sequence: int) -> bool:
    """Whether + of the hits' strand is from left to right in the sequence."""
    if "hit_chrom" not in hits or "strand" not in result.coords:
        return True
    return str(result["strand"].values[sequence]) != "-"
