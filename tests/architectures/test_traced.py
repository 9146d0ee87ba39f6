"""The graphs of all architectures: DeepSHAP is complete, and ISM is that of whole passes in float64."""

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kipoi_tfbind.architectures import ARCHITECTURES
from kipoi_tfbind.graph import trace_tensorflow
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.tensorflow.incremental import TensorFlowIncremental
from tests.architectures.small import RECURRENT, inputs, small
from tests.graph.explain import deep_lift

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the graphs are TensorFlow's")
# A siamese network has the operations of its own network for one strand, twice, and a reversal.
CASES = [
    pytest.param(name, strands, marks=pytest.mark.slow)
    if name in RECURRENT or (strands == "siamese" and name != "motif_cnn")
    else (name, strands)
    for strands in ("tied", "siamese")
    for name in ARCHITECTURES
]


@cache
def traced(name: str, strands: str) -> TensorFlowGraph:
    model = small(name, strands)

    def values(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        found: Any = model(tensors if len(tensors) > 1 else tensors[0], training=False)
        found = found if isinstance(found, dict) else {"probability": found}
        flat = [tf.reshape(value, (tf.shape(value)[0], np.prod(value.shape[1:]))) for value in found.values()]
        return [tf.concat(flat, axis=1)] if len(flat) > 1 else flat

    specs = [tf.TensorSpec((None, *x.shape[1:])) for x in inputs(name)]
    return trace_tensorflow(values, specs).in_precision("float64")


@pytest.mark.parametrize(("name", "strands"), CASES)
def test_contributions_are_complete(name: str, strands: str) -> None:
    x, *others = inputs(name, n=2, dtype="float64")
    references = np.stack([inputs(name, n=3, dtype="float64", seed=seed)[0] for seed in (5, 6)])
    result = deep_lift(traced(name, strands), [x, *others], references)
    difference = (x[:, None] - references)[..., None]
    total = (result.multipliers * difference).sum(axis=(2, 3))
    expected = result.output[:, None] - result.reference_output
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "strands"), CASES)
def test_mutation_effects_are_those_of_whole_passes(name: str, strands: str) -> None:
    graph = traced(name, strands)
    x, *others = inputs(name, n=1, dtype="float64")
    codes = x.argmax(axis=2)
    length = x.shape[1]
    engine = TensorFlowIncremental(graph, 0, [a.shape[1:] for a in (x, *others)], 1, np.eye(5, 4))
    position = np.repeat(np.arange(length), 3)
    new = (codes[0, position] + np.tile([1, 2, 3], length)) % 4
    cached = engine.cached_activations([x, *others], codes, 1)
    found = engine.predict(cached, np.zeros(len(new), int), position, new[:, None])

    mutants = np.repeat(x, len(new), axis=0)
    mutants[np.arange(len(new)), position] = np.eye(4)[new]
    whole = graph.as_function()
    arrays = [tf.constant(a) for a in (mutants, *(np.repeat(other, len(new), axis=0) for other in others))]
    expected = whole(arrays)[0].numpy()
    effect = expected - whole([tf.constant(a) for a in (x, *others)])[0].numpy()
    assert np.abs(effect).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(effect).max())
