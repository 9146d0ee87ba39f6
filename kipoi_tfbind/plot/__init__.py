"""Pictures of results: each a function from a result Dataset to matplotlib Axes; none touches a model.

Imports results and the schema; reports and commands import it, but no module that begins with an underscore.
"""

from kipoi_tfbind.plot.agreement import plot_agreement
from kipoi_tfbind.plot.attention import plot_attention
from kipoi_tfbind.plot.cooperativity import plot_cooperativity
from kipoi_tfbind.plot.design import plot_design
from kipoi_tfbind.plot.distribution_shift import plot_distribution_shift
from kipoi_tfbind.plot.epistasis import plot_epistasis
from kipoi_tfbind.plot.filter_motifs import plot_motifs
from kipoi_tfbind.plot.hits import plot_hits
from kipoi_tfbind.plot.importance_curve import plot_importance_curve
from kipoi_tfbind.plot.interaction import plot_interaction
from kipoi_tfbind.plot.layer_contributions import plot_layer_contributions
from kipoi_tfbind.plot.logo import plot_logo
from kipoi_tfbind.plot.mutation_map import plot_mutation_map
from kipoi_tfbind.plot.occlusion import plot_occlusion
from kipoi_tfbind.plot.pattern_importance import plot_importance
from kipoi_tfbind.plot.result import KINDS, plot_result
from kipoi_tfbind.plot.samples import plot_samples
from kipoi_tfbind.plot.sanity_checks import plot_sanity_checks
from kipoi_tfbind.plot.save import check_format, save_plot
from kipoi_tfbind.plot.surrogate import plot_surrogate
from kipoi_tfbind.plot.variant_effects import plot_variant_effects

__all__ = [
    "KINDS",
    "check_format",
    "plot_agreement",
    "plot_attention",
    "plot_cooperativity",
    "plot_design",
    "plot_distribution_shift",
    "plot_epistasis",
    "plot_hits",
    "plot_importance",
    "plot_importance_curve",
    "plot_interaction",
    "plot_layer_contributions",
    "plot_logo",
    "plot_motifs",
    "plot_mutation_map",
    "plot_occlusion",
    "plot_result",
    "plot_samples",
    "plot_sanity_checks",
    "plot_surrogate",
    "plot_variant_effects",
    "save_plot",
]
