# ruff: noqa: NPY002 (the global generator is what shap uses)
"""Sampled Shapley values against exact ones by enumeration, closed forms, and what every method promises."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from numpy.typing import NDArray

import kipoi_tfbind as tfb
from kipoi_tfbind import schema, testing
from kipoi_tfbind.cli import main
from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.errors import CompletenessWarning, InputError, UnsupportedModelError
from kipoi_tfbind.interpret.sampled_shapley import WholeBases, standard_errors
from kipoi_tfbind.sequences.references import make_references
from kipoi_tfbind.testing import random_sequences
from tests import same_weights
from tests.cli.test_interpret import LENGTH as CLI_LENGTH
from tests.cli.test_interpret import make_entry

LENGTH = 14
SEQUENCES = random_sequences(3, LENGTH, n_fraction=0.1, seed=2)
X = SEQUENCES["one_hot"].values


def wrapped(model: Any) -> tfb.SequenceModel:
    return tfb.as_sequence_model(model, targets=model.target_names)


def interacting(one_hot: NDArray) -> NDArray[np.float64]:
    """Two targets in which all positions interact."""
    x = np.asarray(one_hot, dtype=np.float64).reshape(len(one_hot), -1)
    weights = np.random.default_rng(5).normal(size=(x.shape[1], 6))
    hidden = np.maximum(x @ weights, 0) ** 2
    return np.stack([hidden[:, :3].sum(axis=1), np.tanh(hidden[:, 3:].sum(axis=1) / 20)], axis=1)


def exact_shapley(function: Any, x: NDArray, reference: NDArray) -> NDArray[np.float64]:
    """Shapley values (position, target) from the values of all subsets of the positions."""
    length = len(x)
    positions = range(length)
    subsets = [frozenset(s) for size in range(length + 1) for s in combinations(positions, size)]
    hybrids = [[x[i] if i in subset else reference[i] for i in positions] for subset in subsets]
    value = dict(zip(subsets, function(np.array(hybrids)), strict=True))
    result = []
    for i in positions:
        terms = [
            (value[s | {i}] - value[s]) / (length * comb(length - 1, len(s))) for s in subsets if i not in s
        ]
        result.append(np.sum(terms, axis=0))
    return np.array(result)


def test_enumeration_is_complete_and_shares_products_evenly() -> None:
    """The oracle itself."""
    x, reference = np.eye(4)[[0, 1, 2]], np.eye(4)[[3, 3, 3]]

    def all_three(h: NDArray) -> NDArray:
        return (h[:, 0, 0] * h[:, 1, 1] * h[:, 2, 2])[:, np.newaxis]

    np.testing.assert_allclose(exact_shapley(all_three, x, reference), np.full((3, 1), 1 / 3), atol=1e-15)


@pytest.fixture(scope="module")
def against_exact() -> dict[int, tuple[NDArray, NDArray]]:
    """By number of orders: errors, and standard errors over the orders, of many contributions."""
    sequences = random_sequences(4, 7, seed=1)
    references = np.eye(4)[np.random.default_rng(0).integers(4, size=(4, 3, 7))]
    x = sequences["one_hot"].values
    exact = np.array(
        [np.mean([exact_shapley(interacting, x[i], r) for r in references[i]], axis=0) for i in range(len(x))]
    )
    model = tfb.as_sequence_model(interacting, targets=["a", "b"])
    found = {}
    for n in (4, 100):
        result = tfb.sampled_shapley(model, sequences, references=references, n_permutations=n)
        differs = (x[:, np.newaxis] != references).any(axis=(1, 3))
        error = result["contribution"].sum("base").values - exact
        np.testing.assert_allclose(error[~differs], 0, atol=1e-15)
        assert np.abs(result["completeness_error"]).max() < 1e-12
        found[n] = error[differs], result["permutation_standard_error"].values[differs]
    return found


def test_estimates_are_within_their_standard_errors_of_exact_values(against_exact: Any) -> None:
    error, standard_error = against_exact[100]
    assert len(error) > 20
    z = error / standard_error
    # Draws of a normal distribution, dependent within a sequence: their mean square is near 1.
    assert 0.5 < np.sqrt((z**2).mean()) < 1.5
    assert np.abs(z).max() < 4


def test_estimates_converge_with_the_square_root_of_the_orders(against_exact: Any) -> None:
    (few, few_errors), (many, many_errors) = against_exact[4], against_exact[100]
    # sqrt(100 / 4) = 5; the estimate from 4 orders is rough.
    assert 3 < np.linalg.norm(few_errors) / np.linalg.norm(many_errors) < 8
    assert 2 < np.linalg.norm(few) / np.linalg.norm(many) < 12


def test_their_mean_over_200_seeds_is_within_three_standard_errors_of_exact_values() -> None:
    one = random_sequences(1, 5, seed=1)
    x = one["one_hot"].values[0]
    reference = np.eye(4)[(x.argmax(axis=1) + 1) % 4]
    model = tfb.as_sequence_model(interacting, targets=["a", "b"])
    found = [
        tfb.sampled_shapley(model, one, references=reference[np.newaxis], seed=seed) for seed in range(200)
    ]
    values = np.array([each["contribution"].sum("base").values[0] for each in found], np.float64)
    spread = values.std(axis=0, ddof=1)
    assert (
        np.abs(values.mean(axis=0) - exact_shapley(interacting, x, reference)) < 3 * spread / 200**0.5
    ).all()
    # Of two permutations each, the errors are rough one by one, and their mean square is the variance.
    errors = np.array([each["permutation_standard_error"].values[0] for each in found])
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), spread, rtol=0.2)


@pytest.mark.parametrize("model", [testing.linear_model(LENGTH, 2), testing.bilinear_model(LENGTH, 2)])
def test_of_pairs_at_most_one_order_is_exact(model: Any) -> None:
    result = tfb.sampled_shapley(wrapped(model), SEQUENCES, n_references=4, n_permutations=1, seed=3)
    references = make_references(X, "dinucleotide_shuffle", 4, seed=3)
    expected = model.expected_hypothetical_contribution(X, references) * X[..., np.newaxis]
    # float64 sums of tens of terms of size 1.
    np.testing.assert_allclose(result["contribution"], expected, atol=1e-12)
    background = model(references.reshape(-1, LENGTH, 4)).reshape(3, 4, 2).mean(axis=1)
    np.testing.assert_allclose(result["mean_reference_prediction"], background, atol=1e-12)
    np.testing.assert_allclose(result["prediction"], model(X), atol=1e-12)
    assert np.abs(result["completeness_error"]).max() < 1e-12
    assert np.isnan(result["permutation_standard_error"]).all()
    more = tfb.sampled_shapley(wrapped(model), SEQUENCES, n_references=4, n_permutations=3, seed=3)
    assert more["permutation_standard_error"].max() < 1e-12
    # The mean over the references still varies with them.
    assert (more["contribution_standard_error"].values > 0.01).mean() > 0.5


def test_standard_error_is_that_over_drawn_references() -> None:
    model = wrapped(testing.bilinear_model(5))
    one = random_sequences(1, 5, seed=4)
    results = [
        tfb.sampled_shapley(
            model, one, references="random", n_references=5, n_permutations=1, seed=seed, tolerance=1
        )
        for seed in range(150)
    ]
    contributions = np.array([r["contribution"].sum("base").values.ravel() for r in results])
    errors = np.array([r["contribution_standard_error"].values.ravel() for r in results])
    # A variance from 150 draws has a relative error of 12%, less over five positions.
    ratio = (errors**2).mean(axis=0) / contributions.var(axis=0, ddof=1)
    assert (np.abs(ratio - 1) < 0.4).all()
    assert abs(ratio.mean() - 1) < 0.2


def test_standard_errors_by_hand() -> None:
    samples = np.array([[0.0, 2.0], [4.0, 6.0]])
    # Means 1 and 5: sqrt(8) / sqrt(2); orders: variances of 2, so sqrt(2 / 4).
    np.testing.assert_allclose(standard_errors(samples), (2, np.sqrt(0.5)))
    np.testing.assert_allclose(standard_errors(samples[:1]), (1, 1))
    assert np.isnan(standard_errors(samples[:1, :1])).all()
    np.testing.assert_array_equal(standard_errors(samples[:, :1]), (2, np.nan))


def test_masker_swaps_whole_bases() -> None:
    reference, x = np.eye(4)[[0, 1, 2]], np.eye(4)[[3, 1, 3]]
    masker = WholeBases(reference)
    (masked,) = masker(np.array([True, False, False]), x)
    np.testing.assert_array_equal(masked, np.eye(4)[[[3, 1, 2]]])
    assert masker.invariants(x).tolist() == [[False, True, False]]
    assert masker.shape == (1, 3)


def test_evaluations_are_counted_and_equal_positions_need_none() -> None:
    seen: list[NDArray] = []

    def recorded(one_hot: NDArray) -> NDArray:
        seen.append(one_hot.copy())
        return one_hot[:, :, 1].sum(axis=1, keepdims=True)

    model = tfb.as_sequence_model(recorded, targets=["C"], length=LENGTH)
    seen.clear()
    result = tfb.sampled_shapley(model, SEQUENCES, n_references=3, n_permutations=2, seed=7)
    references = make_references(X, "dinucleotide_shuffle", 3, seed=7)
    n_differ = (X[:, np.newaxis] != references).any(axis=-1).sum(axis=-1)
    expected = (2 * (2 * n_differ + 1)).sum(axis=1)
    np.testing.assert_array_equal(result["n_evaluations"], expected)
    # Besides those: the sequences, their reverse complements, and the filling of batches up to 32 rows.
    n_rows = sum(len(rows) for rows in seen[2:])
    assert len(seen) == 2 + 3 * 3 * 2
    assert expected.sum() <= n_rows < expected.sum() + 32 * (len(seen) - 2)
    assert {len(rows) for rows in seen[2:]} == {32}


def test_a_reference_that_is_the_sequence_gives_nothing() -> None:
    result = tfb.sampled_shapley(
        wrapped(testing.bilinear_model(LENGTH)), SEQUENCES, references=X[:, np.newaxis]
    )
    for name in ("contribution", "contribution_standard_error", "permutation_standard_error"):
        np.testing.assert_array_equal(result[name], 0)
    np.testing.assert_array_equal(result["n_evaluations"], 2)
    np.testing.assert_array_equal(result["mean_reference_prediction"], result["prediction"])


def test_no_dependence_on_batch_order_or_the_global_generator() -> None:
    model = wrapped(testing.bilinear_model(LENGTH, 2))
    sequences = random_sequences(3, LENGTH, n_fraction=0.1, seed=8)
    options: dict[str, Any] = {"n_references": 2, "n_permutations": 2}
    # Weights are multiples of 1/64: the sums are exact in any order.
    testing.assert_batch_invariant(
        tfb.sampled_shapley, model, sequences, batch_sizes=(1, 7, 256), rtol=0, **options
    )
    testing.assert_order_invariant(tfb.sampled_shapley, model, sequences, rtol=0, **options)
    testing.assert_leaves_sequences(tfb.sampled_shapley, model, sequences, **options)

    function = tfb.as_sequence_model(interacting, targets=["a", "b"])
    small = random_sequences(2, 8, seed=3)
    np.random.seed(1)
    first = tfb.sampled_shapley(function, small, **options)
    np.random.seed(2)
    xr.testing.assert_identical(first, tfb.sampled_shapley(function, small, **options))
    other = tfb.sampled_shapley(function, small, seed=1, references="zeros", **options)
    assert np.abs(other["contribution"] - first["contribution"]).max() > 1e-6


def test_the_global_generator_is_put_back() -> None:
    np.random.seed(11)
    expected = np.random.random(3)
    np.random.seed(11)
    model = wrapped(testing.linear_model(LENGTH))
    tfb.sampled_shapley(model, SEQUENCES, n_references=2)
    np.testing.assert_array_equal(np.random.random(3), expected)

    calls = []

    def fails(one_hot: NDArray) -> NDArray:
        calls.append(len(one_hot))
        if len(calls) > 3:
            raise KeyError("broken")
        return np.zeros((len(one_hot), 1))

    model = tfb.as_sequence_model(fails, targets=["y"], length=LENGTH)
    calls.clear()
    np.random.seed(11)
    with pytest.raises(KeyError):
        tfb.sampled_shapley(model, SEQUENCES, n_references=2)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_draws_of_more_orders_and_references_go_on_from_fewer() -> None:
    function = tfb.as_sequence_model(interacting, targets=["a", "b"])
    small = random_sequences(1, 8, seed=3)
    drawn = make_references(small["one_hot"].values, "random", 2)
    each = [tfb.sampled_shapley(function, small, references=drawn[:, :n], n_permutations=1) for n in (1, 2)]
    both = tfb.sampled_shapley(function, small, references="random", n_references=2, n_permutations=1)
    np.testing.assert_array_equal(each[1]["contribution"], both["contribution"])
    # Of the two, the first sample is the same.
    second = 2 * each[1]["contribution"] - each[0]["contribution"]
    spread = np.abs(second - each[0]["contribution"]).sum("base") / 2
    np.testing.assert_allclose(both["contribution_standard_error"], spread, atol=1e-12)


def test_contributions_that_do_not_add_up_are_warned() -> None:
    rng = np.random.default_rng(0)
    unsteady = tfb.as_sequence_model(
        lambda one_hot: one_hot[:, :, 1].sum(axis=1, keepdims=True) + rng.normal(size=(len(one_hot), 1)),
        targets=["C"],
        length=LENGTH,
    )
    with pytest.warns(CompletenessWarning, match="^sampled_shapley: .* target C: "):
        tfb.sampled_shapley(unsteady, SEQUENCES, n_references=2)
    # A base of the reference where the sequence has N has no place among the sequence's bases.
    holes = random_sequences(2, LENGTH, n_fraction=0.3, seed=6)
    linear = testing.linear_model(LENGTH)
    filled = random_sequences(3, LENGTH, seed=7)["one_hot"].values
    with pytest.warns(CompletenessWarning):
        result = tfb.sampled_shapley(wrapped(linear), holes, references=filled)
    unknown = np.asarray(~holes["one_hot"].values.any(axis=-1))
    missing = -(filled.mean(axis=0)[:, :, np.newaxis] * linear.weights).sum(axis=1)
    expected = np.array([missing[rows].sum(axis=0) for rows in unknown])
    np.testing.assert_allclose(result["completeness_error"], -expected, atol=1e-12)


def test_a_model_of_text() -> None:
    def count(texts: NDArray) -> NDArray:
        return np.array([[text.count("CG")] for text in texts], dtype=np.float64)

    model = tfb.as_sequence_model(count, targets=["CpG"], layout="string", length=LENGTH)
    found = tfb.sampled_shapley(model, SEQUENCES, n_references=4)
    matches = wrapped(testing.motif_counter("CG"))
    expected = tfb.sampled_shapley(matches, SEQUENCES, n_references=4)
    np.testing.assert_allclose(found["contribution"], expected["contribution"], atol=1e-12)
    assert np.abs(found["contribution"]).max() > 0


def test_a_forest_of_scikit_learn() -> None:
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    training = np.eye(4)[rng.integers(4, size=(300, 7))].reshape(300, -1)
    forest = RandomForestRegressor(15, random_state=0).fit(
        training, training[:, 0] * training[:, 25] + training[:, 9]
    )
    model = tfb.as_sequence_model(forest.predict, targets=["y"], layout="L*4", length=7)
    sequences = random_sequences(2, 7, seed=3)
    result = tfb.sampled_shapley(model, sequences, references="random", n_references=3, n_permutations=40)
    x = sequences["one_hot"].values
    references = make_references(x, "random", 3)

    def predict(one_hot: NDArray) -> NDArray:
        return forest.predict(one_hot.reshape(len(one_hot), -1))[:, np.newaxis]

    exact = np.array(
        [np.mean([exact_shapley(predict, x[i], r) for r in references[i]], axis=0) for i in range(2)]
    )
    error = np.abs(result["contribution"].sum("base").values - exact)
    assert (error <= 4 * result["permutation_standard_error"].values + 1e-12).all()
    assert np.abs(exact).max() > 10 * error.max()


def test_other_inputs_go_with_their_sequence() -> None:
    linear = testing.linear_model(LENGTH)
    model = tfb.as_sequence_model(
        lambda one_hot, scale: linear(one_hot) * scale,
        sequence_input="dna",
        auxiliary={"scale": [3.0]},
        targets=["y"],
        length=LENGTH,
    )
    found = tfb.sampled_shapley(model, SEQUENCES, n_references=2)
    expected = tfb.sampled_shapley(wrapped(linear), SEQUENCES, n_references=2)
    np.testing.assert_allclose(found["contribution"], 3 * expected["contribution"].values, atol=1e-12)


def test_ensembles_and_strands() -> None:
    models = [testing.bilinear_model(LENGTH, seed=seed) for seed in (0, 1)]
    single = [tfb.sampled_shapley(wrapped(model), SEQUENCES, n_references=2) for model in models]
    together = tfb.sampled_shapley(
        tfb.as_sequence_model([wrapped(model) for model in models]), SEQUENCES, n_references=2
    )
    expected = np.stack([result["contribution"].values for result in single])
    np.testing.assert_allclose(together["contribution"], expected.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(together["contribution_sd"], expected.std(axis=0), atol=1e-12)
    np.testing.assert_array_equal(together["n_evaluations"], single[0]["n_evaluations"])

    model = models[0]
    averaged = tfb.sampled_shapley(
        tfb.as_sequence_model(model, targets=["y"], average_strands=True), SEQUENCES, n_references=2
    )
    references = make_references(X, "dinucleotide_shuffle", 2)
    forward = model.expected_hypothetical_contribution(X, references)
    backward = model.expected_hypothetical_contribution(X[:, ::-1, ::-1], references[:, :, ::-1, ::-1])
    expected = (forward + backward[:, ::-1, ::-1]) / 2 * X[..., np.newaxis]
    np.testing.assert_allclose(averaged["contribution"], expected, atol=1e-12)


def test_results_are_labelled_and_agree_between_kinds_of_models() -> None:
    sequences = random_sequences(1, same_weights.LENGTH, n_fraction=0.03, seed=3)
    kinds = ("predict_only", "keras", "torch")
    results = {
        kind: tfb.sampled_shapley(same_weights.wrapped(kind), sequences, n_references=2, n_permutations=1)
        for kind in kinds
    }
    expected = results["predict_only"]
    for kind in kinds[1:]:
        assert results[kind]["contribution"].dtype == np.float32
        largest = float(np.abs(expected["contribution"]).max())
        # Differences of float32 predictions.
        np.testing.assert_allclose(
            results[kind]["contribution"], expected["contribution"], rtol=0, atol=2e-5 * largest
        )
    assert expected.attrs["method"] == "sampled_shapley"
    assert (expected.attrs["n_references"], expected.attrs["n_permutations"]) == (2, 1)
    assert expected.attrs["references"] == "dinucleotide_shuffle"
    assert "hypothetical_contribution" not in expected
    for name in expected.data_vars:
        assert expected[name].dims == schema.VARIABLES[str(name)].dims
        assert expected[name].attrs["long_name"]
        assert expected[name].dtype.kind == "f"


def test_deep_shap_of_a_model_that_only_predicts_names_it() -> None:
    with pytest.raises(UnsupportedModelError, match=r"deep_shap .*need; .*sampled_shapley.* work with it"):
        tfb.deep_shap(wrapped(testing.linear_model(LENGTH)), SEQUENCES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_permutations": 0}, "n_permutations: expected at least 1, got 0"),
        ({"n_references": 0}, "n: expected at least 1 reference"),
        ({"tolerance": 0}, "tolerance: expected a positive number"),
        ({"references": "shuffle"}, "references: expected dinucleotide_shuffle"),
        ({"references": np.zeros((2, LENGTH + 1, 4))}, "references: expected at least one, of shape"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tfb.sampled_shapley(wrapped(testing.linear_model(LENGTH)), SEQUENCES, **options)


def test_pictures_and_report(tmp_path: Path) -> None:
    result = tfb.sampled_shapley(wrapped(testing.bilinear_model(LENGTH)), SEQUENCES, n_references=2)
    assert "sampled Shapley values" in tfb.plot_result(result).get_ylabel()
    assert "sampled Shapley values" in tfb.plot_logo(result, sequence=1).get_ylabel()
    tfb.write_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Sampled Shapley values" in page
    assert ">standard error<" in page
    assert "DeepSHAP" not in page


def test_command(tmp_path: Path) -> None:
    make_entry(tmp_path, "additive")
    texts = decode_one_hot(random_sequences(5, CLI_LENGTH, seed=2)["one_hot"].values)
    (tmp_path / "peaks.fa").write_text("".join(f">{i}\n{text}\n" for i, text in enumerate(texts)))
    line = ["sampled-shapley", str(tmp_path / "additive"), "--source", "dir"]
    line += ["--sequences", str(tmp_path / "peaks.fa"), "--n-references", "2", "--n-permutations", "1"]
    run = CliRunner().invoke(main, [*line, "--seed", "4", "-o", str(tmp_path / "shapley.nc")])
    assert run.exit_code == 0, run.output
    assert "sampled_shapley; sequences: 5, targets: 1" in run.output
    with tfb.open_result(tmp_path / "shapley.nc") as found:
        model = tfb.load_model(str(tmp_path / "additive"), source="dir")
        expected = tfb.sampled_shapley(
            model, tfb.encode_sequences(texts), n_references=2, n_permutations=1, seed=4
        )
        np.testing.assert_allclose(found["contribution"], expected["contribution"], atol=1e-6)
        np.testing.assert_array_equal(found["n_evaluations"], expected["n_evaluations"])
        assert found.attrs["seed"] == 4
    plotted = CliRunner().invoke(
        main, ["plot", str(tmp_path / "shapley.nc"), "-o", str(tmp_path / "shapley.png")]
    )
    assert plotted.exit_code == 0, plotted.output
