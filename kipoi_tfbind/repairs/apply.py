"""Which repair is made in which module of Kipoi 0.8.6, and the function that makes them.

Kipoi is archived, so its faults will not be mended at their source. Each repair is one function that
takes the Kipoi module, freshly imported, and changes nothing where the fault is absent. The import
hook ``_kipoi_tfbind_hook`` calls :func:`repair`; nothing here imports Kipoi or a framework.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from kipoi_tfbind.repairs import (
    dataloader_arguments,
    expected_predictions,
    keras_models,
    model_code,
    plugin_list,
    predict_command,
    sklearn_models,
    tensorflow_models,
    torch_models,
    whole_files,
    writers,
)

REPAIRS: dict[str, tuple[Callable[[ModuleType], None], ...]] = {
    "kipoi.cli.main": (expected_predictions.compare_every_output, predict_command.check_commands),
    "kipoi.model": (
        expected_predictions.find_expected_predictions,
        model_code.keep_models_apart,
        keras_models.load_every_keras_file,
        torch_models.load_every_torch_file,
        tensorflow_models.call_every_saved_model,
        tensorflow_models.keep_eager_mode,
        sklearn_models.explain_unreadable_pickles,
    ),
    "kipoi.pipeline": (dataloader_arguments.refuse_wrong_arguments,),
    "kipoi.plugin": (plugin_list.register_plugin, plugin_list.silence_pkg_resources),
    "kipoi.writers": (
        writers.restore_numpy_names,
        writers.accept_bed_schema,
        writers.refuse_unwritable_formats,
        whole_files.write_whole_files,
    ),
}


def repair(module: ModuleType) -> None:
    """Make every repair that is written for this Kipoi module.

    Parameters
    ----------
    module
        One of :data:`REPAIRS`, after its code has run.
    """
    for make in REPAIRS[module.__name__]:
        make(module)
