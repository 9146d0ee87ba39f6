"""Gradients against derivatives by hand, their corrections, and the completeness of integrated gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kipoi_tfbind as tfb
from kipoi_tfbind import testing
from kipoi_tfbind.errors import InputError
from tests import foreign_models as foreign
from tests import same_weights

SEQUENCES = testing.random_sequences(3, same_weights.LENGTH, seed=11)
X = SEQUENCES["one_hot"].values
WEIGHTS = np.random.default_rng(12).normal(size=(same_weights.LENGTH * 4, 2)).astype(np.float32) / 3
KINDS = ("saliency", "gradient_x_input", "integrated_gradients")


def network_gradient(one_hot: NDArray) -> NDArray[np.float64]:
    """Gradient (sequence, position, base, target) of the network's logits, one unit after the other."""
    features = foreign.features(one_hot)
    gradient = np.zeros((*one_hot.shape, foreign.TARGETS))
    for sequence, window, unit in np.ndindex(len(one_hot), foreign.POSITIONS, foreign.FILTERS):
        pool = features[sequence, window * foreign.POOL : (window + 1) * foreign.POOL, unit]
        if pool.max() > 0:
            first = window * foreign.POOL + pool.argmax()
            slope = foreign.KERNEL[:, :, unit, np.newaxis] * foreign.HEAD[window, unit].astype(np.float64)
            gradient[sequence, first : first + foreign.WIDTH] += slope
    return gradient


def smooth_model(**options: Any) -> tfb.SequenceModel:
    """A softplus of a linear function and a product of two, for (length, 4)."""
    import tensorflow as tf

    weights = tf.constant(WEIGHTS)

    @tf.function
    def function(x: Any) -> Any:
        linear = tf.reshape(x, (-1, WEIGHTS.shape[0])) @ tf.cast(weights, x.dtype)
        return tf.stack([tf.math.softplus(linear[:, 0]), linear[:, 0] * tf.tanh(linear[:, 1])], axis=1)

    return tfb.as_sequence_model(
        function, targets=["softplus", "product"], length=same_weights.LENGTH, **options
    )


@pytest.mark.parametrize("kind", same_weights.DIFFERENTIABLE)
def test_gradients_are_those_by_hand(kind: str) -> None:
    expected = network_gradient(X)
    model = same_weights.wrapped(kind)
    saliency = tfb.gradients(model, SEQUENCES)
    times_input = tfb.gradients(model, SEQUENCES, method="gradient_x_input")
    # float32 sums of some ten terms.
    tolerance = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(saliency["hypothetical_contribution"], expected, rtol=0, atol=tolerance)
    one_hot = X[..., np.newaxis]
    np.testing.assert_allclose(saliency["contribution"], np.abs(expected * one_hot), rtol=0, atol=tolerance)
    np.testing.assert_allclose(times_input["contribution"], expected * one_hot, rtol=0, atol=tolerance)
    assert np.isnan(saliency["completeness_error"]).all()
    nothing = same_weights.logits(np.zeros_like(X))
    np.testing.assert_allclose(times_input["mean_reference_prediction"], nothing, rtol=1e-6)


@pytest.mark.parametrize("method", KINDS)
def test_corrected_gradients_sum_to_zero_over_the_bases(method: Any) -> None:
    model, references = same_weights.wrapped("torch"), testing.random_sequences(2, same_weights.LENGTH)
    options = {"references": references["one_hot"].values} if method == KINDS[2] else {}
    plain, corrected = (
        tfb.gradients(model, SEQUENCES, method=method, correction=correction, **options)
        for correction in (False, True)
    )
    assert (plain.attrs["correction"], corrected.attrs["correction"]) == (0, 1)
    found, before = corrected["hypothetical_contribution"], plain["hypothetical_contribution"]
    scale = float(np.abs(before).max())
    if method == "integrated_gradients":
        # The mean over the bases is taken from the gradient, before it meets the difference from the
        # reference; both have one base at each position, so that it drops out of what is hypothetical.
        np.testing.assert_allclose(found, before, rtol=0, atol=2e-6 * scale)
        return
    assert np.abs(before.sum("base")).max() > 0.1 * scale
    assert np.abs(found.sum("base")).max() < 1e-6 * scale
    np.testing.assert_allclose(found, before - before.mean("base"), rtol=0, atol=1e-6 * scale)


