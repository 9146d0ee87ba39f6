"""What an operation does along the positions, from its description and the axis of the positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.position_ops import (
    Blocks,
    Convolve,
    Cut,
    Dense,
    Largest,
    Local,
    Mirror,
    Operand,
    Permute,
    PoolPositions,
    PositionOp,
    SameElements,
    Scale,
    Sum,
    Total,
    Unblocks,
    ZeroPad,
)
from kipoi_tfbind.graph.operations import (
    BROADCASTING,
    Add,
    AlongAxes,
    Convolution,
    MatMul,
    Normalise,
    Pad,
    Pool,
    Reduce,
    Slice,
    SpaceToBatch,
    Standardise,
    Transpose,
)
from kipoi_tfbind.graph.position_kernel import PositionKernel


def along_positions(node: Node, operands: Sequence[Operand], shape: tuple[int, ...]) -> PositionOp | None:
    """What a node does along the positions of those of its operands that have some.

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
    if isinstance(operation, Add) and operation.plain:
        return Sum()
    if kind == "reshape" or (kind == "identity" and len(operands) == 1):
        return SameElements()
    by_constant = len(operands) == 2 and operands[0].axis is not None and operands[1].value is not None
    if kind in ("product", "ratio") and by_constant:
        return Scale()
    if kind in BROADCASTING:
        return Local(broadcasts=True)
    axis = next(operand.axis for operand in operands if operand.axis is not None)
    if axis == 0:
        return _on_rows(operation, operands)
    reader = _READERS.get(type(operation))
    return None if reader is None else reader(operation, operands, shape, axis)


def _on_rows(operation: Any, operands: Sequence[Operand]) -> PositionOp | None:
    """Of values whose positions are merged with the batch: a dense layer at each position."""
    if not isinstance(operation, MatMul) or not operation.plain or operation.transposed[0]:
        return None
    if operands[operation.left].axis != 0 or operands[operation.right].value is None:
        return None
    return Scale(broadcasts=False) if operation.added is None else Local()


def _convolution(
    operation: Convolution, operands: Sequence[Operand], shape: Any, axis: int
) -> PositionOp | None:
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
    return Convolve(PositionKernel(weights, operation.strides[spatial], operation.dilations[spatial], before))


def _pool(operation: Pool, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    length, size, maximum = operands[0].shape[axis - 1], operation.sizes[axis - 1], operation.maximum
    if any(n != 1 for i, n in enumerate(operation.sizes, start=1) if i != axis):
        return None
    covers = operation.covers(axis, length)
    if not (maximum or covers):
        return None  # A mean over fewer positions at the ends.
    if covers and size == length and shape[axis - 1] == 1:
        return Largest((axis,)) if maximum else Total((axis,), mean=True)
    return PoolPositions(size, operation.strides[axis - 1], operation.before(axis, length), maximum)


def _reduce(operation: Reduce, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    axes = operation.axes
    if axes is None or 0 in axes or operation.kind not in ("reduce_sum", "reduce_max"):
        return None
    if axis not in axes:
        return Local(dropped=() if operation.kept else axes)
    if operation.how == "max":
        return Largest(axes)
    return Total(axes, mean=operation.how == "mean") if operation.how in ("sum", "mean") else None


def _along_axes(
    operation: AlongAxes, operands: Sequence[Operand], shape: Any, axis: int
) -> PositionOp | None:
    rank = max(len(operand.shape) + 1 for operand in operands if operand.axis is not None)
    axes = tuple(a % rank for a in operation.axes or ())
    if not axes or 0 in axes:
        return None
    if operation.kind == "reverse":
        return Mirror(axes)
    if axis in axes or operation.kind not in ("concat", "split", "softmax", "log_softmax", "glu"):
        return None
    # An operand that is one number is the axis.
    arrays = [o for o in operands if o.value is None or o.value.ndim]
    if operation.kind == "concat" and any(o.axis != axis for o in arrays):
        return None
    return Local()


def _slice(operation: Slice, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    x = operands[0].shape
    stretches = {a: operation.positions(a, x[a - 1]) for a in operation.stretches}
    if axis in operation.dropped or any(s.step < 1 for s in stretches.values()):
        return None
    return Cut(stretches)


def _pad(operation: Pad, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    widths = operation.widths.get(axis, (0, 0))
    if min(widths) < 0 or any(any(w) for a, w in operation.widths.items() if a != axis):
        return None
    return ZeroPad(widths[0])


def _transpose(operation: Transpose, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    return None if operation.order[0] != 0 else Permute(operation.order)


def _normalise(operation: Normalise, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    constant = all(operand.value is not None for operand in operands[1:])
    return Local() if constant and axis != operation.channel_axis % (len(operands[0].shape) + 1) else None


def _standardise(
    operation: Standardise, operands: Sequence[Operand], shape: Any, axis: int
) -> PositionOp | None:
    return Local() if axis < operation.first_axis and operands[0].axis is not None else None


def _matmul(operation: MatMul, operands: Sequence[Operand], shape: Any, axis: int) -> PositionOp | None:
    left, weight = operands[operation.left], operands[operation.right].value
    if not operation.plain or operation.transposed[0] or left.axis is None or weight is None:
        return None
    if operation.added is not None and operands[operation.added].value is None:
        return None
    rank = len(left.shape) + 1
    if rank == 2:
        return Dense(weight.T if operation.transposed[1] else weight)
    alone = operation.added is None and weight.ndim == 2
    return Scale(broadcasts=False) if alone and axis < rank - 1 else None


def _space_to_batch(
    operation: SpaceToBatch, operands: Sequence[Operand], shape: Any, axis: int
) -> PositionOp | None:
    sizes, pads = operation.sizes, operation.padding
    if sizes is None or pads is None or axis > len(sizes):
        return None
    others = [i for i in range(len(sizes)) if i != axis - 1]
    if any(sizes[i] != 1 or pads[i] != (0, 0) for i in others):
        return None
    kind = Blocks if operation.kind == "space_to_batch" else Unblocks
    return kind(sizes[axis - 1], pads[axis - 1][0])


_READERS: dict[type, Callable[[Any, Sequence[Operand], Any, int], PositionOp | None]] = {
    AlongAxes: _along_axes,
    Convolution: _convolution,
    MatMul: _matmul,
    Normalise: _normalise,
    Pad: _pad,
    Pool: _pool,
    Reduce: _reduce,
    Slice: _slice,
    SpaceToBatch: _space_to_batch,
    Standardise: _standardise,
    Transpose: _transpose,
}
