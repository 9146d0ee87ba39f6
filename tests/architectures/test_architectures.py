"""Whole networks: what each choice of strands promises, reload, and what they refuse."""

from functools import cache
from itertools import product

import keras
import numpy as np
import pytest
from keras import ops

from kipoi_tfbind import architectures
from kipoi_tfbind.architectures import ARCHITECTURES, binding_energies
from tests.architectures.small import LENGTH, SETTINGS, inputs, outputs, randomise, small, turned

SYMMETRIC = list(product(ARCHITECTURES, ("siamese", "tied")))
built = cache(small)

# Keras' mean and its product of matrices, and so its pooling and its dense layers, round float64 to float32
# on JAX and PyTorch.
TOLERANCE = {"float32": 1e-6, "float64": 1e-12 if keras.backend.backend() == "tensorflow" else 1e-6}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "strands"), SYMMETRIC)
def test_both_strands_have_the_same_prediction(name: str, strands: str, dtype: str) -> None:
    model = built(name, strands, dtype)
    x = inputs(name, dtype=dtype)
    found, of_reverse = outputs(model, x), outputs(model, turned(x))
    for key, value in found.items():
        assert value.dtype == dtype
        assert np.ptp(value) > 1e-4  # a hundred times the tolerance
        other = of_reverse[key][:, ::-1] if key == "profile" else of_reverse[key]
        np.testing.assert_allclose(other, value, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(value).max()))


@pytest.mark.parametrize("strands", ["siamese", "tied"])
def test_a_stranded_profile_exchanges_its_strands(strands: str) -> None:
    model = small("profile_cnn", strands, stranded=True)
    x = inputs("profile_cnn")
    profile, of_reverse = (outputs(model, arrays)["profile"] for arrays in (x, turned(x)))
    assert profile.shape == (3, LENGTH, 4)
    assert np.abs(profile - profile[:, ::-1]).max() > 1e-2
    atol = 1e-6 * np.abs(profile).max()
    np.testing.assert_allclose(of_reverse[:, ::-1, ::-1], profile, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_one_strand_tells_the_strands_apart_and_siamese_is_the_mean_of_both(name: str) -> None:
    """The log-odds of a siamese network are the means of those of a network for one strand."""
    one, siamese = built(name, "none"), built(name, "siamese")
    assert [w.shape for w in one.weights] == [w.shape for w in siamese.weights]
    for weight, same in zip(one.weights, siamese.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), ops.convert_to_numpy(same))
    x = inputs(name)
    found = outputs(siamese, x)
    for key, forward in outputs(one, x).items():
        reverse = outputs(one, turned(x))[key]
        reverse = reverse[:, ::-1] if key == "profile" else reverse
        assert np.abs(forward - reverse).max() > 1e-3
        if name == "biophysical":  # whose strands' sites are added up
            np.testing.assert_allclose(found[key], outputs(built(name, "tied"), x)[key], rtol=0, atol=1e-6)
            continue
        if key == "probability":
            forward, reverse = np.log(forward / (1 - forward)), np.log(reverse / (1 - reverse))
        mean = (forward + reverse) / 2
        expected = 1 / (1 + np.exp(-mean)) if key == "probability" else mean
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_augmentation_is_one_strand_under_a_name_that_says_so(name: str) -> None:
    model = built(name, "augmentation")
    assert model.name == f"{name}_augmentation"
    x = inputs(name)
    for key, value in outputs(built(name, "none"), x).items():
        np.testing.assert_array_equal(outputs(model, x)[key], value)


@pytest.mark.parametrize(("name", "strands"), SYMMETRIC)
def test_saved_and_reloaded_predicts_the_same(name: str, strands: str, tmp_path) -> None:
    model, x = built(name, strands), inputs(name)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert reloaded.name == (name if strands == "tied" else f"{name}_siamese")
    for key, value in outputs(model, x).items():
        np.testing.assert_array_equal(outputs(reloaded, x)[key], value)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ("biophysical", "motif_scan")])
