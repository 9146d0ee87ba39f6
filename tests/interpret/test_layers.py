"""Grad-CAM, contributions of units and attention maps, against NumPy and the frameworks' own gradients."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import CompletenessWarning, InputError, UnsupportedModelError
from kipoi_tfbind.testing import assert_batch_invariant, assert_order_invariant, random_sequences
from kipoi_tfbind.training.ensemble import mix_models
from tests import foreign_models as foreign
from tests import graph_models, same_weights

LENGTH = graph_models.LENGTH


def wrapped(name: str, framework: str = "torch") -> Any:
    architecture = graph_models.build(name)
    if framework == "torch":
        return tfb.as_sequence_model(architecture.torch, length=LENGTH, double_precision=True, output="raw")
    options: dict[str, Any] = {}
    if len(architecture.lengths) > 1:
        other = architecture.keras.inputs[1]
        value = np.random.default_rng(0).normal(size=other.shape[1:])
        options = {"sequence_input": "sequence_0", "auxiliary": {other.name: value}}
    return tfb.as_sequence_model(architecture.keras, double_precision=True, output="raw", **options)


def mean_over_fields(values: np.ndarray, size: int, stride: int, before: int, length: int) -> np.ndarray:
    """Of each position, the mean of those of the layer that see it, one by one."""
    found = np.full(length, np.nan)
    for position in range(length):
        seen = [
            v for j, v in enumerate(values) if j * stride - before <= position < j * stride - before + size
        ]
        found[position] = np.mean(seen) if seen else np.nan
    return found


# Of the network of one convolution with ReLU, pooling and a dense layer, by NumPy in float64.
def test_grad_cam_is_the_weighted_sum_by_hand() -> None:
    sequences = random_sequences(2, same_weights.LENGTH, n_fraction=0.03, seed=5)
    one_hot = sequences["one_hot"].values.astype(np.float64)
    for kind in same_weights.DIFFERENTIABLE:
        result = tfb.grad_cam(same_weights.wrapped(kind), sequences)
        assert result["layer_field_end"].values[0] == foreign.WIDTH
        n = same_weights.LENGTH - foreign.WIDTH + 1
        for row in range(2):
            windows = np.stack([one_hot[row, j : j + foreign.WIDTH] for j in range(n)])
            activation = np.maximum(np.einsum("jwb,wbf->jf", windows, foreign.KERNEL) + foreign.BIAS, 0)
            for target in range(2):
                gradient = np.zeros_like(activation)
                for pooled, channel in np.ndindex(foreign.POSITIONS, foreign.FILTERS):
                    window = activation[pooled * foreign.POOL : (pooled + 1) * foreign.POOL, channel]
                    at = pooled * foreign.POOL + window.argmax()
                    gradient[at, channel] = foreign.HEAD[pooled, channel, target]
                weighted = activation @ gradient.mean(axis=0)
                expected = mean_over_fields(np.maximum(weighted, 0), foreign.WIDTH, 1, 0, same_weights.LENGTH)
                # Rounding of float32.
                np.testing.assert_allclose(
                    result["class_activation"].values[row, :, target], weighted, rtol=0, atol=2e-5
                )
                np.testing.assert_allclose(
                    result["grad_cam"].values[row, :, target], expected, rtol=0, atol=2e-5
                )


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_grad_cam_takes_any_convolution_by_name(framework: str) -> None:
    model = wrapped("exponential", framework)
    one = random_sequences(1, LENGTH, seed=2)
    layers = graph_models.build("exponential").keras.layers
    names = [layer.name for layer in layers if layer.name.startswith("conv")]
    names = ["parts.0", "parts.1"] if framework == "torch" else names
    first, last = (tfb.grad_cam(model, one, layer=name) for name in names)
    np.testing.assert_array_equal(tfb.grad_cam(model, one)["grad_cam"], last["grad_cam"])
    assert (first.sizes["layer_position"], last.sizes["layer_position"]) == (LENGTH, LENGTH // 4)
    # The second sees 5 pooled positions of 4, each through a convolution of 5 on either side.
    middle = LENGTH // 8
    assert int(last["layer_field_end"][middle] - last["layer_field_start"][middle]) == 5 * 4 + 4
    with pytest.raises(InputError, match=r"layer: expected one \(.*\), got 'nowhere'"):
        tfb.grad_cam(model, one, layer="nowhere")


@pytest.mark.parametrize(
    ("name", "framework"),
    [(name, "torch") for name in graph_models.BUILDERS if name != "two_inputs"]
    + [(name, "keras") for name in ("two_inputs", "rc_tied_max", "zoo_dilated_residual", "gru")],
)
def test_contributions_of_units_are_complete(name: str, framework: str) -> None:
    """At the last convolution that all passes through, of every architecture."""
    model = wrapped(name, framework)
    sequences = random_sequences(2, LENGTH, seed=1)
    result = tfb.layer_contributions(model, sequences, n_references=2)
    difference = np.abs(result["prediction"] - result["mean_reference_prediction"]).values
    error = np.abs(result["completeness_error"].values)
    # Rounding of float64, of numbers that may be larger than the difference.
    scale = np.maximum(difference, np.abs(result["unit_contribution"].values).max(axis=1))
    assert (error < 1e-10 * scale + 1e-13).all()
    total = result["unit_contribution"].sum("unit")
    np.testing.assert_allclose(total, result["prediction"] - result["mean_reference_prediction"], atol=1e-9)
    assert np.abs(total).max() > 0


def test_contributions_at_the_input_of_a_dense_layer_are_products() -> None:
    sequences = random_sequences(2, same_weights.LENGTH, seed=5)
    references = random_sequences(3, same_weights.LENGTH, seed=6)["one_hot"].values
    model = same_weights.wrapped("torch")
    pooled = tfb.layer_contributions(model, sequences, layer="body.2", references=references)
    module = same_weights.torch_network().eval()
    with torch.no_grad():
        x, r = (
            module.body(torch.tensor(values).float().transpose(1, 2)).numpy()
            for values in (sequences["one_hot"].values, references)
        )
    weight = module.head.weight.detach().numpy()
    expected = (x - r.mean(axis=0))[:, :, np.newaxis] * weight.T
    # Filter by filter there, position by position here: a pooled position sees its windows.
    order = np.arange(expected.shape[1]).reshape(foreign.FILTERS, foreign.POSITIONS).T.ravel()
    np.testing.assert_allclose(pooled["unit_contribution"], expected[:, order], rtol=0, atol=1e-5)
    np.testing.assert_allclose(pooled["unit_activation"], x[:, order], rtol=0, atol=1e-5)
    assert pooled["unit_channel"].values[: foreign.FILTERS].tolist() == list(range(foreign.FILTERS))
    assert pooled["unit_field_start"].values[foreign.FILTERS] == foreign.POOL
    assert pooled["unit_field_end"].values[foreign.FILTERS] == 2 * foreign.POOL + foreign.WIDTH - 1
    # Behind the flattening no unit has a position.
    flat = tfb.layer_contributions(model, sequences, layer="head", references=references)
    assert set(flat["unit_position"].values) == {-1}
    assert set(flat["unit_field_end"].values) == {same_weights.LENGTH}
    np.testing.assert_allclose(
        flat["unit_contribution"].sum("unit"), pooled["unit_contribution"].sum("unit"), atol=1e-5
    )


def test_layers_that_something_passes_by_are_refused_with_those_that_are_not() -> None:
    one = random_sequences(1, LENGTH, seed=1)
    with pytest.raises(InputError, match=r"layer parts.1: only a part .* all passes through parts.0, "):
        tfb.layer_contributions(wrapped("dilated_residual"), one, layer="parts.1")
    unlike = tfb.as_sequence_model([wrapped("relu"), wrapped("exponential")])
    with pytest.raises(InputError, match="expected the same, for their mean; name another"):
        tfb.layer_contributions(unlike, one, n_references=2)
    with pytest.warns(CompletenessWarning, match="layer_contributions: 3 of 3"):
        tfb.layer_contributions(wrapped("relu"), one, tolerance=1e-30)


@pytest.mark.parametrize("kind", [".pt", "onnx"])
def test_convolutions_of_files_without_names_of_layers_are_numbered(kind: str) -> None:
    model, one = same_weights.wrapped(kind), random_sequences(2, same_weights.LENGTH, seed=1)
    expected = tfb.layer_contributions(same_weights.wrapped("torch"), one, layer="body.1", n_references=2)
    result = tfb.layer_contributions(model, one, layer="convolution 1", n_references=2)
    largest = np.abs(expected["unit_contribution"].values).max()
    # Rounding of float32.
    np.testing.assert_allclose(
        result["unit_contribution"], expected["unit_contribution"], rtol=0, atol=1e-5 * largest
    )
    assert tfb.filter_motifs(model, one).attrs["layer"] == "convolution 1"
    with pytest.raises(
        InputError, match=r"no names of layers, as TorchScript .* of convolution 1, .*'conv1d'"
    ):
        tfb.layer_contributions(model, one, layer="conv1d", n_references=2)


def test_layers_of_an_ensemble_have_short_names_of_their_own() -> None:
    layers = keras.layers

    def member() -> keras.Model:
        inputs = keras.Input((20, 4), name="sequence")
        values = layers.Conv1D(3, 5, activation="relu", name="motifs")(inputs)
        values = layers.Conv1D(2, 3, activation="relu", name="pairs")(
            layers.MaxPooling1D(4, name="pool")(values)
        )
        return keras.Model(inputs, layers.Dense(1, name="logit")(layers.Flatten(name="flat")(values)))

    mixed = mix_models([member(), member()], np.full((2, 1), 0.5), np.zeros(1))
    model, one = tfb.as_sequence_model(mixed), random_sequences(1, 20)
    names = ("member_1/motifs", "member_1/pairs", "member_2/motifs", "member_2/pairs")
    listed = re.escape(", ".join(names))
    for method in (tfb.grad_cam, tfb.filter_motifs):
        with pytest.raises(InputError, match=rf"layer: expected one \({listed}\), got '\?'"):
            method(model, one, layer="?")
        with pytest.raises(InputError, match="got 'motifs', the end of member_1/motifs, member_2/motifs"):
            method(model, one, layer="motifs")
    assert tfb.filter_motifs(model, one, layer=names[2], importance=False).attrs["layer"] == names[2]
    with pytest.raises(InputError, match=r"/pool, member_2/pairs, .*, ensemble/logit\), got '\?'"):
        tfb.layer_contributions(model, one, layer="?")
    with pytest.raises(
        InputError, match=r"layer member_2/pairs: only a part .* all passes through member_logits, "
    ):
        tfb.layer_contributions(model, one, layer=names[3])


def heads_of(module: nn.MultiheadAttention, x: np.ndarray) -> np.ndarray:
    """Weights (sequence, head, query, key) by their definition, in float64."""
    n, length, size = x.shape
    weight, bias = (
        p.detach().numpy().astype(np.float64) for p in (module.in_proj_weight, module.in_proj_bias)
    )
    query, key = (
        (x @ weight[part].T + bias[part]).reshape(n, length, module.num_heads, -1)
        for part in (slice(0, size), slice(size, 2 * size))
    )
    scores = np.einsum("nqhd,nkhd->nhqk", query, key) / np.sqrt(size // module.num_heads)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


class Stacked(nn.Module):
    """Pooling by 3, nn.MultiheadAttention, and scaled_dot_product_attention with a causal mask behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.convolution = nn.Conv1d(4, 8, 5, padding=2)
        self.first = nn.MultiheadAttention(8, 2, batch_first=True)
        self.second = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def before(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(nn.functional.max_pool1d(self.convolution(x), 3)).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        x = x + self.first(x, x, x, need_weights=False)[0]
        parts = self.second(x).unflatten(-1, (2, 4)).transpose(1, 2)
        parts = nn.functional.scaled_dot_product_attention(parts, parts, parts, is_causal=True)
        return self.head(parts.transpose(1, 2).flatten(2).mean(1))


def test_attention_of_pytorch_is_found_and_stands_where_its_positions_do() -> None:
    module = Stacked().eval()
    model = tfb.as_sequence_model(module, length=24)
    sequences = random_sequences(2, 24, seed=3)
    result = tfb.attention_maps(model, sequences, n_paired=4)
    assert result["head"].values.tolist() == ["first/0", "first/1", "Stacked/0", "Stacked/1"]
    with torch.no_grad():
        x = module.before(torch.tensor(sequences["one_hot"].values).float().transpose(1, 2)).numpy()
    expected = heads_of(module.first, x.astype(np.float64))
    np.testing.assert_allclose(result["attention"].values[:, :2], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(result["attention"].sum("key"), 1, rtol=1e-6)
    # Nothing looks ahead in the second one.
    assert np.triu(result["attention"].values[0, 2], k=1).max() == 0
    # A pool of 3 over a convolution of 5.
    assert result["key_field_start"].values[:3].tolist() == [0, 1, 4]
    assert result["key_field_end"].values[:3].tolist() == [5, 8, 11]
    one = tfb.attention_maps(model, sequences, layer="first", n_paired=0)
    np.testing.assert_array_equal(one["attention"], result["attention"][:, :2])
    assert np.isnan(one["epistasis_correlation"]).all()

    ism = np.abs(tfb.in_silico_mutagenesis(model, sequences)["mutation_effect"].values).sum(axis=2) / 3
    received = expected[1, 1].mean(axis=0)
    by_base = mean_over_fields(received, 7, 3, 2, 24)
    np.testing.assert_allclose(result["attention_received"].values[1, 1], by_base, rtol=0, atol=1e-6)
    correlation = stats.spearmanr(by_base, ism[1, :, 1]).statistic
    assert float(result["ism_correlation"][1, 1, 1]) == pytest.approx(correlation, abs=1e-6)

    largest = np.sort(np.argsort(-ism[1].max(axis=1))[:4])
    epistasis = tfb.second_order_mutagenesis(model, sequences.isel(sequence=[1]), positions=largest.tolist())
    sizes, between = [], []
    for pair in range(6):
        a, b = int(epistasis["position_a"][pair]), int(epistasis["position_b"][pair])
        sizes.append(float(np.abs(epistasis["epistasis"].isel(sequence=0, pair=pair, target=1)).sum()))
        rows = np.stack([mean_over_fields(expected[1, 0][:, k], 7, 3, 2, 24) for k in range(8)], axis=1)
        table = np.stack([mean_over_fields(row, 7, 3, 2, 24) for row in rows])
        between.append((table[a, b] + table[b, a]) / 2)
    correlation = stats.spearmanr(between, sizes).statistic
    assert float(result["epistasis_correlation"][1, 0, 1]) == pytest.approx(correlation, abs=1e-6)


@pytest.mark.slow
def test_ensembles_are_means_and_nothing_depends_on_the_batch() -> None:
    members = [Stacked().eval(), Stacked().eval()]
    with torch.no_grad():
        for weight in members[1].parameters():
            weight.mul_(1.5)
    sequences = random_sequences(3, 24, n_fraction=0.05, seed=4)
    models = [tfb.as_sequence_model(member, length=24) for member in members]
    together = tfb.as_sequence_model(models)
    cases: tuple[tuple[Any, dict[str, Any], tuple[str, ...]], ...] = (
        (tfb.attention_maps, {"n_paired": 0}, ("attention", "ism_correlation")),
        (tfb.grad_cam, {}, ("grad_cam", "class_activation")),
        (tfb.layer_contributions, {"layer": "second", "n_references": 2}, ("unit_contribution",)),
    )
    for method, options, names in cases:
        single = [method(model, sequences, **options) for model in models]
        found = method(together, sequences, **options)
        for name in names:
            mean = (single[0][name].values + single[1][name].values) / 2
            np.testing.assert_allclose(found[name], mean, rtol=0, atol=1e-6)
            assert np.nanmax(found[f"{name}_sd"].values) > 0
        precise = tfb.as_sequence_model(members[0], length=24, double_precision=True)
        # In float64, where nothing but the order of sums differs; a completeness error is just rounding.
        close: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-14}
        assert_batch_invariant(method, precise, sequences, batch_sizes=(1, 2), **close, **options)
        assert_order_invariant(method, precise, sequences, **close, **options)
        exact = method(precise, sequences, **options)
        assert exact[names[0]].dtype == np.float64
        np.testing.assert_allclose(exact[names[0]], single[0][names[0]], rtol=0, atol=1e-5)


def test_attention_behind_gelu_is_the_same_in_keras_but_for_its_constant() -> None:
    sequences = random_sequences(1, LENGTH, seed=3)
    found = [
        tfb.attention_maps(wrapped("transformer", framework), sequences, n_paired=0)
        for framework in ("torch", "keras")
    ]
    # Keras multiplies by the float32 next to the root of 1/2, 1.7e-8 of it off: maps differ by 1e-10.
    for name in ("attention", "attention_received", "ism_correlation"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["grad_cam", "attention_maps", "layer_contributions"])
def test_models_that_have_no_such_layer_are_refused(name: str) -> None:
    method = getattr(tfb, name)
    with pytest.raises(UnsupportedModelError, match=r"has no multipliers.*in_silico_mutagenesis"):
        method(same_weights.wrapped("predict_only"), random_sequences(1, same_weights.LENGTH))
    averaged = same_weights.wrapped("torch").average_strands()
    with pytest.raises(UnsupportedModelError, match="is an average of models or strands; give one model"):
        method(averaged, random_sequences(1, same_weights.LENGTH))
    if name == "attention_maps":
        with pytest.raises(UnsupportedModelError, match=r"has no attention .*second_order_mutagenesis"):
            method(same_weights.wrapped("torch"), random_sequences(1, same_weights.LENGTH))
    if name == "grad_cam":
        dense = tfb.as_sequence_model(nn.Sequential(nn.Flatten(), nn.Linear(40, 1)), length=10)
        with pytest.raises(UnsupportedModelError, match="has no convolution layer; use deep_shap"):
            method(dense, random_sequences(1, 10))
