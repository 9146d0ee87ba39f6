"""Interpretation: one method, one file, one function from Dataset to Dataset."""

from kipoi_tfbind.interpret.in_silico_mutagenesis import in_silico_mutagenesis

__all__ = ["in_silico_mutagenesis"]
