"""Keras layers that treat the two strands of DNA alike; the convention is in ``_strands``."""

from kipoi_tfbind.layers.both_strands import BothStrands
from kipoi_tfbind.layers.bounded_exponential import BoundedExponential
from kipoi_tfbind.layers.circular_conv1d import CircularConv1D
from kipoi_tfbind.layers.composition import Composition
from kipoi_tfbind.layers.occupancy import Occupancy
from kipoi_tfbind.layers.rev_comp_batch_normalization import RevCompBatchNormalization
from kipoi_tfbind.layers.rev_comp_concatenate import RevCompConcatenate
from kipoi_tfbind.layers.rev_comp_conv1d import RevCompConv1D
from kipoi_tfbind.layers.rev_comp_dense import RevCompDense
from kipoi_tfbind.layers.rev_comp_residual_block import RevCompResidualBlock
from kipoi_tfbind.layers.reverse_complement import ReverseComplement
from kipoi_tfbind.layers.self_attention import SelfAttention
from kipoi_tfbind.layers.strand_pool import StrandPool

__all__ = [
    "BothStrands",
    "BoundedExponential",
    "CircularConv1D",
    "Composition",
    "Occupancy",
    "RevCompBatchNormalization",
    "RevCompConcatenate",
    "RevCompConv1D",
    "RevCompDense",
    "RevCompResidualBlock",
    "ReverseComplement",
    "SelfAttention",
    "StrandPool",
]
