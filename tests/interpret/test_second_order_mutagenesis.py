"""Second-order mutagenesis of a network against its definition, one mutant at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.testing import epistasis_by_loop, mutation_effect_by_loop, random_sequences
from tests import same_weights

POSITIONS = [2, 7, 8, 33, 59]
SEQUENCES = random_sequences(3, same_weights.LENGTH, n_fraction=0.1, seed=41)
X = SEQUENCES["one_hot"].values


@pytest.mark.parametrize("kind", same_weights.MAKERS)
def test_epistasis_is_its_definition(kind: str) -> None:
    # Some of the positions have N.
    assert not X[:, POSITIONS].any(axis=-1).all()
    result = tfb.second_order_mutagenesis(
        same_weights.wrapped(kind), SEQUENCES, positions=[33, 2, 8, 59, 7, 2]
    )
    np.testing.assert_array_equal(result["position"], POSITIONS)
    pairs = np.stack([result["position_a"], result["position_b"]], axis=1)
    assert pairs.tolist() == [[a, b] for a in POSITIONS for b in POSITIONS if a < b]
    known = X[:, pairs].any(axis=-1).all(axis=-1)
    expected = epistasis_by_loop(same_weights.logits, X, pairs)
    found = result["epistasis"].values
    assert np.nanmax(np.abs(expected)) > 0.1
    assert np.isnan(found[~known]).all()
    # Four float32 predictions of up to 8.
    tolerance = 1e-12 if kind == "predict_only" else 1e-5
    np.testing.assert_allclose(found[known], expected[known], rtol=0, atol=tolerance)
    # A base that is there changes nothing, exactly: it is no mutant.
    for sequence, pair in np.argwhere(known):
        a, b = X[sequence, pairs[pair]].argmax(axis=-1)
        assert not found[sequence, pair, a].any()
        assert not found[sequence, pair, :, b].any()
    single = mutation_effect_by_loop(same_weights.logits, X)[:, POSITIONS]
    np.testing.assert_allclose(result["mutation_effect"], single, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": [3, -1]}, "positions: -1 is not in the sequences"),
        ({"positions": [3, 60]}, "positions: 60 is not in the sequences"),
        ({"positions": []}, "positions: expected at least one, got none"),
        ({"start": 4, "end": 5}, "at least two different ones to pair, got 1"),
        ({"start": 5, "end": 3}, "expected 0 <= start < end <= 60"),
        ({"positions": [1, 2], "end": 9}, "give them, or start and end, not both"),
    ],
)
def test_positions_that_cannot_be_paired_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tfb.second_order_mutagenesis(same_weights.wrapped("predict_only"), SEQUENCES, **options)
