"""Hits under the contributions of a sequence."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot._colours import LOWERS, RAISES
from kipoi_tfbind.plot.logo import plot_logo
from kipoi_tfbind.results.view import q_value_text


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
    for i in here:
        one = hits.isel(hit=int(i))
        low, high = int(one["hit_start"]) - 0.5, int(one["hit_end"]) - 0.5
        if high < first or low > last:
            continue
        on_plus = (str(one["hit_strand"].item()) == "+") == forward
        tail, head = (low, high) if on_plus else (high, low)
        colour = RAISES if float(one["hit_contribution"]) > 0 else LOWERS
        bottom.annotate(
            "", (head, 0.3), (tail, 0.3), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.5}
        )
        label = f"{one['hit_motif'].item()} ({q_value_text(float(one['hit_q_value']))})"
        bottom.text((low + high) / 2, 0.5, label, ha="center", va="bottom", fontsize=7, clip_on=True)
    bottom.set_ylim(0, 1.1)
    bottom.set_yticks([])
    bottom.set_xlabel(label_of_x, fontsize=8)
    bottom.tick_params(labelsize=8)
    bottom.spines[["top", "right", "left"]].set_visible(False)
    return top


def _reads_plus(hits: xr.Dataset, result: xr.Dataset, sequence: int) -> bool:
    """Whether + of the hits' strand is from left to right in the sequence."""
    if "hit_chrom" not in hits or "strand" not in result.coords:
        return True
    return str(result["strand"].values[sequence]) != "-"
