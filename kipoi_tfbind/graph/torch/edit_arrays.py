"""Windows in PyTorch."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.position_ops import Convolution
from kipoi_tfbind.graph.torch.graph import TorchGraph

# What takes tensors in any order of their axes, and keeps it.
_STRIDED = frozenset({"add", "cast", "elementwise", "elementwise_pair", "normalise", "product", "ratio"})


class TorchWindows(WindowArrays):
    """PyTorch's tensors; run under ``torch.no_grad``."""

    def __init__(self, graph: TorchGraph, device: torch.device, n_edits: int):
        self._graph, self._device, self._n_edits = graph, device, n_edits
        self._constants: dict[int, tuple[NDArray, torch.Tensor]] = {}

    def constant(self, array: NDArray) -> Any:
        # By the array itself, which is kept so that no other gets its id.
        if id(array) not in self._constants:
            tensor = torch.as_tensor(np.ascontiguousarray(array), device=self._device)
            if array.size <= 25:
                return tensor  # Made anew at every call.
            self._constants[id(array)] = array, tensor
        return self._constants[id(array)][1]

    def floor_divide(self, places: Any, n: int) -> Any:
        return (
            torch.div(places, n, rounding_mode="floor") if isinstance(places, torch.Tensor) else places // n
        )

    def clip(self, x: Any, low: int, high: int) -> Any:
        return x.clamp(low, high)

    def span(self, places: Any, width: Any) -> Any:
        return places[:, None] + torch.arange(width, device=self._device)

    def take(self, table: Any, index: Any) -> Any:
        return table.index_select(0, index.reshape(-1)).reshape(*index.shape, *table.shape[1:])

    def place(self, x: Any, shift: Any, width: Any) -> Any:
        own = x.shape[1]
        found = x.new_zeros((len(x), width, *x.shape[2:]))
        if isinstance(shift, int):
            first, last = max(shift, 0), min(shift + own, width)
            if last > first:
                found[:, first:last] = x[:, first - shift : last - shift]
            return found
        low, high = int(shift.min()), int(shift.max())
        if low == high:
            return self.place(x, low, width)
        padded = torch.cat([x, x.new_zeros((len(x), 1, *x.shape[2:]))], 1)
        source = torch.arange(width, device=self._device) - shift[:, None]
        source = torch.where((source >= 0) & (source < own), source, own)
        rows = torch.arange(len(x), device=self._device)[:, None] * (own + 1) + source
        return self.take(padded.reshape(-1, *x.shape[2:]), rows)

    def where(self, mask: Any, x: Any, y: float) -> Any:
        return torch.where(mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), x, x.new_tensor(y))

    def kept(self, x: Any, mask: Any, y: float) -> Any:
        return x if bool(mask.all()) else self.where(mask, x, y)

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return x.reshape(tuple(shape))

    def flat(self, x: Any) -> Any:
        return x.reshape(-1, *x.shape[2:])

    def transpose(self, x: Any, order: Sequence[int]) -> Any:
        return x.permute(tuple(order))

    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        return x.flip(tuple(axes))

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return torch.cat(list(arrays), axis)

    def sum(self, x: Any, axes: Sequence[int]) -> Any:
        return x.sum(tuple(axes))

    def max(self, x: Any, axes: Sequence[int]) -> Any:
        return x.amax(tuple(axes))

    def mean(self, x: Any, axes: Sequence[int]) -> Any:
        return x.mean(tuple(axes))

    def maximum(self, x: Any, y: Any) -> Any:
        return torch.maximum(x, y)

    def spread(self, x: Any, convolution: Convolution) -> Any:
        n_taps, n_in, n_out = convolution.kernel.shape
        width, dilation = x.shape[1], convolution.dilation
        product = x.reshape(-1, n_in) @ self.constant(convolution.by_channel)
        if n_taps == 1:
            return product.reshape(-1, width, n_out)
        parts = product.reshape(-1, width, n_taps, n_out)
        found = x.new_zeros((len(parts), width + convolution.span - 1, n_out))
        for t in range(n_taps):
            found[:, t * dilation : t * dilation + width] += parts[:, :, t]
        return found

    def stride_convolution(self, x: Any, convolution: Convolution) -> Any:
        weight = self.constant(convolution.kernel).permute(2, 1, 0)
        found = torch.conv1d(x.transpose(1, 2), weight, None, convolution.stride, 0, convolution.dilation)
        return found.transpose(1, 2)

    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        n, n_channels, n_units = weight.shape
        # Edits beside each other need few of the weights.
        low = min(max(int(positions.min()), 0), n - 1)
        high = min(max(int(positions.max()) + 1, 1), n)
        placed = self.place(x, positions[:, 0] - low, high - low)
        weights = self.constant(weight)[low:high].reshape(-1, n_units)
        return placed.reshape(len(x), (high - low) * n_channels) @ weights

    def to_layout(self, x: Any, axis: int) -> Any:
        return x.reshape(-1, *x.shape[2:]) if axis == 0 else x.movedim(1, axis)

    def from_layout(self, x: Any, axis: int, width: Any) -> Any:
        return x.reshape(-1, width, *x.shape[1:]) if axis == 0 else x.movedim(axis, 1)

    def run(self, node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        if node.kind not in _STRIDED:
            inputs = [x.contiguous() for x in inputs]
        return self._graph.run_node(node, inputs, self._n_edits)

    def shape_of(self, like: Any, shape: Sequence[int]) -> Any:
        raise AssertionError("PyTorch's traces have sizes as integers")
