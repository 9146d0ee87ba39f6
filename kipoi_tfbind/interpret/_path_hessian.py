"""The Hessian of a function, integrated along a line: where it curves, or where it has kinks.

A point of the line is r + t d, t from 0 to 1. Of the gradient only its part along d counts, position by
position: the slopes s_i(t) = sum over bases of d_i times the derivative by position i, whose sum is the
derivative by t.

Curves: the second derivatives by a position come from central differences of the slopes.

Kinks: where the function is linear on either side of a hyperplane n.z = c, its second derivative is
a n n' on it. The line crosses it at one t, where the slopes jump by J_i = a (d_i.n)(n.d) / |n.d|, and the
integral of d_i d_j times the second derivatives over the crossing is
a (d_i.n)(d_j.n) / |n.d| = J_i J_j / sum J.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import UnsupportedModelError

# Slopes that differ by less than this, relative to the largest, are the same: some roundings of float64.
_SAME = 1e-9
# Two kinks nearer to each other on the line are one.
_NARROWEST = 1e-11
_MOVED = 1e-7
# Of central differences, whose own error is its square; and of what is no rounding of a second derivative.
_STEP = 1e-5
_CROSSED = 1e-2
# Of halving: what is no straight line, relative to the largest slope; an interval with a kink for certain.
_CURVED = 1e-8
_NARROW = 1e-9
# Slopes that need intervals narrower than this have a corner there.
_CORNER = 2e-6
# Nodes of a panel; error of a panel relative to the whole difference; a panel that is not halved any more.
_NODES = 4
_CONVERGED = 2e-8
_NARROWEST_PANEL = 1e-7
# Nodes at most, times `n_steps`: then panels are taken as they are.
_MOST_NODES = 64
# A change of the value between two points that a kink alone is between.
_STEPS = 1e-6
_PROBES = 16
_PROBE_STEP = 1e-7
_FIRST = 32
_MOST = 2_000_000


@dataclass(frozen=True)
class Line:
    """A function along a line.

    Attributes
    ----------
    start, direction
        The point at t = 0 and the way to that at t = 1, (position, base).
    values, gradients
        Points (point, position, base) -> values (point), gradients (point, position, base).
    """

    start: NDArray[np.float64]
    direction: NDArray[np.float64]
    values: Callable[[NDArray], NDArray]
    gradients: Callable[[NDArray], NDArray]

    def at(self, t: NDArray) -> NDArray[np.float64]:
        """Values (t)."""
        return self.values(self.start + t[:, np.newaxis, np.newaxis] * self.direction)

    def slopes(self, t: NDArray) -> NDArray[np.float64]:
        """Slopes (t, position)."""
        points = self.start + t[:, np.newaxis, np.newaxis] * self.direction
        return np.einsum("npb,pb->np", self.gradients(points), self.direction)


def integrated_hessian(line: Line, n_steps: int) -> NDArray[np.float64]:
    """Integrated Hessian (position, position); it adds up to the difference of the function at both ends.

    Examples
    --------
    >>> def values(z):
    ...     return np.maximum(z[:, 0, 0] + z[:, 1, 0] - 0.5, 0)
    >>> def gradients(z):
    ...     return np.repeat((z.sum(axis=(1, 2)) > 0.5)[:, np.newaxis, np.newaxis], 2, axis=1) * 1.0
    >>> matrix = integrated_hessian(Line(np.zeros((2, 1)), np.ones((2, 1)), values, gradients), 8)
    >>> matrix.round(4), float(matrix.sum().round(6))
    (array([[0.5767, 0.1733],
           [0.1733, 0.5767]]), 1.5)
    """
    if not line.direction.any():
        return np.zeros((len(line.direction),) * 2)
    line = Line(*moved_start(line.start, line.direction), line.values, line.gradients)
    return _from_kinks(line) if _is_piecewise_linear(line) else _from_curves(line, n_steps)


def moved_start(start: NDArray, direction: NDArray) -> tuple[NDArray, NDArray]:
    """A start, and the way to the same end, that are moved by next to nothing.

    Kinks at the very same point have no jump of their own.
    """
    moved = start + _MOVED * np.random.default_rng(0).uniform(-1, 1, start.shape) * direction
    return moved, direction + (start - moved)


def _is_piecewise_linear(line: Line) -> bool:
    """Whether slopes are the same at points and others next to them, but for one that may be on a kink."""
    t = (np.arange(_PROBES) + 0.381966) / _PROBES * (1 - 2 * _PROBE_STEP)
    slopes = line.slopes(np.concatenate([t, t + _PROBE_STEP]))
    scale = np.abs(slopes).max()
    change = np.abs(slopes[_PROBES:] - slopes[:_PROBES]).max(axis=1)
    # Of a curve the change is about as much as the step; of a constant slope a rounding of 1e-16.
    return bool((change <= 1e-12 * scale).sum() >= _PROBES - 1)


def _from_curves(line: Line, n_steps: int) -> NDArray[np.float64]:
    """Of a function that curves, and may have kinks: the integrals between them, and what is on them."""
    places, jumps, bends = _kinks_between_curves(line)
    matrix = _on_kinks(places, jumps)
    # t = s**3, which takes the logarithm's steepness at 0 away.
    even = np.linspace(0, 1, max(1, n_steps // _NODES) + 1)
    edges = np.unique(np.concatenate([even, np.cbrt(places), np.cbrt(bends)]))
    starts, ends = _panels(line, edges, n_steps)
    s, weights = _nodes(starts, ends)
    # A step that in a narrow panel does not reach over both of its edges.
    step = np.repeat(np.minimum(_STEP, (ends**3 - starts**3) / 100), _NODES)
    t, weights = s**3, weights * 3 * s**2
    slopes = line.slopes(t)
    matrix += np.diag((-np.log(t) * weights) @ slopes)
    scale = np.abs(slopes).max()
    for i in np.flatnonzero(line.direction.any(axis=1)):
        second = _along_position(line, t, slopes, int(i), scale, step)
        matrix[i] += (-t * np.log(t) * weights) @ second
    return (matrix + matrix.T) / 2


def _panels(line: Line, edges: NDArray, n_steps: int) -> tuple[NDArray, NDArray]:
    """Starts and ends of panels on which the integrals converge; halved where those along the line do not.

    Of each row's sum of second derivatives the line alone has the derivatives, at one gradient for a node and
    not one for each position, and its integral is known from the slopes at the panel's ends, by parts.
    """
    a, b = edges[:-1], edges[1:]
    tolerance = _CONVERGED * max(float(np.ptp(line.at(np.array([0.0, 1.0])))), 1e-12)
    done: list[tuple[NDArray, NDArray]] = []
    n_nodes = 0
    while len(a):
        error = np.abs(_row_errors(line, a, b))
        fine = (error.max(axis=1) <= tolerance) | (b - a < _NARROWEST_PANEL)
        if n_nodes + _NODES * len(a) > _MOST_NODES * n_steps:
            fine[:] = True
        n_nodes += _NODES * int(fine.sum())
        done.append((a[fine], b[fine]))
        middle = (a + b)[~fine] / 2
        a, b = np.concatenate([a[~fine], middle]), np.concatenate([middle, b[~fine]])
    starts, ends = (np.concatenate(each) for each in zip(*done, strict=True))
    return starts, ends


def _row_errors(line: Line, a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Error of the integral of each row's sum of second derivatives over each panel (panel, position)."""
    s, weights = _nodes(a, b)
    t, start, end = s**3, a**3, b**3
    # Neither nodes nor ends have a step over the panel's edges, where the slopes may jump.
    step = np.minimum(_STEP, np.minimum(t - np.repeat(start, _NODES), np.repeat(end, _NODES) - t) / 2)
    margin = np.minimum(2 * _NARROW, (end - start) / 100)
    points = np.concatenate([t - step, t + step, t, start + margin, end - margin])
    parts = np.split(line.slopes(points), np.cumsum([len(t)] * 3 + [len(a)]))
    before, behind, slopes, first, last = parts
    second = (behind - before) / (2 * step)[:, np.newaxis]
    own = second * (-t * np.log(t))[:, np.newaxis] - slopes * (np.log(t) + 1)[:, np.newaxis]
    own = (own * (weights * 3 * s**2)[:, np.newaxis]).reshape(len(a), _NODES, -1).sum(axis=1)
    at_ends = [-x * np.log(np.maximum(x, 1e-300)) for x in (start, end)]
    return own - (at_ends[1][:, np.newaxis] * last - at_ends[0][:, np.newaxis] * first)


