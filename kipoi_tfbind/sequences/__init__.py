"""Sequences as labelled Datasets: from FASTA, intervals and dataloaders; references and backgrounds.

Imports `kipoi_tfbind.dna`, `kipoi_tfbind.genome` and models; methods and commands import it.
"""
