"""A head for each target: chosen by itself, over features that stay, as if nothing had interrupted it."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.training import heads
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import FitConfig, Region, TrainingConfig, WindowsConfig
from kipoi_tfbind.training.fit import train
from kipoi_tfbind.training.metrics import target_auprc
from kipoi_tfbind.training.windows import held_out_bins
from tests.planted_genome import write_planted_genome

CONFIG = TrainingConfig(
    architecture="motif_cnn",
    hyperparameters={"length": 100, "filters": 4, "second_filters": 4, "hidden_units": 4, "dropout": 0.1},
    targets={"factor": ("peaks.bed",), "other": ("other.bed",)},
    auxiliary={"helper": ("peaks.bed",)},
    validation=(Region("c", 0, 20_000),),
    test=(Region("c", 20_000, 40_000),),
    windows=WindowsConfig(bin_length=100, stride=50, shuffled=0.5),
    fit=FitConfig(epochs=1, batch_size=32, learning_rate=0.01, jitter=10, head_epochs=2),
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a genome, and a run in it that nothing interrupts."""
    folder = tmp_path_factory.mktemp("heads")
    write_planted_genome(folder)
    peaks = (folder / "peaks.bed").read_text().splitlines(keepends=True)
    (folder / "other.bed").write_text("".join(peaks[::2]))
    run(folder, folder / "through")
    return folder


def run(folder: Path, run_dir: Path) -> keras.Model:
    return train(CONFIG, folder / "genome.fa", folder, run_dir, verbose=0)


def weights(path: Path) -> dict[str, NDArray]:
    return {w.path: ops.convert_to_numpy(w) for w in keras.models.load_model(path).weights}


def test_each_target_keeps_the_head_of_its_own_best_epoch() -> None:
    """Over given features, the right head of one target comes in another epoch than that of the other."""
    x = keras.Input((3, 4))
    logit = keras.layers.Dense(2, name="logit")
    model = keras.Model(x, logit(keras.layers.GlobalAveragePooling1D()(x)))
    codes = np.random.default_rng(0).integers(4, size=(40, 3)).astype(np.uint8)
    labels = np.stack([(codes == 0).any(axis=1), (codes == 3).any(axis=1)], axis=1).astype(np.int8)
    right, wrong = np.eye(4, dtype=np.float32)[:, [0, 3]], -np.eye(4, dtype=np.float32)[:, [0, 3]]

    def heads_of(first: NDArray, second: NDArray, bias: float) -> list[NDArray]:
        return [np.stack([first[:, 0], second[:, 1]], axis=1), np.array([bias, bias], np.float32)]

    logit.set_weights(heads_of(wrong, right, 0.0))
    choice = heads._BestHeads(model, codes, labels)
    for epoch, (first, second) in enumerate([(right, wrong), (wrong, wrong)], start=1):
        logit.set_weights(heads_of(first, second, float(epoch)))
        choice.on_epoch_end(epoch)
    np.testing.assert_array_equal(choice.weights[0], right)
    np.testing.assert_array_equal(choice.weights[1], [1.0, 0.0])
    assert (np.array(choice.values) == 1).tolist() == [[False, True], [True, False], [False, False]]


@pytest.mark.needs_bedtools
def test_only_heads_change_and_each_is_the_best_of_its_epochs(planted: Path) -> None:
    before, after = (weights(planted / "through" / name) for name in (heads.BEST_EPOCH, "model.keras"))
    assert {path for path in before if not np.array_equal(before[path], after[path])} <= {
        "logit/kernel",
        "logit/bias",
    }
    table = pd.read_csv(planted / "through" / heads.HEADS)
    assert list(table) == ["epoch", "cpu_seconds", "factor", "other"]
    assert table["epoch"].tolist() == [0, 1, 2]
    assert (table["cpu_seconds"][1:] > 0).all()
    genome = Genome(planted / "genome.fa")
    bins = held_out_bins(CONFIG, genome, planted, "validation")
    model = keras.models.load_model(planted / "through" / "model.keras")
    found = target_auprc(bins.labels, predict_codes(model, bins.codes(genome, CONFIG.length)))
    np.testing.assert_allclose(found, table[["factor", "other"]].max(), atol=1e-6)
    assert table.loc[0, ["factor", "other"]].mean() == pytest.approx(
        pd.read_csv(planted / "through" / "history.csv")["validation_auprc"].max(), abs=1e-6
    )
    # All layers can be trained further.
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.needs_bedtools
def test_heads_that_were_interrupted_are_fitted_again(planted: Path, tmp_path: Path) -> None:
    """Until the last moment of the fit, a run that is killed has its best epoch and no model."""
    again = tmp_path / "run"
    shutil.copytree(planted / "through", again)
    (again / "model.keras").unlink()
    run(planted, again)
    expected = weights(planted / "through" / "model.keras")
    for path, values in weights(again / "model.keras").items():
        np.testing.assert_allclose(values, expected[path], atol=1e-4)
    found, table = (pd.read_csv(folder / heads.HEADS) for folder in (again, planted / "through"))
    columns = ["epoch", "factor", "other"]
    pd.testing.assert_frame_equal(found[columns], table[columns], rtol=1e-4)
    kept = (again / "model.keras").read_bytes()
    run(planted, again)
    assert (again / "model.keras").read_bytes() == kept
