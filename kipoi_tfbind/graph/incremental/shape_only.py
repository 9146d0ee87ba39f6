"""Windows of no edits at all: their shapes, which tell what a walk costs before any framework runs."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.position_ops import Convolution


class WindowCounts(WindowArrays):
    """NumPy's arrays whose first axis has the length 0."""

    def constant(self, array: NDArray) -> Any:
        return np.asarray(array)

    def floor_divide(self, places: Any, n: int) -> Any:
        return places // n

    def clip(self, x: Any, low: int, high: int) -> Any:
        return np.clip(x, low, high)

    def span(self, places: Any, width: Any) -> Any:
        return places[:, np.newaxis] + np.arange(width)

    def take(self, table: Any, index: Any) -> Any:
        return np.empty((*index.shape, *table.shape[1:]), table.dtype)

    def place(self, x: Any, shift: Any, width: Any) -> Any:
        return np.empty((len(x), width, *x.shape[2:]), x.dtype)

    def where(self, mask: Any, x: Any, y: float) -> Any:
        return x

    def kept(self, x: Any, mask: Any, y: float) -> Any:
        return x

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return np.empty((0, *shape[1:]), x.dtype)

    def flat(self, x: Any) -> Any:
        return x.reshape(-1, *x.shape[2:])

    def transpose(self, x: Any, order: Sequence[int]) -> Any:
        return x.transpose(order)

    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        return x

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return np.concatenate(arrays, axis)

    def sum(self, x: Any, axes: Sequence[int]) -> Any:
        return x.sum(axis=tuple(axes))

    def max(self, x: Any, axes: Sequence[int]) -> Any:
        return x.sum(axis=tuple(axes))

    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        return x.sum(axis=tuple(axes))

    def maximum(self, x: Any, y: Any) -> Any:
        return np.maximum(x, y)

    def spread(self, x: Any, convolution: Convolution) -> Any:
        return np.empty((0, x.shape[1] + convolution.span - 1, convolution.kernel.shape[2]), x.dtype)

    def stride_convolution(self, x: Any, convolution: Convolution) -> Any:
        width = (x.shape[1] - convolution.span) // convolution.stride + 1
        return np.empty((0, width, convolution.kernel.shape[2]), x.dtype)

    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        return np.empty((0, weight.shape[2]), x.dtype)

    def to_layout(self, x: Any, axis: int) -> Any:
        return np.empty((0, *x.shape[2:]), x.dtype) if axis == 0 else np.moveaxis(x, 1, axis)

    def from_layout(self, x: Any, axis: int, width: Any) -> Any:
        return np.empty((0, width, *x.shape[1:]), x.dtype) if axis == 0 else np.moveaxis(x, axis, 1)

    def run(self, node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        # A size that is not known is that of the batch.
        return [np.empty((0, *(max(size, 0) for size in shape)), np.float32) for shape in shapes]

    def shape_of(self, like: Any, shape: Sequence[int]) -> Any:
        return np.array([0, *shape])
