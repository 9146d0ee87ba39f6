"""The DeepLIFT rules of operations that are several steps in one, each step by its own rule.

What they give is what the same steps give that are written out: a softmax is exponentials, their sum and the
ratio; a normalisation is a mean, a variance, the root of it and a product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Pull
from kipoi_tfbind.graph.deeplift.rules import (
    QUADRATIC,
    RULES,
    Rule,
    Site,
    exp_slope,
    log_slope,
    midpoint_gradient,
    over,
    sigmoid_slope,
    unsupported,
)
from kipoi_tfbind.graph.graph import Node


def rule_for(node: Node) -> Rule | None:
    """The rule of a node that is not linear in what varies; None where there is none."""
    if node.kind in QUADRATIC or node.operation == "SquaredDifference":
        return midpoint_gradient
    return RULES.get(node.kind) or _RULES.get(node.kind)


def _exponentials(xp: Arrays, x: Any, r: Any, axis: int) -> tuple[Any, Any, Any, Any, Any]:
    """exp(x), exp(r), the secant's slope, and both sums; scaled by one number for both."""
    # The same shift for x and r: it cancels in softmax, so that the secant may be taken anywhere.
    shift = (xp.max(x, axis) + xp.max(r, axis)) / 2
    ex, er = xp.unary("exp", x - shift), xp.unary("exp", r - shift)
    slope = exp_slope(xp, x, r, ex, er)
    # Positions that are masked with minus infinity.
    slope = xp.where(ex + er == 0, xp.scalar(0.0, ex), slope)
    return ex, er, slope, xp.sum(ex, axis), xp.sum(er, axis)


def softmax(site: Site) -> Pull:
    """Exponentials, their sum, and the ratio."""
    xp, axis = site.xp, site.xp.axis(site.node)
    ex, er, slope, sum_x, sum_r = _exponentials(xp, site.x_input(0), site.r_inputs[0], axis)
    inverse = (1 / sum_x + 1 / sum_r) / 2
    share = (ex + er) / 2 / (sum_x * sum_r)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (g,) = cotangents
        return [slope * (inverse * g - xp.sum(share * g, axis))]

    return Pull(pull)


def log_softmax(site: Site) -> Pull:
    """The input, less the logarithm of the sum of its exponentials."""
    xp, axis = site.xp, site.xp.axis(site.node)
    _, _, slope, sum_x, sum_r = _exponentials(xp, site.x_input(0), site.r_inputs[0], axis)
    share = slope * log_slope(xp, sum_x, sum_r)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (g,) = cotangents
        return [g - share * xp.sum(g, axis)]

    return Pull(pull)


def log_sum_exp(site: Site) -> Pull:
    """The logarithm of the sum of the exponentials along one axis."""
    xp, axis = site.xp, site.xp.axis(site.node)
    _, _, slope, sum_x, sum_r = _exponentials(xp, site.x_input(0), site.r_inputs[0], axis)
    share = slope * log_slope(xp, sum_x, sum_r)
    return Pull(lambda cotangents: [xp.reshape(cotangents[0], xp.shape(sum_r)) * share])


def _standardised(site: Site, shape: Sequence[int], scale: Any) -> Pull:
    """(z - mean) / sqrt(variance + epsilon) along the last axis of z in `shape`, times `scale`."""
    xp, epsilon = site.xp, site.node.attributes["arguments"][0][-1]
    like = site.r_inputs[0]
    n = shape[-1]

    def parts(z: Any) -> tuple[Any, Any]:
        z = xp.reshape(z, shape)
        centred = z - xp.sum(z, -1) / n
        return centred, 1 / xp.unary("sqrt", xp.sum(centred * centred, -1) / n + epsilon)

    (dx, sx), (dr, sr) = parts(site.x_input(0)), parts(like)
    middle, inverse = (dx + dr) / 2, (sx + sr) / 2
    slope = -2 / n * (sx * sr) ** 2 / (sx + sr)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        if cotangents[0] is None or any(c is not None for c in cotangents[1:]):
            raise unsupported(site.node, "its mean and deviation are used as well")
        g = xp.reshape(cotangents[0] if scale is None else cotangents[0] * scale, shape)
        g = inverse * g + slope * middle * xp.sum(middle * g, -1)
        return [xp.reshape(g - xp.sum(g, -1) / n, xp.shape(like))]

    return Pull(pull)


