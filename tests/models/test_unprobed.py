"""Models of which nothing tells the length: they are asked at the sequences that they meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.testing import random_sequences

LENGTH = 30
SEQUENCES = random_sequences(3, LENGTH, seed=0)
ONE_HOT = SEQUENCES["one_hot"].values
WEIGHTS = np.random.default_rng(0).normal(size=(LENGTH * 4, 2)).astype(np.float32)
CALLS: list[int] = []


def function(one_hot: NDArray) -> NDArray:
    """Takes sequences of one length only, and says so to nobody."""
    CALLS.append(one_hot.shape[1])
    return one_hot.reshape(len(one_hot), -1) @ WEIGHTS


def network() -> torch.nn.Module:
    linear = torch.nn.Linear(4 * LENGTH, 2, bias=False)
    with torch.no_grad():
        by_base = WEIGHTS.reshape(LENGTH, 4, 2).transpose(1, 0, 2).reshape(-1, 2)
        linear.weight.copy_(torch.tensor(by_base.T.copy()))
    return torch.nn.Sequential(torch.nn.Flatten(), linear)


def profile() -> keras.Model:
    """A profile over positions, for any length."""
    inputs = keras.Input((None, 4))
    return keras.Model(inputs, keras.layers.Conv1D(1, 3, padding="same")(inputs))


METHODS: list[Callable[..., xr.Dataset]] = [
    tfb.in_silico_mutagenesis,
    lambda model, sequences: tfb.second_order_mutagenesis(model, sequences, end=2),
    lambda model, sequences: tfb.occlusion(model, sequences, width=4),
    lambda model, sequences: tfb.sampled_shapley(model, sequences, n_references=1, n_permutations=1),
    lambda model, sequences: tfb.global_importance_analysis(model, sequences, {"p": [("GAT", 5)]}),
]
DIFFERENTIABLE: list[Callable[..., xr.Dataset]] = [
    tfb.gradients,
    lambda model, sequences: tfb.deep_shap(model, sequences, n_references=2),
]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_asks_a_function_at_the_length_of_its_sequences(method: Any) -> None:
    CALLS.clear()
    result = method(function, SEQUENCES)
    assert set(CALLS) == {LENGTH}
    name = "unedited_prediction" if "unedited_prediction" in result else "prediction"
    np.testing.assert_allclose(result[name], function(ONE_HOT), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [METHODS[0], *DIFFERENTIABLE])
def test_a_method_asks_a_module_at_the_length_of_its_sequences(method: Any) -> None:
    result = method(network(), SEQUENCES)
    np.testing.assert_allclose(result["prediction"], function(ONE_HOT), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [METHODS[0], *DIFFERENTIABLE])
def test_the_positions_of_a_profile_are_targets(method: Any) -> None:
    assert method(profile(), SEQUENCES).sizes["target"] == LENGTH


@pytest.mark.parametrize("make", [lambda: function, network])
def test_a_wrapped_model_is_asked_at_its_first_batch(make: Callable[[], Any]) -> None:
    CALLS.clear()
    model = tfb.as_sequence_model(make())
    assert not CALLS
    assert repr(model) == "SequenceModel(not asked yet: give it a sequence)"
    expected = function(ONE_HOT)
    np.testing.assert_allclose(model.predict(ONE_HOT), expected, rtol=1e-5, atol=1e-5)
    assert set(CALLS) == {LENGTH}
    assert (model.target_names, model.length) == (("0", "1"), None)
    assert "target_names=('0', '1')" in repr(model)
    with pytest.raises(InputError, match=r"fails on 1 sequences of 31 bases .* does it take"):
        model.predict(np.eye(4)[np.zeros((1, 31), int)])


def test_its_targets_before_the_first_batch() -> None:
    """It is tried at 1,000 bases, and the error says what to do; afterwards it can be given a sequence."""
    model = tfb.as_sequence_model(function)
    with pytest.raises(InputError, match=r"\(2, 1000, 4\).* say the length"):
        _ = model.target_names
    np.testing.assert_allclose(model.predict(ONE_HOT), function(ONE_HOT), rtol=1e-5, atol=1e-5)
    assert tfb.as_sequence_model(lambda one_hot: one_hot.sum(axis=1)).target_names == ("0", "1", "2", "3")


def test_what_is_made_of_it_is_asked_later_too() -> None:
    expected = function(ONE_HOT)
    model = tfb.as_sequence_model(function)
    np.testing.assert_allclose(
        model.select_targets(["1"]).predict(ONE_HOT), expected[:, 1:], rtol=1e-5, atol=1e-5
    )
    backward = function(np.ascontiguousarray(ONE_HOT[:, ::-1, ::-1]))
    for averaged in (
        tfb.as_sequence_model(function).average_strands(),
        tfb.as_sequence_model(function, average_strands=True),
    ):
        np.testing.assert_allclose(averaged.predict(ONE_HOT), (expected + backward) / 2, rtol=1e-5, atol=1e-5)
    for members in ([function, network()], [tfb.as_sequence_model(function), network()]):
        both = tfb.as_sequence_model(members)
        np.testing.assert_allclose(both.predict(ONE_HOT), expected, rtol=1e-5, atol=1e-5)
        effects = tfb.in_silico_mutagenesis(tfb.as_sequence_model(members), SEQUENCES, end=3)
        assert float(effects["mutation_effect_sd"].max()) < 1e-5
    assert tfb.as_sequence_model(model) is model  # it has met its sequences
