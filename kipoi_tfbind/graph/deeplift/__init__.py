"""DeepLIFT on a graph: its rules, and the propagation of multipliers from the outputs to the inputs.

Knows no framework: arrays are handled by `ArrayOps`. Imports the modules of `kipoi_tfbind.graph` above it;
only `kipoi_tfbind.graph.tensorflow` and `kipoi_tfbind.graph.torch` import it.
"""
