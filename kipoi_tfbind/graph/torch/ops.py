"""PyTorch's arrays; run under ``torch.no_grad``."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.position_kernel import PositionKernel

_UNARY: dict[str, Callable[[Any], Any]] = {
    name: getattr(torch, name)
    for name in ("abs", "exp", "expm1", "log", "log1p", "sigmoid", "sign", "sqrt", "tanh")
}

# Numbers of a table that are fetched at once: they are to stay in the cache.
_FETCHED = 2**20
# Constants up to this size are made anew at every call.
_SMALL = 25


class TorchOps(ArrayOps):
    """PyTorch's tensors on one device; indices are int64."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # By the array itself, which is kept so that no other gets its id.
        self._constants: dict[int, tuple[NDArray, torch.Tensor]] = {}

    def constant(self, array: NDArray, like: Any = None) -> Any:
        if like is not None:
            return torch.as_tensor(array.copy(), dtype=like.dtype, device=like.device)
        if id(array) not in self._constants:
            tensor = torch.as_tensor(np.ascontiguousarray(array), device=self.device)
            if array.size <= _SMALL:
                return tensor
            self._constants[id(array)] = array, tensor
        return self._constants[id(array)][1]

    def indices(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return x.long()
        return torch.as_tensor(np.asarray(x).astype(np.int64), device=self.device)

    def arange(self, n: Any) -> Any:
        return torch.arange(n, device=self.device)

    def vector(self, sizes: Sequence[Any]) -> Any:
        return torch.tensor(sizes)

    def cast(self, x: Any, like: Any) -> Any:
        return x.to(like.dtype)

    def is_floating(self, x: Any) -> bool:
        return bool(x.is_floating_point() or x.is_complex())

    def finfo(self, x: Any) -> np.finfo[Any]:
        return np.finfo(str(x.dtype).removeprefix("torch."))

    def known_shape(self, x: Any) -> tuple[int | None, ...] | None:
        return tuple(x.shape)

    def shape(self, x: Any) -> Any:
        return x.shape

    def reshape(self, x: Any, shape: Any) -> Any:
        return x.reshape(tuple(shape))

    def reshape_like(self, x: Any, like: Any) -> Any:
        return x.reshape(like.shape)

    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        return x.permute(tuple(axes))

    def reverse(self, x: Any, axes: Sequence[int]) -> Any:
        return x.flip(tuple(axes))

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return torch.cat(list(arrays), axis)

    def pad(self, x: Any, before: int, after: int, axis: int) -> Any:
        return torch.nn.functional.pad(x, [0, 0] * (x.dim() - axis % x.dim() - 1) + [before, after])

    def repeat(self, x: Any, n: Any, axis: int) -> Any:
        return x.repeat_interleave(n, dim=axis)

    def tile_rows(self, x: Any, n: Any) -> Any:
        return x.repeat(n, *[1] * (x.dim() - 1))

    def unary(self, name: str, x: Any) -> Any:
        return _UNARY[name](x)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return torch.where(condition, x, y)

    def clip(self, x: Any, low: float, high: float) -> Any:
        return x.clamp(low, high)

    def maximum(self, x: Any, y: Any) -> Any:
        return torch.maximum(x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return torch.minimum(x, y)

    def zeros_like(self, x: Any) -> Any:
        return torch.zeros_like(x)

    def sum(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        return x.sum(axes, keepdim=keep)

    def max(self, x: Any, axes: int | Sequence[int], *, keep: bool = False) -> Any:
        return x.amax(axes, keepdim=keep)

    def all(self, x: Any) -> Any:
        return x.all()

    def sum_to_shape(self, x: Any, like: Any) -> Any:
        return x.sum_to_size(like.shape)

    def add_shifted(self, arrays: Sequence[Any], axis: int, step: int = 1) -> Any:
        shape = list(arrays[0].shape)
        n = shape[axis]
        shape[axis] += step * (len(arrays) - 1)
        total = arrays[0].new_zeros(shape)
        for k, array in enumerate(arrays):
            total.narrow(axis, k * step, n).add_(array)
        return total

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
        source = self.arange(width) - shift[:, None]
        source = torch.where((source >= 0) & (source < own), source, own)
        rows = self.arange(len(x))[:, None] * (own + 1) + source
        return self.take(padded.reshape(-1, *x.shape[2:]), rows)

    def matmul(self, x: Any, y: Any) -> Any:
        return x @ y

    def gathered_matmul(self, values: Any, index: Any, table: Any) -> Any:
        n, n_channels = index.shape
        n_columns = table.shape[1]
        values = values.contiguous()
        n_at_once = min(n, max(1, _FETCHED // (n_channels * n_columns)))
        fetched = table.new_empty(n_at_once * n_channels, n_columns)
        products = table.new_empty(n, values.shape[1], n_columns)
        for start in range(0, n, n_at_once):
            rows = index[start : start + n_at_once]
            matrices = fetched[: rows.numel()]
            torch.index_select(table, 0, rows.reshape(-1), out=matrices)
            torch.bmm(
                values[start : start + n_at_once],
                matrices.view(*rows.shape, n_columns),
                out=products[start : start + n_at_once],
            )
        return products

    def spread(self, x: Any, kernel: PositionKernel) -> Any:
        n_taps, n_in, n_out = kernel.kernel.shape
        product = x.reshape(-1, n_in) @ self.constant(kernel.by_channel)
        parts = product.reshape(-1, x.shape[1], n_taps, n_out)
        return parts[:, :, 0] if n_taps == 1 else self.add_shifted(parts.unbind(2), 1, kernel.dilation)

    def strided_convolution(self, x: Any, kernel: PositionKernel) -> Any:
        weight = self.constant(kernel.kernel).permute(2, 1, 0)
        found = torch.conv1d(x.transpose(1, 2), weight, None, kernel.stride, 0, kernel.dilation)
        return found.transpose(1, 2)

    def span_product(self, x: Any, positions: Any, weight: NDArray) -> Any:
        n, n_channels, n_units = weight.shape
        # Edits beside each other need few of the weights.
        low = min(max(int(positions.min()), 0), n - 1)
        high = min(max(int(positions.max()) + 1, 1), n)
        placed = self.place(x, positions[:, 0] - low, high - low)
        weights = self.constant(weight)[low:high].reshape(-1, n_units)
        return placed.reshape(len(x), (high - low) * n_channels) @ weights

    def cond(self, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        return then() if bool(condition) else otherwise()

    def scan(
        self,
        step: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]],
        arrays: Sequence[Any],
        states: Sequence[Any],
        *,
        n: int,
        reverse: bool = False,
    ) -> tuple[list[Any], list[Any]]:
        given: list[Sequence[Any]] = []
        for i in reversed(range(n)) if reverse else range(n):
            some, states = step([array[i] for array in arrays], states)
            given.append(some)
        columns = zip(*(reversed(given) if reverse else given), strict=True)
        return [torch.stack(column) for column in columns], list(states)

    def each_row(self, function: Callable[[Any], Any], n: Any, like: Any) -> Any:
        return torch.stack([function(row) for row in range(n)])
