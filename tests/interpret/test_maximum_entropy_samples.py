"""Samples against the distribution itself, summed over all sequences of a short length."""

from itertools import product

import numpy as np
import pytest

from kipoi_tfbind import as_sequence_model, encode_sequences, maximum_entropy_samples
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._autocorrelation import autocorrelation_time
from kipoi_tfbind.testing import bilinear_model, random_sequences
from tests import same_weights

LENGTH, TOLERANCE = 3, 0.8


def exactly(function, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All sequences (sequence, position) and their probabilities."""
    every = np.array(list(product(range(4), repeat=LENGTH)))
    distance = np.abs(function(np.eye(4)[every])[:, 0] - function(np.eye(4)[own[np.newaxis]])[0, 0])
    weight = np.exp(-distance / TOLERANCE)
    return every, weight / weight.sum()


def test_samples_have_the_distribution_over_200_seeds() -> None:
    """Frequencies of bases, and the mean prediction, within three standard errors of the exact ones."""
    function = bilinear_model(LENGTH, seed=3)
    model = as_sequence_model(function, targets=["y"])
    one = encode_sequences(["GCA"])
    every, probability = exactly(function, codes_of(one["one_hot"].values)[0])
    found = []
    for seed in range(200):
        result = maximum_entropy_samples(
            model, one, tolerance=TOLERANCE, n_samples=20, thin=5, burn_in=25, seed=seed
        )
        frequency = result["base_probability"].values[0, :, :, 0]
        found.append([*frequency.ravel(), float(result["sampled_prediction"].mean())])
    expected = [
        *(
            (every == base) @ np.eye(LENGTH)[position] @ probability
            for position in range(LENGTH)
            for base in range(4)
        ),
        function(np.eye(4)[every])[:, 0] @ probability,
    ]
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    z = (np.mean(found, axis=0) - expected) / error
    assert np.abs(z).max() < 3
    # The bases differ from uniform ones by far more than that.
    assert np.abs((0.25 - np.array(expected[:-1])) / error[:-1]).max() > 20


@pytest.mark.parametrize("kind", ["keras", "torch"])
def test_chains_are_the_same_step_by_step_and_many_proposals_at_once(kind: str) -> None:
    model = same_weights.wrapped(kind)
    sequences = random_sequences(2, same_weights.LENGTH, n_fraction=0.05, seed=8)
    results = [
        maximum_entropy_samples(model, sequences, n_samples=8, thin=3, burn_in=10, tolerance=0.1, path=path)
        for path in ("incremental", "full")
    ]
    np.testing.assert_array_equal(results[0]["sampled_base"], results[1]["sampled_base"])
    np.testing.assert_array_equal(results[0]["acceptance"], results[1]["acceptance"])
    one = np.eye(5, 4)[results[0]["sampled_base"].values[1, :, :, 1]]
    # Steps add up the rounding of float32.
    np.testing.assert_allclose(
        results[0]["sampled_prediction"].values[1, :, 1], model.predict(one)[:, 1], rtol=0, atol=1e-5
    )
    unknown = codes_of(sequences["one_hot"].values) == 4
    row, position = np.nonzero(unknown)
    assert (results[0]["sampled_base"].values[row, :, position] == 4).all()
    assert np.isnan(results[0]["position_weight"].values[unknown]).all()


def test_what_the_prediction_needs_is_kept_and_the_rest_is_not() -> None:
    model = as_sequence_model(lambda x: 20 * x[:, 4, 1] * x[:, 5, 2], targets=["CG"])
    result = maximum_entropy_samples(model, encode_sequences(["ATGACGTTAT"]), n_samples=1000)
    weight = result["position_weight"].values[0, :, 0]
    assert (weight[4:6] == 2).all()
    assert np.delete(weight, [4, 5]).max() < 0.1
    # 8 of 10 positions may change, all three bases: each accepted.
    assert float(result["acceptance"][0, 0]) == pytest.approx(0.8, abs=0.02)
    assert float(result["effective_sample_size"][0, 0]) > 200


def test_autocorrelation_of_an_autoregressive_series_is_the_known_one() -> None:
    rng = np.random.default_rng(1)
    for coefficient in (0.5, 0.9):
        series = np.zeros((2, 20_000))
        for draw in range(1, series.shape[1]):
            series[:, draw] = coefficient * series[:, draw - 1] + rng.normal(size=2)
        expected = (1 + coefficient) / (1 - coefficient)
        # The standard error of such an estimate from 40,000 draws is some 5%.
        assert autocorrelation_time(series) == pytest.approx(expected, rel=0.15)
    assert np.isnan(autocorrelation_time(np.ones((2, 100))))


def test_a_sequence_of_n_alone_cannot_move() -> None:
    model = as_sequence_model(lambda x: x[:, :, 0].sum(axis=1), targets=["A"])
    result = maximum_entropy_samples(model, encode_sequences(["NNN"]), n_samples=4, burn_in=0, thin=1)
    assert float(result["acceptance"][0, 0]) == 0
    assert float(result["effective_sample_size"][0, 0]) == 2


def test_options_that_are_none_are_refused() -> None:
    model, one = as_sequence_model(bilinear_model(3), targets=["y"]), encode_sequences(["ACG"])
    for options, message in (
        ({"tolerance": 0}, "tolerance: expected a positive number, got 0"),
        ({"n_samples": 7}, "n_samples: expected an even number from 4 on"),
        ({"thin": 0}, "thin: expected at least 1, got 0"),
    ):
        with pytest.raises(InputError, match=message):
            maximum_entropy_samples(model, one, **options)
