"""A traced model from one of its inner values on: gradients and DeepLIFT multipliers of that value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend
from kipoi_tfbind.graph.from_value import from_value
from kipoi_tfbind.graph.graph import Graph, Ref


class LayerHead:
    """The part of a model behind one of its inner values.

    Parameters
    ----------
    backend, graph
        The model in TensorFlow or PyTorch, and its graph.
    ref
        The value.
    shape
        Its shape, without the batch.
    """

    def __init__(self, backend: Backend, graph: Graph, ref: Ref, shape: Sequence[int]) -> None:
        self._backend: Any = backend
        self._is_torch = backend.framework == "torch"
        self._graph: Any = from_value(graph, ref, shape)
        self._function: Any = None
        self._deep_lift: Any = None

    def gradient(self, value: NDArray, inputs: Sequence[NDArray], columns: Sequence[int]) -> NDArray:
        """Gradient (sequence, *shape, column) of some outputs, where the inner value is `value`.

        What does not pass through the value stays as it is.
        """
        if self._function is None:
            self._function = self._graph.as_function()
        run = self._torch_gradient if self._is_torch else self._tensorflow_gradient
        return np.moveaxis(run(value, inputs, columns), 0, -1)

    def multipliers(
        self, value: NDArray, references: NDArray, inputs: Sequence[NDArray], columns: Sequence[int]
    ) -> tuple[NDArray, NDArray]:
        """DeepLIFT multipliers (sequence, reference, *shape, column) of the value, against references.

        With them the outputs at the references (sequence, reference, column).
        """
        if self._deep_lift is None:
            if self._is_torch:
                from kipoi_tfbind.graph.torch.deep_lift import TorchDeepLift as DeepLift
            else:
                from kipoi_tfbind.graph.tensorflow.deep_lift import (  # type: ignore[assignment]
                    TensorFlowDeepLift as DeepLift,
                )
            self._deep_lift = DeepLift(self._graph)
        found = self._deep_lift([value, *inputs], references, columns)
        return found.multipliers, found.reference_output

    def _torch_gradient(self, value: NDArray, inputs: Sequence[NDArray], columns: Sequence[int]) -> NDArray:
        import torch

        tensors = self._backend.tensors(inputs)
        own = torch.as_tensor(value).to(tensors[0]).requires_grad_(True)
        with torch.enable_grad():
            (output,) = self._function([own, *tensors])
            found = [
                torch.autograd.grad(output[:, column].sum(), own, retain_graph=True, materialize_grads=True)[
                    0
                ]
                for column in columns
            ]
        return torch.stack(found).cpu().numpy()

    def _tensorflow_gradient(
        self, value: NDArray, inputs: Sequence[NDArray], columns: Sequence[int]
    ) -> NDArray:
        import tensorflow as tf

        tensors = self._backend.tensors(inputs)
        own = tf.convert_to_tensor(value)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(own)
            (output,) = self._function([own, *tensors])
            chosen = [output[:, column] for column in columns]
        zero = tf.UnconnectedGradients.ZERO
        return np.stack([tape.gradient(y, own, unconnected_gradients=zero).numpy() for y in chosen])


def head_of(backend: Backend, graph: Graph, ref: Ref, shape: Sequence[int]) -> LayerHead:
    """A `LayerHead`, made and compiled once for each value of a graph that its backend keeps."""
    any_backend: Any = backend
    kept: dict[Any, LayerHead] = any_backend.heads
    key = id(graph), ref
    if key not in kept:
        kept[key] = LayerHead(backend, graph, ref, shape)
    return kept[key]


def values_between(
    backend: Backend, graph: Graph, sources: Sequence[tuple[Ref, Sequence[int]]], wanted: Sequence[Ref]
) -> Callable[[Sequence[NDArray], Sequence[NDArray]], list[NDArray]]:
    """Some values of a graph as a function of others, and of its inputs.

    Parameters
    ----------
    backend, graph
        The model in TensorFlow or PyTorch, and its graph.
    sources
        Values that are given, with their shapes without the batch; of floating-point numbers.
    wanted
        The values.

    Returns
    -------
    function
        From arrays of the sources, and of the graph's inputs with as many rows, to the values.
    """
    any_backend: Any = backend
    for done, ((node, i), shape) in enumerate(sources):
        graph = from_value(graph, (node + done, i), shape)
    any_graph: Any = graph
    refs = [(node + len(sources), i) for node, i in wanted]

    def in_torch(values: Sequence[NDArray], inputs: Sequence[NDArray]) -> list[NDArray]:
        import torch

        with torch.no_grad():
            tensors = any_backend.tensors(inputs)
            given = [torch.as_tensor(value).to(_floating(tensors)) for value in reversed(values)]
            every = graph.run([*given, *tensors], refs, len(inputs[0]))
            return [every[ref].cpu().numpy() for ref in refs]

    if backend.framework == "torch":
        return in_torch
    import tensorflow as tf

    def traced(*tensors: Any) -> list[Any]:
        every = graph.run(tensors, refs, tf.shape(tensors[-1])[0])
        return [every[ref] for ref in refs]

    signature = any_graph.signature()
    compiled = tf.function(traced, input_signature=signature, autograph=False)

    def in_tensorflow(values: Sequence[NDArray], inputs: Sequence[NDArray]) -> list[NDArray]:
        tensors = any_backend.tensors(inputs)
        given = [tf.constant(value, _floating(tensors).dtype) for value in reversed(values)]
        return [found.numpy() for found in compiled(*given, *tensors)]

    return in_tensorflow


def _floating(tensors: Sequence[Any]) -> Any:
    """The first of the tensors that holds real numbers."""
    names = ("is_floating_point", "is_floating")  # PyTorch's and TensorFlow's
    return next(t for t in tensors if any(getattr(t.dtype, name, False) for name in names))
