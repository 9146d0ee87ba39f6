"""Rows of several files of one result, put into one file.

How a run went must not be seen in the bytes of its file: whether it was interrupted, or shared by several
processes, and in what pieces. So everything is written here in one fixed order, whole chunks at a time,
without HDF5's times, whatever the files are that it comes from.
"""

from __future__ import annotations

import bisect
import math
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.notices import progress
from kipoi_tfbind.repairs.outputs import reserve
from kipoi_tfbind.results.files import COMPRESSED, chunk_shape

_BYTES_AT_ONCE = 32 << 20
_MOST_OPEN = 64  # files


@dataclass(frozen=True)
class Rows:
    """Rows of a file that are some rows of the whole.

    Attributes
    ----------
    path
        The file.
    first
        Number of the first in the file.
    start, end
        Numbers in the whole, `end` not included.
    """

    path: Path
    first: int
    start: int
    end: int


def join(parts: Sequence[Rows], path: Path, dimension: str, attributes: Mapping[str, Any]) -> None:
    """Write rows of files to one file.

    Parameters
    ----------
    parts
        In the order of the rows, without a gap. What does not have the dimension is taken from the first.
    path
        File to write.
    dimension
        Dimension that they are put together along.
    attributes
        Attributes of the file.
    """
    paths = dict.fromkeys(part.path for part in parts)
    reserve(path, sum(each.stat().st_size for each in paths))
    with h5netcdf.File(path, "w", track_order=False) as whole, _OpenFiles() as files:
        with h5netcdf.File(parts[0].path, "r") as first:
            _lay_out(whole, first, parts[-1].end, dimension)
        for name in sorted(attributes):
            whole.attrs[name] = attributes[name]
        reader = _Reader(parts, files)
        names = sorted(name for name, variable in whole.variables.items() if dimension in variable.dimensions)
        n_all = parts[-1].end * len(names)
        with progress("joining", n_all, unit="row") as bar:
            for name in names:
                variable = whole.variables[name]
                axis = variable.dimensions.index(dimension)
                for start, end in _ranges(variable, axis):
                    where = [slice(None)] * variable.ndim
                    where[axis] = slice(start, end)
                    variable[tuple(where)] = reader.read(name, axis, start, end)
                    bar.update(end - start)


def _ranges(variable: h5netcdf.Variable, axis: int) -> Iterator[tuple[int, int]]:
    """Rows that are written at once: whole chunks, each once."""
    n = variable.shape[axis]
    chunk = variable.chunks[axis] if variable.chunks else 1
    itemsize = variable.dtype.itemsize if isinstance(variable.dtype, np.dtype) else 64
    row_bytes = max(1, math.prod(variable.shape) // max(n, 1) * itemsize)
    step = chunk * max(1, _BYTES_AT_ONCE // (row_bytes * chunk))
    for start in range(0, n, step):
        yield start, min(start + step, n)


class _OpenFiles:
    """A few files that stay open between reads."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()

    def __enter__(self) -> _OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def get(self, path: Path) -> h5py.File:
        if path not in self._files:
            self._files[path] = h5py.File(path, "r")
            if len(self._files) > _MOST_OPEN:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]


class _Reader:
    """Rows of the whole, read from the files that have them."""

    def __init__(self, parts: Sequence[Rows], files: _OpenFiles) -> None:
        self._parts, self._files = parts, files
        self._starts = [part.start for part in parts]

    def read(self, name: str, axis: int, start: int, end: int) -> NDArray:
        found, at = [], bisect.bisect_right(self._starts, start) - 1
        while start < end:
            part = self._parts[at]
            stop = min(end, part.end)
            rows = slice(part.first + start - part.start, part.first + stop - part.start)
            found.append(self._files.get(part.path)[name][(*[slice(None)] * axis, rows)])
            start, at = stop, at + 1
        return found[0] if len(found) == 1 else np.concatenate(found, axis=axis)


def _lay_out(whole: h5netcdf.File, first: h5netcdf.File, n: int, along: str) -> None:
    """Give a file the dimensions and variables of another one, with room for `n` rows."""
    whole.dimensions = {
        name: n if name == along else len(dimension) for name, dimension in sorted(first.dimensions.items())
    }
    for name, variable in sorted(first.variables.items()):
        dims = variable.dimensions
        shape = tuple(n if dim == along else size for dim, size in zip(dims, variable.shape, strict=True))
        compression = (
            {"compression": "gzip", "compression_opts": 1, "chunks": chunk_shape(shape, variable.dtype)}
            if name in COMPRESSED
            else {}
        )
        attributes = dict(variable.attrs)
        new = whole.create_variable(
            name, dims, dtype=variable.dtype, fillvalue=attributes.pop("_FillValue", None), **compression
        )
        for key in sorted(attributes):
            new.attrs[key] = attributes[key]
        if along not in dims:
            new[...] = variable[...]


def write_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Write a file that has nothing but attributes."""
    with h5netcdf.File(path, "w", track_order=False) as file:
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]


def attributes_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Attributes of a netCDF-4 file."""
    with h5py.File(path, "r") as file:
        found = {name: value for name, value in file.attrs.items() if not name.startswith("_NC")}
    # Numbers are written as arrays of one.
    return {name: value[0] if np.shape(value) == (1,) else value for name, value in found.items()}
