"""Places and files of a genome: FASTA, intervals, VCF, and windows cut from them.

What is read here is handed on as plain arrays and records. Imports `kipoi_tfbind.dna` and the errors;
dataloaders, sequences, motifs and exports import it.
"""
