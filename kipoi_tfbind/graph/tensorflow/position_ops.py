"""What TensorFlow's operations do along the positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.position_ops import (
    BROADCASTING,
    Blocks,
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
    Unblocks,
    ZeroPad,
)

_HOW = {"Sum": "sum", "Mean": "mean", "Max": "max"}


def tensorflow_geometry(node: Node, operands: Sequence[Operand], shape: tuple[int, ...]) -> Geometry | None:
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
    geometry
        None where it is not known, or is something that no other part knows how to follow.
    """
    if node.operation in ("AddV2", "Add", "BiasAdd", "AddN"):
        return Sum()
    if node.kind == "reshape" or (node.kind == "identity" and len(operands) == 1):
        return Reshape()
    if (
        node.operation in ("Mul", "RealDiv")
        and operands[0].axis is not None
        and operands[1].value is not None
    ):
        return Scale()
    if node.kind in BROADCASTING:
        return Local(broadcasts=True)
    axis = next((operand.axis for operand in operands if operand.axis is not None), None)
    if axis is None or axis == 0:
        return _on_rows(node, operands)
    reader = _READERS.get(node.operation)
    return None if reader is None else reader(node, operands, axis)


def _on_rows(node: Node, operands: Sequence[Operand]) -> Geometry | None:
    """Of values whose positions are merged with the batch: a dense layer at each position."""
    if node.operation == "MatMul" and operands[0].axis == 0 and operands[1].value is not None:
        return None if node.attributes["attrs"]["transpose_a"].b else Scale(broadcasts=False)
    if node.kind == "concat" and all(o.axis != 0 for o in operands):
        return _concat(node, operands, 0)
    return None


