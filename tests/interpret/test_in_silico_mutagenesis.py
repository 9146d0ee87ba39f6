"""In-silico mutagenesis against a loop over single mutants, and against models whose answer is known."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import SequenceModel, as_sequence_model, encode_sequences, in_silico_mutagenesis
from kipoi_tfbind.dna.one_hot import one_hot
from kipoi_tfbind.errors import InputError

LENGTH = 12
SEQUENCES = ["ACGTNACGTACG", "NNTTGACCATGA", "GGGGGGGGGGGG", "acgtacgtacgR"]


def nonlinear(seed: int = 0, length: int = LENGTH) -> Callable[[NDArray], NDArray]:
    """Two targets in float64 that are not additive over positions."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, length, 4)), rng.normal(size=(2, length, 4))

    def predict(one_hot: NDArray) -> NDArray:
        one_hot = one_hot.astype(np.float64)
        linear = np.einsum("nlb,tlb->nt", one_hot, first)
        return np.tanh(linear / 3) * np.einsum("nlb,tlb->nt", one_hot, second) ** 2

    return predict


def counts(length: int = LENGTH) -> Callable[[NDArray], NDArray]:
    """Not additive, and of whole numbers only: exact whatever the order of the sums."""
    weights = np.random.default_rng(1).integers(-9, 9, size=(length, 4)).astype(np.float64)
    return lambda one_hot: np.stack([np.abs((one_hot * weights).sum(axis=(1, 2))), one_hot[:, 0, 0]], axis=1)


def effects_by_loop(predict: Callable[[NDArray], NDArray], sequences: list[str]) -> NDArray:
    """Letter by letter, one mutant at a time: (sequence, position, base, target)."""
    rows = []
    for sequence in sequences:
        reference = predict(one_hot([sequence]))[0]
        rows.append(
            [
                [
                    np.full_like(reference, np.nan)
                    if letter not in "ACGT"
                    else predict(one_hot([sequence[:i] + base + sequence[i + 1 :]]))[0] - reference
                    for base in "ACGT"
                ]
                for i, letter in enumerate(sequence.upper())
            ]
        )
    return np.array(rows)


class Recorder:
    """A model that keeps what it was shown."""

    def __init__(self, predict: Callable[[NDArray], NDArray]) -> None:
        self.predict = predict
        self.batches: list[NDArray] = []

    def __call__(self, one_hot: NDArray) -> NDArray:
        self.batches.append(one_hot.copy())
        return self.predict(one_hot)


def two_targets(predict: Callable[[NDArray], NDArray]) -> SequenceModel:
    return as_sequence_model(predict, targets=["x", "y"])


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_effects_equal_a_loop_over_single_mutants(batch_size: int) -> None:
    predict = nonlinear()
    result = in_silico_mutagenesis(two_targets(predict), encode_sequences(SEQUENCES), batch_size=batch_size)
    assert result["mutation_effect"].dims == ("sequence", "position", "base", "target")
    np.testing.assert_allclose(
        result["mutation_effect"], effects_by_loop(predict, SEQUENCES), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(result["prediction"], predict(one_hot(SEQUENCES)), rtol=1e-12)


def test_effects_of_an_additive_model_are_weight_differences() -> None:
    weights = np.random.default_rng(3).normal(size=(LENGTH, 4))
    model = as_sequence_model(lambda x: np.einsum("nlb,lb->n", x.astype(float), weights), targets=["pwm"])
    sequence = "ACGTTGCAACGT"
    effect = in_silico_mutagenesis(model, encode_sequences([sequence]))["mutation_effect"].values[0, ..., 0]
    here = ["ACGT".index(letter) for letter in sequence]
    np.testing.assert_allclose(effect, weights - weights[np.arange(LENGTH), here, np.newaxis], atol=1e-12)
    assert (effect[np.arange(LENGTH), here] == 0).all()


def test_effects_of_a_keras_model_equal_a_loop_over_single_mutants() -> None:
    import keras

    from kipoi_tfbind.architectures import motif_cnn

    keras.utils.set_random_seed(0)
    network = motif_cnn(length=40, n_targets=2, filters=8, kernel_size=7, second_filters=4, hidden_units=8)
    # As initialised, normalisation and biases do nothing.
    for seed, weight in enumerate(network.weights):
        if weight.name != "kernel":
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5, seed=seed))
    rng = np.random.default_rng(5)
    sequences = ["".join(rng.choice(list("ACGTN"), size=40, p=[0.24] * 4 + [0.04])) for _ in range(2)]
    result = in_silico_mutagenesis(two_targets(network.predict_on_batch), encode_sequences(sequences))
    expected = effects_by_loop(lambda x: np.asarray(network(x), dtype=np.float64), sequences)
    scale = np.nanmax(np.abs(expected))
    assert scale > 0.01
    np.testing.assert_allclose(result["mutation_effect"], expected, rtol=0, atol=1e-5 * scale)


