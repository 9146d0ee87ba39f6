"""Kipoi dataloaders: a FASTA and a BED or a VCF become one-hot windows.

Usable by name, as in ``kipoi predict --dataloader kipoi_tfbind.dataloaders.IntervalWindows``.
"""

from kipoi_tfbind.dataloaders.intervals import IntervalWindows
from kipoi_tfbind.dataloaders.variants import VariantWindows

__all__ = ["IntervalWindows", "VariantWindows"]
