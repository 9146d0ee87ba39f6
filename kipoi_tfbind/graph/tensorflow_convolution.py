"""The gradient of a grouped convolution, which TensorFlow does not have on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kipoi_tfbind.graph.graph import Node


def is_grouped(node: Node, inputs: Sequence[Any]) -> bool:
    """Whether a node is a convolution of several groups of channels, channels last."""
    if node.operation != "Conv2D" or node.attributes["attrs"]["data_format"].s != b"NHWC":
        return False
    x, kernel = inputs
    return x.shape[3] is not None and kernel.shape[2] is not None and x.shape[3] != kernel.shape[2]


def grouped_input_gradient(node: Node, x: Any, kernel: Any, cotangent: Any) -> Any:
    """The gradient of a grouped Conv2D with respect to its input: that of each group by itself."""
    attrs = node.attributes["attrs"]
    n_groups = x.shape[3] // kernel.shape[2]
    sizes = tf.concat([tf.shape(x)[:3], [kernel.shape[2]]], 0)
    parts = [
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=sizes,
            filter=part_of_kernel,
            out_backprop=part,
            strides=list(attrs["strides"].list.i),
            padding=attrs["padding"].s.decode(),
            explicit_paddings=list(attrs["explicit_paddings"].list.i),
            dilations=list(attrs["dilations"].list.i) or [1, 1, 1, 1],
        )
        for part_of_kernel, part in zip(
            tf.split(kernel, n_groups, 3), tf.split(cotangent, n_groups, 3), strict=True
        )
    ]
    return tf.concat(parts, 3)
