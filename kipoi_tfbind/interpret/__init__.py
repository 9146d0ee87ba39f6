"""Interpretation: one method, one file, one function from Dataset to Dataset."""

from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.interpret.filter_motifs import filter_motifs
from kipoi_tfbind.interpret.find_hits import find_hits
from kipoi_tfbind.interpret.find_seqlets import find_seqlets
from kipoi_tfbind.interpret.global_importance import (
    context_importance,
    context_swap,
    cooperativity,
    interaction_verdicts,
    kmer_importance,
    motif_importance,
    motif_necessity,
    needed_backgrounds,
    number_importance,
    orientation_importance,
    position_importance,
    spacing_importance,
    stream_kmer_importance,
)
from kipoi_tfbind.interpret.global_importance.analysis import global_importance_analysis
from kipoi_tfbind.interpret.gradients import gradients
from kipoi_tfbind.interpret.in_silico_mutagenesis import in_silico_mutagenesis
from kipoi_tfbind.interpret.match_filters import match_filters
from kipoi_tfbind.interpret.occlusion import occlusion
from kipoi_tfbind.interpret.sampled_shapley import sampled_shapley
from kipoi_tfbind.interpret.second_order_mutagenesis import second_order_mutagenesis

__all__ = [
    "context_importance",
    "context_swap",
    "cooperativity",
    "deep_shap",
    "filter_motifs",
    "find_hits",
    "find_seqlets",
    "global_importance_analysis",
    "gradients",
    "in_silico_mutagenesis",
    "interaction_verdicts",
    "kmer_importance",
    "match_filters",
    "motif_importance",
    "motif_necessity",
    "needed_backgrounds",
    "number_importance",
    "occlusion",
    "orientation_importance",
    "position_importance",
    "sampled_shapley",
    "second_order_mutagenesis",
    "spacing_importance",
    "stream_kmer_importance",
]
