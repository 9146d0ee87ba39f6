"""DeepLIFT on a graph: its rules, and the propagation of multipliers from the outputs to the inputs.

Knows no framework: arrays are handled by the operations that a framework's folder gives. Imports
`kipoi_tfbind.graph.graph`; only `kipoi_tfbind.graph.tensorflow`, `kipoi_tfbind.graph.torch` and the
backends import it.
"""
