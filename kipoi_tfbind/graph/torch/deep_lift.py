"""The rules' arrays in PyTorch."""

# The methods are described in their base class.
# ruff: noqa: D102

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Convolution, Pull, Windows, windows_of_axes
from kipoi_tfbind.graph.deeplift.propagation import WITH_TARGETS, CompiledDeepLift, Walk
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.torch.convolution_gradient import ConvolutionGradient
from kipoi_tfbind.graph.torch.graph import BatchInteger, TorchGraph

_UNARY: dict[str, Callable[[Any], Any]] = {
    name: getattr(torch, name)
    for name in ("abs", "exp", "expm1", "log", "log1p", "sigmoid", "sign", "sqrt", "tanh")
}

# Numbers of a table that are fetched at once: they are to stay in the cache.
_FETCHED = 2**20

# The only operations that may look at several rows along the first axis and still depend on the batch size
# along no other are those that change how many rows there are.
_CHANGES_ROWS = frozenset({"reshape"})


class TorchDeepLift(CompiledDeepLift):
    """The function that `deep_lift` runs."""

    # As long as nothing has been run.
    takes_targets = True

    def __init__(self, graph: TorchGraph, wrt: int) -> None:
        self._graph, self._wrt = graph, wrt
        self._dtypes = [graph.nodes[i].attributes["dtype"] for i in graph.inputs]
        self._device = next(
            (node.attributes["value"].device for node in graph.nodes if node.kind == "constant"),
            torch.device("cpu"),
        )
        shapes = [shape for i in graph.live_nodes() for shape in graph.nodes[i].attributes.get("shapes", ())]
        self.largest = max((_row_size(shape) for shape in shapes), default=1)
        node, i = graph.outputs[0]
        self.n_outputs = _row_size(graph.nodes[node].attributes.get("shapes", [()] * (i + 1))[i])

    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the base class."""
        n, n_references, *shape = references.shape
        with torch.no_grad():
            values = [self._tensor(a, dtype) for a, dtype in zip(inputs, self._dtypes, strict=True)]
            rows = self._tensor(references.reshape(n * n_references, *shape), self._dtypes[self._wrt])
            walk = Walk(TorchArrays(self._graph), values, rows, self._wrt, n, n_references)
            self.takes_targets = walk.takes_targets
            like = walk.outputs()[1]
            x, r = (y.reshape(len(y), -1) for y in walk.outputs())
            chosen = list(range(r.shape[1])) if columns is None else columns.tolist()
            if not all(0 <= column < r.shape[1] for column in chosen):
                raise InputError(f"targets: the model has {r.shape[1]} outputs, got the columns {chosen}")
            n_at_once = 1
            if walk.takes_targets:
                n_at_once = max(1, WITH_TARGETS // (n * n_references * self.largest))
            multipliers = rows.new_empty(len(chosen), *references.shape)
            for start in range(0, len(chosen), n_at_once):
                some = torch.tensor(chosen[start : start + n_at_once], device=rows.device)
                seed = torch.nn.functional.one_hot(some, r.shape[1]).to(r.dtype)
                seed = seed.repeat_interleave(n * n_references, 0).reshape(-1, *like.shape[1:])
                pulled = walk.back(seed, len(some) if len(some) > 1 else None)
                multipliers[start : start + n_at_once] = pulled.reshape(-1, *references.shape)
            r = r.reshape(n, n_references, -1)[:, :, chosen]
            return multipliers.movedim(0, -1).cpu().numpy(), x[:, chosen].cpu().numpy(), r.cpu().numpy()

    def _tensor(self, array: NDArray, dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array)).to(device=self._device, dtype=dtype)


def _row_size(shape: Any) -> int:
    """Numbers for each sequence in an array of this shape; 1 where the batch does not lead."""
    if not shape or not _is_rows(shape[0]) or not all(isinstance(size, int) for size in shape[1:]):
        return 1
    return shape[0].slope * math.prod(shape[1:])


def _gradients(leaves: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    given = [(y, c) for y, c in zip(outputs, cotangents, strict=True) if c is not None]
    return list(
        torch.autograd.grad(
            [y for y, _ in given], leaves, [c for _, c in given], retain_graph=True, allow_unused=True
        )
    )


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
        if windows.after == 1 and node.kind == "max_pool":
            values = torch.max_pool1d(x.reshape(len(x), windows.before, windows.length), windows.size)
        else:
            rows = x.reshape(len(x) * windows.before, windows.length, windows.after)
            rows = rows[:, : windows.n * windows.size]
            values = rows.unflatten(1, (windows.n, windows.size)).amax(2)
        shape = node.attributes["shapes"][0]
        return [values.reshape(len(x), *shape[1:]), torch.empty(0, dtype=torch.int64)]

    def linearise(
        self, node: Node, inputs: Sequence[Any], wanted: Sequence[int], batch_size: Any
    ) -> tuple[list[Any], Pull]:
        if node.kind == "identity":
            # Also where PyTorch would cut the gradient, as `detach` does.
            outputs = self.graph.run_node(node, inputs, batch_size)
            return outputs, Pull(lambda cotangents: [cotangents[0]], lambda cotangents, _: [cotangents[0]])
        if node.operation == "aten.native_batch_norm.default" and node.kind == "normalise":
            return self._batch_norm(node, inputs, batch_size)
        if node.operation == "aten.convolution.default" and list(wanted) == [0]:
            outputs = self.graph.run_node(node, inputs, batch_size)
            return outputs, ConvolutionGradient(self, node, inputs).pull()
        leaves, outputs = self._differentiable(node, inputs, wanted, batch_size)

        def of_targets(cotangents: Sequence[Any], n_targets: Any) -> list[Any]:
            if node.operation in ("aten.addmm.default", "aten.mm.default"):
                weight = inputs[-1]
                if list(wanted) == [len(inputs) - 2] and not (node.attributes["arguments"][1]):
                    return [cotangents[0] @ weight.T]
            # Of a linear operation the gradient takes no more than the shapes from the inputs.
            wide = [
                x.new_zeros(()).expand(n_targets * len(x), *x.shape[1:]) if k in wanted else x
                for k, x in enumerate(inputs)
            ]
            return _gradients(*self._differentiable(node, wide, wanted, n_targets * batch_size), cotangents)

        def pull(cotangents: Sequence[Any]) -> list[Any]:
            return _gradients(leaves, outputs, cotangents)

        return [y.detach() for y in outputs], Pull(pull, of_targets)

    def _differentiable(
        self, node: Node, inputs: Sequence[Any], wanted: Sequence[int], batch_size: Any
    ) -> tuple[list[Any], list[Any]]:
        """Those inputs that gradients are wanted of, and the outputs."""
        leaves = list(inputs)
        for k in wanted:
            leaves[k] = inputs[k].detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.graph.run_node(node, leaves, batch_size)
        return [leaves[k] for k in wanted], outputs

    def _batch_norm(self, node: Node, inputs: Sequence[Any], batch_size: Any) -> tuple[list[Any], Pull]:
        """With fixed statistics it is a factor for each channel, much faster than PyTorch's own gradient."""
        args, _ = node.attributes["arguments"]
        weight, variance = (None if args[i] is None else inputs[args[i].index] for i in (1, 4))
        factor = (variance + args[7]).rsqrt()
        factor = factor if weight is None else factor * weight
        factor = factor.reshape(-1, *[1] * (inputs[0].dim() - 2))
        return self.run(node, inputs, batch_size), Pull(
            lambda cotangents: [cotangents[0] * factor], lambda cotangents, _: [cotangents[0] * factor]
        )

    def convolution(self, node: Node, inputs: Sequence[Any]) -> Convolution | None:
        x, kernel = inputs[:2]
        *_, stride, padding, dilation, transposed, _, groups = node.attributes["arguments"][0]
        if x.dim() != 3 or transposed or groups != 1 or list(stride) != [1]:
            return None
        return Convolution(kernel.permute(2, 1, 0), padding[0], dilation[0], x.shape[2], False)

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

    def each_row(self, function: Callable[[Any], Any], n: Any, like: Any) -> Any:
        return torch.stack([function(row) for row in range(n)])

    def add_shifted(self, arrays: Sequence[Any]) -> Any:
        n, *shape = arrays[0].shape
        total = arrays[0].new_zeros(n + len(arrays) - 1, *shape)
        for k, array in enumerate(arrays):
            total[k : k + n] += array
        return total

    def matmul(self, x: Any, y: Any) -> Any:
        return x @ y

    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        return x.permute(*axes)

    def tile_rows(self, x: Any, n: Any) -> Any:
        return x.repeat(n, *[1] * (x.dim() - 1))

    def range(self, n: int, like: Any) -> Any:
        return torch.arange(n, dtype=like.dtype, device=like.device)

    def integers(self, x: Any) -> Any:
        return x.long()

    def all(self, x: Any) -> Any:
        return x.all()

    def row_size(self, x: Any) -> int:
        return math.prod(x.shape[1:])

    def batch_leads(self, node: Node, output: int, value: Any) -> bool:
        shape = node.attributes["shapes"][output]
        return bool(shape) and _is_rows(shape[0]) and all(isinstance(size, int) for size in shape[1:])

    def keeps_rows(self, node: Node, inputs: Sequence[Any]) -> bool:
        if node.kind in _CHANGES_ROWS:
            return True
        shapes = node.attributes["shapes"]
        if node.kind == "normalise":
            # The others are statistics.
            shapes = shapes[:1]
        sizes = {self._rows_of(ref) for ref in node.inputs} - {None}
        return len(sizes) == 1 and sizes == {
            shape[0].slope if shape and _is_rows(shape[0]) else None for shape in shapes
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

    def constant(self, array: Any, like: Any) -> Any:
        return torch.as_tensor(array.copy(), dtype=like.dtype, device=like.device)

    def scalar(self, value: float, like: Any) -> Any:
        return like.new_tensor(value)

    def tiny(self, x: Any) -> float:
        return torch.finfo(x.dtype).tiny

    def large(self, x: Any) -> float:
        return torch.finfo(x.dtype).max / 8

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

    def pad(self, x: Any, n: int, axis: int, before: int = 0) -> Any:
        return torch.nn.functional.pad(x, [0, 0] * (x.dim() - axis % x.dim() - 1) + [before, n])

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
