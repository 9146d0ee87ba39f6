"""The effect of an operation along the positions, from its description and their axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kipoi_tfbind.graph import operations as does
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental import position_ops as along
from kipoi_tfbind.graph.position_kernel import PositionKernel

Operands = Sequence[along.Operand]
# None where it is not known, or is something that no handler knows how to follow.
Found = along.PositionOp | None


def along_positions(node: Node, operands: Operands, shape: tuple[int, ...]) -> Found:
    """The effect of a node along the positions of those of its operands that have some.

    Parameters
    ----------
    node
        The node.
    operands
        Its inputs.
    shape
        That of its first output, without the batch.

    Returns
    -------
    position_op
        None where it is not known, or is something that no handler knows how to follow.
    """
    operation, kind = node.operation, node.kind
    if isinstance(operation, does.Add) and operation.plain:
        return along.Sum()
    if kind == "reshape" or (kind == "identity" and len(operands) == 1):
        return along.SameElements()
    by_constant = len(operands) == 2 and operands[0].axis is not None and operands[1].value is not None
    if kind in ("product", "ratio") and by_constant:
        return along.Scale()
    if kind in does.BROADCASTING:
        return along.Local(broadcasts=True)
    axis = next(operand.axis for operand in operands if operand.axis is not None)
    if axis == 0:
        return _on_rows(operation, operands)
    reader = _READERS.get(type(operation))
    return None if reader is None else reader(operation, operands, shape, axis)


def _on_rows(operation: Any, operands: Operands) -> Found:
    """Of values whose positions are merged with the batch: a dense layer at each position."""
    if not isinstance(operation, does.MatMul) or not operation.plain or operation.transposed[0]:
        return None
    if operands[operation.left].axis != 0 or operands[operation.right].value is None:
        return None
    return along.Scale(broadcasts=False) if operation.added is None else along.Local()


def _convolution(operation: does.Convolution, operands: Operands, shape: Any, axis: int) -> Found:
    x, kernel = operands[:2]
    spatial, n = operation.spatial(axis), len(operation.strides)
    if operation.transposed or kernel.value is None or x.axis is None or not 0 <= spatial < n:
        return None
    weights = operation.dense_kernel(kernel.value)
    lengths = x.shape[:-1] if operation.channels_last else x.shape[1:]
    others = [i for i in range(n) if i != spatial]
    for i in others:
        padding = operation.padding[i]
        fits = padding == (0, 0) or (padding is None and weights.shape[i] == 1)
        if weights.shape[i] != lengths[i] or not fits:
            return None
    # The other axes and the channels in are what is left of x, in its order.
    channels = [*others, n] if operation.channels_last else [n, *others]
    weights = np.ascontiguousarray(weights.transpose([spatial, *channels, n + 1]))
    weights = weights.reshape(len(weights), -1, weights.shape[-1])
    before = operation.before(spatial, lengths[spatial], len(weights))
    return along.Convolve(
        PositionKernel(weights, operation.strides[spatial], operation.dilations[spatial], before)
    )


def _pool(operation: does.Pool, operands: Operands, shape: Any, axis: int) -> Found:
    length, size, maximum = operands[0].shape[axis - 1], operation.sizes[axis - 1], operation.maximum
    if any(n != 1 for i, n in enumerate(operation.sizes, start=1) if i != axis):
        return None
    covers = operation.covers(axis, length)
    if not (maximum or covers):
        return None  # A mean over fewer positions at the ends.
    if covers and size == length and shape[axis - 1] == 1:
        return along.Largest((axis,)) if maximum else along.Total((axis,), mean=True)
    return along.PoolPositions(size, operation.strides[axis - 1], operation.before(axis, length), maximum)


def _reduce(operation: does.Reduce, operands: Operands, shape: Any, axis: int) -> Found:
    axes = operation.axes
    if axes is None or 0 in axes or operation.kind not in ("reduce_sum", "reduce_max"):
        return None
    if axis not in axes:
        return along.Local(dropped=() if operation.kept else axes)
    if operation.how == "max":
        return along.Largest(axes)
    return along.Total(axes, mean=operation.how == "mean") if operation.how in ("sum", "mean") else None


def _along_axes(operation: does.AlongAxes, operands: Operands, shape: Any, axis: int) -> Found:
    rank = max(len(operand.shape) + 1 for operand in operands if operand.axis is not None)
    axes = tuple(a % rank for a in operation.axes or ())
    if not axes or 0 in axes:
        return None
    if operation.kind == "reverse":
        return along.Mirror(axes)
    if axis in axes or operation.kind not in ("concat", "split", "softmax", "log_softmax", "glu"):
        return None
    # An operand that is one number is the axis.
    arrays = [o for o in operands if o.value is None or o.value.ndim]
    if operation.kind == "concat" and any(o.axis != axis for o in arrays):
        return None
    return along.Local()


def _slice(operation: does.Slice, operands: Operands, shape: Any, axis: int) -> Found:
    x = operands[0].shape
    stretches = {a: operation.positions(a, x[a - 1]) for a in operation.stretches}
    if axis in operation.dropped or any(s.step < 1 for s in stretches.values()):
        return None
    return along.Cut(stretches)


def _pad(operation: does.Pad, operands: Operands, shape: Any, axis: int) -> Found:
    widths = operation.widths.get(axis, (0, 0))
    if min(widths) < 0 or any(any(w) for a, w in operation.widths.items() if a != axis):
        return None
    return along.ZeroPad(widths[0])


def _transpose(operation: does.Transpose, operands: Operands, shape: Any, axis: int) -> Found:
    return None if operation.order[0] != 0 else along.Permute(operation.order)


def _normalise(operation: does.Normalise, operands: Operands, shape: Any, axis: int) -> Found:
    constant = all(operand.value is not None for operand in operands[1:])
    return (
        along.Local() if constant and axis != operation.channel_axis % (len(operands[0].shape) + 1) else None
    )


def _standardise(operation: does.Standardise, operands: Operands, shape: Any, axis: int) -> Found:
    return along.Local() if axis < operation.first_axis and operands[0].axis is not None else None


def _matmul(operation: does.MatMul, operands: Operands, shape: Any, axis: int) -> Found:
    left, weight = operands[operation.left], operands[operation.right].value
    if not operation.plain or operation.transposed[0] or left.axis is None or weight is None:
        return None
    if operation.added is not None and operands[operation.added].value is None:
        return None
    rank = len(left.shape) + 1
    if rank == 2:
        return along.Dense(weight.T if operation.transposed[1] else weight)
    alone = operation.added is None and weight.ndim == 2
    return along.Scale(broadcasts=False) if alone and axis < rank - 1 else None


def _space_to_batch(operation: does.SpaceToBatch, operands: Operands, shape: Any, axis: int) -> Found:
    sizes, pads = operation.sizes, operation.padding
    if sizes is None or pads is None or axis > len(sizes):
        return None
    others = [i for i in range(len(sizes)) if i != axis - 1]
    if any(sizes[i] != 1 or pads[i] != (0, 0) for i in others):
        return None
    kind = along.Blocks if operation.kind == "space_to_batch" else along.Unblocks
    return kind(sizes[axis - 1], pads[axis - 1][0])


_READERS: dict[type, Callable[[Any, Operands, Any, int], Found]] = {
    does.AlongAxes: _along_axes,
    does.Convolution: _convolution,
    does.MatMul: _matmul,
    does.Normalise: _normalise,
    does.Pad: _pad,
    does.Pool: _pool,
    does.Reduce: _reduce,
    does.Slice: _slice,
    does.SpaceToBatch: _space_to_batch,
    does.Standardise: _standardise,
    does.Transpose: _transpose,
}