def _convolution(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    attrs, (x, kernel) = node.attributes["attrs"], operands[:2]
    if attrs["data_format"].s != b"NHWC" or kernel.value is None or axis not in (1, 2):
        return None
    weights = kernel.value
    if node.operation == "DepthwiseConv2dNative":
        weights = _depthwise(weights)
    n_groups = x.shape[2] // weights.shape[2]
    if n_groups > 1:
        weights = _grouped(weights, n_groups)
    other = 3 - axis
    padding = attrs["padding"].s.decode()
    explicit = list(attrs["explicit_paddings"].list.i) or [0] * 8
    if weights.shape[other - 1] != x.shape[other - 1] or explicit[2 * other] or explicit[2 * other + 1]:
        return None
    if padding == "SAME" and weights.shape[other - 1] > 1:
        return None
    dilations = list(attrs["dilations"].list.i) or [1, 1, 1, 1]
    stride, dilation = attrs["strides"].list.i[axis], dilations[axis]
    # (tap, other axis, channels in, channels out): the other axis and the channels in are what is left of x.
    weights = np.moveaxis(weights, axis - 1, 0)
    weights = weights.reshape(len(weights), -1, weights.shape[-1])
    span = (len(weights) - 1) * dilation + 1
    before = {
        "VALID": 0,
        "SAME": _same_padding(x.shape[axis - 1], span, stride),
        "EXPLICIT": explicit[2 * axis],
    }[padding]
    return Convolution(weights, stride, dilation, before)


def _depthwise(weights: NDArray) -> NDArray:
    """The kernel of the ordinary convolution that a depthwise one (height, width, channel, multiple) is."""
    height, width, n, multiple = weights.shape
    dense = np.zeros((height, width, n, n, multiple), weights.dtype)
    for channel in range(n):
        dense[:, :, channel, channel] = weights[:, :, channel]
    return dense.reshape(height, width, n, n * multiple)


def _grouped(weights: NDArray, n_groups: int) -> NDArray:
    """The kernel of the ordinary convolution that one of several groups of channels is."""
    height, width, n_in, n_out = weights.shape
    dense = np.zeros((height, width, n_groups, n_in, n_groups, n_out // n_groups), weights.dtype)
    for group, part in enumerate(np.split(weights, n_groups, axis=3)):
        dense[:, :, group, :, group] = part
    return dense.reshape(height, width, n_groups * n_in, n_out)


def _same_padding(length: int, span: int, stride: int) -> int:
    n_out = -(-length // stride)
    return max((n_out - 1) * stride + span - length, 0) // 2


def _pool(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    attrs, x = node.attributes["attrs"], operands[0]
    sizes, strides = list(attrs["ksize"].list.i), list(attrs["strides"].list.i)
    if attrs["data_format"].s not in (b"NHWC", b"NDHWC") or any(
        size != 1 for i, size in enumerate(sizes) if i != axis
    ):
        return None
    maximum = node.kind == "max_pool"
    before, padding = 0, attrs["padding"].s
    if padding == b"SAME":
        before = _same_padding(x.shape[axis - 1], sizes[axis], strides[axis])
        covered = x.shape[axis - 1] % strides[axis] == 0 and sizes[axis] == strides[axis]
        if not maximum and not covered:
            return None  # A mean over fewer positions at the ends.
    elif padding != b"VALID":
        return None
    return Pool(sizes[axis], strides[axis], before, maximum)


def _reduce(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    if operands[1].value is None:
        return None
    rank = len(operands[0].shape) + 1
    axes = tuple(sorted(int(a) % rank for a in np.atleast_1d(operands[1].value)))
    if 0 in axes:
        return None
    if axis not in axes:
        return Local(dropped=() if node.attributes["attrs"]["keep_dims"].b else axes)
    how = _HOW.get(node.operation)
    return None if how is None else Reduce(axes, how)


def _strided_slice(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    attrs, shape = node.attributes["attrs"], operands[0].shape
    values = [operand.value for operand in operands[1:]]
    if any(value is None for value in values) or attrs["new_axis_mask"].i:
        return None
    begin, end, step = (list(np.asarray(value)) for value in values)
    masks = {name: attrs[f"{name}_mask"].i for name in ("begin", "end", "shrink_axis")}
    stretches = {}
    for k, i in _axes_of_slice(len(begin), attrs["ellipsis_mask"].i, len(shape) + 1):
        whole = {name: bool(mask >> k & 1) for name, mask in masks.items()}
        if i == 0:
            if not (whole["begin"] and whole["end"]) or step[k] != 1:
                return None
            continue
        size = shape[i - 1]
        if whole["shrink_axis"]:
            at = int(begin[k]) % size
            chosen = range(at, at + 1)
        else:
            first, last = (None if whole["begin"] else int(begin[k])), (None if whole["end"] else int(end[k]))
            chosen = range(size)[first : last : int(step[k])]
        if int(step[k]) < 1 or (whole["shrink_axis"] and i == axis):
            return None
        stretches[i] = (chosen.start, len(chosen), int(step[k]))
    return Cut(stretches)


def _axes_of_slice(n: int, ellipsis: int, rank: int) -> list[tuple[int, int]]:
    """Which entry of a slice is for which axis."""
    if not ellipsis:
        return [(k, k) for k in range(n)]
    at = ellipsis.bit_length() - 1
    return [(k, k if k < at else k - n + rank) for k in range(n) if k != at]


def _slice(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    begin, size = operands[1].value, operands[2].value
    if begin is None or size is None or begin[0] != 0 or size[0] != -1:
        return None
    return Cut(
        {
            i: (int(begin[i]), int(size[i]) if size[i] >= 0 else operands[0].shape[i - 1] - int(begin[i]), 1)
            for i in range(1, len(begin))
        }
    )


def _pad(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    paddings = operands[1].value
    if node.operation == "MirrorPad" or paddings is None:
        return None
    if len(operands) > 2 and (operands[2].value is None or np.any(operands[2].value != 0)):
        return None
    if any(np.any(paddings[i] != 0) for i in range(len(paddings)) if i != axis):
        return None
    return ZeroPad(int(paddings[axis][0]))


def _reverse(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    axes = operands[1].value
    if axes is None:
        return None
    rank = len(operands[0].shape) + 1
    found = tuple(int(a) % rank for a in np.atleast_1d(axes))
    return None if 0 in found else Reverse(found)


def _concat(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    along, first = operands[-1].value, next((o for o in operands if o.axis is not None), None)
    if along is None or first is None or node.operation != "ConcatV2":
        return None
    if any(o.axis != first.axis for o in operands[:-1]):
        return None
    return None if int(along) % (len(first.shape) + 1) in (0, first.axis) else Local()


def _split(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    along = operands[0].value
    return None if along is None or int(along) % (len(operands[1].shape) + 1) in (0, axis) else Local()


def _transpose(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    order = operands[1].value
    return None if order is None or order[0] != 0 else Permute(tuple(int(i) for i in order))


def _softmax(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    return None if axis == len(operands[0].shape) else Local()


def _batch_norm(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    channels_last = node.attributes["attrs"]["data_format"].s in (b"NHWC", b"NDHWC")
    constant = all(operand.value is not None for operand in operands[1:])
    return Local() if node.kind == "normalise" and channels_last and constant else None


def _matmul(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    weight, attrs = operands[1].value, node.attributes["attrs"]
    names = ("transpose_a", "transpose_b") if node.operation == "MatMul" else ("adj_x", "adj_y")
    if weight is None or attrs[names[0]].b:
        return None
    rank = len(operands[0].shape) + 1
    if rank == 2:
        return Linear(weight.T if attrs[names[1]].b else weight)
    return Scale(broadcasts=False) if axis < rank - 1 and weight.ndim == 2 else None


def _blocks(node: Node, operands: Sequence[Operand], axis: int) -> Geometry | None:
    size, pads = operands[1].value, operands[2].value
    if size is None or pads is None or axis > len(size) or any(n != 1 for n in np.delete(size, axis - 1)):
        return None
    if np.any(np.delete(pads, axis - 1, axis=0) != 0):
        return None
    kind = Blocks if node.kind == "space_to_batch" else Unblocks
    return kind(int(size[axis - 1]), int(pads[axis - 1][0]))


_READERS: dict[str, Callable[[Node, Sequence[Operand], int], Geometry | None]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "MaxPool": _pool,
    "AvgPool": _pool,
    "Sum": _reduce,
    "Mean": _reduce,
    "Max": _reduce,
    "Min": _reduce,
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "Pad": _pad,
    "PadV2": _pad,
    "ReverseV2": _reverse,
    "ConcatV2": _concat,
    "Split": _split,
    "Transpose": _transpose,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "FusedBatchNormV3": _batch_norm,
    "FusedBatchNormV2": _batch_norm,
    "FusedBatchNorm": _batch_norm,
    "MatMul": _matmul,
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "SpaceToBatchND": _blocks,
    "BatchToSpaceND": _blocks,
}
