"""A model as a graph of operations, and what can be computed exactly on it.

Importing this package imports neither TensorFlow nor PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kipoi_tfbind.graph.graph import Graph, Node
    from kipoi_tfbind.graph.tensorflow.deep_lift import TensorFlowDeepLift
    from kipoi_tfbind.graph.tensorflow.trace import trace_tensorflow
    from kipoi_tfbind.graph.torch.deep_lift import TorchDeepLift
    from kipoi_tfbind.graph.torch.trace import trace_torch

__all__ = ["Graph", "Node", "TensorFlowDeepLift", "TorchDeepLift", "trace_tensorflow", "trace_torch"]

_MODULE_OF = {
    "Graph": "graph",
    "Node": "graph",
    "TensorFlowDeepLift": "tensorflow.deep_lift",
    "TorchDeepLift": "torch.deep_lift",
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
