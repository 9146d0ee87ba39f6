"""TensorFlow's operations in neutral terms: what their attributes and operands say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kipoi_tfbind.graph import operations as does
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.tensorflow.kinds import FUNCTION_OF, KIND_OF, OPERATIONS_OF

# Attributes that describe the trace and not the operation; a gradient of the user's own does not count, since
# the rules go by what is computed (TensorFlow's own swish has one).
_NOT_OF_THE_OPERATION = ("_output_shapes", "_class", "_gradient_op_type")


@dataclass(frozen=True)
class Call:
    """An operation's attributes, and the types of its outputs."""

    attrs: Mapping[str, Any]
    dtypes: tuple[tf.DType, ...]


@dataclass(frozen=True)
class _Called:
    """One operation: its attributes, and shapes and known values of its operands."""

    name: str
    kind: str
    attrs: Mapping[str, Any]
    operands: Sequence[tf.TensorShape]
    known: Sequence[Any]

    @property
    def channels_last(self) -> bool:
        """Whether the channels are the last axis."""
        return self.attrs["data_format"].s in (b"NHWC", b"NDHWC")

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list."""
        return tuple(self.attrs[name].list.i)

    def axes(self, i: int, of: int = 0) -> tuple[int, ...] | None:
        """Operand `i` as axes of another one, counted from the first; None where they are not known."""
        rank = self.operands[of].rank
        if self.known[i] is None:
            return None
        return tuple(sorted(int(a) % rank if rank else int(a) for a in np.atleast_1d(self.known[i])))

    def padding(self, n_axes: int) -> tuple[tuple[int, int] | None, ...]:
        """Padding of the first axes; None for as many positions as are needed."""
        how = self.attrs["padding"].s
        if how == b"EXPLICIT":
            pads = self.integers("explicit_paddings")
            return tuple((pads[2 * i], pads[2 * i + 1]) for i in range(n_axes))
        return (None if how == b"SAME" else (0, 0),) * n_axes


def describe(operation: tf.Operation, inputs: tuple[Ref, ...], known: Sequence[Any]) -> Node:
    """The node for an operation of a TensorFlow graph; `known` are its operands' values, or None."""
    layer = layer_of(operation)
    if operation.type == "Const":
        value = tf.make_ndarray(operation.get_attr("value"))
        return Node("Const", does.Operation("constant"), (), value, layer)
    attrs = {
        name: value
        for name, value in operation.node_def.attr.items()
        if name not in _NOT_OF_THE_OPERATION and not name.startswith("_grappler")
    }
    kind = KIND_OF.get(operation.type, "")
    shapes = [tensor.shape for tensor in operation.inputs]
    found = _operation(_Called(operation.type, kind, attrs, shapes, known))
    call = Call(attrs, tuple(t.dtype for t in operation.outputs))
    return Node(
        operation.type, found, inputs, call, layer, len(operation.outputs), keeps_rows=_keeps_rows(found)
    )


def _operation(called: _Called) -> does.Operation:
    if called.name in FUNCTION_OF:
        return does.Elementwise(function=FUNCTION_OF[called.name])
    if called.kind == "elementwise_pair":
        return does.Elementwise(kind=called.kind, function=called.name.lower())
    reader = _READERS.get(called.name)
    found = None if reader is None else reader(called)
    return does.Operation(called.kind) if found is None else found


def _keeps_rows(operation: does.Operation) -> bool:
    if not isinstance(operation, does.AlongAxes):
        return True
    return operation.axes is not None and 0 not in operation.axes


