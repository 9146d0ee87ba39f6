"""Pictures of results: each a function from a result Dataset to matplotlib Axes; none touches a model."""

from kipoi_tfbind.plot.cooperativity import plot_cooperativity
from kipoi_tfbind.plot.distribution_shift import plot_distribution_shift
from kipoi_tfbind.plot.epistasis import plot_epistasis
from kipoi_tfbind.plot.filter_motifs import plot_motifs
from kipoi_tfbind.plot.hits import plot_hits
from kipoi_tfbind.plot.importance_curve import plot_importance_curve
from kipoi_tfbind.plot.logo import plot_logo
from kipoi_tfbind.plot.mutation_map import plot_mutation_map
from kipoi_tfbind.plot.occlusion import plot_occlusion
from kipoi_tfbind.plot.pattern_importance import plot_importance
from kipoi_tfbind.plot.result import KINDS, plot_result
from kipoi_tfbind.plot.save import check_format, save_plot

__all__ = [
    "KINDS",
    "check_format",
    "plot_cooperativity",
    "plot_distribution_shift",
    "plot_epistasis",
    "plot_hits",
    "plot_importance",
    "plot_importance_curve",
    "plot_logo",
    "plot_motifs",
    "plot_mutation_map",
    "plot_occlusion",
    "plot_result",
    "save_plot",
]
