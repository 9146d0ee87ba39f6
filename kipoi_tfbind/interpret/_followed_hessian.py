"""The Hessian integrated along a line, of a model whose operations are known one by one.

The second derivative of f is the sum over its functions of (df / dv_k) v_k''(u_k) times the outer product of
the gradient of u_k, where v_k = v_k(u_k) is what a function makes of its input. For ReLU, v'' is 1 at 0, as a
density; the larger of two, max(a, b) = b + relu(a - b), has the kink of ReLU where they are equal. So one
kink, of a unit k at t, adds -t ln t (df / dv_k) a_i a_j / |sum a|, with a_i = d_i times the derivative of u_k
by position i: what the slopes' jumps say of a function that is not known inside (`_path_hessian`), without
a search for the jumps. Where kinks are is seen in the signs of the units themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.along_line import AlongLine, Points, derivatives
from kipoi_tfbind.graph.deeplift.prefix import Applied, Prefix, Step
from kipoi_tfbind.graph.graph import Ref

# Points at which units are looked at; nodes between two kinks, and stretches of the line at least.
_GRID = 1024
_NODES = 2
_STRETCHES = 96
# Of a kink's place on the line, and evaluations that finding it may take.
_PLACE = 1e-11
_MOST = 60
# How far from a kink ReLU is taken for open; a gap that is next to nothing, relative to the other side's.
_OPEN = 2e-10
_TIED = 1e-10
# A bracket, tied at one end, that is not halved any more.
_HALVED = 1e-6
# Kinks of a unit that are nearer to each other are one.
_SAME = 1e-9
# Of a slope, relative to its parts: two that are equal all along the line do not cross.
_CROSSED = 1e-6


@dataclass(frozen=True)
class _Brackets:
    """Units, each with a kink between two points of the line: arrays of the same length.

    Of ReLU `top` and `other` are 0; of maxima the positions of the largest before the kink and behind it.
    """

    window: NDArray[np.intp]
    channel: NDArray[np.intp]
    top: NDArray[np.intp]
    other: NDArray[np.intp]
    start: NDArray
    end: NDArray

    def at(self, some: NDArray) -> _Brackets:
        """Some of them."""
        return _Brackets(*(getattr(self, name)[some] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: list[_Brackets]) -> _Brackets:
        """One after the other."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


def can_be_followed(prefix: Prefix) -> bool:
    """Whether a model has no functions that curve but of what is linear in the sequence."""
    return prefix.is_whole and all(step.before.ref in prefix.of_source for step in _curved(prefix.steps))


def _curved(steps: Sequence[Step]) -> list[Applied]:
    """The functions that curve between kinks."""
    return [s for s in steps if isinstance(s, Applied) and s.function in ("exp", "sigmoid", "tanh")]


def followed_hessian(line: AlongLine) -> NDArray[np.float64]:
    """Integrated Hessian (position, position, target), as `_path_hessian.integrated_hessian`."""
    n, length = len(line.sites), len(line.direction)
    kinks = [(step, is_max, _kinks(line, step, is_max)) for step, is_max in _kinds(line)]
    matrix = sum((_on_kinks(line, *each) for each in kinks), np.zeros((n, n, line.n_targets)))
    places = [brackets.end for *_, brackets in kinks]
    matrix += _between(line, np.concatenate([*places, [0.0]]))
    found = np.zeros((length, length, line.n_targets))
    found[np.ix_(line.sites, line.sites)] = matrix
    return found


def _kinds(line: AlongLine) -> list[tuple[Applied, bool]]:
    """The functions that have kinks, each with whether these are those of its maxima."""
    found = [(step, True) for step in line.applied if step.span > 1]
    return found + [(step, False) for step in line.applied if step.function == "relu"]


def _state(points: Points, step: Applied, is_max: bool) -> tuple[NDArray[np.intp], NDArray]:
    """What changes at a kink (point, window, channel), and how far away that is."""
    ref = step.after.ref
    if not is_max:
        return (points.largest[ref] > 0).astype(np.intp), np.abs(points.largest[ref])
    two = np.partition(points.windows[ref], -2, axis=2)[:, :, -2:]
    return points.top[ref], two[:, :, 1] - two[:, :, 0]


