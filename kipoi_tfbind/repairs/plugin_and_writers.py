"""What Kipoi 0.8.6 needs in order to do on a current stack what it documents.

Kipoi is archived, so its faults will not be mended at their source. Each repair is one function that
takes the Kipoi module, freshly imported, and changes nothing where the fault is absent. The import
hook ``_kipoi_tfbind_hook`` calls :func:`repair`; nothing here imports Kipoi or a framework.
"""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs import keras_models, other_models, torch_models
from kipoi_tfbind.repairs.dataloader_arguments import refuse_wrong_arguments
from kipoi_tfbind.repairs.predict_command import check_commands
from kipoi_tfbind.repairs.whole_files import replace_writer, write_whole_files

PLUGIN = {
    "plugin": "kipoi_tfbind",
    "url": "",
    "cli": True,
    "description": "Train, package and interpret transcription-factor binding models.",
}


def repair(module: ModuleType) -> None:
    """Apply every repair that is written for this Kipoi module.

    Parameters
    ----------
    module
        One of :data:`REPAIRS`, after its code has run.
    """
    for apply in REPAIRS[module.__name__]:
        apply(module)


def register_plugin(plugin: ModuleType) -> None:
    """Enter this package in ``kipoi.plugin.PLUGINS``: the list is hard-coded, and no other way in exists."""
    if all(entry["plugin"] != PLUGIN["plugin"] for entry in plugin.PLUGINS):
        plugin.PLUGINS.append(PLUGIN)


def silence_pkg_resources(plugin: ModuleType) -> None:
    """Keep the deprecation of pkg_resources off every ``kipoi`` command: its user cannot act on it.

    The package pins the setuptools that still has pkg_resources.
    """
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", module=r"kipoi\.__main__")


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


def find_expected_predictions(model: ModuleType) -> None:
    """Let ``test.expect`` of a model.yaml name a file beside it, as every other entry of the yaml may.

    ``kipoi test`` opens the path as it stands, so it passes only in the model's own directory.
    """
    get_model = model.get_model

    @functools.wraps(get_model)
    def get_model_with_expected(*args: Any, **kwargs: Any) -> Any:
        loaded = get_model(*args, **kwargs)
        expect = loaded.test.expect
        if isinstance(expect, str) and not os.path.exists(expect):
            loaded.test.expect = os.path.join(loaded.source_dir, expect)
        return loaded

    model.get_model = get_model_with_expected  # type: ignore[attr-defined]


def compare_every_output(main: ModuleType) -> None:
    """Let ``kipoi test`` compare all outputs of a model that has several.

    Its comparison takes the None of NumPy's assertion for a difference, stops after the first output,
    prints "false for key", and then reports that all predictions match.
    """
    compare = main.compare_numpy_dict

    def compare_nested(a: Any, b: Any, exact: bool = True, decimal: int = 7) -> bool:
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            return all(compare_nested(a[key], b[key], exact, decimal) for key in a)
        if compare(a, b, exact=exact, decimal=decimal) not in (None, True):
            raise AssertionError(f"expected {type(b).__name__} {b}, got {type(a).__name__} {a}")
        return True

    main.compare_numpy_dict = compare_nested  # type: ignore[attr-defined]


REPAIRS: dict[str, tuple[Callable[[ModuleType], None], ...]] = {
    "kipoi.cli.main": (compare_every_output, check_commands),
    "kipoi.model": (
        find_expected_predictions,
        other_models.keep_models_apart,
        keras_models.load_every_keras_file,
        torch_models.load_every_torch_file,
        other_models.call_every_saved_model,
        other_models.keep_eager_mode,
        other_models.explain_unreadable_pickles,
    ),
    "kipoi.pipeline": (refuse_wrong_arguments,),
    "kipoi.plugin": (register_plugin, silence_pkg_resources),
    "kipoi.writers": (restore_numpy_names, accept_bed_schema, refuse_unwritable_formats, write_whole_files),
}
