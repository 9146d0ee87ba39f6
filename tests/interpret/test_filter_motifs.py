"""Motifs of filters: counted by a slow loop, the same in both frameworks, tied filters, names, importance."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

import kipoi_tfbind.layers
from kipoi_tfbind import as_sequence_model, encode_sequences, filter_motifs, match_filters
from kipoi_tfbind.dna.one_hot import decode_one_hot, reverse_complement
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.interpret._site_counts import Largest
from kipoi_tfbind.interpret.permuted_filters import permuted_filter_motifs
from kipoi_tfbind.models.convolution_layer import convolution_layer, kernel_of
from kipoi_tfbind.motifs.chance import ChanceMatches
from kipoi_tfbind.motifs.collect import collect_motifs

LENGTH, WIDTH, FILTERS = 60, 7, 5


@pytest.fixture(scope="module")
def sequences() -> xr.Dataset:
    return encode_sequences(decode_one_hot(random_sequences(80, LENGTH, seed=1)))


@pytest.fixture(scope="module")
def networks() -> tuple[keras.Model, torch.nn.Module]:
    """The same network twice: convolution, normalisation, ReLU, pool, convolution, ReLU, dense."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(WIDTH, 4, FILTERS)).astype(np.float32)
    kernel[..., 3] = -np.abs(kernel[..., 3])  # with its bias never above 0
    bias = np.array([0.1, -0.2, 0.0, -0.1, 0.3], dtype=np.float32)
    scale = np.array([1.2, 0.7, 1.0, 1.0, 0.5], dtype=np.float32)
    second = rng.normal(size=(3, FILTERS, 4)).astype(np.float32)
    dense = rng.normal(size=(13 * 4, 2)).astype(np.float32)
    inputs = keras.Input((LENGTH, 4))
    x = keras.layers.Conv1D(FILTERS, WIDTH, padding="same", name="first")(inputs)
    x = keras.layers.BatchNormalization(epsilon=1e-3, name="norm")(x)
    x = keras.layers.ReLU(name="act")(x)
    x = keras.layers.MaxPooling1D(4, name="pool")(x)
    x = keras.layers.Conv1D(4, 3, activation="relu", name="second")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(keras.layers.Flatten()(x)))
    model.get_layer("first").set_weights([kernel, bias])
    zeros, ones = np.zeros(FILTERS, np.float32), np.ones(FILTERS, np.float32)
    model.get_layer("norm").set_weights([scale, zeros, zeros, ones - 1e-3])
    model.get_layer("second").set_weights([second, np.zeros(4, np.float32)])
    model.get_layer("out").set_weights([dense, np.zeros(2, np.float32)])

    class Swap(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.transpose(1, 2)

    network = torch.nn.Sequential(
        torch.nn.Conv1d(4, FILTERS, WIDTH, padding=WIDTH // 2),
        torch.nn.BatchNorm1d(FILTERS, eps=1e-3),
        torch.nn.ReLU(),
        torch.nn.MaxPool1d(4),
        torch.nn.Conv1d(FILTERS, 4, 3),
        torch.nn.ReLU(),
        Swap(),
        torch.nn.Flatten(),
        torch.nn.Linear(52, 2),
    )
    weights = {
        "0.weight": kernel.transpose(2, 1, 0),
        "0.bias": bias,
        "1.weight": scale,
        "1.bias": zeros,
        "1.running_mean": zeros,
        "1.running_var": ones - 1e-3,
        "1.num_batches_tracked": np.array(0),
        "4.weight": second.transpose(2, 1, 0),
        "4.bias": np.zeros(4, np.float32),
        "8.weight": dense.T,
        "8.bias": np.zeros(2, np.float32),
    }
    network.load_state_dict({name: torch.as_tensor(np.array(value)) for name, value in weights.items()})
    return model, network.eval()


def by_loop(
    activations: np.ndarray, one_hot: np.ndarray, offset: int, width: int, share: float
) -> np.ndarray:
    """Counts (filter, column, base) under activations above a share of each filter's largest."""
    n, n_positions, n_filters = activations.shape
    counts = np.zeros((n_filters, width, 4))
    for f in range(n_filters):
        least = share * activations[:, :, f].max()
        for i in range(n):
            for j in range(n_positions):
                start = j + offset
                if activations[i, j, f] > least > 0 and start >= 0 and start + width <= one_hot.shape[1]:
                    counts[f] += one_hot[i, start : start + width]
    return counts


def test_counts_importance_and_kernels(networks: tuple, sequences: xr.Dataset) -> None:
    model = networks[0]
    found = filter_motifs(model, sequences, batch_size=32)
    one_hot = sequences["one_hot"].values
    inner = keras.Model(model.input, model.get_layer("act").output)
    activations = inner.predict(one_hot, verbose=0)
    expected = by_loop(activations, one_hot, -(WIDTH // 2), WIDTH, 0.5)
    np.testing.assert_array_equal(found["motif_count"].values, expected)
    np.testing.assert_array_equal(found["n_motif_sites"].values, expected[:, 0].sum(axis=-1))
    assert found["is_dead"].values.tolist() == [0, 0, 0, 1, 0]
    assert found["rc_partner"].values.tolist() == [-1] * FILTERS
    assert list(collect_motifs(found)) == ["filter 0", "filter 1", "filter 2", "filter 4"]

    # Silencing, by surgery on the model: a filter's scale and shift at 0.
    plain = model.predict(one_hot, verbose=0)
    norm = model.get_layer("norm")
    before = norm.get_weights()
    for f in range(FILTERS):
        gamma = before[0].copy()
        gamma[f] = 0
        norm.set_weights([gamma, *before[1:]])
        change = model.predict(one_hot, verbose=0) - plain
        np.testing.assert_allclose(found["silencing_effect"].values[f], change.mean(axis=0), atol=1e-5)
        half = stats.t.ppf(0.975, len(change) - 1) * stats.sem(change, axis=0)
        low = found["silencing_effect_low"].values[f]
        np.testing.assert_allclose(low, change.mean(axis=0) - half, atol=1e-5)
    norm.set_weights(before)

    # The transform: log-likelihood ratio = convolution + constant.
    kernel = model.get_layer("first").get_weights()[0].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(one_hot.astype(np.float64), (WIDTH, 4), axis=(1, 2))[
        :, :, 0
    ]
    convolution = np.einsum("nswb,wbf->nsf", windows, kernel)
    log_ratio = np.einsum("nswb,fwb->nsf", windows, np.log(found["kernel_matrix"].values / 0.25))
    difference = log_ratio - convolution
    np.testing.assert_allclose(
        difference, np.broadcast_to(found["kernel_constant"].values, difference.shape), atol=1e-6
    )


def test_frameworks_batches_and_streams_agree(networks: tuple, sequences: xr.Dataset) -> None:
    expected = filter_motifs(networks[0], sequences)

    def stream() -> Iterator[xr.Dataset]:
        for rows in (slice(50, 80), slice(0, 50)):
            yield sequences.isel(sequence=rows)

    others = [
        filter_motifs(as_sequence_model(networks[1], length=LENGTH), sequences),
        filter_motifs(networks[0], sequences, batch_size=7),
        filter_motifs(networks[0], stream),
    ]
    for other in others:
        for name in ("motif_count", "n_motif_sites", "is_dead"):
            np.testing.assert_array_equal(other[name].values, expected[name].values)
        for name in ("silencing_effect", "silencing_effect_low", "kernel_matrix"):
            np.testing.assert_allclose(other[name].values, expected[name].values, atol=2e-5)


def test_deeper_layers_by_their_receptive_field(networks: tuple, sequences: xr.Dataset) -> None:
    deep = filter_motifs(networks[0], sequences, layer="second", importance=False)
    # Three outputs of the pool, of 4 positions each, each of which sees 7.
    assert deep.attrs["receptive_field"] == 3 * 4 + WIDTH - 1
    assert deep.attrs["stride"] == 4
    assert np.isnan(deep["kernel_matrix"].values).all()
    layer = convolution_layer(as_sequence_model(networks[1], length=LENGTH), LENGTH, "4")
    assert (layer.size, layer.stride, layer.offset) == (18, 4, -3)
    assert kernel_of(layer, LENGTH) is None


def test_other_choices_of_sites(networks: tuple, sequences: xr.Dataset) -> None:
    one_hot = sequences["one_hot"].values
    inner = keras.Model(networks[0].input, networks[0].get_layer("act").output)
    activations = inner.predict(one_hot, verbose=0)
    best = filter_motifs(networks[0], sequences, sites="maximum", importance=False)
    inside = activations[:, 3:-3]
    assert best["n_motif_sites"].values.tolist() == (inside.max(axis=1) > 0).sum(axis=0).tolist()
    some = filter_motifs(networks[0], sequences, sites="quantile", threshold=0.99, importance=False)
    above = inside > np.quantile(activations, 0.99, axis=(0, 1))
    np.testing.assert_allclose(some["n_motif_sites"].values, above.sum(axis=(0, 1)), atol=4)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("exponential", 0.2),
        (kipoi_tfbind.layers.BoundedExponential(), 0.2),
        ("relu", 0.5),
        ("softplus", 0.5),
        ("sigmoid", 0.5),
    ],
)
def test_sites_of_an_exponential_activation_reach_further_down(
    activation: object, expected: float, sequences: xr.Dataset
) -> None:
    """By default; the sites are those of the same threshold by hand."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((LENGTH, 4))
    x = keras.layers.Conv1D(FILTERS, WIDTH, name="first")(inputs)
    x = keras.layers.Activation(activation)(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    found = filter_motifs(model, sequences, importance=False)
    one_hot = sequences["one_hot"].values
    activations = keras.Model(inputs, x).predict(one_hot, verbose=0)
    by_hand = by_loop(activations, one_hot, 0, WIDTH, expected)
    np.testing.assert_array_equal(found["motif_count"].values, by_hand)


def test_models_with_a_further_input(sequences: xr.Dataset) -> None:
    """Filters see the sequence alone: a further input that the head sees changes none of their motifs."""
    keras.utils.set_random_seed(1)
    inputs, age = keras.Input((LENGTH, 4), name="sequence"), keras.Input((1,), name="age")
    x = keras.layers.Conv1D(FILTERS, WIDTH, activation="exponential", name="first")(inputs)
    head = keras.layers.Concatenate()([keras.layers.GlobalMaxPooling1D()(x), age])
    both = as_sequence_model(
        keras.Model([inputs, age], keras.layers.Dense(1)(head)), sequence_input="sequence"
    )
    alone = keras.Model(inputs, keras.layers.GlobalMaxPooling1D()(x))
    ages = np.arange(sequences.sizes["sequence"], dtype=np.float32)[:, np.newaxis]
    found = filter_motifs(both, sequences.assign(auxiliary_age=(("sequence", "auxiliary_age_1"), ages)))
    assert found.attrs["threshold"] == 0.2
    expected = filter_motifs(alone, sequences, importance=False)
    np.testing.assert_array_equal(found["motif_count"].values, expected["motif_count"].values)


def test_quantiles_of_a_stream() -> None:
    values = np.random.default_rng(0).normal(size=(50, 40, 3)).astype(np.float32)
    largest = Largest(3, with_counts=True)
    for part in np.array_split(values, 7):
        largest.add(part)
    for share in (0.05, 0.5, 0.99):
        exact = np.quantile(values, share, axis=(0, 1))
        np.testing.assert_allclose(largest.quantile(share), exact, rtol=0.01, atol=0.01)


def test_tied_filters_are_one_motif(sequences: xr.Dataset) -> None:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((LENGTH, 4))
    x = kipoi_tfbind.layers.RevCompConv1D(3, WIDTH, name="motifs")(inputs)
    x = keras.layers.Activation("exponential")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling1D()(x)))
    found = filter_motifs(model, sequences, importance=False)
    assert found["rc_partner"].values.tolist() == [5, 4, 3]
    backward = sequences.assign(
        one_hot=(("sequence", "position", "base"), reverse_complement(sequences["one_hot"].values))
    )
    other = filter_motifs(model, backward, importance=False)
    np.testing.assert_array_equal(found["motif_count"].values, other["motif_count"].values)


@pytest.mark.slow
def test_names_and_false_names(tmp_path: Path) -> None:
    pytest.importorskip("memelite")
    pytest.importorskip("pyjaspar")
    # One filter is CTCF's log odds; the others are random.
    from kipoi_tfbind.motifs.read import parse_motif

    matrix = parse_motif("MA0139.2").matrix
    kernel = np.random.default_rng(0).normal(size=(15, 4, 8)).astype(np.float32)
    kernel[..., 0] = np.log2((matrix + 0.01) / 0.26)
    inputs = keras.Input((100, 4))
    convolution = keras.layers.Conv1D(8, 15, activation="relu", name="motifs")
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling1D()(convolution(inputs)))
    convolution.set_weights([kernel, np.zeros(8, np.float32)])
    rows = random_sequences(400, 100, seed=2)
    for i in range(0, 400, 2):
        drawn = (np.random.default_rng(i).random((15, 1)) > matrix.cumsum(axis=1)[:, :3]).sum(axis=1)
        rows[i, 40:55] = np.eye(4)[drawn]
    planted = encode_sequences(decode_one_hot(rows))
    found = match_filters(filter_motifs(model, planted, importance=False), planted)
    assert found["match_name"].values[0, 0] == "CTCF"
    q = found["match_q_value"].values[:, 0]
    assert q[0] < 0.1
    assert (q[1:] > q[0]).all()
    assert found.attrs["false_match_rate"] <= 0.05
    assert found.attrs["release"] == "JASPAR2024"


def test_permuted_filters_by_a_loop(networks: tuple, sequences: xr.Dataset) -> None:
    """As many sites as the filter has, the strongest; the same from a stream, in any order."""
    result = filter_motifs(networks[0], sequences, importance=False)
    found = permuted_filter_motifs(result, sequences, n=2, seed=4)

    def stream() -> Iterator[xr.Dataset]:
        for rows in (slice(50, 80), slice(0, 50)):
            yield sequences.isel(sequence=rows)

    np.testing.assert_array_equal(
        permuted_filter_motifs(result, stream, n=2, seed=4)["motif_matrix"].values,
        found["motif_matrix"].values,
    )
    assert found.sizes["motif"] == 2 * 4  # one filter is dead
    windows = np.lib.stride_tricks.sliding_window_view(
        sequences["one_hot"].values.astype(np.float64), (WIDTH, 4), axis=(1, 2)
    )[:, :, 0].reshape(-1, WIDTH, 4)
    weights = np.log(result["kernel_matrix"].values[0])
    digest = hashlib.sha256(np.rint(weights * 1e4).astype(np.int64).tobytes()).digest()
    permuted = np.random.default_rng([4, *digest]).permutation(weights.ravel()).reshape(WIDTH, 4)
    scores = np.einsum("nwb,wb->n", windows, permuted)
    n = int(result["n_motif_sites"].values[0])
    strongest = windows[np.argsort(-scores, kind="stable")[:n]].mean(axis=0)
    np.testing.assert_allclose(found["motif_matrix"].values[0], strongest, atol=1.5 / n)


def test_permuted_filters_in_constant_memory(networks: tuple, sequences: xr.Dataset) -> None:
    result = filter_motifs(networks[0], sequences, importance=False)

    def peak(n: int) -> int:
        def stream() -> Iterator[xr.Dataset]:
            return (sequences for _ in range(n))

        tracemalloc.start()
        permuted_filter_motifs(result, stream, n=2)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(1)
    assert peak(60) < 1.1 * peak(20)


def test_chance_counts_by_known_motif() -> None:
    """One known motif is matched by all that is permuted, another by none of it."""
    rng = np.random.default_rng(0)
    null = rng.random((500, 40))
    null[:, 0] **= 20
    chance = ChanceMatches(null)
    common, rare = (chance.q_values(np.array([[1e-9]]), np.array([[at]]))[0, 0] for at in (0, 1))
    assert rare == 1 / 501
    assert common > 0.2
    # Other draws from the same null: the share below 0.05 is no larger than that.
    other = rng.random((500, 40))
    other[:, 0] **= 20
    best = other.argmin(axis=1)
    single = [chance.q_values(other[[i], [best[i]]][:, None], best[[i]][:, None])[0, 0] for i in range(500)]
    assert np.mean(np.array(single) < 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


def test_bad_input(networks: tuple, sequences: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"layer: expected one \(first, second\), got 'third'"):
        filter_motifs(networks[0], sequences, layer="third")
    with pytest.raises(UnsupportedModelError, match="average of models or strands"):
        filter_motifs(as_sequence_model(networks[0]).average_strands(), sequences)
    with pytest.raises(InputError, match="sites, threshold"):
        filter_motifs(networks[0], sequences, threshold=2)
    with pytest.raises(UnsupportedModelError, match="cannot be traced"):
        filter_motifs(lambda x: x.sum(axis=(1, 2)), sequences)