def _nodes(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Gauss-Legendre nodes and weights of each panel, one panel behind the other."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    width = (b - a)[:, np.newaxis]
    return (a[:, np.newaxis] + width * (nodes + 1) / 2).ravel(), (width * weights / 2).ravel()


def _along_position(
    line: Line, t: NDArray, slopes: NDArray, i: int, scale: float, step: NDArray
) -> NDArray[np.float64]:
    """Second derivatives (t, position) by one position and each, where there is no kink."""
    moved = np.zeros((len(t), *line.direction.shape))
    moved[:, i] = step[:, np.newaxis] * line.direction[i]
    points = line.start + t[:, np.newaxis, np.newaxis] * line.direction
    sides = line.gradients(np.concatenate([points - moved, points + moved]))
    before, behind = np.einsum("npb,pb->np", sides, line.direction).reshape(2, len(t), -1)
    width = step[:, np.newaxis]
    left, right = (slopes - before) / width, (behind - slopes) / width
    # A kink within the step is on one side: of derivatives that do not agree the smaller one is without.
    crossed = np.abs(left - right).max(axis=1) > _CROSSED * scale
    smaller = np.where((np.abs(left).max(axis=1) < np.abs(right).max(axis=1))[:, np.newaxis], left, right)
    return np.where(crossed[:, np.newaxis], smaller, (left + right) / 2)


def _kinks_between_curves(line: Line) -> tuple[NDArray, NDArray, NDArray]:
    """Kinks (kink), by how much the slopes jump there (kink, position), and bends, where these turn sharply.

    Intervals are halved until the slopes in their middle are the mean of those at both ends, as of any curve
    at last; where they are not, even in the narrowest interval, a kink is in it. Where that takes intervals
    as narrow as nowhere else, the slopes have a corner: second derivatives jump there, as those of an ELU do.
    """
    t = np.linspace(0, 1, _FIRST + 1)
    slopes = line.slopes(t)
    scale = np.abs(slopes).max()
    a, b, slope_a, slope_b = t[:-1], t[1:], slopes[:-1], slopes[1:]
    places: list[NDArray] = [np.empty(0)]
    jumps: list[NDArray] = [np.empty((0, slopes.shape[1]))]
    corners: list[NDArray] = [np.empty((0, 2))]
    n_points = len(t)
    while len(a) and n_points < _MOST:
        middle = (a + b) / 2
        slope = line.slopes(middle)
        n_points += len(a)
        curved = np.abs(slope - (slope_a + slope_b) / 2).max(axis=1) > _CURVED * scale
        narrow = b - a < _NARROW
        kink = curved & narrow
        places.append(middle[kink])
        jumps.append((slope_b - slope_a)[kink])
        corner = ~curved & (b - a < _CORNER)
        corners.append(np.stack([middle, b - a], axis=1)[corner])
        go = curved & ~narrow
        a, b = np.concatenate([a[go], middle[go]]), np.concatenate([middle[go], b[go]])
        slope_a, slope_b = (
            np.concatenate([slope_a[go], slope[go]]),
            np.concatenate([slope[go], slope_b[go]]),
        )
    where, found = np.concatenate(places), np.concatenate(jumps)
    order = np.argsort(where, kind="stable")
    _refuse_steps(line, where)
    return where[order], found[order], _bends(np.concatenate(corners), where)


def _bends(corners: NDArray, kinks: NDArray) -> NDArray[np.float64]:
    """Where slopes have a corner, from narrow intervals (interval, its middle and width) around them.

    It lies in the narrowest of those that lie together; those around a kink are of that kink.
    """
    near = corners[np.argsort(corners[:, 0])]
    groups = np.split(near, np.flatnonzero(np.diff(near[:, 0]) > 2 * _CORNER) + 1)
    bends = [group[group[:, 1].argmin(), 0] for group in groups if len(group)]
    return np.array([bend for bend in bends if not len(kinks) or np.abs(kinks - bend).min() > _CORNER])


def _refuse_steps(line: Line, places: NDArray) -> None:
    """Refuse a function that is not continuous: its derivatives do not add up to what it does."""
    if not len(places):
        return
    before, behind = np.maximum(places - 2 * _NARROW, 0), np.minimum(places + 2 * _NARROW, 1)
    values = line.at(np.concatenate([before, behind, [0.0, 1.0]]))
    step = np.abs(values[len(places) : -2] - values[: len(places)])
    if step.max() > _STEPS * np.ptp(values):
        raise UnsupportedModelError(
            "model: it makes a step on the way from a reference, so that derivatives do not add up to its "
            "difference, and integrated_hessians are not defined; use second_order_mutagenesis, "
            "deep_feature_interaction or shapley_interactions"
        )


def _on_kinks(places: NDArray, jumps: NDArray) -> NDArray[np.float64]:
    """Integral over the kinks (position, position)."""
    total = jumps.sum(axis=1)
    weight = -places * np.log(np.maximum(places, 1e-300))
    safe = np.where(np.abs(total) > 0, total, 1)
    return np.einsum("k,ki,kj->ij", weight / safe, jumps, jumps)


def _from_kinks(line: Line) -> NDArray[np.float64]:
    places, jumps, first = _kinks(line)
    _refuse_steps(line, places)
    edges = np.concatenate([[0.0], places, [1.0]])
    slopes = first + np.concatenate([np.zeros((1, len(first))), np.cumsum(jumps, axis=0)])
    # The integral of -ln t between two kinks, over which the slopes are the same.
    antiderivative = edges - edges * np.log(np.maximum(edges, 1e-300))
    matrix = np.diag(np.diff(antiderivative) @ slopes)
    return matrix + _on_kinks(places, jumps)


def _kinks(line: Line) -> tuple[NDArray, NDArray, NDArray]:
    """Where the kinks are (kink), by how much the slopes jump there (kink, position), and the first slopes.

    Between two points with different slopes a single kink has one place, from the values at both. It is one
    where the slopes just before and behind are those at both ends; else the parts are looked at in turn.
    """
    t = np.linspace(0, 1, _FIRST + 1)
    # No point that a kink is likely to be on.
    t[1:-1] += 0.0137 / _FIRST
    values, slopes = line.at(t), line.slopes(t)
    scale = np.abs(slopes).max()
    ends = [(t[:-1], t[1:]), (values[:-1], values[1:]), (slopes[:-1], slopes[1:])]
    places: list[NDArray] = []
    jumps: list[NDArray] = []
    n_points = len(t)
    while len(ends[0][0]):
        jump = ends[2][1] - ends[2][0]
        different = np.abs(jump).max(axis=1) > _SAME * scale
        (a, b), (value_a, value_b), (slope_a, slope_b) = (
            tuple(each[different] for each in pair) for pair in ends
        )
        jump = jump[different]
        sum_a, sum_b = slope_a.sum(axis=1), slope_b.sum(axis=1)
        turn = sum_b - sum_a
        steep = np.abs(turn) > _SAME * scale
        with np.errstate(divide="ignore", invalid="ignore"):
            place = a + (value_b - value_a - sum_b * (b - a)) / -turn
        inside = steep & (place > a) & (place < b)
        place = np.where(inside, place, (a + b) / 2)
        reach = np.maximum(1e-3 * (b - a), _NARROWEST / 4)
        before, behind = np.maximum(place - reach, a), np.minimum(place + reach, b)
        narrow = b - a < _NARROWEST
        found_values = line.at(np.concatenate([before, behind])) if len(a) else np.zeros(0)
        found_slopes = line.slopes(np.concatenate([before, behind])) if len(a) else np.zeros((0, len(scale)))
        n = len(a)
        n_points += 2 * n
        single = inside
        for found, expected in ((found_slopes[:n], slope_a), (found_slopes[n:], slope_b)):
            single = single & (np.abs(found - expected).max(axis=1, initial=0) <= _SAME * scale)
        done = single | narrow
        places.append(place[done])
        jumps.append(jump[done])
        rest = ~done
        v, w = (found_values[:n][rest], found_values[n:][rest])
        p, q = (found_slopes[:n][rest], found_slopes[n:][rest])
        ends = [
            (
                np.concatenate([a[rest], before[rest], behind[rest]]),
                np.concatenate([before[rest], behind[rest], b[rest]]),
            ),
            (np.concatenate([value_a[rest], v, w]), np.concatenate([v, w, value_b[rest]])),
            (np.concatenate([slope_a[rest], p, q]), np.concatenate([p, q, slope_b[rest]])),
        ]
        if n_points > _MOST:
            break
    where, found = np.concatenate(places), np.concatenate(jumps)
    order = np.argsort(where, kind="stable")
    return where[order], found[order], slopes[0]