def test_window_is_the_same_part_of_the_whole() -> None:
    model, sequences = two_targets(counts()), encode_sequences(SEQUENCES)
    whole = in_silico_mutagenesis(model, sequences)
    part = in_silico_mutagenesis(model, sequences, start=3, end=9)
    assert part["position"].values.tolist() == [3, 4, 5, 6, 7, 8]
    for name in ("mutation_effect", "prediction", "one_hot"):
        xr.testing.assert_equal(
            part[name],
            whole[name].sel(position=slice(3, 8)) if "position" in whole[name].dims else whole[name],
        )


def test_chosen_positions_are_the_same_part_of_the_whole() -> None:
    model, sequences = two_targets(counts()), encode_sequences(SEQUENCES)
    whole = in_silico_mutagenesis(model, sequences)
    part = in_silico_mutagenesis(model, sequences, positions=[9, 2, 3, 9])
    assert part["position"].values.tolist() == [2, 3, 9]
    for name in ("mutation_effect", "one_hot"):
        xr.testing.assert_equal(part[name], whole[name].isel(position=[2, 3, 9]))
    for positions, message in (([12], "12 is not in the sequences"), ([], "expected at least one, got none")):
        with pytest.raises(InputError, match=message):
            in_silico_mutagenesis(model, sequences, positions=positions)


def test_result_does_not_depend_on_batch_size_or_company() -> None:
    model = two_targets(counts())
    together = in_silico_mutagenesis(model, encode_sequences(SEQUENCES), batch_size=256)
    for batch_size in (1, 7):
        other = in_silico_mutagenesis(model, encode_sequences(SEQUENCES), batch_size=batch_size)
        xr.testing.assert_equal(together, other)
    one_by_one = [
        in_silico_mutagenesis(model, encode_sequences([sequence], ids=[str(number)]))
        for number, sequence in enumerate(SEQUENCES)
    ]
    xr.testing.assert_equal(together, xr.concat(one_by_one, dim="sequence"))
    backwards = in_silico_mutagenesis(model, encode_sequences(SEQUENCES[::-1]), batch_size=7)
    np.testing.assert_array_equal(together["mutation_effect"], backwards["mutation_effect"][::-1])


