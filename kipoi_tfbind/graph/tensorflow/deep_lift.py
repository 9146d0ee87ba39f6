"""DeepLIFT multipliers in TensorFlow: a function compiled for any number of sequences and references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift import engine
from kipoi_tfbind.graph.deeplift.propagation import Propagation
from kipoi_tfbind.graph.graph import Scan
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph


class TensorFlowDeepLift(engine.DeepLift):
    """DeepLIFT multipliers of a graph of TensorFlow's operations.

    Parameters
    ----------
    graph, wrt
        See the base class.
    jit_compile
        Compile with XLA: every new batch size is then compiled anew, which takes seconds.
    """

    graph: TensorFlowGraph

    def __init__(self, graph: TensorFlowGraph, wrt: int = 0, *, jit_compile: bool = False) -> None:
        super().__init__(graph, wrt)
        self._jit_compile = jit_compile

    def compile(self, shapes: Sequence[tuple[int, ...]]) -> CompiledTensorFlow:
        """See the base class."""
        return CompiledTensorFlow(self.graph, self.wrt, shapes, self._jit_compile)


class CompiledTensorFlow(engine.CompiledDeepLift):
    """The function that is run, traced for any number of sequences and so on.

    It is traced once for one target after the other, and once more for several at a time when that is asked
    for.
    """

    def __init__(
        self, graph: TensorFlowGraph, wrt: int, shapes: Sequence[tuple[int, ...]], jit_compile: bool
    ) -> None:
        self._graph, self._wrt, self._shapes, self._jit_compile = graph, wrt, shapes, jit_compile
        self._dtypes = [graph.nodes[i].call.dtype for i in graph.inputs]
        # Loops go through one target after the other, with few numbers in each step.
        self._by_rows = any(isinstance(graph.nodes[i].operation, Scan) for i in graph.live_nodes())
        self._one_by_one = self._compiled(self._run_by_rows if self._by_rows else partial(self._run, False))
        self._at_once: Any = None

    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the base class."""
        values = [tf.constant(a, dtype) for a, dtype in zip(inputs, self._dtypes, strict=True)]
        function, n_at_once = self._one_by_one, max(len(columns), 1)
        if self.takes_targets and len(columns) > 1:
            self._at_once = self._at_once or self._compiled(partial(self._run, True))
            function = self._at_once
        if self._by_rows:
            n_pairs = references.shape[0] * references.shape[1]
            n_at_once = self.n_targets_by_rows(n_pairs, n_at_once)
        r_rows = tf.constant(references, self._dtypes[self._wrt])
        parts = [
            function(*values, r_rows, tf.constant(columns[i : i + n_at_once], tf.int64))
            for i in range(0, max(len(columns), 1), n_at_once)
        ]
        multipliers, x, r = (
            np.concatenate([value.numpy() for value in values], axis)
            for values, axis in zip(zip(*parts, strict=True), (0, -1, -1), strict=True)
        )
        return np.moveaxis(multipliers, 0, -1), x, r

    def _compiled(self, run: Callable[..., tuple[tf.Tensor, ...]]) -> Any:
        shapes, dtypes = self._shapes, self._dtypes
        signature = [
            *(tf.TensorSpec((None, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)),
            tf.TensorSpec((None, None, *shapes[self._wrt]), dtypes[self._wrt]),
            tf.TensorSpec((None,), tf.int64),
        ]
        function = tf.function(
            run,
            input_signature=signature,
            autograph=False,
            jit_compile=self._jit_compile,
        )
        return function.get_concrete_function()

    def _propagation(self, inputs: Sequence[tf.Tensor], references: tf.Tensor) -> Propagation:
        """The forward passes, and what is known of them."""
        n, n_references = tf.shape(references)[0], tf.shape(references)[1]
        rows = tf.reshape(references, (-1, *self._shapes[self._wrt]))
        ops = self._graph.ops
        r_inputs = [rows if i == self._wrt else ops.repeat(x, n_references, 0) for i, x in enumerate(inputs)]
        propagation = Propagation(self._graph, inputs, r_inputs, [self._wrt], n, n_references)
        self.n_outputs = propagation.outputs()[1].shape[1:].num_elements()
        self.largest, self.elements, self.n_values = propagation.sizes()
        self.itemsize = rows.dtype.size
        self.takes_targets = propagation.takes_targets and not (self._jit_compile or self._by_rows)
        return propagation

    def _run_by_rows(self, *arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """All targets at once, with all sequences and references again for each."""
        *inputs, references, columns = arguments
        n, n_references = tf.shape(references)[0], tf.shape(references)[1]
        ops, n_targets = self._graph.ops, tf.size(columns)
        propagation = self._propagation(
            [ops.tile_rows(x, n_targets) for x in inputs], ops.tile_rows(references, n_targets)
        )
        x, r = propagation.outputs()
        seed = tf.repeat(tf.one_hot(columns, self.n_outputs, dtype=r.dtype), n * n_references, 0)
        (found,) = propagation.back([tf.reshape(seed, tf.shape(r))])
        stacked = tf.reshape(found, tf.concat([[n_targets], tf.shape(references)], 0))
        x = tf.reshape(x, (n_targets, n, self.n_outputs))[0]
        r = tf.reshape(r, (n_targets, n, n_references, self.n_outputs))[0]
        return stacked, tf.gather(x, columns, axis=1), tf.gather(r, columns, axis=2)

    def _run(self, at_once: bool, *arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The targets one after the other, or several together where all operations can do that."""
        *inputs, references, columns = arguments
        n, n_references = tf.shape(references)[0], tf.shape(references)[1]
        propagation = self._propagation(inputs, references)
        output_shape = self._graph.ops.shape(propagation.outputs()[1])
        x, r = (tf.reshape(y, (tf.shape(y)[0], -1)) for y in propagation.outputs())

        def multipliers(columns: tf.Tensor) -> tf.Tensor:
            n_targets = tf.size(columns)
            seed = tf.repeat(tf.one_hot(columns, self.n_outputs, dtype=r.dtype), n * n_references, 0)
            seed = tf.reshape(seed, (n_targets * n * n_references, *output_shape[1:]))
            (found,) = propagation.back([seed], n_targets if at_once else None)
            return tf.reshape(found, tf.concat([[n_targets], tf.shape(references)], 0))

        n_at_once = 1
        if at_once:
            # Parts of the same size; the last is filled up with what comes again.
            n_at_once = tf.maximum(1, engine.WITH_TARGETS // (n * n_references * self.largest))
            n_at_once = -(-tf.size(columns) // -(-tf.size(columns) // n_at_once))
        padded = tf.pad(columns, [(0, -tf.size(columns) % n_at_once)])
        stacked = tf.map_fn(
            multipliers,
            tf.reshape(padded, (-1, n_at_once)),
            parallel_iterations=1,
            fn_output_signature=r.dtype,
        )
        stacked = tf.reshape(stacked, tf.concat([[-1], tf.shape(references)], 0))[: tf.size(columns)]
        r = tf.reshape(r, (n, n_references, -1))
        return stacked, tf.gather(x, columns, axis=1), tf.gather(r, columns, axis=2)
