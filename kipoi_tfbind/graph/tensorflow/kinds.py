"""TensorFlow's operations by kind."""

from __future__ import annotations

# Kind by operation. "linear" in the sense of the rules: linear (or affine) in its floating-point inputs.
OPERATIONS_OF = {
    "identity": "Identity IdentityN StopGradient PreventGradient CheckNumerics EnsureShape Snapshot DeepCopy",
    "reshape": "Reshape Squeeze ExpandDims",
    "cast": "Cast",
    "transpose": "Transpose ConjugateTranspose",
    "space_to_batch": "SpaceToBatchND SpaceToBatch",
    "batch_to_space": "BatchToSpaceND BatchToSpace",
    "add": "Add AddV2 AddN Sub Neg BiasAdd BiasAddV1",
    "concat": "Concat ConcatV2",
    "pad": "Pad PadV2 MirrorPad",
    "slice": "StridedSlice Slice",
    "split": "Split SplitV",
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
    "ratio": "RealDiv Div DivNoNan",
    "squared_difference": "SquaredDifference",
    "elementwise_pair": "Pow Maximum Minimum Xdivy Xlogy Xlog1py Atan2 FloorMod",
    "max_pool": "MaxPool MaxPoolV2 MaxPool3D",
    "reduce_max": "Max Min",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "select": "Select SelectV2",
    # What depends on the shapes only, as long as all values are finite.
    "shape_of": "Shape",
    "shape": "ShapeN Size Rank ZerosLike OnesLike IsFinite IsInf IsNan",
    "steps": "Range Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalNot "
    "ArgMax ArgMin OneHot Where All Any",
}

# The elementwise functions, by the name that the rules know them by.
FUNCTION_OF = {
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

KIND_OF = {operation: kind for kind, names in OPERATIONS_OF.items() for operation in names.split()}
