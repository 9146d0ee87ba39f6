"""Motifs: read, parsed, drawn as sequences, and found in sequences.

Imports `kipoi_tfbind.dna` and `kipoi_tfbind.genome`; methods and training import it.
"""
