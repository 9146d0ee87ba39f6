"""The methods that mutate, by what an edit reaches and by whole predictions: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import (
    SequenceModel,
    as_sequence_model,
    context_swap,
    encode_sequences,
    global_importance_analysis,
    in_silico_mutagenesis,
    motif_necessity,
    occlusion,
    second_order_mutagenesis,
)
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError, VerificationError
from kipoi_tfbind.graph.incremental.plan import Plan
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, edited, predict_edits
from kipoi_tfbind.interpret._paths import EditPath
from tests import same_weights

# In float64 both ways round at 1e-16 of numbers up to some 1e3 times the effects.
ROUNDING = 1e-12
METHODS: dict[str, tuple[Callable[..., xr.Dataset], dict[str, Any]]] = {
    "ism": (in_silico_mutagenesis, {}),
    "ism of a range": (in_silico_mutagenesis, {"start": 3, "end": 40}),
    "pairs": (second_order_mutagenesis, {"positions": [0, 1, 5, 8, 30, 58, 59]}),
    "occlusion": (occlusion, {"width": 7, "stride": 4}),
    "occlusion by shuffles": (occlusion, {"width": 5, "stride": 9, "fill": "shuffle", "n_shuffles": 3}),
}
# Five sequences, of which the second has N.
SEQUENCES = encode_sequences(
    ["".join(np.random.default_rng(i).choice(list("ACGT"), same_weights.LENGTH)) for i in range(4)]
    + ["ACGTN" * (same_weights.LENGTH // 5)]
)


def models() -> dict[str, SequenceModel]:
    options = {"targets": same_weights.TARGETS, "double_precision": True}
    two = [same_weights.keras_network(), same_weights.torch_network()]
    return {
        "keras": as_sequence_model(two[0], **options),
        "torch": as_sequence_model(two[1], length=same_weights.LENGTH, **options),
        "both strands": as_sequence_model(two[0], average_strands=True, **options),
        "one target": as_sequence_model(two[1], length=same_weights.LENGTH, **options).select_targets(
            ["MAX"]
        ),
    }


@pytest.fixture(scope="module")
def wrapped() -> dict[str, SequenceModel]:
    return models()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["keras", "torch", "both strands", "one target"])
def test_both_paths_agree(wrapped: dict[str, SequenceModel], name: str, method: str) -> None:
    function, options = METHODS[method]
    found = function(wrapped[name], SEQUENCES, path="incremental", batch_size=50, **options)
    expected = function(wrapped[name], SEQUENCES, path="full", batch_size=64, **options)
    assert (found.attrs["path"], expected.attrs["path"]) == ("incremental", "full")
    assert set(found.variables) == set(expected.variables)
    for variable in found.data_vars:
        np.testing.assert_allclose(found[variable], expected[variable], rtol=0, atol=ROUNDING)


def test_results_do_not_depend_on_the_neighbours(wrapped: dict[str, SequenceModel]) -> None:
    for function, options in METHODS.values():
        whole = function(wrapped["keras"], SEQUENCES, path="incremental", batch_size=31, **options)
        for i in range(SEQUENCES.sizes["sequence"]):
            one = function(
                wrapped["keras"], SEQUENCES.isel(sequence=[i]), path="incremental", batch_size=256, **options
            )
            for variable in one.data_vars:
                np.testing.assert_allclose(whole[variable][[i]], one[variable], rtol=0, atol=ROUNDING)


def test_edits_of_any_width_in_any_order(wrapped: dict[str, SequenceModel]) -> None:
    """Two bases at any distance, N among them, of sequences in any order."""
    rng = np.random.default_rng(0)
    n, length = 400, same_weights.LENGTH
    positions = np.stack([rng.permutation(length)[:2] for _ in range(n)])
    edits = Edits(rng.integers(0, 5, n), positions, rng.integers(0, 5, (n, 2)))
    batch = Batch(SEQUENCES["one_hot"].values)
    prediction = np.full((n, 2), np.nan)
    for numbers, part in predict_edits(
        EditPath(wrapped["torch"], batch, "incremental"),
        batch,
        n,
        lambda numbers: Edits(*(field[numbers] for field in edits)),
        per_sequence=80,
        batch_size=17,
        description="",
        verify=True,
    ):
        assert np.isnan(prediction[numbers]).all()
        prediction[numbers] = part
    whole = edited(batch, edits).one_hot
    codes = codes_of(whole)
    np.testing.assert_array_equal(codes[np.arange(n)[:, np.newaxis], positions], edits.bases)
    np.testing.assert_allclose(prediction, same_weights.logits(whole), rtol=0, atol=1e-6)
    np.testing.assert_allclose(prediction, wrapped["torch"].predict(whole), rtol=0, atol=ROUNDING)


def test_a_model_that_only_predicts() -> None:
    model = same_weights.wrapped("predict_only")
    assert in_silico_mutagenesis(model, SEQUENCES, end=2).attrs["path"] == "full"
    for function in (in_silico_mutagenesis, second_order_mutagenesis):
        with pytest.raises(InputError, match=r"gives predictions only.* use 'auto' or 'full'"):
            function(model, SEQUENCES, path="incremental", end=3)
        with pytest.raises(InputError, match="path: expected auto, incremental, full, got 'fast'"):
            function(model, SEQUENCES, path="fast", end=3)


def test_an_ensemble_whose_members_agree() -> None:
    both = as_sequence_model(
        [same_weights.torch_network(), same_weights.torch_network()],
        targets=same_weights.TARGETS,
        length=same_weights.LENGTH,
    )
    result = in_silico_mutagenesis(both, SEQUENCES, path="incremental", end=4)
    assert result.attrs["path"] == "incremental"
    assert result.attrs["multiply_accumulates"] < result.attrs["multiply_accumulates_of_full"]
    assert float(abs(result["mutation_effect_sd"]).max()) == 0


def large_and_small() -> SequenceModel:
    """An ensemble of a model whose edits are worth to be followed, and a function that cannot be."""
    torch.manual_seed(0)
    large = torch.nn.Sequential(
        torch.nn.Conv1d(4, 96, 11, padding=5),
        torch.nn.ReLU(),
        torch.nn.MaxPool1d(3),
        torch.nn.Conv1d(96, 96, 7, padding=3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool1d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(96, 1),
    )
    members = [large, lambda one_hot: one_hot[:, :, 2].sum(axis=1, keepdims=True)]
    layouts = ("4,L", "L,4")
    return as_sequence_model(
        [
            as_sequence_model(member, layout=layout, length=300, output="raw")
            for member, layout in zip(members, layouts, strict=True)
        ]
    )


def test_an_ensemble_says_that_its_members_differ() -> None:
    """The effects are the means of the members', each by its own path; so in every method that edits."""
    both = large_and_small()
    rng = np.random.default_rng(1)
    sequences = encode_sequences(["".join(rng.choice(list("ACGT"), 300)) for _ in range(3)])
    found = in_silico_mutagenesis(both, sequences)
    assert found.attrs["path"] == "mixed"
    assert "multiply_accumulates" not in found.attrs
    alone = [in_silico_mutagenesis(member, sequences) for member in both.members]
    assert [each.attrs["path"] for each in alone] == ["incremental", "full"]
    mean = (alone[0]["mutation_effect"] + alone[1]["mutation_effect"]) / 2
    np.testing.assert_allclose(found["mutation_effect"], mean, rtol=0, atol=1e-6)
    assert occlusion(both, sequences, width=8).attrs["path"] == "mixed"
    assert second_order_mutagenesis(both, sequences, end=3).attrs["path"] == "mixed"
    patterns = {f"at {at}": [("GATTACA", at)] for at in range(100, 140)}
    assert global_importance_analysis(both, sequences, patterns).attrs["path"] == "mixed"


