"""Models with layers of concise, as Keras 2 saved them, against NumPy; splines against their recursion."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.repairs import legacy_keras
from kipoi_tfbind.repairs.legacy_keras.concise_layers import spline_basis
from kipoi_tfbind.testing import random_sequences

LENGTH, FILTERS, WIDTH, N_BASES = 30, 3, 5, 7
N = LENGTH - WIDTH + 1
RNG = np.random.default_rng(3)
ARRAYS: dict[str, list[NDArray]] = {
    "conv": [RNG.normal(size=(WIDTH, 4, FILTERS)), RNG.normal(size=FILTERS)],
    "weight": [RNG.normal(0, 0.5, (N_BASES, FILTERS)), RNG.normal(size=FILTERS)],
    "spline": [RNG.normal(size=(10, 2))],
    "dense": [RNG.normal(size=(FILTERS + 2, 1)), RNG.normal(size=1)],
}
ONE_HOT = random_sequences(4, LENGTH, seed=5)["one_hot"].values.astype(np.float64)
POSITIONS = RNG.uniform(size=(4, 2, 10))


def layer(kind: str, name: str, inputs: list[str], **config: Any) -> dict[str, Any]:
    inbound = [[[each, 0, 0, {}] for each in inputs]] if inputs else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": inbound}


def architecture() -> dict[str, Any]:
    """A model as those of rbp_eclip: DNA, and splines of positions beside it."""
    regular = {"class_name": "GAMRegularizer", "config": {"n_bases": 10}}
    layers = [
        layer("InputLayer", "seq", [], batch_input_shape=[None, LENGTH, 4]),
        layer("InputLayer", "dist", [], batch_input_shape=[None, 2, 10]),
        layer(
            "ConvDNA",
            "conv",
            ["seq"],
            filters=FILTERS,
            kernel_size=[WIDTH],
            padding="valid",
            activation="relu",
            use_bias=True,
            kernel_regularizer=regular,
            seq_length=LENGTH,
        ),
        layer(
            "SplineWeight1D",
            "weight",
            ["conv"],
            n_bases=N_BASES,
            spline_degree=3,
            share_splines=False,
            l2=1e-5,
            l2_smooth=1e-5,
            use_bias=True,
        ),
        layer("GlobalSumPooling1D", "sum", ["weight"]),
        layer(
            "SplineT", "spline", ["dist"], shared_weights=False, use_bias=False, kernel_regularizer=regular
        ),
        layer("Concatenate", "both", ["sum", "spline"], axis=-1),
        layer("Dense", "dense", ["both"], units=1, activation="sigmoid", use_bias=True),
    ]
    config = {
        "name": "model",
        "layers": layers,
        "input_layers": [["seq", 0, 0], ["dist", 0, 0]],
        "output_layers": [["dense", 0, 0]],
    }
    return {"class_name": "Model", "config": config, "keras_version": "2.1.6", "backend": "tensorflow"}


def write(folder: Path, described: dict[str, Any], arrays: dict[str, list[NDArray]]) -> tuple[Path, Path]:
    (folder / "model.json").write_text(json.dumps(described))
    with h5py.File(folder / "weights.h5", "w") as file:
        file.attrs.update(keras_version="2.1.6", backend="tensorflow")
        names = [each["name"] for each in described["config"]["layers"]]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            group = file.create_group(name)
            own = arrays.get(name, [])
            group.attrs["weight_names"] = [f"w{i}".encode() for i in range(len(own))]
            for i, array in enumerate(own):
                group[f"w{i}"] = array.astype(np.float32)
    return folder / "weights.h5", folder / "model.json"


def recursion(x: float, knots: NDArray, i: int, degree: int) -> float:
    """The i-th B-spline at x (Cox 1972, de Boor 1972)."""
    if degree == 0:
        return float(knots[i] <= x < knots[i + 1])
    left = (x - knots[i]) / (knots[i + degree] - knots[i])
    right = (knots[i + degree + 1] - x) / (knots[i + degree + 1] - knots[i + 1])
    return left * recursion(x, knots, i, degree - 1) + right * recursion(x, knots, i + 1, degree - 1)


def basis_by_hand(length: int, n_bases: int, degree: int) -> NDArray:
    low, high = 0 - 0.001 * (length - 1), (length - 1) + 0.001 * (length - 1)
    n_inside = n_bases - degree + 1
    step = (high - low) / (n_inside - 1)
    knots = np.array([low + k * step for k in range(-degree, n_inside + degree)])
    return np.array([[recursion(x, knots, i, degree) for i in range(n_bases)] for x in range(length)])


def logit_by_hand(one_hot: NDArray, positions: NDArray) -> NDArray:
    kernel, bias = ARRAYS["conv"]
    windows = np.lib.stride_tricks.sliding_window_view(one_hot, WIDTH, axis=1)
    hidden = np.maximum(np.einsum("npbw,wbf->npf", windows, kernel) + bias, 0)
    weight = 1 + basis_by_hand(N, N_BASES, 3) @ ARRAYS["weight"][0] + ARRAYS["weight"][1]
    spline = np.einsum("nfb,bf->nf", positions, ARRAYS["spline"][0])
    both = np.concatenate([(hidden * weight).sum(axis=1), spline], axis=1)
    return both @ ARRAYS["dense"][0] + ARRAYS["dense"][1]


@pytest.mark.parametrize(("length", "n_bases", "degree"), [(26, 7, 3), (400, 10, 3), (11, 5, 2)])
def test_basis_of_splines(length: int, n_bases: int, degree: int) -> None:
    # Knots are kept in float32, whose rounding is 1e-7 of the length over the distance of two knots.
    expected = basis_by_hand(length, n_bases, degree)
    np.testing.assert_allclose(spline_basis(length, n_bases, degree), expected, rtol=0, atol=3e-6)


def test_a_model_as_those_of_rbp_eclip(tmp_path: Path) -> None:
    model = legacy_keras.load_legacy_model(*write(tmp_path, architecture(), ARRAYS))
    found = model.predict([ONE_HOT, POSITIONS], verbose=0)
    expected = 1 / (1 + np.exp(-logit_by_hand(ONE_HOT, POSITIONS)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


CUSTOM_OBJECTS = {
    "some": "from concise.layers import ConvDNA, SplineT\n\n"
    "OBJECTS = {'SplineT': SplineT, 'ConvDNA': ConvDNA}\n",
    "all": "import concise\n\nOBJECTS = concise.custom_objects\n",
    # Concise enters its layers as it is imported.
    "none": "import concise\n\nOBJECTS = None\n",
}


@pytest.mark.parametrize("objects", CUSTOM_OBJECTS)
def test_an_entry_whose_custom_objects_import_concise(objects: str, tmp_path: Path) -> None:
    """It is predicted and explained; concise is not there before, nor afterwards."""
    write(tmp_path, architecture(), ARRAYS)
    (tmp_path / "custom_keras_objects.py").write_text(CUSTOM_OBJECTS[objects])
    (tmp_path / "model.yaml").write_text(f"""
