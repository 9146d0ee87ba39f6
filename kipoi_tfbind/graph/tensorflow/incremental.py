"""Incremental predictions in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.cached import Cached, make_cached
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.incremental.pair_engine import Pairs
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.propagation import Propagation, propagate_edits
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.tensorflow.pairs import PairFunctions, TensorFlowPairs, specs_of

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
    base_encodings
        Encodings of A, C, G, T and N at one position of that input: (code, ...).
    """

    setup_work_per_step = 400_000_000

    def __init__(
        self,
        graph: TensorFlowGraph,
        wrt: int,
        shapes: Sequence[tuple[int, ...]],
        axis: int,
        base_encodings: NDArray,
    ) -> None:
        self._graph, self._ops = graph, graph.ops
        self._signature = graph.signature(shapes)
        encodings = base_encodings.astype(self._signature[wrt].dtype.as_numpy_dtype)
        super().__init__(Program.of(graph, wrt, axis, shapes, encodings))
        self._of_sequences: dict[Any, Any] = {}
        self._pairs: PairFunctions | None = None
        self._of_edits: dict[Any, Any] = {}
        self._not_fused: set[int] = set()

    def cached_activations(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """See the base class."""
        return self._looked_up(self._planned(width)[1], inputs, codes)

    def predict_both(
        self,
        inputs: Sequence[NDArray],
        codes: NDArray,
        sequence: NDArray,
        first: NDArray,
        new_codes: NDArray,
    ) -> tuple[NDArray, NDArray]:
        """See the base class. One function of both: no activation leaves it, which saves copies and calls."""
        flat = tf.constant(codes.reshape(-1), tf.int32)
        arguments = [self._tensors(inputs), flat, *_places(sequence, first, new_codes)]
        outputs, edited = self._call(self._both, arguments, new_codes.shape[1])
        return outputs.numpy(), edited.numpy()

    def _tensors(self, inputs: Sequence[NDArray]) -> list[tf.Tensor]:
        return [tf.constant(array, spec.dtype) for array, spec in zip(inputs, self._signature, strict=True)]

    def _looked_up(self, keys: list[Cached], inputs: Sequence[NDArray], codes: NDArray) -> list[Any]:
        wanted = tuple(key for key in keys if key.form != "codes")
        if wanted not in self._of_sequences:
            self._of_sequences[wanted] = tf.function(
                lambda tensors: self._cached(wanted, tensors),
                input_signature=[self._signature],
                autograph=False,
            )
        found = iter(self._of_sequences[wanted](self._tensors(inputs)))
        flat = tf.constant(codes.reshape(-1), tf.int32)
        return [flat if key.form == "codes" else next(found) for key in keys]

    def predict(self, cached: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the base class."""
        arguments = [cached, *_places(sequence, first, codes)]
        return self._call(self._outputs, arguments, codes.shape[1]).numpy()

    def _call(self, function: Callable[..., Any], arguments: list[Any], width: int) -> Any:
        """Outputs of a function of edits of a width, compiled where that is worth it."""
        if self._fuses(width):
            key = (function.__name__, width, len(arguments[-1]), len(arguments[0][0]))
            if key not in self._of_edits:
                signature = specs_of(arguments, any_number=False)
                self._of_edits[key] = tf.function(
                    function, input_signature=signature, autograph=False, jit_compile=True
                )
            try:
                return self._of_edits[key](*arguments)
            except (tf.errors.OpError, ValueError, TypeError):
                self._not_fused.add(width)  # XLA does not have every operation.
        if (function.__name__, width) not in self._of_edits:
            signature = specs_of(arguments, any_number=True)
            self._of_edits[function.__name__, width] = tf.function(
                function, input_signature=signature, autograph=False
            )
        return self._of_edits[function.__name__, width](*arguments)

    def _fuses(self, width: int) -> bool:
        """Whether XLA is to compile it: it must know all shapes, and takes long for long graphs."""
        plan = self.plan(width)
        known = not plan.spans and not plan.whole_from
        return known and plan.full_work >= _LARGE and width not in self._not_fused

    def pairs(self, inputs: Sequence[NDArray], codes: NDArray, first: NDArray, new: NDArray) -> Pairs:
        """See the base class."""
        if self._pairs is None:
            self._pairs = PairFunctions(self.pair_program, self._ops, self.run, self.propagation)
        return TensorFlowPairs(self._pairs, lambda keys: self._looked_up(keys, inputs, codes), first, new)

    def run(self, node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
        """Outputs of a node for arrays of some edits."""
        return self._graph.run_node(node, inputs)

    def propagation(
        self,
        keys: list[Cached],
        cached: list[tf.Tensor],
        sequence: tf.Tensor,
        first: tf.Tensor,
        codes: tf.Tensor,
    ) -> Propagation:
        """The propagation of edits, as operations of the function that is being traced."""
        found = dict(zip(keys, cached, strict=True))
        return propagate_edits(
            self._ops, self.run, self.program, found.__getitem__, sequence=sequence, first=first, codes=codes
        )

    def _cached(self, keys: Sequence[Cached], tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        values = self._graph.run(tensors, {key.ref for key in keys})
        return [make_cached(self._ops, self.program, key, values[key.ref]) for key in keys]

    def _both(
        self,
        tensors: list[tf.Tensor],
        flat: tf.Tensor,
        sequence: tf.Tensor,
        first: tf.Tensor,
        codes: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        keys = self._planned(codes.shape[1])[1]
        wanted = [*(key for key in keys if key.form != "codes"), Cached(self.program.output, "whole")]
        *found, outputs = self._cached(wanted, tensors)
        rest = iter(found)
        cached = [flat if key.form == "codes" else next(rest) for key in keys]
        return outputs, self._outputs(cached, sequence, first, codes)

    def _outputs(
        self, cached: list[tf.Tensor], sequence: tf.Tensor, first: tf.Tensor, codes: tf.Tensor
    ) -> tf.Tensor:
        keys = self._planned(codes.shape[1])[1]
        return self.propagation(keys, cached, sequence, first, codes).outputs()


def _places(sequence: NDArray, first: NDArray, codes: NDArray) -> list[tf.Tensor]:
    return [tf.constant(array, tf.int32) for array in (sequence, first, codes)]
