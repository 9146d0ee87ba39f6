"""The DeepLIFT rules: what each kind of node does to multipliers.

A rule is exact when the multipliers that it gives, times the differences of the inputs, sum to the
difference of the output (Shrikumar et al. 2017, arXiv:1704.02685). An operation that is linear in what
varies has its own gradient as its multiplier; a function of one number has the slope of the secant; where two
varying factors meet, each gets its share at the midpoint of the other, which is the Shapley value of the two
(Lundberg and Lee 2017, arXiv:1705.07874). A chain of such rules does not depend on how a function is written:
x * sigmoid(x) and a swish give the same numbers.

Secants of common functions are written so that they do not cancel where the two inputs are close.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.deeplift.node_context import NodeContext
from kipoi_tfbind.graph.deeplift.secants import SECANTS, over
from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.operations import Elementwise, Reduce
from kipoi_tfbind.graph.vjp import VJP, Windows, windows_of_axes

Rule = Callable[[NodeContext], VJP]

# Linear in all its floating-point inputs together.
LINEAR = frozenset(
    """
    add average_pool batch_to_space broadcast cast concat cumulative_sum gather identity linear normalise pad
    reduce_sum reshape resize reverse scatter select slice space_to_batch split stack transpose unstack
    """.split()  # noqa: SIM905
)
# Linear in each of its inputs.
BILINEAR = frozenset({"matmul", "einsum", "convolution", "product"})
# A quadratic function of its inputs.
QUADRATIC = BILINEAR | {"variance", "squared_difference"}


def is_linear(node: Node, varying: Sequence[int]) -> bool:
    """Whether a node is linear in those of its inputs that vary."""
    if node.kind == "ratio":
        return list(varying) == [0]
    return node.kind in LINEAR or (node.kind in BILINEAR and len(varying) == 1)


def midpoint_gradient(context: NodeContext) -> VJP:
    """The gradient at the midpoint, which is exact for a quadratic function."""
    _, vjp = context.vjp(context.midpoints())
    # Each row has a gradient of its own.
    return VJP(vjp.run)


def elementwise(context: NodeContext) -> VJP:
    """The slope of the secant; the derivative where the two inputs are equal."""
    x, r, fx, fr = context.flat()
    slope = secant(context, x, r, fx, fr)
    ops, like = context.ops, context.r_inputs[context.varying[0]]

    def back(cotangents: Sequence[Any]) -> list[Any]:
        flat = ops.reshape_like(cotangents[0], slope)
        return [ops.reshape_like(flat * slope, like)]

    return VJP(back, diagonal=True)


_SMOOTH = frozenset(
    """
    acos acosh asin asinh atan atanh cos cosh erf erfc exp2 gelu lgamma log10 log2 log_sigmoid_forward mish
    silu sin sinc sinh softplus tan
    """.split()  # noqa: SIM905
)

_KINK_AT_ZERO = frozenset({"abs", "celu", "elu", "leaky_relu", "selu", "softsign"})


def function_of(node: Node) -> str:
    """The name of an elementwise function; "" of another operation."""
    return node.operation.function if isinstance(node.operation, Elementwise) else ""


def secant(context: NodeContext, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    """(f(x) - f(r)) / (x - r), or its limit."""
    ops, name = context.ops, function_of(context.node)
    if name in SECANTS:
        return SECANTS[name](ops, x, r, fx, fr)
    difference = x - r
    epsilon = ops.finfo(difference).eps
    # The error of the secant is about epsilon / |d|. That of the slope at the midpoint is d^2 f'''/24 where f
    # is smooth, and up to the whole slope where it has a kink.
    limit = (24 * epsilon) ** (1 / 3) if name in _SMOOTH else 8 * epsilon
    near = ops.unary("abs", difference) < limit
    if name in _KINK_AT_ZERO:
        # Smooth on either side.
        smooth = ops.unary("abs", difference) < (24 * epsilon) ** (1 / 3)
        near = near | (smooth & (x * r > 0))
    local = _derivative(context, (x + r) / 2)
    return ops.where(near, local, (fx - fr) / difference)


def _derivative(context: NodeContext, at: Any) -> Any:
    inputs = list(context.r_inputs)
    inputs[context.varying[0]] = at
    outputs, vjp = context.vjp(inputs)
    (slope,) = vjp([context.ops.zeros_like(outputs[0]) + 1] + [None] * (len(outputs) - 1))
    # A function in steps has none.
    return context.ops.zeros_like(at) if slope is None else slope


def ratio(context: NodeContext) -> VJP:
    """The ratio a / b as the product of a and 1 / b."""
    ops = context.ops
    (ax, bx), (ar, br) = context.x_inputs(), context.r_inputs
    shares = {0: (1 / bx + 1 / br) / 2, 1: -(ax + ar) / 2 / (bx * br)}

    def back(cotangents: Sequence[Any]) -> list[Any]:
        return [ops.sum_to_shape(cotangents[0] * shares[i], context.r_inputs[i]) for i in context.varying]

    return VJP(back)


def elementwise_pair(context: NodeContext) -> VJP:
    """Each operand's Shapley value, as a multiple of its difference; its derivative where it has none."""
    ops = context.ops
    at_x, at_r = context.x_inputs(), context.r_inputs
    n_operands = len(at_r)

    def value(from_x: set[int]) -> Any:
        inputs = [at_x[i] if i in from_x else at_r[i] for i in range(n_operands)]
        return context.run(inputs)[0]

    fx, fr = context.x_output(0), context.r_outputs[0]
    _, local = context.vjp(context.midpoints())
    slopes, same = [], []
    for i in context.varying:
        share = fx - fr
        if len(context.varying) == 2:
            share = (value({i}) - fr + fx - value({1 - i})) / 2
        # Broadcast to the output's shape.
        difference = at_x[i] - at_r[i] + ops.zeros_like(fr)
        near = ops.unary("abs", difference) < 8 * ops.finfo(difference).eps
        same.append(near)
        slopes.append(ops.where(near, 0.0, share / difference))

    def back(cotangents: Sequence[Any]) -> list[Any]:
        (cotangent,) = cotangents
        result = []
        for k, i in enumerate(context.varying):
            there = local([ops.where(same[k], cotangent, 0.0)])[k]
            result.append(ops.sum_to_shape(cotangent * slopes[k], at_r[i]) + there)
        return result

    return VJP(back)