def _convolution(called: _Called) -> does.Operation:
    strides = called.integers("strides")
    n, first = len(strides) - 2, 1 if called.channels_last else 2
    spatial = slice(first, first + n)
    x, kernel = called.operands[:2]
    depthwise, transposed = called.name.startswith("Depthwise"), "Backprop" in called.name
    groups = 1
    if not (depthwise or transposed) and x.rank and kernel.rank:
        n_channels, n_in = x[-1 if called.channels_last else 1], kernel[-2]
        groups = n_channels // n_in if n_channels and n_in else 1
    return does.Convolution(
        strides=strides[spatial],
        dilations=(called.integers("dilations") or (1,) * (n + 2))[spatial],
        padding=called.padding(n + 2)[spatial],
        channels_last=called.channels_last,
        order=tuple(range(n + 2)),
        groups=groups,
        depthwise=depthwise,
        transposed=transposed,
    )


def _pool(called: _Called) -> does.Operation:
    sizes, strides = called.integers("ksize"), called.integers("strides")
    padding = called.padding(len(sizes))
    return does.Pool(kind=called.kind, sizes=sizes[1:], strides=strides[1:], padding=padding[1:])


def _reduce(called: _Called) -> does.Operation:
    kept = called.attrs["keep_dims"].b
    return does.Reduce(kind=called.kind, axes=called.axes(1), how=called.name.lower(), kept=kept)


def _strided_slice(called: _Called) -> does.Operation | None:
    attrs, rank = called.attrs, called.operands[0].rank
    if any(value is None for value in called.known[1:4]) or attrs["new_axis_mask"].i or not rank:
        return None
    begin, end, step = (list(value) for value in called.known[1:4])
    masks = {name: attrs[f"{name}_mask"].i for name in ("begin", "end", "shrink_axis")}
    stretches: dict[int, tuple[int | None, int | None, int]] = {}
    dropped = []
    for k, axis in _axes_of_slice(len(begin), attrs["ellipsis_mask"].i, rank):
        whole = {name: bool(mask >> k & 1) for name, mask in masks.items()}
        first, last = (None if whole["begin"] else int(begin[k])), (None if whole["end"] else int(end[k]))
        if whole["shrink_axis"]:
            dropped.append(axis)
            first = int(begin[k])
            last = first + 1 if first != -1 else None
        stretches[axis] = first, last, int(step[k])
    return _sliced(stretches, tuple(dropped))


def _axes_of_slice(n: int, ellipsis: int, rank: int) -> list[tuple[int, int]]:
    """Which entry of a slice is for which axis."""
    if not ellipsis:
        return [(k, k) for k in range(n)]
    at = ellipsis.bit_length() - 1
    return [(k, k if k < at else k - n + rank) for k in range(n) if k != at]


def _slice(called: _Called) -> does.Operation | None:
    begin, size = called.known[1:3]
    if begin is None or size is None:
        return None
    ends = [int(b + n) if n >= 0 else None for b, n in zip(begin, size, strict=True)]
    return _sliced(
        {i: (int(b) or None, end, 1) for i, (b, end) in enumerate(zip(begin, ends, strict=True))}, ()
    )


def _sliced(
    stretches: dict[int, tuple[int | None, int | None, int]], dropped: tuple[int, ...]
) -> does.Operation:
    if 0 in dropped or stretches.pop(0, (None, None, 1)) != (None, None, 1):
        return does.AlongAxes(kind="slice", axes=(0,))
    return does.Slice(stretches=stretches, dropped=dropped)


def _pad(called: _Called) -> does.Operation | None:
    filling = called.known[2] if len(called.known) > 2 else 0
    if called.known[1] is None or filling is None or np.any(filling != 0):
        return None
    return does.Pad(widths={axis: (int(a), int(b)) for axis, (a, b) in enumerate(called.known[1])})


def _along(i: int, of: int = 0) -> Callable[[_Called], does.Operation]:
    return lambda called: does.AlongAxes(kind=called.kind, axes=called.axes(i, of))


def _along_first(called: _Called) -> does.Operation:
    return does.AlongAxes(kind=called.kind, axes=(0,))


def _softmax(called: _Called) -> does.Operation:
    return does.AlongAxes(kind=called.kind, axes=((called.operands[0].rank or 0) - 1,))


