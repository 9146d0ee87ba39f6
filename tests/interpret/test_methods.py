"""Methods against models whose answers are known, ensembles, strands, warnings, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import kipoi_tfbind as tfb
from kipoi_tfbind import testing
from kipoi_tfbind.errors import CompletenessWarning, InputError
from kipoi_tfbind.sequences.references import make_references
from kipoi_tfbind.testing import random_sequences
from tests import same_weights

LENGTH = 14
SEQUENCES = random_sequences(3, LENGTH, n_fraction=0.1, seed=2)
X = SEQUENCES["one_hot"].values


def wrapped(model: Any) -> tfb.SequenceModel:
    return tfb.as_sequence_model(model, targets=model.target_names)


def as_tensorflow(model: testing.BilinearModel, dtype: str = "float64") -> tfb.SequenceModel:
    """The same function of tensors, from its derivatives."""
    import tensorflow as tf

    linear = model.gradient(np.zeros((1, LENGTH, 4)))[0]
    # A bilinear function's gradient is linear: its columns give the second derivatives.
    basis = np.eye(LENGTH * 4).reshape(-1, LENGTH, 4)
    second = model.gradient(basis) - linear
    second = second.reshape(LENGTH * 4, LENGTH * 4, -1)
    first = linear.reshape(LENGTH * 4, -1)
    constant = model(np.zeros((1, LENGTH, 4)))[0]

    @tf.function(input_signature=[tf.TensorSpec((None, LENGTH, 4), dtype)])
    def function(x: Any) -> Any:
        flat = tf.reshape(x, (-1, LENGTH * 4))
        product = tf.einsum("ni,ijt->njt", flat, tf.constant(second, dtype))
        return constant + flat @ first + tf.einsum("njt,nj->nt", product, flat) / 2

    return tfb.as_sequence_model(function, targets=model.target_names, length=LENGTH)


@pytest.mark.parametrize(
    "model",
    [
        testing.linear_model(LENGTH, 2),
        testing.bilinear_model(LENGTH, 2),
        testing.motif_counter("TGA", both_strands=True),
    ],
    ids=["linear", "bilinear", "motif counter"],
)
def test_mutagenesis_of_both_orders_is_the_closed_form(model: Any) -> None:
    single = tfb.in_silico_mutagenesis(wrapped(model), SEQUENCES)["mutation_effect"].values
    known = np.asarray(X.any(axis=-1))
    expected = model.expected_mutation_effect(X)
    # float64 sums of tens of terms of size 1.
    np.testing.assert_allclose(single[known], expected[known], atol=1e-12)
    assert np.isnan(single[~known]).all()

    result = tfb.second_order_mutagenesis(wrapped(model), SEQUENCES, start=2, end=9)
    pairs = np.stack([result["position_a"], result["position_b"]], axis=1)
    assert len(pairs) == 7 * 6 // 2
    epistasis, expected = result["epistasis"].values, model.expected_epistasis(X, pairs)
    both = known[:, pairs].all(axis=-1)
    np.testing.assert_allclose(epistasis[both], expected[both], atol=1e-12)
    assert np.isnan(epistasis[~both]).all()
    if isinstance(model, testing.LinearModel):
        assert np.nanmax(np.abs(epistasis)) < 1e-12
    else:
        assert np.nanmax(np.abs(epistasis)) > 0.01


@pytest.mark.parametrize("model", [testing.linear_model(LENGTH, 2), testing.bilinear_model(LENGTH, 2)])
def test_contributions_are_the_closed_form(model: Any) -> None:
    wrapped_model = as_tensorflow(model)
    np.testing.assert_allclose(wrapped_model.predict(X.astype(np.float64)), model(X), atol=1e-12)
    doubles = SEQUENCES.assign(one_hot=SEQUENCES["one_hot"].astype(np.float64))
    kinds = {"references": "dinucleotide_shuffle", "n_references": 4, "seed": 3}
    references = make_references(X, "dinucleotide_shuffle", 4, seed=3)
    expected = model.expected_hypothetical_contribution(X, references)
    for result in (
        tfb.deep_shap(wrapped_model, doubles, **kinds),
        tfb.gradients(wrapped_model, doubles, method="integrated_gradients", n_steps=2, **kinds),
    ):
        np.testing.assert_allclose(result["hypothetical_contribution"], expected, atol=1e-10)
        np.testing.assert_allclose(result["contribution"], expected * X[..., np.newaxis], atol=1e-10)
        assert np.abs(result["completeness_error"]).max() < 1e-10
    saliency = tfb.gradients(wrapped_model, doubles)
    gradient = model.gradient(X)
    np.testing.assert_allclose(saliency["hypothetical_contribution"], gradient, atol=1e-12)
    np.testing.assert_allclose(saliency["contribution"], np.abs(gradient * X[..., np.newaxis]), atol=1e-12)
    corrected = tfb.gradients(wrapped_model, doubles, method="gradient_x_input", correction=True)
    centred = gradient - gradient.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(corrected["hypothetical_contribution"], centred, atol=1e-12)
    np.testing.assert_allclose(corrected["contribution"], centred * X[..., np.newaxis], atol=1e-12)


def test_occlusion_hides_each_window() -> None:
    model = testing.bilinear_model(LENGTH, 2)
    result = tfb.occlusion(wrapped(model), SEQUENCES, width=4, stride=3)
    assert result["window_start"].values.tolist() == [0, 3, 6, 9, 10]
    assert result["window_end"].values.tolist() == [4, 7, 10, 13, 14]
    for window, start in enumerate(result["window_start"].values):
        hidden = X.copy()
        hidden[:, start : start + 4] = 0
        np.testing.assert_allclose(
            result["occlusion_effect"][:, window], model(hidden) - model(X), atol=1e-12
        )

    shuffled = tfb.occlusion(
        wrapped(model), SEQUENCES, width=4, stride=3, fill="shuffle", n_shuffles=3, seed=8
    )
    shuffles = make_references(X, "dinucleotide_shuffle", 3, seed=8)
    for window, start in enumerate(shuffled["window_start"].values):
        effects = []
        for draw in range(3):
            hidden = X.copy()
            hidden[:, start : start + 4] = shuffles[:, draw, start : start + 4]
            effects.append(model(hidden) - model(X))
        np.testing.assert_allclose(
            shuffled["occlusion_effect"][:, window], np.mean(effects, axis=0), atol=1e-12
        )


def test_a_model_that_treats_strands_alike_says_so_and_the_average_always_does() -> None:
    symmetric = tfb.in_silico_mutagenesis(wrapped(testing.rc_symmetric_model(LENGTH)), SEQUENCES)
    assert np.abs(symmetric["reverse_complement_difference"]).max() < 1e-12
    other = wrapped(testing.bilinear_model(LENGTH, 2))
    assert np.abs(tfb.occlusion(other, SEQUENCES)["reverse_complement_difference"]).max() > 0.1
    averaged = tfb.occlusion(other.average_strands(), SEQUENCES)
    assert np.abs(averaged["reverse_complement_difference"]).max() < 1e-12

    model = same_weights.wrapped("keras").average_strands()
    forward = random_sequences(2, same_weights.LENGTH, seed=4)
    backward = forward.assign(
        one_hot=(forward["one_hot"].dims, forward["one_hot"].values[:, ::-1, ::-1].copy())
    )
    references = make_references(forward["one_hot"].values, n=3)
    for method, options in (
        (tfb.gradients, [{}, {}]),
        (tfb.deep_shap, [{"references": references}, {"references": references[:, :, ::-1, ::-1]}]),
    ):
        one, two = (
            method(model, sequences, **more)["hypothetical_contribution"].values
            for sequences, more in zip((forward, backward), options, strict=True)
        )
        # float32 sums in the other order.
        np.testing.assert_allclose(two[:, ::-1, ::-1], one, atol=1e-6 * np.abs(one).max())


@pytest.mark.parametrize("method", ["ism", "gradients", "deep_shap", "occlusion"])
def test_ensemble_is_the_mean_over_its_members(method: str) -> None:
    functions: dict[str, Any] = {
        "ism": lambda model, x: tfb.in_silico_mutagenesis(model, x, start=5, end=9),
        "gradients": lambda model, x: tfb.gradients(model, x, method="gradient_x_input"),
        "deep_shap": lambda model, x: tfb.deep_shap(model, x, n_references=2),
        "occlusion": tfb.occlusion,
    }
    run = functions[method]
    second = same_weights.torch_network()
    second.head.weight.data.mul_(-0.5)
    members = [
        same_weights.wrapped("keras"),
        tfb.as_sequence_model(second, targets=same_weights.TARGETS, length=same_weights.LENGTH),
        same_weights.wrapped("torch"),
    ]
    ensemble = tfb.as_sequence_model(members)
    sequences = random_sequences(2, same_weights.LENGTH, seed=9)
    result = run(ensemble, sequences)
    alone = [run(member, sequences) for member in members]
    names = [str(name) for name in alone[0].data_vars if name != "one_hot"]
    assert set(result.data_vars) == {"one_hot", *names, *(f"{name}_sd" for name in names)}
    for name in names:
        stacked = np.stack([one[name].values.astype(np.float64) for one in alone])
        scale = max(np.nanmax(np.abs(stacked), initial=0), 1e-6)
        np.testing.assert_allclose(result[name], stacked.mean(axis=0), atol=1e-6 * scale)
        np.testing.assert_allclose(result[f"{name}_sd"], stacked.std(axis=0), atol=2e-6 * scale)
        assert result[f"{name}_sd"].attrs["long_name"].startswith("standard deviation over")
    np.testing.assert_allclose(ensemble.predict(sequences["one_hot"].values), result["prediction"], atol=1e-6)
    assert result.attrs["model"].startswith("ensemble of 3: ")
    one_target = run(ensemble.select_targets(["MAX"]), sequences)
    np.testing.assert_allclose(one_target["prediction"][:, 0], result["prediction"][:, 1])


def test_members_that_do_not_agree_are_refused() -> None:
    one, two = testing.linear_model(LENGTH, 1), testing.linear_model(LENGTH, 2)
    with pytest.raises(InputError, match="the models of an ensemble must agree in it"):
        tfb.as_sequence_model([wrapped(one), wrapped(two)])
    with pytest.raises(InputError, match="at least one model"):
        tfb.as_sequence_model([])


def test_deep_shap_warns_where_contributions_do_not_add_up() -> None:
    sequences = random_sequences(2, same_weights.LENGTH, seed=1)
    model = same_weights.wrapped("keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfb.deep_shap(model, sequences, n_references=2)
    one_hot = sequences["one_hot"].values.copy()
    one_hot[1, 20:40] = 0
    holes = sequences.assign(one_hot=(sequences["one_hot"].dims, one_hot))
    # N has no contribution, but here the reference has bases where the sequence has N.
    with pytest.warns(CompletenessWarning, match=r"[12] of 4 results .* the worst is sequence 1, target"):
        result = tfb.deep_shap(model, holes, references=sequences["one_hot"].values[:, np.newaxis])
    assert np.abs(result["completeness_error"][1]).max() > 1e-3


def test_what_does_not_fit_is_refused() -> None:
    model = same_weights.wrapped("keras")
    sequences = random_sequences(2, same_weights.LENGTH)
    with pytest.raises(InputError, match="method: expected one of saliency, gradient_x_input"):
        tfb.gradients(model, sequences, method="smoothgrad")
    with pytest.raises(InputError, match="n_steps: expected at least 1"):
        tfb.gradients(model, sequences, method="integrated_gradients", n_steps=0)
    with pytest.raises(InputError, match="references: "):
        tfb.deep_shap(model, sequences, references="shuffle")
    with pytest.raises(InputError, match="references: expected at least one, of shape"):
        tfb.deep_shap(model, sequences, references=np.zeros((3, 10, 4)))
    with pytest.raises(InputError, match="tolerance: expected a positive number"):
        tfb.deep_shap(model, sequences, tolerance=0)
    with pytest.raises(InputError, match="positions: give them, or start and end, not both"):
        tfb.second_order_mutagenesis(model, sequences, start=3, positions=[4, 5])
    with pytest.raises(InputError, match="at least two different ones to pair, got 1"):
        tfb.second_order_mutagenesis(model, sequences, positions=[4, 4])
    with pytest.raises(InputError, match="60 is not in the sequences, whose positions are 0 to 59"):
        tfb.second_order_mutagenesis(model, sequences, positions=[4, 60])
    with pytest.raises(InputError, match="width: expected 1 to 60"):
        tfb.occlusion(model, sequences, width=61)
    with pytest.raises(InputError, match="fill: expected 'N' or 'shuffle'"):
        tfb.occlusion(model, sequences, fill="X")
    with pytest.raises(InputError, match="expected one-hot sequences"):
        tfb.deep_shap(model, random_sequences(2, 30))
    with pytest.raises(InputError, match="got the name 'TFBind/CTCF'; load_model loads"):
        tfb.occlusion("TFBind/CTCF", sequences)


@pytest.mark.parametrize("kind", ["keras", "saved_model", "torch"])
def test_double_precision_is_that_of_numpy(kind: str) -> None:
    length = None if kind == "keras" else same_weights.LENGTH
    raw = same_weights.MAKERS[kind]()
    model = tfb.as_sequence_model(raw, targets=same_weights.TARGETS, length=length, double_precision=True)
    sequences = random_sequences(2, same_weights.LENGTH, seed=6)
    one_hot = sequences["one_hot"].values
    expected = same_weights.logits(one_hot)
    # The weights are float32, the arithmetic is float64: both sides sum tens of terms.
    np.testing.assert_allclose(model.predict(one_hot), expected, rtol=0, atol=1e-12)
    exact = tfb.in_silico_mutagenesis(same_weights.wrapped("predict_only"), sequences, start=20, end=24)
    found = tfb.in_silico_mutagenesis(model, sequences, start=20, end=24)
    np.testing.assert_allclose(found["mutation_effect"], exact["mutation_effect"], rtol=0, atol=1e-12)
    shap = tfb.deep_shap(model, sequences, n_references=3)
    assert shap["contribution"].dtype == np.float64
    assert np.abs(shap["completeness_error"]).max() < 1e-12
    assert tfb.gradients(model, sequences)["contribution"].dtype == np.float64
    np.testing.assert_allclose(
        shap["contribution"],
        tfb.deep_shap(same_weights.wrapped(kind), sequences, n_references=3)["contribution"],
        atol=1e-5,
    )


def test_double_precision_is_refused_where_only_predictions_are_known() -> None:
    with pytest.raises(InputError, match=r"double_precision: model .* only predicts"):
        tfb.as_sequence_model(same_weights.logits, targets=same_weights.TARGETS, double_precision=True)


def test_a_bare_model_can_be_given_to_a_method() -> None:
    sequences = random_sequences(2, same_weights.LENGTH)
    by_itself = tfb.occlusion(same_weights.keras_network(), sequences)
    assert by_itself["target"].values.tolist() == ["0", "1"]
    np.testing.assert_array_equal(
        by_itself["occlusion_effect"],
        tfb.occlusion(same_weights.wrapped("keras"), sequences)["occlusion_effect"],
    )


def test_auxiliary_inputs_are_held_fixed_sequence_by_sequence() -> None:
    import keras

    keras.utils.set_random_seed(1)
    sequence, age = keras.Input((LENGTH, 4), name="sequence"), keras.Input((2,), name="age")
    features = keras.layers.Concatenate()([keras.layers.Flatten()(sequence), age])
    hidden = keras.layers.Dense(8, activation="tanh")(features)
    network = keras.Model({"sequence": sequence, "age": age}, keras.layers.Dense(1)(hidden))
    model = tfb.as_sequence_model(network, targets=["y"])
    assert model.auxiliary == ("age",)
    with pytest.raises(
        InputError, match="has an input 'age' beside the sequence, the Dataset no auxiliary_age"
    ):
        tfb.in_silico_mutagenesis(model, SEQUENCES)
    ages = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    together = SEQUENCES.assign(auxiliary_age=(("sequence", "auxiliary_age_1"), ages))
    for method in (tfb.in_silico_mutagenesis, tfb.gradients, tfb.deep_shap, tfb.occlusion):
        result = method(model, together)
        for row in range(3):
            fixed = tfb.as_sequence_model(network, targets=["y"], auxiliary={"age": ages[row]})
            alone = method(fixed, SEQUENCES.isel(sequence=[row]))
            name = next(
                str(name) for name in result.data_vars if "effect" in str(name) or "hypo" in str(name)
            )
            np.testing.assert_allclose(result[name][[row]], alone[name], atol=1e-6)