def maximum_of_many(context: NodeContext) -> VJP:
    """Max pooling and the like: the difference goes to where the larger of the two maxima is."""
    windows = _windows(context)
    return _routed_by_gradient(context) if windows is None else _routed_in_windows(context, windows)


def _windows(context: NodeContext) -> Windows | None:
    """Where the windows of a maximum lie; None where they overlap or are padded."""
    known = context.ops.known_shape(context.r_inputs[context.varying[0]])
    if not known or None in known[1:]:
        return None
    shape = tuple(n or 1 for n in known[1:])
    sizes = context.node.operation.window_sizes(shape)
    return None if sizes is None else windows_of_axes(shape, sizes)


def _is_minimum(node: Node) -> bool:
    return isinstance(node.operation, Reduce) and node.operation.how == "min"


def _beyond_rounding(ops: ArrayOps, fx: Any, fr: Any, axis: int) -> Any:
    """The difference of two maxima; 0 where it is no more than rounding.

    Where sequence and reference have the same bases in a window, the two are equal; but sums of another
    batch may differ in their last digits, and the ratio of two such differences would be any number. A sum
    is rounded to the size of its terms, of which the largest values from `axis` on tell more than the sum.
    """
    difference = fx - fr
    axes = list(range(axis, len(ops.shape(fx))))
    largest = ops.maximum(*(ops.max(ops.unary("abs", f), axes, keep=True) for f in (fx, fr)))
    near = ops.unary("abs", difference) <= largest * (8 * ops.finfo(difference).eps)
    return ops.where(near, 0.0, difference)


