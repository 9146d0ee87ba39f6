"""RC layers against their defining laws, against explicit convolutions, and through save and reload."""

import json
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from kipoi_tfbind.layers import (
    BothStrands,
    BoundedExponential,
    CircularConv1D,
    Composition,
    Occupancy,
    RevCompBatchNormalization,
    RevCompConcatenate,
    RevCompConv1D,
    RevCompDense,
    RevCompResidualBlock,
    ReverseComplement,
    SelfAttention,
    StrandPool,
)

# Rounding of the two orders of summation: some hundred terms of order 1.
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def array(tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def flip(x) -> np.ndarray:
    """Reverse complement of a one-hot sequence or of an RC feature map."""
    return np.ascontiguousarray(array(x)[:, ::-1, ::-1])


def one_hot(rng, n, length, dtype="float32") -> np.ndarray:
    return np.eye(4, dtype=dtype)[rng.integers(4, size=(n, length))]


def randomise(layer, rng) -> None:
    """Give every weight a value of its own, so that no zero or one hides a mistake."""
    for weight in layer.weights:
        weight.assign(
            rng.uniform(0.3, 0.9, size=weight.shape) * np.sign(rng.uniform(-0.2, 1, size=weight.shape))
        )
        if "variance" in weight.path:
            weight.assign(ops.abs(weight))


MAPS: dict[str, Any] = {
    "conv": lambda dtype: RevCompConv1D(6, 5, activation="relu", dtype=dtype),
    "dilated": lambda dtype: RevCompConv1D(6, 3, dilation_rate=4, dtype=dtype),
    "valid": lambda dtype: RevCompConv1D(6, 4, dilation_rate=3, padding="valid", use_bias=False, dtype=dtype),
    "norm": lambda dtype: RevCompBatchNormalization(dtype=dtype),
    "block": lambda dtype: RevCompResidualBlock(3, dilation_rate=2, dropout=0.5, dtype=dtype),
    "lstm": lambda dtype: BothStrands(keras.layers.LSTM(3, return_sequences=True, dtype=dtype), dtype=dtype),
    "attention": lambda dtype: BothStrands(SelfAttention(2, 3, 5, dtype=dtype), dtype=dtype),
    "circular": lambda dtype: BothStrands(CircularConv1D(3, 6, dtype=dtype), dtype=dtype),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MAPS)
def test_feature_maps_flip_with_the_sequence(name, dtype, rng):
    layer = MAPS[name](dtype)
    x = one_hot(rng, 3, 40, dtype)
    layer(x)
    randomise(layer, rng)
    y = array(layer(x))
    assert y.dtype == dtype
    assert np.abs(y).max() > 0.1
    assert y.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(flip(layer(flip(x))), y, rtol=0, atol=TOLERANCE[dtype] * np.abs(y).max())


@pytest.mark.parametrize(("padding", "dilation"), [("same", 1), ("same", 3), ("valid", 2)])
def test_tied_convolution_equals_an_explicit_scan_of_both_strands(padding, dilation, rng):
    width, filters = 5, 3
    layer = RevCompConv1D(filters, width, dilation_rate=dilation, padding=padding, dtype="float64")
    x = one_hot(rng, 2, 30, "float64")
    y = array(layer(x))
    layer.bias.assign(rng.normal(size=filters))  # type: ignore[union-attr]
    y = array(layer(x))
    kernel, bias = array(layer.kernel), array(layer.bias)

    span = (width - 1) * dilation
    pad = span // 2 if padding == "same" else 0
    expected = np.zeros_like(y)
    for sequence, strand in ((x, slice(None)), (x[:, ::-1, ::-1], slice(None, None, -1))):
        padded = np.pad(sequence, ((0, 0), (pad, pad), (0, 0)))
        scan = np.stack(
            [
                np.einsum("nwc,wcf->nf", padded[:, start : start + span + 1 : dilation], kernel) + bias
                for start in range(padded.shape[1] - span)
            ],
            axis=1,
        )
        # The reverse strand's scan is read backwards; its features come last, in reversed order.
        if strand.step is None:
            expected[:, :, :filters] = scan
        else:
            expected[:, :, filters:] = scan[:, ::-1, ::-1]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13)


def test_tied_convolution_equals_keras_convolution_with_the_tied_kernel(rng):
    x = one_hot(rng, 2, 30)
    layer = RevCompConv1D(4, 7, dilation_rate=2, activation="relu")
    y = array(layer(x))
    untied = keras.layers.Conv1D(8, 7, dilation_rate=2, padding="same", activation="relu")
    untied.build(x.shape)
    bias = array(layer.bias)
    untied.set_weights([array(layer.tied_kernel), np.concatenate([bias, bias[::-1]])])
    np.testing.assert_array_equal(y, array(untied(x)))


