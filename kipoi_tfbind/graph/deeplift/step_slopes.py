"""Slopes of functions and maxima: of a sequence at all positions, of its mutants in regions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from kipoi_tfbind.graph.deeplift.pool_routing import ReferenceMaxima, Routed, routed, routing
from kipoi_tfbind.graph.deeplift.prefix import Applied, Prefix, Stretch
from kipoi_tfbind.graph.deeplift.secants import SECANTS
from kipoi_tfbind.graph.graph import Ref

FUNCTIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "exp": np.exp,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
}
Slopes = NDArray | Routed


class _NumpyOps:
    """The functions of arrays that secants ask for."""

    clip, maximum, minimum, where = (staticmethod(f) for f in (np.clip, np.maximum, np.minimum, np.where))

    @staticmethod
    def unary(name: str, x: NDArray) -> NDArray:
        found: NDArray = getattr(np, name)(x)
        return found

    @staticmethod
    def finfo(x: NDArray) -> np.finfo[Any]:
        return np.finfo(x.dtype)


_OPS: Any = _NumpyOps()


def _of_relu(x: NDArray, r: NDArray) -> NDArray:
    """As that of `SECANTS`, with one array in the place of five: the largest are of this kind."""
    found: NDArray = x - r
    np.abs(found, out=found)
    found += np.finfo(found.dtype).tiny
    np.divide(np.maximum(x, r), found, out=found)
    np.minimum(found, 1, out=found)
    return np.maximum(found, 0, out=found)


def _secant(function: str, x: NDArray, r: NDArray, fx: NDArray, fr: NDArray) -> NDArray:
    with np.errstate(all="ignore"):
        if function == "relu":
            return _of_relu(x, r)
        found: NDArray = SECANTS[function](_OPS, x, r, fx, fr)
    return found


def _of_pair(x: NDArray, r: NDArray) -> NDArray:
    """Slopes of the larger of two (..., 2, channel), as `rules.elementwise_pair`."""
    fx, fr = (np.maximum(a[..., 0, :], a[..., 1, :]) for a in (x, r))
    # One of the two from x, the other from r.
    first, second = np.maximum(x[..., 0, :], r[..., 1, :]), np.maximum(r[..., 0, :], x[..., 1, :])
    share = np.stack([first - fr + fx - second, second - fr + fx - first], axis=-2) / 2
    difference = x - r
    near = np.abs(difference) < 8 * np.finfo(x.dtype).eps
    middle = x + r
    is_first = middle[..., :1, :] >= middle[..., 1:, :]
    local = np.concatenate([is_first, ~is_first], axis=-2)
    found: NDArray = np.where(near, local, share / np.where(near, 1, difference))
    return found


class StepSlopes:
    """Slopes of a function or maxima.

    Parameters
    ----------
    step
        What it is.
    prefix
        What it is a step of.
    values
        Its input and outputs (row, position, channel), by `Value.ref`: at the sequence, then at references.
    """

    def __init__(self, step: Applied, prefix: Prefix, values: dict[Ref, NDArray]) -> None:
        self.ref, self._step, self._span = step.after.ref, step, step.span
        self._before, self._inner, self._after = (
            values[value.ref] for value in (step.before, step.inner, step.after)
        )
        self._at, self._to = prefix.region(step.before), prefix.region(step.after)
        largest = np.abs(self._after).max(axis=(1, 2))
        self._largest = np.maximum(largest[0], largest[1:])[:, None, None]
        # (reference, position, channel) at the positions before it.
        self.unmutated = self._of_sequence()

    def _of_sequence(self) -> NDArray:
        (x, *_), r, (fx, *_), fr = self._before, self._before[1:], self._inner, self._inner[1:]
        if self._step.function == "maximum":
            return _of_pair(x, r)
        slope = _secant(self._step.function, x, r, fx, fr) if self._step.function else np.ones_like(r)
        if self._span == 1:
            return slope
        n, (fx, *_), fr = self._after.shape[1], self._after, self._after[1:]
        inside = slice(0, n * self._span)
        at_x, *at_r = self._windows(self._inner[:, inside], n)
        self._maxima = ReferenceMaxima.of(np.array(at_r))
        share = routing(at_x, np.array(at_r), fx, fr, self._largest)
        found = np.zeros_like(slope)
        found[:, inside] = slope[:, inside] * share.reshape(len(r), n * self._span, -1)
        return found

    def _windows(self, array: NDArray, n: int) -> NDArray:
        """Positions (..., position, channel) as (..., window, position, channel)."""
        return array.reshape(*array.shape[:-2], n, self._span, array.shape[-1])

    def aligned(self, sites: NDArray[np.intp]) -> Stretch:
        """The positions before it whose slopes may change: of all windows that are affected."""
        to = self._to.at(sites)
        return Stretch(to.starts * self._span, to.width * self._span)

    def pushed(self, sites: NDArray[np.intp], change: NDArray) -> NDArray:
        """A small change (site, reference, position, channel) of the input, by the sequence's slopes."""
        at = self._at.at(sites)
        change = at.moved(change * at.of(self.unmutated), self.aligned(sites))
        return self._windows(change, self._to.width).sum(axis=-2) if self._span > 1 else change

    def mutated(self, sites: NDArray[np.intp], change: NDArray) -> tuple[NDArray, Slopes]:
        """Change of the output (site, mutant, position, channel) by one of the input, and slopes."""
        aligned, to, function = self.aligned(sites), self._to.at(sites), self._step.function
        x = aligned.of(self._before[:1]) + self._at.at(sites).moved(change, aligned)
        r, fr = aligned.of(self._before[1:]), aligned.of(self._inner[1:])
        if function == "maximum":
            return x.max(axis=-2, keepdims=True) - to.of(self._after[:1]), _of_pair(x[:, :, None], r[:, None])
        fx = FUNCTIONS[function](x) if function else x
        if self._span == 1:
            slopes: Slopes = _secant(function, x[:, :, None], r[:, None], fx[:, :, None], fr[:, None])
            return fx - to.of(self._after[:1]), slopes
        x, r, fx, fr = (self._windows(array, to.width) for array in (x, r, fx, fr))
        maxima, peaks = fx.max(axis=-2), to.of(self._after[1:])
        where = ReferenceMaxima(*(to.of(array) for array in self._maxima))
        # Of the function's slopes, those alone count where a maximum is.
        applied = (partial(_secant, function), x, r) if function else None
        routes = routed(fx, fr, maxima, peaks, self._largest, where, applied)
        return maxima - to.of(self._after[:1]), routes

    def pulled_unmutated(self, sites: NDArray[np.intp], cotangent: NDArray) -> NDArray:
        """Cotangent (site, reference, target, position, channel) before it, by the sequence's slopes."""
        own = self.aligned(sites).of(self.unmutated)
        cotangent = np.repeat(cotangent, self._span, axis=-2) if self._span > 1 else cotangent
        found: NDArray = cotangent * own[:, :, None]
        return found

    def pulled(self, sites: NDArray[np.intp], cotangent: NDArray, slopes: Slopes, *, total: bool) -> NDArray:
        """Cotangent (site, mutant, reference, target, position, channel), or its sum over the mutants."""
        if isinstance(slopes, Routed):
            return slopes.pulled(cotangent, self._to.width * self._span, total=total)
        cotangent = np.repeat(cotangent, self._span, axis=-2) if self._span > 1 else cotangent
        found: NDArray = cotangent * slopes[:, :, :, None]
        return found.sum(axis=1) if total else found
