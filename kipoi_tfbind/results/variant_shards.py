"""Shards of a run that scores variants: what is beside a file of one, and how the files are joined.

A file of a shard is whole for itself: a VCF, a table. Beside it, in ``FILE.shard``, are its alleles with all
digits, block by block, and the facts of its run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.all_snvs import AllSnvs
from kipoi_tfbind.genome.vcf_stream import RecordBlock, VcfStream
from kipoi_tfbind.results.files import check_finished
from kipoi_tfbind.results.late_score import LateScore
from kipoi_tfbind.results.merge_shards import ShardFile, in_order
from kipoi_tfbind.results.shards import Shard, marks
from kipoi_tfbind.results.variant_files import SHARD_SUFFIX, VariantFiles
from kipoi_tfbind.results.variant_outputs import kind_of_output
from kipoi_tfbind.results.variant_tables import TableColumns

_KEY = b"kipoi_tfbind_shard"


class Records(Protocol):
    """Lines of a VCF, or records that are made, in blocks."""

    name: str
    header: list[bytes]
    unit: str

    def blocks(self, size: int) -> Iterator[RecordBlock]:
        """Blocks of so many lines, or fewer."""


class OwnRecords:
    """Blocks of lines that a shard has; the others are read and counted, and not made where they are made.

    Parameters
    ----------
    records
        All of them.
    shard
        The shard.

    Attributes
    ----------
    name, header, unit
        As of the records.
    counts
        Numbers of lines and alleles of each of its blocks.
    """

    def __init__(self, records: Records, shard: Shard) -> None:
        self.name, self.header, self.unit = records.name, records.header, records.unit
        self.counts: list[tuple[int, int]] = []
        self._records, self._shard, self._size = records, shard, 0
        self._n = 0
        self._digest = hashlib.sha256(b"".join(records.header))

    def blocks(self, size: int) -> Iterator[RecordBlock]:
        """Its blocks."""
        self._size = size
        for number, (n, content, make) in enumerate(self._parts(size)):
            self._n += n
            self._digest.update(content)
            if self._shard.has(number):
                block = make()
                self.counts.append((len(block.lines), len(block)))
                yield block

    def _parts(self, size: int) -> Iterator[tuple[int, bytes, Callable[[], RecordBlock]]]:
        """Number of lines of each block, what is hashed of it, and the block."""
        if isinstance(self._records, AllSnvs):
            for unmade in self._records.unmade_blocks(size):
                yield len(unmade), unmade.content, unmade.make
        else:
            for block in self._records.blocks(size):
                yield len(block.lines), b"".join(block.lines), partial(_same, block)

    def facts(self) -> dict[str, Any]:
        """Facts of the run, when all lines were read."""
        found = marks(self._shard, "line", self._size, self._n, self._digest.hexdigest()[:16])
        return {name: str(value) for name, value in found.items()}


def _same(block: RecordBlock) -> RecordBlock:
    return block


def write_beside(
    parts: Sequence[Path], path: Path, facts: Mapping[str, Any], late: LateScore | None, columns: TableColumns
) -> None:
    """Write what is beside a file of a shard: its blocks and the facts of its run.

    Parameters
    ----------
    parts
        Parquet files of the blocks.
    path
        File to write.
    facts
        Facts of the run: text that is the same for all shards under "facts", and what is not beside it.
    late
        A score that is added when the shards are joined.
    columns
        Columns of the tables.
    """
    known = dict(facts) | {"columns": [columns.by_target, columns.of_allele, columns.targets]}
    if late is not None:
        known["late"] = [late.name, late.source, [key.decode() for key in late.keys]]
    schema = pq.read_schema(parts[0]) if parts else pa.schema([])
    with pq.ParquetWriter(path, schema.with_metadata({_KEY: json.dumps(known).encode()})) as writer:
        for part in parts:
            table = pq.read_table(part)
            if len(table):
                writer.write_table(table.cast(schema).replace_schema_metadata(writer.schema.metadata))


class _Beside:
    """What is beside a file of a shard."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_finished(path)
        self.path = Path(path)
        beside = Path(f"{os.fspath(path)}{SHARD_SUFFIX}")
        for each in (self.path, beside):
            if not each.is_file():
                raise InputError(
                    f"{each}: no such file; a shard of variants is a file with {beside.name} beside it"
                )
        try:
            self._table = pq.ParquetFile(beside)
            known = json.loads((self._table.schema_arrow.metadata or {})[_KEY])
        except (pa.ArrowInvalid, KeyError):
            raise InputError(
                f"{beside}: is not what --shard writes beside its file; run the shard again"
            ) from None
        self.shard = Shard.parse(known["shard"])
        self.facts: dict[str, Any] = known["facts"]
        self.attributes: dict[str, str] = known["attributes"]
        self.header = known["header"].encode("latin-1").splitlines(keepends=True)
        self.counts: list[tuple[int, int]] = known["blocks"]
        self.columns = TableColumns(*(tuple(names) for names in known["columns"]))
        self.late: list[Any] | None = known.get("late")

    def blocks(self) -> Iterator[tuple[list[bytes], pa.Table]]:
        """Lines and alleles of each block; of a table there are no lines."""
        schema = self._table.schema_arrow.remove_metadata()
        lines = self._lines() if kind_of_output(self.path) == "vcf" else None
        row_group = 0
        for n_lines, n_alleles in self.counts:
            table = schema.empty_table()
            if n_alleles:
                table = self._table.read_row_group(row_group).replace_schema_metadata(None)
                row_group += 1
            own = [next(lines, b"") for _ in range(n_lines)] if lines is not None else [b""] * n_lines
            if len(table) != n_alleles or (lines is not None and not all(own)):
                raise InputError(
                    f"{self.path}: has fewer records than its shard; run shard {self.shard} again"
                )
            yield own, table

    def _lines(self) -> Iterator[bytes]:
        for block in VcfStream(self.path).blocks(1024):
            yield from block.lines


