"""Adversarial windows and the attribution prior, against formulas in NumPy and an analytic optimum."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from scipy.optimize import minimize

from kipoi_tfbind.backends.keras_objective import ObjectiveModel, input_gradient
from kipoi_tfbind.training.objective import MaskedCrossEntropy
from kipoi_tfbind.training.options import RegulariseConfig
from kipoi_tfbind.training.regularise import (
    RegularisedLoss,
    adversarial_windows,
    fourier_prior,
    on_simplex,
)

# Keras' other frameworks make single precision of arrays in double.
ROUNDING = 1e-12 if keras.backend.backend() == "tensorflow" else 1e-6


def one_hot(n: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(4, size=(n, length))]


def test_projection_is_the_nearest_point_of_the_simplex() -> None:
    points = np.random.default_rng(0).normal(size=(20, 4)) * 2
    found = ops.convert_to_numpy(on_simplex(points))
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=0, atol=ROUNDING)
    assert (found >= 0).all()
    for point, nearest in zip(points, found, strict=True):
        best = minimize(
            lambda p, point=point: ((p - point) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(nearest, best.x, atol=1e-5)
    inside = on_simplex(np.array([[0.1, 0.2, 0.3, 0.4]]))
    np.testing.assert_allclose(ops.convert_to_numpy(inside), [[0.1, 0.2, 0.3, 0.4]], rtol=0, atol=ROUNDING)


def test_of_a_linear_loss_the_ascent_finds_the_largest_value() -> None:
    weights = np.random.default_rng(1).normal(size=(30, 4))
    windows = one_hot(5, 30).astype(np.float64)
    windows[0, 3] = 0
    found = ops.convert_to_numpy(
        adversarial_windows(lambda x: ops.broadcast_to(weights, x.shape), windows, 0.2, 60)
    )
    # Each position gives a share of 0.2 of its base to the base with the largest weight; N gives nothing.
    known = windows.sum(axis=-1)
    observed = (windows * weights).sum(axis=-1)
    best = (0.8 * observed + 0.2 * weights.max(axis=-1) * known).sum(axis=-1)
    np.testing.assert_allclose((found * weights).sum(axis=(1, 2)), best, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=-1), known, rtol=0, atol=ROUNDING)
    assert np.abs(found - windows).max() <= 0.2 + ROUNDING
    assert not found[0, 3].any()


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((32, 4))
    y = keras.layers.Conv1D(6, 5, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01))(x)
    y = keras.layers.MaxPooling1D(4)(y)
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)))


LOSS = MaskedCrossEntropy([1.0, 1.0])


def test_adversarial_loss_rises_with_share_and_steps(model: keras.Model) -> None:
    windows = ops.convert_to_tensor(one_hot(16, 32))
    labels = np.random.default_rng(3).integers(-1, 2, size=(16, 2)).astype(np.int8)

    def loss(share: float, steps: int = 3) -> float:
        settings = RegulariseConfig(adversarial_share=share, adversarial_steps=steps)
        return float(LOSS(labels, model(RegularisedLoss(LOSS, settings).adversarial(model, windows, labels))))

    assert loss(0) == pytest.approx(float(LOSS(labels, model(windows))), rel=1e-6)
    assert loss(0) < loss(0.05) < loss(0.1) < loss(0.3)
    assert loss(0.3, steps=10) >= loss(0.3, steps=1)


def prior_in_numpy(attributions: NDArray, frequency: float, smoothing: float) -> NDArray[np.float64]:
    values = np.abs(attributions.astype(np.float64))
    if smoothing:
        offsets = np.arange(-int(3 * smoothing), int(3 * smoothing) + 1)
        kernel = np.exp(-(offsets**2) / (2 * smoothing**2))
        values = convolve1d(values, kernel / kernel.sum(), axis=1, mode="constant")
    magnitude = np.abs(np.fft.rfft(values, axis=1))
    magnitude /= magnitude.sum(axis=1, keepdims=True)
    limit = round(frequency * values.shape[1])
    score = np.zeros(len(values))
    for k in range(1, magnitude.shape[1]):
        score += magnitude[:, k] * (1 if k <= limit else 1 / (1 + (k - limit) ** 0.2))
    return 1 - score


@pytest.mark.parametrize(("length", "smoothing"), [(64, 0.0), (64, 3.0), (75, 2.0)])
def test_fourier_prior_is_what_its_formula_says(length: int, smoothing: float) -> None:
    attributions = np.random.default_rng(0).normal(size=(6, length)).astype(np.float32)
    found = ops.convert_to_numpy(fourier_prior(attributions, 0.15, smoothing))
    np.testing.assert_allclose(found, prior_in_numpy(attributions, 0.15, smoothing), rtol=2e-6)


def test_loss_is_the_sum_of_its_terms(model: keras.Model) -> None:
    windows = one_hot(16, 32)
    labels = np.random.default_rng(3).integers(-1, 2, size=(16, 2)).astype(np.int8)
    settings = RegulariseConfig(adversarial_weight=0.3, prior_weight=2.0, prior_smoothing=1.0)
    regularised = RegularisedLoss(LOSS, settings)
    tensor = ops.convert_to_tensor(windows)
    clean = float(LOSS(labels, model(tensor)))
    other = float(LOSS(labels, model(regularised.adversarial(model, tensor, labels))))
    bound = labels == 1
    of_bound = ops.convert_to_tensor(bound.astype(np.float32))
    gradient, _ = input_gradient(lambda x: (ops.sum(model(x) * of_bound), None), tensor, model)
    attributions = np.abs(ops.convert_to_numpy(gradient) * windows).sum(axis=-1)[bound.any(axis=1)]
    prior = prior_in_numpy(attributions, 0.15, 1.0).mean()
    penalty = float(sum(model.losses))
    assert penalty > 0
    expected = 0.7 * clean + 0.3 * other + 2 * prior + penalty
    assert float(regularised(model, windows, labels)) == pytest.approx(expected, rel=1e-5)


def test_prior_is_lowered_by_steps_along_its_gradient(model: keras.Model) -> None:
    windows, labels = one_hot(32, 32), np.ones((32, 2), np.int8)
    prior = RegularisedLoss(lambda *_: 0.0, RegulariseConfig(prior_weight=1.0, prior_smoothing=0.0))
    trained = keras.models.clone_model(model)
    in_training = ObjectiveModel(trained.input, trained.output, prior)
    in_training.compile(keras.optimizers.Adam(0.01))
    before = float(prior(in_training, windows, labels))
    in_training.fit(windows, labels, epochs=20, verbose=0)
    assert float(prior(in_training, windows, labels)) < before - 0.05


def test_moving_means_and_draws_go_on_in_training_with_a_prior() -> None:
    x = keras.Input((32, 4))
    normalised = keras.layers.BatchNormalization(momentum=0.75)
    dropped = keras.layers.Dropout(0.5)
    y = keras.layers.Dense(2)(keras.layers.Flatten()(dropped(normalised(x))))
    loss = RegularisedLoss(LOSS, RegulariseConfig(prior_weight=1.0, adversarial_weight=0.5))
    in_training = ObjectiveModel(x, y, loss)
    in_training.compile(keras.optimizers.SGD(0.01))
    windows = one_hot(16, 32)
    draws = [ops.convert_to_numpy(dropped.seed_generator.state)]
    for _ in range(2):
        in_training.fit(windows, np.ones((16, 2), np.int8), verbose=0, shuffle=False)
        draws.append(ops.convert_to_numpy(dropped.seed_generator.state))
    # Of windows and of adversarial ones each step takes a mean, which is little else than that of windows.
    expected = (1 - 0.75**4) * windows.mean(axis=(0, 1))
    np.testing.assert_allclose(ops.convert_to_numpy(normalised.moving_mean), expected, atol=0.05)
    if keras.backend.backend() != "torch":  # where dropout draws from PyTorch's own generator
        assert len({tuple(state.tolist()) for state in draws}) == 3
