"""Windows in TensorFlow: everything here makes operations of one function, compiled once."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.position_ops import Convolution
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph


class TensorFlowWindows(WindowArrays):
    """TensorFlow's tensors; places are int32."""

    def __init__(self, graph: TensorFlowGraph):
        self._graph = graph

    def constant(self, array: NDArray) -> Any:
        array = np.asarray(array)
        return tf.constant(array, tf.int32 if array.dtype == np.int64 and array.ndim == 1 else None)

    def floor_divide(self, places: Any, n: int) -> Any:
        return places // n

    def clip(self, x: Any, low: int, high: int) -> Any:
        return tf.clip_by_value(x, low, high)

    def span(self, places: Any, width: Any) -> Any:
        return places[:, tf.newaxis] + tf.range(width)

    def take(self, table: Any, index: Any) -> Any:
        return tf.gather(table, index)

    def place(self, x: Any, shift: Any, width: Any) -> Any:
        if isinstance(shift, int) and isinstance(width, int):
            x = x[:, max(-shift, 0) :]
            after = width - max(shift, 0) - x.shape[1]
            return self._padded(x[:, : x.shape[1] + after] if after < 0 else x, max(shift, 0), max(after, 0))
        own = tf.shape(x)[1]
        rest = x.shape[2:].as_list()
        rows = tf.reshape(self._padded(x, 0, 1), (-1, *rest))
        source = tf.range(width) - (shift if isinstance(shift, int) else shift[:, tf.newaxis])
        source = tf.where((source >= 0) & (source < own), source, own)
        return tf.gather(rows, tf.range(tf.shape(x)[0])[:, tf.newaxis] * (own + 1) + source)

    def _padded(self, x: Any, before: int, after: int) -> Any:
        if not (before or after):
            return x
        return tf.pad(x, [(0, 0), (before, after), *[(0, 0)] * (x.shape.rank - 2)])

    def where(self, mask: Any, x: Any, y: float) -> Any:
        mask = tf.reshape(mask, tf.concat([tf.shape(mask), [1] * (x.shape.rank - 2)], 0))
        return tf.where(mask, x, tf.cast(y, x.dtype))

    def kept(self, x: Any, mask: Any, y: float) -> Any:
        return tf.cond(tf.reduce_all(mask), lambda: x, lambda: self.where(mask, x, y))

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return x if x.shape[1:] == tuple(shape[1:]) else tf.reshape(x, shape)

    def flat(self, x: Any) -> Any:
        return tf.reshape(x, (-1, *x.shape[2:]))

    def transpose(self, x: Any, order: Sequence[int]) -> Any:
        return x if list(order) == sorted(order) else tf.transpose(x, order)

    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.reverse(x, axes)

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return tf.concat(arrays, axis)

    def sum(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.reduce_sum(x, axes)

    def max(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.reduce_max(x, axes)

    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.reduce_mean(x, axes)

    def maximum(self, x: Any, y: Any) -> Any:
        return tf.maximum(x, y)

    def spread(self, x: Any, convolution: Convolution) -> Any:
        n_taps, n_in, n_out = convolution.kernel.shape
        width, dilation = x.shape[1], convolution.dilation
        if dilation == 1 and n_taps > 1 and width is not None:
            # TensorFlow's transposed convolution is a product of matrices and one pass of additions.
            full = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.stack([tf.shape(x)[0], 1, width + n_taps - 1, n_out]),
                filter=tf.constant(convolution.taps.transpose(0, 2, 1)[np.newaxis]),
                out_backprop=x[:, tf.newaxis],
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
            return tf.reshape(full, (-1, width + n_taps - 1, n_out))
        product = tf.matmul(tf.reshape(x, (-1, n_in)), tf.constant(convolution.by_channel))
        own = tf.shape(x)[1] if width is None else width
        if n_taps == 1:
            return tf.reshape(product, (-1, own, n_out))
        parts = tf.reshape(product, (-1, own, n_taps, n_out))
        return tf.add_n(
            [self._padded(parts[:, :, t], t * dilation, (n_taps - 1 - t) * dilation) for t in range(n_taps)]
        )

    def stride_convolution(self, x: Any, convolution: Convolution) -> Any:
        kernel = tf.constant(convolution.kernel)
        return tf.nn.conv1d(x, kernel, convolution.stride, "VALID", dilations=convolution.dilation)

    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        n, n_channels, n_units = weight.shape
        # Edits beside each other need few of the weights.
        low = tf.clip_by_value(tf.reduce_min(positions), 0, n - 1)
        high = tf.clip_by_value(tf.reduce_max(positions) + 1, 1, n)
        placed = self.place(x, positions[:, 0] - low, high - low)
        placed = tf.reshape(placed, (tf.shape(x)[0], (high - low) * n_channels))
        return tf.matmul(placed, tf.reshape(tf.constant(weight)[low:high], (-1, n_units)))

    def to_layout(self, x: Any, axis: int) -> Any:
        if axis == 0:
            return tf.reshape(x, (-1, *x.shape[2:]))
        if axis == 1:
            return x
        rank = x.shape.rank
        if all(size == 1 for size in x.shape[2 : axis + 1]):
            return tf.reshape(x, (-1, *x.shape[2 : axis + 1], x.shape[1], *x.shape[axis + 1 :]))
        return tf.transpose(x, [0, *range(2, axis + 1), 1, *range(axis + 1, rank)])

    def from_layout(self, x: Any, axis: int, width: Any) -> Any:
        if axis == 0:
            return tf.reshape(x, (-1, width, *x.shape[1:]))
        if axis == 1:
            return x
        if all(size == 1 for size in x.shape[1:axis]):
            return tf.reshape(x, (-1, width, *x.shape[1:axis], *x.shape[axis + 1 :]))
        return tf.transpose(x, [0, axis, *range(1, axis), *range(axis + 1, x.shape.rank)])

    def run(self, node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        return self._graph.run_node(node, inputs)

    def shape_of(self, like: Any, shape: Sequence[int]) -> Any:
        return tf.concat([tf.shape(like), tf.constant(list(shape), tf.int32)], 0)
