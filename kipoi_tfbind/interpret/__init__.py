"""Interpretation: one method, one file, one function from a model and sequences to a labelled Dataset.

Methods import models, sequences and results; reports and commands import the methods.
"""

from kipoi_tfbind.interpret.agreement import agreement, stream_agreement
from kipoi_tfbind.interpret.attention_maps import attention_maps
from kipoi_tfbind.interpret.co_occurrence import co_occurring_motifs
from kipoi_tfbind.interpret.deep_feature_interaction import deep_feature_interaction
from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.interpret.design import design
from kipoi_tfbind.interpret.filter_motifs import filter_motifs
from kipoi_tfbind.interpret.find_hits import find_hits
from kipoi_tfbind.interpret.find_seqlets import find_seqlets
from kipoi_tfbind.interpret.global_importance import (
    context_importance,
    context_swap,
    cooperativity,
    interaction_of_proposed_pairs,
    interaction_verdicts,
    kmer_importance,
    motif_importance,
    motif_necessity,
    needed_backgrounds,
    number_importance,
    orientation_importance,
    position_importance,
    spacing_importance,
    spacing_of_pairs,
    stream_kmer_importance,
)
from kipoi_tfbind.interpret.global_importance.analysis import global_importance_analysis
from kipoi_tfbind.interpret.grad_cam import grad_cam
from kipoi_tfbind.interpret.gradients import gradients
from kipoi_tfbind.interpret.in_silico_mutagenesis import in_silico_mutagenesis
from kipoi_tfbind.interpret.integrated_hessians import integrated_hessians
from kipoi_tfbind.interpret.interaction import compare_interactions, epistasis_interaction
from kipoi_tfbind.interpret.layer_contributions import layer_contributions
from kipoi_tfbind.interpret.match_filters import match_filters
from kipoi_tfbind.interpret.maximum_entropy_samples import maximum_entropy_samples
from kipoi_tfbind.interpret.merge_shards import merge_shards
from kipoi_tfbind.interpret.occlusion import occlusion
from kipoi_tfbind.interpret.predict_sequences import predict_sequences
from kipoi_tfbind.interpret.sampled_shapley import sampled_shapley
from kipoi_tfbind.interpret.sanity_checks import sanity_checks, stream_sanity_checks
from kipoi_tfbind.interpret.second_order_mutagenesis import second_order_mutagenesis
from kipoi_tfbind.interpret.shapley_interactions import shapley_interactions
from kipoi_tfbind.interpret.surrogate import surrogate
from kipoi_tfbind.interpret.variant_effects import variant_effects
from kipoi_tfbind.interpret.variants.explain import explain_variants
from kipoi_tfbind.interpret.variants.write import write_variant_effects

__all__ = [
    "agreement",
    "attention_maps",
    "co_occurring_motifs",
    "compare_interactions",
    "context_importance",
    "context_swap",
    "cooperativity",
    "deep_feature_interaction",
    "deep_shap",
    "design",
    "epistasis_interaction",
    "explain_variants",
    "filter_motifs",
    "find_hits",
    "find_seqlets",
    "global_importance_analysis",
    "grad_cam",
    "gradients",
    "in_silico_mutagenesis",
    "integrated_hessians",
    "interaction_of_proposed_pairs",
    "interaction_verdicts",
    "kmer_importance",
    "layer_contributions",
    "match_filters",
    "maximum_entropy_samples",
    "merge_shards",
    "motif_importance",
    "motif_necessity",
    "needed_backgrounds",
    "number_importance",
    "occlusion",
    "orientation_importance",
    "position_importance",
    "predict_sequences",
    "sampled_shapley",
    "sanity_checks",
    "second_order_mutagenesis",
    "shapley_interactions",
    "spacing_importance",
    "spacing_of_pairs",
    "stream_agreement",
    "stream_kmer_importance",
    "stream_sanity_checks",
    "surrogate",
    "variant_effects",
    "write_variant_effects",
]