def test_correction_matters_to_integrated_gradients_from_what_is_no_sequence() -> None:
    model = same_weights.wrapped("torch")
    plain, corrected = (
        tfb.gradients(model, SEQUENCES, method="integrated_gradients", correction=correction)
        for correction in (False, True)
    )
    found, before = corrected["hypothetical_contribution"], plain["hypothetical_contribution"]
    scale = float(np.abs(before).max())
    assert np.abs(found.sum("base")).max() < 1e-6 * scale
    np.testing.assert_allclose(found, before - before.mean("base"), rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("references", ["zeros", "dinucleotide_shuffle"])
def test_integrated_gradients_of_a_smooth_model_add_up(references: str) -> None:
    model = smooth_model(double_precision=True)
    errors = {
        n_steps: np.abs(
            tfb.gradients(
                model,
                SEQUENCES,
                method="integrated_gradients",
                references=references,
                n_references=2,
                n_steps=n_steps,
            )["completeness_error"]
        ).values.max()
        for n_steps in (2, 50)
    }
    # Gauss-Legendre quadrature of an analytic function: its error falls geometrically with the steps.
    assert errors[2] > 1e-5
    assert errors[50] < 1e-9


@pytest.mark.parametrize("neutral_value", [0.0, 0.25])
def test_contributions_add_up_whatever_n_is_in_the_model(neutral_value: float) -> None:
    model = smooth_model(double_precision=True, neutral_value=neutral_value)
    some_n = testing.random_sequences(2, same_weights.LENGTH, n_fraction=0.2, seed=13)
    result = tfb.gradients(model, some_n, method="integrated_gradients")
    assert np.abs(result["completeness_error"]).max() < 1e-9
    quarters = np.full((1, same_weights.LENGTH, 4), neutral_value)
    background = smooth_model(double_precision=True).predict(quarters)
    np.testing.assert_allclose(
        result["mean_reference_prediction"], np.repeat(background, 2, axis=0), rtol=1e-12
    )


@pytest.mark.parametrize("neutral_value", [0.0, 0.25])
def test_gradients_are_those_by_the_models_own_input(neutral_value: float) -> None:
    """Whatever N is in it: not centred, unless that is asked for."""
    model = smooth_model(double_precision=True, neutral_value=neutral_value)
    plain = smooth_model(double_precision=True)
    some_n = testing.random_sequences(2, same_weights.LENGTH, n_fraction=0.2, seed=13)
    result = tfb.gradients(model, some_n)
    assert result.attrs["neutral_value"] == neutral_value
    gradient = result["hypothetical_contribution"].values
    assert np.abs(gradient.mean(axis=2)).max() > 0.01
    times_input = tfb.gradients(model, some_n, method="gradient_x_input")
    one_hot = some_n["one_hot"].values[..., np.newaxis]
    np.testing.assert_array_equal(times_input["contribution"], gradient * one_hot)
    step = 1e-6
    for position, base in ((0, 1), (17, 3)):
        shifted = some_n["one_hot"].values.astype(np.float64)
        shifted += neutral_value * (1 - shifted.sum(axis=2, keepdims=True))
        ends = []
        for sign in (-1, 1):
            shifted[:, position, base] += sign * step
            ends.append(plain.predict(shifted))
            shifted[:, position, base] -= sign * step
        expected = (ends[1] - ends[0]) / (2 * step)
        # Central differences: rounding of 1e-16 over a step of 1e-6.
        np.testing.assert_allclose(gradient[:, position, base], expected, rtol=0, atol=1e-7)


def test_references_are_averaged_over() -> None:
    model = smooth_model(double_precision=True)
    given = testing.random_sequences(6, same_weights.LENGTH, seed=14)["one_hot"].values
    own = given.reshape(3, 2, same_weights.LENGTH, 4)

    def run(references: NDArray, sequences: Any = SEQUENCES) -> NDArray:
        result = tfb.gradients(model, sequences, method="integrated_gradients", references=references)
        return result["hypothetical_contribution"].values

    together = run(own)
    for row in range(3):
        one = SEQUENCES.isel(sequence=[row])
        apart = [run(own[row, [number]], one) for number in range(2)]
        np.testing.assert_allclose(together[[row]], np.mean(apart, axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_references_of_other_sequences_are_refused(n: int) -> None:
    references = np.zeros((n, 2, same_weights.LENGTH, 4), dtype=np.float32)
    message = rf"references: .* \(3, reference, 60, 4\), got \({n}, 2, 60, 4\)"
    with pytest.raises(InputError, match=message):
        tfb.gradients(
            same_weights.wrapped("torch"), SEQUENCES, method="integrated_gradients", references=references
        )
