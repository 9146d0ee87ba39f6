"""Selection and naming: one sequence and target of a result, and its names in pictures and pages."""

from __future__ import annotations

from pathlib import PurePath

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError

_SMALLEST = 1e-300  # probability; a smaller one is a number's end of range


def select(
    result: xr.Dataset,
    *variables: str,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
) -> xr.Dataset:
    """One sequence, one target and a range of positions of a result.

    Parameters
    ----------
    result
        With ``prediction`` and ``one_hot``.
    variables
        Further variables that it has to have.
    sequence
        Index, or value of the coordinate ``id``.
    target
        Index, or name; by default that of `strongest_target`.
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
    row = find(result, "sequence", "id", sequence)
    one = result.isel(sequence=row, target=find_target(result, target, row))
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


def select_target(result: xr.Dataset, target: int | str | None, *names: str) -> xr.Dataset:
    """One target of a result of global importance analysis; by default that of `strongest_target`.

    Raises
    ------
    InputError
        There is no such target, or it is the result of another method.
    """
    schema.require(result, *names)
    return result.isel(target=find_target(result, target)).load()


def find_target(result: xr.Dataset, target: int | str | None, sequence: int = 0) -> int:
    """Index of a target, from an index or a name; None is the strongest one for this sequence.

    Raises
    ------
    InputError
        There is no such target.
    """
    if target is None and result.sizes["target"]:
        return strongest_target(result, sequence)
    return find(result, "target", "target", 0 if target is None else target)


def strongest_target(result: xr.Dataset, sequence: int = 0) -> int:
    """Index of the target that pictures and reports show unless another is named.

    Of a sequence, the target of its largest prediction; of patterns or motifs, the one with the largest
    effect; of results that have neither, the first.

    Parameters
    ----------
    result
        Result of any method.
    sequence
        Index of the sequence.

    Examples
    --------
    >>> prediction = ("sequence", "target"), [[-3.0, 1.0, 2.0]]
    >>> result = xr.Dataset({"prediction": prediction}, attrs={"output": "logit"})
    >>> strongest_target(result), strongest_target(result.assign_attrs(output="raw"))
    (2, 0)
    """
    if "prediction" in result and "sequence" in result["prediction"].dims:
        scores = prediction_strength(result.isel(sequence=[sequence]))
    else:
        name = next((name for name in ("importance", "silencing_effect") if name in result), None)
        if name is None:
            return 0
        scores = np.abs(result[name].transpose(..., "target").values)
    known = np.where(np.isnan(scores), -np.inf, scores)
    return int(known.max(axis=0, initial=-np.inf).argmax())


def prediction_strength(result: xr.Dataset) -> NDArray:
    """Predictions (sequence, target) by which sequences and targets are ordered.

    A logit or a probability as it is, so that bound sequences come first; a raw output by its magnitude.
    """
    prediction = result["prediction"].transpose("sequence", "target").values
    return prediction if result.attrs.get("output") in ("logit", "probability") else np.abs(prediction)


def with_role(view: xr.Dataset, *roles: str) -> xr.Dataset:
    """The patterns that have one of these roles in their experiment."""
    if "role" not in view.coords:
        return view
    return view.isel(pattern=np.isin(view["role"].values.astype(str), roles))


def find(
    result: xr.Dataset, dimension: str, coordinate: str, wanted: int | str, name: str = "this result"
) -> int:
    """Index along a dimension, from an index or from a value of a coordinate; `name` is for messages.

    Raises
    ------
    InputError
        There is no such index or value.
    """
    size = result.sizes[dimension]
    if not size:
        raise InputError(f"{dimension}: {name} has none; is it of an empty input?")
    if not isinstance(wanted, str):
        if not 0 <= wanted < size:
            raise InputError(f"{dimension}: expected an index from 0 to {size - 1}, got {wanted}")
        return int(wanted)
    values = [str(value) for value in result[coordinate].values] if coordinate in result.coords else []
    if wanted not in values:
        there = ", ".join(values[:10]) + (", ..." if len(values) > 10 else "")
        raise InputError(f"{dimension}: {name} has none of the name {wanted!r}; it has {there or 'no names'}")
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
    strand = " (-)" if is_reverse(view) else ""
    return f"{view['chrom'].item()}:{low:,}-{high:,}{strand}"


def labels_of(view: xr.Dataset, positions: NDArray[np.integer]) -> NDArray[np.integer]:
    """1-based genomic coordinates of positions in the sequence, or these where it has no coordinates."""
    if not has_coordinates(view):
        return positions
    if is_reverse(view):
        return int(view["end"]) - positions
    return int(view["start"]) + 1 + positions


def has_coordinates(view: xr.Dataset) -> bool:
    """Whether it is known where on the genome a sequence lies."""
    return all(name in view.coords for name in ("chrom", "start", "end"))


def is_reverse(view: xr.Dataset) -> bool:
    """Whether a sequence is one of the reverse strand."""
    return "strand" in view.coords and view["strand"].item() == "-"


def position_label(view: xr.Dataset) -> str:
    """Axis label of the numbers of `labels_of`."""
    if not has_coordinates(view):
        return "Position in the sequence (0-based)"
    strand = ", reverse strand" if is_reverse(view) else ""
    return f"Position on {view['chrom'].item()} (bp, 1-based{strand})"


def number(value: float, form: str = ".3g") -> str:
    """Write a number with a real minus sign.

    Examples
    --------
    >>> number(-1.25, "+.1f")
    '−1.2'
    """
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def probability(value: float) -> str:
    """Write a p-value or q-value: none is 0.

    Examples
    --------
    >>> probability(0.0123), probability(0.0)
    ('0.012', '< 1e-300')
    """
    return number(value, ".2g") if not value < _SMALLEST else f"< {_SMALLEST:g}"


def q_value_text(value: float) -> str:
    """Write a q-value in words of a picture.

    Examples
    --------
    >>> q_value_text(0.0123), q_value_text(0.0)
    ('q = 0.012', 'q < 1e-300')
    """
    text = probability(value)
    return f"q {text}" if text.startswith("<") else f"q = {text}"


def unit(view: xr.Dataset) -> str:
    """Unit of the effects in the words of an axis label."""
    output = view.attrs.get("output", "raw")
    return "output" if output == "raw" else str(output)
