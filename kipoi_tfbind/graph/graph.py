"""The graph itself: nodes in execution order, how one is run, and how a gradient goes back through one.

`trace_tensorflow` and `trace_torch` make one. It does not know what is computed on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import UnsupportedOperationError
from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.operations import Elementwise, Operation
from kipoi_tfbind.graph.vjp import VJP

# The output `Ref[1]` of node `Ref[0]`.
Ref = tuple[int, int]

# What takes elements as they are, and may lie between a sigmoid and the output: of one value, or of several.
_PASSING_KINDS = frozenset(
    {"identity", "reshape", "cast", "transpose", "slice", "unstack", "gather", "reverse"}
)
_COLLECTING_KINDS = frozenset({"concat", "stack"})


@dataclass(frozen=True)
class Node:
    """One operation of a model.

    Attributes
    ----------
    name
        The framework's name for it, such as "Conv2D" or "aten.convolution.default".
    operation
        Its description.
    inputs
        Where its tensors come from, in the operation's own order.
    call
        The framework's own operation, or the value of a constant. Nothing else looks at it.
    layer
        Name of the layer that it came from, as far as the framework tells.
    n_outputs
        Number of its output tensors.
    keeps_rows
        Whether it neither joins nor splits nor reorders what is along the first axis.
    uses_batch_size
        Whether it takes an integer that depends on the number of sequences.
    """

    name: str
    operation: Operation
    inputs: tuple[Ref, ...] = ()
    call: Any = field(default=None, repr=False)
    layer: str = ""
    n_outputs: int = 1
    keeps_rows: bool = True
    uses_batch_size: bool = False

    @property
    def kind(self) -> str:
        """The kind of its operation."""
        return self.operation.kind


@dataclass(frozen=True, eq=False)
class Graph(ABC):
    """A model's operations in execution order.

    Attributes
    ----------
    nodes
        Every node comes after those whose outputs it takes.
    inputs
        The input nodes, in the order of the function's arguments.
    outputs
        Where the function's outputs come from.
    """

    nodes: tuple[Node, ...] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[Ref, ...]

    @property
    @abstractmethod
    def ops(self) -> ArrayOps:
        """The framework's arrays."""

    @abstractmethod
    def run_node(self, node: Node, values: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """Outputs of one node for the given inputs, as tensors of the graph's framework."""

    @abstractmethod
    def vjp(
        self, node: Node, values: Sequence[Any], wanted: Sequence[int], batch_size: Any = None
    ) -> tuple[list[Any], VJP]:
        """Outputs of one node, and its own vector-Jacobian product there for some of its inputs.

        Raises
        ------
        UnsupportedOperationError
            When the product is asked for and the framework has no gradient for the operation.
        """

    @abstractmethod
    def batch_leads(self, ref: Ref, value: Any) -> bool:
        """Whether the first axis of a value, and no other, depends on the batch size."""

    @abstractmethod
    def shapes_and_constants(
        self, shapes: Sequence[tuple[int, ...]]
    ) -> tuple[Mapping[Ref, tuple[int, ...]], Mapping[Ref, NDArray]]:
        """The shape of every value for inputs of these shapes, and the values that depend on no input.

        Shapes are without the batch, and whole of what does not vary; a size that is not known is -1.
        """

    @abstractmethod
    def as_function(self) -> Callable[[list[Any]], list[Any]]:
        """The graph as a function of its framework's tensors: a list of inputs to a list of outputs.

        It takes any batch size, and gradients can be taken through it.
        """

    @abstractmethod
    def input_node(self, shape: Sequence[int]) -> Node:
        """An input for floating-point values of this shape, without the batch."""

    @abstractmethod
    def in_precision(self, dtype: Literal["float32", "float64"]) -> Graph:
        """The same graph with its constants and all it computes in `dtype`."""

    def made_of(self, nodes: tuple[Node, ...], inputs: tuple[int, ...], outputs: tuple[Ref, ...]) -> Self:
        """A graph of the same framework, of other nodes."""
        return replace(self, nodes=nodes, inputs=inputs, outputs=outputs)

    def run(
        self,
        tensors: Sequence[Any],
        wanted: Collection[Ref],
        batch_size: Any = None,
        changes: Mapping[Ref, Callable[[Any], Any]] | None = None,
    ) -> dict[Ref, Any]:
        """Some values of the graph for its inputs; no other is kept longer than it is needed.

        What `changes` makes of a value goes on in its place.
        """
        values: dict[Ref, Any] = {(i, 0): t for i, t in zip(self.inputs, tensors, strict=True)}
        steps = [i for i in self.live_nodes(wanted) if i not in self.inputs]
        last_use = {ref: i for i in steps for ref in self.nodes[i].inputs}
        for i in steps:
            node = self.nodes[i]
            outputs = self.run_node(node, [values[ref] for ref in node.inputs], batch_size)
            values |= {(i, j): output for j, output in enumerate(outputs)}
            values |= {ref: change(values[ref]) for ref, change in (changes or {}).items() if ref[0] == i}
            for ref in node.inputs:
                if last_use[ref] == i and ref not in wanted:
                    values.pop(ref, None)
        return values

    def live_nodes(self, wanted: Collection[Ref] | None = None) -> list[int]:
        """The nodes that the outputs (or other values) depend on, and all inputs, in execution order."""
        live = set(self.inputs)
        pending = [node for node, _ in (self.outputs if wanted is None else wanted)]
        while pending:
            node = pending.pop()
            if node not in live or node in self.inputs:
                live.add(node)
                pending += [source for source, _ in self.nodes[node].inputs if source not in live]
        return sorted(live)

    def varying(self) -> set[int]:
        """The live nodes that depend on an input or on the number of sequences."""
        found = set(self.inputs)
        for i in self.live_nodes():
            node = self.nodes[i]
            if node.uses_batch_size or any(source in found for source, _ in node.inputs):
                found.add(i)
        return found

    def output_activation(self, output: int) -> Literal["sigmoid", "softmax", "mixed"] | None:
        """The activation that output number `output` ends in, if it is a sigmoid or softmax.

        An output that is put together of several parts, such as one for each head or each step of a
        time-distributed layer, has one if each part has; "mixed" where these differ.
        """
        found = self._activations(self.outputs[output])
        kinds = {"softmax" if self.nodes[node].kind == "softmax" else "sigmoid" for node, _ in found or ()}
        if not kinds:
            return None
        return "mixed" if len(kinds) > 1 else "softmax" if "softmax" in kinds else "sigmoid"

    def without_output_activations(self) -> Graph:
        """The same graph with the logit of every output that ends in sigmoids or softmaxes.

        An output with a sigmoid or softmax that also goes into another operation is left as it is.
        """
        nodes, outputs = list(self.nodes), list(self.outputs)
        consumers: dict[Ref, list[int]] = {}
        for i in self.live_nodes():
            for ref in self.nodes[i].inputs:
                consumers.setdefault(ref, []).append(i)
        for i, output in enumerate(self.outputs):
            activations = self._activations(output)
            if activations and all(self._ends_in_outputs(ref, consumers) for ref in activations):
                outputs[i] = self._with_logits(output, nodes, {})
        return replace(self, nodes=tuple(nodes), outputs=tuple(outputs))

    def _activations(self, output: Ref) -> list[Ref] | None:
        """The sigmoids and softmaxes that an output is put together of; None where any part is none."""
        found, seen, pending = [], {output}, [output]
        while pending:
            ref = pending.pop()
            if self._is_activation(ref):
                found.append(ref)
                continue
            parts = self._parts(ref)
            if not parts:
                return None
            pending += [part for part in parts if part not in seen]
            seen.update(parts)
        return found

    def _is_activation(self, ref: Ref) -> bool:
        node = self.nodes[ref[0]]
        return node.operation == Elementwise(function="sigmoid") or node.kind == "softmax"

    def _parts(self, ref: Ref) -> list[Ref]:
        """The values that a value is put together of, each element as it is; none where it is computed."""
        node = self.nodes[ref[0]]
        if node.kind in _COLLECTING_KINDS:
            # One number is the axis that TensorFlow gives as an operand.
            return [
                r
                for r in node.inputs
                if self.nodes[r[0]].kind != "constant" or np.ndim(self.nodes[r[0]].call)
            ]
        if node.kind not in _PASSING_KINDS:
            return []
        if len(node.inputs) == node.n_outputs > 1:
            return [node.inputs[ref[1]]]
        return [r for r in node.inputs if self.nodes[r[0]].kind != "constant"][:1]

    def _with_logits(self, ref: Ref, nodes: list[Node], rebuilt: dict[int, int]) -> Ref:
        """The value with its activations left out; what it goes through on the way is added to `nodes`."""
        if self._is_activation(ref):
            return self.nodes[ref[0]].inputs[0]
        if ref[0] not in rebuilt:
            node = self.nodes[ref[0]]
            parts = set(self._parts(ref))
            inputs = [self._with_logits(r, nodes, rebuilt) if r in parts else r for r in node.inputs]
            nodes.append(replace(node, inputs=tuple(inputs)))
            rebuilt[ref[0]] = len(nodes) - 1
        return rebuilt[ref[0]], ref[1]

    def _ends_in_outputs(self, value: Ref, consumers: Mapping[Ref, Sequence[int]]) -> bool:
        """Whether `value` goes only into outputs, be it through what leaves its elements as they are."""
        pending = [value]
        while pending:
            ref = pending.pop()
            for i in consumers.get(ref, ()):
                results = [(i, j) for j in range(self.nodes[i].n_outputs)]
                if not any(ref in self._parts(result) for result in results):
                    return False
                pending += results
        return True


@dataclass(frozen=True, kw_only=True)
class Scan(Operation):
    """The same step again and again, each from slices of some arrays and from what the step before gave.

    The node takes the arrays, with the steps along axis 0, then the states before the first step, then what
    all steps share; it gives arrays of what the steps give, and the states after the last one.

    Attributes
    ----------
    body
        The graph of one step: from slices, states and what is shared to slices and states.
    n_steps
        Number of steps.
    n_taken, n_given, n_states
        Number of arrays that are taken, of arrays that are given, and of states.
    all_macs, elements
        Multiply-accumulates of all steps for one sequence, and the elements that they make.
    """

    kind: str = "scan"
    body: Graph = field(repr=False)
    n_steps: int
    n_taken: int
    n_given: int
    n_states: int
    all_macs: int = 0
    elements: int = 0

    def macs(
        self, operands: Sequence[tuple[int, ...]], kernel: tuple[int, ...] | None, out: tuple[int, ...]
    ) -> int:
        """See the base class."""
        return self.all_macs

    def run_body(self, inputs: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """What one step makes of its slices, its states and what all share."""
        found = self.body.run(inputs, self.body.outputs, batch_size)
        return [found[ref] for ref in self.body.outputs]

    def run(self, inputs: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """All steps: the outputs of the node."""
        first, shared = self.n_taken, inputs[self.n_taken + self.n_states :]

        def step(slices: Sequence[Any], states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
            found = self.run_body([*slices, *states, *shared], batch_size)
            return found[: self.n_given], found[self.n_given :]

        states = inputs[first : first + self.n_states]
        given, after = self.body.ops.scan(step, inputs[:first], states, n=self.n_steps)
        return [*given, *after]


def unsupported(node: Node, problem: str = "has no exact DeepLIFT rule") -> UnsupportedOperationError:
    """The error that names a node and what to do."""
    return UnsupportedOperationError(
        f"operation {node.name} of layer {node.layer or '(no name)'}: {problem}; use in-silico "
        f"mutagenesis or sampled Shapley values, which only need predictions"
    )
