"""Shapley interactions against their definition, set by set, and sampled ones against exact ones."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest

from kipoi_tfbind import as_sequence_model, shapley_interactions
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret import shapley_interactions as function
from kipoi_tfbind.testing import bilinear_model, random_sequences
from tests import same_weights

SEGMENTS = [(0, 4), (5, 9), (9, 10), (10, 16), (16, 20)]


def nonlinear(length: int = 20):
    weights = np.random.default_rng(1).normal(size=(length, 4))
    return lambda x: np.tanh((x * weights).sum(axis=(1, 2)) / 3) * 10


def by_definition(
    f, x: np.ndarray, reference: np.ndarray, segments: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """The index with the weights of its definition, and Shapley values, one set at a time."""
    n = len(segments)

    def game(members: tuple[int, ...]) -> float:
        mixed = x.copy()
        for player, (start, end) in enumerate(segments):
            if player not in members:
                mixed[start:end] = reference[start:end]
        return float(f(mixed[np.newaxis])[0])

    interaction, values = [], np.zeros(n)
    for a, b in combinations(range(n), 2):
        others, total = [p for p in range(n) if p not in (a, b)], 0.0
        for size in range(n - 1):
            weight = factorial(size) * factorial(n - size - 2) / factorial(n - 1)
            for s in combinations(others, size):
                total += weight * (game((*s, a, b)) - game((*s, a)) - game((*s, b)) + game(s))
        interaction.append(total)
    for a in range(n):
        others = [p for p in range(n) if p != a]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            values[a] += weight * sum(game((*s, a)) - game(s) for s in combinations(others, size))
    return np.array(interaction), values


def test_it_is_the_index_by_its_definition() -> None:
    f = nonlinear()
    sequences = random_sequences(2, 20, n_fraction=0.05, seed=2)
    references = random_sequences(2, 20, seed=7)["one_hot"].values
    result = shapley_interactions(
        as_sequence_model(f, targets=["y"]), sequences, segments=SEGMENTS, references=references
    )
    for row in range(2):
        x = sequences["one_hot"].values[row].astype(float)
        found = [by_definition(f, x, reference.astype(float), SEGMENTS) for reference in references]
        expected = [np.mean([each[part] for each in found], axis=0) for part in range(2)]
        np.testing.assert_allclose(result["interaction"].values[row, :, 0], expected[0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(result["segment_value"].values[row, :, 0], expected[1], rtol=0, atol=1e-10)
    # The values add up to what all segments do; what is in none stays as it is.
    total = result["segment_value"].sum("segment") + result["mean_reference_prediction"]
    np.testing.assert_allclose(total, result["prediction"], rtol=0, atol=1e-10)
    assert (result["interaction_standard_error"] == 0).all()


def test_it_is_that_of_shapiq() -> None:
    shapiq = pytest.importorskip("shapiq")
    f, one = nonlinear(), random_sequences(1, 20, seed=2)
    reference = random_sequences(1, 20, seed=7)["one_hot"].values
    x = one["one_hot"].values[0].astype(float)

    def game(coalitions: np.ndarray) -> np.ndarray:
        mixed = np.repeat(x[np.newaxis], len(coalitions), axis=0)
        for player, (start, end) in enumerate(SEGMENTS):
            mixed[~coalitions[:, player].astype(bool), start:end] = reference[0, start:end]
        return f(mixed)

    exact = shapiq.ExactComputer(n_players=len(SEGMENTS), game=game)
    found = shapley_interactions(
        as_sequence_model(f, targets=["y"]), one, segments=SEGMENTS, references=reference
    )
    index, values = exact("SII", order=2), exact("SV", order=1)
    expected = [index[pair] for pair in combinations(range(len(SEGMENTS)), 2)]
    np.testing.assert_allclose(found["interaction"].values[0, :, 0], expected, rtol=0, atol=1e-10)
    expected = [values[(player,)] for player in range(len(SEGMENTS))]
    np.testing.assert_allclose(found["segment_value"].values[0, :, 0], expected, rtol=0, atol=1e-10)


def test_sampled_ones_are_within_three_standard_errors_over_200_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    model = as_sequence_model(nonlinear(), targets=["y"])
    one = random_sequences(1, 20, seed=2)
    references = random_sequences(1, 20, seed=7)["one_hot"].values
    options = {"segments": SEGMENTS, "references": references}
    exact = shapley_interactions(model, one, **options)["interaction"].values
    monkeypatch.setattr(sys.modules[function.__module__], "EXACT", 2)
    results = [shapley_interactions(model, one, **options, n_samples=20, seed=seed) for seed in range(200)]
    found = np.array([result["interaction"].values for result in results])
    error = found.std(axis=0, ddof=1) / np.sqrt(200)
    assert (np.abs(found.mean(axis=0) - exact) <= 3 * error).all()
    # The standard errors are what the spread over seeds is.
    claimed = np.array([result["interaction_standard_error"].values for result in results]).mean(axis=0)
    np.testing.assert_allclose(claimed, found.std(axis=0, ddof=1), rtol=0.2)
    assert np.isnan(results[0]["segment_value"]).all()


@pytest.mark.parametrize("kind", ["keras", "torch"])
def test_the_affected_region_alone_gives_the_same(kind: str) -> None:
    model = same_weights.wrapped(kind)
    sequences = random_sequences(2, same_weights.LENGTH, n_fraction=0.03, seed=1)
    segments = [(10, 14), (14, 18), (25, 30)]
    results = [
        shapley_interactions(model, sequences, segments=segments, n_references=2, path=path)
        for path in ("incremental", "full")
    ]
    scale = np.abs(results[1]["prediction"]).values.max()
    for name in ("interaction", "segment_value"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=0, atol=1e-5 * scale)


def test_pairs_of_positions_have_the_weights_of_a_model_of_pairs() -> None:
    model = bilinear_model(6)
    one = random_sequences(1, 6, seed=1)
    result = shapley_interactions(
        as_sequence_model(model, targets=["y"]),
        one,
        segments=[(i, i + 1) for i in range(6)],
        references="zeros",
    )
    codes = one["one_hot"].values[0].argmax(axis=1)
    first, second = np.triu_indices(6, 1)
    expected = model.pair_weights[first, codes[first], second, codes[second], 0]
    np.testing.assert_allclose(result["interaction"].values[0, :, 0], expected, rtol=0, atol=1e-12)


def test_segments_that_do_not_fit_are_refused() -> None:
    model, one = as_sequence_model(nonlinear(), targets=["y"]), random_sequences(1, 20)
    for segments, message in (
        ([(0, 4)], "expected at least two, got 1"),
        ([(0, 4), (3, 6)], "0 to 4 and 3 to 6 overlap"),
        ([(0, 4), (18, 21)], "expected 0 <= start < end <= 20, got 18 to 21"),
    ):
        with pytest.raises(InputError, match=message):
            shapley_interactions(model, one, segments=segments)
