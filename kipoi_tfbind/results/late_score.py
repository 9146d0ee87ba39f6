"""A score that is known only when all alleles are done, added to files that are otherwise complete."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kipoi_tfbind.results.annotated_vcf import annotated_lines, number_texts
from kipoi_tfbind.results.variant_tables import TableColumns, columns_of_part, table_lines

_ALT_COLUMN = 4
# Lines of a VCF that are rewritten and compressed together.
_BLOCK = 4096


@dataclass(frozen=True)
class LateScore:
    """A score that is made of all values of another one.

    Attributes
    ----------
    name
        Its name: a column of the tables, where it is missing until then.
    source
        Name of the score that it is made of.
    make
        Values of the source -> values of this score, both (allele, target).
    keys
        Its keys in a VCF's INFO, one for each target.
    """

    name: str
    source: str
    make: Callable[[NDArray], NDArray]
    keys: tuple[bytes, ...]


def add_late_score(parts: Sequence[Path], late: LateScore, columns: TableColumns) -> list[Path]:
    """Write parts anew, beside themselves, with the score in them.

    Returns
    -------
    list of Path
        The new parts.
    """
    targets = columns.targets
    names = [f"{late.source}:{target}" for target in targets]
    tables = [pq.read_table(part, columns=names) for part in parts]
    known = [np.stack([table[name].to_numpy() for name in names], axis=1) for table in tables]
    sizes = [len(values) for values in known]
    values = late.make(np.concatenate(known).astype(np.float64)) if known else np.empty((0, len(targets)))
    new = []
    for part, own in zip(parts, np.split(values, np.cumsum(sizes)[:-1]), strict=True):
        table = pq.read_table(part)
        for i, target in enumerate(targets):
            place = table.column_names.index(f"{late.name}:{target}")
            table = table.set_column(place, f"{late.name}:{target}", pa.array(own[:, i], from_pandas=True))
        path = part.with_name(f"late-{part.name}")
        pq.write_table(table, path)
        new.append(path)
    return new


def rewrite_table(
    parts: Sequence[Path], path: Path, columns: TableColumns, pack: Callable[[bytes], bytes]
) -> None:
    """Write a text table of parts."""
    with open(path, "wb") as file:
        file.write(pack(columns.header))
        for part in parts:
            table = columns_of_part(pq.read_table(part), columns)
            file.write(pack(table_lines(table, columns)))


def rewrite_vcf(
    source: Path, path: Path, parts: Sequence[Path], late: LateScore, pack: Callable[[bytes], bytes]
) -> None:
    """Write an annotated VCF anew with the keys of the score."""
    with open(path, "wb") as file, _opened(source) as lines:
        numbers = _late_values(parts, late)
        for block in _blocks(lines):
            header = [line for line in block if line.startswith(b"#")]
            records = block[len(header) :]
            counts = [_n_alleles(line) for line in records]
            line_of = np.repeat(np.arange(len(records)), counts)
            values = np.array([next(numbers) for _ in line_of]).reshape(len(line_of), len(late.keys))
            texts = [(key, number_texts(values[:, i])) for i, key in enumerate(late.keys)]
            new = annotated_lines(records, line_of, texts, ["ok"] * len(line_of), b"")
            file.write(pack(b"".join([*header, *new])))


def _opened(path: Path) -> IO[bytes]:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else open(path, "rb")


def _n_alleles(line: bytes) -> int:
    fields = line.split(b"\t", _ALT_COLUMN + 1)
    return fields[_ALT_COLUMN].count(b",") + 1 if len(fields) > _ALT_COLUMN else 0


def _late_values(parts: Sequence[Path], late: LateScore) -> Iterator[NDArray]:
    for part in parts:
        table = pq.read_table(part)
        names = [name for name in table.column_names if name.startswith(f"{late.name}:")]
        yield from np.stack([table[name].to_numpy() for name in names], axis=1)


def _blocks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    for line in lines:
        block.append(line)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block
