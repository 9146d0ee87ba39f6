"""Edits of a sequence, propagated through a graph by what they can affect.

Knows no framework: arrays are handled by the operations that a framework's folder gives. Imports
`kipoi_tfbind.graph.graph`; only `kipoi_tfbind.graph.tensorflow`, `kipoi_tfbind.graph.torch`, the models and
the methods that edit sequences import it.
"""
