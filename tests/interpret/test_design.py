"""Designs against an exhaustive search, and their constraints."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind import as_sequence_model, design, encode_sequences
from kipoi_tfbind.dna.one_hot import codes_of, decode_one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.testing import bilinear_model, linear_model, random_sequences
from tests import same_weights


def best_within(objective: Callable[[NDArray], NDArray], codes: NDArray, n_edits: int) -> float:
    """Largest objective of all sequences that steps reach, each of which raises it, at a new position."""
    best = float(objective(codes[np.newaxis])[0])
    level = {tuple(codes): best}
    for _ in range(n_edits):
        following = {}
        for state, value in level.items():
            for position, base in product(range(len(codes)), range(4)):
                child = np.array(state)
                child[position] = base
                raised = float(objective(child[np.newaxis])[0])
                if state[position] == codes[position] != base and raised > value:
                    following[tuple(child)] = raised
        best, level = max([best, *following.values()]), following
    return best


@pytest.mark.parametrize("n_edits", [1, 2, 3])
def test_a_wide_beam_finds_the_best_of_all_sequences(n_edits: int) -> None:
    function = bilinear_model(4, n_targets=2, seed=5)
    model = as_sequence_model(function, targets=function.target_names)
    sequences = random_sequences(3, 4, seed=2)
    result = design(model, sequences, objective={"0": 1.0, "1": -0.5}, n_edits=n_edits, beam_width=1000)

    def objective(codes: NDArray) -> NDArray:
        return function(np.eye(4)[codes]) @ [1.0, -0.5]

    for row, codes in enumerate(codes_of(sequences["one_hot"].values)):
        designed = codes_of(result["designed_one_hot"].values[[row]])
        expected = best_within(objective, codes, n_edits)
        assert objective(designed)[0] == pytest.approx(expected)
        assert np.nanmax(result["step_objective"].values[row]) == pytest.approx(expected)


def test_an_additive_model_gets_its_best_bases_in_the_order_of_what_they_add() -> None:
    function = linear_model(8, seed=1)
    model = as_sequence_model(function, targets=["y"])
    result = design(model, random_sequences(1, 8, seed=3), n_edits=8)
    best = function.weights[..., 0].argmax(axis=1)
    assert codes_of(result["designed_one_hot"].values)[0].tolist() == best.tolist()
    effects = result["step_effect"].values[0, 1:, 0]
    effects = effects[np.isfinite(effects)]
    assert (np.diff(effects) <= 0).all()
    total = result["step_prediction"].values[0, len(effects), 0]
    assert total == pytest.approx(function.weights[..., 0].max(axis=1).sum())


@pytest.mark.parametrize("path", ["incremental", "full"])
def test_the_log_is_what_the_model_predicts_of_each_step(path: str) -> None:
    model = same_weights.wrapped("keras")
    sequences = random_sequences(2, same_weights.LENGTH, n_fraction=0.03, seed=5)
    result = design(model, sequences, objective={"CTCF": -1}, n_edits=4, beam_width=2, path=path)
    for row in range(2):
        one_hot = sequences["one_hot"].values[[row]].copy()
        for step in range(5):
            position, base = (int(result[f"step_{what}"][row, step]) for what in ("position", "base"))
            if position >= 0:
                assert one_hot[0, position].any()  # N stays N
                one_hot[0, position] = np.eye(4)[base]
            found = result["step_prediction"].values[row, step]
            np.testing.assert_allclose(found, model.predict(one_hot)[0], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(one_hot[0], result["designed_one_hot"].values[row])
        assert (np.diff(result["step_prediction"].values[row, :, 0]) < 0).all()
    assert result.attrs["path"] == path


def test_constraints_hold() -> None:
    model = as_sequence_model(lambda x: x[:, :, 1:3].sum(axis=(1, 2)), targets=["GC"])
    one = encode_sequences(["ATATATATAT"])
    result = design(model, one, n_edits=10, fixed=[0, 1], gc_range=(0.0, 0.5))
    (letters,) = decode_one_hot(result["designed_one_hot"].values)
    assert letters.startswith("AT")
    assert sum(letter in "GC" for letter in letters) == 5
    # Outside of the range from the start: only what does not take it further away.
    result = design(model, one, objective={"GC": -1}, n_edits=3, gc_range=(0.8, 1.0))
    assert (result["step_position"].values == -1).all()
    result = design(model, one, n_edits=3, gc_range=(0.8, 1.0), start=4, end=6)
    assert np.sort(result["step_position"].values[0]).tolist() == [-1, -1, 4, 5]


def test_an_ensemble_is_designed_for_as_its_mean() -> None:
    functions = [linear_model(6, seed=seed) for seed in (0, 1)]
    members = [as_sequence_model(function, targets=["y"]) for function in functions]
    one = random_sequences(1, 6, seed=1)
    result = design(as_sequence_model(members), one, n_edits=6)
    best = (functions[0].weights + functions[1].weights)[..., 0].argmax(axis=1)
    assert codes_of(result["designed_one_hot"].values)[0].tolist() == best.tolist()


def test_options_that_are_none_are_refused() -> None:
    model, one = as_sequence_model(linear_model(6), targets=["y"]), random_sequences(1, 6)
    for options, message in (
        ({"objective": {"z": 1}}, "objective: model .* has no target 'z'; its targets are y"),
        ({"objective": {"y": 0}}, "objective: expected a weight that is not 0"),
        ({"n_edits": 0}, "n_edits: expected at least 1, got 0"),
        ({"fixed": [6]}, "fixed: 6 is not in the sequences, whose positions are 0 to 5"),
        ({"fixed": range(6)}, "fixed: all positions of the range are fixed"),
        ({"gc_range": (0.6, 0.4)}, "gc_range: expected two shares from 0 to 1"),
    ):
        with pytest.raises(InputError, match=message):
            design(model, one, **options)