defined_as: kipoi.model.KerasModel
args: {{weights: weights.h5, arch: model.json, custom_objects: custom_keras_objects.py}}
info: {{authors: [{{name: somebody}}], doc: a model}}
schema:
  inputs:
    seq:
      shape: ({LENGTH}, 4)
      special_type: DNASeq
      doc: one-hot
    dist:
      shape: (2, 10)
      doc: splines of positions
  targets:
    shape: (1, )
    doc: binding
""")
    model = tfb.load_model(str(tmp_path), auxiliary={"dist": POSITIONS[0]})
    assert "concise" not in sys.modules
    assert model.output == "logit"
    sequences = random_sequences(4, LENGTH, seed=5)
    result = tfb.deep_shap(model, sequences, n_references=3)
    expected = logit_by_hand(ONE_HOT, np.repeat(POSITIONS[:1], 4, axis=0))
    np.testing.assert_allclose(result["prediction"], expected, rtol=1e-4, atol=1e-4)
    assert float(np.abs(result["completeness_error"]).max()) < 1e-4

    (tmp_path / "custom_keras_objects.py").write_text("from concise.layers import Unheard\n")
    with pytest.raises(UnsupportedModelError, match=r"layers.Unheard: concise is not installed, .* SplineT"):
        tfb.load_model(str(tmp_path))


def sequential(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    described: list[dict[str, Any]] = []
    for kind, config in layers:
        before = [described[-1]["name"]] if described else []
        described.append(layer(kind, config.pop("name"), before, **config))
    config = {
        "name": "model",
        "layers": described,
        "input_layers": [[described[0]["name"], 0, 0]],
        "output_layers": [[described[-1]["name"], 0, 0]],
    }
    return {"class_name": "Model", "config": config, "keras_version": "2.1.6", "backend": "tensorflow"}


@pytest.mark.parametrize("use_exp", [False, True])
def test_gam_smooth(use_exp: bool, tmp_path: Path) -> None:
    described = sequential(
        ("InputLayer", {"name": "x", "batch_input_shape": [None, 12, 4]}),
        ("GAMSmooth", {"name": "s", "n_bases": 6, "spline_exp": use_exp, "share_splines": True, "l2": 1e-5}),
    )
    kernel = RNG.normal(size=(6, 1))
    model = legacy_keras.load_legacy_model(*write(tmp_path, described, {"s": [kernel]}))
    x = RNG.normal(size=(2, 12, 4))
    spline = basis_by_hand(12, 6, 3) @ kernel
    expected = x * (np.exp(spline) if use_exp else 1 + spline)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_shared_splines_have_no_bias(tmp_path: Path) -> None:
    described = sequential(
        ("InputLayer", {"name": "x", "batch_input_shape": [None, 5, 2, 10]}),
        ("SplineT", {"name": "s", "shared_weights": True, "use_bias": True}),
    )
    kernel, bias = RNG.normal(size=(10, 1)), np.ones(2)
    model = legacy_keras.load_legacy_model(*write(tmp_path, described, {"s": [kernel, bias]}))
    x = RNG.normal(size=(2, 5, 2, 10))
    np.testing.assert_allclose(model.predict(x, verbose=0), (x @ kernel)[..., 0], rtol=1e-4, atol=1e-5)


def test_mean_without_the_padding(tmp_path: Path) -> None:
    """As in MMSplice: the mean over the positions of a sequence that is padded with zeros."""
    described = architecture()
    pooled = layer("GlobalAveragePooling1D_Mask0", "mean", ["conv", "seq"], data_format="channels_last")
    config = described["config"]
    config["layers"] = [config["layers"][0], config["layers"][2], pooled]
    config["layers"][1]["config"]["padding"] = "same"
    config["input_layers"], config["output_layers"] = [["seq", 0, 0]], [["mean", 0, 0]]
    model = legacy_keras.load_legacy_model(*write(tmp_path, described, ARRAYS))
    padded = ONE_HOT.copy()
    padded[:, 20:] = 0
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(padded, ((0, 0), (2, 2), (0, 0))), WIDTH, axis=1
    )
    hidden = np.maximum(np.einsum("npbw,wbf->npf", windows, ARRAYS["conv"][0]) + ARRAYS["conv"][1], 0)
    expected = hidden[:, :20].mean(axis=1)
    np.testing.assert_allclose(model.predict(padded, verbose=0), expected, rtol=1e-4, atol=1e-5)