def _gap(points: Points, step: Applied, is_max: bool, units: _Brackets) -> NDArray:
    """What is 0 at each unit's kink, at one point for each."""
    ref, rows = step.after.ref, np.arange(len(units.window))
    if not is_max:
        found: NDArray = points.largest[ref][rows, units.window, units.channel]
        return found
    x = points.windows[ref]
    first, second = (x[rows, units.window, p, units.channel] for p in (units.top, units.other))
    return first - second


def _kinks(line: AlongLine, step: Applied, is_max: bool) -> _Brackets:
    """All kinks of a function, each bracket as narrow as a point."""
    parts = []
    t = np.linspace(0, 1, _GRID + 1)
    for first in range(0, _GRID, line.n_at_once):
        some = t[first : first + line.n_at_once + 2]
        state, margin = _state(line.points(some, step), step, is_max)
        last = None if len(some) < line.n_at_once + 2 else -1
        parts.append(_crossings(some[:last], state[:last], is_max))
        parts += _touched(line, step, is_max, some, state, margin)
    return _different(_narrowed(line, step, is_max, _Brackets.joined(parts)))


def _different(kinks: _Brackets) -> _Brackets:
    """Without those that have been found twice."""
    kinks = kinks.at(np.lexsort((kinks.end, kinks.channel, kinks.window)))
    same = (np.diff(kinks.window) == 0) & (np.diff(kinks.channel) == 0) & (np.diff(kinks.end) < _SAME)
    return kinks.at(np.concatenate([np.ones(min(len(kinks.end), 1), bool), ~same]))


def _crossings(t: NDArray, state: NDArray[np.intp], is_max: bool) -> _Brackets:
    """Brackets between neighbouring points (point, window, channel) with different states."""
    at, window, channel = np.nonzero(state[1:] != state[:-1])
    places = state[at, window, channel], state[at + 1, window, channel]
    top, other = places if is_max else (np.zeros_like(at), np.zeros_like(at))
    return _Brackets(window, channel, top, other, t[at], t[at + 1])