def merge_variant_shards(
    parts: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    make_late: Callable[[NDArray], NDArray],
) -> int:
    """Join the files of all shards of a run that scored variants.

    Parameters
    ----------
    parts
        Files of one kind, with what is beside them; in any order.
    path
        File to write, of the same kind.
    make_late
        Function of a score that is made of all alleles, where there is one.

    Returns
    -------
    int
        Number of lines of the VCF that was scored.

    Raises
    ------
    InputError
        A file is no shard, is missing, given twice, of another kind or of another run.
    """
    found = {os.fspath(part): _Beside(part) for part in parts}
    for name in found:
        if kind_of_output(name) != kind_of_output(path):
            raise InputError(f"{name}: is of another kind than {path}; give both the same suffix")
    listed = [
        ShardFile(Path(part), found[os.fspath(part)].shard, found[os.fspath(part)].facts) for part in parts
    ]
    files = [found[os.fspath(file.path)] for file in in_order(listed)]
    first = files[0]
    late = None
    if first.late is not None:
        name, source, keys = first.late
        late = LateScore(name, source, make_late, tuple(key.encode() for key in keys))
    with VariantFiles([path], first.attributes, first.columns, late) as whole:
        whole.begin(first.header, restart=True)
        readers = [file.blocks() for file in files]
        for number in range(sum(len(file.counts) for file in files)):
            block = next(readers[number % len(files)], None)
            if block is None:
                raise InputError(
                    f"{files[number % len(files)].path}: has fewer blocks than its run; run it again"
                )
            lines, table = block
            whole.append(lines, lines, table)
        whole.finish()
    return whole.n_lines


def beside(path: str | os.PathLike[str]) -> bool:
    """Whether there is something of a shard of variants beside a file, or ought to be by its name."""
    name = os.fspath(path)
    return os.path.exists(name + SHARD_SUFFIX) or name.lower().endswith(
        (".vcf", ".vcf.gz", ".vcf.bgz", ".tsv", ".tsv.gz", ".parquet")
    )
