"""What ATen's operations do along the positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.position_ops import (
    BROADCASTING,
    Convolution,
    Cut,
    Geometry,
    Linear,
    Local,
    Operand,
    Permute,
    Pool,
    Reduce,
    Reshape,
    Reverse,
    Scale,
    Sum,
    ZeroPad,
)
from kipoi_tfbind.graph.torch.graph import Slot

_HOW = {"sum": "sum", "mean": "mean", "amax": "max", "max": "max"}


def torch_geometry(node: Node, operands: Sequence[Operand], shape: tuple[int, ...]) -> Geometry | None:
    """What a node does along the positions of those of its operands that have some.

    See `tensorflow_geometry`.
    """
    name = node.operation.split(".")[1]
    args, kwargs = node.attributes["arguments"]
    if node.operation == "aten.add.Tensor" and not kwargs and len(args) == 2:
        return Sum() if all(isinstance(a, Slot) for a in args) else Local(broadcasts=True)
    if node.kind == "reshape" or (node.kind == "identity" and len(shape) == len(operands[0].shape)):
        return Reshape()
    constant = len(operands) == 2 and operands[0].axis is not None and operands[1].value is not None
    if name in ("mul", "div") and constant:
        return Scale()
    if node.kind in BROADCASTING and name not in ("addcmul", "lerp", "_prelu_kernel"):
        return Local(broadcasts=True)
    moving = [operand.axis for operand in operands if operand.axis is not None]
    if not moving:
        return None
    if moving[0] == 0:
        return _on_rows(name, args, operands)
    reader = _READERS.get(name)
    return None if reader is None else reader(args, kwargs, operands, shape, moving[0])


def _on_rows(name: str, args: Any, operands: Sequence[Operand]) -> Geometry | None:
    """Of values whose positions are merged with the batch: a dense layer at each position."""
    if name == "mm" and operands[0].axis == 0 and operands[1].value is not None:
        return Scale(broadcasts=False)
    if name == "addmm" and operands[1].axis == 0 and operands[2].value is not None and len(args) == 3:
        return Local()
    return None


def _convolution(
    args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int
) -> Geometry | None:
    x, kernel = operands[:2]
    _, _, _, strides, paddings, dilations, transposed, _, n_groups = args
    if transposed or kernel.value is None or axis < 2 or operands[0].axis is None:
        return None
    weights = kernel.value  # (channels out, channels in, *spatial)
    if n_groups > 1:
        n_out, n_in = weights.shape[:2]
        dense = np.zeros((n_groups, n_out // n_groups, n_groups, *weights.shape[1:]), weights.dtype)
        for group, part in enumerate(np.split(weights, n_groups)):
            dense[group, :, group] = part
        weights = dense.reshape(n_out, n_groups * n_in, *weights.shape[2:])
    spatial = axis - 2
    strides, paddings, dilations = (
        [values[0]] * (weights.ndim - 2) if len(values) == 1 else values
        for values in (strides, paddings, dilations)
    )
    for i in range(weights.ndim - 2):
        if i != spatial and (weights.shape[2 + i] != x.shape[1 + i] or paddings[i]):
            return None
    weights = np.moveaxis(weights, (2 + spatial, 0), (0, -1))
    weights = np.ascontiguousarray(weights).reshape(len(weights), -1, weights.shape[-1])
    return Convolution(weights, strides[spatial], dilations[spatial], paddings[spatial])


def _max_pool(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    sizes = list(args[1])
    strides, paddings, dilations, _ = [*args[2:], *[None] * 4][:4]
    return _windows(sizes, strides, paddings, dilations, operands[0], axis, maximum=True)


def _average_pool(
    args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int
) -> Geometry | None:
    sizes = list(args[1])
    strides, paddings, ceil = [*args[2:], *[None] * 3][:3]
    if ceil or any(paddings or ()):
        return None  # A mean over fewer positions at the ends.
    return _windows(sizes, strides, paddings, None, operands[0], axis, maximum=False)


def _windows(
    sizes: Any, strides: Any, paddings: Any, dilations: Any, x: Operand, axis: int, *, maximum: bool
) -> Geometry | None:
    i = axis - (len(x.shape) + 1 - len(sizes))
    if i < 0 or any(size != 1 for j, size in enumerate(sizes) if j != i):
        return None
    if any(d != 1 for d in dilations or ()):
        return None
    return Pool(sizes[i], (strides or sizes)[i], (paddings or [0] * len(sizes))[i], maximum)


def _adaptive(how: str) -> Callable[..., Geometry | None]:
    def read(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
        x = operands[0].shape
        if any(a != b for j, (a, b) in enumerate(zip(x, shape, strict=True)) if j != axis - 1):
            return None
        n, n_out = x[axis - 1], shape[axis - 1]
        if n_out == 1:
            return Reduce((axis,), how)
        return None if n % n_out else Pool(n // n_out, n // n_out, 0, how == "max")

    return read


def _reduce(name: str) -> Callable[..., Geometry | None]:
    def read(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
        rank = len(operands[0].shape) + 1
        chosen = args[1] if len(args) > 1 else kwargs.get("dim")
        if chosen is None or kwargs.get("dtype") is not None:
            return None
        axes = tuple(sorted(a % rank for a in ([chosen] if isinstance(chosen, int) else chosen)))
        if not axes or 0 in axes:
            return None
        if axis not in axes:
            return Local(dropped=() if len(shape) == len(operands[0].shape) else axes)
        how = _HOW.get(name)
        return None if how is None else Reduce(axes, how)

    return read


def _slice(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    _, along, first, last, step = [*args, *[None] * 5][:5]
    along = (along or 0) % (len(operands[0].shape) + 1)
    if along == 0:
        return (
            Cut({}) if first in (None, 0) and (last is None or last > 2**40) and step in (None, 1) else None
        )
    chosen = range(operands[0].shape[along - 1])[first : last : step or 1]
    return Cut({along: (chosen.start, len(chosen), step or 1)})


def _select(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    rank = len(operands[0].shape) + 1
    along = args[1] % rank
    if along in (0, axis):
        return None
    return Cut({along: (args[2] % operands[0].shape[along - 1], 1, 1)})


def _pad(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    pads, rank = list(args[1]), len(operands[0].shape) + 1
    if len(args) > 2 and args[2] != 0:
        return None
    by_axis = {rank - 1 - i // 2: (pads[i], pads[i + 1]) for i in range(0, len(pads), 2)}
    if any(any(p) for a, p in by_axis.items() if a != axis):
        return None
    return ZeroPad(by_axis.get(axis, (0, 0))[0])


def _flip(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    axes = tuple(a % (len(operands[0].shape) + 1) for a in args[1])
    return None if 0 in axes else Reverse(axes)


def _concat(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    if any(operand.axis != axis for operand in operands):
        return None
    along = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % (len(operands[0].shape) + 1)
    return None if along in (0, axis) else Local()


def _permute(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    rank = len(operands[0].shape) + 1
    order = [a % rank for a in args[1]]
    return None if order[0] != 0 else Permute(tuple(order))


def _transpose(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    rank = len(operands[0].shape) + 1
    order, (a, b) = list(range(rank)), (args[1] % rank, args[2] % rank)
    order[a], order[b] = b, a
    return None if order[0] != 0 else Permute(tuple(order))


def _softmax(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    return None if args[1] % (len(operands[0].shape) + 1) in (0, axis) else Local()


def _glu(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    along = args[1] if len(args) > 1 else -1
    return None if along % (len(operands[0].shape) + 1) in (0, axis) else Local()


def _batch_norm(
    args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int
) -> Geometry | None:
    constant = all(operand.value is not None for operand in operands[1:])
    return Local() if axis > 1 and constant else None


def _layer_norm(
    args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int
) -> Geometry | None:
    rank = len(operands[0].shape) + 1
    return Local() if axis < rank - len(args[1]) and operands[0].axis is not None else None


def _matmul(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    if len(operands[0].shape) == 1 and operands[0].axis == 1 and operands[1].value is not None:
        return Linear(operands[1].value)
    return None


def _addmm(args: Any, kwargs: Any, operands: Sequence[Operand], shape: Any, axis: int) -> Geometry | None:
    if operands[0].value is None or operands[1].axis != 1 or operands[2].value is None or len(args) > 3:
        return None
    return Linear(operands[2].value) if len(operands[1].shape) == 1 else None


_READERS: dict[str, Callable[..., Geometry | None]] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool1d": _average_pool,
    "avg_pool2d": _average_pool,
    "adaptive_max_pool2d": _adaptive("max"),
    "adaptive_avg_pool1d": _adaptive("mean"),
    "_adaptive_avg_pool2d": _adaptive("mean"),
    "sum": _reduce("sum"),
    "mean": _reduce("mean"),
    "amax": _reduce("amax"),
    "max": _reduce("max"),
    "amin": _reduce("amin"),
    "min": _reduce("min"),
    "slice": _slice,
    "select": _select,
    "constant_pad_nd": _pad,
    "flip": _flip,
    "cat": _concat,
    "permute": _permute,
    "transpose": _transpose,
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "glu": _glu,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "mm": _matmul,
    "addmm": _addmm,
}