def _touched(
    line: AlongLine, step: Applied, is_max: bool, t: NDArray, state: NDArray[np.intp], margin: NDArray
) -> list[_Brackets]:
    """Brackets of units that may cross twice between points: a parabola through three says so."""
    same = (state[:-2] == state[1:-1]) & (state[1:-1] == state[2:])
    bend, tilt = margin[2:] - 2 * margin[1:-1] + margin[:-2], (margin[2:] - margin[:-2]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest = -tilt / bend
        crossed = same & (bend > 0) & (np.abs(lowest) < 1) & (margin[1:-1] < tilt**2 / (2 * bend))
    at, window, channel = np.nonzero(crossed)
    if not len(at):
        return []
    step_width = t[1] - t[0]
    middle = t[at + 1] + lowest[at, window, channel] * step_width
    found = []
    for first in range(0, len(at), line.n_at_once):
        some = slice(first, first + line.n_at_once)
        inner, _ = _state(line.points(middle[some], step), step, is_max)
        rows = np.arange(len(inner))
        own = inner[rows, window[some], channel[some]]
        outer = state[at[some], window[some], channel[some]]
        two = np.flatnonzero(own != outer)
        w, c = window[some][two], channel[some][two]
        p, q = (outer[two], own[two]) if is_max else (np.zeros_like(w), np.zeros_like(w))
        a, m, b = t[at[some]][two], middle[some][two], t[at[some] + 2][two]
        found += [_Brackets(w, c, p, q, a, m), _Brackets(w, c, q, p, m, b)]
    return found


def _narrowed(line: AlongLine, step: Applied, is_max: bool, units: _Brackets) -> _Brackets:
    """Brackets narrowed to points, by secants that keep the kink between both ends (Illinois)."""
    done = []
    for first in range(0, len(units.window), line.n_at_once):
        done += _narrowed_at_once(
            line, step, is_max, units.at(np.arange(first, min(first + line.n_at_once, len(units.window))))
        )
    return _Brackets.joined([*done, units.at(np.zeros(0, np.intp))])


def _narrowed_at_once(line: AlongLine, step: Applied, is_max: bool, units: _Brackets) -> list[_Brackets]:
    done: list[_Brackets] = []
    at_start, at_end = (_gap(line.points(t, step), step, is_max, units) for t in (units.start, units.end))
    # Where a side is tied, as maxima of closed ReLUs are, the kink is that of what ends the tie.
    small, large = np.sort(np.abs([at_start, at_end]), axis=0)
    apart = small > _TIED * large
    if is_max:
        done += _by_halves(line, step, units.at(~apart))
    units, at_start, at_end = units.at(apart), at_start[apart], at_end[apart]
    side = np.zeros(len(at_start))
    for _ in range(_MOST):
        if not len(units.window):
            break
        a, b = units.start, units.end
        with np.errstate(divide="ignore", invalid="ignore"):
            t = b - at_end * (b - a) / (at_end - at_start)
        t = np.where((t > a) & (t < b), t, (a + b) / 2)
        points = line.points(t, step)
        here, top = _gap(points, step, is_max, units), units.other
        if is_max:
            top = points.top[step.after.ref][np.arange(len(t)), units.window, units.channel]
        third = (top != units.top) & (top != units.other)
        if third.any():
            done += _by_third(line, step, units.at(third), top[third], t[third])
        behind = np.sign(here) == np.sign(at_start)
        # The end that stays twice counts half.
        at_end = np.where(behind, np.where(side == 1, at_end / 2, at_end), here)
        at_start = np.where(behind, here, np.where(side == -1, at_start / 2, at_start))
        side = np.where(behind, 1, -1)
        start, end = np.where(behind, t, a), np.where(behind, b, t)
        near = (here == 0) | (np.where(behind, t - a, b - t) < _PLACE) | (end - start < _PLACE)
        units = replace(units, start=start, end=np.where(near, t, end))
        done.append(units.at(near & ~third))
        go = ~near & ~third
        units, at_start, at_end, side = units.at(go), at_start[go], at_end[go], side[go]
    return [*done, units]


def _by_halves(line: AlongLine, step: Applied, units: _Brackets) -> list[_Brackets]:
    """Kinks of maxima that are tied at one end, if others take part in them beside the tie."""
    units = units.at(units.end - units.start > _HALVED)
    if not len(units.window):
        return []
    t, rows = (units.start + units.end) / 2, np.arange(len(units.window))
    top = line.points(t, step).top[step.after.ref][rows, units.window, units.channel]
    before = replace(units, other=top, end=t).at(top != units.top)
    behind = replace(units, top=top, start=t).at(top != units.other)
    return _narrowed_at_once(line, step, True, _Brackets.joined([before, behind]))


def _by_third(
    line: AlongLine, step: Applied, units: _Brackets, third: NDArray[np.intp], t: NDArray
) -> list[_Brackets]:
    """Kinks of maxima between two positions, where a third one has the largest between: there are two."""
    both = _Brackets.joined([replace(units, other=third, end=t), replace(units, top=third, start=t)])
    wide = both.end - both.start > _PLACE
    return [*_narrowed_at_once(line, step, True, both.at(wide)), both.at(~wide)]


def _on_kinks(line: AlongLine, step: Applied, is_max: bool, kinks: _Brackets) -> NDArray[np.float64]:
    """Integral over the kinks (site, site, target) of one function."""
    n, ref = len(line.sites), step.after.ref
    matrix = np.zeros((n, n, line.n_targets))
    for first in range(0, len(kinks.window), line.n_at_once):
        own = kinks.at(np.arange(first, min(first + line.n_at_once, len(kinks.window))))
        t, points = own.end, line.points(own.end, step)
        slopes = _slopes_of_units(line, step, is_max, own, points)
        # Of ReLU on the side where it is open: what is behind may be open only there, too.
        points = line.points(t if is_max else (t + _OPEN * np.sign(slopes.sum(axis=1))).clip(0, 1))
        rows = np.arange(len(t))
        gradient = line.backward(points)[ref][0, rows, :, own.window, own.channel]
        if is_max:
            largest = points.largest[ref][rows, own.window, own.channel]
            gradient = gradient * derivatives(step.function, largest)[0][:, None]
        total = np.abs(slopes.sum(axis=1))
        crossed = total > _CROSSED * np.abs(slopes).sum(axis=1)
        weight = -t * np.log(np.maximum(t, 1e-300)) / np.where(crossed, total, np.inf)
        matrix += np.einsum("k,kt,ki,kj->ijt", weight, gradient, slopes, slopes, optimize=True)
    return matrix


def _slopes_of_units(
    line: AlongLine, step: Applied, is_max: bool, units: _Brackets, points: Points
) -> NDArray[np.float64]:
    """Parts (unit, site) of the slope of what is 0 at a kink, at one point for each unit."""
    one = np.ones(len(units.window))
    top = units.top
    if not is_max:
        top = points.top[step.after.ref][np.arange(len(one)), units.window, units.channel]
    seed = line.seed(step, (units.window, top, units.channel), one)
    if is_max:
        seed = seed - line.seed(step, (units.window, units.other, units.channel), one)
    return line.slopes(line.backward(points, {step.before.ref: seed}))[:, 0]


def _nodes(kinks: NDArray, *, curved: bool) -> tuple[NDArray, NDArray, NDArray]:
    """Points between the kinks, and their weights in integrals of 1 and of -ln t."""
    if not curved:
        # Slopes are the same between two kinks.
        ends = np.unique(np.concatenate([kinks, [0.0, 1.0]]))
        weight = np.diff(ends - ends * np.log(np.maximum(ends, 1e-300)))
        return (ends[1:] + ends[:-1]) / 2, np.diff(ends), weight
    # t = s**3, which takes the logarithm's steepness at 0 away.
    edges = np.unique(np.concatenate([np.linspace(0, 1, _STRETCHES + 1), np.cbrt(kinks)]))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    width = np.diff(edges)[:, None]
    s = (edges[:-1, None] + width * (nodes + 1) / 2).ravel()
    t, dt = s**3, (width * weights / 2).ravel() * 3 * s**2
    return t, dt, -np.log(t) * dt


def _between(line: AlongLine, kinks: NDArray) -> NDArray[np.float64]:
    """Integral between the kinks (site, site, target), and what each position does alone."""
    curved = _curved(line.applied)
    t, dt, alone = _nodes(kinks, curved=bool(curved))
    together = -t * np.log(t) * dt
    own = np.zeros((len(line.sites), line.n_targets))
    totals: dict[Ref, NDArray] = {}
    for first in range(0, len(t), line.n_at_once):
        some = slice(first, first + line.n_at_once)
        points = line.points(t[some])
        back = line.backward(points)
        own += np.einsum("n,nti->it", alone[some], line.slopes(back))
        for step in curved:
            found = _curvature(points, step, back[step.after.ref][0], together[some])
            totals[step.after.ref] = totals.get(step.after.ref, 0) + found
    n = len(own)
    matrix = np.zeros((n, n, line.n_targets))
    matrix[np.arange(n), np.arange(n)] = own
    for step in curved:
        slopes = line.first_slopes(step).reshape(n, -1)
        for target, of_unit in enumerate(totals[step.after.ref]):
            matrix[..., target] += (slopes * of_unit.ravel()) @ slopes.T
    return matrix


def _curvature(points: Points, step: Applied, gradient: NDArray, weight: NDArray) -> NDArray:
    """Sum over points of second derivatives by the inputs (target, window, position, channel)."""
    ref = step.after.ref
    second = derivatives(step.function, points.largest[ref])[1] * weight[:, None, None]
    weighted = gradient * second[:, None]
    if step.span == 1:
        return weighted.sum(axis=0)[:, :, None]
    found = np.zeros((*weighted.shape[1:3], step.span, weighted.shape[3]))
    for position in range(step.span):
        is_there = points.top[ref] == position
        found[:, :, position] = (weighted * is_there[:, None]).sum(axis=0)
    return found
