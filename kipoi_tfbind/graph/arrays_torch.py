"""The rules' arrays in PyTorch."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.arrays import Arrays, Pull, Windows, windows_of_axes
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.multipliers import Walk
from kipoi_tfbind.graph.torch_graph import BatchInteger, TorchGraph

_UNARY: dict[str, Callable[[Any], Any]] = {
    name: getattr(torch, name) for name in ("abs", "exp", "expm1", "log", "log1p", "sigmoid", "sqrt", "tanh")
}

# The only operations that may look at several rows along the first axis and still depend on the batch size
# along no other are those that change how many rows there are.
_CHANGES_ROWS = frozenset({"reshape"})


def deep_lift_function(graph: TorchGraph, wrt: int) -> Callable[..., tuple[NDArray, NDArray, NDArray]]:
    """The function that `deep_lift` runs."""
    dtypes = [graph.nodes[i].attributes["dtype"] for i in graph.inputs]
    device = next(
        (node.attributes["value"].device for node in graph.nodes if node.kind == "constant"),
        torch.device("cpu"),
    )

    def tensor(array: NDArray, dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array)).to(device=device, dtype=dtype)

    def call(
        inputs: Sequence[NDArray], references: NDArray, columns: NDArray | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        n, n_references, *shape = references.shape
        with torch.no_grad():
            values = [tensor(a, dtype) for a, dtype in zip(inputs, dtypes, strict=True)]
            rows = tensor(references.reshape(n * n_references, *shape), dtypes[wrt])
            walk = Walk(TorchArrays(graph), values, rows, wrt, n, n_references)
            like = walk.outputs()[1]
            x, r = (y.reshape(len(y), -1) for y in walk.outputs())
            chosen = range(r.shape[1]) if columns is None else columns.tolist()
            if not all(0 <= column < r.shape[1] for column in chosen):
                raise InputError(
                    f"targets: the model has {r.shape[1]} outputs, got the columns {list(chosen)}"
                )
            multipliers = np.empty((n, n_references, *shape, len(chosen)), dtype=_numpy_type(rows.dtype))
            for k, column in enumerate(chosen):
                seed = torch.zeros_like(r)
                seed[:, column] = 1
                pulled = walk.back(seed.reshape(like.shape))
                multipliers[..., k] = pulled.reshape(references.shape).cpu().numpy()
            r = r.reshape(n, n_references, -1)[:, :, list(chosen)]
            return multipliers, x[:, list(chosen)].cpu().numpy(), r.cpu().numpy()

    return call


def _numpy_type(dtype: torch.dtype) -> Any:
    return torch.empty(0, dtype=dtype).numpy().dtype


class TorchArrays(Arrays):
    """PyTorch's tensors; run under ``torch.no_grad``."""

    def __init__(self, graph: TorchGraph):
        self.graph = graph

    def run(self, node: Node, inputs: Sequence[Any], batch_size: Any) -> list[Any]:
        windows = self.windows(node, inputs[0]) if node.kind == "max_pool" else None
        if windows is None:
            return self.graph.run_node(node, inputs, batch_size)
        # Faster than PyTorch's own, which looks for the positions as well; no rule needs those.
        x = inputs[0]
        rows = x.reshape(len(x) * windows.before, windows.length, windows.after)[
            :, : windows.n * windows.size
        ]
        values = rows.unflatten(1, (windows.n, windows.size)).amax(2)
        shape = node.attributes["shapes"][0]
        return [values.reshape(len(x), *shape[1:]), torch.empty(0, dtype=torch.int64)]

    def linearise(
        self, node: Node, inputs: Sequence[Any], wanted: Sequence[int], batch_size: Any
    ) -> tuple[list[Any], Pull]:
        if node.kind == "identity":
            # Also where PyTorch would cut the gradient, as `detach` does.
            return self.graph.run_node(node, inputs, batch_size), lambda cotangents: [cotangents[0]]
        if node.operation == "aten.native_batch_norm.default" and node.kind == "normalise":
            return self._batch_norm(node, inputs, batch_size)
        leaves = list(inputs)
        for k in wanted:
            leaves[k] = inputs[k].detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.graph.run_node(node, leaves, batch_size)

        def pull(cotangents: Sequence[Any]) -> list[Any]:
            given = [(y, c) for y, c in zip(outputs, cotangents, strict=True) if c is not None]
            return list(
                torch.autograd.grad(
                    [y for y, _ in given],
                    [leaves[k] for k in wanted],
                    [c for _, c in given],
                    retain_graph=True,
                    allow_unused=True,
                )
            )

        return [y.detach() for y in outputs], pull

    def _batch_norm(self, node: Node, inputs: Sequence[Any], batch_size: Any) -> tuple[list[Any], Pull]:
        """With fixed statistics it is a factor for each channel, much faster than PyTorch's own gradient."""
        args, _ = node.attributes["arguments"]
        weight, variance = (None if args[i] is None else inputs[args[i].index] for i in (1, 4))
        factor = (variance + args[7]).rsqrt()
        factor = factor if weight is None else factor * weight
        factor = factor.reshape(-1, *[1] * (inputs[0].dim() - 2))
        return self.run(node, inputs, batch_size), lambda cotangents: [cotangents[0] * factor]

    def batch_leads(self, node: Node, output: int, value: Any) -> bool:
        shape = node.attributes["shapes"][output]
        return bool(shape) and _is_rows(shape[0]) and all(isinstance(size, int) for size in shape[1:])

    def keeps_rows(self, node: Node, inputs: Sequence[Any]) -> bool:
        if node.kind in _CHANGES_ROWS:
            return True
        sizes = {self._rows_of(ref) for ref in node.inputs} - {None}
        return len(sizes) == 1 and sizes == {
            shape[0].slope if shape and _is_rows(shape[0]) else None for shape in node.attributes["shapes"]
        }

    def _rows_of(self, ref: tuple[int, int]) -> int | None:
        """How many rows each sequence has in a value; None where its first axis is not the batch."""
        node = self.graph.nodes[ref[0]]
        if node.kind == "input":
            return 1
        shape = node.attributes.get("shapes", [()] * (ref[1] + 1))[ref[1]]
        return shape[0].slope if shape and _is_rows(shape[0]) else None

    def block_size(self, node: Node, inputs: Sequence[Any]) -> int | None:
        return None

    def windows(self, node: Node, x: Any) -> Windows | None:
        args, kwargs = node.attributes["arguments"]
        name = node.operation.split(".")[1]
        shape = list(x.shape[1:])
        sizes = [1] * len(shape)
        if name in ("max_pool2d_with_indices", "max_pool3d_with_indices"):
            kernel = list(args[1])
            sizes = [1] * (len(shape) - len(kernel)) + kernel
            stride, padding, dilation, ceil = [*args[2:], *[None] * 4][:4]
            padded = any(padding or ()) or any(d != 1 for d in dilation or ()) or ceil
            if padded or list(stride or kernel) != kernel:
                return None
        elif name in ("adaptive_max_pool2d", "adaptive_max_pool3d"):
            n_axes = len(args[1])
            spatial = shape[-n_axes:]
            if any(size % n for size, n in zip(spatial, args[1], strict=True)):
                return None
            sizes[-n_axes:] = [size // n for size, n in zip(spatial, args[1], strict=True)]
        elif len(args) > 1 or "dim" in kwargs:
            axes = args[1] if len(args) > 1 else kwargs["dim"]
            for axis in [axes] if isinstance(axes, int) else axes:
                if axis % x.dim() == 0:
                    return None
                sizes[axis % x.dim() - 1] = shape[axis % x.dim() - 1]
        else:
            return None
        return windows_of_axes(shape, sizes)

    def axis(self, node: Node) -> int:
        args, kwargs = node.attributes["arguments"]
        axis = args[1] if len(args) > 1 else kwargs.get("dim", -1)
        return axis[0] if isinstance(axis, list | tuple) else axis

    def is_floating(self, x: Any) -> bool:
        return x.is_floating_point()

    def epsilon(self, x: Any) -> float:
        return torch.finfo(x.dtype).eps

    def shape(self, x: Any) -> Any:
        return x.shape

    def sizes(self, x: Any) -> list[Any]:
        return list(x.shape)

    def same_shape(self, x: Any, y: Any) -> bool:
        return x.shape == y.shape

    def reshape(self, x: Any, shape: Any) -> Any:
        return x.reshape(tuple(shape))

    def repeat(self, x: Any, n: Any, axis: int) -> Any:
        return x.repeat_interleave(n, dim=axis)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return torch.where(condition, x, y)

    def unary(self, name: str, x: Any) -> Any:
        return _UNARY[name](x)

    def scalar(self, value: float, like: Any) -> Any:
        return like.new_tensor(value)

    def tiny(self, x: Any) -> float:
        return torch.finfo(x.dtype).tiny

    def clip(self, x: Any, low: float, high: float) -> Any:
        return x.clamp(low, high)

    def largest(self, x: Any, axis: int) -> Any:
        return torch.amax(torch.abs(x), dim=tuple(range(axis, x.ndim)), keepdim=True)

    def count(self, x: Any, axis: int, like: Any) -> Any:
        return x.sum(axis, keepdim=True, dtype=like.dtype)

    def maximum(self, x: Any, y: Any) -> Any:
        return torch.maximum(x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return torch.minimum(x, y)

    def sum(self, x: Any, axis: Any) -> Any:
        return x.sum(axis, keepdim=True)

    def max(self, x: Any, axis: int) -> Any:
        return x.amax(axis, keepdim=True)

    def pad(self, x: Any, n: int, axis: int) -> Any:
        return torch.nn.functional.pad(x, [0, 0] * (-axis - 1) + [0, n])

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        return torch.cat(list(arrays), axis)

    def split(self, x: Any, axis: int) -> tuple[Any, Any]:
        first, second = x.chunk(2, axis)
        return first, second

    def ones_like(self, x: Any) -> Any:
        return torch.ones_like(x)

    def zeros_like(self, x: Any) -> Any:
        return torch.zeros_like(x)

    def sum_to_shape(self, x: Any, like: Any) -> Any:
        return x.sum_to_size(like.shape)


def _is_rows(size: Any) -> bool:
    return isinstance(size, BatchInteger) and size.offset == 0
