"""Edits of a sequence, propagated through a graph by the regions that they affect.

Knows no framework: arrays are handled by `ArrayOps`. Imports the modules of `kipoi_tfbind.graph` above it;
`kipoi_tfbind.graph.tensorflow`, `kipoi_tfbind.graph.torch`, the backends, the models and the methods that
edit sequences import it.
"""