def test_batch_normalisation_takes_both_strands_as_one_batch(rng):
    # Not against Keras' own layer, which rounds float64 to float32 on JAX and PyTorch.
    x = rng.normal(2.0, 3.0, size=(8, 10, 6))
    layer = RevCompBatchNormalization(momentum=0.9, epsilon=1e-3, dtype="float64")
    strands = np.concatenate([x[:, :, :3], x[:, :, :2:-1]])
    mean, variance = strands.mean(axis=(0, 1)), strands.var(axis=(0, 1))
    moving_mean, moving_variance = np.zeros(3), np.ones(3)

    def both(values):
        return np.concatenate([values, values[::-1]])

    for _ in range(2):
        y = array(layer(x, training=True))
        np.testing.assert_allclose(y, (x - both(mean)) / np.sqrt(both(variance) + 1e-3), atol=1e-12)
        moving_mean = 0.9 * moving_mean + 0.1 * mean
        moving_variance = 0.9 * moving_variance + 0.1 * variance
    np.testing.assert_allclose(array(layer.moving_mean), moving_mean, rtol=1e-12)
    np.testing.assert_allclose(array(layer.moving_variance), moving_variance, rtol=1e-12)
    y = array(layer(x, training=False))
    np.testing.assert_allclose(y, (x - both(moving_mean)) / np.sqrt(both(moving_variance) + 1e-3), atol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_strand_pool_forgets_the_strand(mode, rng):
    x = rng.normal(size=(2, 5, 6)).astype("float32")
    pooled = array(StrandPool(mode)(x))
    forward, reverse = x[:, :, :3], x[:, :, :2:-1]
    expected = {
        "sum": forward + reverse,
        "mean": (forward + reverse) / 2,
        "max": np.maximum(forward, reverse),
    }[mode]
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(array(StrandPool(mode)(flip(x))), pooled[:, ::-1])


def test_strand_concat_swaps_halves(rng):
    x = rng.normal(size=(2, 5, 6)).astype("float32")
    y, flipped = array(StrandPool("concat")(x)), array(StrandPool("concat")(flip(x)))
    np.testing.assert_array_equal(flipped[:, ::-1], np.roll(y, 3, axis=-1))


@pytest.mark.parametrize("shape", [(2, 7, 6), (2, 6)])
def test_dense_head_equals_a_symmetric_kernel(shape, rng):
    x = rng.normal(size=shape).astype("float64")
    layer = RevCompDense(4, dtype="float64")
    y = array(layer(x))
    half = array(layer.kernel).reshape(*shape[1:-1], 3, 4)
    positions = tuple(range(half.ndim - 1))
    kernel = np.concatenate([half, np.flip(half, axis=positions)], axis=-2)
    # Keras' product of two float64 matrices is float32 on PyTorch.
    tolerance = 1e-6 if keras.backend.backend() == "torch" else 1e-13
    expected = np.tensordot(x, kernel, axes=len(shape) - 1)
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(x).sum())
    flipped = np.flip(x, axis=tuple(range(1, x.ndim)))
    np.testing.assert_allclose(array(layer(flipped)), y, rtol=0, atol=tolerance * np.abs(x).sum())


@pytest.mark.parametrize("name", MAPS)
def test_layers_survive_save_and_reload(name, rng, tmp_path):
    inputs = keras.Input((40, 4))
    x = MAPS[name](None)(inputs)
    outputs = RevCompDense(2, activation="tanh")(keras.layers.Concatenate()([x, StrandPool("concat")(x)]))
    model = keras.Model(inputs, outputs)
    for layer in model.layers:
        randomise(layer, rng)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    x = one_hot(rng, 3, 40)
    np.testing.assert_array_equal(array(reloaded(x)), array(model(x)))
    for layer, again in zip(model.layers, reloaded.layers, strict=True):
        # As they are written: a tuple of a wrapped layer comes back as a list.
        assert json.dumps(again.get_config()) == json.dumps(layer.get_config())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RevCompConv1D(2, 4), "must be even.*kernel_size=4"),
        (lambda: RevCompConv1D(2, 3, padding="causal"), "padding='causal'"),
        (lambda: StrandPool("median"), "mode='median'"),
        (lambda: StrandPool()(np.zeros((1, 5), "float32")), "even number of channels.*channels=5"),
        (lambda: RevCompBatchNormalization()(np.zeros((1, 4, 5), "float32")), "channels=5"),
        (lambda: RevCompDense(1)(keras.Input((None, 4))), "fixed length"),
        (lambda: RevCompConcatenate()([keras.Input((9, 4)), keras.Input((9, 3))]), "channels=3"),
        (lambda: Occupancy(3), "must be 1 or 2.*n_strands=3"),
        (lambda: Occupancy(2)(keras.Input((9, 3))), "channels for 2 strands"),
    ],
)
def test_unusable_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bounded_exponential_is_the_exponential_below_its_bound_and_never_above_it():
    x = np.linspace(-20, 40, 61).astype("float32")[None]
    y = array(BoundedExponential(1000.0)(x))
    np.testing.assert_allclose(y, np.exp(x) / (1 + np.exp(x.astype(float)) / 1000), rtol=1e-5)
    np.testing.assert_allclose(y[x < -5], np.exp(x[x < -5]), rtol=1e-5)
    assert y.max() <= 1000
    with pytest.raises(ValueError, match="positive"):
        BoundedExponential(0)
    assert BoundedExponential.from_config(BoundedExponential(7.0).get_config()).bound == 7