def test_the_first_activation_is_a_choice(name: str) -> None:
    options = SETTINGS[name] | {"exponential_bound": None}
    relu, exponential = (small(name, **options | {"activation": kind}) for kind in ("relu", "exponential"))
    x = inputs(name)
    bounded = small(name, **options | {"activation": "exponential", "exponential_bound": 1e9})
    for key, value in outputs(exponential, x).items():
        assert np.abs(outputs(relu, x)[key] - value).max() > 1e-3
        np.testing.assert_allclose(outputs(bounded, x)[key], value, atol=1e-5)
    with pytest.raises(ValueError, match=r"belongs to activation='exponential'.*'relu'"):
        small(name, **options | {"activation": "relu", "exponential_bound": 1.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: architectures.motif_cnn(length=210), "multiple of pool_size=20.*length=210"),
        (lambda: architectures.dilated_residual_cnn(length=1001), "multiple of pool_size=8.*length=1001"),
        (
            lambda: architectures.dilated_residual_cnn(length=1000, bin_length=208),
            "even number of pooled positions outside",
        ),
        (lambda: architectures.dilated_dense_cnn(length=202), "multiple of pool_size=8.*length=202"),
        (lambda: architectures.cnn_lstm(length=600), "length - kernel_size \\+ 1 must be a multiple.*=575"),
        (lambda: architectures.cnn_attention(length=100), "multiple of pool_size=6.*length=100"),
        (lambda: architectures.motif_cnn(kernel_size=18), "must be even, or one side is padded"),
        (lambda: architectures.profile_cnn(profile_kernel_size=24), "must be even, or one side is padded"),
        (lambda: architectures.biophysical(length=10), "at least kernel_size=15.*length=10"),
        (lambda: architectures.motif_cnn(strands="both"), "strands must be one of none.*'both'"),
    ],
)
def test_settings_that_break_the_symmetry_or_mean_nothing_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["motif_cnn", "dilated_residual_cnn", "dilated_dense_cnn"])
def test_composition_is_added_to_the_log_odds(name: str) -> None:
    """What the last layer reads beside the features: GC and CpG per base, normalised."""
    plain, informed = (small(name, composition=composition) for composition in (False, True))
    x = inputs(name, n=4)
    # The same features, whose weights are drawn anew in another order otherwise.
    for layer in plain.layers:
        if layer.name not in ("logit", "probability"):
            informed.get_layer(layer.name).set_weights(layer.get_weights())
    kernel, bias = informed.get_layer("logit").get_weights()
    plain.get_layer("logit").set_weights([kernel[:-2], bias])
    gamma, beta, mean, variance = informed.get_layer("composition_norm").get_weights()
    letters = ["".join("ACGT"[i] for i in row) for row in x[0].argmax(axis=2)]
    content = np.array([[(s.count("G") + s.count("C")) / LENGTH, s.count("CG") / LENGTH] for s in letters])
    normalised = gamma * (content - mean) / np.sqrt(variance + 1e-3) + beta
    without, found = (
        ops.convert_to_numpy(keras.Model(model.input, model.get_layer("logit").output)(x[0]))
        for model in (plain, informed)
    )
    np.testing.assert_allclose(found - without, normalised @ kernel[-2:], rtol=0, atol=1e-5)


def test_lengths_that_only_tied_strands_refuse() -> None:
    x = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(4, size=(2, 50))]
    model = small("motif_cnn", "siamese", length=50)
    np.testing.assert_allclose(outputs(model, [x])["probability"], outputs(model, turned([x]))["probability"])


def test_binding_energies_are_those_of_the_probability() -> None:
    """A window of a consensus site and the rest N: its occupancy is that of the sites that touch it."""
    model = small("biophysical", "none", length=7, n_targets=1, kernel_size=7)
    randomise(model, seed=4)
    energy, chemical_potential = binding_energies(model)
    codes = np.random.default_rng(2).integers(4, size=(5, 7))
    total = energy[0][np.arange(7), codes].sum(axis=1)
    occupancy = 1 / (1 + np.exp(total - chemical_potential[0]))
    found = outputs(model, [np.eye(4, dtype="float32")[codes]])["probability"][:, 0]
    np.testing.assert_allclose(found, occupancy, rtol=1e-5)
