"""TensorFlow's arrays: everything here makes operations of one function, compiled once."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.position_kernel import PositionKernel

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


class TensorFlowOps(ArrayOps):
    """Tensors of the TensorFlow function that is being traced; indices are int32."""

    def constant(self, array: NDArray, like: Any = None) -> Any:
        return tf.constant(array, None if like is None else like.dtype)

    def indices(self, x: Any) -> Any:
        return tf.cast(x, tf.int32)

    def arange(self, n: Any) -> Any:
        return tf.range(n)

    def vector(self, sizes: Sequence[Any]) -> Any:
        return tf.stack(sizes)

    def cast(self, x: Any, like: Any) -> Any:
        return tf.cast(x, like.dtype)

    def is_floating(self, x: Any) -> bool:
        return bool(x.dtype.is_floating or x.dtype.is_complex)

    def finfo(self, x: Any) -> np.finfo[Any]:
        return np.finfo(x.dtype.as_numpy_dtype)

    def known_shape(self, x: Any) -> tuple[int | None, ...] | None:
        return None if x.shape.rank is None else tuple(x.shape.as_list())

    def shape(self, x: Any) -> Any:
        dynamic = tf.shape(x)
        if x.shape.rank is None:
            return dynamic
        return [dynamic[i] if size is None else size for i, size in enumerate(x.shape.as_list())]

    def reshape(self, x: Any, shape: Any) -> Any:
        if isinstance(shape, list | tuple) and x.shape.rank == len(shape) and x.shape[1:].is_fully_defined():
            wanted = [size if isinstance(size, int) else None for size in shape]
            if wanted[0] in (None, -1) and wanted[1:] == x.shape[1:].as_list():
                return x
        return tf.reshape(x, shape)

    def reshape_like(self, x: Any, like: Any) -> Any:
        known = self.known_shape(like)
        if known is None or known.count(None) > 1:
            return tf.reshape(x, tf.shape(like))
        return self.reshape(x, [-1 if n is None else n for n in known])

    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        axes = list(axes)
        if axes == sorted(axes):
            return x
        sizes = x.shape.as_list()
        moving = [axis for axis in axes if sizes[axis] != 1]
        if moving == sorted(moving) and None not in sizes[1:] and axes[0] == 0:
            return tf.reshape(x, (-1, *(sizes[axis] for axis in axes[1:])))
        return tf.transpose(x, axes)

    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        return tf.reverse(x, axes)

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return tf.concat(arrays, axis)

    def pad(self, x: Any, before: int, after: int, axis: int) -> Any:
        if isinstance(before, int) and isinstance(after, int) and before == after == 0:
            return x
        widths = [(0, 0)] * x.shape.rank
        widths[axis] = (before, after)
        return tf.pad(x, widths)

    def repeat(self, x: Any, n: Any, axis: int) -> Any:
        return tf.repeat(x, n, axis)

    def tile_rows(self, x: Any, n: Any) -> Any:
        return tf.tile(x, [n, *[1] * (x.shape.rank - 1)])

    def unary(self, name: str, x: Any) -> Any:
        return _UNARY[name](x)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        if not tf.is_tensor(x):
            return tf.where(condition, tf.constant(x, y.dtype), y)
        return tf.where(condition, x, y if tf.is_tensor(y) else tf.constant(y, x.dtype))

    def clip(self, x: Any, low: float, high: float) -> Any:
        return tf.clip_by_value(x, low, high)

    def maximum(self, x: Any, y: Any) -> Any:
        return tf.maximum(x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return tf.minimum(x, y)

    def zeros_like(self, x: Any) -> Any:
        return tf.zeros_like(x)

    def sum(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        return tf.reduce_sum(x, axes, keepdims=keep)

    def max(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        return tf.reduce_max(x, axes, keepdims=keep)

    def all(self, x: Any) -> Any:
        return tf.reduce_all(x)

    def sum_to_shape(self, x: Any, like: Any) -> Any:
        if self.same_shape(x, like):
            return x
        axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(x), s1=tf.shape(like)).r1
        return tf.reshape(tf.reduce_sum(x, axes), tf.shape(like))

    def add_shifted(self, arrays: Sequence[Any], axis: int, step: int = 1) -> Any:
        last = len(arrays) - 1
        return tf.add_n(
            [self.pad(array, k * step, (last - k) * step, axis) for k, array in enumerate(arrays)]
        )

    def take(self, table: Any, index: Any) -> Any:
        return tf.gather(table, index)

    def place(self, x: Any, shift: Any, width: Any) -> Any:
        if isinstance(shift, int) and isinstance(width, int):
            x = x[:, max(-shift, 0) :]
            after = width - max(shift, 0) - x.shape[1]
            x = x[:, : x.shape[1] + after] if after < 0 else x
            return self.pad(x, max(shift, 0), max(after, 0), 1)
        own = tf.shape(x)[1]
        rows = tf.reshape(self.pad(x, 0, 1, 1), (-1, *x.shape[2:].as_list()))
        source = tf.range(width) - (shift if isinstance(shift, int) else shift[:, tf.newaxis])
        source = tf.where((source >= 0) & (source < own), source, own)
        return tf.gather(rows, tf.range(tf.shape(x)[0])[:, tf.newaxis] * (own + 1) + source)

    def matmul(self, x: Any, y: Any) -> Any:
        return tf.matmul(x, y)

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

    def spread(self, x: Any, kernel: PositionKernel) -> Any:
        n_taps, n_in, n_out = kernel.kernel.shape
        width = x.shape[1]
        if kernel.dilation == 1 and n_taps > 1 and width is not None:
            # TensorFlow's transposed convolution is a product of matrices and one pass of additions.
            full = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.stack([tf.shape(x)[0], 1, width + n_taps - 1, n_out]),
                filter=tf.constant(kernel.taps.transpose(0, 2, 1)[np.newaxis]),
                out_backprop=x[:, tf.newaxis],
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
            return tf.reshape(full, (-1, width + n_taps - 1, n_out))
        product = tf.matmul(tf.reshape(x, (-1, n_in)), tf.constant(kernel.by_channel))
        own = tf.shape(x)[1] if width is None else width
        if n_taps == 1:
            return tf.reshape(product, (-1, own, n_out))
        parts = tf.reshape(product, (-1, own, n_taps, n_out))
        return self.add_shifted([parts[:, :, t] for t in range(n_taps)], 1, kernel.dilation)

    def strided_convolution(self, x: Any, kernel: PositionKernel) -> Any:
        return tf.nn.conv1d(x, tf.constant(kernel.kernel), kernel.stride, "VALID", dilations=kernel.dilation)

    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        n, n_channels, n_units = weight.shape
        # Edits beside each other need few of the weights.
        low = tf.clip_by_value(tf.reduce_min(positions), 0, n - 1)
        high = tf.clip_by_value(tf.reduce_max(positions) + 1, 1, n)
        placed = self.place(x, positions[:, 0] - low, high - low)
        placed = tf.reshape(placed, (tf.shape(x)[0], (high - low) * n_channels))
        return tf.matmul(placed, tf.reshape(tf.constant(weight)[low:high], (-1, n_units)))

    def cond(self, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return tf.cond(condition, then, otherwise)

    def scan(
        self,
        step: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]],
        arrays: Sequence[Any],
        states: Sequence[Any],
        *,
        n: int,
        reverse: bool = False,
    ) -> tuple[list[Any], list[Any]]:
        # The first step tells what is given.
        first = n - 1 if reverse else 0
        given, after = step([array[first] for array in arrays], states)
        after = [_like(new, old) for new, old in zip(after, states, strict=True)]
        lists = [
            tf.TensorArray(x.dtype, n, element_shape=x.shape, clear_after_read=False).write(first, x)
            for x in given
        ]

        def body(i: Any, lists: Any, states: Any) -> Any:
            at = n - 1 - i if reverse else i
            some, new = step([array[at] for array in arrays], states)
            lists = [each.write(at, x) for each, x in zip(lists, some, strict=True)]
            return i + 1, lists, [_like(x, old) for x, old in zip(new, states, strict=True)]

        _, lists, after = tf.while_loop(
            lambda i, *_: i < n, body, (tf.constant(1), lists, after), parallel_iterations=1
        )
        return [each.stack() for each in lists], list(after)

    def each_row(self, function: Callable[[Any], Any], n: Any, like: Any) -> Any:
        return tf.map_fn(function, tf.range(n), parallel_iterations=1, fn_output_signature=like.dtype)


def _like(new: Any, old: Any) -> Any:
    """A state, of the same shape as the one before."""
    return tf.ensure_shape(new, old.shape)
