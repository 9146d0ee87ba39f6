"""A graph for sequences of one length, as far as it is known before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Graph, Ref, Scan
from kipoi_tfbind.graph.incremental.along_positions import along_positions
from kipoi_tfbind.graph.incremental.position_ops import Operand, PoolPositions, PositionOp, reshaped_axis
from kipoi_tfbind.graph.operations import SpaceToBatch, size_of
from kipoi_tfbind.graph.position_kernel import PositionKernel

# What may lie between a convolution and the pool that its regions are to be aligned with.
_UP_TO_POOL = frozenset(
    {"add", "cast", "elementwise", "identity", "normalise", "product", "ratio", "reshape"}
)


@dataclass(frozen=True, eq=False)
class Program:
    """A graph for sequences of one length.

    Attributes
    ----------
    graph
        The model; its first output (sequence, target) is predicted.
    wrt
        Number of the input whose sequence is edited.
    axis
        Axis of the positions in that input.
    shapes
        Shape of each value, without its first axis; of a constant, the whole.
    constants
        The values that depend on no input.
    base_encodings
        Encodings of A, C, G, T and N at one position of the sequence's input: (code, ...).
    """

    graph: Graph = field(repr=False)
    wrt: int
    axis: int
    shapes: Mapping[Ref, tuple[int, ...]] = field(repr=False)
    constants: Mapping[Ref, NDArray] = field(repr=False)
    base_encodings: NDArray = field(repr=False)
    _position_ops: dict[Any, PositionOp | None] = field(default_factory=dict, repr=False)
    _substitutions: dict[Any, NDArray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, graph: Graph, wrt: int, axis: int, shapes: Sequence[tuple[int, ...]], base_encodings: NDArray
    ) -> Program:
        """The program for inputs of these shapes, without the batch."""
        known, constants = graph.shapes_and_constants(shapes)
        return cls(graph, wrt, axis, known, constants, base_encodings)

    @property
    def sequence(self) -> Ref:
        """The input that is edited."""
        return self.graph.inputs[self.wrt], 0

    @property
    def output(self) -> Ref:
        """The value that is predicted."""
        return self.graph.outputs[0]

    @cached_property
    def steps(self) -> list[int]:
        """The nodes to run, in order: those that depend on an input."""
        return [
            i for i in self.graph.live_nodes() if i not in self.graph.inputs and (i, 0) not in self.constants
        ]

    @cached_property
    def consumers(self) -> Mapping[Ref, list[int]]:
        """The nodes that take a value."""
        found: dict[Ref, list[int]] = {}
        for i in self.steps:
            for ref in self.graph.nodes[i].inputs:
                found.setdefault(ref, []).append(i)
        return found

    def position_op(self, i: int, axes: Mapping[Ref, int]) -> PositionOp | None:
        """The effect of node `i` along the positions, which its inputs have at `axes`."""
        key = i, *sorted(axes.items())
        if key not in self._position_ops:
            node = self.graph.nodes[i]
            operands = [
                Operand(self.shapes[ref], axes.get(ref), self.constants.get(ref)) for ref in node.inputs
            ]
            self._position_ops[key] = along_positions(node, operands, self.shapes[(i, 0)])
        return self._position_ops[key]

    def substitutions(self, kernel: PositionKernel) -> NDArray:
        """Rows of `PositionKernel.of_substitutions` for the sequence's input."""
        if kernel not in self._substitutions:
            encodings = self.base_encodings.reshape(len(self.base_encodings), -1)
            self._substitutions[kernel] = kernel.of_substitutions(encodings)
        return self._substitutions[kernel]

    def macs(self, i: int) -> int:
        """Multiply-accumulates of a node for one whole sequence."""
        node = self.graph.nodes[i]
        operands = [self.shapes[ref] for ref in node.inputs if ref not in self.constants]
        kernels = (self.constants[ref].shape for ref in node.inputs[1:] if ref in self.constants)
        return (
            node.operation.macs(operands, next(kernels, None), self.shapes[(i, 0)]) * self._multiples[(i, 0)]
        )

    def traffic(self, i: int) -> int:
        """Elements that a node makes for one whole sequence; none where nothing is computed."""
        operation = self.graph.nodes[i].operation
        if isinstance(operation, Scan):
            return operation.elements
        free = self.graph.nodes[i].kind in ("identity", "reshape", "shape", "shape_of", "")
        return 0 if free else size_of(self.shapes[(i, 0)]) * self._multiples[(i, 0)]

    @cached_property
    def _multiples(self) -> Mapping[Ref, int]:
        """How many rows of each value there are for one sequence: more than one in blocks of positions."""
        found: dict[Ref, int] = {}
        for i in self.graph.live_nodes():
            node = self.graph.nodes[i]
            rows = max((found.get(ref, 1) for ref in node.inputs), default=1)
            if isinstance(node.operation, SpaceToBatch):
                blocks = node.operation.n_blocks or 1
                rows = rows * blocks if node.kind == "space_to_batch" else max(rows // blocks, 1)
            found |= {(i, j): rows for j in range(node.n_outputs)}
        return found

    def next_pool(self, ref: Ref, axis: int) -> tuple[PoolPositions, int] | None:
        """The pool that a value goes into, if only through what is local, and the length of its output."""
        for i in self.consumers.get(ref, ()):
            node = self.graph.nodes[i]
            if node.kind in ("max_pool", "average_pool"):
                pool = self.position_op(i, {ref: axis})
                return (pool, self.shapes[(i, 0)][axis - 1]) if isinstance(pool, PoolPositions) else None
            if node.kind not in _UP_TO_POOL:
                continue
            after: int | None = axis
            if node.kind == "reshape":
                after = reshaped_axis(self.shapes[ref], axis, self.shapes[(i, 0)])
            elif self.shapes[(i, 0)] != self.shapes[ref]:
                after = None
            found = self.next_pool((i, 0), after) if after else None
            if found is not None:
                return found
        return None
