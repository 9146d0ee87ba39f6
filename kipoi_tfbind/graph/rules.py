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
from dataclasses import dataclass
from typing import Any

from kipoi_tfbind.errors import UnsupportedOperationError
from kipoi_tfbind.graph.arrays import Arrays, Pull, Windows
from kipoi_tfbind.graph.graph import Node


@dataclass
class Site:
    """One node with its inputs and outputs at the sequences (x) and at their references (r).

    Attributes
    ----------
    varying
        Numbers of the inputs that depend on the input that is explained.
    x_inputs, r_inputs, x_outputs, r_outputs
        Of the same shapes: a row for each pair of sequence and reference. Those of x are made when asked for.
    """

    xp: Arrays
    node: Node
    varying: tuple[int, ...]
    batch_size: Any
    r_inputs: list[Any]
    r_outputs: list[Any]
    x_input: Callable[[int], Any]
    x_output: Callable[[int], Any]
    # Input and output of x and r in shapes that broadcast: (sequence, 1, rest), (sequence, reference, rest).
    flat: Callable[[], tuple[Any, Any, Any, Any]]

    def x_inputs(self) -> list[Any]:
        """The inputs at x; those that do not vary are the same as at r."""
        return [self.x_input(i) if i in self.varying else r for i, r in enumerate(self.r_inputs)]

    def midpoints(self) -> list[Any]:
        return [(self.x_input(i) + r) / 2 if i in self.varying else r for i, r in enumerate(self.r_inputs)]


Rule = Callable[[Site], Pull]

# Linear in all its floating-point inputs together.
LINEAR = frozenset(
    {
        "identity", "reshape", "cast", "transpose", "space_to_batch", "batch_to_space", "add", "concat", "pad",
        "slice", "stack", "unstack", "gather", "scatter", "reverse", "reduce_sum", "average_pool",
        "cumulative_sum", "broadcast", "resize", "linear", "normalise", "select",
    }
)  # fmt: skip
# Linear in each of its inputs, or a quadratic function of them.
QUADRATIC = frozenset({"matmul", "einsum", "convolution", "product", "variance"})

_SMOOTH = frozenset(
    "acos asin asinh atan atanh acosh cos cosh erf erfc exp2 gelu log10 log2 log_sigmoid_forward mish silu sin "
    "sinc sinh softplus tan".split()
)

_KINK_AT_ZERO = frozenset({"abs", "celu", "elu", "leaky_relu", "selu", "softsign"})


def is_linear(node: Node, varying: Sequence[int]) -> bool:
    """Whether a node is linear in those of its inputs that vary."""
    if node.kind == "ratio" and node.operation != "Xdivy":
        return list(varying) == [0]
    return node.kind in LINEAR or (node.kind in QUADRATIC - {"variance"} and len(varying) == 1)


def rule_for(node: Node) -> Rule | None:
    """The rule of a node that is not linear in what varies; None where there is none."""
    if node.kind in QUADRATIC or node.operation == "SquaredDifference":
        return midpoint_gradient
    return _RULES.get(node.kind)


def unsupported(node: Node, problem: str = "has no exact DeepLIFT rule") -> UnsupportedOperationError:
    """The error that names a node and what to do."""
    return UnsupportedOperationError(
        f"operation {node.operation} of layer {node.layer or '(no name)'}: {problem}; use in-silico "
        f"mutagenesis or sampled Shapley values, which only need predictions"
    )


def midpoint_gradient(site: Site) -> Pull:
    """The gradient at the midpoint, which is exact for a quadratic function."""
    _, pull = site.xp.linearise(site.node, site.midpoints(), site.varying, site.batch_size)
    return pull


def elementwise(site: Site) -> Pull:
    """The slope of the secant; the derivative where the two inputs are equal."""
    x, r, fx, fr = site.flat()
    slope = secant(site, x, r, fx, fr)
    xp, like = site.xp, site.r_inputs[site.varying[0]]

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        flat = xp.reshape(cotangents[0], xp.shape(slope))
        return [xp.reshape(flat * slope, xp.shape(like))]

    return pull


