"""`deep_shap(engine="shap")` against the exact engine and against shap used directly."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shap
import torch
import xarray as xr
from click.testing import CliRunner
from numpy.typing import NDArray
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import (
    CompletenessWarning,
    InputError,
    UnsupportedModelError,
    UnsupportedOperationError,
)
from kipoi_tfbind.sequences.references import make_references
from kipoi_tfbind.testing import assert_batch_invariant, assert_order_invariant, random_sequences
from tests import foreign_models, same_weights
from tests.cli.test_interpret import LENGTH as CLI_LENGTH
from tests.cli.test_interpret import make_entry

LENGTH = 40
SEQUENCES = random_sequences(3, LENGTH, n_fraction=0.03, seed=3)
X = SEQUENCES["one_hot"].values
N_REFERENCES = 4


def by_shap(model: Any, sequences: xr.Dataset = SEQUENCES, **options: Any) -> xr.Dataset:
    return tfb.deep_shap(model, sequences, engine="shap", n_references=N_REFERENCES, **options)


def largest_difference(found: xr.Dataset, expected: xr.Dataset, name: str) -> float:
    """Relative to the largest value."""
    return float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max())


@cache
def keras_network(activation: str = "relu", dtype: str = "float32", head: str | None = "sigmoid") -> Any:
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((LENGTH, 4), dtype=dtype),
            layers.Conv1D(8, 7, activation=activation, bias_initializer="normal", dtype=dtype),
            layers.MaxPooling1D(4, dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(6, activation=activation, dtype=dtype),
            layers.Dense(2, activation=head, dtype=dtype),
        ]
    )


class Network(nn.Module):
    """Layers in a module of their own, as they are in most code."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Conv1d(4, 8, 7), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten())
        self.head = nn.ModuleDict(
            {"hidden": nn.Linear(64, 6), "act": nn.ReLU(), "out": nn.Linear(6, 2), "end": nn.Sequential(*end)}
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.head["act"](self.head["hidden"](self.body(x)))
        result: torch.Tensor = self.head["end"](self.head["out"](hidden))
        return result


class Ending(nn.Module):
    """An end that is a function, not a layer."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def wrapped_torch(*end: nn.Module, double: bool = False, **options: Any) -> tfb.SequenceModel:
    network = Network(*end)
    return tfb.as_sequence_model(network.double() if double else network, length=LENGTH, **options)


ENDS = {
    "sigmoid layer": nn.Sigmoid(),
    "softmax layer": nn.Softmax(dim=1),
    "sigmoid function": Ending(torch.sigmoid),
    "sigmoid method": Ending(lambda x: x.sigmoid().reshape(-1, 2)),
    "softmax function": Ending(lambda x: nn.functional.softmax(x, dim=-1)),
}


@pytest.mark.parametrize("kind", ["keras", "torch"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_equals_the_exact_engine(kind: str, precision: str) -> None:
    model = (
        tfb.as_sequence_model(keras_network(dtype=precision), targets=["a", "b"])
        if kind == "keras"
        else wrapped_torch(nn.Sigmoid(), double=precision == "float64", targets=["a", "b"])
    )
    exact = tfb.deep_shap(model, SEQUENCES, n_references=N_REFERENCES)
    found = by_shap(model)
    assert (found.attrs["engine"], exact.attrs["engine"]) == ("shap", "exact")
    assert found.attrs["output"] == exact.attrs["output"] == "logit"
    assert found["contribution"].dtype == precision
    # shap takes the gradient where inputs differ by less than 1e-6, which is of no account here.
    tolerance = 1e-6 if precision == "float32" else 1e-12
    for name in ("hypothetical_contribution", "contribution", "mean_reference_prediction"):
        assert largest_difference(found, exact, name) < tolerance, name
    difference = exact["prediction"] - exact["mean_reference_prediction"]
    assert np.abs(found["completeness_error"]).max() < 5 * tolerance * np.abs(difference).max()
    xr.testing.assert_equal(found["prediction"], exact["prediction"])


@pytest.mark.parametrize("end", ENDS)
def test_the_logit_of_a_module_with_any_end_is_explained(end: str) -> None:
    model = wrapped_torch(ENDS[end])
    assert model.output == "logit"
    exact = tfb.deep_shap(wrapped_torch(), SEQUENCES, n_references=N_REFERENCES)
    assert largest_difference(by_shap(model), exact, "hypothetical_contribution") < 1e-6


def test_softmax_of_keras_and_probabilities() -> None:
    softmax = tfb.as_sequence_model(keras_network(head="softmax"))
    exact = tfb.deep_shap(softmax, SEQUENCES, n_references=N_REFERENCES)
    assert exact.attrs["output"] == "logit"
    assert largest_difference(by_shap(softmax), exact, "hypothetical_contribution") < 1e-6

    for model in (
        tfb.as_sequence_model(keras_network(), output="probability"),
        wrapped_torch(nn.Sigmoid(), output="probability"),
    ):
        exact = tfb.deep_shap(model, SEQUENCES, n_references=N_REFERENCES)
        found = by_shap(model)
        assert found.attrs["output"] == "probability"
        # The secant of a sigmoid over a small difference: float32 of numbers near one half.
        assert largest_difference(found, exact, "hypothetical_contribution") < 2e-5
        assert np.abs(found["completeness_error"]).max() < 1e-6


def test_it_is_what_shap_itself_gives() -> None:
    """The numbers of shap's public method, for a model without a sigmoid to leave out."""
    references = make_references(X, "dinucleotide_shuffle", N_REFERENCES)

    def phi(explain: Callable[[NDArray, NDArray], NDArray]) -> NDArray:
        return np.concatenate([explain(X[[i]], references[i]) for i in range(len(X))])

    network = keras_network(activation="softplus", head=None)
    found = by_shap(tfb.as_sequence_model(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = phi(lambda x, r: shap.DeepExplainer(network, r).shap_values(x, check_additivity=False))
    # Its phi are spread over the bases of sequence and reference: those of a position are one contribution.
    np.testing.assert_allclose(found["contribution"].sum("base"), expected.sum(axis=2), rtol=0, atol=1e-6)
    assert np.abs(expected).max() > 0.02

    module = Network()
    found = by_shap(tfb.as_sequence_model(module, length=LENGTH))

    def by_torch(x: NDArray, r: NDArray) -> NDArray:
        sequence, background = (torch.tensor(a.transpose(0, 2, 1).copy()) for a in (x, r))
        return shap.DeepExplainer(module, background).shap_values(sequence)

    expected = phi(by_torch).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(found["contribution"].sum("base"), expected.sum(axis=2), rtol=0, atol=1e-6)


def test_hypothetical_contributions_are_for_every_base() -> None:
    """Against one reference, by the definition: sum over c of (1[b = c] - r[l, c]) m[l, c]."""
    network = Network()
    model = tfb.as_sequence_model(network, length=LENGTH)
    # A profile, and none whose equal rows would be equal maxima: at those the engines differ.
    reference = np.random.default_rng(0).dirichlet(np.ones(4), (1, LENGTH)).astype(np.float32)
    sequences = random_sequences(3, LENGTH, seed=5)
    found = by_shap(model, sequences, references=reference)
    exact = tfb.deep_shap(model, sequences, references=reference)
    assert largest_difference(found, exact, "hypothetical_contribution") < 1e-6
    # Weighted as the reference is, they add up to nothing.
    mean = (found["hypothetical_contribution"] * reference[0, :, :, np.newaxis]).sum("base")
    assert np.abs(mean).max() < 1e-6 * np.abs(found["hypothetical_contribution"]).max()


def test_what_shap_gets_wrong_is_warned() -> None:
    swish = tfb.as_sequence_model(keras_network(activation="swish"))
    with pytest.warns(CompletenessWarning, match="^deep_shap: .* contributions miss the difference"):
        found = by_shap(swish)
    assert np.abs(found["completeness_error"]).max() > 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("error", CompletenessWarning)
        tfb.deep_shap(swish, SEQUENCES, n_references=N_REFERENCES)

    functional = nn.Sequential(nn.Conv1d(4, 5, 7), Ending(torch.relu), nn.Flatten(), nn.LazyLinear(1))
    with pytest.warns(CompletenessWarning):
        by_shap(tfb.as_sequence_model(functional, length=LENGTH))


@pytest.mark.parametrize(
    ("options", "operation"),
    [({"dilation_rate": 2}, "BatchToSpaceND"), ({"activation": "gelu"}, r"Erfc?")],
)
def test_operations_without_a_rule_are_named(options: dict[str, Any], operation: str) -> None:
    import keras

    layers = [keras.Input((LENGTH, 4)), keras.layers.Conv1D(4, 5, **options), keras.layers.Flatten()]
    model = tfb.as_sequence_model(keras.Sequential([*layers, keras.layers.Dense(1)], name="net"))
    before = tensorflow_state()
    message = (
        f"^model net: shap.DeepExplainer cannot explain it .it has no rule for the operation {operation}.; "
        r"use engine='exact' \(--engine exact\)$"
    )
    with pytest.raises(UnsupportedOperationError, match=message):
        by_shap(model)
    assert_tensorflow_state(before)
    tfb.deep_shap(model, SEQUENCES, n_references=2)


def test_models_that_shap_does_not_take_are_refused_in_one_line() -> None:
    saved = same_weights.wrapped("saved_model")
    with pytest.raises(UnsupportedModelError, match=r"shap\.DeepExplainer cannot explain it") as error:
        by_shap(saved, random_sequences(2, same_weights.LENGTH))
    assert "\n" not in str(error.value)
    assert "engine='exact'" in str(error.value)

    in_place = nn.Sequential(nn.Conv1d(4, 5, 7), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(1))
    model = tfb.as_sequence_model(in_place, length=LENGTH)
    before = torch_state(in_place)
    with pytest.raises(
        UnsupportedModelError, match=r"^model Sequential: .* \(RuntimeError: .*engine='exact'"
    ):
        by_shap(model)
    assert_torch_state(in_place, before)

    with pytest.raises(UnsupportedModelError, match="computes in the model's own precision, float32"):
        by_shap(wrapped_torch(double_precision=True))
    with pytest.raises(UnsupportedModelError, match="computes in the model's own precision, float32"):
        by_shap(tfb.as_sequence_model(keras_network(), double_precision=True))
    with pytest.raises(UnsupportedModelError, match=r"deep_shap .*need; .*sampled_shapley.* work with it"):
        by_shap(same_weights.wrapped("predict_only"), random_sequences(2, same_weights.LENGTH))
    with pytest.raises(InputError, match="engine: expected exact or shap, got 'captum'"):
        tfb.deep_shap(wrapped_torch(), SEQUENCES, engine="captum")


def test_a_model_that_was_changed_since_it_was_wrapped_is_refused() -> None:
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((LENGTH, 4)), layers.Conv1D(4, 5, activation="relu"), layers.Flatten(), layers.Dense(1)]
    )
    # Which predicts by its trace, with the weights as they were.
    model = tfb.as_sequence_model(network)
    by_shap(model)
    network.set_weights([2 * weight for weight in network.get_weights()])
    with pytest.raises(UnsupportedModelError, match="the raw that it sees is not the one"):
        by_shap(model)


def tensorflow_state() -> Any:
    from tensorflow.python.eager import execute
    from tensorflow.python.framework import ops

    registry = ops._gradient_registry._registry
    return {name: dict(entry) for name, entry in registry.items()}, execute.record_gradient


def assert_tensorflow_state(before: Any) -> None:
    entries, record_gradient = tensorflow_state()
    # Keras and TensorFlow register functions of their own while they trace.
    ours = {name: entry for name, entry in entries.items() if name in before[0]}
    assert ours == before[0]
    assert not [name for name in entries if name.startswith("shap_")]
    assert not [name for name in entries if entries[name]["type"] is None and name not in before[0]]
    assert record_gradient is before[1]


def test_tensorflow_is_as_before() -> None:
    import tensorflow as tf

    model = tfb.as_sequence_model(keras_network())
    before = tensorflow_state()
    gradients = tfb.gradients(model, SEQUENCES)
    by_shap(model)
    assert_tensorflow_state(before)
    xr.testing.assert_equal(gradients, tfb.gradients(model, SEQUENCES))
    x = tf.constant([-1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.relu(x)
    assert tape.gradient(y, x).numpy().tolist() == [0.0, 1.0]


def test_tensorflow_is_as_before_after_an_error_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorflow.python.framework import ops

    from kipoi_tfbind.backends import shap_tensorflow

    model = tfb.as_sequence_model(keras_network())
    before = tensorflow_state()
    seen = []

    registry = ops._gradient_registry._registry

    def look() -> list[Any]:
        seen.append("shap_Relu" in registry)
        return []

    def fails(explainer: Any, *more: Any) -> None:
        explainer.execute_with_overridden_gradients(look)
        registry["shap_Relu"] = {"type": len, "location": None}
        registry["Relu"]["type"] = len
        registry["Registered by another"] = {"type": len, "location": None}
        raise KeyError("in the middle")

    monkeypatch.setattr(shap.explainers._deep.deep_tf.TFDeep, "run", fails)
    with pytest.raises(UnsupportedModelError, match="KeyError: 'in the middle'"):
        by_shap(model)
    assert seen == [True]
    with pytest.raises(ZeroDivisionError), shap_tensorflow.gradients_restored():
        raise ZeroDivisionError
    assert registry.pop("Registered by another")["type"] is len
    assert_tensorflow_state(before)


class Marked(nn.Module):
    """A layer with an attribute of a name that shap uses and takes away."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.y = "kept"

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.weight


class Breaking(nn.Module):
    """A layer that cannot do without such an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.x


def torch_state(module: nn.Module) -> Any:
    tables = ("_forward_hooks", "_backward_hooks", "_forward_pre_hooks", "_backward_pre_hooks", "_parameters")
    return [
        (name, part.training, set(part.__dict__), {t: dict(getattr(part, t)) for t in tables})
        for name, part in module.named_modules()
    ]


def assert_torch_state(module: nn.Module, before: Any) -> None:
    after = torch_state(module)
    assert [state[:3] for state in after] == [state[:3] for state in before]
    for (*_, tables), (*_, expected) in zip(after, before, strict=True):
        for name, table in tables.items():
            assert list(table) == list(expected[name])
            assert all(table[key] is expected[name][key] for key in table)


def test_the_module_is_as_before() -> None:
    network: Any = nn.Sequential(Network(nn.Dropout(0.5)), Marked())
    network[0].body.eval()
    calls: list[int] = []
    hook = network[0].body.register_forward_hook(lambda *_: calls.append(1))
    network(torch.ones(2, 4, LENGTH)).sum().backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    assert len(gradients) == 7
    model = tfb.as_sequence_model(network, length=LENGTH)
    before = torch_state(network)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unrecognized nn.Module")
        found = by_shap(model)
    assert_torch_state(network, before)
    assert (network.training, network[0].body.training) == (True, False)
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)
    assert network[1].y == "kept"
    calls.clear()
    network(torch.ones(2, 4, LENGTH))
    assert calls == [1]
    hook.remove()
    exact = tfb.deep_shap(model, SEQUENCES, n_references=N_REFERENCES)
    assert largest_difference(found, exact, "hypothetical_contribution") < 1e-6


def test_the_module_is_as_before_after_an_error() -> None:
    network = nn.Sequential(Network(), Breaking())
    model = tfb.as_sequence_model(network, length=LENGTH)
    before = torch_state(network)
    with pytest.raises(UnsupportedModelError, match="AttributeError: 'Breaking' object has no attribute 'x'"):
        by_shap(model)
    assert_torch_state(network, before)
    network(torch.ones(2, 4, LENGTH))


def test_a_module_that_cannot_be_traced_is_explained() -> None:
    class Choosing(Network):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() > 0 else super().forward(x) * 2

    model = tfb.as_sequence_model(Choosing(), length=LENGTH)
    with pytest.raises(UnsupportedModelError):
        tfb.deep_shap(model, SEQUENCES)
    exact = tfb.deep_shap(wrapped_torch(), SEQUENCES, n_references=N_REFERENCES)
    assert largest_difference(by_shap(model), exact, "hypothetical_contribution") < 1e-6


def test_targets_strands_ensembles_and_batches() -> None:
    keras_model = tfb.as_sequence_model(keras_network(), targets=["a", "b"])
    torch_model = wrapped_torch(nn.Sigmoid(), targets=["a", "b"])
    both = tfb.as_sequence_model([keras_model, torch_model], average_strands=True).select_targets(["b"])
    exact = tfb.deep_shap(both, SEQUENCES, n_references=N_REFERENCES)
    found = by_shap(both)
    assert found.attrs["model"] == exact.attrs["model"]
    assert found.attrs["model_hash"] == exact.attrs["model_hash"]
    assert found["target"].values.tolist() == ["b"]
    for name in ("hypothetical_contribution", "hypothetical_contribution_sd", "contribution"):
        assert largest_difference(found, exact, name) < 2e-6, name

    def run(model: Any, sequences: xr.Dataset, **more: Any) -> xr.Dataset:
        return by_shap(model, sequences, **more).drop_vars("completeness_error")

    assert_batch_invariant(run, torch_model, SEQUENCES, batch_sizes=(1, 9, 256), rtol=2e-6)
    assert_order_invariant(run, keras_model, SEQUENCES, rtol=2e-6)


def test_other_layouts_lengths_and_inputs() -> None:
    import keras

    inputs = {"dna": keras.Input((4, None, 1), name="dna"), "age": keras.Input((1,), name="age")}
    hidden = keras.layers.Conv2D(6, (4, 5), activation="relu")(inputs["dna"])
    pooled = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(hidden), inputs["age"]])
    output = keras.layers.Dense(3, activation="relu")(pooled)
    model = tfb.as_sequence_model(
        keras.Model(inputs, keras.layers.Dense(2)(output)), auxiliary={"age": [0.3]}
    )
    assert model.length is None
    for sequences in (SEQUENCES, random_sequences(2, 25, seed=1)):
        exact = tfb.deep_shap(model, sequences, n_references=N_REFERENCES)
        found = by_shap(model, sequences)
        assert largest_difference(found, exact, "hypothetical_contribution") < 1e-5


