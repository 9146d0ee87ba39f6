"""One number for each pair, and one table of several methods."""

import numpy as np
import pytest

from kipoi_tfbind import (
    as_sequence_model,
    compare_interactions,
    epistasis_interaction,
    in_silico_mutagenesis,
    second_order_mutagenesis,
    surrogate,
)
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.testing import bilinear_model, random_sequences


def test_summaries_of_the_epistasis() -> None:
    function = bilinear_model(6)
    model = as_sequence_model(function, targets=["y"])
    sequences = random_sequences(2, 6, n_fraction=0.1, seed=1)
    result = second_order_mutagenesis(model, sequences)
    epistasis = result["epistasis"].values.reshape(2, 15, 16)
    mean = epistasis_interaction(result)["interaction"].values[..., 0]
    np.testing.assert_allclose(mean, epistasis.sum(axis=-1) / 9, rtol=1e-6)
    largest = epistasis_interaction(result, summary="largest")
    np.testing.assert_array_equal(
        np.abs(largest["interaction"].values[..., 0]), np.abs(epistasis).max(axis=-1)
    )
    assert largest.attrs["summary"] == "largest"
    assert "epistasis" not in largest
    with pytest.raises(InputError, match="summary: expected mean or largest, got 'median'"):
        epistasis_interaction(result, summary="median")


def test_a_table_of_two_methods() -> None:
    function = bilinear_model(5)
    model = as_sequence_model(function, targets=["y"])
    sequences = random_sequences(2, 5, seed=3)
    ism = second_order_mutagenesis(model, sequences)
    fitted = surrogate(model, sequences, n_mutants=800, mutation_rate=0.5, pairwise=True, start=1)
    table = compare_interactions({"ISM": ism, "surrogate": fitted}, n=3)
    expected = epistasis_interaction(ism)["interaction"].values[..., 0]
    for row, (_, rows) in enumerate(table.groupby("id", sort=False)):
        assert len(rows) == 3
        best = rows.sort_values("rank ISM").iloc[0]
        at = np.abs(expected[row]).argmax()
        assert (best["position_a"], best["position_b"]) == (ism["position_a"][at], ism["position_b"][at])
        assert best["ISM"] == pytest.approx(expected[row, at])
        assert best["rank ISM"] == 1
        # The surrogate has no pairs with position 0.
        assert rows["surrogate"].isna().equals(rows["position_a"] == 0)


def test_results_without_interactions_and_of_other_sequences_are_refused() -> None:
    model = as_sequence_model(bilinear_model(5), targets=["y"])
    first, second = random_sequences(1, 5), random_sequences(2, 5)
    results = {"a": second_order_mutagenesis(model, first), "b": second_order_mutagenesis(model, second)}
    with pytest.raises(InputError, match="b is of other sequences than a"):
        compare_interactions(results)
    with pytest.raises(InputError, match=r"a \(in_silico_mutagenesis\) has no interactions; give"):
        compare_interactions({"a": in_silico_mutagenesis(model, first)})
