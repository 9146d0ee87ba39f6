"""A graph that came from TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Graph, Node, Ref, Scan
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.tensorflow.operations import Call, converted
from kipoi_tfbind.graph.tensorflow.ops import TensorFlowOps
from kipoi_tfbind.graph.tensorflow.vjp import node_vjp
from kipoi_tfbind.graph.vjp import VJP

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

    @property
    def ops(self) -> TensorFlowOps:
        """See the base class."""
        return TensorFlowOps()

    def run_node(self, node: Node, values: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """Outputs of one node, as new operations of the function that is being traced."""
        if node.kind == "constant":
            return [tf.constant(node.call)]
        if isinstance(node.operation, Scan):
            return node.operation.run(values, batch_size)
        graph = tf.compat.v1.get_default_graph()
        operation = graph.create_op(
            node.name, list(values), list(node.call.dtypes), attrs=dict(node.call.attrs), compute_device=False
        )
        return list(operation.outputs)

    def vjp(
        self, node: Node, values: Sequence[Any], wanted: Sequence[int], batch_size: Any = None
    ) -> tuple[list[Any], VJP]:
        """See the base class."""
        return node_vjp(self.run_node, self.ops, node, values, wanted)

    def batch_leads(self, ref: Ref, value: Any) -> bool:
        """See the base class: by what is known of the tensor."""
        shape = value.shape
        return bool(shape.rank) and shape[0] is None and shape[1:].is_fully_defined()

    def shapes_and_constants(
        self, shapes: Sequence[tuple[int, ...]]
    ) -> tuple[Mapping[Ref, tuple[int, ...]], Mapping[Ref, NDArray]]:
        """See the base class: by tracing the graph once more."""
        varying = self.varying()
        found: dict[Ref, tuple[int, ...]] = {}

        def trace(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            every = {(i, j) for i in self.live_nodes() for j in range(self.nodes[i].n_outputs)}
            values = self.run(tensors, every)
            for ref, value in values.items():
                sizes = [-1] if value.shape.rank is None else [n or -1 for n in value.shape.as_list()]
                found[ref] = tuple(sizes[1:] if ref[0] in varying else sizes)
            return {f"{i} {j}": value for (i, j), value in values.items() if i not in varying}

        signature = self.signature(shapes)
        function = tf.function(trace, input_signature=signature, autograph=False).get_concrete_function()
        examples = [tf.zeros([n or 1 for n in spec.shape], spec.dtype) for spec in signature]
        constants = {
            (int(name.split()[0]), int(name.split()[1])): np.asarray(value.numpy())
            for name, value in function(*examples).items()
        }
        return found, constants

    def signature(self, shapes: Sequence[tuple[int, ...]] | None = None) -> list[tf.TensorSpec]:
        """Type and shape of each input, of the trace or of given shapes without the batch."""
        specs = [self.nodes[i].call for i in self.inputs]
        if shapes is None:
            return [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs]
        return [tf.TensorSpec((None, *s), spec.dtype) for s, spec in zip(shapes, specs, strict=True)]

    def as_function(self) -> Callable[[list[Any]], list[Any]]:
        """The graph as one function of TensorFlow, compiled once for every batch size."""
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
            outputs = [values[ref] for ref in self.outputs]
            if any(None in (y.shape[1:] if y.shape.rank else (None,)) for y in outputs):
                # TensorFlow forgets the shapes of what a loop gives.
                for y, shape in zip(outputs, self._output_shapes(), strict=True):
                    y.set_shape(shape)
            return outputs

        compiled = tf.function(run, input_signature=self.signature(), autograph=False).get_concrete_function()
        return lambda tensors: list(compiled(*tensors))

    def _output_shapes(self) -> list[tf.TensorShape]:
        """Shapes of the outputs, as far as the nodes tell."""
        with tf.Graph().as_default():
            tensors = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in self.signature()]
            values = self.run(tensors, self.outputs)
        return [values[ref].shape for ref in self.outputs]

    def input_node(self, shape: Sequence[int]) -> Node:
        """See the base class."""
        dtypes = (self.nodes[i].call.dtype for i in self.inputs)
        dtype = next((dtype for dtype in dtypes if dtype.is_floating), tf.float32)
        return Node("Placeholder", Operation("input"), call=tf.TensorSpec((None, *shape), dtype))

    def made_of(self, nodes: tuple[Node, ...], inputs: tuple[int, ...], outputs: tuple[Ref, ...]) -> Self:
        """See the base class: nothing of the traced function is left."""
        return replace(self, nodes=nodes, inputs=inputs, outputs=outputs, frozen=None, sources={})

    def in_precision(self, dtype: Literal["float32", "float64"]) -> TensorFlowGraph:
        """The same graph with every float32 (or float64) constant and operation in `dtype`."""
        target = tf.as_dtype(dtype)
        source = tf.float32 if target == tf.float64 else tf.float64
        for i in self.live_nodes():
            node = self.nodes[i]
            if node.name in _FLOAT32_ONLY and dtype == "float64":
                raise UnsupportedModelError(
                    f"operation {node.name} of layer {node.layer or '(no name)'}: TensorFlow has it in "
                    f"float32 only; use float32"
                )
        nodes = tuple(_node_in_precision(node, source, target) for node in self.nodes)
        return replace(self, nodes=nodes, frozen=None, sources={})

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
    call, operation = node.call, node.operation
    if isinstance(operation, Scan):
        # The target's name is one of the two precisions.
        return replace(node, operation=replace(operation, body=operation.body.in_precision(target.name)))
    if node.kind == "constant" and call.dtype == source.as_numpy_dtype:
        call = call.astype(target.as_numpy_dtype)
    elif node.kind == "input" and call.dtype == source:
        call = tf.TensorSpec(call.shape, target)
    elif isinstance(call, Call):
        dtypes = tuple(target if dtype == source else dtype for dtype in call.dtypes)
        call = Call(converted(call.attrs, source, target), dtypes)
    return replace(node, call=call)
