"""The frame of every method: a model and labelled sequences in, a labelled result out."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import BASES, codes_of, reverse_complement
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, batch_of, check_batch_size, predict_in_batches
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.not_learned import with_verdicts
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

Variables = dict[str, tuple[tuple[str, ...], NDArray]]
# Attributes of a result; a function where some are known only when all is computed.
Attributes = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
# A model, the sequences, and their predictions -> the method's own variables.
Compute = Callable[[SequenceModel, Batch, NDArray], Variables]

_PACKAGES = ("kipoi_tfbind", "kipoi", "numpy", "xarray")
_FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "sklearn")
_DISTRIBUTION_OF = {"sklearn": "scikit-learn"}


def run_method(
    method: str,
    model: Any,
    sequences: xr.Dataset,
    compute: Compute,
    *,
    settings: Attributes,
    batch_size: int,
    positions: NDArray[np.intp] | None = None,
    coordinates: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Run a method on a model, or on each member of an ensemble, and label the result.

    Parameters
    ----------
    method
        Name of the method's public function.
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    sequences
        Dataset with ``one_hot``; its coordinates by sequence go into the result.
    compute
        The method's kernel; it sees one model, never an ensemble.
    settings
        Options that the result depends on; they become its attributes. A function is called when all is
        computed.
    batch_size
        For the predictions of the sequences.
    positions
        Positions that the result is for; all by default.
    coordinates
        Further coordinates of the result.

    Returns
    -------
    xr.Dataset
        The variables of `compute` with ``prediction``, ``reverse_complement_difference`` and
        ``one_hot``; for an ensemble their means over its members, and their standard deviations.
    """
    check_batch_size(batch_size)
    sequences = as_sequences(sequences)
    model = wrapped_for(sequences, model)
    codes_of(sequences["one_hot"].values)  # raises where a row is neither a base nor zeros
    members = model.members or (model,)
    mean_and_spread = _over_members(_variables(member, sequences, compute, batch_size) for member in members)

    keep = [str(name) for name, values in sequences.coords.items() if values.dims == ("sequence",)]
    result = sequences[["one_hot"]].reset_coords(drop=True).assign_coords(sequences[keep].coords)
    if positions is not None:
        result = result.isel(position=positions)
    else:
        positions = np.arange(result.sizes["position"])
    result = result.assign_coords(
        position=positions, base=list(BASES), target=list(model.target_names), **(coordinates or {})
    )
    result = result.assign(mean_and_spread)
    attributes = provenance(method, model, **settled(settings), batch_size=batch_size)
    return schema.annotate(result.assign_attrs(attributes))


def wrapped_for(sequences: xr.Dataset, model: Any) -> SequenceModel:
    """The model as a `SequenceModel`; one that says nothing of itself is asked at these sequences' length.

    Raises
    ------
    InputError
        The Dataset has no one-hot array, or as `as_sequence_model`.
    """
    schema.require(sequences, "one_hot")
    return as_sequence_model(model).for_length(sequences.sizes["position"])


def settled(attributes: Attributes) -> Mapping[str, Any]:
    """The attributes, now that all is computed."""
    return attributes() if callable(attributes) else attributes


def _variables(model: SequenceModel, sequences: xr.Dataset, compute: Compute, batch_size: int) -> Variables:
    batch = batch_of(sequences, model)
    prediction = predict_all(model, batch, batch_size=batch_size, description="sequences")
    backward = batch.replaced(reverse_complement(batch.one_hot))
    reverse = predict_all(model, backward, batch_size=batch_size, description="reverse complement")
    by_target = ("sequence", "target")
    return {
        "prediction": (by_target, prediction),
        "reverse_complement_difference": (by_target, reverse - prediction),
        **compute(model, batch, prediction),
    }