def _tile(called: _Called) -> does.Operation:
    multiples = called.known[1]
    axes = None if multiples is None else tuple(int(axis) for axis in np.flatnonzero(multiples != 1))
    return does.AlongAxes(kind=called.kind, axes=axes)


def _transpose(called: _Called) -> does.Operation | None:
    order = called.known[1]
    return None if order is None else does.Transpose(order=tuple(int(axis) for axis in order))


def _batch_norm(called: _Called) -> does.Operation:
    if called.attrs["is_training"].b:
        return does.Operation()  # Its result depends on the other sequences of the batch.
    return does.Normalise(channel_axis=(called.operands[0].rank or 0) - 1 if called.channels_last else 1)


def _matmul(called: _Called) -> does.Operation:
    names = ("transpose_a", "transpose_b") if called.name == "MatMul" else ("adj_x", "adj_y")
    return does.MatMul(transposed=(called.attrs[names[0]].b, called.attrs[names[1]].b))


def _space_to_batch(called: _Called) -> does.Operation:
    sizes, pads = called.known[1:3]
    return does.SpaceToBatch(
        kind=called.kind,
        sizes=None if sizes is None else tuple(int(n) for n in sizes),
        padding=None if pads is None else tuple((int(a), int(b)) for a, b in pads),
    )


_READERS: dict[str, Callable[[_Called], does.Operation | None]] = {
    **dict.fromkeys(("Add", "AddV2", "AddN", "BiasAdd"), lambda called: does.Add(plain=True)),
    **dict.fromkeys(("Sub", "Neg", "BiasAddV1"), lambda called: does.Add()),
    **dict.fromkeys(("Squeeze", "ExpandDims"), lambda called: does.Reshape(ones_only=True)),
    **dict.fromkeys(("Conv2D", "Conv3D", "DepthwiseConv2dNative"), _convolution),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _convolution),
    **dict.fromkeys(("MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D"), _pool),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min"), _reduce),
    **dict.fromkeys(("Pad", "PadV2"), _pad),
    **dict.fromkeys(("Gather", "GatherNd", "ScatterNd"), _along_first),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _batch_norm),
    **dict.fromkeys(OPERATIONS_OF["matmul"].split(), _matmul),
    **dict.fromkeys(("SpaceToBatchND", "BatchToSpaceND"), _space_to_batch),
    "Concat": _along(0, 1),
    "ConcatV2": _along(-1),
    "DepthwiseConv2dNativeBackpropInput": _convolution,
    "Einsum": lambda called: does.Contraction("einsum"),
    "GatherV2": _along(2),
    "Reshape": lambda called: does.Reshape(),
    "ReverseV2": _along(1),
    "Slice": _slice,
    "Split": _along(0, 1),
    "SplitV": _along(2),
    "StridedSlice": _strided_slice,
    "Tile": _tile,
    "Transpose": _transpose,
}


def layer_of(operation: tf.Operation) -> str:
    """The part of an operation's name that tells its layer: without the calls around it and itself."""
    parts = [
        part
        for part in operation.name.split("/")
        if not part.startswith(("StatefulPartitionedCall", "PartitionedCall"))
    ]
    return "/".join(parts[:-1])


def converted(attrs: Mapping[str, Any], source: tf.DType, target: tf.DType) -> dict[str, Any]:
    """Attributes with `target` wherever they say `source`."""
    old, new = source.as_datatype_enum, target.as_datatype_enum
    result = {}
    for name, value in attrs.items():
        changed = tf.compat.v1.AttrValue()
        changed.CopyFrom(value)
        if changed.WhichOneof("value") == "type" and changed.type == old:
            changed.type = new
        elif changed.WhichOneof("value") == "list" and changed.list.type:
            changed.list.type[:] = [new if item == old else item for item in changed.list.type]
        result[name] = changed
    return result
