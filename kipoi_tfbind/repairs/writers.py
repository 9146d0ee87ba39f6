"""Kipoi's writers: formats that fail on a current stack."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs.whole_files import replace_writer


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
        replace_writer(writers, BedBatchWriter)


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
