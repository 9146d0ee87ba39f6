"""Graphs give what the model gives, at any batch size, in either precision; and know its last activation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph import Graph, trace_tensorflow, trace_torch

LENGTH = 24
SPEC = [tf.TensorSpec((None, LENGTH, 4))]


@pytest.fixture(scope="module")
def recurrent() -> keras.Model:
    """Dilated convolution, a loop in each direction, and a loop that keeps only its last state."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((LENGTH, 4))
    x = layers.Conv1D(5, 3, dilation_rate=2, activation="relu", name="motifs")(inputs)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    x = layers.GRU(3)(x)
    return keras.Model(inputs, layers.Dense(2, activation="sigmoid")(x))


class Attention(nn.Module):
    """What PyTorch would run as fused kernels, in-place operations among them."""

    def __init__(self) -> None:
        super().__init__()
        self.motifs = nn.Conv1d(4, 8, 5, padding=2)
        self.norm = nn.BatchNorm1d(8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.lstm = nn.LSTM(8, 4, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.motifs(x), inplace=True)
        x = functional.max_pool1d(self.norm(x), 4).transpose(1, 2)
        x, _ = self.lstm(self.encoder(x))
        x, _ = self.gru(x)
        return torch.sigmoid(self.head(self.dropout(functional.gelu(x.mean(1)))))


@pytest.fixture(scope="module")
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention().eval()


def one_hot(n: int, seed: int = 0) -> NDArray:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(4, size=(n, LENGTH))]


def run_tf(graph: Graph, *arrays: NDArray) -> NDArray:
    return graph.as_function()([tf.constant(a) for a in arrays])[0].numpy()


def run_torch(graph: Graph, *arrays: NDArray) -> NDArray:
    return graph.as_function()([torch.from_numpy(a) for a in arrays])[0].detach().numpy()


def logit(p: NDArray) -> NDArray:
    return np.log(p) - np.log1p(-p)


def test_importing_loads_no_framework() -> None:
    code = "import sys, kipoi_tfbind.graph; print({'tensorflow', 'torch', 'keras'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("n", [1, 7])
def test_keras_model(recurrent: keras.Model, n: int) -> None:
    graph = trace_tensorflow(lambda x: [recurrent(x[0], training=False)], SPEC)
    expected = np.array(recurrent(one_hot(n)))
    # The very same operations: not a bit differs.
    np.testing.assert_array_equal(run_tf(graph, one_hot(n)), expected)
    assert graph.output_activation(0) == "sigmoid"
    logits = graph.without_output_activations()
    assert logits.output_activation(0) is None
    np.testing.assert_allclose(run_tf(logits, one_hot(n)), logit(expected), atol=1e-6)
    assert not [node.kind for node in graph.nodes if node.kind in ("loop", "")]
    (motifs,) = (node for node in graph.nodes if node.name == "Conv2D")
    assert "motifs" in motifs.layer


def test_keras_model_in_double_precision(recurrent: keras.Model) -> None:
    graph = trace_tensorflow(lambda x: [recurrent(x[0], training=False)], SPEC).in_precision("float64")
    prediction = run_tf(graph, one_hot(3).astype(np.float64))
    assert prediction.dtype == np.float64
    np.testing.assert_allclose(prediction, np.array(recurrent(one_hot(3))), atol=1e-6)


def test_saved_model(recurrent: keras.Model, tmp_path: Path) -> None:
    recurrent.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    graph = trace_tensorflow(lambda x: [saved.serve(x[0])], SPEC)
    assert graph.output_activation(0) == "sigmoid"
    np.testing.assert_allclose(run_tf(graph, one_hot(5)), np.array(recurrent(one_hot(5))), atol=1e-6)
    assert not [node.name for node in graph.nodes if not node.kind]


