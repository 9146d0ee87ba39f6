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
    "EntryText": "packaging",
    "IntervalWindows": "dataloaders",
    "SavedModel": "packaging",
    "SequenceModel": "models.sequence_model",
    "VariantWindows": "dataloaders",
    "agreement": "interpret",
    "append_result": "results.append",
    "attention_maps": "interpret",
    "as_sequence_model": "models.load",
    "central_backgrounds": "interpret.global_importance.background_shift",
    "cli_main": "plugin",
    "co_occurring_motifs": "interpret",
    "compare_interactions": "interpret",
    "context_importance": "interpret",
    "context_swap": "interpret",
    "cooperativity": "interpret",
    "deep_feature_interaction": "interpret",
    "deep_shap": "interpret",
    "design": "interpret",
    "distribution_shift": "interpret.global_importance.background_shift",
    "encode_sequences": "sequences.read",
    "export_bed": "export",
    "epistasis_interaction": "interpret",
    "explain_variants": "interpret",
    "export_bedgraph": "export",
    "export_bigwig": "export",
    "export_modisco": "export",
    "export_table": "export",
    "filter_motifs": "interpret.filter_motifs",
    "find_hits": "interpret.find_hits",
    "find_patterns": "interpret.find_patterns",
    "find_seqlets": "interpret.find_seqlets",
    "finish_result": "results.append",
    "finished_sequences": "results.append",
    "genomic_backgrounds": "sequences.genomic_backgrounds",
    "global_importance_analysis": "interpret",
    "grad_cam": "interpret",
    "gradients": "interpret",
    "in_silico_mutagenesis": "interpret",
    "integrated_hessians": "interpret",
    "interaction_of_proposed_pairs": "interpret",
    "interaction_verdicts": "interpret",
    "iterate_fasta": "sequences.read",
    "iterate_intervals": "sequences.read",
    "iterate_result": "results.files",
    "kmer_importance": "interpret",
    "layer_contributions": "interpret",
    "load_model": "models.load",
    "make_backgrounds": "sequences.backgrounds",
    "make_references": "sequences.references",
    "match_filters": "interpret.match_filters",
    "maximum_entropy_samples": "interpret",
    "match_motifs": "motifs.match",
    "match_patterns": "interpret.match_patterns",
    "merge_shards": "interpret.merge_shards",
    "motif_importance": "interpret",
    "motif_necessity": "interpret",
    "needed_backgrounds": "interpret",
    "number_importance": "interpret",
    "occlusion": "interpret",
    "open_for_append": "results.append",
    "open_result": "results.files",
    "orientation_importance": "interpret",
    "parse_motif": "motifs.read",
    "package_model": "packaging",
    "predict_sequences": "interpret",
    "predict_with_dropout": "backends.monte_carlo_dropout",
    "plot_agreement": "plot",
    "plot_attention": "plot",
    "plot_cooperativity": "plot",
    "plot_design": "plot",
    "plot_distribution_shift": "plot",
    "plot_epistasis": "plot",
    "plot_hits": "plot",
    "plot_importance": "plot",
    "plot_importance_curve": "plot",
    "plot_interaction": "plot",
    "plot_layer_contributions": "plot",
    "plot_logo": "plot",
    "plot_motifs": "plot",
    "plot_mutation_map": "plot",
    "plot_occlusion": "plot",
    "plot_result": "plot",
    "plot_variant_effects": "plot",
    "plot_samples": "plot",
    "plot_sanity_checks": "plot",
    "plot_surrogate": "plot",
    "position_importance": "interpret",
    "read_fasta_sequences": "sequences.read",
    "read_meme": "motifs.read",
    "read_sequences": "sequences.read",
    "sampled_shapley": "interpret",
    "sanity_checks": "interpret",
    "save_plot": "plot",
    "save_result": "results.files",
    "second_order_mutagenesis": "interpret",
    "sequences_from_dataloader": "sequences.from_dataloader",
    "shuffled_sequences": "sequences.shuffled",
    "shapley_interactions": "interpret",
    "spacing_importance": "interpret",
    "spacing_of_pairs": "interpret",
    "stream": "results.stream",
    "stream_agreement": "interpret",
    "stream_kmer_importance": "interpret",
    "stream_sanity_checks": "interpret",
    "surrogate": "interpret",
    "survey_source": "survey",
    "variant_effects": "interpret",
    "write_meme": "motifs.meme",
    "write_report": "report",
    "write_variant_effects": "interpret",
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
