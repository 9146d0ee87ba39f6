"""Monte Carlo dropout against variances that can be written down."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kipoi_tfbind.architectures import motif_cnn
from kipoi_tfbind.backends.monte_carlo_dropout import predict_with_dropout
from kipoi_tfbind.errors import InputError, UnsupportedModelError


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(4, size=(5, 40))]


def linear(rate: float) -> keras.Model:
    """A linear model of all bases, each of which is dropped."""
    sequence = keras.Input((40, 4))
    kept = keras.layers.Dropout(rate)(keras.layers.Flatten()(sequence))
    return keras.Model(sequence, keras.layers.Dense(2)(kept))


def test_mean_and_spread_of_a_linear_model_are_those_of_bernoulli_draws(x: np.ndarray) -> None:
    rate, n = 0.3, 400
    model = linear(rate)
    mean, deviation = predict_with_dropout(model, x, n_passes=n)
    weights = keras.ops.convert_to_numpy(model.layers[-1].kernel).astype(np.float64)
    terms = x.reshape(5, -1, 1) * weights
    variance = (terms**2).sum(axis=1) * rate / (1 - rate)
    # Five standard errors: of a mean, and of the variance of nearly normal sums.
    np.testing.assert_array_less(np.abs(mean - terms.sum(axis=1)), 5 * np.sqrt(variance / n))
    np.testing.assert_allclose(deviation**2, variance, rtol=5 * np.sqrt(2 / n))


def test_spread_depends_on_the_sequence_and_the_seed_alone(x: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    model = motif_cnn(length=40, filters=4, kernel_size=5, hidden_units=4, strands="siamese")
    before = keras.ops.convert_to_numpy(model(x))
    whole = predict_with_dropout(model, x, n_passes=5, seed=1)
    for batch_size in (1, 2):
        for found, expected in zip(
            predict_with_dropout(model, x, n_passes=5, seed=1, batch_size=batch_size), whole, strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    backwards = predict_with_dropout(model, x[::-1], n_passes=5, seed=1)
    np.testing.assert_allclose(backwards[1][::-1], whole[1], rtol=1e-4, atol=1e-7)
    assert np.abs(predict_with_dropout(model, x, n_passes=5, seed=2)[0] - whole[0]).max() > 1e-4
    # The model is as it was.
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)


def test_what_has_no_dropout_is_refused(x: np.ndarray) -> None:
    with pytest.raises(UnsupportedModelError, match=r"no layer of dropout.*ensemble"):
        predict_with_dropout(linear(0.0), x)
    with pytest.raises(InputError, match="n_passes: expected at least 2, got 1"):
        predict_with_dropout(linear(0.5), x, n_passes=1)
