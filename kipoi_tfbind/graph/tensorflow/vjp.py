"""TensorFlow's own vector-Jacobian products of single nodes, and faster ones where there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.ops import get_gradient_function

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.deeplift.convolution_1d import along_positions
from kipoi_tfbind.graph.deeplift.convolution_gradient import ConvolutionGradient
from kipoi_tfbind.graph.graph import Node, unsupported
from kipoi_tfbind.graph.operations import Convolution
from kipoi_tfbind.graph.vjp import VJP

Run = Callable[[Node, Sequence[Any]], list[Any]]


def node_vjp(
    run: Run, ops: ArrayOps, node: Node, values: Sequence[Any], wanted: Sequence[int]
) -> tuple[list[Any], VJP]:
    """Outputs of a node and its vector-Jacobian product for some inputs; `run` runs a node."""
    outputs = run(node, values)
    if node.kind == "identity":
        # StopGradient and the like have no gradient, and are the identity all the same.
        def same(cotangents: Sequence[Any], n_targets: Any = None) -> list[Any]:
            return [cotangents[k] for k in wanted]

        return outputs, VJP(same, same)
    if node.name == "Conv2D" and list(wanted) == [0]:
        return outputs, _convolution(ops, node, values)

    def of_targets(cotangents: Sequence[Any], n_targets: Any) -> list[Any]:
        if node.name == "MatMul" and list(wanted) == [0]:
            attrs = node.call.attrs
            if not attrs["transpose_a"].b:
                return [tf.matmul(cotangents[0], values[1], transpose_b=not attrs["transpose_b"].b)]
        if node.kind == "reshape":
            return [tf.reshape(cotangents[0], _with_targets(values[0], n_targets))]
        # The gradient takes no more than the shapes from the inputs.
        wide = [
            tf.zeros(_with_targets(x, n_targets), x.dtype) if k in wanted else x for k, x in enumerate(values)
        ]
        for k in wanted:
            wide[k].set_shape([None, *values[k].shape[1:]])
        return _gradients(node, run(node, wide), cotangents, wanted)

    return outputs, VJP(lambda cotangents: _gradients(node, outputs, cotangents, wanted), of_targets)


def _with_targets(x: Any, n_targets: Any) -> Any:
    """The shape of an array with so many times its rows."""
    shape = tf.shape(x)
    static = x.shape.as_list()
    return [
        n_targets * shape[0],
        *(shape[i] if static[i] is None else static[i] for i in range(1, len(static))),
    ]


def _gradients(
    node: Node, outputs: Sequence[Any], cotangents: Sequence[Any], wanted: Sequence[int]
) -> list[Any]:
    operation = outputs[0].op
    given = [tf.zeros_like(y) if c is None else c for c, y in zip(cotangents, outputs, strict=True)]
    try:
        gradients = get_gradient_function(operation)(operation, *given)
    except LookupError:
        raise unsupported(node, "TensorFlow has no gradient for it") from None
    gradients = gradients if isinstance(gradients, list | tuple) else [gradients]
    return [None if gradients[k] is None else tf.convert_to_tensor(gradients[k]) for k in wanted]


def _convolution(ops: ArrayOps, node: Node, values: Sequence[Any]) -> VJP:
    operation, (x, kernel) = node.operation, values
    if not isinstance(operation, Convolution):
        raise TypeError(f"{node.name}: expected the description of a convolution, got {operation}")
    attrs = node.call.attrs

    def of_group(cotangent: Any, kernel: Any, n_targets: Any) -> Any:
        rows, *sizes = tf.unstack(tf.shape(x))
        if operation.channels_last:
            sizes[-1] = tf.shape(kernel)[2]
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.stack([n_targets * rows, *sizes]),
            filter=kernel,
            out_backprop=cotangent,
            strides=list(attrs["strides"].list.i),
            padding=attrs["padding"].s.decode(),
            explicit_paddings=list(attrs["explicit_paddings"].list.i),
            data_format=attrs["data_format"].s.decode(),
            dilations=list(attrs["dilations"].list.i) or [1, 1, 1, 1],
        )

    def native(cotangent: Any, n_targets: Any) -> Any:
        groups = operation.groups
        if groups == 1 or not operation.channels_last:
            return of_group(cotangent, kernel, n_targets)
        # TensorFlow has no gradient of groups on a CPU.
        parts = zip(tf.split(cotangent, groups, 3), tf.split(kernel, groups, 3), strict=True)
        return tf.concat([of_group(part, some, n_targets) for part, some in parts], 3)

    return ConvolutionGradient(ops, x, along_positions(ops, operation, x, kernel), native).vjp()
