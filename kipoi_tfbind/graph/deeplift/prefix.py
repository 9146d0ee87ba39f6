"""The first operations of a model that mutants can be followed through: linear maps, functions and maxima.

A value is a sum of linear maps of values before it, or a function or maxima of one. All of the sequence's
effect passes through the last of them, which may be the model's output. Of each value a substitution changes
one stretch, its affected region: that of a sum has those of its summands in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.linear_maps import LinearMap, Taps, Value, Whole, is_identity, measure
from kipoi_tfbind.graph.deeplift.rules import is_linear
from kipoi_tfbind.graph.from_value import all_passes_through
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.operations import Elementwise, Reduce
from kipoi_tfbind.graph.receptive_field import receptive_fields

_OF_SHAPES = frozenset({"shape", "shape_of"})
# From some values by position to another: what lies between them, run for rows of each.
Part = Callable[[Sequence[Value], Value], Callable[[Sequence[NDArray]], NDArray]]


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
        Name of the function; "" without one.
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

    def values(self) -> list[Value]:
        """Inputs and outputs of functions and maxima."""
        applied = [step for step in self.steps if isinstance(step, Applied)]
        found = {v.ref: v for step in applied for v in (step.before, step.inner, step.after)}
        return list((found | {self.end.ref: self.end}).values())

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


class _Search:
    """The values that can be followed, one operation after the other.

    Parameters are those of `prefix_of`.
    """

    def __init__(self, program: Program, functions: frozenset[str], part: Part) -> None:
        self._program, self._functions, self._part = program, functions, part
        self._fields = receptive_fields(program)
        self.steps: list[Step] = []
        sequence = program.sequence
        # Those that have a step, by what is the same as they are; and the one that another is linear in.
        self.known: dict[Ref, Value] = {sequence: self._value(sequence)}
        self._origin: dict[Ref, Value] = {sequence: self.known[sequence]}
        # What depends on the sequence in another way; and what depends on shapes alone.
        self._lost: set[Ref] = set()
        self._of_shapes: set[Ref] = set(program.constants)
        for i in program.steps:
            self._follow(i, program.graph.nodes[i])

    def _value(self, ref: Ref) -> Value:
        axis = self._fields[ref].axis if ref in self._fields else 0
        return Value(ref, axis, self._program.shapes[ref])

    def _follow(self, i: int, node: Node) -> None:
        refs = [(i, j) for j in range(node.n_outputs)]
        varying = [k for k, r in enumerate(node.inputs) if r in self._origin or r in self._lost]
        if not varying or node.kind in _OF_SHAPES:
            others = node.kind in _OF_SHAPES or all(r in self._of_shapes for r in node.inputs)
            self._of_shapes.update(refs if others else [])
            return
        sources = {node.inputs[k] for k in varying}
        fixed = [r for k, r in enumerate(node.inputs) if k not in varying]
        followed = not sources & self._lost and all(r in self._of_shapes for r in fixed)
        if followed and -1 not in self._program.shapes[refs[0]]:
            if is_linear(node, varying) and (node.kind != "normalise" or varying == [0]):
                self._linear(refs, sources)
            elif len(node.inputs) == 1:
                self._apply(refs[0], node, node.inputs[0])
        self._lost.update(ref for ref in refs if ref not in self._origin)

    def _linear(self, refs: list[Ref], sources: set[Ref]) -> None:
        origins = {self._origin[ref].ref: self._origin[ref] for ref in sources}
        if len(origins) == 1:
            self._origin |= dict.fromkeys(refs, *origins.values())
        elif len(refs) == 1:
            self._combine(refs[0], list(origins.values()))

    def take(self, ref: Ref) -> bool:
        """Whether a value is one that is followed, after it has been made one if it can be."""
        return ref in self.known or (ref in self._origin and self._combine(ref, [self._origin[ref]]))

    def _combine(self, ref: Ref, origins: Sequence[Value]) -> bool:
        """Take a value as a sum of linear maps of those that it is linear in."""
        after = self._value(ref)
        run = self._part(origins, after)
        parts = []
        for k, source in enumerate(origins):

            def of_one(rows: NDArray, k: int = k) -> NDArray:
                zeros = [np.zeros((len(rows), v.length, v.channels)) for v in origins]
                return run([*zeros[:k], rows, *zeros[k + 1 :]])

            linear = measure(of_one, source, after)
            if linear is None:
                return False
            parts.append((source, linear))
        if len(parts) == 1 and is_identity(parts[0][1], *origins, after):
            self.known[ref] = self._origin[ref] = origins[0]
            return True
        self.known[ref] = self._origin[ref] = after
        self.steps.append(Combined(after, tuple(parts)))
        return True

    def _apply(self, ref: Ref, node: Node, source: Ref) -> None:
        """Take a value as a function or maxima of another, if that is what it is."""
        operation, value, span = node.operation, self._value(source), 1
        function = operation.function if isinstance(operation, Elementwise) else ""
        is_maximum = node.kind == "max_pool" or (isinstance(operation, Reduce) and operation.how == "max")
        sizes = operation.window_sizes(value.shape) if is_maximum else None
        if sizes is not None and value.axis:
            span = sizes[value.axis - 1]
            if math.prod(sizes) != span:
                return
        elif function not in self._functions:
            return
        if not self.take(source):
            return
        before, after = self.known[source], self._value(ref)
        if before.ref != self._program.sequence and after.length == before.length // span:
            self.known[ref] = self._origin[ref] = after
            self.steps.append(Applied(before, after, function, after if function else before, span))


def prefix_of(program: Program, functions: frozenset[str], part: Part) -> Prefix | None:
    """The first steps of a model; None where no affected region is smaller than the value.

    Parameters
    ----------
    program
        The model.
    functions
        Functions of one number that can be followed.
    part
        Gives what lies between some values and another.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind.graph import trace_torch
    >>> module = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> graph = trace_torch(lambda x: [module(x[0])], [torch.zeros(1, 4, 10)])
    >>> program = Program.of(graph, 0, 2, [(4, 10)], np.empty(0))
    >>> def part(sources, after):  # of the sequence, the convolution
    ...     return lambda rows: module[0](torch.tensor(rows[0]).float().mT).detach().numpy().swapaxes(1, 2)
    >>> prefix = prefix_of(program, frozenset({"relu"}), part)
    >>> prefix.end.shape, prefix.region(prefix.end).width
    ((2, 8), 3)
    """
    search = _Search(program, functions, part)
    is_whole = search.take(program.output)
    steps = list(search.steps)
    while steps and not all_passes_through(program.graph, steps[-1].after.ref, program.wrt):
        steps.pop()
    needed = {steps[-1].after.ref} if steps else set()
    kept: list[Step] = []
    for step in reversed(steps):
        if step.after.ref in needed:
            kept.append(step)
            needed.update([step.before.ref] if isinstance(step, Applied) else [v.ref for v, _ in step.parts])
    if not any(isinstance(step, Applied) for step in kept):
        return None
    output = search.known[program.output] if is_whole else None
    prefix = Prefix(search.known[program.sequence], _fused(kept[::-1]), output == kept[0].after)
    applied = [step.after for step in prefix.steps if isinstance(step, Applied)]
    return prefix if any(prefix.region(value).width < value.length for value in applied) else None


def _fused(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Maxima of a function that goes nowhere else, as one step with it."""
    uses: dict[Ref, int] = {}
    for step in steps:
        for value in [step.before] if isinstance(step, Applied) else [v for v, _ in step.parts]:
            uses[value.ref] = uses.get(value.ref, 0) + 1
    found: list[Step] = []
    for step in steps:
        last = next((s for s in found if isinstance(step, Applied) and s.after == step.before), None)
        if (
            isinstance(step, Applied)
            and not step.function
            and isinstance(last, Applied)
            and last.span == 1
            and uses[last.after.ref] == 1
        ):
            found.remove(last)
            step = Applied(last.before, step.after, last.function, last.after, step.span)
        found.append(step)
    return tuple(found)
