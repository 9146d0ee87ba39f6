"""A model as a graph of operations, and what can be computed exactly on it.

Importing this package imports neither TensorFlow nor PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kipoi_tfbind.graph.deeplift.propagation import DeepLiftResult, deep_lift
    from kipoi_tfbind.graph.graph import Graph, Node
    from kipoi_tfbind.graph.tensorflow.trace import trace_tensorflow
    from kipoi_tfbind.graph.torch.trace import trace_torch

__all__ = ["DeepLiftResult", "Graph", "Node", "deep_lift", "trace_tensorflow", "trace_torch"]

_MODULE_OF = {
    "DeepLiftResult": "deeplift.propagation",
    "Graph": "graph",
    "Node": "graph",
    "deep_lift": "deeplift.propagation",
    "trace_tensorflow": "tensorflow.trace",
    "trace_torch": "torch.trace",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
