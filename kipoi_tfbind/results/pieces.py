"""The pieces of an unfinished result on the disk: their names, their lock, and how they become one file."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5netcdf
import h5py

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import followed, notice
from kipoi_tfbind.repairs.outputs import reserve
from kipoi_tfbind.results.files import (
    COMPRESSED,
    OPTION,
    UNFINISHED,
    check_writable,
    chunk_shape,
    partial_folder,
)

# Names of files in the folder of an unfinished result, besides the pieces.
WRITING, MERGED, LOCK = "writing.nc", "merged.nc", "lock"

_PIECE_NAME = re.compile(r"(\d{10})-(\d{10})\.nc")


@dataclass(frozen=True)
class Piece:
    """A file with the sequences, or what else is along a dimension, from `start` to `end`, not included."""

    path: Path
    start: int
    end: int
    dimension: str = "sequence"

    @classmethod
    def of(cls, folder: Path, start: int, end: int, dimension: str = "sequence") -> Piece:
        """Piece of this range in a folder."""
        return cls(folder / f"{start:010d}-{end:010d}.nc", start, end, dimension)

    def is_sound(self) -> bool:
        """Whether it can be opened and has as many sequences as its name says."""
        try:
            with h5py.File(self.path) as file:
                return file[self.dimension].shape[0] == self.end - self.start
        except (OSError, KeyError):
            return False


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other processes from writing the same result; leave no folder behind that has no piece."""
    check_writable(path)
    folder = partial_folder(path)
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise InputError(f"{path}: cannot write to {folder} ({error.strerror}); remove it") from None
    with lock:
        try:
            # The lock goes with the process, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path}: another process is writing this result; wait for it, or choose another name"
            ) from None
        except OSError:
            # A file system without locks.
            pass
        try:
            yield
        finally:
            if not any(_PIECE_NAME.fullmatch(file.name) for file in _files(folder)):
                discard(folder)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def discard(folder: Path, keep: Iterable[str] = ()) -> None:
    """Remove the files that this module makes, and the folder if nothing else is in it."""
    for file in _files(folder):
        ours = _PIECE_NAME.fullmatch(file.name) or file.name in (WRITING, MERGED, LOCK)
        if ours and file.name not in keep:
            file.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def usable_pieces(folder: Path, dimension: str = "sequence", *, discard_others: bool) -> list[Piece]:
    """Pieces from the first sequence on without a gap."""
    found = [
        Piece(file, int(match[1]), int(match[2]), dimension)
        for file in _files(folder)
        if (match := _PIECE_NAME.fullmatch(file.name))
    ]
    usable: list[Piece] = []
    for piece in found:
        if piece.start != (usable[-1].end if usable else 0) or not piece.is_sound():
            break
        usable.append(piece)
    others = found[len(usable) :]
    if others and discard_others:
        notice(
            f"{others[0].path}: damaged; the {dimension}s from {others[0].start} on are done again "
            f"({len(usable)} of {len(found)} pieces can be used)"
        )
        for piece in others:
            piece.path.unlink()
    return usable


def merge(pieces: list[Piece], path: Path) -> None:
    """Copy pieces into one file, one after the other."""
    versions: dict[str, None] = {}
    dimension = pieces[0].dimension
    reserve(path, sum(piece.path.stat().st_size for piece in pieces))
    with h5netcdf.File(path, "w") as whole:
        with h5netcdf.File(pieces[0].path, "r") as first:
            _lay_out(whole, first, pieces[-1].end, dimension)
        for piece in followed(pieces, "joining", unit="piece"):
            with h5netcdf.File(piece.path, "r") as source:
                if "versions" in source.attrs:
                    versions[str(source.attrs["versions"])] = None
                for name, variable in whole.variables.items():
                    if dimension in variable.dimensions:
                        rows = slice(piece.start, piece.end)
                        where = [rows if dim == dimension else slice(None) for dim in variable.dimensions]
                        variable[tuple(where)] = source.variables[name][...]
        if versions:
            whole.attrs["versions"] = "; then ".join(versions)
        for name in [name for name in whole.attrs if name == UNFINISHED or name.startswith(OPTION)]:
            del whole.attrs[name]


def _lay_out(whole: h5netcdf.File, first: h5netcdf.File, n: int, along: str) -> None:
    """Give a file the dimensions, variables and attributes of a piece, with room for `n` sequences."""
    whole.dimensions = {
        name: n if name == along else len(dimension) for name, dimension in first.dimensions.items()
    }
    whole.attrs.update(first.attrs)
    for name, variable in first.variables.items():
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
        new.attrs.update(attributes)
        if along not in dims:
            new[...] = variable[...]
