"""Regions of a block of convolution, activation and pool: values of mutants, and multipliers back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from kipoi_tfbind.graph.deeplift.secants import SECANTS
from kipoi_tfbind.graph.incremental.chain import Block, Part, Value

FUNCTIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "exp": np.exp,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
}
# Rounding of a value that is a sum of another and a change, in units of the type's precision.
_ROUNDING = 32


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


def _secant(part: Part, x: NDArray, r: NDArray, fx: NDArray, fr: NDArray) -> NDArray:
    with np.errstate(all="ignore"):
        found: NDArray = SECANTS[part.function](_OPS, x, r, fx, fr)
    return found


def _routing(x: NDArray, r: NDArray, fx: NDArray, fr: NDArray, largest: NDArray) -> NDArray:
    """Slopes of maxima, as `rules.maximum_of_many`, of windows (..., window, position, channel)."""
    gain = fx - fr
    rounding = largest * (_ROUNDING * np.finfo(gain.dtype).eps)
    gain[np.abs(gain) <= 2 * rounding] = 0
    # A mutant's values are sums of its sequence's and a change: equal ones may differ in their last digits.
    at_x, at_r = x >= (fx - rounding)[..., None, :], r == fr[..., None, :]
    n_x, n_r = at_x.sum(axis=-2), at_r.sum(axis=-2)
    share = gain / np.maximum(np.where(gain > 0, n_x, n_r), 1).astype(gain.dtype)
    present = (at_x & (gain > 0)[..., None, :]) | (at_r & (gain < 0)[..., None, :])
    # Nothing goes where the maximum is not.
    slope: NDArray = share[..., None, :] / np.where(present, x - r, np.inf)
    return slope


@dataclass(frozen=True)
class Region:
    """A stretch of positions in arrays that have a margin."""

    start: int
    width: int

    def of(self, array: NDArray, margin: int, axis: int) -> NDArray:
        """The stretch of an array that has so many positions more at either end."""
        index: list[Any] = [slice(None)] * array.ndim
        index[axis] = slice(self.start + margin, self.start + margin + self.width)
        return array[tuple(index)]

    def within(self, length: int) -> tuple[slice, slice]:
        """The positions that there are, and where they are in the region."""
        low, high = max(self.start, 0), max(min(self.start + self.width, length), 0)
        return slice(low, max(low, high)), slice(low - self.start, max(low, high) - self.start)


class BlockRegions:
    """A block with its values at a sequence and its references, of which regions are computed anew.

    Arrays end in (position, channel); those of several mutants or references begin with them.

    Parameters
    ----------
    block
        The block.
    activations
        Values (row, *shape) at the sequence and then at its references, by `Value.ref`.
    margin
        How far beyond the ends regions may reach.
    """

    def __init__(self, block: Block, activations: Mapping[Any, NDArray], margin: int) -> None:
        self.block, self._margin = block, margin
        values = {v.ref: v for part in block.parts for v in (part.before, part.after)}
        at_ends = [(0, 0), (margin, margin), (0, 0)]
        self._own = {ref: np.pad(v.by_position(activations[ref]), at_ends) for ref, v in values.items()}
        self._largest = {
            ref: np.maximum(np.abs(a[0]).max(), np.abs(a[1:]).max(axis=(1, 2)))[:, None, None]
            for ref, a in self._own.items()
        }
        self._unmutated = [self._slope_of(part) for part in block.parts]

    def regions(self, source: Region) -> tuple[Region, Region]:
        """Of a region of the input, the affected ones of the convolution's output and of the block's."""
        span, reached = self.block.span, self._reached(source)
        # As many windows as any start may need.
        first, n = reached.start // span, (reached.width + span - 2) // span + 1
        return Region(first * span, n * span), Region(first, n)

    def _reached(self, source: Region) -> Region:
        kernel = self.block.kernel
        return Region(source.start - kernel.span + 1 + kernel.before, source.width + kernel.span - 1)

    @staticmethod
    def kept(array: NDArray, value: Value, region: Region) -> NDArray:
        """An array (..., position, channel) of a region, 0 where it reaches beyond the value's ends."""
        _, part = region.within(value.length)
        if part.stop - part.start < region.width:
            array = array.copy()
            array[..., : part.start, :] = array[..., part.stop :, :] = 0
        return array

    @staticmethod
    def _scaled(array: NDArray, part: Part) -> NDArray:
        return array if (part.scale == 1).all() else array * part.scale.astype(array.dtype)

    def convolved(self, change: NDArray, source: Region, target: Region) -> NDArray:
        """Change (..., position, channel) of a region, convolved into another."""
        kernel = self.block.kernel
        found = np.zeros((*change.shape[:-2], target.width, self.block.convolved.channels), change.dtype)
        taps = kernel.kernel.astype(change.dtype, copy=False)
        matrix = taps.transpose(1, 0, 2).reshape(taps.shape[1], -1)
        spread = (change.reshape(-1, len(matrix)) @ matrix).reshape(*change.shape[:-1], len(taps), -1)
        for tap in range(len(taps)):
            start = source.start - tap * kernel.dilation + kernel.before - target.start
            found[..., start : start + source.width, :] += spread[..., tap, :]
        return self.kept(found, self.block.convolved, target)

    def _slope_of(self, part: Part) -> NDArray:
        """Unmutated slopes (reference, position, channel); of maxima those of the positions before."""
        before, after = self._own[part.before.ref], self._own[part.after.ref]
        if part.function:
            return _secant(part, before[0], before[1:], after[0], after[1:])
        margin, span = self._margin, part.span
        n = part.after.length
        x, r = before[0], before[1:]
        windows = [a[..., margin : margin + n * span, :] for a in (x, r)]
        x, r = (a.reshape(*a.shape[:-2], n, span, -1) for a in windows)
        fx, fr = (a[..., margin : margin + n, :] for a in (after[0], after[1:]))
        slope = _routing(x, r, fx, fr, self._largest[part.after.ref])
        found = np.zeros_like(before[1:])
        found[:, margin : margin + n * span] = slope.reshape(len(r), n * span, -1)
        return found

    def unmutated_in(self, target: Region, output: Region) -> list[NDArray]:
        """Unmutated slopes (reference, position, channel) of the parts, in a region from `regions`."""
        found, at = [], target
        for part, slope in zip(self.block.parts, self._unmutated, strict=True):
            found.append(at.of(slope, self._margin, 1))
            at = output if not part.function else at
        return found

    def mutated(
        self, change: NDArray, source: Region, target: Region, output: Region
    ) -> tuple[NDArray, list[NDArray]]:
        """Change of a block's output, and slopes (mutant, reference, position, channel) of its parts.

        The change is that of its convolution in the `target`, and `source` where its input changed.
        """
        slopes, at, region, m = [], target, self._reached(source), self._margin
        for part, own in zip(self.block.parts, self.unmutated_in(target, output), strict=True):
            before, after = self._own[part.before.ref], self._own[part.after.ref]
            change = self._scaled(change, part)
            if part.function:
                inner = slice(region.start - at.start, region.start - at.start + region.width)
                x = region.of(before[0], m, 0) + change[:, inner]
                fx = FUNCTIONS[part.function](x)
                r, fr = region.of(before[1:], m, 1), region.of(after[1:], m, 1)
                slope = np.repeat(own[np.newaxis], len(x), axis=0)
                slope[:, :, inner] = _secant(part, x[:, None], r, fx[:, None], fr)
                slopes.append(slope)
                change = np.zeros_like(change)
                change[:, inner] = fx - region.of(after[0], m, 0)
            else:
                x, r = at.of(before[0], m, 0) + change, at.of(before[1:], m, 1)
                x, r = (a.reshape(len(a), output.width, part.span, -1) for a in (x, r))
                at = region = output
                # Windows that there are not may hold positions that no window has.
                fx, fr = self.kept(x.max(axis=2), part.after, at), at.of(after[1:], m, 1)
                slope = _routing(x[:, None], r, fx[:, None], fr, self._largest[part.after.ref])
                slopes.append(slope.reshape(*slope.shape[:2], -1, slope.shape[-1]))
                change = fx - at.of(after[0], m, 0)
            change = self.kept(change, part.after, at)
        return change, slopes

    def pushed(self, slopes: Sequence[NDArray], change: NDArray) -> NDArray:
        """A small change (reference, position, channel), through a block by unmutated slopes."""
        for part, slope in zip(self.block.parts, slopes, strict=True):
            change = self._scaled(change, part) * slope
            if not part.function:
                change = change.reshape(len(change), -1, part.span, change.shape[-1]).sum(axis=2)
        return change

    def pulled(self, slopes: Sequence[NDArray], cotangent: NDArray, output: Region) -> NDArray:
        """Cotangent (..., target, position, channel) at the convolution's output of one of the block's."""
        at = output
        for part, slope in zip(reversed(self.block.parts), reversed(slopes), strict=True):
            cotangent = self.kept(cotangent, part.after, at)
            factor = self._scaled(slope, part)[..., None, :, :]
            if part.function:
                cotangent = cotangent * factor
                continue
            windows = factor.reshape(*factor.shape[:-2], at.width, part.span, factor.shape[-1])
            cotangent = cotangent[..., None, :] * windows
            at = Region(at.start * part.span, at.width * part.span)
            cotangent = cotangent.reshape(*cotangent.shape[:-3], at.width, cotangent.shape[-1])
        return self.kept(cotangent, self.block.convolved, at)

    def transposed(self, cotangent: NDArray, target: Region, source: Region) -> NDArray:
        """Cotangent of a region of a convolution's input, of one of its output."""
        kernel = self.block.kernel
        taps = kernel.kernel.astype(cotangent.dtype, copy=False)
        lead, (n_taps, n_in, n_out) = cotangent.shape[:-2], taps.shape
        overlaps = []
        for tap in range(n_taps):
            start = source.start - tap * kernel.dilation + kernel.before - target.start
            low, high = max(start, 0), min(start + source.width, target.width)
            overlaps.append((slice(low - start, max(high, low) - start), slice(low, max(high, low)), tap))
        if source.width < target.width:
            # What comes to a position from all taps side by side, and one product.
            gathered = np.zeros((*lead, source.width, n_taps, n_out), cotangent.dtype)
            for there, here, tap in overlaps:
                gathered[..., there, tap, :] = cotangent[..., here, :]
            matrix = taps.transpose(0, 2, 1).reshape(-1, n_in)
            return (gathered.reshape(-1, len(matrix)) @ matrix).reshape(*lead, source.width, n_in)
        matrix = taps.transpose(2, 0, 1).reshape(n_out, -1)
        spread = (cotangent.reshape(-1, n_out) @ matrix).reshape(*cotangent.shape[:-1], n_taps, n_in)
        found = np.zeros((*lead, source.width, n_in), cotangent.dtype)
        for there, here, tap in overlaps:
            found[..., there, :] += spread[..., here, tap, :]
        return found
