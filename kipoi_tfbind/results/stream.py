"""Streaming: a method on any number of sequences, into a result file, some at a time.

Memory does not grow with the number of sequences, and a run that was interrupted goes on where it was. The
commands write their results in this way.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.append import open_for_append
from kipoi_tfbind.results.comparison import differences
from kipoi_tfbind.results.files import OPTION, check_writable
from kipoi_tfbind.results.numbered import Numbered, NumberedBlocks
from kipoi_tfbind.results.shards import BLOCK, WHOLE, OwnBlocks, Shard, concatenated, marks

if TYPE_CHECKING:
    from tqdm import tqdm

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
    block: int = BLOCK,
    shard: Shard | str | None = None,
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
        Most sequences that are written together. By default as many as have results of about 64 MB by
        position, base and target, at most 1,024.
    block
        Sequences that are computed together, and what shards are made of.
    shard
        Only a share of the sequences, such as "2/8": every eighth block. `merge_shards` joins the files of
        all shards to the bytes of one run.
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
    if not callable(method) or not hasattr(method, "__name__"):
        raise InputError(f"method: expected a function such as deep_shap, got {method!r}")
    if at_once is not None:
        whole_number("at_once", at_once, least=1)
    attributes = model_attributes(method.__name__, model) | option_attributes(method, options)
    n_targets = len(model.target_names) if getattr(model, "is_asked", False) else 1
    return stream_blocks(
        lambda part: method(model, part, **options),
        batches,
        path,
        attributes,
        at_once=lambda length: at_once or number_at_once(4 * length * n_targets),
        block=block,
        shard=shard,
        restart=restart,
    )


def stream_blocks(
    compute: Callable[[xr.Dataset], xr.Dataset],
    batches: xr.Dataset | Iterable[xr.Dataset],
    path: str | os.PathLike[str],
    attributes: Mapping[str, Any],
    *,
    at_once: Callable[[int], int],
    block: int = BLOCK,
    complete: Callable[[Path], None] | None = None,
    shard: Shard | str | None = None,
    restart: bool = False,
) -> int:
    """Compute sequences, a block at a time, into a result file; go on with an interrupted run.

    Parameters
    ----------
    compute
        Sequences of a block -> their result.
    batches, path, block, shard, restart
        As in `stream`.
    attributes, complete
        As in `open_for_append`.
    at_once
        Length of the sequences -> most of them that are written together.

    Returns
    -------
    int
        Number of sequences in the file.

    Raises
    ------
    InputError
        As `stream`.
    """
    check_writable(path)
    whole_number("block", block, least=1)
    source = [batches] if isinstance(batches, xr.Dataset) else batches
    if not isinstance(source, Iterable) or isinstance(source, str):
        raise InputError(f"batches: expected Datasets, as iterate_intervals gives them, got {source!r}")
    shard = Shard.parse(shard) if isinstance(shard, str) else shard
    # A shard reads its own sequences only, where they can be found by their number.
    find = getattr(source, "numbered", None) if shard is not None else None
    numbered: Numbered | None = find() if find is not None else None
    batches = iter(source if numbered is None else ())
    first = next(batches, None)
    length = numbered.length if numbered is not None else None
    if first is not None:
        schema.require(first)
        length = first.sizes.get("position", 1)
    most = at_once(length or 1)
    block = min(block, most)
    blocks: OwnBlocks | NumberedBlocks
    n_known: int | None
    if numbered is not None and shard is not None:
        blocks, n_known = NumberedBlocks(numbered, block, shard), numbered.n
    else:
        blocks = OwnBlocks(itertools.chain([first] if first is not None else [], batches), block, shard)
        n_known = getattr(source, "n_sequences", None)
    n_own = n_known and sum(last - first for first, last in (shard or WHOLE).ranges(n_known, block))
    attributes = {**attributes, f"{OPTION}shard": str(shard)}
    marks = None if shard is None else blocks.marks
    with (
        open_for_append(path, attributes, restart=restart, complete=complete, marks=marks) as out,
        progress("sequences", n_own, initial=out.n_finished, leave=True) as bar,
    ):
        for piece in gathered(_with_progress(map(compute, out.remaining(blocks)), bar), "sequence", most):
            out.append(piece)
        return out.n_finished


def _with_progress(results: Iterable[xr.Dataset], bar: tqdm) -> Iterator[xr.Dataset]:
    for result in results:
        yield result
        bar.update(result.sizes["sequence"])


def stream_ranges(
    compute: Callable[[int, int], xr.Dataset],
    n: int,
    path: str | os.PathLike[str],
    attributes: Mapping[str, Any],
    *,
    dimension: str,
    at_once: int,
    complete: Callable[[Path], None] | None = None,
    shard: Shard | None = None,
    input_hash: str = "",
    restart: bool = False,
) -> None:
    """Compute what is numbered, some numbers at a time, into a result file; go on with an interrupted run.

    Parameters
    ----------
    compute
        First number and the number after the last -> the result of these.
    n
        How many there are.
    path, shard, restart
        As in `stream`.
    attributes, dimension, complete
        As in `open_for_append`.
    at_once
        How many are computed and written together, at most.
    input_hash
        Of what else they are computed from: shards are joined only where it is the same.

    Raises
    ------
    InputError
        As `open_for_append`.
    """
    check_writable(path)
    ranges = list((shard or WHOLE).ranges(n, at_once))
    attributes = {**attributes, f"{OPTION}shard": str(shard)}
    facts = None if shard is None else lambda: marks(shard, dimension, at_once, n, input_hash)
    with (
        open_for_append(
            path, attributes, restart=restart, dimension=dimension, complete=complete, marks=facts
        ) as out,
        progress(
            f"{dimension}s",
            sum(last - first for first, last in ranges),
            unit=dimension,
            initial=out.n_finished,
            leave=True,
        ) as bar,
    ):
        left = out.n_finished
        for first, last in ranges:
            # A piece may have been written by a run with other sizes of pieces.
            first, left = first + min(left, last - first), left - min(left, last - first)
            if first < last:
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


def gathered(results: Iterable[xr.Dataset], dimension: str, at_once: int) -> Iterator[xr.Dataset]:
    """Results of blocks in pieces that are written together; such as do not fit come alone, to be refused."""
    held: list[xr.Dataset] = []
    for result in results:
        if held and differences(held[0].attrs, result.attrs, both=True):
            yield concatenated(held, dimension)
            held = []
        held.append(result)
        if sum(each.sizes[dimension] for each in held) + result.sizes[dimension] > at_once:
            yield concatenated(held, dimension)
            held = []
    if held:
        yield concatenated(held, dimension)


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
