"""Predictions, and draws of dropout against a variance that can be written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.architectures import motif_cnn
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.testing import assert_batch_invariant, assert_order_invariant, random_sequences
from tests import same_weights

LENGTH, RATE = 20, 0.3
# Of Keras models on JAX what is behind a sigmoid is not known: there the logits are the output.
ON_JAX = keras.backend.backend() == "jax"


@pytest.fixture(scope="module")
def sequences() -> xr.Dataset:
    return random_sequences(3, LENGTH, seed=1)


def linear_keras(layer: keras.layers.Layer) -> tuple[keras.Model, np.ndarray]:
    """A linear model of all bases, which are dropped; its weights (position, base)."""
    keras.utils.set_random_seed(0)
    x = keras.Input((LENGTH, 4))
    dense = keras.layers.Dense(1, None if ON_JAX else "sigmoid")
    model = keras.Model(x, dense(keras.layers.Flatten()(layer(x))))
    return model, keras.ops.convert_to_numpy(dense.kernel).reshape(LENGTH, 4).astype(np.float64)


class LinearTorch(torch.nn.Module):
    """The same in PyTorch, with a function of dropout instead of a layer, or with one for whole channels."""

    def __init__(self, channels: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.channels = channels
        self.dense = torch.nn.Linear(4 * LENGTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.channels:
            x = torch.nn.functional.dropout1d(x, RATE, self.training)
        else:
            x = torch.nn.functional.dropout(x, RATE, training=self.training)
        return torch.sigmoid(self.dense(x.flatten(1)))


def linear_torch(channels: bool = False) -> tuple[torch.nn.Module, np.ndarray]:
    module = LinearTorch(channels)
    return module, module.dense.weight.detach().numpy().reshape(4, LENGTH).T.astype(np.float64)


@pytest.mark.parametrize(
    ("made", "over"),
    [
        (lambda: linear_keras(keras.layers.Dropout(RATE)), "units"),
        (lambda: linear_keras(keras.layers.SpatialDropout1D(RATE)), "channels"),
        (linear_torch, "units"),
        (lambda: linear_torch(channels=True), "channels"),
    ],
    ids=["keras", "keras_spatial", "torch", "torch_channels"],
)
def test_moments_of_a_linear_model_are_those_of_bernoulli_draws(
    made: Any, over: str, sequences: xr.Dataset
) -> None:
    model, weights = made()
    n = 400
    length = None if isinstance(model, keras.Model) else LENGTH
    result = tfb.predict_sequences(
        tfb.as_sequence_model(model, length=length), sequences, dropout_samples=n, seed=3
    )
    assert result.attrs["output"] == ("raw" if ON_JAX and isinstance(model, keras.Model) else "logit")
    terms = sequences["one_hot"].values * weights
    if over == "channels":
        terms = terms.sum(axis=1)
    terms = terms.reshape(len(terms), -1)
    variance = (terms**2).sum(axis=1) * RATE / (1 - RATE)
    bias = result["prediction"].values[:, 0] - terms.sum(axis=1)
    # As it predicts, it drops nothing: all of it is the bias.
    assert np.ptp(bias) < 1e-5
    mean = result["dropout_mean"].values[:, 0] - bias
    # Five standard errors, of a mean and of a variance, whose own depends on the fourth cumulants.
    np.testing.assert_array_less(np.abs(mean - terms.sum(axis=1)), 5 * np.sqrt(variance / n))
    excess = (1 - 6 * RATE * (1 - RATE)) / (RATE * (1 - RATE))
    kurtosis = 3 + excess * (terms**4).sum(axis=1) / (terms**2).sum(axis=1) ** 2
    error = 5 * np.sqrt((kurtosis - 1) / n)
    found = result["dropout_standard_deviation"].values[:, 0] ** 2 / variance
    np.testing.assert_array_less(np.abs(found - 1), error)


@pytest.mark.parametrize("kind", ["keras", "torch"])
def test_draws_depend_on_the_seed_and_the_sequence_alone(kind: str) -> None:
    if kind == "torch":
        bare: Any = same_weights.torch_network()
        model = tfb.as_sequence_model(bare, length=60)
        before: list[Any] = [(part.training, sorted(vars(part))) for part in bare.modules()]
    else:
        keras.utils.set_random_seed(0)
        bare = motif_cnn(length=60, filters=4, kernel_size=5, hidden_units=4, strands="siamese")
        model = tfb.as_sequence_model(bare)
        before = [sorted(vars(layer)) for layer in bare.layers]
    data = random_sequences(5, 60, n_fraction=0.03, seed=2)
    options: dict[str, Any] = {"dropout_samples": 3, "seed": 1}
    close: dict[str, Any] = {"rtol": 1e-5, "atol": 2e-6}
    assert_batch_invariant(tfb.predict_sequences, model, data, batch_sizes=(1, 2), **close, **options)
    assert_order_invariant(tfb.predict_sequences, model, data, **close, **options)
    whole = tfb.predict_sequences(model, data, **options)
    other = tfb.predict_sequences(model, data, dropout_samples=3, seed=2)
    assert np.abs(whole["dropout_mean"] - other["dropout_mean"]).max() > 1e-4
    np.testing.assert_array_equal(whole["prediction"], other["prediction"])
    averaged = tfb.predict_sequences(model.average_strands(), data, **options)
    assert float(averaged["dropout_standard_deviation"].min()) > 0
    # The model is as it was.
    if kind == "torch":
        assert [(part.training, sorted(vars(part))) for part in bare.modules()] == before
    else:
        assert [sorted(vars(layer)) for layer in bare.layers] == before


def test_an_ensemble_gives_means_and_spreads(sequences: xr.Dataset) -> None:
    models = [tfb.as_sequence_model(linear_keras(keras.layers.Dropout(rate))[0]) for rate in (0.2, 0.5)]
    one, other = (tfb.predict_sequences(model, sequences, dropout_samples=4) for model in models)
    both = tfb.predict_sequences(tfb.as_sequence_model(models), sequences, dropout_samples=4)
    name = "dropout_standard_deviation"
    np.testing.assert_allclose(both[name], (one[name] + other[name]) / 2, rtol=1e-6)
    np.testing.assert_allclose(both[f"{name}_sd"], np.abs(one[name] - other[name]) / 2, rtol=1e-4)


def test_without_draws_the_spread_is_missing(sequences: xr.Dataset) -> None:
    model, _ = linear_keras(keras.layers.Dropout(RATE))
    result = tfb.predict_sequences(model, sequences)
    assert result["dropout_mean"].isnull().all()
    assert "seed" not in result.attrs


def test_what_cannot_be_drawn_is_refused(sequences: xr.Dataset) -> None:
    x = keras.Input((LENGTH, 4))
    lstm = keras.Model(x, keras.layers.Dense(1)(keras.layers.LSTM(2, dropout=0.2, name="memory")(x)))
    noisy, _ = linear_keras(keras.layers.GaussianDropout(0.2, name="noise"))
    attention = torch.nn.Sequential(torch.nn.TransformerEncoderLayer(LENGTH, 2, 8), torch.nn.Flatten())
    layers = (torch.nn.Flatten(), torch.nn.Dropout(RATE), torch.nn.Linear(4 * LENGTH, 1))
    scripted = torch.jit.script(torch.nn.Sequential(*layers))
    for model, words in (
        (linear_keras(keras.layers.Dropout(0.0))[0], "has no layer of dropout"),
        (lstm, "layer memory drops units by itself"),
        (noisy, "layer noise drops units by itself"),
        (torch.nn.Flatten(), "has no dropout with a rate above 0"),
        (scripted, "has no dropout with a rate above 0"),
        (attention, "MultiheadAttention 0.self_attn drops units by itself"),
        (lambda one_hot: one_hot.sum(axis=1), "of Keras models and PyTorch modules alone"),
    ):
        length = LENGTH if isinstance(model, torch.nn.Module) else None
        wrapped = tfb.as_sequence_model(model, length=length)
        with pytest.raises(UnsupportedModelError, match=words):
            tfb.predict_sequences(wrapped, sequences, dropout_samples=2)
    model, _ = linear_keras(keras.layers.Dropout(RATE))
    for samples in (1, -1):
        with pytest.raises(InputError, match="dropout_samples: expected"):
            tfb.predict_sequences(model, sequences, dropout_samples=samples)


def test_the_command_and_its_table(tmp_path: Path) -> None:
    files = [str(tmp_path / f"net{rate}.keras") for rate in (0.2, 0.5)]
    for file, rate in zip(files, (0.2, 0.5), strict=True):
        linear_keras(keras.layers.Dropout(rate))[0].save(file)
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(list("ACGT"), size=LENGTH)) for _ in range(5)]
    (tmp_path / "sites.fa").write_text("".join(f">site_{i}\n{row}\n" for i, row in enumerate(rows)))
    (tmp_path / "genome.fa").write_text(f">chr1\n{''.join(rows)}\n")
    (tmp_path / "sites.bed").write_text("".join(f"chr1\t{20 * i}\t{20 * i + 20}\n" for i in range(5)))

    def run(*arguments: str) -> str:
        ran = CliRunner().invoke(main, [*map(str, arguments)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def path(name: str) -> str:
        return str(tmp_path / name)

    options = ("--dropout-samples", "3", "--seed", "4")
    run("predict", *files, "--sequences", path("sites.fa"), *options, "-o", path("whole.nc"))
    expected = tfb.predict_sequences(
        tfb.as_sequence_model([tfb.load_model(file) for file in files]),
        tfb.read_fasta_sequences(path("sites.fa")),
        dropout_samples=3,
        seed=4,
    )
    found = tfb.open_result(path("whole.nc"))
    assert float(np.abs(expected["dropout_mean"] - expected["prediction"]).min()) > 1e-3
    for name in ("prediction", "prediction_sd", "dropout_mean", "dropout_standard_deviation_sd"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
    places = ("--fasta", path("genome.fa"), "--intervals", path("sites.bed"))
    for number in (1, 2):
        run("predict", *files, *places, *options, "--shard", f"{number}/2", "-o", path(f"part{number}.nc"))
    run("merge", path("part1.nc"), path("part2.nc"), "-o", path("joined.nc"))
    joined = tfb.open_result(path("joined.nc"))
    np.testing.assert_allclose(joined["dropout_mean"], expected["dropout_mean"], rtol=1e-5, atol=1e-6)

    run("export", path("joined.nc"), "-o", path("table.tsv"))
    table = pd.read_csv(path("table.tsv"), sep="\t")
    assert table["start"].tolist() == [0, 20, 40, 60, 80]
    target = str(expected["target"].values[0])
    np.testing.assert_allclose(table[f"dropout_mean/{target}"], expected["dropout_mean"][:, 0], rtol=1e-4)
    run("predict", files[0], "--sequences", path("sites.fa"), "-o", path("plain.nc"))
    run("export", path("plain.nc"), "-o", path("plain.tsv.gz"))
    columns = pd.read_csv(path("plain.tsv.gz"), sep="\t").columns
    assert not any(name.startswith("dropout") for name in columns)
    assert len(run("export", path("plain.nc"), "--format", "table", "-o", "-").splitlines()) == 6
