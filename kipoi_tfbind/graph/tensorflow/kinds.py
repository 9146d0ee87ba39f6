"""What kind of node each TensorFlow operation is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kipoi_tfbind.graph.graph import Node, Ref

# Kind by operation. "linear" in the sense of the rules: linear (or affine) in its floating-point inputs.
_OPERATIONS_OF = {
    "identity": "Identity IdentityN StopGradient PreventGradient CheckNumerics EnsureShape Snapshot DeepCopy",
    "reshape": "Reshape Squeeze ExpandDims",
    "cast": "Cast",
    "transpose": "Transpose ConjugateTranspose",
    "space_to_batch": "SpaceToBatchND SpaceToBatch",
    "batch_to_space": "BatchToSpaceND BatchToSpace",
    "add": "Add AddV2 AddN Sub Neg BiasAdd BiasAddV1",
    "concat": "Concat ConcatV2",
    "pad": "Pad PadV2 MirrorPad",
    "slice": "StridedSlice Slice Split SplitV",
    "stack": "Pack",
    "unstack": "Unpack",
    "gather": "Gather GatherV2 GatherNd",
    "scatter": "ScatterNd TensorScatterAdd TensorScatterUpdate DynamicStitch ParallelDynamicStitch",
    "reverse": "Reverse ReverseV2 ReverseSequence Roll",
    "reduce_sum": "Sum Mean SegmentSum UnsortedSegmentSum",
    "average_pool": "AvgPool AvgPool3D",
    "cumulative_sum": "Cumsum",
    "broadcast": "BroadcastTo Tile Fill",
    "resize": "ResizeBilinear ResizeNearestNeighbor ResizeBicubic SpaceToDepth DepthToSpace",
    "linear": "MatrixDiag MatrixDiagV2 MatrixDiagV3 MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 "
    "MatrixBandPart ExtractImagePatches Real",
    "normalise": "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3",
    "matmul": "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3",
    "einsum": "Einsum",
    "convolution": "Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2 "
    "DepthwiseConv2dNativeBackpropInput Conv",
    "product": "Mul MulNoNan",
    "ratio": "RealDiv Div DivNoNan Xdivy",
    "elementwise_pair": "Pow SquaredDifference Maximum Minimum Xlogy Xlog1py Atan2 FloorMod",
    "max_pool": "MaxPool MaxPoolV2 MaxPool3D",
    "reduce_max": "Max Min",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "select": "Select SelectV2",
    # What depends on the shapes only, as long as all values are finite.
    "shape": "Shape ShapeN Size Rank ZerosLike OnesLike IsFinite IsInf IsNan",
    "steps": "Range Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalNot "
    "ArgMax ArgMin OneHot Where All Any",
}

# The elementwise functions, by the name that the rules know them by.
_FUNCTION_OF = {
    "Abs": "abs",
    "ClipByValue": "clamp",
    "Asinh": "asinh",
    "Atan": "atan",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Elu": "elu",
    "Erf": "erf",
    "Erfc": "erfc",
    "Exp": "exp",
    "Expm1": "expm1",
    "Floor": "floor",
    "Inv": "reciprocal",
    "LeakyRelu": "leaky_relu",
    "Log": "log",
    "Log1p": "log1p",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Relu6": "relu6",
    "Rint": "round",
    "Round": "round",
    "Rsqrt": "rsqrt",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Square": "square",
    "Tan": "tan",
    "Tanh": "tanh",
}

_KIND_OF = {operation: kind for kind, names in _OPERATIONS_OF.items() for operation in names.split()}

# Attributes that describe the trace and not the operation; a gradient of the user's own does not count, since
# the rules go by what is computed (TensorFlow's own swish has one).
_NOT_OF_THE_OPERATION = ("_output_shapes", "_class", "_gradient_op_type")


def describe(operation: tf.Operation, inputs: tuple[Ref, ...]) -> Node:
    """The node for an operation of a TensorFlow graph."""
    layer = _layer(operation.name)
    if operation.type == "Const":
        value = tf.make_ndarray(operation.get_attr("value"))
        return Node("Const", "constant", (), {"value": value}, layer)
    attrs = {
        name: value
        for name, value in operation.node_def.attr.items()
        if name not in _NOT_OF_THE_OPERATION and not name.startswith("_grappler")
    }
    attributes: dict[str, Any] = {"attrs": attrs, "dtypes": tuple(t.dtype for t in operation.outputs)}
    kind = _KIND_OF.get(operation.type, "")
    if operation.type in _FUNCTION_OF:
        kind = "elementwise"
        attributes["function"] = _FUNCTION_OF[operation.type]
    if kind == "normalise" and attrs["is_training"].b:
        kind = ""  # Its result depends on the other sequences of the batch.
    return Node(operation.type, kind, inputs, attributes, layer, len(operation.outputs))


def _layer(name: str) -> str:
    """The part of an operation's name that tells its layer: without the calls around it and itself."""
    parts = [
        part
        for part in name.split("/")
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
