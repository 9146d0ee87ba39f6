"""Sequence Datasets from the batches of a Kipoi dataloader, whatever form they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.layout import Layout
from kipoi_tfbind.notices import notice

_COORDINATE_OF = {"chr": "chrom", "start": "start", "end": "end", "id": "id", "strand": "strand"}


def sequences_from_dataloader(
    dataloader: Any,
    *,
    layout: Layout | str = "L,4",
    sequence_input: str | int | None = None,
    auxiliary: Sequence[str] = (),
    batch_size: int = 256,
) -> Iterator[xr.Dataset]:
    """Make a sequence Dataset of each batch of a Kipoi dataloader.

    Parameters
    ----------
    dataloader
        A dataloader's instance: it has `batch_iter`.
    layout
        How its sequences are laid out: that of the model (`SequenceModel.layout`), or text such as "4,L".
    sequence_input
        Key or index of the sequence among its inputs; None where they are one array.
    auxiliary
        Names of the inputs beside the sequence (`SequenceModel.auxiliary`) where batches are lists, in their
        order. By default, and where there are more or fewer, their numbers.
    batch_size
        Number of sequences in a Dataset.

    Yields
    ------
    xr.Dataset
        ``one_hot`` (sequence, position, base); the other inputs as ``auxiliary_NAME`` (sequence, ...); the
        coordinates ``id`` and, where the metadata has genomic ranges, ``chrom``, ``start``, ``end`` and
        ``strand``. Without ids in the metadata, running numbers.

    Raises
    ------
    InputError
        The batches have no such input, or another form.

    Examples
    --------
    >>> class Loader:
    ...     def batch_iter(self, batch_size):
    ...         yield {"inputs": {"seq": np.eye(4)[[[0, 2]]], "age": np.array([[3.0]])}}
    >>> batch = next(sequences_from_dataloader(Loader(), sequence_input="seq"))
    >>> batch["one_hot"].shape, batch["auxiliary_age"].values.tolist(), batch["id"].values.tolist()
    ((1, 2, 4), [[3.0]], ['0'])
    """
    layout = Layout.parse(layout) if isinstance(layout, str) else layout
    done = 0
    for batch in dataloader.batch_iter(batch_size=batch_size):
        if not isinstance(batch, Mapping) or "inputs" not in batch:
            found = ", ".join(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
            raise InputError(f"dataloader: expected batches with the key 'inputs', got {found}")
        sequence, others = _split(batch["inputs"], sequence_input, auxiliary)
        one_hot = _one_hot(sequence, layout)
        n, length = one_hot.shape[:2]
        coordinates = _coordinates(batch.get("metadata"), n)
        if "start" in coordinates and (coordinates["end"] - coordinates["start"] != length).any():
            # Positions of a sequence that is longer or shorter than its interval have no place in the genome.
            if not done:
                span = coordinates["end"][0] - coordinates["start"][0]
                notice(
                    f"dataloader: its genomic ranges are of another length than its sequences ({span} and "
                    f"{length} bases for the first); the result has no places in the genome"
                )
            coordinates = {"id": coordinates["id"]} if "id" in coordinates else {}
        coordinates.setdefault("id", np.arange(done, done + n).astype(np.str_))
        done += n
        yield schema.annotate(
            xr.Dataset(
                {"one_hot": (("sequence", "position", "base"), one_hot), **_auxiliary(others, n)},
                coords={
                    **{name: ("sequence", values) for name, values in coordinates.items()},
                    "position": np.arange(length),
                    "base": list(BASES),
                },
            )
        )


def _one_hot(sequence: NDArray, layout: Layout) -> NDArray:
    """One-hot (sequence, position, base), after a check that the array has the layout."""
    axes = sequence.shape[1:]
    if layout.takes_text:
        fits = sequence.size == len(sequence) and sequence.dtype.kind in "UOST"
    elif layout.flattened:
        fits = len(axes) == 1 and axes[0] % len(BASES) == 0
    else:
        length = layout.length(axes) if len(axes) == len(layout.axes) else None
        fits = length is not None and axes == layout.shape(length)
    if not fits:
        raise InputError(
            f"dataloader: expected sequences laid out as {layout}, got a batch of {sequence.dtype} of shape "
            f"{sequence.shape}; give a dataloader that fits the model, or say how it is laid out (layout=; "
            "--layout)"
        )
    if layout.takes_text:
        # HDF5 hands text out as bytes.
        texts = [text.decode() if isinstance(text, bytes) else text for text in sequence.ravel().tolist()]
        sequence = np.array(texts, dtype=object)
    return layout.to_one_hot(sequence)


def _split(
    inputs: Any, wanted: str | int | None, auxiliary: Sequence[str]
) -> tuple[NDArray, dict[str, NDArray]]:
    """The sequence, and the other inputs by name."""
    if isinstance(inputs, Mapping):
        entries = {str(key): np.asarray(value) for key, value in inputs.items()}
    elif isinstance(inputs, list | tuple):
        entries = {str(number): np.asarray(value) for number, value in enumerate(inputs)}
    else:
        return np.asarray(inputs), {}
    if wanted is None and len(entries) == 1:
        return next(iter(entries.values())), {}
    if str(wanted) not in entries:
        raise InputError(
            f"dataloader: its batches have the inputs {', '.join(entries)}, and the model takes "
            f"{'one array' if wanted is None else repr(wanted)}; give a dataloader that fits the model, or "
            "read the sequences with --fasta and --intervals"
        )
    sequence = entries.pop(str(wanted))
    if not isinstance(inputs, Mapping) and len(auxiliary) == len(entries):
        entries = dict(zip(auxiliary, entries.values(), strict=True))
    return sequence, entries


def _auxiliary(others: Mapping[str, NDArray], n: int) -> dict[str, tuple[tuple[str, ...], NDArray]]:
    """Variables of the inputs beside the sequence, after a check that each has a row for each sequence."""
    variables = {}
    for name, values in others.items():
        if values.shape[:1] != (n,):
            raise InputError(
                f"dataloader: expected a row of the input {name} for each of {n} sequences, got a batch of "
                f"shape {values.shape}; give a dataloader that fits the model"
            )
        variable = f"{schema.AUXILIARY}{name}"
        dims = ("sequence", *(f"{variable}_{axis}" for axis in range(1, values.ndim)))
        variables[variable] = dims, values
    return variables


def _coordinates(metadata: Any, n: int) -> dict[str, NDArray]:
    """Ids and places of the sequences: of the first genomic ranges in the metadata."""
    for ranges in _nested(metadata):
        found = {
            own: np.asarray(ranges[kipoi]).reshape(-1)
            for kipoi, own in _COORDINATE_OF.items()
            if kipoi in ranges
        }
        if {"chrom", "start", "end"} <= found.keys() and all(len(values) == n for values in found.values()):
            for name in ("start", "end"):
                found[name] = _whole_numbers(name, found[name])
            for name in ("chrom", "id", "strand"):
                if name in found:
                    found[name] = found[name].astype(np.str_)
            # Kipoi writes "*" where the strand is not known: then the forward strand was read.
            if "strand" in found:
                found["strand"] = np.where(found["strand"] == "-", "-", "+")
            return found
    return {}


def _whole_numbers(name: str, values: NDArray) -> NDArray[np.int64]:
    """Places as integers, from numbers or text, as loaders that read tables with pandas have them."""
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.full(1, np.nan)
    if not (numbers == np.floor(numbers)).all():
        raise InputError(
            f"dataloader: expected whole numbers as the {name} of its genomic ranges, got "
            f"{values[:3].tolist()}; mend the dataloader's metadata"
        )
    return numbers.astype(np.int64)


def _nested(metadata: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(metadata, Mapping):
        yield metadata
        for value in metadata.values():
            yield from _nested(value)
