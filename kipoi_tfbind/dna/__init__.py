"""DNA as arrays: one-hot codes, shuffles and random sequences.

Arrays in, arrays out; no files, no framework, no labels. Imports nothing of the package but its errors, and
anything above may import it.
"""