def layer_norm(site: Site) -> Pull:
    """PyTorch's native_layer_norm(input, normalised shape, weight, bias, epsilon)."""
    arguments = site.node.attributes["arguments"][0]
    n = math.prod(arguments[1])
    weight = None if arguments[2] is None else site.r_inputs[1]
    return _standardised(site, (-1, n), weight)


def group_norm(site: Site) -> Pull:
    """PyTorch's native_group_norm(input, weight, bias, N, C, HxW, groups, epsilon)."""
    xp = site.xp
    arguments = site.node.attributes["arguments"][0]
    channels, positions, groups = arguments[4], arguments[5], arguments[6]
    weight = None
    if arguments[1] is not None:
        rank = len(site.node.attributes["shapes"][0])
        weight = xp.reshape(site.r_inputs[1], (1, channels) + (1,) * (rank - 2))
    return _standardised(site, (-1, groups, channels // groups * positions), weight)


def glu(site: Site) -> Pull:
    """Gated linear unit: a * sigmoid(b) for the two halves of the input."""
    xp, axis = site.xp, site.xp.axis(site.node)
    (ax, bx), (ar, br) = xp.split(site.x_input(0), axis), xp.split(site.r_inputs[0], axis)
    gx, gr = xp.unary("sigmoid", bx), xp.unary("sigmoid", br)
    gate, slope = (gx + gr) / 2, (ax + ar) / 2 * sigmoid_slope(xp, bx, br, gx, gr)
    return Pull(lambda cotangents: [xp.concat([cotangents[0] * gate, cotangents[0] * slope], axis)])


def _reduced_axes(node: Node, x: Any) -> tuple[int, ...]:
    """The axes of a PyTorch reduction such as std(input, dim, ...)."""
    args, kwargs = node.attributes["arguments"]
    axes = kwargs.get("dim", next((a for a in args[1:] if isinstance(a, list | tuple)), None))
    return tuple(axes) if axes else tuple(range(1, len(x.shape)))


def vector_norm(site: Site) -> Pull:
    """The root of the sum of squares."""
    xp, (x, r) = site.xp, (site.x_input(0), site.r_inputs[0])
    args, _ = site.node.attributes["arguments"]
    if len(args) > 1 and args[1] != 2:
        raise unsupported(site.node, "only the norm of order 2 has an exact DeepLIFT rule here")
    axes = _reduced_axes(site.node, r)
    total = xp.unary("sqrt", xp.sum(x * x, axes)) + xp.unary("sqrt", xp.sum(r * r, axes))
    share = over(xp, x + r, total, xp.scalar(0.0, r))
    return Pull(lambda cotangents: [xp.reshape(cotangents[0], xp.shape(total)) * share])


def deviation(site: Site) -> Pull:
    """The root of the variance."""
    xp, node = site.xp, site.node
    axes = _reduced_axes(node, site.r_inputs[0])
    n = math.prod(site.r_inputs[0].shape[axis] for axis in axes)
    correction = node.attributes["arguments"][1].get("correction", 1)

    def parts(z: Any) -> tuple[Any, Any]:
        centred = z - xp.sum(z, axes) / n
        return centred, xp.unary("sqrt", xp.sum(centred * centred, axes) / (n - correction))

    (dx, sx), (dr, sr) = parts(site.x_input(0)), parts(site.r_inputs[0])
    share = over(xp, (dx + dr) / (n - correction), sx + sr, xp.scalar(0.0, dr))
    return Pull(lambda cotangents: [xp.reshape(cotangents[0], xp.shape(sr)) * share])


_RULES: dict[str, Rule] = {
    "deviation": deviation,
    "glu": glu,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "log_softmax": log_softmax,
    "log_sum_exp": log_sum_exp,
    "softmax": softmax,
    "vector_norm": vector_norm,
}
