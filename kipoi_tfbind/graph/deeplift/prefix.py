"""The first operations of a model that mutants can be followed through: linear maps, functions and maxima.

A value is a sum of linear maps of values before it, or a function or maxima of one. All of the sequence's
effect passes through the last of them, which may be the model's output. Of each value a substitution changes
one stretch, its affected region: that of a sum has those of its summands in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.linear_maps import LinearMap, Taps, Value, Whole
from kipoi_tfbind.graph.graph import Ref


@dataclass(frozen=True)
class Combined:
    """A value that is a sum of linear maps of others, but for a constant."""

    after: Value
    parts: tuple[tuple[Value, LinearMap], ...] = field(repr=False)


@dataclass(frozen=True)
class Applied:
    """A function of each number, maxima of windows side by side, or maxima of a function.

    Attributes
    ----------
    before, after
        Its input and output.
    function
        Name of the function; "" without one. "maximum" is that of two values, which are the two positions of
        its windows: unlike other maxima, it has a rule of its own.
    inner
        The function's output.
    span
        Positions in a window; 1 without maxima.
    """

    before: Value
    after: Value
    function: str
    inner: Value
    span: int = 1


Step = Combined | Applied


@dataclass(frozen=True)
class Stretch:
    """The same number of positions of a value for each position that is substituted, from `starts` on."""

    starts: NDArray[np.intp]
    width: int

    def at(self, sites: NDArray[np.intp]) -> Stretch:
        """Those of some of the positions."""
        return Stretch(self.starts[sites], self.width)

    def of(self, array: NDArray) -> NDArray:
        """Stretches (site, row, position, channel) of an array (row, position, channel)."""
        return np.stack([array[:, at : at + self.width] for at in self.starts.tolist()])

    def moved(self, array: NDArray, target: Stretch) -> NDArray:
        """An array (site, ..., position, channel) of these stretches as one of others; 0 elsewhere."""
        shifts = target.starts - self.starts
        if self.width == target.width and not shifts.any():
            return array
        found = np.zeros((*array.shape[:-2], target.width, array.shape[-1]), array.dtype)
        for shift in np.unique(shifts).tolist():
            low, high = max(shift, 0), min(shift + target.width, self.width)
            # All at once where the shift is the same for all.
            sites = slice(None) if (shifts == shift).all() else np.flatnonzero(shifts == shift)
            if low < high:
                found[sites, ..., low - shift : high - shift, :] = array[sites, ..., low:high, :]
        return found


@dataclass(frozen=True, eq=False)
class Prefix:
    """Steps from the sequence on, and what of their values a substitution changes.

    Attributes
    ----------
    source
        The sequence's input.
    steps
        In order of execution; the last gives the value at the end.
    is_whole
        Whether the end is the model's output.
    """

    source: Value
    steps: tuple[Step, ...]
    is_whole: bool
    _regions: dict[Ref, Stretch] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        needed = _needed(self.source, self.steps)
        every = np.arange(self.source.length)
        self._regions[self.source.ref] = Stretch(every, 1)
        for step in self.steps:
            if isinstance(step, Combined):
                found = [self.mapped(source, linear) for source, linear in step.parts]
            else:
                found = [_windows(self._regions[step.before.ref], step.span)]
            self._regions[step.after.ref] = _hull(found, *needed[step.after.ref])

    @property
    def end(self) -> Value:
        """The value at the end."""
        return self.steps[-1].after

    def region(self, value: Value) -> Stretch:
        """The affected region of a value, by the position that is substituted."""
        return self._regions[value.ref]

    def mapped(self, source: Value, linear: LinearMap) -> Stretch:
        """The positions that a linear map spreads a value's affected regions to."""
        return mapped(self._regions[source.ref], linear)

    @property
    def wanted(self) -> list[Ref]:
        """The values of the graph that those of `values` are made of."""
        return [ref for value in self.values() for ref in value.operands or (value.ref,)]

    def activations(self, found: Sequence[NDArray]) -> dict[Ref, NDArray]:
        """Those of `values` (row, *shape), from those that are `wanted`."""
        arrays = iter(found)
        return {
            value.ref: np.stack([next(arrays).reshape(-1, value.channels) for _ in value.operands], axis=1)
            if value.operands
            else next(arrays)
            for value in self.values()
        }

    def values(self) -> list[Value]:
        """Inputs and outputs of functions and maxima."""
        applied = [step for step in self.steps if isinstance(step, Applied)]
        found = {v.ref: v for step in applied for v in (step.before, step.inner, step.after)}
        return list((found | {self.end.ref: self.end}).values())

    @property
    def tabled(self) -> list[Value]:
        """The values of which it takes a table to know what their units give to contributions."""
        inputs = {s.before.ref: s.before for s in self.steps if isinstance(s, Applied)}
        if not self.is_whole:
            inputs[self.end.ref] = self.end
        return [value for ref, value in inputs.items() if ref not in self.of_source]

    @property
    def of_source(self) -> dict[Ref, list[LinearMap]]:
        """The values that are sums of linear maps of the sequence alone, and these maps."""
        combined = [step for step in self.steps if isinstance(step, Combined)]
        return {
            step.after.ref: [linear for _, linear in step.parts]
            for step in combined
            if all(source == self.source for source, _ in step.parts)
        }


def mapped(region: Stretch, linear: LinearMap) -> Stretch:
    """The positions that a linear map spreads regions to."""
    if isinstance(linear, Whole):
        return Stretch(np.zeros_like(region.starts), 1)
    return Stretch(region.starts - linear.last, region.width + linear.span - 1)


def _hull(stretches: Sequence[Stretch], low: int, high: int) -> Stretch:
    """Stretches that lie from `low` to `high`, and have in them all others' positions there."""
    starts = np.min([each.starts for each in stretches], axis=0).clip(low, high - 1)
    ends = np.max([each.starts + each.width for each in stretches], axis=0).clip(low + 1, high)
    width = max(int((ends - starts).max()), 1)
    return Stretch(starts.clip(low, high - width), width)


def _windows(region: Stretch, span: int) -> Stretch:
    starts = region.starts // span
    return Stretch(starts, int(((region.starts + region.width - 1) // span - starts).max()) + 1)


def _needed(source: Value, steps: Sequence[Step]) -> dict[Ref, tuple[int, int]]:
    """First position, and the end, of each value that the one at the end depends on."""
    end = steps[-1].after
    found = {end.ref: (0, end.length)}

    def add(value: Value, low: int, high: int) -> None:
        low, high = max(low, 0), min(high, value.length)
        known = found.get(value.ref, (low, high))
        found[value.ref] = min(low, known[0]), max(high, known[1])

    for step in reversed(steps):
        low, high = found[step.after.ref]
        if isinstance(step, Applied):
            add(step.before, low * step.span, high * step.span)
            continue
        for value, linear in step.parts:
            if isinstance(linear, Taps):
                add(value, low + linear.first, high + linear.last)
            else:
                add(value, 0, value.length)
    return found