def test_global_importance_records_the_path_taken() -> None:
    """Not the one that was asked for; "mixed" where a few patterns of one width are not worth it."""
    model = large_and_small().members[0]
    rng = np.random.default_rng(2)
    backgrounds = encode_sequences(["".join(rng.choice(list("ACGT"), 300)) for _ in range(2)])
    many = {f"at {at}": [("GATTACA", at)] for at in range(100, 140)}
    one = {"wide": [("GATTACA" * 6, 100)]}

    def path_of(patterns: dict[str, Any], **options: Any) -> str:
        return str(global_importance_analysis(model, backgrounds, patterns, **options).attrs["path"])

    assert path_of(many) == "incremental"
    assert path_of(one) == "full"
    assert path_of(many | one) == "mixed"
    assert path_of(many | one, path="incremental") == "incremental"
    assert path_of(many, path="full") == "full"
    swapped = context_swap(model, encode_sequences(["ACGT" * 75, "AACC" * 75, "GATC" * 75]), start=9, end=20)
    assert swapped.attrs["path"] == "full"
    ablated = motif_necessity(model, encode_sequences(["ACGTGATTACA" + "C" * 289] * 2), {"m": "GATTACA"})
    assert ablated.attrs["path"] in ("incremental", "full")


@pytest.mark.parametrize("function", [in_silico_mutagenesis, second_order_mutagenesis])
def test_verification_finds_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, function: Callable[..., xr.Dataset]
) -> None:
    """Cached activations of the unedited sequence with a wrong number in them."""
    from kipoi_tfbind.graph.torch import incremental as incremental_torch

    made = incremental_torch.make_cached

    def wrong(ops: Any, program: Any, cached: Any, value: Any) -> Any:
        return made(ops, program, cached, value) + (0.01 if cached.form == "rows" else 0)

    options: dict[str, Any] = {"path": "incremental", "end": 6}

    def model() -> SequenceModel:
        return as_sequence_model(
            same_weights.torch_network(), targets=same_weights.TARGETS, length=same_weights.LENGTH
        )

    function(model(), SEQUENCES, verify=True, **options)
    monkeypatch.setattr(incremental_torch, "make_cached", wrong)
    function(model(), SEQUENCES, verify=False, **options)
    with pytest.raises(VerificationError, match=r"differ by .*--path full"):
        function(model(), SEQUENCES, verify=True, **options)


