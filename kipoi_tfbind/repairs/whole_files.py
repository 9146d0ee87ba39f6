"""Kipoi's writers, made to write a whole file or none: beside it, checked, then renamed."""

from __future__ import annotations

import fcntl
import io
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs.outputs import unwritable

# Writers that Kipoi lets replace a file, with the first words of a table that is one of its own.
_REPLACES = {
    "TsvBatchWriter": ("preds", "metadata/", "inputs", "targets"),
    "BedBatchWriter": ("chr\tstart\tend\tname\tscore\tstrand",),
    "HDF5BatchWriter": (),
    "ParquetFileBatchWriter": (),
}

_overwrite = False


@contextmanager
def overwriting(allowed: bool) -> Iterator[None]:
    """Let the writers that are made inside replace any file."""
    global _overwrite
    before, _overwrite = _overwrite, allowed
    try:
        yield
    finally:
        _overwrite = before


def write_whole_files(writers: ModuleType) -> None:
    """Let an output file appear under its name only when it is complete.

    Kipoi opens it at once and fills it batch by batch: a run that fails half-way leaves a file that
    looks like a result, and the next run then fails on it (HDF5) or adds to it. On a full disk HDF5 ends
    the process with a segmentation fault.
    """
    for name, own_headers in _REPLACES.items():
        replace_writer(writers, _whole_file_writer(getattr(writers, name), own_headers))


def replace_writer(writers: ModuleType, writer_class: type) -> None:
    """Put a writer class in the place of the one of its name, also where file endings are looked up."""
    original = getattr(writers, writer_class.__name__)
    setattr(writers, writer_class.__name__, writer_class)
    for ending, listed in writers.FILE_SUFFIX_MAP.items():
        if listed is original:
            writers.FILE_SUFFIX_MAP[ending] = writer_class


def _whole_file_writer(writer_class: Any, own_headers: tuple[str, ...]) -> Any:
    """Return a subclass that writes to a neighbouring temporary file, renamed by ``close``."""
    is_hdf5 = writer_class.__name__ == "HDF5BatchWriter"

    class WholeFileWriter(writer_class):
        def __init__(self, file_path: str, *args: Any, **kwargs: Any) -> None:
            self._final_path = path = Path(file_path).resolve()
            self._lock = _locked(file_path, path.with_name(f".{path.name}.lock"))
            self._partial_path = path.with_name(f".{path.name}.partial")
            opened: list[Any] = []
            self._remove_partial = weakref.finalize(
                self, _remove_own_files, self._partial_path, Path(self._lock.name), opened, os.getpid()
            )
            _check_replaceable(file_path, path, own_headers)
            self._partial_path.unlink(missing_ok=True)
            self._file: _UnfailingFile | None = None
            with self._explained():
                if is_hdf5:
                    self._file = _UnfailingFile(self._partial_path, "w+b")
                super().__init__(self._file or str(self._partial_path), *args, **kwargs)
                if is_hdf5:
                    opened.append(self.f)

        def batch_write(self, batch: Any) -> None:
            with self._explained():
                super().batch_write(batch)
                self._raise_hidden()

        def close(self) -> None:
            if not self._remove_partial.alive:
                return
            with self._explained():
                super().close()
                self._raise_hidden()
                if not _holds_data(self._partial_path):
                    raise InputError(
                        f"{self._final_path}: not written, because the input has no record to predict on"
                    )
                _synchronise(self._partial_path)
                os.replace(self._partial_path, self._final_path)
            self._remove_partial()
            self._lock.close()

        @contextmanager
        def _explained(self) -> Iterator[None]:
            try:
                yield
            except OSError as error:
                self._remove_partial()
                raise unwritable(self._final_path, error) from error

        def _raise_hidden(self) -> None:
            if self._file is not None and self._file.problem is not None:
                raise self._file.problem

    WholeFileWriter.__name__ = WholeFileWriter.__qualname__ = writer_class.__name__
    return WholeFileWriter


class _UnfailingFile(io.FileIO):
    """A file that keeps its first failure to itself.

    HDF5 cannot be closed after a failed write: the process ends in a segmentation fault. So it never sees
    one, and who writes asks for `problem`.
    """

    problem: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._kept(lambda: self._write_all(view))
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._kept(lambda: super(_UnfailingFile, self).truncate(size))
        return self.tell() if size is None else size

    def _write_all(self, view: memoryview) -> None:
        while view:
            view = view[super().write(view) :]

    def _kept(self, act: Callable[[], Any]) -> None:
        if self.problem is None:
            try:
                act()
            except OSError as error:
                self.problem = error


def _locked(name: str, path: Path) -> IO[bytes]:
    """Keep other processes from writing the same output; the lock goes with the process."""
    while True:
        try:
            lock = path.open("ab")
        except OSError as error:
            raise unwritable(name, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InputError(
                f"{name}: another process is writing this file; wait for it, or choose another name"
            ) from None
        except OSError:
            return lock  # a file system without locks
        # The process that had the lock may have removed the file in between.
        if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            return lock
        lock.close()


def _check_replaceable(name: str, path: Path, own_headers: tuple[str, ...]) -> None:
    if not path.exists() or _overwrite:
        return
    if path.is_file() and own_headers:
        with path.open("rb") as file:
            if file.read(200).decode("utf-8", "replace").startswith(own_headers):
                return
        raise InputError(
            f"{name}: the file exists and is no output of kipoi predict; give another name, or --overwrite"
        )
    raise InputError(f"{name}: the file exists; remove it or give another name")


def _synchronise(path: Path) -> None:
    """Have the system write the file out, so that a full disk is noticed before the file has its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_own_files(partial: Path, lock: Path, opened: list[Any], process_id: int) -> None:
    # A forked loader worker inherits the writer; its end is not the end of the file.
    if os.getpid() == process_id:
        for file in opened:
            file.close()  # at the end of the process HDF5 would write to a file object that is gone
        partial.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)


def _holds_data(path: Path) -> bool:
    """Whether a closed output has any batch in it: Kipoi creates an HDF5 file before the first one."""
    import h5py

    if not path.exists():
        return False
    if not h5py.is_hdf5(path):
        return True
    with h5py.File(path) as file:
        return len(file) > 0
