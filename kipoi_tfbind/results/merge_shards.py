"""Shards of a result, joined: the bytes of the file that one run would have written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.comparison import differences
from kipoi_tfbind.results.files import OPTION, check_finished, check_writable, whole_file
from kipoi_tfbind.results.join import Rows, attributes_of, join
from kipoi_tfbind.results.pieces import finished_attributes
from kipoi_tfbind.results.shards import MARK, Shard

# Attributes of the whole as one shard knows them.
KNOWN = f"{MARK}_attributes"
# What differs between shards of one run.
_OF_ONE_SHARD = (MARK, f"{OPTION}shard", KNOWN)


@dataclass(frozen=True)
class ShardFile:
    """A file of a shard.

    Attributes
    ----------
    path
        The file.
    shard
        Which one it is.
    facts
        What is the same for all shards of a run: its method, model, options, input.
    """

    path: Path
    shard: Shard
    facts: Mapping[str, Any]


def in_order(files: Sequence[ShardFile]) -> list[ShardFile]:
    """Shards of one run by their number.

    Raises
    ------
    InputError
        One is missing, is given twice, or is of another run; the message names it.
    """
    if not files:
        raise InputError("shards: expected the files of all shards of a run, got none")
    # A shard without a record knows less of its run.
    first = max(files, key=lambda file: len(file.facts))
    seen: dict[int, ShardFile] = {}
    for file in files:
        if file.shard.of != first.shard.of:
            raise InputError(
                f"{file.path}: is shard {file.shard}, but {first.path} is {first.shard}; give the shards of "
                "one run, all with the same N"
            )
        if file.shard.number in seen:
            raise InputError(
                f"{file.path}: is shard {file.shard}, as {seen[file.shard.number].path} is; give each once"
            )
        if other := differences(first.facts, file.facts, both=True):
            raise InputError(
                f"{file.path}: is shard {file.shard} of another run than {first.path} "
                f"({'; '.join(_plain(each) for each in other)}); run it again with the same model, options "
                "and input"
            )
        seen[file.shard.number] = file
    missing = [
        str(Shard(number, first.shard.of)) for number in range(1, first.shard.of + 1) if number not in seen
    ]
    if missing:
        raise InputError(
            f"shards: missing, of the run that {first.path} is of: {_listed(missing)}; run the same command "
            f"with --shard {missing[0]}"
        )
    return [seen[number] for number in sorted(seen)]


def _plain(difference: str) -> str:
    return difference.replace(f"{MARK}_input", "input").replace(f"{MARK}_total", "number of records")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def merge_result_shards(
    parts: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    complete: Callable[[Mapping[str, Any]], Callable[[Path], None] | None] = lambda attributes: None,
) -> int:
    """Join the files of all shards of a run that wrote a result.

    Parameters
    ----------
    parts
        The files, in any order.
    path
        File to write; a file of that name is replaced.
    complete
        Attributes of the result -> function that writes what depends on all shards into the file, or None.

    Returns
    -------
    int
        Number of sequences, or of what else the result is streamed along.

    Raises
    ------
    InputError
        A file is no shard, is missing, given twice, or of another run; or the file cannot be written.
    """
    check_writable(path)
    files = in_order([read_shard(part) for part in parts])
    facts = files[0].facts
    dimension, size, n = (facts[f"{MARK}_{name}"] for name in ("dimension", "block", "total"))
    rows: list[Rows] = []
    for file in files:
        done = 0
        for start, end in file.shard.ranges(int(n), int(size)):
            rows.append(Rows(file.path, done, start, end))
            done += end - start
        _check_number(file, str(dimension), done)
    rows.sort(key=lambda each: each.start)
    versions = [attributes_of(file.path).get("versions") for file in files if _n_rows(file, str(dimension))]
    attributes = finished_attributes(attributes_of(rows[0].path), versions)
    with whole_file(path) as partial:
        join(rows, partial, str(dimension), attributes)
        if (function := complete(attributes)) is not None:
            function(partial)
    return int(n)


def read_shard(path: str | os.PathLike[str]) -> ShardFile:
    """What a file says of itself.

    Raises
    ------
    InputError
        It is no shard, or its run has not finished.
    """
    check_finished(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; run its shard, or correct the name")
    try:
        attributes = attributes_of(path)
    except OSError:
        raise InputError(f"{path}: not a result; give files that were written with --shard") from None
    if MARK not in attributes or f"{MARK}_total" not in attributes:
        raise InputError(f"{path}: is no shard of a result; give files that were written with --shard")
    facts = {name: value for name, value in attributes.items() if name not in _OF_ONE_SHARD}
    return ShardFile(Path(path), Shard.parse(str(attributes[MARK])), facts)


def _n_rows(file: ShardFile, dimension: str) -> int:
    with h5py.File(file.path, "r") as opened:
        return int(opened[dimension].shape[0]) if dimension in opened else 0


def _check_number(file: ShardFile, dimension: str, expected: int) -> None:
    if (found := _n_rows(file, dimension)) != expected:
        raise InputError(
            f"{file.path}: shard {file.shard} should have {expected} {dimension}s and has {found}; run it "
            "again"
        )
