"""The shape-only pass: regions of no edits, whose shapes tell what a propagation costs before it runs."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.position_kernel import PositionKernel


def run_shapes(node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """Outputs of a node for no edits; a size that is not known is that of the batch."""
    return [np.empty((0, *(max(size, 0) for size in shape)), np.float32) for shape in shapes]


class ShapeOnlyOps(ArrayOps):
    """NumPy's arrays whose first axis has the length 0."""

    def constant(self, array: NDArray, like: Any = None) -> Any:
        return np.asarray(array)

    def indices(self, x: Any) -> Any:
        return np.asarray(x, np.int64)

    def arange(self, n: Any) -> Any:
        return np.arange(n)

    def vector(self, sizes: Sequence[Any]) -> Any:
        return np.array(sizes)

    def known_shape(self, x: Any) -> tuple[int | None, ...] | None:
        return x.shape

    def shape(self, x: Any) -> Any:
        return x.shape

    def reshape(self, x: Any, shape: Any) -> Any:
        return np.empty((0, *shape[1:]), x.dtype)

    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        return x.transpose(axes)

    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        return x

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return np.concatenate(arrays, axis)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(condition, x, y)

    def clip(self, x: Any, low: float, high: float) -> Any:
        return np.clip(x, low, high)

    def maximum(self, x: Any, y: Any) -> Any:
        return np.maximum(x, y)

    def sum(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        return x.sum(axis=axes if isinstance(axes, int) else tuple(axes), keepdims=keep)

    def max(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        return self.sum(x, axes, keep=keep)

    def all(self, x: Any) -> Any:
        return True

    def take(self, table: Any, index: Any) -> Any:
        return np.empty((*index.shape, *table.shape[1:]), table.dtype)

    def place(self, x: Any, shift: Any, width: Any) -> Any:
        return np.empty((len(x), width, *x.shape[2:]), x.dtype)

    def spread(self, x: Any, kernel: PositionKernel) -> Any:
        return np.empty((0, x.shape[1] + kernel.span - 1, kernel.kernel.shape[2]), x.dtype)

    def strided_convolution(self, x: Any, kernel: PositionKernel) -> Any:
        width = (x.shape[1] - kernel.span) // kernel.stride + 1
        return np.empty((0, width, kernel.kernel.shape[2]), x.dtype)

    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        return np.empty((0, weight.shape[2]), x.dtype)

    def cond(self, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return then() if condition else otherwise()
