"""PyTorch's half of the graph: tracing a model, running its nodes, array operations.

The only place, with the backend, where PyTorch is imported. Imports the neutral folders beside it; the
backends import it.
"""
