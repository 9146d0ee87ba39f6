"""Architectures: one function per file, each returning an uncompiled `keras.Model`."""

from kipoi_tfbind.architectures.dilated_residual_cnn import dilated_residual_cnn
from kipoi_tfbind.architectures.motif_cnn import motif_cnn
from kipoi_tfbind.architectures.motif_scan import motif_scan

__all__ = ["dilated_residual_cnn", "motif_cnn", "motif_scan"]
