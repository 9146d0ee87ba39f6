"""Slopes of the secants of common functions, without cancellation where the two inputs are close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps


def over(ops: ArrayOps, numerator: Any, denominator: Any, limit: Any) -> Any:
    """A ratio, and its limit where the denominator is 0."""
    return ops.where(denominator == 0, limit, numerator / denominator)


def _relu(ops: ArrayOps, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    # max(x, r) / |x - r| is at least 1 where both are positive, and below 0 where both are negative. The
    # smallest number keeps 0 / 0 away and changes no other ratio.
    return ops.clip(ops.maximum(x, r) / (ops.unary("abs", x - r) + float(ops.finfo(x).tiny)), 0.0, 1.0)


def exp_slope(ops: ArrayOps, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    """The slope of the secant of exp, from the inputs and exp at both."""
    # The smallest number keeps 0 / 0 away and changes no other ratio.
    distance = -float(ops.finfo(x).tiny) - ops.unary("abs", x - r)
    slope = ops.maximum(fx, fr) * (ops.unary("expm1", distance) / distance)
    # Where both are minus infinity, as of what is masked, there is no difference.
    return ops.where(fx + fr == 0, 0.0, slope)


def _tanh_ratio(ops: ArrayOps, t: Any) -> Any:
    return over(ops, ops.unary("tanh", t), t, 1.0)


def sigmoid_slope(ops: ArrayOps, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    """The slope of the secant of the sigmoid, from the inputs and the sigmoid at both."""
    return _tanh_ratio(ops, (x - r) / 2) * (fx * (1 - fr) + fr * (1 - fx)) / 2


def _tanh(ops: ArrayOps, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    return _tanh_ratio(ops, x - r) * (1 - fx * fr)


def log_slope(ops: ArrayOps, x: Any, r: Any, fx: Any = None, fr: Any = None) -> Any:
    """The slope of the secant of log."""
    distance, least = ops.unary("abs", x - r), ops.minimum(x, r)
    return over(ops, ops.unary("log1p", distance / least), distance, 1 / least)


def _sqrt(ops: ArrayOps, x: Any, r: Any, fx: Any, fr: Any) -> Any:
    total = fx + fr
    return over(ops, 1.0, total, 0.0)


# The slope of the secant, from x, r, f(x) and f(r).
SECANTS: dict[str, Callable[[ArrayOps, Any, Any, Any, Any], Any]] = {
    "exp": exp_slope,
    "expm1": lambda ops, x, r, fx, fr: exp_slope(ops, x, r, fx + 1, fr + 1),
    "log": log_slope,
    "log1p": lambda ops, x, r, fx, fr: log_slope(ops, x + 1, r + 1),
    "reciprocal": lambda ops, x, r, fx, fr: -fx * fr,
    "relu": _relu,
    "rsqrt": lambda ops, x, r, fx, fr: -((fx * fr) ** 2) / (fx + fr),
    "sigmoid": sigmoid_slope,
    "sqrt": _sqrt,
    "square": lambda ops, x, r, fx, fr: x + r,
    "tanh": _tanh,
}
