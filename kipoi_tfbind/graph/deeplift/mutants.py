"""Contributions of a sequence's mutants through the blocks that a model begins with, by affected regions.

The multipliers of a mutant differ from those of its sequence for two reasons. What comes to the end of the
blocks differs; and so do the factors of the rules, but these in the affected regions only. With J the
unmutated way back and J' that of a mutant, as products over the blocks,

    J'(c') - J(c) = J(c' - c) + sum over blocks k of J_<k (F'_k - F_k)(c'_k),

where c'_k is what comes to block k in the mutant, which is needed in its affected region alone, and F_k the
factors of its rules. J_<k is applied as a table: what each unit of a layer gives to the contributions, which
is the change that one base's difference from its reference makes, propagated forward by the same factors.
All of it is linear in what comes from the mutants, which are summed before the table is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from kipoi_tfbind.graph.deeplift.secants import SECANTS
from kipoi_tfbind.graph.incremental.chain import Block, Part, Value
from kipoi_tfbind.graph.position_kernel import PositionKernel

FUNCTIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "exp": np.exp,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
}
_NEAR = 8


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
    gain[np.abs(gain) <= largest * (_NEAR * np.finfo(gain.dtype).eps)] = 0
    at_x, at_r = x == fx[..., None, :], r == fr[..., None, :]
    n_x, n_r = at_x.sum(axis=-2), at_r.sum(axis=-2)
    share = gain / np.where(gain > 0, n_x, n_r).astype(gain.dtype)
    present = (at_x & (gain > 0)[..., None, :]) | (at_r & (gain < 0)[..., None, :])
    slope = np.zeros(present.shape, gain.dtype)
    np.divide(share[..., None, :], x - r, out=slope, where=present)
    return slope


@dataclass(frozen=True)
class _Region:
    """A stretch of positions in arrays that have a margin."""

    start: int
    width: int

    def of(self, array: NDArray, margin: int, axis: int) -> NDArray:
        index: list[Any] = [slice(None)] * array.ndim
        index[axis] = slice(self.start + margin, self.start + margin + self.width)
        return array[tuple(index)]

    def within(self, length: int) -> tuple[slice, slice]:
        """The positions that there are, and where they are in the region."""
        low, high = max(self.start, 0), max(min(self.start + self.width, length), 0)
        return slice(low, max(low, high)), slice(low - self.start, max(low, high) - self.start)


def _convolved_region(kernel: PositionKernel, region: _Region) -> _Region:
    """What a convolution makes of a region."""
    return _Region(region.start - kernel.span + 1 + kernel.before, region.width + kernel.span - 1)


class MutantContributions:
    """Changes of contributions by single substitutions in one sequence, against its references.

    Parameters
    ----------
    blocks
        From `blocks_of`, at least one.
    activations
        Values (row, *shape) at the sequence and then at its references, by `Value.ref`; of all parts'
        inputs and outputs.
    encoded
        The sequence and its references (row, position, channel) as the model takes them.
    """

    def __init__(self, blocks: Sequence[Block], activations: dict[Any, NDArray], encoded: NDArray) -> None:
        self.blocks = list(blocks)
        self._difference = encoded[0] - encoded[1:]
        self._n_references = len(encoded) - 1
        # Regions of edits at either end lie within the margins.
        self._margin = 2 * sum((b.kernel.span + 2 * b.span) for b in self.blocks) + 2
        values = {v.ref: v for b in self.blocks for part in b.parts for v in (part.before, part.after)}
        self._own = {ref: self._padded(v.by_position(activations[ref])) for ref, v in values.items()}
        self._largest = {
            ref: np.maximum(np.abs(a[0]).max(), np.abs(a[1:]).max(axis=(1, 2)))[:, None, None]
            for ref, a in self._own.items()
        }
        self._unmutated = [[self._slope_of(part) for part in block.parts] for block in self.blocks]

    def _padded(self, values: NDArray) -> NDArray:
        return np.pad(values, [(0, 0), (self._margin, self._margin), (0, 0)])

    @staticmethod
    def _kept(array: NDArray, value: Value, region: _Region) -> NDArray:
        """An array (..., position, channel) of a region, 0 where it reaches beyond the value's ends."""
        _, part = region.within(value.length)
        if part.stop - part.start < region.width:
            array = array.copy()
            array[..., : part.start, :] = array[..., part.stop :, :] = 0
        return array

    @staticmethod
    def _scaled(array: NDArray, part: Part) -> NDArray:
        return array if (part.scale == 1).all() else array * part.scale.astype(array.dtype)

    def regions(self, position: int) -> list[tuple[_Region, _Region]]:
        """Of each block, the affected region of its convolution's output, and of its own."""
        found, at = [], _Region(position, 1)
        for block in self.blocks:
            reached = _convolved_region(block.kernel, at)
            # As many windows as any start may need.
            first, n = reached.start // block.span, (reached.width + block.span - 2) // block.span + 1
            at = _Region(first, n)
            found.append((_Region(first * block.span, n * block.span), at))
        return found

    # Forward.

    def _convolved(self, block: Block, change: NDArray, source: _Region, target: _Region) -> NDArray:
        """Change (..., position, channel) of a region, convolved into another."""
        kernel = block.kernel
        found = np.zeros((*change.shape[:-2], target.width, block.convolved.channels), change.dtype)
        taps = kernel.kernel.astype(change.dtype, copy=False)
        matrix = taps.transpose(1, 0, 2).reshape(taps.shape[1], -1)
        spread = (change.reshape(-1, len(matrix)) @ matrix).reshape(*change.shape[:-1], len(taps), -1)
        for tap in range(len(taps)):
            start = source.start - tap * kernel.dilation + kernel.before - target.start
            found[..., start : start + source.width, :] += spread[..., tap, :]
        return self._kept(found, block.convolved, target)

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

    def _mutated(
        self, k: int, change: NDArray, region: _Region, target: _Region, output: _Region
    ) -> tuple[NDArray, list[NDArray]]:
        """Change of a block's output, and slopes (mutant, reference, position, channel) of its parts.

        The change is that of its convolution in the `target`, of which only `region` may have changed.
        """
        slopes, at, m = [], target, self._margin
        for part, own in zip(self.blocks[k].parts, self._unmutated_in(k, target, output), strict=True):
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
                fx, at, region = x.max(axis=2), output, output
                slope = _routing(
                    x[:, None], r, fx[:, None], at.of(after[1:], m, 1), self._largest[part.after.ref]
                )
                slopes.append(slope.reshape(*slope.shape[:2], -1, slope.shape[-1]))
                change = fx - at.of(after[0], m, 0)
            change = self._kept(change, part.after, at)
        return change, slopes

    def _pushed(self, block: Block, slopes: Sequence[NDArray], change: NDArray) -> NDArray:
        """A small change (reference, position, channel), through a block by unmutated slopes."""
        for part, slope in zip(block.parts, slopes, strict=True):
            change = self._scaled(change, part) * slope
            if not part.function:
                change = change.reshape(len(change), -1, part.span, change.shape[-1]).sum(axis=2)
        return change

    # Back.

    def _pulled(
        self, block: Block, slopes: Sequence[NDArray], cotangent: NDArray, output: _Region
    ) -> NDArray:
        """Cotangent (..., target, position, channel) at the convolution's output of one of the block's."""
        at = output
        for part, slope in zip(reversed(block.parts), reversed(slopes), strict=True):
            cotangent = self._kept(cotangent, part.after, at)
            factor = self._scaled(slope, part)[..., None, :, :]
            if part.function:
                cotangent = cotangent * factor
                continue
            windows = factor.reshape(*factor.shape[:-2], at.width, part.span, factor.shape[-1])
            cotangent = cotangent[..., None, :] * windows
            at = _Region(at.start * part.span, at.width * part.span)
            cotangent = cotangent.reshape(*cotangent.shape[:-3], at.width, cotangent.shape[-1])
        return self._kept(cotangent, block.convolved, at)

    def _transposed(self, block: Block, cotangent: NDArray, target: _Region, source: _Region) -> NDArray:
        """Cotangent of a region of a convolution's input, of one of its output."""
        kernel = block.kernel
        shape = (*cotangent.shape[:-2], source.width, block.kernel.kernel.shape[1])
        found = np.zeros(shape, cotangent.dtype)
        taps = kernel.kernel.astype(cotangent.dtype, copy=False)
        matrix = taps.transpose(2, 0, 1).reshape(taps.shape[2], -1)
        spread = (cotangent.reshape(-1, len(matrix)) @ matrix).reshape(*cotangent.shape[:-1], len(taps), -1)
        for tap in range(len(taps)):
            start = source.start - tap * kernel.dilation + kernel.before - target.start
            low, high = max(start, 0), min(start + source.width, target.width)
            if low < high:
                found[..., low - start : high - start, :] += spread[..., low:high, tap, :]
        return found

    # What is asked.

    def tables(self, positions: NDArray[np.intp]) -> list[NDArray]:
        """What a unit gives to contributions: (reference, base's position, position, channel).

        Of the input of each block but the first, as its convolution's output, and of the end of the last.
        """
        n = self._n_references
        wanted = [*(block.convolved for block in self.blocks[1:]), self.blocks[-1].output]
        dtype = self._difference.dtype
        found = [np.zeros((n, len(positions), v.length, v.channels), dtype) for v in wanted]
        for column, position in enumerate(positions):
            change, source = self._difference[:, [position]], _Region(int(position), 1)
            for k, (target, output) in enumerate(self.regions(int(position))):
                block = self.blocks[k]
                change = self._convolved(block, change, source, target)
                if k:
                    there, part = target.within(block.convolved.length)
                    found[k - 1][:, column, there] = change[:, part]
                slopes = self._unmutated_in(k, target, output)
                change, source = self._pushed(block, slopes, change), output
                change = self._kept(change, block.output, output)
            there, part = source.within(wanted[-1].length)
            found[-1][:, column, there] = change[:, part]
        return found

    def _unmutated_in(self, k: int, target: _Region, output: _Region) -> list[NDArray]:
        found, at = [], target
        for part, slope in zip(self.blocks[k].parts, self._unmutated[k], strict=True):
            found.append(at.of(slope, self._margin, 1))
            at = output if not part.function else at
        return found

    def mutants(self, position: int, changes: NDArray) -> tuple[NDArray, list[list[NDArray]]]:
        """The change of the last value in its region, and slopes.

        Parameters
        ----------
        position
            The substituted one.
        changes
            Of the input there (mutant, channel).
        """
        change, source, slopes = changes[:, None], _Region(position, 1), []
        for k, (target, output) in enumerate(self.regions(position)):
            kernel = self.blocks[k].kernel
            change = self._convolved(self.blocks[k], change, source, target)
            change, own = self._mutated(k, change, _convolved_region(kernel, source), target, output)
            slopes.append(own)
            source = output
        return change, slopes

    def add_at_end(self, values: NDArray, position: int, change: NDArray) -> None:
        """Add a change from `mutants` to the last value (mutant, position, channel)."""
        region = self.regions(position)[-1][1]
        there, part = region.within(values.shape[1])
        values[:, there] += change[:, part]

    def contributions(
        self,
        sites: Sequence[int],
        slopes: Sequence[list[list[NDArray]]],
        cotangents: NDArray,
        unmutated: NDArray,
        tables: list[NDArray],
        positions: NDArray[np.intp],
    ) -> NDArray:
        """Changes of contributions (site, position, target), mean over mutants and references.

        Parameters
        ----------
        sites, slopes
            Of the mutants, as of `mutants`.
        cotangents
            Multipliers of the last value (site, mutant, reference, target, position, channel).
        unmutated
            The same of the sequence (reference, target, position, channel).
        tables, positions
            From `tables`, and what it was given.
        """
        n_mutants, n_targets = cotangents.shape[1], cotangents.shape[3]
        found = np.zeros((len(sites), len(positions), n_targets))
        end = _Region(0, cotangents.shape[4])
        # Of the end of the blocks, and of each convolution but the first: what goes through the tables.
        at_end = cotangents.sum(axis=1) - n_mutants * unmutated
        through = [(end, list(at_end), tables[-1])]
        inner: list[list[tuple[_Region, NDArray]]] = [[] for _ in self.blocks]
        for k, (site, own) in enumerate(zip(sites, slopes, strict=True)):
            for block, pulled in enumerate(self._injected(int(site), own, cotangents[k])):
                inner[block].append(pulled)
            found[k] = self._at_input(self.blocks[0], *inner[0][k], positions)
        for block in range(1, len(self.blocks)):
            length = self.blocks[block].convolved.length
            low = min(region.within(length)[0].start for region, _ in inner[block])
            high = max(region.within(length)[0].stop for region, _ in inner[block])
            arrays = []
            for region, values in inner[block]:
                there, part = region.within(length)
                whole = np.zeros((*values.shape[:2], high - low, values.shape[3]), values.dtype)
                whole[:, :, there.start - low : there.stop - low] = values[:, :, part]
                arrays.append(whole)
            through.append((_Region(low, high - low), arrays, tables[block - 1]))
        for region, arrays, table in through:
            part = region.of(table, 0, 2).reshape(*table.shape[:2], -1)
            stacked = np.stack(arrays, axis=1).reshape(len(table), len(sites) * n_targets, -1)
            total = (stacked @ part.swapaxes(1, 2)).sum(axis=0)
            found += total.reshape(len(sites), n_targets, -1).swapaxes(1, 2)
        return found / (n_mutants * self._n_references)

    def _injected(
        self, site: int, slopes: list[list[NDArray]], cotangents: NDArray
    ) -> list[tuple[_Region, NDArray]]:
        """What changed factors of each block give at its convolution's output, sum over mutants."""
        regions, found = self.regions(site), []
        last = regions[-1][1]
        there, part = last.within(cotangents.shape[3])
        cotangent = np.zeros((*cotangents.shape[:3], last.width, cotangents.shape[4]), cotangents.dtype)
        cotangent[..., part, :] = cotangents[..., there, :]
        for k in reversed(range(len(self.blocks))):
            block, (target, output) = self.blocks[k], regions[k]
            pulled = self._pulled(block, slopes[k], cotangent, output)
            unmutated = self._unmutated_in(k, target, output)
            before = self._pulled(block, unmutated, cotangent.sum(axis=0), output)
            found.append((target, pulled.sum(axis=0) - before))
            if k:
                cotangent = self._transposed(block, pulled, target, regions[k - 1][1])
        return found[::-1]

    def _at_input(
        self, block: Block, target: _Region, injected: NDArray, positions: NDArray[np.intp]
    ) -> NDArray:
        """Contributions (position, target) of cotangents (reference, target, position, channel)."""
        kernel, length = block.kernel, self._difference.shape[1]
        source = _Region(target.start - kernel.before, target.width + kernel.span - 1)
        pulled = self._transposed(block, injected, target, source)
        there, part = source.within(length)
        whole = np.zeros((length, pulled.shape[1]), pulled.dtype)
        whole[there] = np.einsum("rtpc,rpc->pt", pulled[:, :, part], self._difference[:, there])
        return whole[positions]
