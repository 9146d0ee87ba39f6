"""Slopes of maxima of windows: the difference of two maxima goes to where the larger of them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Secant = Callable[[NDArray, NDArray, NDArray, NDArray], NDArray]
# Rounding of a value that is a sum of another and a change, in units of the type's precision.
_ROUNDING = 32


def _gain(fx: NDArray, fr: NDArray, largest: NDArray) -> tuple[NDArray, NDArray]:
    """Differences of maxima, 0 where they are rounding; and how large that is."""
    gain = fx - fr
    rounding = largest * (_ROUNDING * np.finfo(gain.dtype).eps)
    gain[np.abs(gain) <= 2 * rounding] = 0
    return gain, rounding


def routing(x: NDArray, r: NDArray, fx: NDArray, fr: NDArray, largest: NDArray) -> NDArray:
    """Slopes of maxima, as `rules.maximum_of_many`, of windows (..., window, position, channel)."""
    gain, rounding = _gain(fx, fr, largest)
    # A mutant's values are sums of its sequence's and a change: equal ones may differ in their last digits.
    at_x, at_r = x >= (fx - rounding)[..., None, :], r == fr[..., None, :]
    n_x, n_r = at_x.sum(axis=-2), at_r.sum(axis=-2)
    share = gain / np.maximum(np.where(gain > 0, n_x, n_r), 1).astype(gain.dtype)
    present = (at_x & (gain > 0)[..., None, :]) | (at_r & (gain < 0)[..., None, :])
    # Nothing goes where the maximum is not.
    slope: NDArray = share[..., None, :] / np.where(present, x - r, np.inf)
    return slope


@dataclass(frozen=True)
class Routed:
    """Slopes that are not 0 at one position of a window, or at a few in some windows.

    Attributes
    ----------
    index, value
        The position (site, mutant, reference, window, channel) in the region, and the slope there; 0 where
        it is at several.
    tied
        Of these, index arrays (site, mutant, reference, window, channel) of positions, and the last one.
    tied_value
        Their slopes.
    """

    index: NDArray[np.intp]
    value: NDArray
    tied: tuple[NDArray[np.intp], ...]
    tied_value: NDArray

    def pulled(self, cotangent: NDArray, width: int, *, total: bool) -> NDArray:
        """Cotangent (site, mutant, reference, target, position, channel), or its sum over the mutants."""
        n_sites, n_mutants, n_references, n_targets, _, n_channels = cotangent.shape
        product = cotangent * self.value[:, :, :, None]
        at = self.index[:, :, :, None] * n_channels + np.arange(n_channels)
        shape = n_sites, n_references, n_targets, width, n_channels
        rows = np.arange(n_sites * n_references * n_targets) * (width * n_channels)
        at = at + rows.reshape(n_sites, 1, n_references, n_targets, 1, 1)
        found: NDArray = np.zeros((1 if total else n_mutants, *shape), product.dtype)
        for k in range(n_mutants):
            # A position is in one window: no place comes twice.
            found[0 if total else k].reshape(-1)[at[:, k]] += product[:, k]
        if len(self.tied_value):
            site, mutant, reference, window, channel, place = self.tied
            given = cotangent[site, mutant, reference, :, window, channel] * self.tied_value[:, None]
            row = np.zeros_like(mutant) if total else mutant
            np.add.at(found.transpose(0, 1, 2, 4, 5, 3), (row, site, reference, place, channel), given)
        return found[0] if total else found.swapaxes(0, 1)


class ReferenceMaxima(NamedTuple):
    """Where the maxima of references are, and whether at several positions (reference, window, channel)."""

    where: NDArray[np.intp]
    tied: NDArray[np.bool_]

    @classmethod
    def of(cls, windows: NDArray) -> ReferenceMaxima:
        """Those of windows (reference, window, position, channel)."""
        tied = (windows == windows.max(axis=2, keepdims=True)).sum(axis=2) > 1
        return cls(windows.argmax(axis=2), tied)


def routed(
    x: NDArray,
    r: NDArray,
    fx: NDArray,
    fr: NDArray,
    largest: NDArray,
    maxima: ReferenceMaxima,
    function: tuple[Secant, NDArray, NDArray] | None = None,
) -> Routed:
    """Slopes of maxima as of `routing`, with those of a window that has several by themselves.

    Parameters
    ----------
    x, fx
        Windows (site, mutant, window, position, channel) and their maxima.
    r, fr, maxima
        The same of references, and where those are.
    largest
        Of all values (reference, 1, 1).
    function
        Secants of the function that has been applied, and its inputs at mutants and references, like x and r:
        of its slopes, those alone count where a maximum is.
    """
    (n_sites, n_mutants, n, span, n_channels), n_references = x.shape, r.shape[1]
    gain, rounding = _gain(fx[:, :, None], fr[:, None], largest)
    tied_x = (x >= (fx - rounding.max())[..., None, :]).sum(axis=-2) > 1
    is_x = gain > 0
    index = np.where(is_x, x.argmax(axis=-2)[:, :, None], maxima.where[:, None])
    index += (np.arange(n) * span)[:, None]
    # Places in the flat arrays of mutants, and of references.
    of_x = index * n_channels + np.arange(n_channels)
    rows, size = np.arange(n_sites)[:, None, None, None, None], n * span * n_channels
    of_r = of_x + (rows * n_references + np.arange(n_references)[:, None, None]) * size
    of_x += (rows * n_mutants + np.arange(n_mutants)[:, None, None, None]) * size
    at_x, at_r = x.take(of_x), r.take(of_r)
    value = gain / np.where(gain == 0, 1, at_x - at_r)
    tied = (is_x & tied_x[:, :, None]) | ((gain < 0) & maxima.tied[:, None])
    value[tied] = 0
    s, m, k, w, c = entries = np.nonzero(tied)
    some = x[s, m, w, :, c][..., None], r[s, k, w, :, c][..., None]
    slopes = routing(*some, fx[s, m, w, c][:, None], fr[s, k, w, c][:, None], largest[k, 0])[..., 0]
    entry, p = np.nonzero(slopes)
    s, m, k, w, c = (each[entry] for each in entries)
    tied_value = slopes[entry, p]
    if function is not None:
        secant, x_in, r_in = function
        value *= secant(x_in.take(of_x), r_in.take(of_r), at_x, at_r)
        inner = x_in[s, m, w, p, c], r_in[s, k, w, p, c]
        tied_value *= secant(*inner, x[s, m, w, p, c], r[s, k, w, p, c])
    return Routed(index, value, (s, m, k, w, c, p + w * span), tied_value)
