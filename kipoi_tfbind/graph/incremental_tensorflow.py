"""Incremental predictions in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental import Incremental, make_table
from kipoi_tfbind.graph.incremental_walk import IncrementalWalk
from kipoi_tfbind.graph.program import Program
from kipoi_tfbind.graph.tensorflow_geometry import tensorflow_geometry
from kipoi_tfbind.graph.tensorflow_graph import TensorFlowGraph
from kipoi_tfbind.graph.window_arrays_tensorflow import TensorFlowWindows
from kipoi_tfbind.graph.windows import Table


class TensorFlowIncremental(Incremental):
    """Two functions for each width of edits, each compiled once: one of the sequences, one of their edits.

    Parameters
    ----------
    graph
        The model, traced for sequences of one length.
    wrt
        Number of the input whose sequence is edited.
    axis
        Axis of the positions there.
    units
        What that input has at a position with each of the five codes: (code, ...).
    """

    def __init__(self, graph: TensorFlowGraph, wrt: int, axis: int, units: NDArray) -> None:
        shapes, constants = _known(graph)
        dtype = graph.nodes[graph.inputs[wrt]].attributes["dtype"].as_numpy_dtype
        super().__init__(
            Program(graph, wrt, axis, shapes, constants, units.astype(dtype), tensorflow_geometry)
        )
        self._graph = graph
        self._arrays = TensorFlowWindows(graph)
        self._of_sequences: dict[int, Any] = {}
        self._of_edits: dict[int, Any] = {}

    def references(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """See the base class."""
        _, tables = self._planned(width)
        if width not in self._of_sequences:
            self._of_sequences[width] = tf.function(
                lambda tensors: self._tables(tables, tensors),
                input_signature=[_signature(self._graph)],
                autograph=False,
            )
        dtypes = [self._graph.nodes[i].attributes["dtype"] for i in self._graph.inputs]
        tensors = [tf.constant(array, dtype) for array, dtype in zip(inputs, dtypes, strict=True)]
        found = iter(self._of_sequences[width](tensors))
        flat = tf.constant(codes.reshape(-1), tf.int32)
        return [flat if table.how == "codes" else next(found) for table in tables]

    def predict(self, references: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the base class."""
        width = codes.shape[1]
        if width not in self._of_edits:
            places = tf.TensorSpec((None,), tf.int32)
            signature = [
                [tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in references],
                places,
                places,
                tf.TensorSpec((None, width), tf.int32),
            ]
            self._of_edits[width] = tf.function(self._outputs, input_signature=signature, autograph=False)
        places = [tf.constant(array, tf.int32) for array in (sequence, first, codes)]
        return self._of_edits[width](references, *places).numpy()

    def _tables(self, tables: list[Table], tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        values = _values(self._graph, tensors)
        return [
            make_table(self._arrays, self.program, table, values[table.ref])
            for table in tables
            if table.how != "codes"
        ]

    def _outputs(
        self, references: list[tf.Tensor], sequence: tf.Tensor, first: tf.Tensor, codes: tf.Tensor
    ) -> tf.Tensor:
        _, tables = self._planned(codes.shape[1])
        found = dict(zip(tables, references, strict=True))
        walk = IncrementalWalk(
            self._arrays, self.program, found.__getitem__, sequence=sequence, first=first, codes=codes
        )
        return walk.outputs()


def _signature(graph: TensorFlowGraph) -> list[tf.TensorSpec]:
    nodes = [graph.nodes[i] for i in graph.inputs]
    return [tf.TensorSpec(node.attributes["shape"], node.attributes["dtype"]) for node in nodes]


def _values(graph: TensorFlowGraph, tensors: Sequence[tf.Tensor]) -> dict[Ref, tf.Tensor]:
    """Every value of a graph."""
    values: dict[Ref, tf.Tensor] = {(i, 0): t for i, t in zip(graph.inputs, tensors, strict=True)}
    for i in graph.live_nodes():
        if i not in graph.inputs:
            outputs = graph.run_node(graph.nodes[i], [values[ref] for ref in graph.nodes[i].inputs])
            values |= {(i, j): output for j, output in enumerate(outputs)}
    return values


def _known(graph: TensorFlowGraph) -> tuple[dict[Ref, tuple[int, ...]], dict[Ref, NDArray]]:
    """The shape of every value, and the values that depend on no input."""
    varying = set(graph.inputs)
    for i in graph.live_nodes():
        if any(source in varying for source, _ in graph.nodes[i].inputs):
            varying.add(i)
    shapes: dict[Ref, tuple[int, ...]] = {}

    def trace(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        values = _values(graph, tensors)
        for ref, value in values.items():
            sizes = [-1] if value.shape.rank is None else [n or -1 for n in value.shape.as_list()]
            shapes[ref] = tuple(sizes[1:] if ref[0] in varying else sizes)
        return {f"{i} {j}": value for (i, j), value in values.items() if i not in varying}

    signature = _signature(graph)
    function = tf.function(trace, input_signature=signature, autograph=False).get_concrete_function()
    examples = [tf.zeros([n or 1 for n in spec.shape], spec.dtype) for spec in signature]
    found = {
        (int(name.split()[0]), int(name.split()[1])): np.asarray(value.numpy())
        for name, value in function(*examples).items()
    }
    return shapes, found
