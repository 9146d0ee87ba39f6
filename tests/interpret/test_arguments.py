"""Arguments of a wrong type, in Python: one clear line, before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.testing import linear_model

METHODS: dict[str, dict[str, Any]] = {
    "in_silico_mutagenesis": {},
    "second_order_mutagenesis": {},
    "occlusion": {"width": 2, "stride": 1},
    "sampled_shapley": {"n_permutations": 1, "references": "zeros"},
    "gradients": {},
    "deep_shap": {"references": "zeros"},
}
DIFFERENTIABLE = ("gradients", "deep_shap")


@pytest.fixture(scope="module")
def model():
    weights = linear_model(4).weights
    return tfb.as_sequence_model(lambda x: np.einsum("nlb,lbt->nt", x, weights), targets=["y"], length=4)


@pytest.fixture(scope="module")
def differentiable():
    import torch

    weights = torch.from_numpy(linear_model(4).weights.astype(np.float32)[:, :, 0].T.copy())

    class Weighted(torch.nn.Module):
        def forward(self, x):
            return (x * weights).sum(dim=(1, 2))[:, None]

    return tfb.as_sequence_model(Weighted(), targets=["y"], length=4)


@pytest.fixture
def run(model, differentiable):
    def run(name, sequences, **options):
        which = differentiable if name in DIFFERENTIABLE else model
        return getattr(tfb, name)(which, sequences, **(METHODS[name] | options))

    return run


@pytest.mark.parametrize("name", METHODS)
def test_strings_and_arrays_are_taken(run, name):
    expected = run(name, tfb.encode_sequences(["ACGT", "GATN"]))
    one_hot = tfb.encode_sequences(["ACGT", "GATN"])["one_hot"]
    for given in (["ACGT", "GATN"], np.array(["ACGT", "GATN"]), one_hot.values, one_hot):
        xr.testing.assert_allclose(run(name, given).drop_attrs(), expected.drop_attrs())
    assert run(name, "ACGT").sizes["sequence"] == 1


@pytest.mark.parametrize(
    ("sequences", "problem"),
    [
        (None, "sequences: expected a Dataset .*encode_sequences.*, got NoneType"),
        (3, "got int"),
        (np.zeros((2, 4)), r"one-hot arrays \(sequence, position, 4\).*got an array of shape \(2, 4\)"),
        (np.full((2, 4, 4), 0.5), "expected a single 1 or zeros"),
        ([], "expected at least one sequence"),
        (["ACGT", 5], "expected str or bytes, got int"),
    ],
)
def test_what_is_no_sequence(run, sequences, problem):
    with pytest.raises(InputError, match=problem):
        run("in_silico_mutagenesis", sequences)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("in_silico_mutagenesis", {"start": 1.5}, "start: expected a whole number, got 1.5"),
        ("in_silico_mutagenesis", {"end": "3"}, "end: expected a whole number, got '3'"),
        ("in_silico_mutagenesis", {"positions": [1.5]}, "positions: expected whole numbers"),
        ("in_silico_mutagenesis", {"positions": [10**20]}, "positions: expected whole numbers"),
        ("in_silico_mutagenesis", {"positions": "12"}, "positions: expected whole numbers"),
        ("in_silico_mutagenesis", {"batch_size": "a"}, "batch_size: expected a whole number"),
        ("in_silico_mutagenesis", {"batch_size": 2.0}, "batch_size: expected a whole number"),
        ("second_order_mutagenesis", {"start": None}, "start: expected a whole number"),
        ("occlusion", {"width": 1.5}, "width: expected a whole number"),
        ("occlusion", {"fill": "shuffle", "seed": 2**64}, "seed: .*no more than 64 bits"),
        ("sampled_shapley", {"seed": 2**64}, "seed: .*no more than 64 bits"),
        ("sampled_shapley", {"n_permutations": "3"}, "n_permutations: expected a whole number"),
        ("sampled_shapley", {"tolerance": "small"}, "tolerance: expected a positive number, got 'small'"),
        ("deep_shap", {"references": "random", "seed": 2**63}, "seed: .*no more than 64 bits"),
        ("deep_shap", {"references": "random", "n_references": 1.5}, "n_references: expected a whole"),
        ("deep_shap", {"tolerance": None}, "tolerance: expected a positive number, got None"),
        ("gradients", {"method": "integrated_gradients", "n_steps": "9"}, "n_steps: expected a whole number"),
    ],
)
def test_other_arguments(run, monkeypatch, name, options, problem):
    def nothing(*args, **kwargs):
        raise AssertionError("it was computed")

    monkeypatch.setattr("kipoi_tfbind.models.sequence_model.SequenceModel.predict", nothing)
    with pytest.raises(InputError, match=problem):
        run(name, ["ACGT"], **options)


def test_files(tmp_path, run):
    with pytest.raises(InputError, match="result: expected a Dataset, got NoneType"):
        tfb.save_result(None, tmp_path / "x.nc")
    with pytest.raises(InputError, match="path: expected the name of a file, got None"):
        tfb.save_result(run("in_silico_mutagenesis", ["ACGT"]), None)
    with pytest.raises(InputError, match="path: expected the name of a file, got 3"):
        tfb.open_result(3)
    assert not list(tmp_path.iterdir())


def of_backgrounds(function, model, *arguments, **options):
    return function(model, tfb.make_backgrounds("uniform", 3, length=4), *arguments, **options)


CALLS = [
    (lambda model: tfb.load_model(None), "model: expected the name of a file, got None"),
    (lambda model: tfb.encode_sequences(None), "sequences: expected a list of strings, got None"),
    (lambda model: tfb.encode_sequences(["AC"], ids=5), "ids: expected a list of strings, got 5"),
    (lambda model: tfb.read_sequences(None, None), "fasta: expected the name of a file, got None"),
    (lambda model: tfb.read_sequences("a.fa", 3), "intervals: expected the name of a file, got 3"),
    (lambda model: tfb.read_sequences("a.fa", "a.bed", length=1.5), "length: expected a whole number"),
    (lambda model: tfb.read_sequences("a.fa", "a.bed", length=-5), "length: expected at least 1, got -5"),
    (lambda model: tfb.read_sequences("a.fa", "a.bed", length=2**70), "no more than 64 bits"),
    (lambda model: tfb.read_fasta_sequences(None), "path: expected the name of a file, got None"),
    (lambda model: tfb.make_backgrounds("uniform", "a", length=4), "n: expected a whole number"),
    (lambda model: tfb.make_backgrounds("uniform", 5, length="a"), "length: expected a whole number"),
    (lambda model: tfb.make_backgrounds(None, 5), "background: expected one of uniform"),
    (lambda model: model.select_targets(None), "targets: expected names of targets, got None"),
    (lambda model: of_backgrounds(tfb.motif_importance, model, None), "motifs: expected a mapping"),
    (
        lambda model: of_backgrounds(tfb.motif_importance, model, ["A"], confidence="x"),
        "confidence: expected a number between 0 and 1, such as 0.95, got 'x'",
    ),
    (
        lambda model: of_backgrounds(tfb.global_importance_analysis, model, None),
        "patterns: expected a mapping",
    ),
    (lambda model: tfb.stream(None, model, [], "a.nc"), "method: expected a function"),
    (lambda model: tfb.stream(tfb.occlusion, model, None, "a.nc"), "batches: expected Datasets"),
    (lambda model: tfb.stream(tfb.occlusion, model, ["ACGT"], "a.nc"), "expected a Dataset, got str"),
    (lambda model: tfb.stream(tfb.occlusion, model, [], "a.nc", at_once="x"), "at_once: expected a whole"),
    (lambda model: tfb.plot_logo("a.nc"), "result: expected a Dataset, of a method or of open_result"),
    (lambda model: tfb.plot_mutation_map(None), "expected a Dataset, got NoneType"),
]


@pytest.mark.parametrize(("call", "problem"), CALLS)
def test_other_functions(tmp_path, monkeypatch, model, call, problem):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=problem):
        call(model)
    assert list(tmp_path.iterdir()) == []


def test_one_target_may_be_named_alone(model):
    assert model.select_targets("y").target_names == ("y",)
