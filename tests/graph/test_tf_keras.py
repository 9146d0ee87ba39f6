"""Models of Keras 2, which goes on as tf_keras: bare, and as a SavedModel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import kipoi_tfbind as tfb
from kipoi_tfbind import testing
from kipoi_tfbind.graph import trace_tensorflow
from tests.graph.explain import deep_lift

LENGTH = 40
SEQUENCES = testing.random_sequences(2, LENGTH, seed=1)
X = SEQUENCES["one_hot"].values
REFERENCES = testing.random_sequences(6, LENGTH, seed=2)["one_hot"].values.reshape(2, 3, LENGTH, 4)


@pytest.fixture(scope="module")
def model() -> Any:
    tf_keras = pytest.importorskip("tf_keras", reason="Keras 2 goes on as tf_keras (extra legacy)")
    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    stack = [
        layers.Input((LENGTH, 4)),
        layers.Conv1D(6, 7, padding="same"),
        layers.BatchNormalization(moving_mean_initializer="random_normal"),
        layers.Activation("relu"),
        layers.MaxPooling1D(4),
        layers.Conv1D(5, 3, dilation_rate=2, activation="elu"),
        layers.Dropout(0.3),
        layers.GlobalAveragePooling1D(),
        layers.Dense(3, bias_initializer="random_normal", activation="sigmoid"),
    ]
    return tf_keras.Sequential(stack)


def logits(model: Any, x: Any) -> Any:
    p = model(x).numpy().astype(np.float64)
    return np.log(p / (1 - p))


def check(graph: Any, model: Any) -> None:
    graph = graph.without_output_activations()
    result = deep_lift(graph, [X], REFERENCES)
    np.testing.assert_allclose(result.output, logits(model, X), rtol=0, atol=1e-5)
    at_references = logits(model, REFERENCES.reshape(-1, LENGTH, 4)).reshape(2, 3, 3)
    np.testing.assert_allclose(result.reference_output, at_references, rtol=0, atol=1e-5)
    difference = (X[:, None] - REFERENCES)[..., None]
    total = (result.multipliers * difference).sum(axis=(2, 3))
    expected = result.output[:, None] - result.reference_output
    assert np.abs(expected).max() > 1e-3
    # What float32 allows, as for models of Keras 3.
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_bare(model: Any) -> None:
    check(trace_tensorflow(lambda x: [model(x[0])], [tf.TensorSpec((None, LENGTH, 4))]), model)


def test_saved_model(model: Any, tmp_path: Path) -> None:
    tf.saved_model.save(model, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    function = loaded.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]
    graph = trace_tensorflow(
        lambda x: list(function(**{name: x[0]}).values()), [tf.TensorSpec((None, LENGTH, 4))]
    )
    check(graph, model)


def test_deep_shap(model: Any) -> None:
    wrapped = tfb.as_sequence_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tfb.errors.CompletenessWarning)
        result = tfb.deep_shap(wrapped, SEQUENCES, references=REFERENCES, tolerance=1e-4)
    assert result.attrs["output"] == "logit"
    np.testing.assert_allclose(result["prediction"], logits(model, X), rtol=0, atol=1e-5)
    background = logits(model, REFERENCES.reshape(-1, LENGTH, 4)).reshape(2, 3, 3).mean(axis=1)
    total = result["contribution"].sum(["position", "base"])
    expected = logits(model, X) - background
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
