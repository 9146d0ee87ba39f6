"""What is known of a graph before anything runs: shapes, constants, and what nodes do along positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Graph, Node, Ref
from kipoi_tfbind.graph.incremental.position_ops import Convolution, Geometry, Operand, Pool, reshaped_axis

# What may lie between a convolution and the pool that its windows are to be aligned with.
_UP_TO_POOL = frozenset(
    {"add", "cast", "elementwise", "identity", "normalise", "product", "ratio", "reshape"}
)

ReadGeometry = Callable[[Node, Sequence[Operand], tuple[int, ...]], Geometry | None]


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
    units
        What the sequence's input has at a position with each of the codes of A, C, G, T and N: (code, ...).
    read
        What a node does along the positions.
    """

    graph: Graph = field(repr=False)
    wrt: int
    axis: int
    shapes: Mapping[Ref, tuple[int, ...]] = field(repr=False)
    constants: Mapping[Ref, NDArray] = field(repr=False)
    units: NDArray = field(repr=False)
    read: ReadGeometry = field(repr=False)
    _geometries: dict[Any, Geometry | None] = field(default_factory=dict, repr=False)
    _substitutions: dict[Any, NDArray] = field(default_factory=dict, repr=False)

    @property
    def sequence(self) -> Ref:
        """The input that is edited."""
        return self.graph.inputs[self.wrt], 0

    @property
    def output(self) -> Ref:
        """What is predicted."""
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

    def geometry(self, i: int, axes: Mapping[Ref, int]) -> Geometry | None:
        """What node `i` does, for inputs with their positions at `axes`."""
        key = i, *sorted(axes.items())
        if key not in self._geometries:
            node = self.graph.nodes[i]
            operands = [
                Operand(self.shapes[ref], axes.get(ref), self.constants.get(ref)) for ref in node.inputs
            ]
            self._geometries[key] = self.read(node, operands, self.shapes[(i, 0)])
        return self._geometries[key]

    def substitutions(self, convolution: Convolution) -> NDArray:
        """Rows of `Convolution.of_substitutions` for the sequence's input."""
        if convolution not in self._substitutions:
            units = self.units.reshape(len(self.units), -1)
            self._substitutions[convolution] = convolution.of_substitutions(units)
        return self._substitutions[convolution]

    def products(self, i: int) -> int:
        """Multiply-accumulates of a node for one whole sequence."""
        node = self.graph.nodes[i]
        if node.kind not in ("convolution", "matmul", "einsum"):
            return 0
        out = _size(self.shapes[(i, 0)]) * self._multiples[(i, 0)]
        if node.kind != "convolution":
            widest = max((self.shapes[r] for r in node.inputs if r not in self.constants), key=math.prod)
            return out * (widest[-1] if widest else 1)
        kernel = next((self.constants[ref] for ref in node.inputs[1:] if ref in self.constants), None)
        if kernel is None:
            return 0
        if node.operation.startswith("Depthwise"):
            return out * math.prod(kernel.shape[:2])
        return out * kernel.size // kernel.shape[0 if node.operation.startswith("aten") else -1]

    def elements(self, i: int) -> int:
        """Elements that a node makes for one whole sequence; none where nothing is computed."""
        free = self.graph.nodes[i].kind in ("identity", "reshape", "shape", "")
        return 0 if free else _size(self.shapes[(i, 0)]) * self._multiples[(i, 0)]

    @cached_property
    def _multiples(self) -> Mapping[Ref, int]:
        """How many rows of each value there are for one sequence: more than one in blocks of positions."""
        found: dict[Ref, int] = {}
        for i in self.graph.live_nodes():
            node = self.graph.nodes[i]
            rows = max((found.get(ref, 1) for ref in node.inputs), default=1)
            if node.kind in ("space_to_batch", "batch_to_space") and len(node.inputs) > 1:
                size = self.constants.get(node.inputs[1])
                blocks = 1 if size is None else math.prod(size.tolist())
                rows = rows * blocks if node.kind == "space_to_batch" else max(rows // blocks, 1)
            found |= {(i, j): rows for j in range(node.n_outputs)}
        return found

    def next_pool(self, ref: Ref, axis: int) -> tuple[Pool, int] | None:
        """The pool that a value goes into, if only through what is local, and the length of its output."""
        for i in self.consumers.get(ref, ()):
            node = self.graph.nodes[i]
            if node.kind in ("max_pool", "average_pool"):
                pool = self.geometry(i, {ref: axis})
                return (pool, self.shapes[(i, 0)][axis - 1]) if isinstance(pool, Pool) else None
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


def _size(shape: Sequence[int]) -> int:
    """Number of elements for one sequence: a size that is not known is that of the batch."""
    return math.prod(max(size, 1) for size in shape)
