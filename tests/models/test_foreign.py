"""Models as other groups put them into Kipoi: all methods that apply run, the rest refuse."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import random_sequences
from tests.foreign_models import FOREIGN_MODELS, LENGTH, ForeignModel

PREDICTIONS_ONLY = ("tokens", "sklearn", "sklearn_custom", "strings", "custom")
ANY_LENGTH = 70
METHODS: list[tuple[Callable[..., xr.Dataset], dict[str, Any], str]] = [
    (tfb.in_silico_mutagenesis, {"start": 30, "end": 34}, "predictions"),
    (tfb.second_order_mutagenesis, {"positions": [5, 31, 33]}, "predictions"),
    (tfb.occlusion, {"width": 9, "stride": 9}, "predictions"),
    (tfb.gradients, {"method": "gradient_x_input"}, "gradients"),
    (tfb.deep_shap, {"n_references": 3}, "multipliers"),
]


def load(name: str, folder: Path, **more: Any) -> tuple[tfb.SequenceModel, ForeignModel]:
    entry = FOREIGN_MODELS[name]
    for framework in entry.frameworks:
        if importlib.util.find_spec(framework) is None:
            pytest.skip(f"needs {framework}, which is not installed")
    folder = folder / name
    folder.mkdir()
    options = {"allow_pickle": entry.pickled, **entry.options, **more}
    return tfb.load_model(entry.build(folder), source="dir", **options), entry


@pytest.mark.parametrize("name", FOREIGN_MODELS)
def test_every_method_that_applies(name: str, tmp_path: Path) -> None:
    model, entry = load(name, tmp_path)
    sequences = random_sequences(2, entry.length or ANY_LENGTH, seed=5)
    assert model.length == (None if name == "strings" else entry.length)
    expected = entry.expected(sequences["one_hot"].values).astype(np.float64)
    if entry.output == "probability":
        assert model.output == "logit"
        expected = np.log(expected / (1 - expected))
    else:
        assert model.output == "raw"
    prediction = model.predict(sequences["one_hot"].values)
    # float32 rounding, larger on the logit of a probability that was itself rounded to float32.
    np.testing.assert_allclose(prediction, expected, rtol=1e-5, atol=1e-5)

    if name in ("list_outputs", "dict_outputs"):
        assert model.target_names == ("ctcf", "max")
    can = {"predictions"} if name in PREDICTIONS_ONLY else {"predictions", "gradients", "multipliers"}
    assert model.capabilities == can
    assert len(model.fingerprint) == 16
    for method, options, capability in METHODS:
        if capability not in can:
            with pytest.raises(
                UnsupportedModelError, match=rf"has no {capability}, .* in_silico_mutagenesis"
            ):
                method(model, sequences, **options)
            continue
        result = method(model, sequences, **options)
        np.testing.assert_allclose(result["prediction"], expected, rtol=1e-5, atol=1e-5)
        if capability == "multipliers":
            difference = np.abs(result["prediction"] - result["mean_reference_prediction"]).max()
            assert np.abs(result["completeness_error"]).max() < 1e-5 * max(1, float(difference))


@pytest.mark.parametrize("name", ["keras_1_json", "torch_basset", "other_alphabet", "strings", "dict_inputs"])
def test_mutagenesis_is_that_of_the_entrys_own_definition(name: str, tmp_path: Path) -> None:
    """Layout, alphabet and text are right if each single mutant is."""
    model, entry = load(name, tmp_path, output="probability")
    sequences = random_sequences(1, LENGTH, seed=6)
    found = tfb.in_silico_mutagenesis(model, sequences, start=20, end=24)["mutation_effect"].values[0]
    one_hot = sequences["one_hot"].values
    for i, position in enumerate(range(20, 24)):
        for base in range(4):
            mutant = one_hot.copy()
            mutant[0, position] = np.eye(4)[base]
            effect = entry.expected(mutant)[0] - entry.expected(one_hot)[0]
            np.testing.assert_allclose(found[i, base], effect, atol=1e-6)


@pytest.mark.parametrize("name", ["keras_1_json", "torch"])
def test_n_is_what_kipoiseq_makes_of_it(name: str, tmp_path: Path) -> None:
    """A quarter for each base: a convolution sees the mean over the four bases."""
    model, entry = load(name, tmp_path)
    assert entry.neutral_value == 0.25
    one_hot = random_sequences(1, LENGTH, seed=7)["one_hot"].values
    quarter = one_hot.copy()
    quarter[0, 25:28] = 0.25
    with_n = one_hot.copy()
    with_n[0, 25:28] = 0
    (tmp_path / "again").mkdir()
    zeros, _ = load(name, tmp_path / "again", neutral_value=0)
    np.testing.assert_allclose(model.predict(with_n), zeros.predict(quarter), rtol=1e-6, atol=1e-6)
    assert np.abs(model.predict(with_n) - zeros.predict(with_n)).max() > 1e-4


def test_a_pickled_module_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a whole pickled model, which runs the code .* --allow-pickle"):
        load("torch_pickle", tmp_path, allow_pickle=False)


def test_profile_is_reduced_where_that_is_asked(tmp_path: Path) -> None:
    whole, _ = load("profile", tmp_path)
    (tmp_path / "mean").mkdir()
    mean, _ = load("profile", tmp_path / "mean", transform="mean")
    one_hot = random_sequences(2, LENGTH, seed=8)["one_hot"].values
    n_channels = len(mean.target_names)
    assert 1 < n_channels < len(whole.target_names)
    expected = whole.predict(one_hot).reshape(2, -1, n_channels).mean(axis=1)
    np.testing.assert_allclose(mean.predict(one_hot), expected, rtol=1e-5, atol=1e-6)
