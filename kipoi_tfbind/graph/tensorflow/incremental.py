"""Incremental predictions in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.affected_region import Table
from kipoi_tfbind.graph.incremental.engine import Incremental, make_table
from kipoi_tfbind.graph.incremental.pair_engine import Pairs
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.single_edits import IncrementalWalk
from kipoi_tfbind.graph.tensorflow.edit_arrays import TensorFlowWindows
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.tensorflow.pairs import PairFunctions, TensorFlowPairs, specs_of
from kipoi_tfbind.graph.tensorflow.position_ops import tensorflow_geometry

# From this on, a model's mutants are worth the seconds that XLA takes to compile.
_LARGE = 20_000_000


class TensorFlowIncremental(Incremental):
    """Two functions for each width of edits, each compiled once: one of the sequences, one of their edits.

    Parameters
    ----------
    graph
        The model, traced for sequences of one length.
    wrt
        Number of the input whose sequence is edited.
    shapes
        Shape of each input, without the batch.
    axis
        Axis of the positions there.
    units
        What that input has at a position with each of the five codes: (code, ...).
    """

    def __init__(
        self, graph: TensorFlowGraph, wrt: int, shapes: Sequence[tuple[int, ...]], axis: int, units: NDArray
    ) -> None:
        self._signature = [
            tf.TensorSpec((None, *shape), graph.nodes[i].attributes["dtype"])
            for i, shape in zip(graph.inputs, shapes, strict=True)
        ]
        all_shapes, constants = _known(graph, self._signature)
        dtype = graph.nodes[graph.inputs[wrt]].attributes["dtype"].as_numpy_dtype
        super().__init__(
            Program(graph, wrt, axis, all_shapes, constants, units.astype(dtype), tensorflow_geometry)
        )
        self._graph = graph
        self._arrays = TensorFlowWindows(graph)
        self._of_sequences: dict[Any, Any] = {}
        self._pairs: PairFunctions | None = None
        self._of_edits: dict[Any, Any] = {}
        self._not_fused: set[int] = set()

    def references(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """See the base class."""
        return self._looked_up(self._planned(width)[1], inputs, codes)

    def _looked_up(self, tables: list[Table], inputs: Sequence[NDArray], codes: NDArray) -> list[Any]:
        wanted = tuple(table for table in tables if table.how != "codes")
        if wanted not in self._of_sequences:
            self._of_sequences[wanted] = tf.function(
                lambda tensors: self._tables(wanted, tensors),
                input_signature=[self._signature],
                autograph=False,
            )
        dtypes = [self._graph.nodes[i].attributes["dtype"] for i in self._graph.inputs]
        tensors = [tf.constant(array, dtype) for array, dtype in zip(inputs, dtypes, strict=True)]
        found = iter(self._of_sequences[wanted](tensors))
        flat = tf.constant(codes.reshape(-1), tf.int32)
        return [flat if table.how == "codes" else next(found) for table in tables]

    def predict(self, references: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the base class."""
        places = [tf.constant(array, tf.int32) for array in (sequence, first, codes)]
        width = codes.shape[1]
        if self._fuses(width):
            key = (len(codes), width, len(references[0]))
            if key not in self._of_edits:
                signature = specs_of([references, *places], any_number=False)
                self._of_edits[key] = tf.function(
                    self._outputs, input_signature=signature, autograph=False, jit_compile=True
                )
            try:
                return self._of_edits[key](references, *places).numpy()
            except (tf.errors.OpError, ValueError, TypeError):
                self._not_fused.add(width)  # XLA does not have every operation.
        if width not in self._of_edits:
            self._of_edits[width] = tf.function(
                self._outputs,
                input_signature=specs_of([references, *places], any_number=True),
                autograph=False,
            )
        return self._of_edits[width](references, *places).numpy()

    def _fuses(self, width: int) -> bool:
        """Whether XLA is to compile it: it must know all shapes, and takes long for long graphs."""
        plan = self.plan(width)
        known = not plan.spans and not plan.whole_from
        return known and plan.naive_work >= _LARGE and width not in self._not_fused

    def pairs(self, inputs: Sequence[NDArray], codes: NDArray, first: NDArray, new: NDArray) -> Pairs:
        """See the base class."""
        if self._pairs is None:
            self._pairs = PairFunctions(self, self._arrays)
        return TensorFlowPairs(self._pairs, lambda tables: self._looked_up(tables, inputs, codes), first, new)

    def walk(
        self,
        tables: list[Table],
        references: list[tf.Tensor],
        sequence: tf.Tensor,
        first: tf.Tensor,
        codes: tf.Tensor,
    ) -> IncrementalWalk:
        """The walk for edits, as operations of the function that is being traced."""
        found = dict(zip(tables, references, strict=True))
        return IncrementalWalk(
            self._arrays, self.program, found.__getitem__, sequence=sequence, first=first, codes=codes
        )

    def _tables(self, tables: Sequence[Table], tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        values = _values(self._graph, tensors)
        return [make_table(self._arrays, self.program, table, values[table.ref]) for table in tables]

    def _outputs(
        self, references: list[tf.Tensor], sequence: tf.Tensor, first: tf.Tensor, codes: tf.Tensor
    ) -> tf.Tensor:
        tables = self._planned(codes.shape[1])[1]
        return self.walk(tables, references, sequence, first, codes).outputs()


def _values(graph: TensorFlowGraph, tensors: Sequence[tf.Tensor]) -> dict[Ref, tf.Tensor]:
    """Every value of a graph."""
    values: dict[Ref, tf.Tensor] = {(i, 0): t for i, t in zip(graph.inputs, tensors, strict=True)}
    for i in graph.live_nodes():
        if i not in graph.inputs:
            outputs = graph.run_node(graph.nodes[i], [values[ref] for ref in graph.nodes[i].inputs])
            values |= {(i, j): output for j, output in enumerate(outputs)}
    return values


def _known(
    graph: TensorFlowGraph, signature: Sequence[tf.TensorSpec]
) -> tuple[dict[Ref, tuple[int, ...]], dict[Ref, NDArray]]:
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

    function = tf.function(trace, input_signature=signature, autograph=False).get_concrete_function()
    examples = [tf.zeros([n or 1 for n in spec.shape], spec.dtype) for spec in signature]
    found = {
        (int(name.split()[0]), int(name.split()[1])): np.asarray(value.numpy())
        for name, value in function(*examples).items()
    }
    return shapes, found
