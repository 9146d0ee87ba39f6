"""What every method promises, on every kind of model, with the same weights in each."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import (
    assert_batch_invariant,
    assert_leaves_sequences,
    assert_order_invariant,
    random_sequences,
)
from tests import foreign_models as foreign
from tests import graph_models, same_weights

Method = tuple[Callable[..., xr.Dataset], dict[str, Any]]

METHODS: dict[str, Method] = {
    "predictions": (tfb.predict_sequences, {}),
    "ism": (tfb.in_silico_mutagenesis, {"start": 20, "end": 30}),
    "second_order": (tfb.second_order_mutagenesis, {"positions": [3, 21, 24, 50]}),
    "saliency": (tfb.gradients, {"method": "saliency"}),
    "saliency_corrected": (tfb.gradients, {"method": "saliency", "correction": True}),
    "gradient_x_input": (tfb.gradients, {"method": "gradient_x_input"}),
    "gradient_x_input_corrected": (tfb.gradients, {"method": "gradient_x_input", "correction": True}),
    "integrated": (
        tfb.gradients,
        {
            "method": "integrated_gradients",
            "references": "dinucleotide_shuffle",
            "n_references": 2,
            "n_steps": 9,
        },
    ),
    "integrated_corrected": (
        tfb.gradients,
        {"method": "integrated_gradients", "correction": True, "n_steps": 9},
    ),
    "deep_shap": (tfb.deep_shap, {"n_references": 3}),
    "occlusion": (tfb.occlusion, {"width": 7}),
    "occlusion_shuffle": (tfb.occlusion, {"fill": "shuffle", "n_shuffles": 2, "start": 10, "end": 40}),
    "sampled_shapley": (tfb.sampled_shapley, {"n_references": 2, "n_permutations": 2}),
    "gia": (
        tfb.global_importance_analysis,
        {
            "patterns": {"one": [("GATTACA", 20)], "other": [("TGASNNTCA", 40)]},
            "comparisons": {"one": ["other"]},
            "n_resamples": 100,
        },
    ),
    "surrogate": (
        tfb.surrogate,
        {"n_mutants": 300, "mutation_rate": 0.5, "start": 20, "end": 25, "pairwise": True},
    ),
    "design": (tfb.design, {"n_edits": 2, "start": 20, "end": 40}),
    "deep_feature_interaction": (
        tfb.deep_feature_interaction,
        {"n_references": 2, "positions": [3, 21, 24, 50]},
    ),
    "shapley_interactions": (
        tfb.shapley_interactions,
        {"n_references": 2, "segments": [(5, 12), (12, 20), (40, 50)]},
    ),
    "integrated_hessians": (tfb.integrated_hessians, {"n_references": 1}),
    "grad_cam": (tfb.grad_cam, {}),
    "layer_contributions": (tfb.layer_contributions, {"n_references": 2}),
    "maximum_entropy_samples": (
        tfb.maximum_entropy_samples,
        {"n_samples": 10, "thin": 2, "burn_in": 5, "start": 10, "end": 50},
    ),
}
GIVES_CONTRIBUTIONS = tuple(
    name for name, (function, _) in METHODS.items() if function in (tfb.gradients, tfb.deep_shap)
)
NEEDS_MULTIPLIERS = ("deep_shap", "deep_feature_interaction", "grad_cam", "layer_contributions")
NEEDS_GRADIENTS = (*GIVES_CONTRIBUTIONS, *NEEDS_MULTIPLIERS[1:], "integrated_hessians")
# Differences of gradients are mostly rounding in float32, and refused.
IN_FLOAT64 = ("integrated_hessians",)
VARIABLES = {
    "predictions": {"dropout_mean", "dropout_standard_deviation"},
    "ism": {"mutation_effect"},
    "second_order": {"mutation_effect", "epistasis"},
    **{
        name: {"contribution", "hypothetical_contribution", "mean_reference_prediction", "completeness_error"}
        for name in GIVES_CONTRIBUTIONS
    },
    "deep_feature_interaction": {"interaction", "contribution_change"},
    "integrated_hessians": {
        *("interaction", "self_interaction", "mean_reference_prediction", "completeness_error")
    },
    "grad_cam": {"grad_cam", "class_activation"},
    "layer_contributions": {
        *("unit_contribution", "unit_activation", "mean_reference_prediction", "completeness_error")
    },
    "shapley_interactions": {
        *("interaction", "interaction_standard_error", "segment_value", "mean_reference_prediction")
    },
    "occlusion": {"occlusion_effect"},
    "occlusion_shuffle": {"occlusion_effect"},
    "sampled_shapley": {
        "contribution",
        "contribution_standard_error",
        "permutation_standard_error",
        "n_evaluations",
        "mean_reference_prediction",
        "completeness_error",
    },
    "gia": {
        "pattern_effect",
        "unedited_prediction",
        *(name for name, variable in schema.VARIABLES.items() if variable.dims == ("pattern", "target")),
    },
    "surrogate": {
        *(f"surrogate_effect{end}" for end in ("", "_low", "_high")),
        *(f"interaction{end}" for end in ("", "_low", "_high")),
        *("mutation_effect", "r_squared"),
    },
    "design": {
        *("step_prediction", "step_effect", "step_objective", "step_position", "step_base"),
        "designed_one_hot",
    },
    "maximum_entropy_samples": {
        *("sampled_base", "sampled_prediction", "base_probability", "position_weight"),
        *("acceptance", "autocorrelation_time", "effective_sample_size"),
    },
}
COMMON = {
    method: set() if method == "gia" else {"one_hot", "prediction", "reverse_complement_difference"}
    for method in METHODS
}
VARIABLES["deep_shap"] = VARIABLES["deep_shap"] | {"precision"}

PAIRS = [
    (method, kind)
    for method in METHODS
    for kind in same_weights.MAKERS
    if kind in same_weights.DIFFERENTIABLE or method not in NEEDS_GRADIENTS
]


@cache
def sequences() -> xr.Dataset:
    """Five sequences with some N, and places in the genome."""
    dataset = random_sequences(5, same_weights.LENGTH, n_fraction=0.03, seed=3)
    start = np.arange(5) * 1000
    return dataset.assign_coords(
        chrom=("sequence", ["chr20"] * 5),
        start=("sequence", start),
        end=("sequence", start + same_weights.LENGTH),
        strand=("sequence", list("+-+-+")),
    )


def wrapped(method: str, kind: str) -> tfb.SequenceModel:
    """The model of this kind, in the precision that the method asks for."""
    return same_weights.wrapped(kind, double_precision=method in IN_FLOAT64)


@cache
def result(method: str, kind: str) -> xr.Dataset:
    function, options = METHODS[method]
    return function(wrapped(method, kind), sequences(), **options)


def effects_by_sequence(model: Any, sequences: xr.Dataset, **options: Any) -> xr.Dataset:
    """Effects of patterns in each background; statistics are of at least two, so each comes twice."""
    twice = xr.concat([sequences, sequences], "sequence")
    found = tfb.global_importance_analysis(model, twice, **options)
    effects = found[["pattern_effect", "unedited_prediction"]].rename(background="sequence")
    return effects.isel(sequence=slice(sequences.sizes["sequence"])).drop_vars("sequence")


def values(dataset: xr.Dataset, name: str) -> np.ndarray:
    return np.nan_to_num(dataset[name].values.astype(np.float64))


@pytest.mark.parametrize("method", METHODS)
def test_results_agree_between_kinds_of_models(method: str) -> None:
    kinds = [kind for name, kind in PAIRS if name == method]
    # float64 by NumPy where predictions are enough; else the frameworks against each other.
    expected = result(method, kinds[-1])
    for kind in (*kinds[:-1], *others(method)):
        found = result(method, kind)
        assert set(found.variables) == set(expected.variables)
        for name in VARIABLES[method] | COMMON[method]:
            largest = np.abs(values(expected, name)).max()
            if name in ("completeness_error", "reverse_complement_difference"):
                # Differences of predictions: as exact as these are.
                largest = np.abs(values(expected, "prediction")).max()
            # Rounding of float32 in another order of sums, on values of this size.
            np.testing.assert_allclose(
                values(found, name),
                values(expected, name),
                rtol=0,
                atol=1e-5 * largest,
                err_msg=f"{kind} {name}",
            )
            np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(expected[name]))


def others(method: str) -> list[str]:
    """Kinds of files, and of packages that are installed, that have this method."""
    kinds = [*same_weights.FILES, *same_weights.OTHERS]
    missing = [name for name in same_weights.OTHERS if importlib.util.find_spec(name) is None]
    if method in NEEDS_MULTIPLIERS or method in IN_FLOAT64:  # JAX has the precision it was started with
        missing.append("jax")
    return [kind for kind in kinds if kind.lstrip(".") not in missing]


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_results_depend_on_neither_batch_nor_order(method: str, kind: str) -> None:
    function, options = METHODS[method]
    model = wrapped(method, kind)

    # Kernels of float32 sum in another order for another batch; effects are differences of predictions
    # that are several times as large.
    def run(model: Any, sequences: xr.Dataset, **more: Any) -> xr.Dataset:
        if method == "gia":
            return effects_by_sequence(model, sequences, **options, **more)
        dataset = function(model, sequences, **options, **more)
        if method != "deep_shap":
            return dataset
        # It is nothing but rounding, and that is all there is to say of it.
        assert float(np.abs(dataset["completeness_error"]).max()) < 1e-5
        return dataset.drop_vars("completeness_error")

    assert_batch_invariant(run, model, sequences(), batch_sizes=(1, 7, 256), rtol=1e-6, atol=2e-6)
    assert_order_invariant(run, model, sequences(), rtol=1e-6, atol=2e-6)
    assert_leaves_sequences(run, model, sequences())


@pytest.mark.parametrize("method", ["ism", "gradient_x_input", "deep_shap", "occlusion"])
def test_files_onnx_and_jax_depend_on_neither_batch_nor_order(method: str) -> None:
    for kind in others(method):
        if kind == "onnx" or kind in (".keras", ".h5"):
            continue  # the same as a file of it, and as the Keras model itself
        test_results_depend_on_neither_batch_nor_order(method, kind)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.pt", "model.onnx"])
def test_a_file_is_left_as_it_was(name: str, tmp_path: Path) -> None:
    import torch

    path = tmp_path / name
    if name == "model.onnx":
        pytest.importorskip("onnx")
        path.write_bytes(same_weights.onnx_network().SerializeToString())
    elif name == "model.pt":
        torch.jit.script(same_weights.torch_network()).save(str(path))
    else:
        same_weights.keras_network().save(path)
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())
    wrapped = tfb.load_model(path, targets=same_weights.TARGETS, length=same_weights.LENGTH)
    for method in ("ism", "deep_shap"):
        function, options = METHODS[method]
        function(wrapped, sequences().isel(sequence=slice(2)), **options)
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


def test_an_onnx_model_and_what_a_jax_function_holds_are_left_as_they_were() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("jax")
    proto, function = same_weights.onnx_network(), same_weights.jax_function()

    def state() -> tuple[bytes, list[bytes], list[str]]:
        values = [cell.cell_contents for cell in function.__closure__]
        held = [np.asarray(value) for value in values if hasattr(value, "dtype")]
        return proto.SerializeToString(), [each.tobytes() for each in held], sorted(vars(function))

    before = state()
    assert len(before[1]) > 1
    for model in (proto, function):
        wrapped = tfb.as_sequence_model(model, targets=same_weights.TARGETS, length=same_weights.LENGTH)
        for method in ("ism", "gradient_x_input"):
            call, options = METHODS[method]
            call(wrapped, sequences().isel(sequence=slice(2)), **options)
    assert state() == before


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_every_result_is_whole_and_labelled(method: str, kind: str, tmp_path: Path) -> None:
    found = result(method, kind)
    assert set(found.data_vars) == VARIABLES[method] | COMMON[method]
    for name in found.data_vars:
        assert found[name].dims == schema.VARIABLES[str(name)].dims
        assert found[name].attrs["long_name"]
        is_of_none = {
            "saliency": ("completeness_error", "mean_reference_prediction"),
            "predictions": ("dropout_mean", "dropout_standard_deviation"),
        }
        missing = found.attrs.get("gradient_method", method)
        assert np.isfinite(found[name]).any() or name in is_of_none.get(missing, ())
    assert found["target"].values.tolist() == list(same_weights.TARGETS)
    if method == "gia":
        assert found["background"].values.tolist() == sequences()["id"].values.tolist()
    else:
        for name in ("id", "chrom", "start", "end", "strand"):
            np.testing.assert_array_equal(found[name], sequences()[name])
        assert found["base"].values.tolist() == list("ACGT")
    attributes = found.attrs
    assert attributes["output"] == ("raw" if kind == "predict_only" else "logit")
    assert attributes["method"] == METHODS[method][0].__name__
    assert (attributes["model_hash"] == "unknown") == (kind == "predict_only")
    assert "kipoi_tfbind 0." in attributes["versions"]
    if "seed" in attributes:
        assert attributes["seed"] == 0

    tfb.save_result(found, tmp_path / "result.nc")
    xr.testing.assert_identical(tfb.open_result(tmp_path / "result.nc"), found)
    with h5py.File(tmp_path / "result.nc") as file:
        for name in found.data_vars:
            np.testing.assert_array_equal(file[str(name)][:], found[name].values)
        assert file.attrs["method"] == attributes["method"]


@pytest.mark.parametrize("method", NEEDS_GRADIENTS)
def test_what_a_model_cannot_do_is_refused_with_what_it_can(method: str) -> None:
    function, options = METHODS[method]
    with pytest.raises(
        UnsupportedModelError, match=r"has no .* in_silico_mutagenesis, second_order_mutagenesis"
    ):
        function(same_weights.wrapped("predict_only"), sequences(), **options)


# The network of all other methods has no attention. This one has 2 heads of 4 channels behind a ReLU, so that
# all its constants are the same in every framework: Keras' gelu multiplies by the float32 next to the root of
# 1/2, also where all else is computed in float64, and PyTorch's does not.
WITH_ATTENTION = ("torch", "keras", ".keras")
ATTENTION_VARIABLES = {"attention", "attention_received", "ism_correlation", "epistasis_correlation"}
ATTENTION_OPTIONS = {"n_paired": 3}


@cache
def attending(kind: str) -> tfb.SequenceModel:
    network = graph_models.build("multi_head_attention")
    options: dict[str, Any] = {"double_precision": True, "output": "raw"}
    if kind == "torch":
        return tfb.as_sequence_model(network.torch, length=graph_models.LENGTH, **options)
    if kind == "keras":
        return tfb.as_sequence_model(network.keras, **options)
    with tempfile.TemporaryDirectory() as folder:
        network.keras.save(Path(folder) / "model.keras")
        return tfb.load_model(Path(folder) / "model.keras", **options)


@cache
def attended() -> xr.Dataset:
    return random_sequences(2, graph_models.LENGTH, n_fraction=0.03, seed=3)


@cache
def attention_of(kind: str) -> xr.Dataset:
    return tfb.attention_maps(attending(kind), attended(), **ATTENTION_OPTIONS)


def test_attention_maps_agree_between_kinds_and_are_labelled(tmp_path: Path) -> None:
    expected = attention_of(WITH_ATTENTION[0])
    assert set(expected.data_vars) == ATTENTION_VARIABLES | COMMON["ism"]
    for name in ATTENTION_VARIABLES:
        assert expected[name].dims == schema.VARIABLES[name].dims
        assert expected[name].dtype == np.float64
        assert expected[name].attrs["long_name"]
        for kind in WITH_ATTENTION[1:]:
            # Sums of float64 in another order; rank correlations are the same.
            found, most = attention_of(kind), 1e-12 * np.nanmax(np.abs(expected[name]))
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=most, err_msg=kind)
    for name in ("query_field_start", "query_field_end", "key_field_start", "key_field_end"):
        np.testing.assert_array_equal(expected[name], attention_of("keras")[name])
    assert "multi_head_attention" in str(attention_of("keras")["head"].values[0])
    tfb.save_result(expected, tmp_path / "result.nc")
    xr.testing.assert_identical(tfb.open_result(tmp_path / "result.nc"), expected)


@pytest.mark.parametrize("kind", WITH_ATTENTION[:2])
def test_attention_maps_depend_on_neither_batch_nor_order(kind: str) -> None:
    # As of kinds of models; the batch changes the order of sums.
    close: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-13}
    arguments = (tfb.attention_maps, attending(kind), attended())
    assert_batch_invariant(*arguments, batch_sizes=(1, 64), **close, **ATTENTION_OPTIONS)
    assert_order_invariant(*arguments, **close, **ATTENTION_OPTIONS)


def test_attention_maps_go_on_after_an_interruption(tmp_path: Path) -> None:
    calls = 0

    @functools.wraps(tfb.attention_maps)
    def stopped(*arguments: Any, **options: Any) -> xr.Dataset:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return tfb.attention_maps(*arguments, **options)

    def stream(method: Callable[..., xr.Dataset], name: str) -> None:
        options = {"at_once": 1, "block": 1, **ATTENTION_OPTIONS}
        tfb.stream(method, attending("torch"), attended(), tmp_path / name, **options)

    stream(tfb.attention_maps, "whole.nc")
    with pytest.raises(KeyboardInterrupt):
        stream(stopped, "stopped.nc")
    assert tfb.finished_sequences(tmp_path / "stopped.nc") == 1
    stream(stopped, "stopped.nc")
    assert calls == 3
    assert (tmp_path / "stopped.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_the_hash_is_that_of_the_weights() -> None:
    first, second = same_weights.keras_network(), same_weights.keras_network()
    assert tfb.as_sequence_model(first).fingerprint == tfb.as_sequence_model(second).fingerprint
    weights = second.get_weights()
    weights[0] = weights[0] + 1e-3
    second.set_weights(weights)
    assert tfb.as_sequence_model(first).fingerprint != tfb.as_sequence_model(second).fingerprint


def snapshot_of_module(module: Any) -> list[Any]:
    """All that a method could leave behind in a PyTorch module."""
    found: list[Any] = []
    for name, part in module.named_modules():
        hooks = [len(value) for key, value in sorted(vars(part).items()) if key.endswith("_hooks")]
        assert len(hooks) > 4
        found.append((name, part.training, sorted(vars(part)), hooks))
    for name, parameter in module.named_parameters():
        found.append((name, parameter.requires_grad, parameter.grad is None, parameter.dtype))
    values = [value.detach().numpy().tobytes() for value in module.state_dict().values()]
    return [*found, *values, *module.state_dict()]


def torch_module(kind: str) -> Any:
    import torch

    class Branching(same_weights.TorchNetwork):
        """Its path depends on the values, so that it cannot be traced and is called itself."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() >= 0 else super().forward(-x)

    module = Branching() if kind == "branching" else same_weights.TorchNetwork()
    module.load_state_dict(same_weights.torch_network().state_dict())
    module.body.insert(3, torch.nn.BatchNorm1d(foreign.FILTERS))
    module.train()
    module.body[1].eval()
    module.head.weight.requires_grad_(False)
    return module


