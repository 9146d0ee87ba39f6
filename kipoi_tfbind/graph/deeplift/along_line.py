"""A model that can be followed to its output, on a line of inputs: values and gradients in affected regions.

Every function of `FUNCTIONS` increases: one of maxima is the function of the largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.linear_maps import LinearMap, Taps, Value
from kipoi_tfbind.graph.deeplift.mutants import gathered, spread
from kipoi_tfbind.graph.deeplift.prefix import Applied, Combined, Prefix, Stretch, mapped
from kipoi_tfbind.graph.deeplift.step_slopes import FUNCTIONS
from kipoi_tfbind.graph.graph import Ref

# Numbers of the largest value of all points that are propagated at once.
_AT_ONCE = 2**20


def derivatives(function: str, x: NDArray) -> tuple[NDArray, NDArray]:
    """First and second derivatives of a function; of ReLU and maxima what they are between kinks.

    Examples
    --------
    >>> derivatives("tanh", np.zeros(1))
    (array([1.]), array([-0.]))
    """
    if function not in FUNCTIONS:
        return np.ones_like(x), np.zeros_like(x)
    if function == "relu":
        return (x > 0).astype(x.dtype), np.zeros_like(x)
    y = FUNCTIONS[function](x)
    if function == "exp":
        return y, y
    if function == "sigmoid":
        return y * (1 - y), y * (1 - y) * (1 - 2 * y)
    return 1 - y**2, -2 * y * (1 - y**2)


@dataclass(frozen=True)
class Points:
    """Values at points of the line, of each function by its `Applied.after`.

    Attributes
    ----------
    windows
        Inputs (point, window, position, channel).
    top
        Where the largest of a window is (point, window, channel), and `largest`, it.
    """

    windows: dict[Ref, NDArray]
    top: dict[Ref, NDArray[np.intp]]
    largest: dict[Ref, NDArray]


class AlongLine:
    """A followed model along a line.

    Parameters
    ----------
    prefix
        From `prefix_of`, whole.
    activations
        `Prefix.values` (1, *shape) at the start, by `Value.ref`.
    direction
        The way to the end of the line (position, channel), as the model takes it.
    columns
        Outputs that are asked for.
    """

    def __init__(
        self,
        prefix: Prefix,
        activations: Mapping[Ref, NDArray],
        direction: NDArray,
        columns: Sequence[int],
    ) -> None:
        self._prefix, self.direction, self._columns = prefix, direction, list(columns)
        self.sites = np.flatnonzero(direction.any(axis=1))
        self.applied = [step for step in prefix.steps if isinstance(step, Applied)]
        self.of_source = prefix.of_source
        self._start = {v.ref: v.by_position(activations[v.ref]) for v in prefix.values()}
        values = [prefix.source, *(step.after for step in prefix.steps)]
        self._at = {value.ref: self._hull(value) for value in values}
        low = int(self._at[prefix.source.ref].starts[0])
        whole = direction[None, None, low : low + self._at[prefix.source.ref].width]
        # What is linear in the sequence, and itself, grow as t does.
        self._first = {prefix.source.ref: whole} | {
            step.after.ref: self._combined(step, {prefix.source.ref: whole})
            for step in prefix.steps
            if isinstance(step, Combined) and step.after.ref in self.of_source
        }
        widest = max(self._at[v.ref].width * v.channels for v in values)
        self.n_at_once = max(_AT_ONCE // widest, 16)

    @property
    def n_targets(self) -> int:
        """Outputs that are asked for."""
        return len(self._columns)

    def _hull(self, value: Value) -> Stretch:
        """One affected region of all positions that change."""
        own = self._prefix.region(value).at(self.sites)
        low, high = int(own.starts.min()), int(own.starts.max()) + own.width
        return Stretch(np.array([low]), high - low)

    def _combined(self, step: Combined, changes: Mapping[Ref, NDArray]) -> NDArray:
        target, parts = self._at[step.after.ref], []
        for source, linear in step.parts:
            at = self._at[source.ref]
            own = spread(linear, changes[source.ref], at)
            parts.append(mapped(at, linear).moved(own, target))
        return sum(parts[1:], start=parts[0])

    def _windows_at(self, step: Applied) -> Stretch:
        """The inputs of all affected windows."""
        to = self._at[step.after.ref]
        return Stretch(to.starts * step.span, to.width * step.span)

    def points(self, t: NDArray, last: Applied | None = None) -> Points:
        """Values at points of the line, up to a function or all."""
        found = Points({}, {}, {})
        changes = {ref: first * t[:, None, None] for ref, first in self._first.items()}
        for step in self._prefix.steps:
            ref = step.after.ref
            if isinstance(step, Combined):
                if ref not in changes:
                    changes[ref] = self._combined(step, changes)
                continue
            at, to = self._windows_at(step), self._at[ref]
            (start,) = at.of(self._start[step.before.ref])
            x = start + self._at[step.before.ref].moved(changes[step.before.ref], at)[0]
            x = x.reshape(len(t), to.width, step.span, -1)
            found.windows[ref] = x
            if step.span == 1:
                found.top[ref], largest = np.zeros((len(t), to.width, x.shape[-1]), np.intp), x[:, :, 0]
            else:
                found.top[ref] = x.argmax(axis=2)
                largest = np.take_along_axis(x, found.top[ref][:, :, None], axis=2)[:, :, 0]
            found.largest[ref] = largest
            if step is last:
                break
            y = FUNCTIONS[step.function](largest) if step.function in FUNCTIONS else largest
            changes[ref] = (y - to.of(self._start[ref])[0])[None]
        return found

    def backward(self, points: Points, seeds: dict[Ref, NDArray] | None = None) -> dict[Ref, NDArray]:
        """Gradients (1, point, row, position, channel) of the chosen outputs, a row each, by the values.

        Parameters
        ----------
        points
            From `points`.
        seeds
            Gradients by inner values to begin from, in the outputs' place.
        """
        end = self._prefix.end
        if seeds is None:
            n = len(next(iter(points.top.values())))
            seed = np.zeros((len(self._columns), end.length * end.channels))
            seed[np.arange(len(seed)), self._columns] = 1
            seed = end.by_position(seed.reshape(-1, *end.shape))
            whole = Stretch(np.zeros(1, np.intp), end.length)
            seeds = {end.ref: whole.moved(np.broadcast_to(seed, (1, n, *seed.shape)), self._at[end.ref])}
        back = dict(seeds)
        for step in reversed(self._prefix.steps):
            if step.after.ref not in back:
                continue
            own = back[step.after.ref]
            if isinstance(step, Combined):
                parts = [(source, self._pulled(step, source, linear, own)) for source, linear in step.parts]
            else:
                parts = [(step.before, self._through(step, points, own))]
            for value, pulled in parts:
                back[value.ref] = back[value.ref] + pulled if value.ref in back else pulled
        return back

    def _pulled(self, step: Combined, source: Value, linear: LinearMap, own: NDArray) -> NDArray:
        at = self._at[source.ref]
        own = self._at[step.after.ref].moved(own, mapped(at, linear))
        return linear.gathered(own) if isinstance(linear, Taps) else gathered(linear, own, at)

    def _through(self, step: Applied, points: Points, own: NDArray) -> NDArray:
        ref = step.after.ref
        if step.function in FUNCTIONS:
            own = own * derivatives(step.function, points.largest[ref])[0][None, :, None]
        if step.span > 1:
            _, n, n_rows, width, n_channels = own.shape
            windows = np.zeros((1, n, n_rows, width, step.span, n_channels))
            top = np.repeat(points.top[ref][None, :, None, :, None], n_rows, axis=2)
            np.put_along_axis(windows, top, own[..., None, :], axis=-2)
            own = windows.reshape(1, n, n_rows, width * step.span, n_channels)
        return self._windows_at(step).moved(own, self._at[step.before.ref])

    def seed(self, step: Applied, place: Sequence[NDArray], weight: NDArray) -> NDArray:
        """Seeds (1, point, 1, position, channel) of a function's input.

        Parameters
        ----------
        step
            The function.
        place
            Window, position in it, and channel of each point's unit.
        weight
            Of each point.
        """
        window, position, channel = place
        at, n = self._windows_at(step), len(weight)
        found = np.zeros((1, n, 1, at.width, step.before.channels))
        found[0, np.arange(n), 0, window * step.span + position, channel] = weight
        return at.moved(found, self._at[step.before.ref])

    def slopes(self, back: Mapping[Ref, NDArray]) -> NDArray:
        """Parts (point, row, site) of the derivative along the line, from `backward`."""
        source = self._prefix.source.ref
        at = self._at[source]
        low = int(at.starts[0])
        found = np.einsum("nrpc,pc->nrp", back[source][0], self.direction[low : low + at.width])
        return found[..., self.sites - low]

    def first_slopes(self, step: Applied) -> NDArray:
        """Parts (site, window, position, channel) of slopes of an input that is linear in the sequence."""
        to, n = self._windows_at(step), len(self.sites)
        regions = self._prefix.region(self._prefix.source).at(self.sites)
        own = self.direction[self.sites][:, None, None]
        target = Stretch(np.repeat(to.starts, n), to.width)
        found = np.sum(
            [
                mapped(regions, linear).moved(spread(linear, own, regions), target)
                for linear in self.of_source[step.before.ref]
            ],
            axis=0,
        )
        return found.reshape(n, -1, step.span, found.shape[-1])
