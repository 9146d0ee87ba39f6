"""The input gradient of a two-dimensional convolution in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Factored, Pull
from kipoi_tfbind.graph.deeplift.convolution_gradient import (
    by_spectrum,
    cost_of_convolution,
    cost_of_routed,
    few_channels,
    has_few_channels,
    is_routed,
    one_position,
    routed,
)
from kipoi_tfbind.graph.graph import Node


def is_grouped(node: Node, inputs: Sequence[Any]) -> bool:
    """Whether a node is a convolution of several groups of channels, channels last."""
    if node.operation != "Conv2D" or node.attributes["attrs"]["data_format"].s != b"NHWC":
        return False
    x, kernel = inputs
    return x.shape[3] is not None and kernel.shape[2] is not None and x.shape[3] != kernel.shape[2]


class ConvolutionGradient:
    """What takes cotangents of a Conv2D back to its input, for one or several targets."""

    def __init__(self, xp: Arrays, node: Node, inputs: Sequence[Any]):
        self.xp, self.node, (self.x, self.kernel) = xp, node, inputs
        self.grouped = is_grouped(node, inputs)
        self.along_positions = xp.convolution(node, inputs)

    def pull(self) -> Pull:
        """The gradient as the walk takes it."""
        return Pull(
            lambda cotangents: [self.at(cotangents[0])],
            lambda cotangents, n_targets: [self.of_targets(cotangents[0], n_targets)],
            None if self.along_positions is None else self.of_factored,
        )

    def at(self, cotangent: Any, n_targets: Any = 1) -> Any:
        """The gradient for a cotangent with `n_targets` times the rows of the input."""
        convolution = self.along_positions
        if convolution is not None and has_few_channels(convolution):
            return few_channels(self.xp, convolution, cotangent[:, 0])[:, tf.newaxis]
        if not self.grouped:
            return self._of_group(cotangent, self.kernel, n_targets)
        n_groups = self.x.shape[3] // self.kernel.shape[2]
        # TensorFlow has no gradient of groups on a CPU.
        parts = zip(tf.split(cotangent, n_groups, 3), tf.split(self.kernel, n_groups, 3), strict=True)
        return tf.concat([self._of_group(part, kernel, n_targets) for part, kernel in parts], 3)

    def of_targets(self, cotangent: Any, n_targets: Any) -> Any:
        """The same for several targets, which share what is made of the kernel."""
        convolution = self.along_positions
        if convolution is not None and not has_few_channels(convolution):
            found = by_spectrum(self.xp, convolution, cotangent[:, 0])
            if found is not None:
                return found[:, tf.newaxis]
        return self.at(cotangent, n_targets)

    def of_factored(self, cotangent: Factored, n_targets: Any) -> Any:
        """The gradient for a cotangent that comes from max pooling; None if it does not."""
        convolution, windows = self.along_positions, cotangent.windows
        shape = tuple(cotangent.factor.shape[2:])
        if convolution is None or windows is None or not is_routed(convolution, cotangent, shape):
            return None
        factor, place, complete = one_position(self.xp, convolution, cotangent.factor, windows)
        cost = cost_of_routed(convolution, windows, tf.cast(n_targets, tf.float32))
        gradient = tf.cond(
            complete & (cost < cost_of_convolution(convolution, windows.length)),
            lambda: routed(self.xp, convolution, cotangent.values, factor, place, windows, n_targets),
            lambda: self.of_targets(self.xp.multiplied_out(cotangent, n_targets), n_targets)[:, 0],
        )
        return gradient[:, tf.newaxis]

    def _of_group(self, cotangent: Any, kernel: Any, n_targets: Any) -> Any:
        attrs = self.node.attributes["attrs"]
        channels_last = attrs["data_format"].s == b"NHWC"
        rows, *sizes = tf.unstack(tf.shape(self.x))
        if channels_last:
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