def secant(site: Site, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    """(f(x) - f(r)) / (x - r), or its limit."""
    xp, name = site.xp, site.node.attributes["function"]
    if name in _SECANTS:
        return _SECANTS[name](xp, x, r, fx, fr)
    difference = x - r
    epsilon = xp.epsilon(difference)
    # The error of the secant is about epsilon / |d|. That of the slope at the midpoint is d^2 f'''/24 where f
    # is smooth, and up to the whole slope where it has a kink.
    limit = (24 * epsilon) ** (1 / 3) if name in _SMOOTH else 8 * epsilon
    near = xp.unary("abs", difference) < limit
    if name in _KINK_AT_ZERO:
        # Smooth on either side.
        smooth = xp.unary("abs", difference) < (24 * epsilon) ** (1 / 3)
        near = near | (smooth & (x * r > 0))
    local = _derivative(site, (x + r) / 2)
    return xp.where(near, local, (fx - fr) / xp.where(near, xp.ones_like(difference), difference))


def _derivative(site: Site, at: Any) -> Any:
    inputs = list(site.r_inputs)
    inputs[site.varying[0]] = at
    outputs, pull = site.xp.linearise(site.node, inputs, site.varying, site.batch_size)
    return pull([site.xp.ones_like(outputs[0])] + [None] * (len(outputs) - 1))[0]


def _over(xp: Arrays, numerator: Any, denominator: Any, limit: Any) -> Any:
    """A ratio, and its limit where both are 0."""
    zero = denominator == 0
    return xp.where(zero, limit, numerator / xp.where(zero, xp.ones_like(denominator), denominator))


def _relu(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    return _over(xp, fx - fr, x - r, xp.cast_like(x + r > 0, x))


def _exp(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    distance = xp.unary("abs", x - r)
    return xp.maximum(fx, fr) * _over(xp, -xp.unary("expm1", -distance), distance, xp.ones_like(distance))


def _tanh_ratio(xp: Arrays, t: Any) -> Any:
    return _over(xp, xp.unary("tanh", t), t, xp.ones_like(t))


def _sigmoid(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    return _tanh_ratio(xp, (x - r) / 2) * (fx * (1 - fr) + fr * (1 - fx)) / 2


def _tanh(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    return _tanh_ratio(xp, x - r) * (1 - fx * fr)


def _log(xp: Arrays, x: Any, r: Any, fx: Any = None, fr: Any = None) -> Any:
    distance, least = xp.unary("abs", x - r), xp.minimum(x, r)
    return _over(xp, xp.unary("log1p", distance / least), distance, 1 / least)


def _sqrt(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    total = fx + fr
    return _over(xp, xp.ones_like(total), total, xp.zeros_like(total))


# The slope of the secant, from x, r, f(x) and f(r).
_SECANTS: dict[str, Callable[[Arrays, Any, Any, Any, Any], Any]] = {
    "exp": _exp,
    "expm1": lambda xp, x, r, fx, fr: _exp(xp, x, r, fx + 1, fr + 1),
    "log": _log,
    "log1p": lambda xp, x, r, fx, fr: _log(xp, x + 1, r + 1),
    "reciprocal": lambda xp, x, r, fx, fr: -fx * fr,
    "relu": _relu,
    "rsqrt": lambda xp, x, r, fx, fr: -((fx * fr) ** 2) / (fx + fr),
    "sigmoid": _sigmoid,
    "sqrt": _sqrt,
    "square": lambda xp, x, r, fx, fr: x + r,
    "tanh": _tanh,
}


def ratio(site: Site) -> Pull:
    """a / b as the product of a and 1 / b."""
    xp = site.xp
    (ax, bx), (ar, br) = site.x_inputs(), site.r_inputs
    shares = {0: (1 / bx + 1 / br) / 2, 1: -(ax + ar) / 2 / (bx * br)}

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        return [xp.sum_to_shape(cotangents[0] * shares[i], site.r_inputs[i]) for i in site.varying]

    return pull


def elementwise_pair(site: Site) -> Pull:
    """Each operand's Shapley value, as a multiple of its difference; its derivative where it has none."""
    xp, node = site.xp, site.node
    at_x, at_r = site.x_inputs(), site.r_inputs
    n_operands = len(at_r)

    def value(from_x: set[int]) -> Any:
        inputs = [at_x[i] if i in from_x else at_r[i] for i in range(n_operands)]
        return xp.run(node, inputs, site.batch_size)[0]

    fx, fr = site.x_output(0), site.r_outputs[0]
    _, local = xp.linearise(node, site.midpoints(), site.varying, site.batch_size)
    slopes, same = [], []
    for i in site.varying:
        share = fx - fr
        if len(site.varying) == 2:
            share = (value({i}) - fr + fx - value({1 - i})) / 2
        # Broadcast to the output's shape.
        difference = at_x[i] - at_r[i] + xp.zeros_like(fr)
        near = xp.unary("abs", difference) < 8 * xp.epsilon(difference)
        same.append(near)
        slope = share / xp.where(near, xp.ones_like(difference), difference)
        slopes.append(xp.where(near, xp.zeros_like(slope), slope))

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (cotangent,) = cotangents
        result = []
        for k, i in enumerate(site.varying):
            there = local([xp.where(same[k], cotangent, xp.zeros_like(cotangent))])[k]
            result.append(xp.sum_to_shape(cotangent * slopes[k], at_r[i]) + there)
        return result

    return pull


def maximum_of_many(site: Site) -> Pull:
    """Max pooling and the like: the difference goes to where the larger of the two maxima is."""
    windows = site.xp.windows(site.node, site.r_inputs[site.varying[0]])
    return _routed_by_gradient(site) if windows is None else _routed_in_windows(site, windows)


def _is_minimum(node: Node) -> bool:
    return node.operation.lower().removeprefix("aten.").startswith(("min", "amin"))


def _routed_in_windows(site: Site, windows: Windows) -> Pull:
    """Windows side by side; where several positions have the maximum, each gets the same share.

    The shares make the result the same for both strands of a model that treats them alike.
    """
    xp, like = site.xp, site.r_inputs[site.varying[0]]
    x, r, fx, fr = site.flat()
    n_used = windows.n * windows.size

    def in_windows(flat: Any) -> Any:
        rows = xp.sizes(flat)[:2]
        flat = xp.reshape(flat, (*rows, windows.before, windows.length, windows.after))
        flat = flat[..., :n_used, :] if n_used < windows.length else flat
        shape = (*rows, windows.before, windows.n, windows.size, windows.after)
        return xp.reshape(flat, shape)

    def of_windows(flat: Any) -> Any:
        rows = xp.sizes(flat)[:2]
        return xp.reshape(flat, (*rows, windows.before, windows.n, 1, windows.after))

    x, r, fx, fr = in_windows(x), in_windows(r), of_windows(fx), of_windows(fr)
    at_x = (fx <= fr) if _is_minimum(site.node) else (fx >= fr)
    there = xp.cast_like(xp.where(at_x, x == fx, r == fr), r)
    share = there / xp.sum(there, -2) * (fx - fr)
    slope = _over(xp, share, x - r, xp.zeros_like(share))

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        cotangent = xp.reshape(cotangents[0], xp.shape(fr))
        pulled = cotangent * slope
        if n_used < windows.length:
            rows = xp.sizes(r)[:2]
            pulled = xp.reshape(pulled, (*rows, windows.before, n_used, windows.after))
            pulled = xp.pad(pulled, windows.length - n_used, -2)
        return [xp.reshape(pulled, xp.shape(like))]

    return pull


def _routed_by_gradient(site: Site) -> Pull:
    """Any windows; the operation's own gradient finds a position that has the maximum."""
    xp, node, (i,) = site.xp, site.node, site.varying
    x, r = site.x_input(i), site.r_inputs[i]
    others = [None if j == i else value for j, value in enumerate(site.r_inputs)]
    fx, fr = site.x_output(0), site.r_outputs[0]
    at_x = (fx <= fr) if _is_minimum(node) else (fx >= fr)
    gain = fx - fr
    zero = xp.zeros_like(gain)
    gain_at_x, gain_at_r = xp.where(at_x, gain, zero), xp.where(at_x, zero, gain)
    outputs, to_x = xp.linearise(node, [x if v is None else v for v in others], [i], site.batch_size)
    _, to_r = xp.linearise(node, [r if v is None else v for v in others], [i], site.batch_size)
    rest = [None] * (len(outputs) - 1)
    difference = x - r
    none = difference == 0
    scale = xp.where(
        none, xp.zeros_like(difference), 1 / xp.where(none, xp.ones_like(difference), difference)
    )

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (routed_x,) = to_x([cotangents[0] * gain_at_x, *rest])
        (routed_r,) = to_r([cotangents[0] * gain_at_r, *rest])
        return [(routed_x + routed_r) * scale]

    return pull


def _exponentials(xp: Arrays, x: Any, r: Any, axis: int) -> tuple[Any, Any, Any, Any, Any]:
    """exp(x), exp(r), the secant's slope, and both sums; scaled by one number for both."""
    # The same shift for x and r: it cancels in softmax, so that the secant may be taken anywhere.
    shift = (xp.max(x, axis) + xp.max(r, axis)) / 2
    ex, er = xp.unary("exp", x - shift), xp.unary("exp", r - shift)
    return ex, er, _exp(xp, x, r, ex, er), xp.sum(ex, axis), xp.sum(er, axis)


def softmax(site: Site) -> Pull:
    """Exponentials, their sum, and the ratio."""
    xp, axis = site.xp, site.xp.axis(site.node)
    ex, er, slope, sum_x, sum_r = _exponentials(xp, site.x_input(0), site.r_inputs[0], axis)
    inverse = (1 / sum_x + 1 / sum_r) / 2
    share = (ex + er) / 2 / (sum_x * sum_r)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (g,) = cotangents
        return [slope * (inverse * g - xp.sum(share * g, axis))]

    return pull


def log_softmax(site: Site) -> Pull:
    """The input, less the logarithm of the sum of its exponentials."""
    xp, axis = site.xp, site.xp.axis(site.node)
    _, _, slope, sum_x, sum_r = _exponentials(xp, site.x_input(0), site.r_inputs[0], axis)
    share = slope * _log(xp, sum_x, sum_r)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (g,) = cotangents
        return [g - share * xp.sum(g, axis)]

    return pull


def log_sum_exp(site: Site) -> Pull:
    """The logarithm of the sum of the exponentials along one axis."""
    xp, axis = site.xp, site.xp.axis(site.node)
    _, _, slope, sum_x, sum_r = _exponentials(xp, site.x_input(0), site.r_inputs[0], axis)
    share = slope * _log(xp, sum_x, sum_r)
    return lambda cotangents: [xp.reshape(cotangents[0], xp.shape(sum_r)) * share]


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

    return pull


def layer_norm(site: Site) -> Pull:
    """PyTorch's native_layer_norm(input, normalised shape, weight, bias, epsilon)."""
    arguments = site.node.attributes["arguments"][0]
    n = 1
    for size in arguments[1]:
        n *= size
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
    gate, slope = (gx + gr) / 2, (ax + ar) / 2 * _sigmoid(xp, bx, br, gx, gr)
    return lambda cotangents: [xp.concat([cotangents[0] * gate, cotangents[0] * slope], axis)]


_RULES: dict[str, Rule] = {
    "elementwise": elementwise,
    "elementwise_pair": elementwise_pair,
    "glu": glu,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "log_softmax": log_softmax,
    "log_sum_exp": log_sum_exp,
    "max_pool": maximum_of_many,
    "ratio": ratio,
    "reduce_max": maximum_of_many,
    "softmax": softmax,
}
