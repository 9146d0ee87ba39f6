"""Surrogates against models that are what is fitted, NumPy's least squares, and what intervals promise."""

import numpy as np
import pytest

from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis, surrogate
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._least_squares import fit_least_squares, fit_sparse
from kipoi_tfbind.testing import bilinear_model, linear_model, motif_counter, random_sequences


def test_an_additive_model_is_found_exactly() -> None:
    function = linear_model(12, n_targets=2)
    model = as_sequence_model(function, targets=function.target_names)
    sequences = random_sequences(3, 12, n_fraction=0.1, seed=1)
    result = surrogate(model, sequences, n_mutants=600)
    expected = function.expected_mutation_effect(sequences["one_hot"].values)
    # float64 throughout, of weights up to 2.
    np.testing.assert_allclose(result["surrogate_effect"], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["mutation_effect"], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["r_squared"], 1, rtol=1e-12)
    assert result["interaction"].shape == (3, 0, 2)


def test_pairs_of_a_model_of_pairs_are_found_exactly() -> None:
    """What two positions add, whatever they are mutated to: of two bases only, that is all there is."""
    weight = np.random.default_rng(0).normal(size=(6, 6))

    def both_changed(one_hot: np.ndarray) -> np.ndarray:
        changed = 1 - one_hot[:, :, 0].astype(np.float64)
        return np.einsum("ni,ij,nj->n", changed, np.triu(weight, 1), changed) + changed.sum(axis=1)

    model = as_sequence_model(both_changed, targets=["y"])
    result = surrogate(model, encode_sequences(["AAAAAA"]), n_mutants=500, mutation_rate=0.3, pairwise=True)
    np.testing.assert_allclose(
        result["interaction"].values[0, :, 0], weight[np.triu_indices(6, 1)], rtol=0, atol=1e-12
    )
    assert result["position_a"].values[:3].tolist() == [0, 0, 0]
    np.testing.assert_allclose(result["r_squared"], 1, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [3, 256])
def test_the_fit_is_that_of_numpy_on_the_mutants_predicted_one_by_one(batch_size: int) -> None:
    function = motif_counter([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.7, 0.1, 0.1]])
    seen: list[np.ndarray] = []

    def recorded(one_hot: np.ndarray) -> np.ndarray:
        seen.append(one_hot.copy())
        return function(one_hot)

    sequences = encode_sequences(["ACGTTGCA"])
    model = as_sequence_model(recorded, targets=["y"])
    result = surrogate(model, sequences, n_mutants=150, start=1, end=7, seed=3, batch_size=batch_size)
    # The mutants are those that differ from the sequence in more than ISM's one position, or were seen again.
    rows = np.concatenate(seen)
    mutants = rows[-150:] if batch_size == 3 else seen[-1]
    fitted = np.arange(150) % 5 > 0
    own = codes_of(sequences["one_hot"].values)[0]
    design = np.stack(
        [mutants[:, i, (own[i] + k) % 4] for i in range(1, 7) for k in (1, 2, 3)] + [np.ones(150)], axis=1
    )
    y = function(mutants)[:, 0]
    expected = np.linalg.lstsq(design[fitted], y[fitted])[0][:-1].reshape(6, 3)
    effect = result["surrogate_effect"].values[0, :, :, 0]
    found = np.stack([effect[np.arange(6), (own[1:7] + k) % 4] for k in (1, 2, 3)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_intervals_hold_the_projection_of_a_model_that_is_no_sum() -> None:
    """Of 200 seeds, 95% intervals hold the parameters of many mutants about as often as they say."""
    function = bilinear_model(5, seed=2)
    model = as_sequence_model(function, targets=function.target_names)
    one = random_sequences(1, 5, seed=4)
    limit = surrogate(model, one, n_mutants=60_000, mutation_rate=0.3)["surrogate_effect"].values
    inside = []
    for seed in range(200):
        result = surrogate(model, one, n_mutants=300, mutation_rate=0.3, seed=seed)
        low, high = result["surrogate_effect_low"].values, result["surrogate_effect_high"].values
        other = one["one_hot"].values[..., np.newaxis] == 0
        inside.append(((low <= limit) & (limit <= high))[other].mean())
    # 200 x 15 intervals, of which those of a seed hang together; 0.02 is four times the binomial error.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_the_lasso_chooses_the_few_positions_that_matter() -> None:
    model = as_sequence_model(lambda x: 2.0 * x[:, 3, 2] - x[:, 7, 0], targets=["y"])
    one = encode_sequences(["ACTGACGATCAAGGTACCATGGAT"])
    result = surrogate(model, one, n_mutants=1200, sparse=True)
    effect = result["surrogate_effect"].values[0, :, :, 0]
    expected = in_silico_mutagenesis(model, one)["mutation_effect"].values[0, :, :, 0]
    np.testing.assert_allclose(effect, expected, rtol=0, atol=1e-6)
    assert (effect != 0).sum() == 6
    assert np.isnan(result["surrogate_effect_low"].values[0, 0, 1, 0])


def test_parameters_that_no_mutant_shows_are_missing() -> None:
    design = np.zeros((8, 2))
    design[::2, 0] = 1
    fit = fit_least_squares(design, 3 * design[:, :1] + 1)
    np.testing.assert_allclose(fit.value[:, 0], [1, 3, np.nan], rtol=0, atol=1e-12)
    twice = np.repeat(design[:, :1], 2, axis=1)
    fit = fit_least_squares(twice, 4 * design[:, :1])
    np.testing.assert_allclose(fit.value[:, 0], [0, 2, 2], rtol=0, atol=1e-12)
    assert np.isnan(fit.low).all()
    assert (fit_sparse(design, np.ones((8, 1))).value[:, 0] == [1, 0, 0]).all()


def test_options_that_are_none_are_refused() -> None:
    model = as_sequence_model(linear_model(20), targets=["0"])
    one = random_sequences(1, 20)
    with pytest.raises(
        InputError, match=r"four fifths of them are fitted, 56 of 70, .* 62 are needed for 60"
    ):
        surrogate(model, one, n_mutants=70)
    with pytest.raises(InputError, match="mutation_rate: expected a probability between 0 and 1, got 1"):
        surrogate(model, one, mutation_rate=1)
