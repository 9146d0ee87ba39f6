"""Regions of a block of convolution, activation and pool: values of mutants, and multipliers back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from kipoi_tfbind.graph.deeplift.pool_routing import ReferenceMaxima, Routed, routed, routing
from kipoi_tfbind.graph.deeplift.secants import SECANTS
from kipoi_tfbind.graph.incremental.chain import Block, Part, Value

FUNCTIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "exp": np.exp,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
}


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


# Functions up to maxima are followed together: of their slopes, those alone count where a maximum is.
Stage = tuple[Part, ...]
Slopes = NDArray | Routed


def _stages_of(parts: Stage) -> list[Stage]:
    """Functions with the maxima behind them, and all others one by one."""
    n = 1 + next((i for i, part in enumerate(parts) if not part.function), -1)
    return [*([parts[:n]] if n else []), *((part,) for part in parts[n:])]


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
        self._stages = _stages_of(block.parts)
        self._unmutated = [self._slope_of(stage) for stage in self._stages]
        self._maxima = {
            stage[-1].after.ref: ReferenceMaxima(self._windows(stage[-1])[1])
            for stage in self._stages
            if not stage[-1].function
        }

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

    def _windows(self, part: Part) -> tuple[NDArray, NDArray]:
        """Windows (..., window, position, channel) of maxima, of the sequence and of its references."""
        before, n = self._own[part.before.ref], part.after.length
        inside = before[:, self._margin : self._margin + n * part.span]
        windows = inside.reshape(len(inside), n, part.span, -1)
        return windows[0], windows[1:]

    def _slope_of(self, stage: Stage) -> NDArray:
        """Unmutated slopes (reference, position, channel) of a stage by the positions before it."""
        found: NDArray = np.ones(1, self._own[stage[0].before.ref].dtype)
        for part in stage:
            before, after = self._own[part.before.ref], self._own[part.after.ref]
            if part.function:
                slope = _secant(part, before[0], before[1:], after[0], after[1:])
            else:
                inside = slice(self._margin, self._margin + part.after.length)
                fx, fr = after[0, inside], after[1:, inside]
                windows = routing(*self._windows(part), fx, fr, self._largest[part.after.ref])
                slope = np.zeros_like(before[1:])
                inside = slice(self._margin, self._margin + part.after.length * part.span)
                slope[:, inside] = windows.reshape(len(slope), -1, slope.shape[-1])
            found = found * self._scaled(slope, part)
        return found

    def unmutated_in(self, target: Region, output: Region) -> list[NDArray]:
        """Unmutated slopes (reference, position, channel) of the stages, in a region from `regions`."""
        found, at = [], target
        for stage, slope in zip(self._stages, self._unmutated, strict=True):
            found.append(at.of(slope, self._margin, 1))
            at = output if not stage[-1].function else at
        return found

    def mutated(
        self, change: NDArray, source: Region, target: Region, output: Region
    ) -> tuple[NDArray, list[Slopes]]:
        """Change of a block's output, and slopes (mutant, reference, position, channel) of its stages.

        The change is that of its convolution in the `target`, and `source` where its input changed.
        """
        slopes: list[Slopes] = []
        at, region = target, self._reached(source)
        for stage, own in zip(self._stages, self.unmutated_in(target, output), strict=True):
            if stage[-1].function:
                (part,) = stage
                inner = slice(region.start - at.start, region.start - at.start + region.width)
                x, r, fx, fr = self._function(part, change[:, inner], region)
                slope = np.repeat(own[np.newaxis], len(x), axis=0)
                secant = _secant(part, x[:, None], r, fx[:, None], fr)
                slope[:, :, inner] = self._scaled(secant, part)
                slopes.append(slope)
                change = np.zeros_like(change)
                change[:, inner] = fx - region.of(self._own[part.after.ref][0], self._margin, 0)
                change = self.kept(change, part.after, at)
            else:
                change, pooled = self._pooled(stage, change, at, output)
                slopes.append(pooled)
                at = region = output
        return change, slopes

    def _function(
        self, part: Part, change: NDArray, region: Region
    ) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Input and output of a function in mutants, and in references: x, r, f(x), f(r)."""
        before, after = self._own[part.before.ref], self._own[part.after.ref]
        x = region.of(before[0], self._margin, 0) + self._scaled(change, part)
        r, fr = region.of(before[1:], self._margin, 1), region.of(after[1:], self._margin, 1)
        return x, r, FUNCTIONS[part.function](x), fr

    def _pooled(self, stage: Stage, change: NDArray, at: Region, output: Region) -> tuple[NDArray, Slopes]:
        """Change of what a stage with maxima gives, and its slopes by the positions before it."""
        *functions, part = stage
        values = []
        for each in functions:
            x, r, fx, fr = self._function(each, change, at)
            fx = self.kept(fx, each.after, at)
            values.append((x, r, fx, fr))
            change = fx - at.of(self._own[each.after.ref][0], self._margin, 0)
        before, after, m = self._own[part.before.ref], self._own[part.after.ref], self._margin
        x, r = at.of(before[0], m, 0) + self._scaled(change, part), at.of(before[1:], m, 1)
        x, r = (a.reshape(len(a), output.width, part.span, -1) for a in (x, r))
        # Windows that there are not may hold positions that no window has.
        fx, fr = self.kept(x.max(axis=2), part.after, output), output.of(after[1:], m, 1)
        largest, maxima = self._largest[part.after.ref], self._maxima[part.after.ref]
        difference = self.kept(fx - output.of(after[0], m, 0), part.after, output)
        slopes = routed(x, r, fx, fr, largest, *maxima.within(output.start, output.width))
        if slopes is None:
            dense = routing(x[:, None], r, fx[:, None], fr, largest)
            dense = self._scaled(dense.reshape(*dense.shape[:2], -1, dense.shape[-1]), part)
            for each, (x, r, fx, fr) in zip(functions, values, strict=True):
                dense = dense * self._scaled(_secant(each, x[:, None], r, fx[:, None], fr), each)
            return difference, dense
        factor = self._scaled(slopes.value, part)
        for each, (x, r, f, g) in zip(functions, values, strict=True):
            of_x, of_r = slopes.places(at.width)
            secant = _secant(each, x.take(of_x), r.take(of_r), f.take(of_x), g.take(of_r))
            factor = factor * self._scaled(secant, each)
        return difference, Routed(slopes.index, factor)

    def pushed(self, slopes: Sequence[NDArray], change: NDArray) -> NDArray:
        """A small change (reference, position, channel), through a block by unmutated slopes."""
        for stage, slope in zip(self._stages, slopes, strict=True):
            change = change * slope
            if not stage[-1].function:
                change = change.reshape(len(change), -1, stage[-1].span, change.shape[-1]).sum(axis=2)
        return change

    def pulled(self, slopes: Sequence[Slopes], cotangent: NDArray, output: Region) -> NDArray:
        """Cotangent (..., target, position, channel) at the convolution's output of one of the block's."""
        return self._pulled(slopes, cotangent, output, total=False)

    def pulled_total(self, slopes: Sequence[Slopes], cotangent: NDArray, output: Region) -> NDArray:
        """The sum of `pulled` over the mutants."""
        return self._pulled(slopes, cotangent, output, total=True)

    def _pulled(
        self, slopes: Sequence[Slopes], cotangent: NDArray, output: Region, *, total: bool
    ) -> NDArray:
        at, summed = output, False
        for stage, slope in zip(reversed(self._stages), reversed(slopes), strict=True):
            cotangent, span = self.kept(cotangent, stage[-1].after, at), stage[-1].span
            if not stage[-1].function:
                at = Region(at.start * span, at.width * span)
            if isinstance(slope, Routed):
                cotangent, summed = slope.pulled(cotangent, at.width, total=total), total
                continue
            if not stage[-1].function:
                cotangent = np.repeat(cotangent, span, axis=-2)
            cotangent = cotangent * slope[..., None, :, :]
        if total and not summed:
            cotangent = cotangent.sum(axis=0)
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
