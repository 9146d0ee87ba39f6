"""A model as a graph of operations, and what can be computed exactly on it.

Importing this package imports neither TensorFlow nor PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kipoi_tfbind.graph.deep_lift import DeepLiftResult, deep_lift
    from kipoi_tfbind.graph.graph import Graph, Node
    from kipoi_tfbind.graph.trace_tensorflow import trace_tensorflow
    from kipoi_tfbind.graph.trace_torch import trace_torch

__all__ = ["DeepLiftResult", "Graph", "Node", "deep_lift", "trace_tensorflow", "trace_torch"]

_MODULE_OF = {
    "DeepLiftResult": "deep_lift",
    "Graph": "graph",
    "Node": "graph",
    "deep_lift": "deep_lift",
    "trace_tensorflow": "trace_tensorflow",
    "trace_torch": "trace_torch",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    # Over the submodule of the same name, which the import has just put there.
    globals()[name] = value
    return value
