"""Ensembles: the mixture is the weighted sum of log-odds, and its weights find the member that knows."""

import keras
import numpy as np
import pytest
from scipy.special import expit

from kipoi_tfbind import as_sequence_model, deep_shap, encode_sequences
from kipoi_tfbind.architectures import motif_cnn, motif_scan
from kipoi_tfbind.dna.one_hot import decode_codes, one_hot_codes
from kipoi_tfbind.errors import WeightsError
from kipoi_tfbind.kipoi_model import TFBindModel, TFBindVariantModel
from kipoi_tfbind.training.ensemble import fit_mixture, mix_models


@pytest.fixture(scope="module")
def members():
    models = [
        motif_cnn(length=200, n_targets=2, filters=4),
        motif_scan(length=200, n_targets=2, scan_length=100),
    ]
    rng = np.random.default_rng(0)
    for model in models:
        for weight in model.weights:
            weight.assign(rng.uniform(0.01, 0.05, size=weight.shape))
    return models


def test_mixture_is_the_weighted_sum_of_log_odds_also_after_reload(members, tmp_path):
    weights, bias = np.array([[0.5, 0.0], [0.25, 1.0]]), np.array([0.1, -0.2])
    mixture = mix_models(members, weights, bias)
    mixture.save(tmp_path / "m.keras")
    x = one_hot_codes(np.random.default_rng(1).integers(4, size=(6, 200)).astype(np.uint8))
    one, two = (
        keras.Model(model.input, model.get_layer("logit").output).predict_on_batch(x) for model in members
    )
    expected = weights[0] * one + weights[1] * two + bias
    loaded = TFBindModel(str(tmp_path / "m.keras"), ["A", "B"], 200)
    np.testing.assert_allclose(loaded.predict_logits(x), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mixture.predict_on_batch(x), expit(expected), atol=1e-5)
    np.testing.assert_allclose(loaded.predict_logits(x[:, ::-1, ::-1]), expected, rtol=1e-4, atol=1e-4)


def test_the_spread_is_that_of_the_members_in_units_of_the_mixture(members, tmp_path):
    weights, bias = np.array([[0.5, 0.3], [0.5, 0.9]]), np.array([0.1, -0.2])
    mix_models(members, weights, bias).save(tmp_path / "m.keras")
    rng = np.random.default_rng(1)
    ref, alt = (one_hot_codes(rng.integers(4, size=(6, 200)).astype(np.uint8)) for _ in range(2))
    of_ref, of_alt = (
        np.stack([keras.Model(m.input, m.get_layer("logit").output).predict_on_batch(x) for m in members])
        for x in (ref, alt)
    )
    model = TFBindModel(str(tmp_path / "m.keras"), ["A", "B"], 200, spread=True)
    found = model.predict_on_batch(ref)
    np.testing.assert_allclose(
        found["A"], expit((weights[:, None] * of_ref).sum(axis=0) + bias)[:, 0], atol=1e-5
    )
    # Equal weights of sum 1: the plain standard deviation. Rounding of log-odds of some tens in float32.
    np.testing.assert_allclose(found["spread"]["A"], of_ref[..., 0].std(axis=0), rtol=1e-4, atol=1e-5)
    variants = TFBindVariantModel(str(tmp_path / "m.keras"), ["A", "B"], 200, spread=True)
    found = variants.predict_on_batch({"ref": ref, "alt": alt})
    change = (of_alt - of_ref)[..., 1]
    # Of weights 0.3 and 0.9, shares are 1/4 and 3/4 and the scale is 1.2.
    expected = 1.2 * np.sqrt(3 / 16) * np.abs(change[0] - change[1])
    np.testing.assert_allclose(found["spread"]["B"], expected, rtol=1e-4, atol=2e-6)
    assert expected.max() > 1e-3
    for kind in (TFBindModel, TFBindVariantModel):
        assert "spread" not in kind(str(tmp_path / "m.keras"), ["A", "B"], 200).predict_on_batch(
            ref if kind is TFBindModel else {"ref": ref, "alt": alt}
        )


def test_a_model_without_members_has_no_spread(members, tmp_path):
    members[0].save(tmp_path / "one.keras")
    with pytest.raises(WeightsError, match="is no ensemble and has no spread"):
        TFBindModel(str(tmp_path / "one.keras"), ["A", "B"], 200, spread=True)


def test_a_shorter_member_sees_the_middle_of_the_window(members, tmp_path):
    short = motif_cnn(length=160, n_targets=2, filters=4)
    for old, new in zip(members[0].weights, short.weights, strict=True):
        new.assign(np.resize(old.numpy(), new.shape))
    weights, bias = np.array([[0.5, 1.0], [0.5, 2.0]]), np.array([0.3, 0.0])
    mixture = mix_models([short, members[1]], weights, bias)
    assert mixture.input_shape == (None, 200, 4)
    x = one_hot_codes(np.random.default_rng(2).integers(4, size=(3, 200)).astype(np.uint8))
    one, two = (
        keras.Model(model.input, model.get_layer("logit").output).predict_on_batch(seen)
        for model, seen in ((short, x[:, 20:180]), (members[1], x))
    )
    expected = weights[0] * one + weights[1] * two + bias
    model = as_sequence_model(mixture)
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-4, atol=1e-4)
    # The cut is no obstacle to exact contributions.
    result = deep_shap(
        model, encode_sequences(decode_codes(x.argmax(axis=2).astype(np.uint8))), n_references=2
    )
    assert float(abs(result.completeness_error).max()) < 1e-4


def test_weights_are_those_that_made_the_labels_and_never_negative():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 20_000, 1))
    truth = 1.5 * x[0, :, 0] + 0.7 * x[1, :, 0] - 0.8 * x[2, :, 0] - 2
    labels = (rng.random(20_000) < expit(truth))[:, None].astype(np.int8)
    weights, bias = fit_mixture(x, labels, penalty=0)
    np.testing.assert_allclose(weights[:2, 0], [1.5, 0.7], atol=0.15)
    assert weights[2, 0] == 0
    labels[::2] = -1
    assert fit_mixture(x, labels, penalty=0)[1][0] == pytest.approx(bias[0], abs=0.2)


def test_without_bound_bins_it_stays_the_mean():
    x = np.random.default_rng(0).normal(size=(2, 50, 1))
    weights, _ = fit_mixture(x, np.full((50, 1), -1, np.int8))
    np.testing.assert_allclose(weights, 0.5)


def test_members_are_left_as_they_were(members):
    before = [weight.numpy() for weight in members[0].weights]
    mix_models(members, np.ones((2, 2)), np.zeros(2))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, members[0].weights, strict=True))
    assert isinstance(members[0], keras.Model)
