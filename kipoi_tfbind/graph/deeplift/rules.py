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
from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Pull, Windows
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
        """The inputs halfway between x and r."""
        return [(self.x_input(i) + r) / 2 if i in self.varying else r for i, r in enumerate(self.r_inputs)]


Rule = Callable[[Site], Pull]

# Linear in all its floating-point inputs together.
LINEAR = frozenset(
    """
    add average_pool batch_to_space broadcast cast concat cumulative_sum gather identity linear normalise pad
    reduce_sum reshape resize reverse scatter select slice space_to_batch stack transpose unstack
    """.split()  # noqa: SIM905
)
# Linear in each of its inputs, or a quadratic function of them.
QUADRATIC = frozenset({"matmul", "einsum", "convolution", "product", "variance"})

_SMOOTH = frozenset(
    """
    acos acosh asin asinh atan atanh cos cosh erf erfc exp2 gelu log10 log2 log_sigmoid_forward mish silu sin
    sinc sinh softplus tan
    """.split()  # noqa: SIM905
)

_KINK_AT_ZERO = frozenset({"abs", "celu", "elu", "leaky_relu", "selu", "softsign"})


def is_linear(node: Node, varying: Sequence[int]) -> bool:
    """Whether a node is linear in those of its inputs that vary."""
    if node.kind == "ratio" and node.operation != "Xdivy":
        return list(varying) == [0]
    return node.kind in LINEAR or (node.kind in QUADRATIC - {"variance"} and len(varying) == 1)


def unsupported(node: Node, problem: str = "has no exact DeepLIFT rule") -> UnsupportedOperationError:
    """The error that names a node and what to do."""
    return UnsupportedOperationError(
        f"operation {node.operation} of layer {node.layer or '(no name)'}: {problem}; use in-silico "
        f"mutagenesis or sampled Shapley values, which only need predictions"
    )


def midpoint_gradient(site: Site) -> Pull:
    """The gradient at the midpoint, which is exact for a quadratic function."""
    _, pull = site.xp.linearise(site.node, site.midpoints(), site.varying, site.batch_size)
    # Each row has a gradient of its own.
    return Pull(pull.run)


def elementwise(site: Site) -> Pull:
    """The slope of the secant; the derivative where the two inputs are equal."""
    x, r, fx, fr = site.flat()
    slope = secant(site, x, r, fx, fr)
    xp, like = site.xp, site.r_inputs[site.varying[0]]

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        flat = xp.reshape(cotangents[0], xp.shape(slope))
        return [xp.reshape(flat * slope, xp.shape(like))]

    return Pull(pull, diagonal=True)


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
    return xp.where(near, local, (fx - fr) / difference)


def _derivative(site: Site, at: Any) -> Any:
    inputs = list(site.r_inputs)
    inputs[site.varying[0]] = at
    outputs, pull = site.xp.linearise(site.node, inputs, site.varying, site.batch_size)
    (slope,) = pull([site.xp.ones_like(outputs[0])] + [None] * (len(outputs) - 1))
    # A function in steps has none.
    return site.xp.zeros_like(at) if slope is None else slope


def over(xp: Arrays, numerator: Any, denominator: Any, limit: Any) -> Any:
    """A ratio, and its limit where the denominator is 0."""
    return xp.where(denominator == 0, limit, numerator / denominator)


