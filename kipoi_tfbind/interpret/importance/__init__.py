"""Experiments of global importance analysis: each makes patterns, and gives them to the one analysis."""

from kipoi_tfbind.interpret.importance.context import context_importance
from kipoi_tfbind.interpret.importance.cooperativity import cooperativity
from kipoi_tfbind.interpret.importance.effect import motif_importance
from kipoi_tfbind.interpret.importance.kmers import kmer_importance
from kipoi_tfbind.interpret.importance.necessity import motif_necessity
from kipoi_tfbind.interpret.importance.number import number_importance
from kipoi_tfbind.interpret.importance.orientation import orientation_importance
from kipoi_tfbind.interpret.importance.position import position_importance
from kipoi_tfbind.interpret.importance.spacing import spacing_importance
from kipoi_tfbind.interpret.importance.swap import context_swap
from kipoi_tfbind.interpret.importance.verdicts import interaction_verdicts, needed_backgrounds

__all__ = [
    "context_importance",
    "context_swap",
    "cooperativity",
    "interaction_verdicts",
    "kmer_importance",
    "motif_importance",
    "motif_necessity",
    "needed_backgrounds",
    "number_importance",
    "orientation_importance",
    "position_importance",
    "spacing_importance",
]