def test_no_retrace_and_gradients(recurrent: keras.Model) -> None:
    traced = []

    def function(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        traced.append(1)
        return [recurrent(tensors[0], training=False)]

    call = trace_tensorflow(function, SPEC).without_output_activations().as_function()
    for n in (1, 2, 9):
        x = tf.constant(one_hot(n))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call([x])[0]
        gradient = tape.gradient(y, x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            p = recurrent(x)
            y = tf.math.log(p) - tf.math.log1p(-p)
        np.testing.assert_allclose(gradient, tape.gradient(y, x), atol=1e-6)
    assert len(traced) == 1


def test_unknown_length_and_plain_function() -> None:
    spec = [tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, 1), tf.float64)]
    weight = tf.Variable(2.0)
    graph = trace_tensorflow(lambda x: [x[0] * weight, tf.cast(x[1], tf.float32)], spec)
    a, b = graph.as_function()([tf.ones((2, 11, 4)), tf.ones((2, 1), tf.float64)])
    assert a.shape == (2, 11, 4)
    assert float(tf.reduce_max(a)) == 2.0
    assert b.dtype == tf.float32


@pytest.mark.parametrize(
    ("last", "activation"),
    [
        (tf.sigmoid, "sigmoid"),
        (tf.nn.softmax, "softmax"),
        (lambda x: tf.cast(tf.reshape(tf.sigmoid(x), (-1, 4, 1)), tf.float64), "sigmoid"),
        (lambda x: tf.sigmoid(x) * 2.0, None),
        (tf.nn.relu, None),
        (tf.identity, None),
    ],
)
def test_activation_of_a_tensorflow_output(last: Any, activation: str | None) -> None:
    graph = trace_tensorflow(lambda x: [tf.identity(last(3.0 * x[0]))], [tf.TensorSpec((None, 4))])
    assert graph.output_activation(0) == activation
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    expected = last(3.0 * x)
    got = run_tf(graph.without_output_activations(), x)
    assert got.shape == expected.shape
    assert got.dtype == expected.numpy().dtype
    np.testing.assert_allclose(
        got.ravel(), 3 * x.ravel() if activation else expected.numpy().ravel(), rtol=1e-6
    )


