"""The search for the first operations of a model that mutants can be followed through."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift.linear_maps import Value, is_identity, measure
from kipoi_tfbind.graph.deeplift.prefix import Applied, Combined, Prefix, Step
from kipoi_tfbind.graph.deeplift.rules import is_linear
from kipoi_tfbind.graph.from_value import all_passes_through
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.operations import Elementwise, Reduce
from kipoi_tfbind.graph.receptive_field import receptive_fields

_OF_SHAPES = frozenset({"shape", "shape_of"})
# From some values by position to another: what lies between them, run for rows of each.
Part = Callable[[Sequence[Value], Value], Callable[[Sequence[NDArray]], NDArray]]


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
            elif varying == [0]:
                # Others, which do not vary, are axes.
                self._apply(refs[0], node, node.inputs[0])
            elif isinstance(node.operation, Elementwise) and node.operation.function == "maximum":
                self._larger(refs[0], node)
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

    def _larger(self, ref: Ref, node: Node) -> None:
        """Take a value as the larger of two, such as those of both strands, that are linear in a third."""
        origin, other = (self._origin.get(source) for source in node.inputs)
        shapes = {self._program.shapes[r] for r in [ref, *node.inputs]}
        after = self._value(ref)
        if len(shapes) > 1 or origin is None or other != origin or after.length > 1:
            return
        # Both of them, side by side.
        before = Value((ref[0], -1), 1, (2, after.channels), tuple(node.inputs))
        if self._combine(before.ref, [origin], before):
            self.known[ref] = self._origin[ref] = after
            self.steps.append(Applied(before, after, "maximum", before, 2))

    def _run(self, origins: Sequence[Value], after: Value) -> Callable[[Sequence[NDArray]], NDArray]:
        """What lies between values and another, or the two that are its positions."""
        if not after.operands:
            return self._part(origins, after)
        runs = [self._part(origins, self._value(operand)) for operand in after.operands]

        def both(rows: Sequence[NDArray]) -> NDArray:
            return np.stack([run(rows).reshape(-1, after.channels) for run in runs], axis=1)

        return both

    def _combine(self, ref: Ref, origins: Sequence[Value], after: Value | None = None) -> bool:
        """Take a value as a sum of linear maps of those that it is linear in."""
        after = after or self._value(ref)
        run = self._run(origins, after)
        parts = []
        for k, source in enumerate(origins):

            def of_one(rows: NDArray, k: int = k) -> NDArray:
                zeros = [np.zeros((len(rows), v.length, v.channels)) for v in origins]
                return run([*zeros[:k], rows, *zeros[k + 1 :]])

            linear = measure(of_one, source, after)
            if linear is None:
                return False
            parts.append((source, linear))
        if len(parts) == 1 and is_identity(parts[0][1], origins[0], after):
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
    >>> module = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.ReLU())
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
    end = kept[0].after
    # Another layout of the output would have its numbers in another order.
    same = is_whole and (end.ref == program.output or end.length == 1)
    is_whole = same and search.known[program.output] == end
    prefix = Prefix(search.known[program.sequence], _fused(kept[::-1]), is_whole)
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
