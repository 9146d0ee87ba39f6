"""Recurrent layers of TensorFlow as loops: one node, exact, and the same as unrolled."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from kipoi_tfbind.errors import UnsupportedOperationError
from kipoi_tfbind.graph import TensorFlowDeepLift, trace_tensorflow
from kipoi_tfbind.graph.deeplift import engine
from kipoi_tfbind.graph.graph import Scan
from kipoi_tfbind.graph.tensorflow import trace
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph

STEPS = 6
CELLS = {"LSTM": layers.LSTM, "GRU": layers.GRU}


@cache
def model(cell: str) -> keras.Model:
    """Both ways, once with all steps and once with the last ones, and a target for each step."""
    keras.utils.set_random_seed(1)
    x = keras.Input((STEPS, 4))
    y = layers.Bidirectional(CELLS[cell](3, return_sequences=True))(x)
    last = layers.Bidirectional(CELLS[cell](2))(y)
    each = layers.Flatten()(layers.Dense(1)(y))
    return keras.Model(x, each + layers.Dense(STEPS)(last))


def traced(cell: str) -> TensorFlowGraph:
    net = model(cell)
    return trace_tensorflow(lambda x: [net(x[0], training=False)], [tf.TensorSpec((None, STEPS, 4))])


def data() -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(0)
    return np.eye(4)[rng.integers(4, size=(2, STEPS))], np.eye(4)[rng.integers(4, size=(2, 3, STEPS))]


@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrent_layer_is_one_node_with_the_multipliers_of_its_steps(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = traced(cell)
    scans = [node.operation for node in graph.nodes if isinstance(node.operation, Scan)]
    assert [scan.n_steps for scan in scans] == [STEPS] * 4
    # Of the two kernels in each step: channels in times units times gates.
    gates = {"LSTM": 4, "GRU": 3}[cell]
    assert scans[0].macs([], None, ()) == STEPS * (4 + 3) * 3 * gates
    x, r = data()
    found = TensorFlowDeepLift(graph.in_precision("float64"))([x], r)
    difference = (x[:, None] - r)[..., None]
    outputs = found.output[:, None] - found.reference_output
    np.testing.assert_allclose((found.multipliers * difference).sum((2, 3)), outputs, atol=1e-13)
    np.testing.assert_allclose(found.output, model(cell)(x), atol=1e-6)

    monkeypatch.setattr(trace, "as_scan", lambda *_: None)
    unrolled = traced(cell)
    assert not any(isinstance(node.operation, Scan) for node in unrolled.nodes)
    expected = TensorFlowDeepLift(unrolled.in_precision("float64"))([x], r, targets=[0, 4])
    np.testing.assert_allclose(found.multipliers[..., [0, 4]], expected.multipliers, atol=1e-13)


def test_targets_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, r = data()
    explain = TensorFlowDeepLift(traced("GRU").in_precision("float64"))
    together = explain([x], r)
    monkeypatch.setattr(engine, "_BYTES_BY_ROWS", 0)
    one_by_one = explain([x], r)
    np.testing.assert_allclose(one_by_one.multipliers, together.multipliers, atol=1e-14)
    np.testing.assert_allclose(one_by_one.reference_output, together.reference_output, atol=1e-14)


def loop_of(step: Any, n: int = 4) -> TensorFlowGraph:
    """A loop by hand: a running state over the positions."""

    def run(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        x = tensors[0]
        _, state = tf.while_loop(
            lambda i, _: i < n, lambda i, s: (i + 1, step(i, s, x)), (tf.constant(0), x[:, 0])
        )
        return [state]

    return trace_tensorflow(run, [tf.TensorSpec((None, n), tf.float64)])


def test_what_all_steps_share_is_explained_as_well() -> None:
    """The state of a step times the mean of all positions."""
    graph = loop_of(lambda i, s, x: tf.tanh(s * tf.reduce_mean(x, 1) + x[:, 1]))
    assert any(isinstance(node.operation, Scan) for node in graph.nodes)
    rng = np.random.default_rng(2)
    x, r = rng.normal(size=(3, 4)), rng.normal(size=(3, 5, 4))
    graph = trace_tensorflow(
        lambda t: [graph_output[:, None] for graph_output in graph.as_function()(t)],
        [tf.TensorSpec((None, 4), tf.float64)],
    )
    found = TensorFlowDeepLift(graph)([x], r)
    total = (found.multipliers[..., 0] * (x[:, None] - r)).sum(2)
    np.testing.assert_allclose(total, (found.output[:, None] - found.reference_output)[..., 0], atol=1e-13)


def test_a_loop_that_uses_its_number_is_unrolled() -> None:
    graph = loop_of(lambda i, s, x: s + x[:, 1] * tf.cast(i, tf.float64))
    assert not any(isinstance(node.operation, Scan) for node in graph.nodes)
    np.testing.assert_allclose(graph.as_function()([np.array([[1.0, 2, 0, 0]])])[0], [1 + 2 * (1 + 2 + 3)])


def test_a_loop_that_ends_by_its_values_is_refused() -> None:
    def run(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        (x,) = tensors
        return [tf.while_loop(lambda s: tf.reduce_sum(s) < 10, lambda s: (2 * s,), (x,))[0]]

    graph = trace_tensorflow(run, [tf.TensorSpec((None, 2))])
    with pytest.raises(UnsupportedOperationError, match="steps depend on values"):
        TensorFlowDeepLift(graph)([np.ones((1, 2), np.float32)], np.zeros((1, 1, 2), np.float32))