def test_activation_that_is_used_elsewhere_stays() -> None:
    def function(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        p = tf.sigmoid(tensors[0])
        return [p, p + 1.0, tf.sigmoid(2.0 * tensors[0])]

    graph = trace_tensorflow(function, [tf.TensorSpec((None, 1))])
    logits = graph.without_output_activations()
    assert [logits.output_activation(i) for i in range(3)] == ["sigmoid", None, None]
    values = [float(y[0, 0]) for y in logits.as_function()([tf.zeros((1, 1))])]
    assert values == [0.5, 1.5, 0.0]


@pytest.mark.parametrize("n", [1, 7])
def test_torch_module(attention: Attention, n: int) -> None:
    x = np.ascontiguousarray(one_hot(n).transpose(0, 2, 1))
    graph = trace_torch(attention, [torch.from_numpy(x[:1])])
    expected = attention(torch.from_numpy(x)).detach().numpy()
    # Fused kernels of recurrent layers and attention add in another order.
    np.testing.assert_allclose(run_torch(graph, x), expected, atol=1e-6)
    assert graph.output_activation(0) == "sigmoid"
    np.testing.assert_allclose(run_torch(graph.without_output_activations(), x), logit(expected), atol=1e-5)
    assert not [node.name for node in graph.nodes if not node.kind]
    assert {"motifs", "encoder.self_attn", "gru"} <= {node.layer for node in graph.nodes}


def test_torch_module_in_double_precision(attention: Attention) -> None:
    x = np.ascontiguousarray(one_hot(3).transpose(0, 2, 1))
    graph = trace_torch(attention, [torch.from_numpy(x)]).in_precision("float64")
    prediction = run_torch(graph, x.astype(np.float64))
    assert prediction.dtype == np.float64
    np.testing.assert_allclose(prediction, attention(torch.from_numpy(x)).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("compiled", ["script", "trace"])
def test_torchscript(attention: Attention, compiled: str) -> None:
    x = torch.from_numpy(np.ascontiguousarray(one_hot(5).transpose(0, 2, 1)))
    if compiled == "script":
        module = torch.jit.script(attention)
    else:
        module = torch.jit.trace(attention, x, check_trace=False)
    graph = trace_torch(module, [x[:2]])
    assert graph.output_activation(0) == "sigmoid"
    np.testing.assert_allclose(run_torch(graph, x.numpy()), attention(x).detach().numpy(), atol=1e-6)


def test_modes_are_restored(attention: Attention) -> None:
    attention.train()
    attention.norm.eval()
    attention.head.weight.requires_grad_(False)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        trace_torch(attention, [torch.zeros(1, 4, LENGTH)])
        with pytest.raises(UnsupportedModelError, match="cannot trace"):
            trace_torch(attention, [torch.zeros(1, 3, LENGTH)])
        assert attention.training
        assert not attention.norm.training
        assert attention.dropout.training
        assert [p.requires_grad for p in attention.head.parameters()] == [False, True]
        assert torch.backends.mha.get_fastpath_enabled() == fast_path
        assert attention.norm.num_batches_tracked == 0
        assert not torch.nn.modules.module._global_forward_pre_hooks
    finally:
        attention.eval()
        attention.head.weight.requires_grad_(True)


def test_torch_gradients(attention: Attention) -> None:
    x = torch.from_numpy(np.ascontiguousarray(one_hot(3).transpose(0, 2, 1))).requires_grad_()
    graph = trace_torch(attention, [x])
    (mine,) = torch.autograd.grad(graph.as_function()([x])[0].sum(), x)
    (its,) = torch.autograd.grad(attention(x).sum(), x)
    np.testing.assert_allclose(mine, its, atol=1e-6)


def test_writes_in_place() -> None:
    def clipped(tensors: list[torch.Tensor]) -> torch.Tensor:
        x = tensors[0] * 2
        x[:, 0] = 5.0
        x += 1
        x.clamp_(max=4)
        return x.view(len(x), -1).softmax(-1)

    graph = trace_torch(clipped, [torch.zeros(1, 3)])
    x = torch.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(graph.as_function()([x])[0], clipped([x]))
    assert graph.output_activation(0) == "softmax"


def test_what_cannot_be_traced_is_refused() -> None:
    example = [torch.ones(2, 3)]
    with pytest.raises(UnsupportedModelError, match="depends on the values of its input"):
        trace_torch(lambda x: x[0] if x[0].sum() > 0 else -x[0], example)
    with pytest.raises(UnsupportedModelError, match="other operations with another number of sequences"):
        trace_torch(lambda x: x[0] if len(x[0]) == 2 else -x[0], example)
    with pytest.raises(UnsupportedModelError, match="depends on the number of sequences"):
        trace_torch(lambda x: x[0].repeat(len(x[0]) ** 2, 1), example)
    with pytest.raises(UnsupportedModelError, match="random"):
        trace_torch(lambda x: x[0] + torch.rand(3), example)
    with pytest.raises(UnsupportedModelError, match="TensorFlow cannot trace it"):
        trace_tensorflow(lambda x: [x[0].numpy()], [tf.TensorSpec((None, 4))])


def test_batch_size_in_the_arguments() -> None:
    def function(tensors: list[torch.Tensor]) -> torch.Tensor:
        x = tensors[0]
        return x.reshape(2 * len(x), -1).sum(1).reshape(x.size(0), 2) + torch.zeros(len(x), 1)

    x = torch.arange(28.0).reshape(7, 4)
    graph = trace_torch(function, [x[:1]])
    np.testing.assert_array_equal(graph.as_function()([x])[0], function([x]))


def test_weights_of_nan_are_traced() -> None:
    """NaN is not equal to itself, which does not make a constant one that depends on the batch."""
    linear = nn.Linear(4 * LENGTH, 2)
    module = nn.Sequential(nn.Flatten(), linear)
    with torch.no_grad():
        linear.weight[1, 5] = float("nan")

    def function(tensors: list[torch.Tensor]) -> torch.Tensor:
        # As a constant that is made anew in each run.
        return module(tensors[0]) + torch.from_numpy(np.array([0.0, np.nan], np.float32))

    graph = trace_torch(function, [torch.zeros(1, 4, LENGTH)])
    found = run_torch(graph, np.swapaxes(one_hot(3), 1, 2))
    np.testing.assert_array_equal(np.isnan(found), [[False, True]] * 3)


def test_constants_that_differ_are_refused_with_nan_too() -> None:
    def function(tensors: list[torch.Tensor]) -> torch.Tensor:
        return tensors[0] + torch.from_numpy(np.array([len(tensors[0]), np.nan], np.float32))

    with pytest.raises(UnsupportedModelError, match="depends on the number of sequences"):
        trace_torch(function, [torch.zeros(1, 2)])


def test_logits_behind_a_time_distributed_sigmoid() -> None:
    """Keras 3 runs the layer step by step and stacks the steps."""
    import keras

    keras.utils.set_random_seed(3)
    sequence = keras.Input((12, 4))
    dense = keras.layers.Dense(2, activation="sigmoid")
    model = keras.Model(sequence, keras.layers.TimeDistributed(dense)(sequence))
    spec = [tf.TensorSpec((None, 12, 4))]
    graph = trace_tensorflow(lambda tensors: [model(tensors[0], training=False)], spec)
    assert graph.output_activation(0) == "sigmoid"
    bare = graph.without_output_activations()
    assert bare.output_activation(0) is None
    x = np.random.default_rng(4).normal(size=(3, 12, 4)).astype(np.float32)
    np.testing.assert_allclose(run_tf(bare, x), x @ dense.kernel + dense.bias, atol=1e-6)


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_logits_behind_heads_side_by_side(framework: str) -> None:
    """A softmax of two classes and a sigmoid, in turn, along the channels, cropped and transposed."""
    x = np.random.default_rng(5).normal(size=(3, 6, 10)).astype(np.float32)
    if framework == "torch":

        def heads(tensors: Any) -> Any:
            parts = [tensors[0][:, 3 * i : 3 * i + 3] for i in range(2)]
            done = [torch.cat([part[:, :2].softmax(1), part[:, 2:].sigmoid()], 1) for part in parts]
            return [torch.cat(done, 1)[:, :, 2:-2].transpose(1, 2)]

        graph: Any = trace_torch(heads, [torch.zeros(2, 6, 10)])
        run: Any = run_torch
    else:

        def heads(tensors: Any) -> Any:
            parts = tf.split(tensors[0], 2, axis=1)
            done = [
                tf.concat([tf.nn.softmax(part[:, :2], axis=1), tf.sigmoid(part[:, 2:])], 1) for part in parts
            ]
            return [tf.transpose(tf.concat(done, 1)[:, :, 2:-2], (0, 2, 1))]

        graph = trace_tensorflow(heads, [tf.TensorSpec((None, 6, 10))])
        run = run_tf
    assert graph.output_activation(0) == "mixed"
    bare = graph.without_output_activations()
    assert bare.output_activation(0) is None
    np.testing.assert_allclose(run(bare, x), x[:, :, 2:-2].transpose(0, 2, 1), atol=1e-6)


def test_heads_of_which_one_has_no_activation_are_left() -> None:
    graph = trace_torch(lambda t: [torch.cat([t[0].sigmoid(), t[0]], 1)], [torch.zeros(2, 3)])
    assert graph.output_activation(0) is None
    graph = trace_torch(
        lambda t: [torch.cat([t[0].sigmoid(), torch.zeros(len(t[0]), 1)], 1)], [torch.zeros(2, 3)]
    )
    assert graph.output_activation(0) is None


def test_a_part_that_is_used_otherwise_is_left() -> None:
    def function(tensors: Any) -> Any:
        gate = tensors[0].sigmoid()
        return [torch.cat([gate, (gate * tensors[0]).sigmoid()], 1)]

    graph = trace_torch(function, [torch.zeros(2, 3)])
    assert graph.output_activation(0) == "sigmoid"
    assert graph.without_output_activations().output_activation(0) == "sigmoid"
