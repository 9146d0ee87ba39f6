"""How a graph that came from TensorFlow is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Graph, Node, Ref
from kipoi_tfbind.graph.tensorflow.kinds import converted

if TYPE_CHECKING:
    from kipoi_tfbind.graph.deeplift.propagation import CompiledDeepLift
    from kipoi_tfbind.graph.incremental.engine import Incremental

# Their result is float32 whatever they are given.
_FLOAT32_ONLY = frozenset({"ResizeBicubic", "ResizeBilinear"})


@dataclass(frozen=True, eq=False)
class TensorFlowGraph(Graph):
    """A graph of TensorFlow's operations.

    Attributes
    ----------
    frozen
        The function that it was made from, with its variables as constants.
    sources
        The tensors of `frozen` that hold the graph's values; loops' steps have none.
    """

    frozen: Any = field(repr=False, compare=False, default=None)
    sources: Mapping[Ref, tf.Tensor] = field(repr=False, compare=False, default_factory=dict)

    def run_node(self, node: Node, values: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """Outputs of one node, as new operations of the function that is being traced."""
        if node.kind == "constant":
            return [tf.constant(node.attributes["value"])]
        graph = tf.compat.v1.get_default_graph()
        operation = graph.create_op(
            node.operation,
            list(values),
            list(node.attributes["dtypes"]),
            attrs=dict(node.attributes["attrs"]),
            compute_device=False,
        )
        return list(operation.outputs)

    def as_function(self) -> Callable[[list[Any]], list[Any]]:
        """The graph as one function of TensorFlow, compiled once for every batch size."""
        signature = [
            tf.TensorSpec(self.nodes[i].attributes["shape"], self.nodes[i].attributes["dtype"])
            for i in self.inputs
        ]
        known, added = self._known_and_added()
        pruned = None
        if self.frozen is not None:
            pruned = self.frozen.prune(self.frozen.inputs, [self.sources[ref] for ref in known])

        def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
            values: dict[Ref, Any] = {(node, 0): t for node, t in zip(self.inputs, tensors, strict=True)}
            if pruned is not None:
                values |= dict(zip(known, pruned(*tensors), strict=True))
            for i in added:
                outputs = self.run_node(self.nodes[i], [values[ref] for ref in self.nodes[i].inputs])
                values |= {(i, j): output for j, output in enumerate(outputs)}
            return [values[ref] for ref in self.outputs]

        compiled = tf.function(run, input_signature=signature, autograph=False).get_concrete_function()
        return lambda tensors: list(compiled(*tensors))

    def in_precision(self, dtype: Literal["float32", "float64"]) -> TensorFlowGraph:
        """The same graph with every float32 (or float64) constant and operation in `dtype`."""
        target = tf.as_dtype(dtype)
        source = tf.float32 if target == tf.float64 else tf.float64
        for i in self.live_nodes():
            node = self.nodes[i]
            if node.operation in _FLOAT32_ONLY and dtype == "float64":
                raise UnsupportedModelError(
                    f"operation {node.operation} of layer {node.layer or '(no name)'}: TensorFlow has it in "
                    f"float32 only; use float32"
                )
        nodes = tuple(_node_in_precision(node, source, target) for node in self.nodes)
        return replace(self, nodes=nodes, frozen=None, sources={})

    def compile_deep_lift(
        self, wrt: int, shapes: Sequence[tuple[int, ...]], jit_compile: bool
    ) -> CompiledDeepLift:
        """What `deep_lift` runs, for inputs of these shapes (without the batch)."""
        from kipoi_tfbind.graph.tensorflow.deep_lift import TensorFlowDeepLift

        return TensorFlowDeepLift(self, wrt, shapes, jit_compile)

    def incremental(
        self, wrt: int, shapes: Sequence[tuple[int, ...]], axis: int, units: NDArray
    ) -> Incremental:
        """See the base class."""
        from kipoi_tfbind.graph.tensorflow.incremental import TensorFlowIncremental

        return TensorFlowIncremental(self, wrt, shapes, axis, units)

    def _known_and_added(self) -> tuple[list[Ref], list[int]]:
        """The values to take from `frozen`, and the nodes to run on them, in order."""
        known: set[Ref] = set()
        added: set[int] = set()
        pending = list(self.outputs)
        while pending:
            ref = pending.pop()
            if ref in self.sources:
                known.add(ref)
            elif ref[0] not in added and ref[0] not in self.inputs:
                added.add(ref[0])
                pending += self.nodes[ref[0]].inputs
        return sorted(known), sorted(added)


def _node_in_precision(node: Node, source: tf.DType, target: tf.DType) -> Node:
    attributes = dict(node.attributes)
    if node.kind == "constant":
        value: Any = attributes["value"]
        if value.dtype == source.as_numpy_dtype:
            attributes["value"] = value.astype(target.as_numpy_dtype)
    elif node.kind == "input":
        attributes["dtype"] = target if attributes["dtype"] == source else attributes["dtype"]
    elif attributes:
        attributes["attrs"] = converted(attributes["attrs"], source, target)
        attributes["dtypes"] = tuple(target if d == source else d for d in attributes["dtypes"])
    return replace(node, attributes=attributes)