def test_three_mutants_a_base_in_batches_of_one_shape() -> None:
    recorder = Recorder(counts())
    in_silico_mutagenesis(two_targets(recorder), encode_sequences(SEQUENCES), batch_size=50)
    bases = sum(letter in "ACGTacgt" for sequence in SEQUENCES for letter in sequence)
    # Before the mutants, the sequences themselves and their reverse complements.
    assert {batch.shape for batch in recorder.batches[:2]} == {(len(SEQUENCES), LENGTH, 4)}
    assert {batch.shape for batch in recorder.batches[2:]} == {(50, LENGTH, 4)}
    assert len(recorder.batches) == 2 + -(-3 * bases // 50)
    shown = np.concatenate(recorder.batches[2:])[: 3 * bases]
    assert len(np.unique(shown, axis=0)) == 3 * bases


def test_n_is_never_mutated_and_its_effect_is_missing() -> None:
    recorder = Recorder(counts())
    sequences = encode_sequences(["NNACGTNACGTA"])
    effect = in_silico_mutagenesis(two_targets(recorder), sequences)["mutation_effect"].values[0]
    unknown = np.array([letter == "N" for letter in "NNACGTNACGTA"])
    assert np.isnan(effect[unknown]).all()
    assert np.isfinite(effect[~unknown]).all()
    mutants = np.concatenate(recorder.batches[2:])
    assert len(mutants) == 3 * (~unknown).sum()
    assert not mutants[:, unknown].any()


def test_only_n_gives_only_missing_effects() -> None:
    result = in_silico_mutagenesis(two_targets(counts()), encode_sequences(["N" * LENGTH]))
    assert result["mutation_effect"].isnull().all()


def test_sequences_are_left_as_they_were() -> None:
    sequences = encode_sequences(SEQUENCES)
    before = sequences.copy(deep=True)
    in_silico_mutagenesis(two_targets(counts()), sequences, start=2)
    xr.testing.assert_identical(sequences, before)


def test_result_says_where_it_comes_from() -> None:
    sequences = encode_sequences(SEQUENCES, ids=list("abcd")).assign_coords(chrom=("sequence", ["chr20"] * 4))
    result = in_silico_mutagenesis(two_targets(counts()), sequences, start=1, end=5, batch_size=9)
    assert result["id"].values.tolist() == list("abcd")
    assert result["chrom"].values.tolist() == ["chr20"] * 4
    assert result["target"].values.tolist() == ["x", "y"]
    assert result["base"].values.tolist() == list("ACGT")
    expected = {"method": "in_silico_mutagenesis", "model": "<lambda>", "output": "raw"}
    assert expected.items() <= result.attrs.items()
    assert {"start": 1, "end": 5, "batch_size": 9}.items() <= result.attrs.items()
    assert "kipoi_tfbind 0." in result.attrs["versions"]


def test_memory_for_mutants_does_not_grow_with_their_number() -> None:
    length, n = 200, 60
    rng = np.random.default_rng(0)
    texts = ["".join(row) for row in rng.choice(list("ACGT"), size=(n, length))]
    model = as_sequence_model(lambda x: x[:, 0, 0], targets=["first A"])
    sequences = encode_sequences(texts)
    tracemalloc.start()
    try:
        in_silico_mutagenesis(model, sequences, batch_size=64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    all_mutants = n * 3 * length * length * 4 * 4
    assert all_mutants > 100e6
    assert peak < 10e6


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 3), (0, LENGTH + 1), (LENGTH, None)])
def test_positions_outside_the_sequence_are_refused(start: int, end: int | None) -> None:
    with pytest.raises(InputError, match="expected 0 <= start < end <= 12"):
        in_silico_mutagenesis(two_targets(counts()), encode_sequences(SEQUENCES), start=start, end=end)


def test_bad_input_is_refused() -> None:
    model, sequences = two_targets(counts()), encode_sequences(SEQUENCES)
    with pytest.raises(InputError, match="batch_size: expected at least 1, got 0"):
        in_silico_mutagenesis(model, sequences, batch_size=0)
    with pytest.raises(InputError, match=r"expected the variable one_hot .* found no variable"):
        in_silico_mutagenesis(model, xr.Dataset())
    with pytest.raises(InputError, match=r"expected the dimensions \(sequence, position, base\) of one_hot"):
        in_silico_mutagenesis(model, sequences.transpose("sequence", "base", "position"))
    soft = sequences.assign(one_hot=sequences["one_hot"] * 0.5)
    with pytest.raises(InputError, match="sequence 0, position 0: expected a single 1 or zeros"):
        in_silico_mutagenesis(model, soft)
