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


class ReferenceMaxima:
    """Where the maxima of references are, and whether at more than one position.

    Parameters
    ----------
    windows
        (reference, window, position, channel).
    """

    def __init__(self, windows: NDArray) -> None:
        self._where = windows.argmax(axis=2)
        self._is_tied = (windows == windows.max(axis=2, keepdims=True)).sum(axis=2) > 1

    def within(self, first: int, n: int) -> tuple[NDArray, NDArray]:
        """Both (reference, window, channel) of some windows; of such as there are not, 0 and no."""
        length = self._where.shape[1]
        low, high = max(first, 0), min(first + n, length)
        if (low, high) == (first, first + n):
            return self._where[:, low:high], self._is_tied[:, low:high]
        ends = (0, 0), (low - first, first + n - max(low, high)), (0, 0)
        return np.pad(self._where[:, low:high], ends), np.pad(self._is_tied[:, low:high], ends)


@dataclass(frozen=True)
class Routed:
    """Slopes that are not 0 at one position of each window alone.

    Attributes
    ----------
    index
        The position (mutant, reference, window, channel) in the region.
    value
        The slope there.
    """

    index: NDArray[np.intp]
    value: NDArray

    def places(self, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places in the flat arrays (mutant, position, channel) and (reference, position, channel)."""
        n_mutants, n_references, _, n_channels = self.index.shape
        at = self.index * n_channels + np.arange(n_channels)
        size = width * n_channels
        of_mutants, of_references = np.arange(n_mutants) * size, np.arange(n_references) * size
        return at + of_mutants[:, None, None, None], at + of_references[:, None, None]

    def pulled(self, cotangent: NDArray, width: int, *, total: bool) -> NDArray:
        """Cotangent (mutant, reference, target, position, channel), or its sum over the mutants."""
        n_mutants, n_references, n_targets, _, n_channels = cotangent.shape
        product = cotangent * self.value[:, :, None]
        at = self.index[:, :, None] * n_channels + np.arange(n_channels)
        at = at + (np.arange(n_references * n_targets) * (width * n_channels)).reshape(
            n_references, n_targets, 1, 1
        )
        shape = (n_references, n_targets, width, n_channels)
        found: NDArray = np.zeros((1 if total else n_mutants, *shape), product.dtype)
        for k in range(n_mutants):
            # A position is in one window: no place comes twice.
            found[0 if total else k].reshape(-1)[at[k]] += product[k]
        return found[0] if total else found


def routed(
    x: NDArray,
    r: NDArray,
    fx: NDArray,
    fr: NDArray,
    largest: NDArray,
    where_r: NDArray[np.intp],
    tied_r: NDArray[np.bool_],
) -> Routed | None:
    """Slopes of maxima as of `routing`, if no maximum that counts is at several positions.

    Parameters
    ----------
    x, fx
        Windows (mutant, window, position, channel) and their maxima.
    r, fr
        The same of references.
    largest
        Of all values (reference, 1, 1).
    where_r, tied_r
        From `ReferenceMaxima`.
    """
    gain, rounding = _gain(fx[:, None], fr, largest)
    tied_x = (x >= (fx - rounding.max())[:, :, None]).sum(axis=2) > 1
    is_x = gain > 0
    if (is_x & tied_x[:, None]).any() or ((gain < 0) & tied_r).any():
        return None
    span = x.shape[2]
    first = (np.arange(x.shape[1]) * span)[:, None]
    found = Routed(np.where(is_x, x.argmax(axis=2)[:, None], where_r) + first, gain)
    of_x, of_r = found.places(x.shape[1] * span)
    distance = np.where(gain == 0, 1, np.take(x, of_x) - np.take(r, of_r))
    return Routed(found.index, gain / distance)
