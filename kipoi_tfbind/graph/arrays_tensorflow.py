"""The rules' arrays in TensorFlow: everything here makes operations of one function, compiled once."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.ops import get_gradient_function

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.arrays import Arrays, Pull, Windows, windows_of_axes
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.multipliers import Walk
from kipoi_tfbind.graph.rules import unsupported
from kipoi_tfbind.graph.tensorflow_convolution import grouped_input_gradient, is_grouped
from kipoi_tfbind.graph.tensorflow_graph import TensorFlowGraph

_UNARY = {
    "abs": tf.abs,
    "exp": tf.exp,
    "expm1": tf.math.expm1,
    "log": tf.math.log,
    "log1p": tf.math.log1p,
    "sigmoid": tf.sigmoid,
    "sqrt": tf.sqrt,
    "tanh": tf.tanh,
}


def compiled_deep_lift(
    graph: TensorFlowGraph, wrt: int, shapes: Sequence[tuple[int, ...]], jit_compile: bool
) -> Callable[..., tuple[NDArray, NDArray, NDArray]]:
    """The function that `deep_lift` runs: traced once, for any number of sequences and so on."""
    dtypes = [graph.nodes[i].attributes["dtype"] for i in graph.inputs]
    signature = [
        *(tf.TensorSpec((None, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)),
        tf.TensorSpec((None, None, *shapes[wrt]), dtypes[wrt]),
        tf.TensorSpec((None,), tf.int64),
    ]

    n_outputs: list[int | None] = []

    def run(*arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
        *inputs, references, columns = arguments
        n, n_references = tf.shape(references)[0], tf.shape(references)[1]
        rows = tf.reshape(references, (-1, *shapes[wrt]))
        walk = Walk(TensorFlowArrays(graph), inputs, rows, wrt, n, n_references)
        x, r = (tf.reshape(y, (tf.shape(y)[0], -1)) for y in walk.outputs())
        n_columns = tf.shape(r)[1]
        n_outputs.append(walk.outputs()[1].shape[1:].num_elements())
        columns = tf.cond(
            tf.size(columns) > 0, lambda: columns, lambda: tf.range(tf.cast(n_columns, tf.int64))
        )

        def multipliers(column: tf.Tensor) -> tf.Tensor:
            seed = tf.one_hot(tf.fill((tf.shape(r)[0],), column), n_columns, dtype=r.dtype)
            return walk.back(tf.reshape(seed, tf.shape(walk.outputs()[1])))

        stacked = tf.map_fn(multipliers, columns, parallel_iterations=1, fn_output_signature=rows.dtype)
        r = tf.reshape(r, (n, n_references, -1))
        shape = tf.concat([tf.shape(columns), tf.shape(references)], 0)
        return tf.reshape(stacked, shape), tf.gather(x, columns, axis=1), tf.gather(r, columns, axis=2)

    function = tf.function(run, input_signature=signature, autograph=False, jit_compile=jit_compile)
    concrete = function.get_concrete_function()

    def call(
        inputs: Sequence[NDArray], references: NDArray, columns: NDArray | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        values = [tf.constant(a, dtype) for a, dtype in zip(inputs, dtypes, strict=True)]
        chosen = np.empty(0, dtype=np.int64) if columns is None else columns
        n = n_outputs[-1]
        if n is not None and not np.all((chosen >= 0) & (chosen < n)):
            raise InputError(f"targets: the model has {n} outputs, got the columns {chosen.tolist()}")
        result = concrete(*values, tf.constant(references, dtypes[wrt]), tf.constant(chosen))
        multipliers, x, r = (value.numpy() for value in result)
        return np.moveaxis(multipliers, 0, -1), x, r

    return call


class TensorFlowArrays(Arrays):
    """Operations of the TensorFlow function that is being traced."""

    def __init__(self, graph: TensorFlowGraph):
        self.graph = graph

    graph: TensorFlowGraph

    def run(self, node: Node, inputs: Sequence[Any], batch_size: Any) -> list[Any]:
        return self.graph.run_node(node, inputs)

    def linearise(
        self, node: Node, inputs: Sequence[Any], wanted: Sequence[int], batch_size: Any
    ) -> tuple[list[Any], Pull]:
        outputs = self.graph.run_node(node, inputs)
        operation = outputs[0].op

        def pull(cotangents: Sequence[Any]) -> list[Any]:
            if node.kind == "identity":
                # StopGradient and the like have no gradient, and are the identity all the same.
                return [cotangents[k] for k in wanted]
            if list(wanted) == [0] and is_grouped(node, inputs):
                return [grouped_input_gradient(node, inputs[0], inputs[1], cotangents[0])]
            given = [tf.zeros_like(y) if c is None else c for c, y in zip(cotangents, outputs, strict=True)]
            try:
                gradients = get_gradient_function(operation)(operation, *given)
            except LookupError:
                raise unsupported(node, "TensorFlow has no gradient for it") from None
            gradients = gradients if isinstance(gradients, list | tuple) else [gradients]
            return [None if gradients[k] is None else tf.convert_to_tensor(gradients[k]) for k in wanted]

        return outputs, pull

    def batch_leads(self, node: Node, output: int, value: Any) -> bool:
        shape = value.shape
        return bool(shape.rank) and shape[0] is None and shape[1:].is_fully_defined()

    def keeps_rows(self, node: Node, inputs: Sequence[Any]) -> bool:
        axis: Any = 1
        match node.operation:
            case "ConcatV2" | "GatherV2":
                axis = tf.get_static_value(inputs[2 if node.operation == "GatherV2" else -1])
            case "Concat" | "Split":
                axis = tf.get_static_value(inputs[0])
            case "SplitV":
                axis = tf.get_static_value(inputs[2])
            case "Tile":
                multiples = tf.get_static_value(inputs[1])
                axis = 1 if multiples is not None and multiples[0] == 1 else 0
            case "Gather" | "GatherNd" | "ScatterNd":
                axis = 0
            case "ReverseV2":
                axis = tf.get_static_value(inputs[1])
        return axis is not None and not np.any(np.equal(axis, 0))

    def block_size(self, node: Node, inputs: Sequence[Any]) -> int | None:
        sizes = tf.get_static_value(inputs[1])
        return None if sizes is None else int(np.prod(sizes))

    def windows(self, node: Node, x: Any) -> Windows | None:
        if not x.shape.rank or not x.shape[1:].is_fully_defined():
            return None
        shape: list[int] = x.shape[1:].as_list()
        sizes = [1] * len(shape)
        if node.operation == "MaxPool":
            attrs = node.attributes["attrs"]
            sizes = list(attrs["ksize"].list.i)[1:]
            whole = attrs["padding"].s == b"VALID" or all(
                n % k == 0 for n, k in zip(shape, sizes, strict=True)
            )
            if list(attrs["strides"].list.i)[1:] != sizes or not whole or attrs["data_format"].s != b"NHWC":
                return None
        elif node.operation in ("Max", "Min"):
            axes = self._static(node, 1)
            if axes is None:
                return None
            for axis in np.atleast_1d(axes) % x.shape.rank:
                if axis == 0:
                    return None
                sizes[axis - 1] = shape[axis - 1]
        else:
            return None
        return windows_of_axes(shape, sizes)

    def _static(self, node: Node, i: int) -> Any:
        source = self.graph.nodes[node.inputs[i][0]]
        while source.kind == "identity":
            source = self.graph.nodes[source.inputs[0][0]]
        return source.attributes.get("value")

    def axis(self, node: Node) -> int:
        return -1

    def is_floating(self, x: Any) -> bool:
        return x.dtype.is_floating

    def epsilon(self, x: Any) -> float:
        return float(np.finfo(x.dtype.as_numpy_dtype).eps)

    def shape(self, x: Any) -> Any:
        return tf.shape(x)

    def sizes(self, x: Any) -> list[Any]:
        known, dynamic = x.shape.as_list(), tf.shape(x)
        return [dynamic[i] if size is None else size for i, size in enumerate(known)]

    def same_shape(self, x: Any, y: Any) -> bool:
        known = x.shape.rank is not None and x.shape.rank == y.shape.rank
        return known and x.shape[1:].is_fully_defined() and x.shape.as_list() == y.shape.as_list()

    def reshape(self, x: Any, shape: Any) -> Any:
        return tf.reshape(x, shape)

    def repeat(self, x: Any, n: Any, axis: int) -> Any:
        return tf.repeat(x, n, axis)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return tf.where(condition, x, y)

    def unary(self, name: str, x: Any) -> Any:
        return _UNARY[name](x)

    def scalar(self, value: float, like: Any) -> Any:
        return tf.constant(value, like.dtype)

    def tiny(self, x: Any) -> float:
        return float(np.finfo(x.dtype.as_numpy_dtype).tiny)

    def clip(self, x: Any, low: float, high: float) -> Any:
        return tf.clip_by_value(x, low, high)

    def largest(self, x: Any, axis: int) -> Any:
        return tf.reduce_max(tf.abs(x), axis=list(range(axis, x.shape.rank)), keepdims=True)

    def count(self, x: Any, axis: int, like: Any) -> Any:
        return tf.reduce_sum(tf.cast(x, like.dtype), axis, keepdims=True)

    def maximum(self, x: Any, y: Any) -> Any:
        return tf.maximum(x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return tf.minimum(x, y)

    def sum(self, x: Any, axis: Any) -> Any:
        return tf.reduce_sum(x, axis, keepdims=True)

    def max(self, x: Any, axis: int) -> Any:
        return tf.reduce_max(x, axis, keepdims=True)

    def pad(self, x: Any, n: int, axis: int) -> Any:
        return tf.pad(x, [(0, n if i == axis % x.shape.rank else 0) for i in range(x.shape.rank)])

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return tf.concat(arrays, axis)

    def split(self, x: Any, axis: int) -> tuple[Any, Any]:
        first, second = tf.split(x, 2, axis)
        return first, second

    def ones_like(self, x: Any) -> Any:
        return tf.ones_like(x)

    def zeros_like(self, x: Any) -> Any:
        return tf.zeros_like(x)

    def sum_to_shape(self, x: Any, like: Any) -> Any:
        if (
            x.shape.is_compatible_with(like.shape)
            and x.shape[1:].is_fully_defined()
            and x.shape == like.shape
        ):
            return x
        axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(like)).r1
        return tf.reshape(tf.reduce_sum(x, axes), tf.shape(like))
