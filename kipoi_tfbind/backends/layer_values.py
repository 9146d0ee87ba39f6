"""Values inside a traced model, of any node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Graph, Ref


class LayerValues:
    """The graph of a backend's outputs, side by side, with its inner values at hand.

    Parameters
    ----------
    backend
        A model in TensorFlow or PyTorch that can be traced.
    inputs
        Arrays like those that it will be given.

    Raises
    ------
    UnsupportedModelError
        It cannot be traced.
    """

    def __init__(self, backend: Any, inputs: Sequence[NDArray]) -> None:
        framework = getattr(backend, "framework", "")
        if "multipliers" not in backend.capabilities or framework not in ("tensorflow", "keras", "torch"):
            raise UnsupportedModelError("model: cannot be traced, so that its layers are not known")
        self._backend = backend
        self.is_torch = framework == "torch"
        self._functions: dict[Ref, Any] = {}
        if self.is_torch:
            self.graph: Graph = backend._graph(backend._tensors(inputs))
        else:
            self._specs = backend._of_shapes([array.shape[1:] for array in inputs])
            self.graph = backend._graph(self._specs)

    def values(self, inputs: Sequence[NDArray], ref: Ref) -> NDArray:
        """Values of a node's output, the batch first."""
        if self.is_torch:
            import torch

            with torch.no_grad():
                tensors = self._backend._tensors(inputs)
                found: NDArray = self._propagate(tensors, len(inputs[0]), ref).cpu().numpy()
                return found
        import tensorflow as tf

        if ref not in self._functions:

            def run(tensors: Any) -> Any:
                return self._propagate(tensors, tf.shape(tensors[0])[0], ref)

            self._functions[ref] = tf.function(run, input_signature=[self._specs], autograph=False)
        return np.asarray(self._functions[ref](self._backend.tensors(inputs)).numpy())

    def tensors(self, inputs: Sequence[NDArray]) -> list[Any]:
        """The inputs as tensors of the framework."""
        found: list[Any] = (self._backend._tensors if self.is_torch else self._backend.tensors)(inputs)
        return found

    def _propagate(self, tensors: Sequence[Any], batch_size: Any, wanted: Ref) -> Any:
        """Value of one output of a node, from the inputs on."""
        graph = self.graph
        values: dict[Ref, Any] = {(i, 0): t for i, t in zip(graph.inputs, tensors, strict=True)}
        for i in ancestors(graph, wanted):
            if i not in graph.inputs:
                node = graph.nodes[i]
                outputs = graph.run_node(node, [values[ref] for ref in node.inputs], batch_size)
                values |= {(i, j): output for j, output in enumerate(outputs)}
        return values[wanted]


def ancestors(graph: Graph, ref: Ref) -> list[int]:
    """The nodes that a value is computed from, and its own, in order."""
    found: set[int] = set()
    pending = [ref[0]]
    while pending:
        i = pending.pop()
        if i not in found:
            found.add(i)
            pending += [source for source, _ in graph.nodes[i].inputs]
    return sorted(found)