@pytest.mark.parametrize("kind", ["traced", "branching"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_pytorch_module_is_left_as_it_was(kind: str, fails: bool) -> None:
    import torch

    module = torch_module(kind)
    if fails:
        module.head.bias.data[:] = torch.nan
    before = snapshot_of_module(module)
    # A copy in float64 is made from the trace.
    precisions = (False, True) if kind == "traced" else (False,)
    models = {
        double: tfb.as_sequence_model(module, length=same_weights.LENGTH, double_precision=double)
        for double in precisions
    }
    assert ("multipliers" in models[False].capabilities) == (kind == "traced")
    for name, (function, options) in METHODS.items():
        wrapped = models.get(name in IN_FLOAT64)
        if wrapped is None:
            continue
        runs = name not in NEEDS_MULTIPLIERS or "multipliers" in wrapped.capabilities
        if fails and runs:
            with pytest.raises(InputError, match="is nan; are the model's weights sound"):
                function(wrapped, sequences(), **options)
        elif runs:
            function(wrapped, sequences(), **options)
        with pytest.raises((InputError, UnsupportedModelError)):
            function(wrapped, random_sequences(2, same_weights.LENGTH - 1), **options)
    assert snapshot_of_module(module) == before
    # What the user does next is not in the way of anything either.
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("fails", [False, True])
def test_a_keras_model_is_left_as_it_was(fails: bool) -> None:
    model = same_weights.keras_network()
    model.layers[1].trainable = False
    if fails:
        model.layers[-1].bias.assign([np.nan, 0])

    def snapshot() -> list[Any]:
        layers = [(layer.name, layer.trainable, sorted(vars(layer))) for layer in model.layers]
        return [layers, model.trainable, sorted(vars(model)), *map(np.ndarray.tobytes, model.get_weights())]

    before = snapshot()
    models = {double: tfb.as_sequence_model(model, double_precision=double) for double in (False, True)}
    for name, (function, options) in METHODS.items():
        wrapped = models[name in IN_FLOAT64]
        if fails:
            with pytest.raises(InputError, match="is nan; are the model's weights sound"):
                function(wrapped, sequences(), **options)
        else:
            function(wrapped, sequences(), **options)
        with pytest.raises(InputError, match="expected one-hot sequences"):
            function(wrapped, random_sequences(2, same_weights.LENGTH - 1), **options)
    assert snapshot() == before


def test_logits_are_those_before_the_sigmoid_found_in_the_graph() -> None:
    one_hot = sequences()["one_hot"].values
    expected = same_weights.logits(one_hot)
    for kind in same_weights.DIFFERENTIABLE:
        found = same_weights.wrapped(kind).predict(one_hot)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        raw = same_weights.MAKERS[kind]()
        length = None if kind == "keras" else same_weights.LENGTH
        probability = tfb.as_sequence_model(raw, length=length, output="probability")
        assert probability.output == "probability"
        np.testing.assert_allclose(probability.predict(one_hot), 1 / (1 + np.exp(-expected)), atol=1e-6)