def test_composition_is_that_of_the_sequence_on_either_strand(rng):
    codes = rng.integers(4, size=(5, 40))
    x = np.eye(4, dtype="float32")[codes]
    text = ["".join("ACGT"[c] for c in row) for row in codes]
    expected = [[(s.count("G") + s.count("C")) / 40, s.count("CG") / 40] for s in text]
    np.testing.assert_allclose(array(Composition()(x)), expected, atol=1e-6)
    np.testing.assert_allclose(array(Composition()(flip(x))), expected, atol=1e-6)


def test_concatenated_maps_are_one_map(rng):
    maps = [RevCompConv1D(filters, 3) for filters in (2, 3)]
    x = one_hot(rng, 2, 20)
    together = array(RevCompConcatenate()([layer(x) for layer in maps]))
    turned = array(RevCompConcatenate()([layer(flip(x)) for layer in maps]))
    np.testing.assert_allclose(flip(turned), together, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(
        together[:, :, :5], np.concatenate([array(m(x))[:, :, : m.filters] for m in maps], -1)
    )


def test_both_strands_of_a_convolution_are_a_tied_convolution(rng):
    x = one_hot(rng, 2, 30)
    wrapped = BothStrands(keras.layers.Conv1D(4, 5, padding="same", activation="relu"))
    wrapped(x)
    randomise(wrapped, rng)
    tied = RevCompConv1D(4, 5, activation="relu")
    tied(x)
    tied.set_weights([array(weight) for weight in wrapped.weights])
    np.testing.assert_allclose(array(wrapped(x)), array(tied(x)), rtol=0, atol=1e-6)


def test_reverse_complement_of_a_sequence_and_of_a_track(rng):
    x = one_hot(rng, 2, 7)
    np.testing.assert_array_equal(array(ReverseComplement()(x)), flip(x))
    np.testing.assert_array_equal(array(ReverseComplement(channels=False)(x)), x[:, ::-1])
    assert ReverseComplement.from_config(ReverseComplement(channels=False).get_config()).channels is False


def test_circular_filters_are_all_shifts_of_each_filter(rng):
    x = one_hot(rng, 2, 15, "float64")
    layer = CircularConv1D(3, 4, dtype="float64")
    y = array(layer(x)).reshape(2, 12, 4, 3)
    kernel = array(layer.kernel)
    for shift in range(4):
        shifted = np.roll(kernel, shift, axis=0)
        expected = np.stack([np.einsum("nwc,wcf->nf", x[:, i : i + 4], shifted) for i in range(12)], axis=1)
        np.testing.assert_allclose(y[:, :, shift], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n_strands", [1, 2])
def test_occupancy_is_that_of_independent_sites(n_strands, rng):
    energy = rng.normal(2, 3, size=(3, 10, 4))
    layer = Occupancy(n_strands, dtype="float64")
    layer.build(energy.shape)
    layer.bias.assign(rng.normal(size=4 // n_strands))
    mu = array(layer.chemical_potential)
    np.testing.assert_allclose(mu, array(layer.bias) - np.log(10 * n_strands), rtol=1e-12)
    sites = energy if n_strands == 1 else np.concatenate([energy[:, :, :2], energy[:, :, :1:-1]], axis=1)
    free = (1 - 1 / (1 + np.exp(sites - mu))).prod(axis=1)
    # Keras' sum rounds float64 to float32 on PyTorch and JAX.
    tolerance = 1e-9 if keras.backend.backend() == "tensorflow" else 1e-5
    np.testing.assert_allclose(array(layer(-energy)), np.log(1 / free - 1), rtol=tolerance)


def test_occupancy_of_no_site_and_of_strong_sites_is_finite():
    layer = Occupancy()
    found = array(layer(np.array([[[-200.0], [-300.0]], [[500.0], [400.0]]], "float32")))
    assert found[0, 0] == pytest.approx(np.log(1e-30), rel=1e-5)
    assert found[1, 0] == pytest.approx(900 - 2 * np.log(2), rel=1e-6)


def test_self_attention_is_the_softmax_of_products_of_queries_and_keys(rng):
    x = rng.normal(size=(2, 6, 4))
    # Keras writes the scale, 1/sqrt(key_dim), in float32: of 4 it is exact.
    layer = SelfAttention(2, 4, 5, dtype="float64")
    layer(x)
    randomise(layer, rng)
    named = {"/".join(weight.path.split("/")[-2:]): array(weight) for weight in layer.weights}

    def part(name):
        return np.einsum("nlc,chd->nhld", x, named[f"{name}/kernel"]) + named[f"{name}/bias"][:, None]

    scores = np.exp(part("query") @ part("key").swapaxes(2, 3) / np.sqrt(4))
    heads = scores / scores.sum(axis=-1, keepdims=True) @ part("value")
    expected = np.einsum("nhld,hdu->nlu", heads, named["attention_output/kernel"])
    expected += named["attention_output/bias"]
    # Other backends add up in float32.
    tolerance = 1e-12 if keras.backend.backend() == "tensorflow" else 1e-5
    np.testing.assert_allclose(array(layer(x)), expected, rtol=0, atol=tolerance)
