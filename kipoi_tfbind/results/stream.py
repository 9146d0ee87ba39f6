"""Streaming: a method on any number of sequences, into a result file, some at a time.

Memory does not grow with the number of sequences, and a run that was interrupted goes on where it was. The
commands write their results in this way.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.append import open_for_append
from kipoi_tfbind.results.files import OPTION, check_writable

# A piece is of about this size, and of at most so many sequences.
_PIECE_BYTES = 64 << 20
_MOST = 1024

# What may differ between an interrupted run and the one that goes on with it.
_NO_MATTER = ("batch_size", "verify")


def stream(
    method: Callable[..., xr.Dataset],
    model: Any,
    batches: xr.Dataset | Iterable[xr.Dataset],
    path: str | os.PathLike[str],
    /,
    *,
    at_once: int | None = None,
    restart: bool = False,
    **options: Any,
) -> int:
    r"""Run a method on sequences, some at a time, into a result file; go on with an interrupted run.

    Finished pieces are safe at any moment: when the process is killed, the same call goes on after them, and
    the file is the same as without the interruption.

    Parameters
    ----------
    method
        A function of a model and sequences whose result has the dimension ``sequence``, such as
        `in_silico_mutagenesis` or `deep_shap`.
    model
        The model, from `load_model` or `as_sequence_model`.
    batches
        Datasets of sequences, as `iterate_fasta`, `iterate_intervals` and `sequences_from_dataloader` give
        them; or one Dataset.
    path
        File of the result, netCDF-4; a file of that name is replaced when the run is complete. Until then
        the pieces are kept in the folder ``PATH.partial``.
    at_once
        Most sequences that are computed and written together. By default as many as have results of about
        64 MB by position, base and target, at most 1,024.
    restart
        Throw away what an interrupted run has written.
    **options
        Options of the method, the same for all sequences.

    Returns
    -------
    int
        Number of sequences in the file.

    Raises
    ------
    InputError
        The file cannot be written there, another process is writing it, or what an interrupted run has
        written is of another model, of other options or of other sequences; or as the method.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, in_silico_mutagenesis, iterate_fasta, open_result
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> fasta, path = (getfixture("tmp_path") / name for name in ("sequences.fa", "ism.nc"))
    >>> _ = fasta.write_text(">first\nAGGA\n>second\nTTTT\n>third\nGGGG\n")
    >>> stream(in_silico_mutagenesis, model, iterate_fasta(fasta, chunk=2), path, positions=[1, 2])
    3
    >>> open_result(path)["mutation_effect"].sizes["position"]
    2
    """
    check_writable(path)
    if at_once is not None and at_once < 1:
        raise InputError(f"at_once: expected at least 1 sequence, got {at_once}")
    if isinstance(batches, xr.Dataset):
        batches = [batches]
    attributes = model_attributes(method.__name__, model) | option_attributes(method, options)
    with (
        open_for_append(path, attributes, restart=restart) as out,
        progress("sequences", initial=out.n_finished, leave=True) as bar,
    ):
        for part in _parts(out.remaining(batches), at_once, model):
            bar.total = getattr(batches, "n_sequences", None)
            out.append(method(model, part, **options))
            bar.update(part.sizes["sequence"])
        return out.n_finished


def stream_ranges(
    compute: Callable[[int, int], xr.Dataset],
    n: int,
    path: str | os.PathLike[str],
    attributes: Mapping[str, Any],
    *,
    dimension: str,
    at_once: int,
    complete: Callable[[Path], None] | None = None,
    restart: bool = False,
) -> None:
    """Compute what is numbered, some numbers at a time, into a result file; go on with an interrupted run.

    Parameters
    ----------
    compute
        First number and the number after the last -> the result of these.
    n
        How many there are.
    path, restart
        As in `stream`.
    attributes, dimension, complete
        As in `open_for_append`.
    at_once
        How many are computed and written together, at most.

    Raises
    ------
    InputError
        As `open_for_append`.
    """
    check_writable(path)
    with (
        open_for_append(path, attributes, restart=restart, dimension=dimension, complete=complete) as out,
        progress(f"{dimension}s", n, unit=dimension, initial=out.n_finished, leave=True) as bar,
    ):
        for first in range(out.n_finished, n, at_once):
            last = min(first + at_once, n)
            out.append(compute(first, last))
            bar.update(last - first)


def number_at_once(n_values: int, most: int = _MOST) -> int:
    """Number of sequences, or of what else a result is streamed along, whose results make up a piece.

    Parameters
    ----------
    n_values
        Numbers of 4 bytes in the result of one.
    most
        Limit.

    Examples
    --------
    >>> number_at_once(1000 * 4), number_at_once(1000 * 4 * 1000)
    (1024, 4)
    """
    return max(1, min(most, _PIECE_BYTES // (4 * max(1, n_values))))


def _parts(batches: Iterable[xr.Dataset], at_once: int | None, model: Any) -> Iterator[xr.Dataset]:
    """Batches in parts of at most so many sequences."""
    n_targets = len(model.target_names) if getattr(model, "is_asked", False) else 1
    for batch in batches:
        if at_once is None:
            at_once = number_at_once(4 * batch.sizes.get("position", 1) * n_targets)
        for first in range(0, batch.sizes["sequence"], at_once):
            yield batch.isel(sequence=slice(first, first + at_once))


def model_attributes(method: str, model: Any) -> dict[str, Any]:
    """Attributes of a result that are known before it is there: its method, and its model if that is known.

    That another model is not wrapped is found when the first sequences are appended.
    """
    attributes = {"method": method}
    if getattr(model, "is_asked", False):
        attributes |= {"model": model.name, "model_hash": model.fingerprint, "output": model.output}
    return attributes


def option_attributes(method: Callable[..., xr.Dataset], options: Mapping[str, Any]) -> dict[str, str]:
    """All options of a call as text, defaults included, by the names of attributes of unfinished files.

    Raises
    ------
    TypeError
        The method has no such option.
    """
    signature = inspect.signature(method)
    bound = signature.bind(None, None, **options)
    bound.apply_defaults()
    first, second, *_ = signature.parameters
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        is_catch_all = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found |= value if is_catch_all else {name: value}
    return {
        f"{OPTION}{name}": _as_text(value)
        for name, value in found.items()
        if name not in (first, second, *_NO_MATTER)
    }


def _as_text(value: Any) -> str:
    """An option as text that is the same for the same value; of an array, its shape and a hash."""
    if hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        return f"array {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"
    return getattr(value, "__qualname__", None) or str(value)
