"""The DeepLIFT rules of operations that are several steps in one, each step by its own rule.

What they give is what the same steps give that are written out: a softmax is the input less the logarithm of
the sum of its exponentials, and the exponential of that; a normalisation is a mean, a variance, its root, and
a product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.deeplift.node_context import NodeContext
from kipoi_tfbind.graph.deeplift.rules import QUADRATIC, RULES, Rule, midpoint_gradient
from kipoi_tfbind.graph.deeplift.scan_rule import scan
from kipoi_tfbind.graph.deeplift.secants import exp_slope, over, sigmoid_slope
from kipoi_tfbind.graph.graph import Node, unsupported
from kipoi_tfbind.graph.operations import AlongAxes, Reduce, Standardise
from kipoi_tfbind.graph.vjp import VJP


def rule_for(node: Node) -> Rule | None:
    """The rule of a node that is not linear in what varies; None where there is none."""
    if node.kind in QUADRATIC:
        return midpoint_gradient
    return RULES.get(node.kind) or _RULES.get(node.kind)


def _below_their_sum(ops: ArrayOps, z: Any, axis: int) -> tuple[Any, Any]:
    """Inputs less the logarithm of the sum of their exponentials, and that logarithm."""
    largest = ops.max(z, axis, keep=True)
    below = z - largest
    log_sum = ops.unary("log", ops.sum(ops.unary("exp", below), axis, keep=True))
    return below - log_sum, largest + log_sum


def _shares(ops: ArrayOps, x: Any, r: Any, axis: int) -> Any:
    """The multipliers of the logarithm of the sum of exponentials.

    Both exponentials are taken of what is below the larger sum: none overflows, and no multiplier is above 1,
    where those of the exponentials and of the logarithm alone have no bound.
    """
    (below_x, log_x), (below_r, log_r) = (_below_their_sum(ops, z, axis) for z in (x, r))
    lower_x, lower_r = ops.minimum(log_x - log_r, log_x * 0), ops.minimum(log_r - log_x, log_x * 0)
    ex, er = ops.unary("exp", below_x + lower_x), ops.unary("exp", below_r + lower_r)
    distance = lower_x + lower_r
    return exp_slope(ops, x, r, ex, er) * over(ops, distance, ops.unary("expm1", distance), 1.0)


def _axis(context: NodeContext) -> int:
    """The one axis that an operation works along."""
    operation = context.node.operation
    if not isinstance(operation, AlongAxes) or operation.axes is None or len(operation.axes) != 1:
        raise unsupported(context.node, "only along one axis has it an exact DeepLIFT rule here")
    return operation.axes[0]


def softmax(context: NodeContext) -> VJP:
    """The exponential of the log-softmax: what is added to all inputs is in no step on the way."""
    ops, axis = context.ops, _axis(context)
    x, r = context.x_input(0), context.r_inputs[0]
    share = _shares(ops, x, r, axis)
    px, pr = context.x_output(0), context.r_outputs[0]
    below_x, below_r = (_below_their_sum(ops, z, axis)[0] for z in (x, r))
    slope = exp_slope(ops, below_x, below_r, px, pr)

    def back(cotangents: Sequence[Any]) -> list[Any]:
        g = cotangents[0] * slope
        return [g - share * ops.sum(g, axis, keep=True)]

    return VJP(back)


def log_softmax(context: NodeContext) -> VJP:
    """The input, less the logarithm of the sum of its exponentials."""
    ops, axis = context.ops, _axis(context)
    share = _shares(ops, context.x_input(0), context.r_inputs[0], axis)

    def back(cotangents: Sequence[Any]) -> list[Any]:
        (g,) = cotangents
        return [g - share * ops.sum(g, axis, keep=True)]

    return VJP(back)


def log_sum_exp(context: NodeContext) -> VJP:
    """The logarithm of the sum of the exponentials along one axis."""
    ops, axis = context.ops, _axis(context)
    share = _shares(ops, context.x_input(0), context.r_inputs[0], axis)

    def back(cotangents: Sequence[Any]) -> list[Any]:
        shape = [1 if i == axis else n for i, n in enumerate(ops.shape(share))]
        return [ops.reshape(cotangents[0], shape) * share]

    return VJP(back)


def standardised(context: NodeContext) -> VJP:
    """Layer and group normalisation: (z - mean) / sqrt(variance + epsilon), times a weight."""
    ops, operation, like = context.ops, context.node.operation, context.r_inputs[0]
    if not isinstance(operation, Standardise):
        raise unsupported(context.node)
    sizes, scale, epsilon = ops.shape(like), None, operation.epsilon
    if operation.weight is not None:
        scale = context.r_inputs[operation.weight]
    # The last axis is standardised.
    n = math.prod(sizes[operation.first_axis :])
    shape: tuple[Any, ...] = (-1, n)
    if operation.groups:
        n = sizes[1] // operation.groups * math.prod(sizes[2:])
        shape = (-1, operation.groups, n)
        scale = None if scale is None else ops.reshape(scale, (1, sizes[1], *[1] * (len(sizes) - 2)))

    def parts(z: Any) -> tuple[Any, Any]:
        z = ops.reshape(z, shape)
        centred = z - ops.sum(z, -1, keep=True) / n
        return centred, 1 / ops.unary("sqrt", ops.sum(centred * centred, -1, keep=True) / n + epsilon)

    (dx, sx), (dr, sr) = parts(context.x_input(0)), parts(like)
    middle, inverse = (dx + dr) / 2, (sx + sr) / 2
    slope = -2 / n * (sx * sr) ** 2 / (sx + sr)

    def back(cotangents: Sequence[Any]) -> list[Any]:
        if cotangents[0] is None or any(c is not None for c in cotangents[1:]):
            raise unsupported(context.node, "its mean and deviation are used as well")
        g = ops.reshape(cotangents[0] if scale is None else cotangents[0] * scale, shape)
        g = inverse * g + slope * middle * ops.sum(middle * g, -1, keep=True)
        return [ops.reshape_like(g - ops.sum(g, -1, keep=True) / n, like)]

    return VJP(back)


def glu(context: NodeContext) -> VJP:
    """Gated linear unit: a * sigmoid(b) for the two halves of the input."""
    ops, axis = context.ops, _axis(context)
    (ax, bx), (ar, br) = ops.split(context.x_input(0), axis), ops.split(context.r_inputs[0], axis)
    gx, gr = ops.unary("sigmoid", bx), ops.unary("sigmoid", br)
    gate, slope = (gx + gr) / 2, (ax + ar) / 2 * sigmoid_slope(ops, bx, br, gx, gr)
    return VJP(lambda cotangents: [ops.concat([cotangents[0] * gate, cotangents[0] * slope], axis)])


def _reduction(context: NodeContext) -> tuple[Reduce, tuple[int, ...]]:
    """A reduction and its axes."""
    operation = context.node.operation
    if not isinstance(operation, Reduce) or operation.axes is None:
        raise unsupported(context.node)
    return operation, operation.axes


def vector_norm(context: NodeContext) -> VJP:
    """The root of the sum of squares."""
    ops, (x, r) = context.ops, (context.x_input(0), context.r_inputs[0])
    operation, axes = _reduction(context)
    if operation.how != "norm of order 2":
        raise unsupported(context.node, "only the norm of order 2 has an exact DeepLIFT rule here")
    norms = [ops.unary("sqrt", ops.sum(z * z, axes, keep=True)) for z in (x, r)]
    total = norms[0] + norms[1]
    share = over(ops, x + r, total, 0.0)
    return VJP(lambda cotangents: [ops.reshape_like(cotangents[0], total) * share])


def deviation(context: NodeContext) -> VJP:
    """The root of the variance."""
    ops = context.ops
    operation, axes = _reduction(context)
    n = math.prod(ops.shape(context.r_inputs[0])[axis] for axis in axes)
    freedom = n - operation.correction

    def parts(z: Any) -> tuple[Any, Any]:
        centred = z - ops.sum(z, axes, keep=True) / n
        return centred, ops.unary("sqrt", ops.sum(centred * centred, axes, keep=True) / freedom)

    (dx, sx), (dr, sr) = parts(context.x_input(0)), parts(context.r_inputs[0])
    share = over(ops, (dx + dr) / freedom, sx + sr, 0.0)
    return VJP(lambda cotangents: [ops.reshape_like(cotangents[0], sr) * share])


_RULES: dict[str, Rule] = {
    "deviation": deviation,
    "glu": glu,
    "group_norm": standardised,
    "layer_norm": standardised,
    "log_softmax": log_softmax,
    "log_sum_exp": log_sum_exp,
    "scan": scan,
    "softmax": softmax,
    "vector_norm": vector_norm,
}
