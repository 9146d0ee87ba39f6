"""Tables of variant scores: text, Parquet and netCDF, made of parts that were written block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.results.annotated_vcf import number_texts

TEXT_COLUMNS = ("chrom", "variant_id", "ref", "alt", "status")
WHOLE_COLUMNS = ("pos", "window_start")
_ORDER = ("chrom", "pos", "variant_id", "ref", "alt", "status", "window_start")


@dataclass(frozen=True)
class TableColumns:
    """Columns of a table of alleles, after those that say which allele it is.

    Attributes
    ----------
    by_target
        Names of the scores that there is one of for each target.
    of_allele
        Names of the others.
    targets
        Names of the targets.
    """

    by_target: tuple[str, ...]
    of_allele: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All columns of a flat table."""
        scores = [f"{score}:{target}" for score in self.by_target for target in self.targets]
        return [*_ORDER, *scores, *self.of_allele]

    @property
    def header(self) -> bytes:
        """The line of the columns of a text table."""
        return "\t".join(self.names).encode() + b"\n"

    def flat(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """One array for each column of the flat table."""
        columns = {name: table[name] for name in _ORDER}
        for score in self.by_target:
            for i, target in enumerate(self.targets):
                columns[f"{score}:{target}"] = table[score][:, i]
        return columns | {name: table[name] for name in self.of_allele}


def table_lines(table: Mapping[str, Any], columns: TableColumns) -> bytes:
    """Lines of a text table; missing numbers are "."."""
    texts = [
        [str(value).encode() for value in values]
        if name in TEXT_COLUMNS or name == "largest_target"
        else number_texts(np.asarray(values))
        for name, values in columns.flat(table).items()
    ]
    return b"".join(b"\t".join(row) + b"\n" for row in zip(*texts, strict=True))


def write_part(table: Mapping[str, Any] | pa.Table, columns: TableColumns, path: Path) -> None:
    """Write a block as one Parquet file."""
    pq.write_table(table if isinstance(table, pa.Table) else _arrow(table, columns), path)


def columns_of_part(part: pa.Table, columns: TableColumns) -> dict[str, Any]:
    """Columns of a block that was written as one."""
    flat = part.to_pydict()
    table = {name: values for name, values in flat.items() if ":" not in name}
    for score in columns.by_target:
        by_target = [_numbers(flat[f"{score}:{target}"]) for target in columns.targets]
        table[score] = np.stack(by_target, axis=1)
    return table


def _numbers(values: list) -> NDArray:
    whole = bool(values) and all(isinstance(value, int) for value in values)
    return np.array([np.nan if v is None else v for v in values], dtype=np.int64 if whole else np.float64)


def _arrow(table: Mapping[str, Any], columns: TableColumns) -> pa.Table:
    arrays = {}
    for name, values in columns.flat(table).items():
        if name in TEXT_COLUMNS or name == "largest_target":
            arrays[name] = pa.array([str(value) for value in values], pa.string())
        else:
            arrays[name] = pa.array(np.asarray(values), from_pandas=True)
    return pa.table(arrays)


def merge_to_parquet(
    parts: Sequence[Path], path: Path, columns: TableColumns, attributes: Mapping[str, str], n: int
) -> None:
    """Join parts to one Parquet file, one of them in memory at a time."""
    empty = _arrow(_no_alleles(columns), columns)
    metadata = dict(attributes)
    first = pq.read_schema(parts[0]) if parts else empty.schema
    with pq.ParquetWriter(path, first.with_metadata(metadata)) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part).replace_schema_metadata(metadata))


def merge_to_netcdf(
    parts: Sequence[Path], path: Path, columns: TableColumns, attributes: Mapping[str, str], n: int
) -> None:
    """Join parts to one netCDF-4 file (allele, target), one of them in memory at a time."""
    # In the order of their creation, variables would have the time of their creation in the file, too.
    with h5netcdf.File(path, "w", track_order=False) as file:
        file.dimensions = {"allele": n, "target": len(columns.targets)}
        for name, value in attributes.items():
            file.attrs[name] = value
        string = h5py.string_dtype()
        target = file.create_variable("target", ("target",), string)
        target[:] = np.array(columns.targets, dtype=object)
        variables: dict[str, Any] = {}
        for name in (*_ORDER, *columns.of_allele, *columns.by_target):
            dims = ("allele", "target") if name in columns.by_target else ("allele",)
            is_text = name in TEXT_COLUMNS or name == "largest_target"
            dtype = string if is_text else np.int64 if name in WHOLE_COLUMNS else np.float64
            variables[name] = file.create_variable(name, dims, dtype)
            if name in schema.VARIABLES:
                variables[name].attrs["long_name"] = schema.VARIABLES[name].meaning
        file.attrs["coordinates"] = " ".join(_ORDER)
        first = 0
        for part in parts:
            table = pq.read_table(part)
            last = first + len(table)
            if last == first:
                continue
            for name in (*_ORDER, *columns.of_allele):
                variables[name][first:last] = _numpy(table[name], name)
            for name in columns.by_target:
                values = [_numpy(table[f"{name}:{target}"], name) for target in columns.targets]
                variables[name][first:last] = np.stack(values, axis=1)
            first = last


def _numpy(column: pa.ChunkedArray, name: str) -> Any:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    values = column.to_numpy()
    return values if name in WHOLE_COLUMNS else values.astype(np.float64)


def _no_alleles(columns: TableColumns) -> dict[str, Any]:
    empty: dict[str, Any] = {name: [] for name in TEXT_COLUMNS}
    empty |= {name: np.empty(0, np.int64) for name in WHOLE_COLUMNS}
    empty |= {name: np.empty((0, len(columns.targets))) for name in columns.by_target}
    return empty | {name: [] if name == "largest_target" else np.empty(0) for name in columns.of_allele}