def _routed_in_windows(context: NodeContext, windows: Windows) -> VJP:
    """Windows side by side; where several positions have the maximum, each gets the same share.

    The shares make the result the same for both strands of a model that treats them alike.
    """
    ops, like = context.ops, context.r_inputs[context.varying[0]]
    x, r, fx, fr = context.flat()
    n_used = windows.n * windows.size

    def in_windows(flat: Any) -> Any:
        rows = ops.shape(flat)[:2]
        flat = ops.reshape(flat, (*rows, windows.before, windows.length, windows.after))
        flat = flat[..., :n_used, :] if n_used < windows.length else flat
        shape = (*rows, windows.before, windows.n, windows.size, windows.after)
        return ops.reshape(flat, shape)

    def of_windows(flat: Any) -> Any:
        rows = ops.shape(flat)[:2]
        return ops.reshape(flat, (*rows, windows.before, windows.n, 1, windows.after))

    x, r, fx, fr = in_windows(x), in_windows(r), of_windows(fx), of_windows(fr)
    gain = _beyond_rounding(ops, fx, fr, 2)
    to_x, to_r, nowhere = gain > 0, gain < 0, float("inf")
    if _is_minimum(context.node):
        to_x, to_r, nowhere = to_r, to_x, -nowhere
    gain = ops.where(to_x | to_r, gain, 0.0)
    # 1 where the position does not have the maximum; numbers are faster than conditions.
    absent = ops.unary("sign", x - ops.where(to_x, fx, nowhere)) * ops.unary(
        "sign", r - ops.where(to_r, fr, nowhere)
    )
    absent = ops.unary("abs", absent)
    present = 1 - absent
    share = gain / ops.clip(ops.sum(present, -2, keep=True), 1.0, float(windows.size))
    # No difference is as large: what is added keeps 0 / 0 away. Positions may be masked by infinity.
    large = float(ops.finfo(r).max) / 8
    difference = ops.clip(x, -large, large) - ops.clip(r, -large, large)
    slope = share * present / (difference + absent * large)

    def back(cotangents: Sequence[Any]) -> list[Any]:
        cotangent = ops.reshape_like(cotangents[0], fr)
        routed = cotangent * slope
        if n_used < windows.length:
            rows = ops.shape(r)[:2]
            routed = ops.reshape(routed, (*rows, windows.before, n_used, windows.after))
            routed = ops.pad(routed, 0, windows.length - n_used, -2)
        return [ops.reshape_like(routed, like)]

    return VJP(back, diagonal=True, windows=windows)


def _routed_by_gradient(context: NodeContext) -> VJP:
    """Any windows; the operation's own gradient finds a position that has the maximum."""
    ops, node, (i,) = context.ops, context.node, context.varying
    x, r = context.x_input(i), context.r_inputs[i]
    others = [None if j == i else value for j, value in enumerate(context.r_inputs)]
    fx, fr = context.x_output(0), context.r_outputs[0]
    at_x = (fx <= fr) if _is_minimum(node) else (fx >= fr)
    gain = _beyond_rounding(ops, fx, fr, 1)
    gain_at_x, gain_at_r = ops.where(at_x, gain, 0.0), ops.where(at_x, 0.0, gain)
    outputs, to_x = context.vjp([x if v is None else v for v in others], [i])
    _, to_r = context.vjp([r if v is None else v for v in others], [i])
    rest = [None] * (len(outputs) - 1)
    difference = x - r
    scale = over(ops, 1, difference, 0.0)

    def back(cotangents: Sequence[Any]) -> list[Any]:
        (routed_x,) = to_x([cotangents[0] * gain_at_x, *rest])
        (routed_r,) = to_r([cotangents[0] * gain_at_r, *rest])
        return [(routed_x + routed_r) * scale]

    return VJP(back)


RULES: dict[str, Rule] = {
    "elementwise": elementwise,
    "elementwise_pair": elementwise_pair,
    "max_pool": maximum_of_many,
    "ratio": ratio,
    "reduce_max": maximum_of_many,
}
