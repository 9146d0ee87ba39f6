"""The rules' arrays in TensorFlow: everything here makes operations of one function, compiled once."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.ops import get_gradient_function

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Convolution, Pull, Windows, windows_of_axes
from kipoi_tfbind.graph.deeplift.propagation import WITH_TARGETS, CompiledDeepLift, Walk
from kipoi_tfbind.graph.deeplift.rules import unsupported
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.tensorflow.convolution_gradient import ConvolutionGradient, is_grouped
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph

# Numbers of a table that are fetched at once: they are to stay in the cache.
_FETCHED = 2**20

_UNARY = {
    "abs": tf.abs,
    "exp": tf.exp,
    "expm1": tf.math.expm1,
    "log": tf.math.log,
    "log1p": tf.math.log1p,
    "sigmoid": tf.sigmoid,
    "sign": tf.sign,
    "sqrt": tf.sqrt,
    "tanh": tf.tanh,
}


class TensorFlowDeepLift(CompiledDeepLift):
    """The function that `deep_lift` runs: traced for any number of sequences and so on.

    It is traced once for one target after the other, and once more for several at a time when that is asked
    for.
    """

    def __init__(
        self, graph: TensorFlowGraph, wrt: int, shapes: Sequence[tuple[int, ...]], jit_compile: bool
    ) -> None:
        self._graph, self._wrt, self._shapes, self._jit_compile = graph, wrt, shapes, jit_compile
        self._dtypes = [graph.nodes[i].attributes["dtype"] for i in graph.inputs]
        self._one_by_one = self._compiled(at_once=False)
        self._at_once: Any = None

    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the base class."""
        values = [tf.constant(a, dtype) for a, dtype in zip(inputs, self._dtypes, strict=True)]
        chosen = np.arange(self.n_outputs) if columns is None else columns
        if not np.all((chosen >= 0) & (chosen < self.n_outputs)):
            raise InputError(
                f"targets: the model has {self.n_outputs} outputs, got the columns {chosen.tolist()}"
            )
        function = self._one_by_one
        if self.takes_targets and len(chosen) > 1:
            self._at_once = self._at_once or self._compiled(at_once=True)
            function = self._at_once
        result = function(
            *values, tf.constant(references, self._dtypes[self._wrt]), tf.constant(chosen, tf.int64)
        )
        multipliers, x, r = (value.numpy() for value in result)
        return np.moveaxis(multipliers, 0, -1), x, r

    def _compiled(self, at_once: bool) -> Any:
        shapes, dtypes = self._shapes, self._dtypes
        signature = [
            *(tf.TensorSpec((None, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)),
            tf.TensorSpec((None, None, *shapes[self._wrt]), dtypes[self._wrt]),
            tf.TensorSpec((None,), tf.int64),
        ]
        function = tf.function(
            partial(self._run, at_once),
            input_signature=signature,
            autograph=False,
            jit_compile=self._jit_compile,
        )
        return function.get_concrete_function()

    def _run(self, at_once: bool, *arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
        *inputs, references, columns = arguments
        n, n_references = tf.shape(references)[0], tf.shape(references)[1]
        rows = tf.reshape(references, (-1, *self._shapes[self._wrt]))
        walk = Walk(TensorFlowArrays(self._graph), inputs, rows, self._wrt, n, n_references)
        output, output_shape = walk.outputs()[1], walk.xp.sizes(walk.outputs()[1])
        x, r = (tf.reshape(y, (tf.shape(y)[0], -1)) for y in walk.outputs())
        self.n_outputs = output.shape[1:].num_elements()
        self.largest, self.takes_targets = walk.largest(), walk.takes_targets and not self._jit_compile

        def multipliers(columns: tf.Tensor) -> tf.Tensor:
            n_targets = tf.size(columns)
            seed = tf.repeat(tf.one_hot(columns, self.n_outputs, dtype=r.dtype), n * n_references, 0)
            seed = tf.reshape(seed, (n_targets * n * n_references, *output_shape[1:]))
            pulled = walk.back(seed, n_targets if at_once else None)
            return tf.reshape(pulled, tf.concat([[n_targets], tf.shape(references)], 0))

        n_at_once = 1
        if at_once:
            # Parts of the same size; the last is filled up with what comes again.
            n_at_once = tf.maximum(1, WITH_TARGETS // (n * n_references * self.largest))
            n_at_once = -(-tf.size(columns) // -(-tf.size(columns) // n_at_once))
        padded = tf.pad(columns, [(0, -tf.size(columns) % n_at_once)])
        stacked = tf.map_fn(
            multipliers,
            tf.reshape(padded, (-1, n_at_once)),
            parallel_iterations=1,
            fn_output_signature=rows.dtype,
        )
        stacked = tf.reshape(stacked, tf.concat([[-1], tf.shape(references)], 0))[: tf.size(columns)]
        r = tf.reshape(r, (n, n_references, -1))
        return stacked, tf.gather(x, columns, axis=1), tf.gather(r, columns, axis=2)


def _with_targets(x: Any, n_targets: Any) -> Any:
    """The shape of an array with so many times its rows."""
    shape = tf.shape(x)
    static = x.shape.as_list()
    return [
        n_targets * shape[0],
        *(shape[i] if static[i] is None else static[i] for i in range(1, len(static))),
    ]


def _gradients(
    node: Node, outputs: Sequence[Any], cotangents: Sequence[Any], wanted: Sequence[int]
) -> list[Any]:
    operation = outputs[0].op
    given = [tf.zeros_like(y) if c is None else c for c, y in zip(cotangents, outputs, strict=True)]
    try:
        gradients = get_gradient_function(operation)(operation, *given)
    except LookupError:
        raise unsupported(node, "TensorFlow has no gradient for it") from None
    gradients = gradients if isinstance(gradients, list | tuple) else [gradients]
    return [None if gradients[k] is None else tf.convert_to_tensor(gradients[k]) for k in wanted]


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
        if node.kind == "identity":
            # StopGradient and the like have no gradient, and are the identity all the same.
            def same(cotangents: Sequence[Any], n_targets: Any = None) -> list[Any]:
                return [cotangents[k] for k in wanted]

            return outputs, Pull(same, same)
        if node.kind == "convolution" and list(wanted) == [0] and node.operation == "Conv2D":
            return outputs, ConvolutionGradient(self, node, inputs).pull()

        def of_targets(cotangents: Sequence[Any], n_targets: Any) -> list[Any]:
            if node.operation == "MatMul" and list(wanted) == [0]:
                attrs = node.attributes["attrs"]
                if not attrs["transpose_a"].b:
                    return [tf.matmul(cotangents[0], inputs[1], transpose_b=not attrs["transpose_b"].b)]
            if node.kind == "reshape":
                return [tf.reshape(cotangents[0], _with_targets(inputs[0], n_targets))]
            # The gradient takes no more than the shapes from the inputs.
            wide = [
                tf.zeros(_with_targets(x, n_targets), x.dtype) if k in wanted else x
                for k, x in enumerate(inputs)
            ]
            for k in wanted:
                wide[k].set_shape([None, *inputs[k].shape[1:]])
            return _gradients(node, self.graph.run_node(node, wide), cotangents, wanted)

        return outputs, Pull(lambda cotangents: _gradients(node, outputs, cotangents, wanted), of_targets)

    def convolution(self, node: Node, inputs: Sequence[Any]) -> Convolution | None:
        x, kernel = inputs
        attrs = node.attributes["attrs"]
        known = kernel.shape.is_fully_defined() and x.shape.rank == 4 and x.shape[1:].is_fully_defined()
        if not known or attrs["data_format"].s != b"NHWC" or is_grouped(node, inputs):
            return None
        height, width, n_in, n_out = kernel.shape
        dilation = (list(attrs["dilations"].list.i) or [1, 1, 1, 1])[2]
        if height != 1 or x.shape[1] != 1 or list(attrs["strides"].list.i) != [1, 1, 1, 1]:
            return None
        padding = {b"VALID": 0, b"SAME": (width - 1) * dilation // 2}.get(attrs["padding"].s)
        if padding is None:
            above, below, padding, _ = list(attrs["explicit_paddings"].list.i)[2:6]
            if above or below:
                return None
        return Convolution(tf.reshape(kernel, (width, n_in, n_out)), padding, dilation, x.shape[2], True)

    def gathered_matmul(self, values: Any, index: Any, table: Any) -> Any:
        n, n_channels = index.shape
        n_parts = -(-n * n_channels * table.shape[1] // _FETCHED)
        if n_parts == 1:
            return tf.matmul(values, tf.gather(table, index))
        size = -(-n // n_parts)
        if n % size:
            values = tf.pad(values, [(0, -n % size), (0, 0), (0, 0)])
            index = tf.pad(index, [(0, -n % size), (0, 0)])
        n_targets = tf.shape(values)[1]
        products = tf.map_fn(
            lambda part: tf.matmul(part[0], tf.gather(table, part[1])),
            (
                tf.reshape(values, (-1, size, n_targets, n_channels)),
                tf.reshape(index, (-1, size, n_channels)),
            ),
            parallel_iterations=1,
            fn_output_signature=values.dtype,
        )
        return tf.reshape(products, (-1, n_targets, table.shape[1]))[:n]

    def each_row(self, function: Callable[[Any], Any], n: Any, like: Any) -> Any:
        return tf.map_fn(function, tf.range(n), parallel_iterations=1, fn_output_signature=like.dtype)

    def add_shifted(self, arrays: Sequence[Any]) -> Any:
        last = len(arrays) - 1
        return tf.add_n([self.pad(array, last - k, 0, k) for k, array in enumerate(arrays)])

    def matmul(self, x: Any, y: Any) -> Any:
        return tf.matmul(x, y)

    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.transpose(x, axes)

    def tile_rows(self, x: Any, n: Any) -> Any:
        return tf.tile(x, [n, *[1] * (x.shape.rank - 1)])

    def range(self, n: int, like: Any) -> Any:
        return tf.range(n, dtype=like.dtype)

    def integers(self, x: Any) -> Any:
        return tf.cast(x, tf.int32)

    def all(self, x: Any) -> Any:
        return tf.reduce_all(x)

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

    def row_size(self, x: Any) -> int:
        return (x.shape.rank and x.shape[1:].num_elements()) or 1

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

    def constant(self, array: Any, like: Any) -> Any:
        return tf.constant(array, like.dtype)

    def scalar(self, value: float, like: Any) -> Any:
        return tf.constant(value, like.dtype)

    def tiny(self, x: Any) -> float:
        return float(np.finfo(x.dtype.as_numpy_dtype).tiny)

    def large(self, x: Any) -> float:
        return float(np.finfo(x.dtype.as_numpy_dtype).max) / 8

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

    def pad(self, x: Any, n: int, axis: int, before: int = 0) -> Any:
        return tf.pad(x, [(before, n) if i == axis % x.shape.rank else (0, 0) for i in range(x.shape.rank)])

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
