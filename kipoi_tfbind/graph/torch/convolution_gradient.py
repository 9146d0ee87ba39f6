"""The input gradient of a convolution in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

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


class ConvolutionGradient:
    """What takes cotangents of a convolution back to its input, for one or several targets."""

    def __init__(self, xp: Arrays, node: Node, inputs: Sequence[Any]):
        self.xp, self.x, self.kernel = xp, inputs[0], inputs[1]
        self.options = node.attributes["arguments"][0][3:]
        self.along_positions = xp.convolution(node, inputs)

    def pull(self) -> Pull:
        """The gradient as the walk takes it."""
        return Pull(
            lambda cotangents: [self.at(cotangents[0])],
            lambda cotangents, n_targets: [self.of_targets(cotangents[0], n_targets)],
            None if self.along_positions is None else self.of_factored,
        )

    def at(self, cotangent: Any, n_targets: int = 1) -> Any:
        """The gradient for a cotangent with `n_targets` times the rows of the input."""
        convolution = self.along_positions
        if convolution is not None and has_few_channels(convolution):
            return few_channels(self.xp, convolution, cotangent)
        # Only the input's shape counts.
        shape = (n_targets * len(self.x), *self.x.shape[1:])
        like = self.x.new_zeros(()).expand(shape)
        return torch.ops.aten.convolution_backward(
            cotangent, like, self.kernel, None, *self.options, [True, False, False]
        )[0]

    def of_targets(self, cotangent: Any, n_targets: int) -> Any:
        """The same for several targets, which share what is made of the kernel."""
        convolution = self.along_positions
        if convolution is not None and not has_few_channels(convolution):
            found = by_spectrum(self.xp, convolution, cotangent)
            if found is not None:
                return found
        return self.at(cotangent, n_targets)

    def of_factored(self, cotangent: Factored, n_targets: int) -> Any:
        """The gradient for a cotangent that comes from max pooling; None if it does not."""
        convolution, windows = self.along_positions, cotangent.windows
        shape = tuple(cotangent.factor.shape[1:])
        if convolution is None or windows is None or not is_routed(convolution, cotangent, shape):
            return None
        cost = cost_of_routed(convolution, windows, n_targets)
        if cost >= cost_of_convolution(convolution, windows.length):
            return None
        factor, place, complete = one_position(self.xp, convolution, cotangent.factor, windows)
        if not complete:
            return None
        return routed(self.xp, convolution, cotangent.values, factor, place, windows, n_targets)
