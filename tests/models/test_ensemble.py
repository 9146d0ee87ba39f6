"""Ensembles of models of several frameworks, strands and capabilities."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import linear_model, random_sequences
from tests import same_weights

SEQUENCES = random_sequences(2, same_weights.LENGTH, n_fraction=0.05, seed=31)
X = SEQUENCES["one_hot"].values


@cache
def members() -> list[tfb.SequenceModel]:
    """The network in Keras, and with other weights in PyTorch."""
    other = same_weights.torch_network()
    other.load_state_dict({name: -0.7 * value for name, value in other.state_dict().items()})
    options: dict[str, Any] = {"targets": same_weights.TARGETS, "length": same_weights.LENGTH}
    return [same_weights.wrapped("keras"), tfb.as_sequence_model(other, **options)]


def test_epistasis_is_the_mean_over_the_members() -> None:
    options: dict[str, Any] = {"positions": [9, 4, 30]}
    result = tfb.second_order_mutagenesis(members(), SEQUENCES, **options)
    alone = [tfb.second_order_mutagenesis(member, SEQUENCES, **options) for member in members()]
    for name in ("epistasis", "mutation_effect"):
        both = np.stack([one[name].values.astype(np.float64) for one in alone])
        assert np.nanmax(both.std(axis=0)) > 0.01
        # float32 of values of the size of the predictions.
        np.testing.assert_allclose(result[name], both.mean(axis=0), rtol=0, atol=1e-6)
        np.testing.assert_allclose(result[f"{name}_sd"], both.std(axis=0), rtol=0, atol=1e-6)
        assert result[f"{name}_sd"].dims == result[name].dims
    np.testing.assert_array_equal(result["position"], [4, 9, 30])


def test_prediction_and_gradient_are_the_means() -> None:
    model = tfb.as_sequence_model(members())
    for ask in ("predict", "gradient"):
        expected = np.mean([getattr(member, ask)(X) for member in members()], axis=0)
        np.testing.assert_allclose(getattr(model, ask)(X), expected, rtol=0, atol=1e-6)
        chosen = getattr(model.select_targets(["MAX"]), ask)(X)
        np.testing.assert_array_equal(chosen, getattr(model, ask)(X)[..., [1]])
    assert model.capabilities == {"predictions", "gradients", "multipliers"}
    assert (model.length, model.output, model.target_names) == (60, "logit", same_weights.TARGETS)


def test_strands_are_averaged_in_each_member() -> None:
    options: dict[str, Any] = {"start": 20, "end": 23}
    averaged = tfb.as_sequence_model(members(), average_strands=True)
    result = tfb.in_silico_mutagenesis(averaged, SEQUENCES, **options)
    assert np.abs(result["reverse_complement_difference"]).max() < 1e-5
    assert np.abs(result["reverse_complement_difference_sd"]).max() < 1e-5
    alone = [
        tfb.in_silico_mutagenesis(member.average_strands(), SEQUENCES, **options)["mutation_effect"].values
        for member in members()
    ]
    np.testing.assert_allclose(result["mutation_effect"], np.mean(alone, axis=0), rtol=0, atol=1e-6)


def test_one_model_alone_is_itself() -> None:
    assert tfb.as_sequence_model(members()[:1]) is members()[0]


def test_the_hash_is_that_of_all_members_in_order() -> None:
    one, two = members()
    hashes = {
        tfb.as_sequence_model(models).fingerprint
        for models in ([one, two], [two, one], [one, one], [one, two, two])
    }
    assert len(hashes) == 4
    assert hashes.isdisjoint({one.fingerprint, two.fingerprint, "unknown"})
    assert tfb.as_sequence_model([one, two]).fingerprint in hashes


def test_a_member_that_only_predicts_takes_gradients_from_all() -> None:
    functions = [linear_model(8, seed=seed) for seed in (1, 2)]
    model = tfb.as_sequence_model(functions, targets=["y"])
    assert model.capabilities == {"predictions"}
    assert model.fingerprint == "unknown"
    sequences = random_sequences(3, 8)
    effect = tfb.in_silico_mutagenesis(model, sequences)["mutation_effect"]
    one_hot = sequences["one_hot"].values
    expected = np.mean([function.expected_mutation_effect(one_hot) for function in functions], axis=0)
    np.testing.assert_allclose(effect, expected, rtol=0, atol=1e-12)
    with pytest.raises(UnsupportedModelError, match=r"^model ensemble of 2: .* has no gradients"):
        tfb.gradients(model, sequences)


def test_members_that_differ_are_refused() -> None:
    one = members()[0]
    for other, what in (
        (one.select_targets(["MAX", "CTCF"]), "target_names"),
        (same_weights.wrapped("predict_only"), "output"),
        (tfb.as_sequence_model(same_weights.logits, targets=same_weights.TARGETS), "length"),
    ):
        with pytest.raises(InputError, match=rf"^ensemble: {what} of .*must agree in it$"):
            tfb.as_sequence_model([one, other])
