"""Slopes of maxima of windows: the difference of two maxima goes to where the larger of them is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """Slopes that are not 0 at one position of each window alone.

    Attributes
    ----------
    index
        The position (site, mutant, reference, window, channel) in the region.
    value
        The slope there.
    """

    index: NDArray[np.intp]
    value: NDArray

    def places(self, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places in flat arrays (site, mutant or reference, position, channel) of mutants, and references."""
        n_sites, n_mutants, n_references, _, n_channels = self.index.shape
        at, size = self.index * n_channels + np.arange(n_channels), width * n_channels
        of_mutants = (np.arange(n_sites * n_mutants) * size).reshape(n_sites, n_mutants, 1, 1, 1)
        of_references = (np.arange(n_sites * n_references) * size).reshape(n_sites, 1, n_references, 1, 1)
        return at + of_mutants, at + of_references

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
        return found[0] if total else found.swapaxes(0, 1)


def routed(x: NDArray, r: NDArray, fx: NDArray, fr: NDArray, largest: NDArray) -> Routed | None:
    """Slopes of maxima as of `routing`, if no maximum that counts is at several positions.

    Parameters
    ----------
    x, fx
        Windows (site, mutant, window, position, channel) and their maxima.
    r, fr
        The same of references.
    largest
        Of all values (reference, 1, 1).
    """
    gain, rounding = _gain(fx[:, :, None], fr[:, None], largest)
    tied_x = (x >= (fx - rounding.max())[..., None, :]).sum(axis=-2) > 1
    tied_r = (r == fr[..., None, :]).sum(axis=-2) > 1
    is_x = gain > 0
    if (is_x & tied_x[:, :, None]).any() or ((gain < 0) & tied_r[:, None]).any():
        return None
    n, span = x.shape[2:4]
    index = np.where(is_x, x.argmax(axis=-2)[:, :, None], r.argmax(axis=-2)[:, None])
    found = Routed(index + (np.arange(n) * span)[:, None], gain)
    of_x, of_r = found.places(n * span)
    distance = np.where(gain == 0, 1, np.take(x, of_x) - np.take(r, of_r))
    return Routed(found.index, gain / distance)
