"""The pieces of an unfinished result on the disk: their names, their lock, and how they become one file."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.files import OPTION, UNFINISHED, check_writable, partial_folder
from kipoi_tfbind.results.join import Rows, attributes_of, join
from kipoi_tfbind.results.shards import MARK

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

    def is_along_another_dimension(self) -> bool:
        """Whether it can be opened, and is of a result that is put together along another dimension."""
        try:
            with h5py.File(self.path) as file:
                return UNFINISHED in file.attrs and self.dimension not in file
        except OSError:
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
    if found and found[0].is_along_another_dimension():
        raise InputError(
            f"{folder}: holds the unfinished result of another command; repeat that one to go on with it, or "
            "begin anew (--restart; restart=True)"
        )
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


def merge(pieces: list[Piece], path: Path, marks: Mapping[str, Any] | None = None) -> None:
    """Copy pieces into one file, one after the other.

    Parameters
    ----------
    pieces
        In the order of their ranges.
    path
        File to write.
    marks
        Attributes of a shard, which also keeps the options of its run; None for a whole result.
    """
    attributes = attributes_of(pieces[0].path)
    versions = [attributes_of(piece.path).get("versions") for piece in pieces]
    rows = [Rows(piece.path, 0, piece.start, piece.end) for piece in pieces]
    join(rows, path, pieces[0].dimension, finished_attributes(attributes, versions, marks))


def finished_attributes(
    attributes: Mapping[str, Any], versions: Iterable[Any], marks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Attributes of a file that is complete, from those of its first part and the versions of all.

    Examples
    --------
    >>> finished_attributes({"unfinished": "sequences 0 to 1", "option_end": "5", "seed": 3}, ["a", "b", "a"])
    {'seed': 3, 'versions': 'a; then b'}
    """
    dropped = (UNFINISHED,) if marks is not None else (UNFINISHED, OPTION, MARK)
    kept = {name: value for name, value in attributes.items() if not name.startswith(dropped)}
    known = dict.fromkeys(str(each) for each in versions if each is not None)
    return kept | ({"versions": "; then ".join(known)} if known else {}) | dict(marks or {})