def test_it_runs_beside_other_threads() -> None:
    """Which see shap's gradients while it runs, but not after it."""
    model = tfb.as_sequence_model(keras_network())
    expected = by_shap(model)
    found: list[xr.Dataset] = []
    thread = threading.Thread(target=lambda: found.append(by_shap(model)))
    thread.start()
    thread.join()
    xr.testing.assert_equal(found[0], expected)


def test_command(tmp_path: Path) -> None:
    name = foreign_models.build_keras_3(tmp_path)
    (tmp_path / "peaks.fa").write_text(">1\n" + "ACGTTGCATC" * 6 + "\n>2\n" + "GATTACAGGC" * 6 + "\n")
    line = ["deepshap", str(tmp_path / name), "--source", "dir", "--sequences", str(tmp_path / "peaks.fa")]
    line += ["--n-references", "3", "--engine", "shap", "-o", str(tmp_path / "result.nc")]
    run = CliRunner().invoke(main, line)
    assert run.exit_code == 0, run.output
    with tfb.open_result(tmp_path / "result.nc") as found:
        assert found.attrs["engine"] == "shap"
        model = tfb.load_model(str(tmp_path / name), source="dir")
        exact = tfb.deep_shap(model, found[["one_hot"]].load(), n_references=3)
        assert largest_difference(found, exact, "hypothetical_contribution") < 2e-6

    make_entry(tmp_path, "additive")
    (tmp_path / "short.fa").write_text(">1\n" + "ACGT" * (CLI_LENGTH // 4) + "\n")
    line[1], line[5] = str(tmp_path / "additive"), str(tmp_path / "short.fa")
    run = CliRunner().invoke(main, [*line[:-1], str(tmp_path / "other.nc")])
    assert run.exit_code == 1
    assert re.search(r"sampled_shapley.* work with it", run.output)
