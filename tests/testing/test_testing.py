"""The models with known answers against loops over single mutants, and assertions that do fail."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import as_sequence_model, in_silico_mutagenesis
from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot, reverse_complement
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.testing import (
    MultilinearModel,
    assert_batch_invariant,
    assert_leaves_sequences,
    assert_order_invariant,
    bilinear_model,
    epistasis_by_loop,
    linear_model,
    motif_counter,
    mutation_effect_by_loop,
    random_sequences,
    rc_symmetric_model,
)

LENGTH = 9
PAIRS = list(combinations(range(LENGTH), 2))
MODELS: dict[str, MultilinearModel] = {
    "linear": linear_model(LENGTH, n_targets=2, seed=1),
    "bilinear": bilinear_model(LENGTH, n_targets=2, seed=2),
    "rc_symmetric": rc_symmetric_model(LENGTH, seed=3),
    "motif": motif_counter("ACA"),
    "motif_with_gap": motif_counter("ANA", both_strands=True),
    # Multiples of 1/8: products of four are exact.
    "matrix": motif_counter(np.random.default_rng(4).integers(-8, 9, size=(4, 4)) / 8),
    "longer_than_the_sequence": motif_counter("A" * (LENGTH + 1)),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> MultilinearModel:
    return MODELS[request.param]


@pytest.fixture
def sequences() -> NDArray[np.float32]:
    random = random_sequences(4, LENGTH, n_fraction=0.1, seed=5)["one_hot"].values
    return np.concatenate([one_hot(["ACACACAAA", "TTGTGTNAC", "NNNNNNNNN"]), random])


def test_expected_effects_are_those_of_a_loop(model: MultilinearModel, sequences: NDArray) -> None:
    # Sums of multiples of 1/64 (products: of 1/4096) are exact in float64.
    np.testing.assert_array_equal(
        model.expected_mutation_effect(sequences), mutation_effect_by_loop(model, sequences)
    )


def test_expected_epistasis_is_that_of_a_loop(model: MultilinearModel, sequences: NDArray) -> None:
    np.testing.assert_array_equal(
        model.expected_epistasis(sequences, PAIRS), epistasis_by_loop(model, sequences, PAIRS)
    )


def test_models_are_not_trivial(sequences: NDArray) -> None:
    for name, model in MODELS.items():
        if name != "longer_than_the_sequence":
            assert np.nanmax(np.abs(model.expected_mutation_effect(sequences))) > 0.1
        has_epistasis = np.nanmax(np.abs(model.expected_epistasis(sequences, PAIRS))) > 0.1
        assert has_epistasis == (name not in ("linear", "longer_than_the_sequence"))


def test_loops_leave_nan_at_n_and_zero_at_the_base_that_is_there() -> None:
    x = one_hot(["ANC"])
    effect = mutation_effect_by_loop(linear_model(3), x)[0, ..., 0]
    assert np.isnan(effect).tolist() == [[False] * 4, [True] * 4, [False] * 4]
    assert effect[0, 0] == effect[2, 1] == 0
    epistasis = epistasis_by_loop(bilinear_model(3), x, [(0, 1), (0, 2)])[0, ..., 0]
    assert np.isnan(epistasis[0]).all()
    assert not epistasis[1, 0].any()
    assert not epistasis[1, :, 1].any()
    # Nine entries are free; a random one may be 0.
    assert np.count_nonzero(epistasis[1]) > 5


def test_loops_by_hand() -> None:
    """f(x) = x[0, A] + 2 x[1, C] + 5 x[0, A] x[1, C], a function of one target."""

    def function(x: NDArray) -> NDArray:
        return x[:, 0, 0] + 2 * x[:, 1, 1] + 5 * x[:, 0, 0] * x[:, 1, 1]

    x = one_hot(["GT"])
    effect = mutation_effect_by_loop(function, x)[0, ..., 0]
    np.testing.assert_array_equal(effect, [[1, 0, 0, 0], [0, 2, 0, 0]])
    epistasis = epistasis_by_loop(function, x, [(0, 1)])[0, 0, ..., 0]
    np.testing.assert_array_equal(epistasis, [[0, 5, 0, 0], [0] * 4, [0] * 4, [0] * 4])


def test_gradient_is_the_change_along_each_entry(model: MultilinearModel) -> None:
    x = np.random.default_rng(0).random((2, LENGTH, 4))
    slope = model.gradient(x)
    for position, base in np.ndindex(LENGTH, 4):
        step = np.zeros_like(x)
        step[:, position, base] = 1
        # Multilinear: the change is the derivative whatever the step. Some hundred terms of order 1.
        np.testing.assert_allclose(model(x + step) - model(x), slope[:, position, base], rtol=0, atol=1e-11)


def test_linear_contributions_are_weights_times_difference() -> None:
    model = linear_model(LENGTH, n_targets=2)
    x = random_sequences(3, LENGTH, seed=1)["one_hot"].values
    references = random_sequences(15, LENGTH, seed=2)["one_hot"].values.reshape(3, 5, LENGTH, 4)
    expected = [
        np.mean(
            [model.weights - (r[..., np.newaxis] * model.weights).sum(1, keepdims=True) for r in own], axis=0
        )
        for own in references
    ]
    found = model.expected_hypothetical_contribution(x, references)
    # A mean of five numbers, in another order.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("model", [bilinear_model(LENGTH, 2), rc_symmetric_model(LENGTH)])
def test_bilinear_contributions_are_integrated_gradients(model: MultilinearModel) -> None:
    x = random_sequences(3, LENGTH, n_fraction=0.1, seed=1)["one_hot"].values.astype(np.float64)
    profiles = np.random.default_rng(0).random((3, 2, LENGTH, 4))
    found = model.expected_hypothetical_contribution(x, profiles)  # type: ignore[attr-defined]
    # Two-point Gauss-Legendre quadrature is exact up to the third power.
    steps = (1 + np.array([-1, 1]) / np.sqrt(3)) / 2
    expected = np.zeros_like(found)
    for r in profiles.swapaxes(0, 1):
        multipliers = np.mean([model.gradient(r + step * (x - r)) for step in steps], axis=0)
        for base in range(4):
            difference = np.eye(4)[base] - r
            expected[:, :, base] += (difference[..., np.newaxis] * multipliers).sum(axis=2) / 2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", [linear_model(LENGTH, 2), bilinear_model(LENGTH, 2)])
def test_contributions_are_complete(model: MultilinearModel) -> None:
    x = random_sequences(3, LENGTH, seed=1)["one_hot"].values
    references = random_sequences(12, LENGTH, seed=2)["one_hot"].values.reshape(3, 4, LENGTH, 4)
    hypothetical = model.expected_hypothetical_contribution(x, references)  # type: ignore[attr-defined]
    total = (hypothetical * x[..., np.newaxis]).sum(axis=(1, 2))
    background = model(references.reshape(12, LENGTH, 4)).reshape(3, 4, -1).mean(axis=1)
    np.testing.assert_allclose(total, model(x) - background, rtol=0, atol=1e-12)


def test_motif_counts_are_those_of_a_text_search() -> None:
    texts = decode_one_hot(random_sequences(50, 40, n_fraction=0.02, seed=6)["one_hot"].values)
    x = one_hot(texts)

    def count(text: str, motif: str) -> int:
        return sum(text.startswith(motif, start) for start in range(len(text)))

    counts = motif_counter("AC")(x)
    assert counts.max() > 2
    assert counts[:, 0].tolist() == [count(text, "AC") for text in texts]
    both = motif_counter("AC", both_strands=True)(x)
    assert both[:, 0].tolist() == [count(text, "AC") + count(text, "GT") for text in texts]
    gap = motif_counter("ANC")(x)
    assert gap[:, 0].tolist() == [sum(count(text, f"A{base}C") for base in "ACGT") for text in texts]


def test_matrix_sums_products() -> None:
    matrix = np.array([[1, 2, 3, 4], [10, 20, 30, 40]])
    assert motif_counter(matrix)(one_hot(["ACNGT"])).tolist() == [[1 * 20 + 3 * 40]]


@pytest.mark.parametrize(
    "model",
    [rc_symmetric_model(LENGTH, 3), motif_counter("GATTA", both_strands=True)],
    ids=["bilinear", "motif"],
)
def test_both_strands_are_alike(model: MultilinearModel) -> None:
    x = random_sequences(2000, LENGTH, n_fraction=0.05, seed=7)["one_hot"].values
    np.testing.assert_array_equal(model(x), model(reverse_complement(x)))
    assert np.ptp(model(x)) > 0


def test_other_models_tell_strands_apart() -> None:
    x = random_sequences(20, LENGTH)["one_hot"].values
    for model in (linear_model(LENGTH), bilinear_model(LENGTH), motif_counter("AA")):
        assert (model(x) != model(reverse_complement(x))).any()


def test_pair_weights_are_of_pairs() -> None:
    weights = bilinear_model(5, n_targets=2).pair_weights
    assert weights.shape == (5, 4, 5, 4, 2)
    for first, second in np.ndindex(5, 5):
        assert weights[first, :, second].any() == (first < second)


def test_seeds() -> None:
    for make in (linear_model, bilinear_model, rc_symmetric_model):
        np.testing.assert_array_equal(make(4, seed=1).weights, make(4, seed=1).weights)
        assert (make(4, seed=1).weights != make(4, seed=2).weights).any()
    assert random_sequences(2, 30, seed=1).equals(random_sequences(2, 30, seed=1))
    assert not random_sequences(2, 30, seed=1).equals(random_sequences(2, 30, seed=2))


def test_random_sequences() -> None:
    sequences = random_sequences(100, 200, n_fraction=0.1)
    assert sequences["one_hot"].dtype == np.float32
    assert sequences["id"].values.tolist() == [str(i) for i in range(100)]
    x = sequences["one_hot"].values
    # Five standard deviations in 20,000 bases.
    assert abs((~x.any(axis=-1)).mean() - 0.1) < 5 * np.sqrt(0.1 * 0.9 / 20_000)
    assert (np.abs(x.mean(axis=(0, 1)) - 0.225) < 5 * np.sqrt(0.225 * 0.775 / 20_000)).all()
    assert random_sequences(3, 50)["one_hot"].values.any(axis=-1).all()
    assert not random_sequences(3, 50, n_fraction=1)["one_hot"].values.any()


def test_models_can_be_given_to_a_method(model: MultilinearModel) -> None:
    sequences = random_sequences(3, LENGTH, n_fraction=0.1, seed=8)
    result = in_silico_mutagenesis(as_sequence_model(model, targets=model.target_names), sequences)
    # A method may keep single precision; the effects are exact in it.
    np.testing.assert_array_equal(
        result["mutation_effect"], model.expected_mutation_effect(sequences["one_hot"].values)
    )
    assert result.attrs["model"] == model.name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: motif_counter(""), "motif: expected letters A, C, G, T and N, got ''"),
        (lambda: motif_counter("GAR"), "got 'GAR'"),
        (
            lambda: motif_counter(np.zeros((3, 5))),
            r"motif: expected a matrix \(position, 4\), got shape \(3, 5\)",
        ),
        (lambda: motif_counter(np.zeros((0, 4))), r"got shape \(0, 4\)"),
        (lambda: random_sequences(0, 5), "at least one sequence"),
        (lambda: random_sequences(1, 5, n_fraction=1.5), "n_fraction: .* got 1.5"),
        (lambda: linear_model(4).expected_epistasis(np.eye(4)[np.newaxis], [(2, 1)]), "got 2, 1"),
        (
            lambda: epistasis_by_loop(linear_model(4), np.eye(4)[np.newaxis], [(0, 4)]),
            "from 0 to 3, .*got 0, 4",
        ),
        (
            lambda: bilinear_model(4).mixed_derivative(np.eye(4)[np.newaxis], np.array([0, 1])),
            r"shape \(pair, 2\)",
        ),
    ],
)
def test_bad_arguments_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


# Methods that keep the promises, or break one.


def scores(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    prediction = model(sequences["one_hot"].values)
    return sequences[["one_hot"]].assign(score=(("sequence", "target"), prediction))


def depends_on_the_batch_size(
    model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4
) -> xr.Dataset:
    result = scores(model, sequences)
    return result.assign(score=result["score"] + 1e-3 * batch_size)


def depends_on_company(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    result = scores(model, sequences)
    return result.assign(score=result["score"] - result["score"].mean("sequence"))


def draws_by_order(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    result = scores(model, sequences)
    return result.assign(score=result["score"] + np.random.default_rng(0).normal(size=result["score"].shape))


def loses_names(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    return scores(model, sequences).assign_coords(
        id=("sequence", [str(i) for i in range(len(sequences["id"]))])
    )


def overwrites(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    result = scores(model, sequences)
    sequences["one_hot"].values[0, 0] = 0
    return result


def renames_an_attribute(
    model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4
) -> xr.Dataset:
    sequences.attrs["method"] = "scores"
    return scores(model, sequences)


def gives_nothing(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    result = scores(model, sequences)[["score"]]
    return result.assign(score=result["score"] * np.nan)


def changes_dimensions(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    result = scores(model, sequences)
    return result.transpose("target", ...) if batch_size > 100 else result


def changes_variables(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
    result = scores(model, sequences)
    return result.drop_vars("score") if batch_size > 100 else result


LINEAR = linear_model(LENGTH)
FIVE = random_sequences(5, LENGTH, seed=9)


def test_a_method_that_keeps_its_promises() -> None:
    assert_batch_invariant(scores, LINEAR, FIVE, rtol=0)
    assert_order_invariant(scores, LINEAR, FIVE, rtol=0)
    assert_leaves_sequences(scores, LINEAR, FIVE)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (depends_on_the_batch_size, "batch size 7 and not 1: score"),
        (depends_on_company, "sequence 0 alone: score"),
        (draws_by_order, "sequence 1 alone: score"),
        (loses_names, "sequence 1 alone: id"),
        (changes_dimensions, r"score is float64 \('target', 'sequence'\), not float64"),
        (changes_variables, "batch size 256 and not 1: variables"),
        (gives_nothing, "no variable of the result has finite numbers along 'sequence'"),
    ],
)
def test_batch_dependence_is_found(method: Callable[..., xr.Dataset], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_batch_invariant(method, LINEAR, FIVE)


@pytest.mark.parametrize("method", [draws_by_order, loses_names, gives_nothing])
def test_order_dependence_is_found(method: Callable[..., xr.Dataset]) -> None:
    with pytest.raises(AssertionError):
        assert_order_invariant(method, LINEAR, FIVE)


@pytest.mark.parametrize("method", [overwrites, renames_an_attribute])
def test_a_change_of_the_sequences_is_found(method: Callable[..., xr.Dataset]) -> None:
    with pytest.raises(AssertionError):
        assert_leaves_sequences(method, LINEAR, FIVE.copy(deep=True))


def test_tolerance_is_relative_to_the_largest_value() -> None:
    def shifted(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
        score = np.array([0.0, 0.0, -8.0, 1.0]) + (0.001 if batch_size == 7 else 0)
        return xr.Dataset({"score": ("sequence", score[sequences["number"].values])})

    four = random_sequences(4, LENGTH).assign(number=("sequence", np.arange(4)))
    # With the last size, 1, nothing is shifted; so it is only the size of 7 that differs, by 0.001.
    for rtol, atol in ((0.001 / 8 * 1.01, 0), (0, 0.00101), (0.001 / 8 * 0.51, 0.00051)):
        assert_batch_invariant(shifted, LINEAR, four, batch_sizes=(1, 7, 1), rtol=rtol, atol=atol)
    for rtol, atol in ((0.001 / 8 * 0.99, 0), (0, 0.00099)):
        with pytest.raises(AssertionError, match="batch size 7 and not 1: score"):
            assert_batch_invariant(shifted, LINEAR, four, batch_sizes=(1, 7, 1), rtol=rtol, atol=atol)


def test_variables_without_the_dimension_are_not_those_of_a_part() -> None:
    def with_mean(model: MultilinearModel, sequences: xr.Dataset, *, batch_size: int = 4) -> xr.Dataset:
        result = scores(model, sequences)
        return result.assign(mean=result["score"].mean("sequence"))

    # A mean over sequences is none of the promises, and a sum in another order is not equal bit by bit.
    assert_batch_invariant(with_mean, LINEAR, FIVE, rtol=0)
    assert_order_invariant(with_mean, LINEAR, FIVE, rtol=0)


def test_checks_need_something_to_check() -> None:
    with pytest.raises(InputError, match="at least two along 'sequence', got 1"):
        assert_batch_invariant(scores, LINEAR, FIVE.isel(sequence=[0]))
    with pytest.raises(InputError, match="at least two along 'background', got 0"):
        assert_order_invariant(scores, LINEAR, FIVE, dim="background")
    with pytest.raises(InputError, match="batch_sizes: expected at least one"):
        assert_batch_invariant(scores, LINEAR, FIVE, batch_sizes=())


@pytest.mark.parametrize("name", ["linear", "bilinear"])
def test_in_silico_mutagenesis_keeps_its_promises(name: str) -> None:
    function = MODELS[name]
    model = as_sequence_model(function, targets=function.target_names)
    sequences = random_sequences(4, LENGTH, n_fraction=0.1, seed=10)
    assert_batch_invariant(in_silico_mutagenesis, model, sequences, rtol=0, start=2)
    assert_order_invariant(in_silico_mutagenesis, model, sequences, rtol=0, batch_size=5)
    assert_leaves_sequences(in_silico_mutagenesis, model, sequences)