def test_the_choice_is_by_cost() -> None:
    """Large savings are taken, small ones and small models are not."""
    large = Plan(1, 100_000_000, 1_000_000, 100_000, 1_000, 0, 0)
    assert large.worthwhile(3000)
    assert not large.worthwhile(2)  # The sequence itself is run once.
    assert not Plan(1, 100_000_000, 60_000_000, 0, 0, 0, 0).worthwhile(3000)
    assert not Plan(1, 100_000, 100, 100, 1, 0, 0).worthwhile(3000)


@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_the_faster_path_is_taken_by_itself(framework: str) -> None:
    """In float32: as exact as whole predictions are, and chosen without being asked for."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    length, filters = 300, 96
    rng = np.random.default_rng(0)
    kernel, wide = rng.normal(0, 0.2, (11, 4, filters)), rng.normal(0, 0.05, (7, filters, filters))
    if framework == "keras":
        layers = keras.layers
        inputs = keras.Input((length, 4))
        x = layers.Conv1D(filters, 11, padding="same", activation="relu")(inputs)
        x = layers.Conv1D(filters, 7, padding="same", activation="relu")(layers.MaxPooling1D(3)(x))
        network = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
        network.layers[1].kernel.assign(kernel)
        network.layers[3].kernel.assign(wide)
    else:
        network = torch.nn.Sequential(
            torch.nn.Conv1d(4, filters, 11, padding=5),
            torch.nn.ReLU(),
            torch.nn.MaxPool1d(3),
            torch.nn.Conv1d(filters, filters, 7, padding=3),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool1d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(filters, 2),
        )
    sequences = encode_sequences(["".join(rng.choice(list("ACGT"), length))])
    model = as_sequence_model(network, length=length)
    found = in_silico_mutagenesis(model, sequences, verify=True)
    assert found.attrs["path"] == "incremental"
    assert found.attrs["multiply_accumulates"] * 8 < found.attrs["multiply_accumulates_of_full"]
    some = list(range(0, length, 7))
    exact = in_silico_mutagenesis(
        as_sequence_model(network, length=length, double_precision=True),
        sequences,
        positions=some,
        path="full",
    )
    effect = exact["mutation_effect"].values
    off = np.abs(found["mutation_effect"].values[:, some] - effect).max()
    # Of predictions in float32, which are some hundred times their effects.
    assert off < 1e-4 * np.abs(effect).max()


def test_nothing_is_compiled_for_a_second_call(wrapped: dict[str, SequenceModel]) -> None:
    """The engine, its plans and its functions are the model's, and are kept."""
    model = wrapped["keras"]
    one: NDArray = SEQUENCES["one_hot"].values[:1]
    in_silico_mutagenesis(model, SEQUENCES, path="incremental", batch_size=50)
    engine: Any = model.edits(one)
    functions = dict(engine.incremental._of_edits)
    traces = [function.experimental_get_tracing_count() for function in functions.values()]
    in_silico_mutagenesis(model, SEQUENCES, path="incremental", batch_size=50)
    again: Any = model.edits(one)
    assert again.incremental is engine.incremental
    assert list(engine.incremental._of_edits) == list(functions)
    assert [f.experimental_get_tracing_count() for f in functions.values()] == traces
