"""ATen's operations in neutral terms: what their arguments say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from kipoi_tfbind.graph import operations as does
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.torch.call import BatchInteger, Call, Slot, rows_of
from kipoi_tfbind.graph.torch.kinds import FUNCTIONS, KIND_OF, OPERATIONS_OF

_TRAINING = ("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm")


@dataclass(frozen=True)
class _Called:
    """One call: name, kind and arguments, and shapes (with the batch) of what goes in and out."""

    name: str
    kind: str
    args: Sequence[Any]
    kwargs: dict[str, Any]
    operands: Sequence[tuple[Any, ...]]
    outputs: Sequence[tuple[Any, ...]]

    def get(self, i: int, name: str, default: Any = None) -> Any:
        """An argument by its position or name."""
        return self.args[i] if len(self.args) > i else self.kwargs.get(name, default)

    @property
    def rank(self) -> int:
        """Number of axes of the first operand."""
        return len(self.operands[0])

    def axes(self, i: int, default: Any = None) -> tuple[int, ...] | None:
        """The argument that tells axes, counted from the first; None where there are none."""
        found = self.get(i, "dim", default)
        found = [found] if isinstance(found, int) else found
        return tuple(sorted(axis % self.rank for axis in found)) if found else None


def describe(
    function: Any,
    arguments: Any,
    inputs: tuple[Ref, ...],
    layer: str,
    shapes: tuple[Any, ...],
    operands: Sequence[tuple[Any, ...]],
) -> Node:
    """The node for an ATen operation, with its arguments and the shapes of its outputs and inputs."""
    name = function._schema.name.removeprefix("aten::")
    # The strides that made a view possible may be others when a value is computed in another way.
    called = torch.ops.aten.reshape.default if name in ("view", "_unsafe_view") else function
    args, kwargs = arguments
    operation = _operation(_Called(name, _kind(name, inputs), args, kwargs, operands, shapes))
    return Node(
        str(function),
        operation,
        inputs,
        Call(called, arguments, shapes),
        layer,
        len(shapes),
        _keeps_rows(operation, operands, shapes),
        any(isinstance(leaf, BatchInteger) for leaf in tree_leaves(arguments)),
    )


def _kind(name: str, inputs: tuple[Ref, ...]) -> str:
    if name in FUNCTIONS or (name == "pow" and len(inputs) == 1):
        return "elementwise"
    return KIND_OF.get(name, "")


def _operation(called: _Called) -> does.Operation:
    if called.kind in ("elementwise", "elementwise_pair"):
        return does.Elementwise(kind=called.kind, function=called.name)
    if called.kind == "ratio" and called.kwargs.get("rounding_mode") is not None:
        return does.Operation()
    reader = _READERS.get(called.name)
    found = None if reader is None else reader(called)
    return does.Operation(called.kind) if found is None else found


def _keeps_rows(operation: does.Operation, operands: Sequence[Any], shapes: Sequence[Any]) -> bool:
    # The only operations that may look at several rows along the first axis and still depend on the batch
    # size along no other are those that change how many rows there are.
    if operation.kind == "reshape":
        return True
    if operation.kind == "normalise":
        shapes = shapes[:1]  # The others are statistics.
    rows = {rows_of(shape) for shape in operands} - {None}
    return len(rows) == 1 and rows == {rows_of(shape) for shape in shapes}


def _add(called: _Called) -> does.Operation:
    tensors = len(called.args) == 2 and all(isinstance(arg, Slot) for arg in called.args)
    return does.Add(plain=tensors and not called.kwargs)


def _reshape(called: _Called) -> does.Operation:
    return does.Reshape(ones_only=called.name in ("squeeze", "unsqueeze"))


def _convolution(called: _Called) -> does.Operation:
    _, _, _, strides, padding, dilations, transposed, _, groups = called.args
    n = called.rank - 2

    def by_axis(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values) * n if len(values) == 1 else tuple(values)

    return does.Convolution(
        strides=by_axis(strides),
        dilations=by_axis(dilations),
        padding=tuple((p, p) for p in by_axis(padding)),
        channels_last=False,
        order=(*range(2, n + 2), 1, 0),
        groups=groups,
        transposed=transposed,
    )


def _max_pool(called: _Called) -> does.Operation | None:
    sizes = list(called.args[1])
    strides, padding, dilations, _ = [*called.args[2:], *[None] * 4][:4]
    if any(d != 1 for d in dilations or ()):
        return None
    return _pool(called, sizes, strides or sizes, padding or [0] * len(sizes))


def _average_pool(called: _Called) -> does.Operation | None:
    sizes = list(called.args[1])
    strides, padding, ceil, _, divisor = [*called.args[2:], *[None] * 5][:5]
    if ceil or any(padding or ()) or divisor is not None:
        return None  # A mean over fewer positions at the ends.
    return _pool(called, sizes, strides or sizes, [0] * len(sizes))


def _adaptive_pool(called: _Called) -> does.Operation | None:
    n_axes = len(called.args[1])
    lengths, n_out = called.operands[0][-n_axes:], called.outputs[0][-n_axes:]
    if any(length % n for length, n in zip(lengths, n_out, strict=True)):
        return None
    sizes = [length // n for length, n in zip(lengths, n_out, strict=True)]
    return _pool(called, sizes, sizes, [0] * n_axes)


def _pool(
    called: _Called, sizes: Sequence[int], strides: Sequence[int], before: Sequence[int]
) -> does.Operation:
    # It may take windows that reach over the end.
    lengths, n_out = called.operands[0][-len(sizes) :], called.outputs[0][-len(sizes) :]
    padding = [
        (b, max((out - 1) * stride + size - n - b, 0))
        for b, out, stride, size, n in zip(before, n_out, strides, sizes, lengths, strict=True)
    ]
    others = called.rank - 1 - len(sizes)
    return does.Pool(
        kind=called.kind,
        sizes=(*[1] * others, *sizes),
        strides=(*[1] * others, *strides),
        padding=(*[(0, 0)] * others, *padding),
    )


def _reduce(called: _Called) -> does.Operation:
    axes = None if called.kwargs.get("dtype") is not None else called.axes(1)
    how = called.name.removeprefix("a") if called.name in ("amax", "amin") else called.name
    return does.Reduce(kind=called.kind, axes=axes, how=how, kept=len(called.outputs[0]) == called.rank)


def _deviation(called: _Called) -> does.Operation:
    correction = called.kwargs.get("correction")
    return does.Reduce(
        kind=called.kind, axes=called.axes(1), how="std", correction=1 if correction is None else correction
    )


def _vector_norm(called: _Called) -> does.Operation:
    return does.Reduce(
        kind=called.kind, axes=called.axes(2), how=f"norm of order {called.get(1, 'ord', 2):g}"
    )


def _along(position: int, default: Any = None) -> Callable[[_Called], does.Operation]:
    return lambda called: does.AlongAxes(kind=called.kind, axes=called.axes(position, default))


def _concat(called: _Called) -> does.Operation:
    return does.AlongAxes(kind=called.kind, axes=(called.get(1, "dim", 0) % called.rank,))


def _slice(called: _Called) -> does.Operation | None:
    _, along, first, last, step = [*called.args, *[None] * 5][:5]
    if any(isinstance(value, BatchInteger) for value in (first, last, step)):
        return None
    along = (along or 0) % called.rank
    if along == 0:
        whole = first in (None, 0) and (last is None or last > 2**40) and step in (None, 1)
        return does.Slice(stretches={}) if whole else None
    return does.Slice(stretches={along: (first, last, step or 1)})


def _select(called: _Called) -> does.Operation | None:
    along, at = called.args[1] % called.rank, called.args[2]
    if along == 0 or isinstance(at, BatchInteger):
        return None
    return does.Slice(stretches={along: (at, at + 1 if at != -1 else None, 1)}, dropped=(along,))


def _pad(called: _Called) -> does.Operation | None:
    pads, last = list(called.args[1]), called.rank - 1
    if called.get(2, "value", 0) != 0:
        return None
    return does.Pad(widths={last - i // 2: (pads[i], pads[i + 1]) for i in range(0, len(pads), 2)})


def _flip(called: _Called) -> does.Operation:
    return does.AlongAxes(kind=called.kind, axes=tuple(axis % called.rank for axis in called.args[1]))


def _permute(called: _Called) -> does.Operation:
    return does.Transpose(order=tuple(axis % called.rank for axis in called.args[1]))


def _transpose(called: _Called) -> does.Operation:
    order, (a, b) = list(range(called.rank)), (axis % called.rank for axis in called.args[1:3])
    order[a], order[b] = b, a
    return does.Transpose(order=tuple(order))


def _batch_norm(called: _Called) -> does.Operation:
    if called.name in _TRAINING and bool(called.args[5]):
        return does.Operation()  # Its result depends on the other sequences of the batch.
    return does.Normalise(channel_axis=1)


def _layer_norm(called: _Called) -> does.Operation:
    _, normalised, weight, _, epsilon = called.args
    return does.Standardise(
        kind=called.kind,
        first_axis=called.rank - len(normalised),
        epsilon=epsilon,
        weight=None if weight is None else weight.index,
    )


def _group_norm(called: _Called) -> does.Operation:
    weight, groups, epsilon = called.args[1], called.args[6], called.args[7]
    return does.Standardise(
        kind=called.kind, groups=groups, epsilon=epsilon, weight=None if weight is None else weight.index
    )


def _matmul(called: _Called) -> does.Operation:
    if called.name == "addmm":
        return does.MatMul(left=1, right=2, added=0, plain=len(called.args) == 3 and not called.kwargs)
    return does.MatMul(plain=called.name in ("mm", "bmm"))


_READERS: dict[str, Callable[[_Called], does.Operation | None]] = {
    **dict.fromkeys(("add", "sub", "rsub", "neg"), lambda called: does.Add()),
    **dict.fromkeys(OPERATIONS_OF["reshape"].split(), _reshape),
    **dict.fromkeys(OPERATIONS_OF["matmul"].split(), _matmul),
    **dict.fromkeys(OPERATIONS_OF["normalise"].split(), _batch_norm),
    **dict.fromkeys(("softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax"), _along(1)),
    **dict.fromkeys(("sum", "mean", "amax", "max", "amin", "min"), _reduce),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _average_pool),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), _max_pool),
    **dict.fromkeys(("adaptive_max_pool2d", "adaptive_max_pool3d", "adaptive_avg_pool1d"), _adaptive_pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _adaptive_pool),
    **dict.fromkeys(("split", "split_with_sizes"), _along(2, 0)),
    "add": _add,
    "cat": _concat,
    "constant_pad_nd": _pad,
    "convolution": _convolution,
    "einsum": lambda called: does.Contraction("einsum"),
    "flip": _flip,
    "glu": _along(1, -1),
    "linalg_vector_norm": _vector_norm,
    "logsumexp": _along(1),
    "native_group_norm": _group_norm,
    "native_layer_norm": _layer_norm,
    "permute": _permute,
    "select": _select,
    "slice": _slice,
    "std": _deviation,
    "transpose": _transpose,
}
