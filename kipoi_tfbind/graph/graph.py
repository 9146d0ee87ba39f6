"""The graph itself: typed nodes in execution order, in no framework's terms.

`trace_tensorflow` and `trace_torch` make one. A node keeps its operation's name and attributes as the
framework has them, and gets a *kind* that the tables of rules know it by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

if TYPE_CHECKING:
    from kipoi_tfbind.graph.deeplift.propagation import CompiledDeepLift
    from kipoi_tfbind.graph.incremental.engine import Incremental

# The output `Ref[1]` of node `Ref[0]`.
Ref = tuple[int, int]

# What changes neither the values of an output nor their order, and may lie between a sigmoid and the output.
_TRANSPARENT_KINDS = frozenset({"identity", "reshape", "cast"})


@dataclass(frozen=True)
class Node:
    """One operation of a model.

    Attributes
    ----------
    operation
        The framework's name for it, such as "Conv2D" or "aten.convolution.default".
    kind
        What the rules know it by; "" where no rule is known.
    inputs
        Where its tensors come from, in the operation's own order.
    attributes
        Stride, axis and the like, as the framework has them.
    layer
        Name of the layer that it came from, as far as the framework tells.
    n_outputs
        Number of its output tensors.
    """

    operation: str
    kind: str
    inputs: tuple[Ref, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    layer: str = ""
    n_outputs: int = 1


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
    compiled
        What has been compiled for the graph.
    """

    nodes: tuple[Node, ...] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[Ref, ...]
    compiled: dict[Any, CompiledDeepLift] = field(default_factory=dict, init=False, repr=False)

    @abstractmethod
    def run_node(self, node: Node, values: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """Outputs of one node for the given inputs, as tensors of the graph's framework."""

    @abstractmethod
    def as_function(self) -> Callable[[list[Any]], list[Any]]:
        """The graph as a function of its framework's tensors: a list of inputs to a list of outputs.

        It takes any batch size, and gradients can be taken through it.
        """

    @abstractmethod
    def in_precision(self, dtype: Literal["float32", "float64"]) -> Graph:
        """The same graph with its constants and all it computes in `dtype`."""

    @abstractmethod
    def compile_deep_lift(
        self, wrt: int, shapes: Sequence[tuple[int, ...]], jit_compile: bool
    ) -> CompiledDeepLift:
        """What `deep_lift` runs, for inputs of these shapes (without the batch)."""

    @abstractmethod
    def incremental(
        self, wrt: int, shapes: Sequence[tuple[int, ...]], axis: int, units: NDArray
    ) -> Incremental:
        """What predicts edits of input number `wrt`, for inputs of these shapes (without the batch).

        Parameters
        ----------
        axis
            Axis of the positions in that input, which has the batch as axis 0.
        units
            What it has at a position with each of the codes of A, C, G, T and N: (code, ...).
        """

    def live_nodes(self) -> list[int]:
        """The nodes that some output depends on, and all inputs, in execution order."""
        live = set(self.inputs)
        pending = [node for node, _ in self.outputs]
        while pending:
            node = pending.pop()
            if node not in live or node in self.inputs:
                live.add(node)
                pending += [source for source, _ in self.nodes[node].inputs if source not in live]
        return sorted(live)

    def output_activation(self, output: int) -> Literal["sigmoid", "softmax"] | None:
        """The activation that output number `output` ends in, if it is a sigmoid or softmax."""
        path = self._path_to_activation(output)
        if path is None:
            return None
        return "softmax" if self.nodes[path[0][0]].kind == "softmax" else "sigmoid"

    def without_output_activations(self) -> Graph:
        """The same graph with the logit of every output that ends in a sigmoid or softmax.

        An output whose sigmoid or softmax also goes into another operation is left as it is.
        """
        nodes, outputs = list(self.nodes), list(self.outputs)
        for i in range(len(outputs)):
            path = self._path_to_activation(i)
            if path is None or not self._ends_in_outputs(path[0]):
                continue
            value = nodes[path[0][0]].inputs[0]
            for node, _ in path[1:]:
                _, *rest = nodes[node].inputs
                nodes.append(replace(nodes[node], inputs=(value, *rest)))
                value = (len(nodes) - 1, 0)
            outputs[i] = value
        return replace(self, nodes=tuple(nodes), outputs=tuple(outputs))

    def _path_to_activation(self, output: int) -> list[Ref] | None:
        """From the sigmoid or softmax, if any, through what leaves its values alone, to the output."""
        path = [self.outputs[output]]
        while self.nodes[path[0][0]].kind in _TRANSPARENT_KINDS:
            path.insert(0, self.nodes[path[0][0]].inputs[0])
        node = self.nodes[path[0][0]]
        is_sigmoid = node.kind == "elementwise" and node.attributes.get("function") == "sigmoid"
        return path if is_sigmoid or node.kind == "softmax" else None

    def _ends_in_outputs(self, value: Ref) -> bool:
        """Whether `value` goes only into outputs, be it through what leaves its values alone."""
        live = self.live_nodes()
        pending = [value]
        while pending:
            ref = pending.pop()
            for node in live:
                if ref in self.nodes[node].inputs:
                    if self.nodes[node].kind not in _TRANSPARENT_KINDS or ref != self.nodes[node].inputs[0]:
                        return False
                    pending.append((node, 0))
        return True
