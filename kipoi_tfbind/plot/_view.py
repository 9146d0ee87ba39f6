"""What the plots share: one sequence and target of a result, and its axis of coordinates."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError

_TICK_WIDTH = 1.1  # inches; a label such as 62,345,678 with room around it
# Names come from files: a dollar sign in one is no formula.
PLAIN: dict[str, Any] = {"parse_math": False}


def select(
    result: xr.Dataset,
    *variables: str,
    sequence: int | str = 0,
    target: int | str = 0,
    start: int | None = None,
    end: int | None = None,
) -> xr.Dataset:
    """One sequence, one target and a range of positions of a result.

    Parameters
    ----------
    result
        With ``prediction`` and ``one_hot``.
    variables
        What else it has to have.
    sequence
        Index, or value of the coordinate ``id``.
    target
        Index, or name.
    start, end
        Positions in the sequence, 0-based, `end` not included; None is where the result begins or ends.

    Returns
    -------
    xr.Dataset
        Without the dimensions sequence and target. Of pairs, those inside the range; of windows, those
        that reach into it. The attribute ``n_positions`` says how many positions the result has.

    Raises
    ------
    InputError
        The result has no such sequence, target or positions, or is one of another method.
    """
    schema.require(result, *variables, "prediction", "one_hot")
    one = result.isel(
        sequence=find(result, "sequence", "id", sequence), target=find(result, "target", "target", target)
    )
    first, last = int(one["position"][0]), int(one["position"][-1])
    start = first if start is None else start
    end = last + 1 if end is None else end
    if not first <= start < end <= last + 1:
        raise InputError(
            f"start, end: expected {first} <= start < end <= {last + 1}, the positions in this result, "
            f"got {start} and {end}"
        )
    view = one.sel(position=slice(start, end - 1)).assign_attrs(n_positions=one.sizes["position"])
    if not view.sizes["position"]:
        raise InputError(f"start, end: this result has no position from {start} to {end}")
    if "pair" in view.dims:
        view = view.isel(pair=((view["position_a"] >= start) & (view["position_b"] < end)).values)
    if "window" in view.dims:
        view = view.isel(window=((view["window_start"] < end) & (view["window_end"] > start)).values)
    return view.load()


def find(result: xr.Dataset, dimension: str, coordinate: str, wanted: int | str) -> int:
    """Index along a dimension, from an index or from a value of a coordinate.

    Raises
    ------
    InputError
        There is no such index or value.
    """
    size = result.sizes[dimension]
    if not size:
        raise InputError(f"{dimension}: this result has none; is it of an empty input?")
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


def model_name(result: xr.Dataset) -> str:
    """Name of the model of a result; of a folder, the last two parts of its path.

    Examples
    --------
    >>> model_name(xr.Dataset(attrs={"model": "zoo/TFBind/CTCF", "model_source": "dir"}))
    'TFBind/CTCF'
    >>> model_name(xr.Dataset(attrs={"model": "DeepMEL/a/b", "model_source": "kipoi"}))
    'DeepMEL/a/b'
    """
    name = str(result.attrs.get("model", "model"))
    is_folder = result.attrs.get("model_source") == "dir" or name.startswith("/")
    return "/".join(PurePath(name).parts[-2:]) if is_folder else name


def name_of(view: xr.Dataset) -> str:
    """Name of a sequence, where it has one."""
    return str(view["id"].item()) if "id" in view.coords else "sequence"


def interval(view: xr.Dataset) -> str:
    """Where a view lies: contig and 1-based coordinates, or the sequence's name where it has none.

    Examples
    --------
    >>> coords = {"position": [4, 5], "chrom": "chr20", "start": 1000, "end": 1400, "strand": "-"}
    >>> interval(xr.Dataset(coords=coords))
    'chr20:1,395-1,396 (-)'
    """
    positions = view["position"].values
    if not has_coordinates(view):
        return f"{name_of(view)}, positions {positions[0]}-{positions[-1]} (0-based)"
    low, high = sorted(labels_of(view, positions[[0, -1]]))
    strand = " (-)" if _is_reverse(view) else ""
    return f"{view['chrom'].item()}:{low:,}-{high:,}{strand}"


def label_positions(ax: Axes, view: xr.Dataset) -> None:
    """Label the x axis of sequence positions, with genomic coordinates where they are known."""
    positions = view["position"].values
    ax.set_xlim(positions[0] - 0.5, positions[-1] + 0.5)
    ticks, labels = position_ticks(view, np.arange(positions[0], positions[-1] + 1), width_of(ax))
    ax.set_xticks(ticks, labels)
    ax.set_xlabel(position_label(view), fontsize=9, **PLAIN)


def position_ticks(
    view: xr.Dataset, positions: NDArray[np.integer], width: float
) -> tuple[NDArray[np.integer], list[str]]:
    """Positions whose coordinate is round, as many as have room in `width` inches, and their labels."""
    locator = MaxNLocator(nbins=max(2, int(width / _TICK_WIDTH)), integer=True, steps=[1, 2, 5, 10])
    labels = labels_of(view, positions)
    shown = np.isin(labels, locator.tick_values(labels.min(), labels.max()))
    return positions[shown], [f"{label:,}" for label in labels[shown]]


def position_label(view: xr.Dataset) -> str:
    """What the numbers of `labels_of` are, in the words of an axis label."""
    if not has_coordinates(view):
        return "Position in the sequence (0-based)"
    strand = ", reverse strand" if _is_reverse(view) else ""
    return f"Position on {view['chrom'].item()} (bp, 1-based{strand})"


def labels_of(view: xr.Dataset, positions: NDArray[np.integer]) -> NDArray[np.integer]:
    """1-based genomic coordinates of positions in the sequence, or these where it has no coordinates."""
    if not has_coordinates(view):
        return positions
    if _is_reverse(view):
        return int(view["end"]) - positions
    return int(view["start"]) + 1 + positions


def has_coordinates(view: xr.Dataset) -> bool:
    """Whether it is known where on the genome a sequence lies."""
    return all(name in view.coords for name in ("chrom", "start", "end"))


def _is_reverse(view: xr.Dataset) -> bool:
    return "strand" in view.coords and view["strand"].item() == "-"


def title(ax: Axes, view: xr.Dataset) -> None:
    """Write target and interval over a plot, and under them the model, its prediction and what is shown."""
    ax.set_title(
        f"{view['target'].item()}   {interval(view)}",
        loc="left",
        pad=19,
        fontsize=11,
        fontweight="bold",
        **PLAIN,
    )
    ax.annotate(
        _detail(view),
        (0, 1),
        (0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color="0.35",
        **PLAIN,
    )


def _detail(view: xr.Dataset) -> str:
    output = view.attrs.get("output", "raw")
    words = f"{model_name(view)}, prediction for the whole sequence {_with_spread(view, 'prediction')}"
    words += "" if output == "raw" else f" ({output})"
    if "mean_reference_prediction" in view and np.isfinite(view["mean_reference_prediction"]):
        words += f", for the background {_with_spread(view, 'mean_reference_prediction')}"
    shown, there = view.sizes["position"], view.attrs.get("n_positions", 0)
    return words + (f"; {shown} of {there} positions" if shown < there else "")


def _with_spread(view: xr.Dataset, name: str) -> str:
    """A number of a view and its standard deviation over the models of an ensemble, if it is of one."""
    spread = name + schema.SPREAD
    return number(float(view[name])) + (f" ± {number(float(view[spread]))}" if spread in view else "")


def number(value: float, form: str = ".3g") -> str:
    """Write a number with a real minus sign.

    Examples
    --------
    >>> number(-1.25, "+.1f")
    '−1.2'
    """
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def unit(view: xr.Dataset) -> str:
    """Unit of the effects in the words of an axis label."""
    output = view.attrs.get("output", "raw")
    return "output" if output == "raw" else str(output)


def figure_width(n_positions: int) -> float:
    """Width of a figure in inches: a readable letter for each position, as far as a page allows."""
    return float(np.clip(1.8 + 0.125 * n_positions, 6, 18))


def width_of(ax: Axes) -> float:
    """Width of axes in inches."""
    return float(ax.get_position().width * figure_of(ax).get_figwidth())


def figure_of(ax: Axes) -> Figure:
    """Figure that axes are in.

    Raises
    ------
    InputError
        They are in none any more.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("axes: belong to no figure any more; draw the plot again")
    return figure
