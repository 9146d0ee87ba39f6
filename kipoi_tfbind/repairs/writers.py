"""Kipoi's writers: formats that fail on a current stack, and files that are left half-written."""

from __future__ import annotations

import functools
import inspect
import os
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError


def restore_numpy_names(writers: ModuleType) -> None:
    """Give ``kipoi.writers`` the names ``np.string_`` and ``np.unicode_``, which NumPy 2 removed.

    Without them every HDF5 output fails: ``kipoi predict -o x.h5``, ``kipoi preproc``, ``kipoi test -o``.
    Only the writers' own ``np`` gets them: NumPy itself stays as it is for the rest of the process.
    """
    numpy = writers.np
    if hasattr(numpy, "string_") and hasattr(numpy, "unicode_"):
        return
    with_old_names = ModuleType("numpy")
    with_old_names.__dict__.update(
        string_=numpy.bytes_, unicode_=numpy.str_, __getattr__=functools.partial(getattr, numpy)
    )
    writers.np = with_old_names  # type: ignore[attr-defined]


def accept_bed_schema(writers: ModuleType) -> None:
    """Let ``-o x.bed`` run: ``get_writer`` hands the schema over under a name that the writer does not know.

    The writer takes the intervals from the metadata, which ``kipoi predict`` passes on only with ``-m``.
    """

    class BedBatchWriter(writers.BedBatchWriter):  # type: ignore[name-defined]
        def __init__(self, file_path: str, dataloader_schema: Any, header: bool = True) -> None:
            super().__init__(file_path, metadata_schema=dataloader_schema, header=header)

        def batch_write(self, batch: dict[str, Any]) -> None:
            if "metadata" not in batch:
                raise InputError(
                    "BED output: expected metadata with the genomic intervals, got none; "
                    "add -m (--keep_metadata), or write .tsv, .h5 or .parquet"
                )
            super().batch_write(batch)

    if "metadata_schema" in inspect.signature(writers.BedBatchWriter).parameters:
        _replace_writer(writers, BedBatchWriter)


def refuse_unwritable_formats(writers: ModuleType) -> None:
    """Refuse an output that Kipoi lists and cannot write (``-o x.zarr``): it logs, and exits with 0."""
    get_writer = writers.get_writer

    @functools.wraps(get_writer)
    def get_writer_or_refuse(output_file: str, *args: Any, **kwargs: Any) -> Any:
        writer = get_writer(output_file, *args, **kwargs)
        if writer is None:
            raise InputError(
                f"{output_file}: Kipoi cannot write this format; "
                "give a name that ends in .tsv, .h5, .parquet or .bed"
            )
        return writer

    writers.get_writer = get_writer_or_refuse  # type: ignore[attr-defined]


def write_whole_files(writers: ModuleType) -> None:
    """Let an output file appear under its name only when it is complete.

    Kipoi opens it at once and fills it batch by batch: a run that fails half-way leaves a file that
    looks like a result, and the next run then fails on it (HDF5) or adds to it.
    """
    for name, overwrites in {
        "TsvBatchWriter": True,
        "BedBatchWriter": True,
        "HDF5BatchWriter": False,
        "ParquetFileBatchWriter": False,
    }.items():
        _replace_writer(writers, _whole_file_writer(getattr(writers, name), overwrites))


def _whole_file_writer(writer_class: Any, overwrites: bool) -> Any:
    """Return a subclass that writes to a neighbouring temporary file, renamed by ``close``."""

    class WholeFileWriter(writer_class):
        def __init__(self, file_path: str, *args: Any, **kwargs: Any) -> None:
            self._final_path = Path(file_path).resolve()
            if self._final_path.exists() and not overwrites:
                raise InputError(f"{file_path}: the file exists; remove it or give another name")
            partial_name = f".{self._final_path.name}.{os.getpid()}.partial"
            self._partial_path = self._final_path.with_name(partial_name)
            self._remove_partial = weakref.finalize(self, _remove_own_file, self._partial_path, os.getpid())
            super().__init__(str(self._partial_path), *args, **kwargs)

        def close(self) -> None:
            if not self._remove_partial.alive:
                return
            super().close()
            if not _holds_data(self._partial_path):
                raise InputError(
                    f"{self._final_path}: not written, because the input has no record to predict on"
                )
            os.replace(self._partial_path, self._final_path)
            self._remove_partial.detach()

    WholeFileWriter.__name__ = WholeFileWriter.__qualname__ = writer_class.__name__
    return WholeFileWriter


def _remove_own_file(path: Path, process_id: int) -> None:
    # A forked loader worker inherits the writer; its end is not the end of the file.
    if os.getpid() == process_id:
        path.unlink(missing_ok=True)


def _holds_data(path: Path) -> bool:
    """Whether a closed output has any batch in it: Kipoi creates an HDF5 file before the first one."""
    import h5py

    if not path.exists():
        return False
    if not h5py.is_hdf5(path):
        return True
    with h5py.File(path) as file:
        return len(file) > 0


def _replace_writer(writers: ModuleType, writer_class: type) -> None:
    """Put a writer class in the place of the one of its name, also where file endings are looked up."""
    original = getattr(writers, writer_class.__name__)
    setattr(writers, writer_class.__name__, writer_class)
    for ending, listed in writers.FILE_SUFFIX_MAP.items():
        if listed is original:
            writers.FILE_SUFFIX_MAP[ending] = writer_class
