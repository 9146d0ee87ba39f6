"""DeepLIFT multipliers in TensorFlow: a function compiled for any number of sequences and references."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift import engine
from kipoi_tfbind.graph.deeplift.propagation import Propagation
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
        self._one_by_one = self._compiled(at_once=False)
        self._at_once: Any = None

    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the base class."""
        values = [tf.constant(a, dtype) for a, dtype in zip(inputs, self._dtypes, strict=True)]
        function = self._one_by_one
        if self.takes_targets and len(columns) > 1:
            self._at_once = self._at_once or self._compiled(at_once=True)
            function = self._at_once
        result = function(
            *values, tf.constant(references, self._dtypes[self._wrt]), tf.constant(columns, tf.int64)
        )
        multipliers, x, r = (value.numpy() for value in result)
        return np.moveaxis(multipliers, 0, -1), x, r

    def _compiled(self, at_once: bool) -> Any:
        shapes, dtypes = self._shapes, self._dtypes
        signature = [
            *(tf.TensorSpec((None, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)),
            tf.TensorSpec((None, None, *shapes[self._wrt]), dtypes[self._wrt]),
            tf.TensorSpec((None,), tf.int64),
        ]
        function = tf.function(
            partial(self._run, at_once),
            input_signature=signature,
            autograph=False,
            jit_compile=self._jit_compile,
        )
        return function.get_concrete_function()

    def _run(self, at_once: bool, *arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
        *inputs, references, columns = arguments
        n, n_references = tf.shape(references)[0], tf.shape(references)[1]
        rows = tf.reshape(references, (-1, *self._shapes[self._wrt]))
        propagation = Propagation(self._graph, inputs, rows, self._wrt, n, n_references)
        output = propagation.outputs()[1]
        output_shape = self._graph.ops.shape(output)
        x, r = (tf.reshape(y, (tf.shape(y)[0], -1)) for y in propagation.outputs())
        self.n_outputs = output.shape[1:].num_elements()
        self.largest, self.elements = propagation.largest(), propagation.elements()
        self.itemsize = rows.dtype.size
        self.takes_targets = propagation.takes_targets and not self._jit_compile

        def multipliers(columns: tf.Tensor) -> tf.Tensor:
            n_targets = tf.size(columns)
            seed = tf.repeat(tf.one_hot(columns, self.n_outputs, dtype=r.dtype), n * n_references, 0)
            seed = tf.reshape(seed, (n_targets * n * n_references, *output_shape[1:]))
            found = propagation.back(seed, n_targets if at_once else None)
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
            fn_output_signature=rows.dtype,
        )
        stacked = tf.reshape(stacked, tf.concat([[-1], tf.shape(references)], 0))[: tf.size(columns)]
        r = tf.reshape(r, (n, n_references, -1))
        return stacked, tf.gather(x, columns, axis=1), tf.gather(r, columns, axis=2)