def _relu(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    # max(x, r) / |x - r| is at least 1 where both are positive, and below 0 where both are negative. The
    # smallest number keeps 0 / 0 away and changes no other ratio.
    return xp.clip(xp.maximum(x, r) / (xp.unary("abs", x - r) + xp.tiny(x)), 0.0, 1.0)


def exp_slope(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    """The slope of the secant of exp, from the inputs and exp at both."""
    # The smallest number keeps 0 / 0 away and changes no other ratio.
    distance = -xp.tiny(x) - xp.unary("abs", x - r)
    return xp.maximum(fx, fr) * (xp.unary("expm1", distance) / distance)


def _tanh_ratio(xp: Arrays, t: Any) -> Any:
    return over(xp, xp.unary("tanh", t), t, xp.scalar(1.0, t))


def sigmoid_slope(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    """The slope of the secant of the sigmoid, from the inputs and the sigmoid at both."""
    return _tanh_ratio(xp, (x - r) / 2) * (fx * (1 - fr) + fr * (1 - fx)) / 2


def _tanh(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    return _tanh_ratio(xp, x - r) * (1 - fx * fr)


def log_slope(xp: Arrays, x: Any, r: Any, fx: Any = None, fr: Any = None) -> Any:
    """The slope of the secant of log."""
    distance, least = xp.unary("abs", x - r), xp.minimum(x, r)
    return over(xp, xp.unary("log1p", distance / least), distance, 1 / least)


def _sqrt(xp: Arrays, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    total = fx + fr
    return over(xp, xp.scalar(1.0, total), total, xp.scalar(0.0, total))


# The slope of the secant, from x, r, f(x) and f(r).
_SECANTS: dict[str, Callable[[Arrays, Any, Any, Any, Any], Any]] = {
    "exp": exp_slope,
    "expm1": lambda xp, x, r, fx, fr: exp_slope(xp, x, r, fx + 1, fr + 1),
    "log": log_slope,
    "log1p": lambda xp, x, r, fx, fr: log_slope(xp, x + 1, r + 1),
    "reciprocal": lambda xp, x, r, fx, fr: -fx * fr,
    "relu": _relu,
    "rsqrt": lambda xp, x, r, fx, fr: -((fx * fr) ** 2) / (fx + fr),
    "sigmoid": sigmoid_slope,
    "sqrt": _sqrt,
    "square": lambda xp, x, r, fx, fr: x + r,
    "tanh": _tanh,
}


def ratio(site: Site) -> Pull:
    """The ratio a / b as the product of a and 1 / b."""
    xp = site.xp
    (ax, bx), (ar, br) = site.x_inputs(), site.r_inputs
    shares = {0: (1 / bx + 1 / br) / 2, 1: -(ax + ar) / 2 / (bx * br)}

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        return [xp.sum_to_shape(cotangents[0] * shares[i], site.r_inputs[i]) for i in site.varying]

    return Pull(pull)


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
        slopes.append(xp.where(near, xp.scalar(0.0, share), share / difference))

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (cotangent,) = cotangents
        result = []
        for k, i in enumerate(site.varying):
            there = local([xp.where(same[k], cotangent, xp.zeros_like(cotangent))])[k]
            result.append(xp.sum_to_shape(cotangent * slopes[k], at_r[i]) + there)
        return result

    return Pull(pull)


def maximum_of_many(site: Site) -> Pull:
    """Max pooling and the like: the difference goes to where the larger of the two maxima is."""
    windows = site.xp.windows(site.node, site.r_inputs[site.varying[0]])
    return _routed_by_gradient(site) if windows is None else _routed_in_windows(site, windows)


def _is_minimum(node: Node) -> bool:
    return node.operation.lower().removeprefix("aten.").startswith(("min", "amin"))


def _beyond_rounding(xp: Arrays, fx: Any, fr: Any, axis: int) -> Any:
    """The difference of two maxima; 0 where it is no more than rounding.

    Where sequence and reference have the same bases in a window, the two are equal; but sums of another
    batch may differ in their last digits, and the ratio of two such differences would be any number. A sum
    is rounded to the size of its terms, of which the largest values from `axis` on tell more than the sum.
    """
    difference = fx - fr
    largest = xp.maximum(xp.largest(fx, axis), xp.largest(fr, axis))
    near = xp.unary("abs", difference) <= largest * (8 * xp.epsilon(difference))
    return xp.where(near, xp.scalar(0.0, difference), difference)


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
    gain = _beyond_rounding(xp, fx, fr, 2)
    to_x, to_r, nowhere = gain > 0, gain < 0, xp.scalar(float("inf"), fr)
    if _is_minimum(site.node):
        to_x, to_r, nowhere = to_r, to_x, -nowhere
    gain = xp.where(to_x | to_r, gain, xp.scalar(0.0, gain))
    # 1 where the position does not have the maximum; numbers are faster than conditions.
    absent = xp.unary("sign", x - xp.where(to_x, fx, nowhere)) * xp.unary(
        "sign", r - xp.where(to_r, fr, nowhere)
    )
    absent = xp.unary("abs", absent)
    present = 1 - absent
    share = gain / xp.clip(xp.sum(present, -2), 1.0, float(windows.size))
    # No difference is as large: what is added keeps 0 / 0 away. Positions may be masked by infinity.
    large = xp.large(r)
    difference = xp.clip(x, -large, large) - xp.clip(r, -large, large)
    slope = share * present / (difference + absent * large)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        cotangent = xp.reshape(cotangents[0], xp.shape(fr))
        pulled = cotangent * slope
        if n_used < windows.length:
            rows = xp.sizes(r)[:2]
            pulled = xp.reshape(pulled, (*rows, windows.before, n_used, windows.after))
            pulled = xp.pad(pulled, windows.length - n_used, -2)
        return [xp.reshape(pulled, xp.shape(like))]

    return Pull(pull, diagonal=True, windows=windows)


def _routed_by_gradient(site: Site) -> Pull:
    """Any windows; the operation's own gradient finds a position that has the maximum."""
    xp, node, (i,) = site.xp, site.node, site.varying
    x, r = site.x_input(i), site.r_inputs[i]
    others = [None if j == i else value for j, value in enumerate(site.r_inputs)]
    fx, fr = site.x_output(0), site.r_outputs[0]
    at_x = (fx <= fr) if _is_minimum(node) else (fx >= fr)
    gain, zero = _beyond_rounding(xp, fx, fr, 1), xp.scalar(0.0, fx)
    gain_at_x, gain_at_r = xp.where(at_x, gain, zero), xp.where(at_x, zero, gain)
    outputs, to_x = xp.linearise(node, [x if v is None else v for v in others], [i], site.batch_size)
    _, to_r = xp.linearise(node, [r if v is None else v for v in others], [i], site.batch_size)
    rest = [None] * (len(outputs) - 1)
    difference = x - r
    scale = over(xp, 1, difference, zero)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        (routed_x,) = to_x([cotangents[0] * gain_at_x, *rest])
        (routed_r,) = to_r([cotangents[0] * gain_at_r, *rest])
        return [(routed_x + routed_r) * scale]

    return Pull(pull)


RULES: dict[str, Rule] = {
    "elementwise": elementwise,
    "elementwise_pair": elementwise_pair,
    "max_pool": maximum_of_many,
    "ratio": ratio,
    "reduce_max": maximum_of_many,
}
