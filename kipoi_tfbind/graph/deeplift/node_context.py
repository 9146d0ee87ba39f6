"""One node with its inputs and outputs at the sequences and at their references: what a rule looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Graph, Node
from kipoi_tfbind.graph.vjp import VJP


@dataclass
class NodeContext:
    """One node at the sequences (x) and at their references (r), with a row for each pair of the two.

    Attributes
    ----------
    graph, node
        The model, and the node.
    varying
        Numbers of the inputs that depend on the input that is explained.
    n_pairs
        Number of pairs.
    r_inputs, r_outputs
        Values at the references.
    x_input, x_output
        Number of an input or output -> its value at the sequences, made when it is asked for.
    flat
        First varying input and first output of x and r in shapes that broadcast: (sequence, 1, rest) and
        (sequence, reference, rest).
    propagation
        The propagation of multipliers through a graph within the node.
    """

    graph: Graph
    node: Node
    varying: tuple[int, ...]
    n_pairs: Any
    r_inputs: list[Any]
    r_outputs: list[Any]
    x_input: Callable[[int], Any]
    x_output: Callable[[int], Any]
    flat: Callable[[], tuple[Any, Any, Any, Any]]
    propagation: Callable[..., Any]

    @property
    def ops(self) -> ArrayOps:
        """The framework's arrays."""
        return self.graph.ops

    def x_inputs(self) -> list[Any]:
        """The inputs at x; those that do not vary are the same as at r."""
        return [self.x_input(i) if i in self.varying else r for i, r in enumerate(self.r_inputs)]

    def midpoints(self) -> list[Any]:
        """The inputs halfway between x and r."""
        return [(self.x_input(i) + r) / 2 if i in self.varying else r for i, r in enumerate(self.r_inputs)]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Outputs of the node for other inputs."""
        return self.graph.run_node(self.node, inputs, self.n_pairs)

    def vjp(self, inputs: Sequence[Any], wanted: Sequence[int] | None = None) -> tuple[list[Any], VJP]:
        """Outputs and vector-Jacobian product at other inputs, for the varying ones by default."""
        return self.graph.vjp(self.node, inputs, self.varying if wanted is None else wanted, self.n_pairs)
