"""What the plots of mutations share: one sequence and target of a result, and its axis of coordinates."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError

_TICK_WIDTH = 1.1  # inches; a label such as 62,345,678 with room around it


def select(
    result: xr.Dataset, sequence: int | str, target: int | str, start: int | None, end: int | None
) -> xr.Dataset:
    """One sequence, one target and a range of positions of a mutagenesis result.

    Parameters
    ----------
    result
        With ``mutation_effect``, ``reference_prediction`` and ``one_hot``.
    sequence
        Index, or value of the coordinate ``id``.
    target
        Index, or name.
    start, end
        Positions in the sequence, 0-based, `end` not included; None is where the result begins or ends.

    Raises
    ------
    InputError
        The result has no such sequence, target or positions, or is one of another method.
    """
    schema.require(result, "mutation_effect", "reference_prediction", "one_hot")
    one = result.isel(
        sequence=_index(result, "sequence", "id", sequence), target=_index(result, "target", "target", target)
    )
    first, last = int(one["position"][0]), int(one["position"][-1])
    start = first if start is None else start
    end = last + 1 if end is None else end
    if not first <= start < end <= last + 1:
        raise InputError(
            f"start, end: expected {first} <= start < end <= {last + 1}, the positions in this result, "
            f"got {start} and {end}"
        )
    return one.sel(position=slice(start, end - 1))


def _index(result: xr.Dataset, dimension: str, coordinate: str, wanted: int | str) -> int:
    """Index along a dimension, from an index or from a value of a coordinate."""
    size = result.sizes[dimension]
    if not isinstance(wanted, str):
        if not 0 <= wanted < size:
            raise InputError(f"{dimension}: expected an index from 0 to {size - 1}, got {wanted}")
        return int(wanted)
    values = [str(value) for value in result[coordinate].values] if coordinate in result.coords else []
    if wanted not in values:
        there = ", ".join(values[:10]) + (", ..." if len(values) > 10 else "")
        raise InputError(
            f"{dimension}: this result has none of the name {wanted!r}; it has {there or 'no names'}"
        )
    return values.index(wanted)


def interval(view: xr.Dataset) -> str:
    """Where a view lies: contig and 1-based coordinates, or the sequence's name where it has none.

    Examples
    --------
    >>> coords = {"position": [4, 5], "chrom": "chr20", "start": 1000, "end": 1400, "strand": "-"}
    >>> interval(xr.Dataset(coords=coords))
    'chr20:1,395-1,396 (-)'
    """
    positions = view["position"].values
    if not _has_coordinates(view):
        name = str(view["id"].values) if "id" in view.coords else "sequence"
        return f"{name}, positions {positions[0]}-{positions[-1]} (0-based)"
    low, high = sorted(_genomic(view, positions[[0, -1]]))
    strand = " (-)" if _is_reverse(view) else ""
    return f"{view['chrom'].item()}:{low:,}-{high:,}{strand}"


def label_positions(ax: Axes, view: xr.Dataset) -> None:
    """Label the x axis of sequence positions, with genomic coordinates where they are known."""
    positions = view["position"].values
    ax.set_xlim(positions[0] - 0.5, positions[-1] + 0.5)
    figure = ax.get_figure(root=True)
    width = ax.get_position().width * (figure.get_figwidth() if figure else 8)
    locator = MaxNLocator(nbins=max(2, int(width / _TICK_WIDTH)), integer=True, steps=[1, 2, 5, 10])
    labels = _genomic(view, positions) if _has_coordinates(view) else positions
    ticks = locator.tick_values(labels.min(), labels.max())
    shown = np.isin(labels, ticks)
    ax.set_xticks(positions[shown], [f"{label:,}" for label in labels[shown]])
    if _has_coordinates(view):
        strand = ", reverse strand" if _is_reverse(view) else ""
        ax.set_xlabel(f"Position on {view['chrom'].item()} (bp, 1-based{strand})", fontsize=9)
    else:
        ax.set_xlabel("Position in the sequence (0-based)", fontsize=9)


def _genomic(view: xr.Dataset, positions: np.ndarray) -> np.ndarray:
    """1-based genomic coordinates of positions in the sequence."""
    if _is_reverse(view):
        return int(view["end"]) - positions
    return int(view["start"]) + 1 + positions


def _has_coordinates(view: xr.Dataset) -> bool:
    return all(name in view.coords for name in ("chrom", "start", "end"))


def _is_reverse(view: xr.Dataset) -> bool:
    return "strand" in view.coords and view["strand"].item() == "-"


def title(ax: Axes, view: xr.Dataset) -> None:
    """Write target and interval over a plot, and under them the model and its prediction."""
    output = view.attrs.get("output", "raw")
    value = f"{float(view['reference_prediction']):.3g}".replace("-", "\N{MINUS SIGN}")
    prediction = f"prediction for the whole sequence {value}"
    detail = f"{view.attrs.get('model', 'model')}, {prediction}" + ("" if output == "raw" else f" ({output})")
    ax.set_title(
        f"{view['target'].item()}   {interval(view)}", loc="left", pad=19, fontsize=11, fontweight="bold"
    )
    ax.annotate(
        detail,
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color="0.35",
    )


def unit(view: xr.Dataset) -> str:
    """Unit of the effects in the words of an axis label."""
    output = view.attrs.get("output", "raw")
    return "output" if output == "raw" else str(output)


def figure_width(n_positions: int) -> float:
    """Width of a figure in inches: a readable letter for each position, as far as a page allows."""
    return float(np.clip(1.8 + 0.125 * n_positions, 6, 18))
