"""Global importance analysis: experiments that make patterns, the one analysis, and its statistics.

Imports motifs and what the other methods share; `kipoi_tfbind.interpret` hands its functions on.
"""

from kipoi_tfbind.interpret.global_importance.context import context_importance
from kipoi_tfbind.interpret.global_importance.cooperativity import cooperativity
from kipoi_tfbind.interpret.global_importance.effect import motif_importance
from kipoi_tfbind.interpret.global_importance.kmers import kmer_importance, stream_kmer_importance
from kipoi_tfbind.interpret.global_importance.necessity import motif_necessity
from kipoi_tfbind.interpret.global_importance.number import number_importance
from kipoi_tfbind.interpret.global_importance.orientation import orientation_importance
from kipoi_tfbind.interpret.global_importance.position import position_importance
from kipoi_tfbind.interpret.global_importance.proposed_pairs import interaction_of_proposed_pairs
from kipoi_tfbind.interpret.global_importance.spacing import spacing_importance, spacing_of_pairs
from kipoi_tfbind.interpret.global_importance.swap import context_swap
from kipoi_tfbind.interpret.global_importance.verdicts import interaction_verdicts, needed_backgrounds

__all__ = [
    "context_importance",
    "context_swap",
    "cooperativity",
    "interaction_of_proposed_pairs",
    "interaction_verdicts",
    "kmer_importance",
    "motif_importance",
    "motif_necessity",
    "needed_backgrounds",
    "number_importance",
    "orientation_importance",
    "position_importance",
    "spacing_importance",
    "spacing_of_pairs",
    "stream_kmer_importance",
]