def _over_members(results: Iterable[Variables]) -> Variables:
    """Mean and standard deviation of each variable, one member at a time (Welford 1962)."""
    mean: dict[str, NDArray] = {}
    squares: dict[str, NDArray] = {}
    dims: dict[str, tuple[str, ...]] = {}
    n = 0
    for n, variables in enumerate(results, start=1):
        for name, (names, values) in variables.items():
            if n == 1:
                mean[name], squares[name], dims[name] = values, np.zeros_like(values), names
                continue
            step = values - mean[name]
            mean[name] = mean[name] + step / n
            squares[name] += step * (values - mean[name])
    result: Variables = {name: (dims[name], values) for name, values in mean.items()}
    if n > 1:
        for name, values in squares.items():
            result[name + schema.SPREAD] = dims[name], np.sqrt(values / n)
    return result


def predict_all(model: SequenceModel, batch: Batch, *, batch_size: int, description: str) -> NDArray:
    """Predictions (sequence, target) of a batch, in smaller ones."""
    parts = predict_in_batches(model, len(batch), batch.rows, batch_size=batch_size, description=description)
    found = [prediction for _, prediction in parts]
    return np.concatenate(found) if found else np.empty((0, len(model.target_names)), dtype=np.float32)


def check_range(start: int, end: int | None, length: int) -> tuple[int, int]:
    """Range of positions, with the end filled in.

    Raises
    ------
    InputError
        The range is empty or not within the sequence.
    """
    start = whole_number("start", start, least=None)
    end = length if end is None else whole_number("end", end, least=None)
    if not 0 <= start < end <= length:
        raise InputError(
            f"start, end: expected 0 <= start < end <= {length}, the sequences' length, got {start} and {end}"
        )
    return start, end


def choose_positions(
    start: int, end: int | None, positions: Sequence[int] | None, length: int
) -> NDArray[np.intp]:
    """Positions of a range, or those that are given, sorted.

    Raises
    ------
    InputError
        As `check_range`; or none is given, one is not within the sequence, or a range is given too.
    """
    if positions is None:
        return np.arange(*check_range(start, end, length))
    if start != 0 or end is not None:
        raise InputError("positions: give them, or start and end, not both")
    try:
        chosen = np.unique(np.asarray([operator.index(position) for position in positions], dtype=np.intp))
    except (TypeError, OverflowError):
        raise InputError(
            f"positions: expected whole numbers within the sequences, got {positions!r}"
        ) from None
    outside = chosen[(chosen < 0) | (chosen >= length)]
    if outside.size:
        raise InputError(
            f"positions: {outside[0]} is not in the sequences, whose positions are 0 to {length - 1}"
        )
    if not chosen.size:
        raise InputError("positions: expected at least one, got none")
    return chosen


def check_positive(name: str, value: Any) -> None:
    """Check that an option is a number above 0.

    Raises
    ------
    InputError
        It is not.
    """
    if not isinstance(value, int | float | np.number) or not value > 0:
        raise InputError(f"{name}: expected a positive number, got {value!r}")


def neutral_value_of(model: SequenceModel) -> float | str:
    """Each of the four numbers of an N in the model's input; "mixed" where its members differ."""
    values = {
        member.layout.neutral_value if member.layout is not None else 0.0
        for member in model.members or (model,)
    }
    return values.pop() if len(values) == 1 else "mixed"


def provenance(method: str, model: SequenceModel, **settings: int | float | str) -> dict[str, Any]:
    """Attributes of a result: the method, the model, the settings, and the versions of what ran.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> model = as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=list("ACGT"))
    >>> attributes = provenance("occlusion", model, width=5)
    >>> attributes["method"], attributes["model"], attributes["output"], attributes["width"]
    ('occlusion', '<lambda>', 'raw', 5)
    """
    frameworks = (name for name in _FRAMEWORKS if name in sys.modules)
    not_learned = with_verdicts(model.target_names, model.not_learned)
    return {
        "method": method,
        "model": model.name,
        "model_source": model.source,
        "model_hash": model.fingerprint,
        "output": model.output,
        "neutral_value": neutral_value_of(model),
        **({"not_learned": not_learned} if not_learned else {}),
        **settings,
        "versions": versions(*frameworks),
    }


def versions(*frameworks: str) -> str:
    """Versions of the packages that make results, and of these."""
    names = (*_PACKAGES, *frameworks)
    return ", ".join(f"{name} {version(_DISTRIBUTION_OF.get(name, name))}" for name in names)
