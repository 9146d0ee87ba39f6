"""Outputs of layers: receptive fields by what changes them, activations, and the effect of silence."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, InputStructure
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.layer_output import LayerOutput, named
from tests import graph_models

FRAMEWORKS = ("keras", "torch")
NAMES = (
    "batch_norm",
    "conv_2d",
    "dilated_dense",
    "dilated_residual",
    "overlapping_pool",
    "rc_tied_sum",
    "strided_upsampled",
    "two_inputs",
)


def backend_of(framework: str, model: Any, examples: list[NDArray]) -> Backend:
    structure = InputStructure("list", tuple(f"input_{i}" for i in range(len(examples))))
    structure = InputStructure() if len(examples) == 1 else structure
    if framework == "torch":
        from kipoi_tfbind.backends.torch import TorchBackend

        structure = InputStructure("arguments", structure.names)
        return TorchBackend(model, examples, structure, output="raw", double_precision=True)
    import tensorflow as tf

    from kipoi_tfbind.backends.tensorflow import keras_backend

    specs = [tf.TensorSpec((None, *x.shape[1:])) for x in examples]
    return keras_backend(model, structure, specs, output="raw", double_precision=True)


def case(name: str, framework: str) -> tuple[Backend, list[NDArray], int]:
    """A backend with inputs of one sequence, and the axis of the positions."""
    architecture = graph_models.build(name)
    rng = np.random.default_rng(0)
    shapes = [tuple(x.shape[1:]) for x in architecture.keras.inputs]
    inputs = [
        np.eye(4)[rng.integers(4, size=(1, shapes[0][0]))],
        *(rng.normal(size=(1, *s)) for s in shapes[1:]),
    ]
    if framework == "keras":
        return backend_of(framework, architecture.keras, inputs), inputs, 1
    inputs = [np.swapaxes(x, 1, 2) for x in inputs]
    return backend_of(framework, architecture.torch, inputs), inputs, 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", NAMES)
def test_receptive_fields_are_what_changes_a_value(name: str, framework: str) -> None:
    """By random numbers at one position of the sequence after the other."""
    backend, inputs, axis = case(name, framework)
    layers = backend.layers(inputs, 0, axis)
    assert layers
    length = inputs[0].shape[axis]
    others = [np.repeat(other, length, 0) for other in inputs[1:]]
    for layer in layers:
        own = backend.activations(inputs, layer.ref)
        assert own.shape[1:] == layer.shape
        n = layer.shape[layer.field.axis - 1]
        sees = np.zeros((n, length), bool)
        for seed in range(3):
            changed = backend.activations([one_position_changed(inputs[0], axis, seed), *others], layer.ref)
            differs = np.moveaxis(changed != own, layer.field.axis, 1).reshape(length, n, -1).any(2)
            sees |= differs.T
        fields = [layer.field.of(position) for position in range(n)]
        expected = np.array([[position in field for position in range(length)] for field in fields])
        assert not (sees & ~expected).any(), layer
        # A maximum, and a number below 0 before a ReLU, hide what they see from some of the positions.
        assert sees.sum() > 0.5 * expected.sum(), layer
        edges = [(field[0], field[-1]) for field in fields if field[0] >= 0 and field[-1] < length]
        if edges:
            assert any(sees[:, first].any() and sees[:, last].any() for first, last in edges), layer


def one_position_changed(x: NDArray, axis: int, seed: int) -> NDArray:
    """Copies of one sequence, each with random numbers at one position."""
    length = x.shape[axis]
    noise = 3 * np.random.default_rng(seed).normal(size=x.shape)
    chosen = np.eye(length, dtype=bool)[:, :, np.newaxis]
    return np.where(chosen if axis == 1 else chosen.swapaxes(1, 2), noise, x)


def small(framework: str) -> tuple[Backend, list[NDArray], list[NDArray], int]:
    """A convolution, a pool and a dense layer in both frameworks, with its weights."""
    rng = np.random.default_rng(2)
    kernel, dense = rng.normal(size=(5, 4, 6)), rng.normal(size=(6, 2))
    x = np.eye(4)[rng.integers(4, size=(3, 20))]
    if framework == "keras":
        inputs = keras.Input((20, 4))
        y = keras.layers.Conv1D(6, 5, activation="relu", use_bias=False, name="motifs")(inputs)
        y = keras.layers.Dense(2, use_bias=False)(keras.layers.GlobalAveragePooling1D()(y))
        model: Any = keras.Model(inputs, y)
        model.set_weights([kernel, dense])
        return backend_of("keras", model, [x]), [x], [kernel, dense], 1

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.motifs = torch.nn.Conv1d(4, 6, 5, bias=False)
            self.activation = torch.nn.ReLU()
            self.head = torch.nn.Linear(6, 2, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.activation(self.motifs(x)).mean(2))

    model = Net().double()
    with torch.no_grad():
        model.motifs.weight.copy_(torch.tensor(kernel.transpose(2, 1, 0)))
        model.head.weight.copy_(torch.tensor(dense.T))
    flipped = np.swapaxes(x, 1, 2)
    return backend_of("torch", model, [flipped]), [flipped], [kernel, dense], 2


def motif_layer(backend: Backend, inputs: list[NDArray], framework: str, axis: int) -> LayerOutput:
    return named(backend.layers(inputs, 0, axis), "motifs" if framework == "keras" else "activation")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_activations_and_silence_by_hand(framework: str) -> None:
    backend, inputs, (kernel, dense), axis = small(framework)
    x = inputs[0] if framework == "keras" else np.swapaxes(inputs[0], 1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x, 5, axis=1)
    expected = np.maximum(np.einsum("nlck,kcf->nlf", windows, kernel.astype(np.float32)), 0)
    layer = motif_layer(backend, inputs, framework, axis)
    field = layer.field
    assert (field.size, field.stride, field.offset) == (5, 1, 0)
    found = backend.activations(inputs, layer.ref)
    found = found if framework == "keras" else np.swapaxes(found, 1, 2)
    # Keras keeps weights in float32.
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        backend.predict_silenced(inputs, layer, []), backend.predict(inputs), atol=1e-12
    )
    silenced = backend.predict_silenced(inputs, layer, [1, 4])
    expected[..., [1, 4]] = 0
    np.testing.assert_allclose(silenced, expected.mean(1) @ dense, atol=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_not_there_is_said(framework: str) -> None:
    backend, inputs, _, axis = small(framework)
    layers = backend.layers(inputs, 0, axis)
    with pytest.raises(
        InputError, match=r"layer: expected one that has positions of the sequence .*got 'pool'"
    ):
        named(layers, "pool")
    layer = motif_layer(backend, inputs, framework, axis)
    with pytest.raises(InputError, match=r"has 6 channels, got \[6\]"):
        backend.predict_silenced(inputs, layer, [6])
