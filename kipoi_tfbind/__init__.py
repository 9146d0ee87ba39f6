"""Transcription-factor binding models for Kipoi, and the tools to train and interpret them.

Importing the package loads no framework: every public name is imported when it is first used.
Kipoi counts on both halves of this. Each of its commands imports every installed plugin; and for
``defined_as: kipoi_tfbind.kipoi_model.X`` it imports only the package and walks the attributes.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

__version__ = "0.1.0"

_MODULE_OF = {
    "cli_main": "plugin",
    "IntervalWindows": "dataloaders",
    "SequenceModel": "model",
    "VariantWindows": "dataloaders",
    "append_result": "result_file",
    "as_sequence_model": "model",
    "central_backgrounds": "backgrounds",
    "context_importance": "interpret",
    "context_swap": "interpret",
    "cooperativity": "interpret",
    "deep_shap": "interpret",
    "distribution_shift": "background_shift",
    "encode_sequences": "sequences",
    "export_bedgraph": "export",
    "export_bigwig": "export",
    "export_modisco": "export",
    "finish_result": "result_file",
    "finished_sequences": "result_file",
    "genomic_backgrounds": "genome_backgrounds",
    "global_importance_analysis": "interpret",
    "gradients": "interpret",
    "in_silico_mutagenesis": "interpret",
    "interaction_verdicts": "interpret",
    "iterate_fasta": "sequences",
    "iterate_intervals": "sequences",
    "iterate_result": "io",
    "kmer_importance": "interpret",
    "load_model": "model",
    "make_backgrounds": "backgrounds",
    "make_references": "references",
    "motif_importance": "interpret",
    "motif_necessity": "interpret",
    "needed_backgrounds": "interpret",
    "number_importance": "interpret",
    "occlusion": "interpret",
    "open_for_append": "result_file",
    "open_result": "io",
    "orientation_importance": "interpret",
    "parse_motif": "motifs",
    "plot_cooperativity": "plot",
    "plot_distribution_shift": "plot",
    "plot_epistasis": "plot",
    "plot_importance": "plot",
    "plot_importance_curve": "plot",
    "plot_logo": "plot",
    "plot_mutation_map": "plot",
    "plot_occlusion": "plot",
    "plot_result": "plot",
    "position_importance": "interpret",
    "read_fasta_sequences": "sequences",
    "read_meme": "motifs",
    "read_sequences": "sequences",
    "sampled_shapley": "interpret",
    "save_plot": "plot",
    "save_result": "io",
    "second_order_mutagenesis": "interpret",
    "sequences_from_dataloader": "dataloader_sequences",
    "spacing_importance": "interpret",
    "write_report": "report",
}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    """Import a public name, or a submodule, at its first use."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in _submodules():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_submodules()})


def _submodules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__)}
