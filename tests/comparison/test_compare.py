"""A comparison on a genome with a planted motif: its table against scikit-learn, and one that is killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from kipoi_tfbind.comparison.compare import compare
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.agreement import agreement
from kipoi_tfbind.results.files import open_result
from kipoi_tfbind.training.metrics import block_weights
from tests.planted_genome import write_planted_genome

pytestmark = pytest.mark.needs_bedtools

PLAN: dict[str, Any] = {
    "title": "A comparison",
    "note": "Of two settings.",
    "seeds": [1, 2],
    "base": {
        "architecture": "motif_cnn",
        "hyperparameters": {
            "length": 200,
            "filters": 6,
            "second_filters": 4,
            "hidden_units": 4,
            "dropout": 0.1,
            "activation": "relu",
        },
        "targets": {"factor": "peaks.bed"},
        "motifs": {"factor": "MA0139.1"},
        "motif_filters": ["MA0139.1"],
        "validation": "c:0-20000",
        "test": "c:20000-60000",
        "windows": {"bin_length": 100, "stride": 50},
        "fit": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "jitter": 10},
    },
    "factors": {"training": {"plain": {}, "noise": {"augment": {"noise": 0.1}}}},
    "grid": [{"training": ["plain", "noise"]}],
}
# Ends the process as the system would, between a line of the history and the checkpoint of its epoch.
KILLED = """
import os, signal, sys, keras
from kipoi_tfbind.comparison.compare import compare

original = keras.callbacks.BackupAndRestore.on_epoch_end

def on_epoch_end(self, epoch, logs=None):
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, epoch, logs)

keras.callbacks.BackupAndRestore.on_epoch_end = on_epoch_end
compare(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a genome, a plan and its comparison, done in two goes."""
    folder = tmp_path_factory.mktemp("comparison")
    write_planted_genome(folder)
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN, sort_keys=False))
    assert len(run(folder, folder / "out", max_minutes=0)) == 0
    run(folder, folder / "out")
    return folder


def run(folder: Path, output: Path, **options: Any) -> pd.DataFrame:
    return compare(folder / "plan.yaml", folder / "genome.fa", folder, output, **options)


def scores_of(folder: Path, setting: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    with np.load(folder / "out" / "runs" / f"{setting}.seed-{seed}" / "scores.npz") as file:
        known = file["labels"][:, 0] >= 0
        return file["labels"][known, 0], file["scores"][known, 0]


def rows_of(output: Path) -> dict[str, dict[str, Any]]:
    """Setting -> its row of the table."""
    table = pd.read_csv(output / "comparison.tsv", sep="\t")
    return {str(row["training"]): dict(row) for _, row in table.iterrows()}


def test_table_has_means_over_seeds_and_intervals_over_blocks_and_seeds(folder: Path) -> None:
    rows = rows_of(folder / "out")
    assert list(rows) == ["plain", "noise"]
    for setting, row in rows.items():
        assert row["seeds"] == 2
        both = [scores_of(folder, setting, seed) for seed in (1, 2)]
        for name, metric in {"auprc": average_precision_score, "auroc": roc_auc_score}.items():
            values = [metric(labels, scores) for labels, scores in both]
            assert row[name] == pytest.approx(np.mean(values), rel=1e-5)
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        values = [average_precision_score(labels, scores) for labels, scores in both]
        assert row["auprc_sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-5)
        assert row["rc_difference"] < 1e-4  # tied strands
    difference = rows["noise"]["auprc"] - rows["plain"]["auprc"]
    assert rows["noise"]["auprc_gain"] == pytest.approx(difference, abs=1e-5)
    assert rows["noise"]["auprc_gain_low"] <= difference <= rows["noise"]["auprc_gain_high"]
    assert np.isnan(rows["plain"]["auprc_gain"])


def test_interval_is_that_of_resampled_blocks_and_seeds(folder: Path) -> None:
    """Against scikit-learn on bins repeated as often as they are drawn."""
    samples = []
    for seed in (1, 2):
        labels, scores = scores_of(folder, "plain", seed)
        with np.load(folder / "out" / "runs" / f"plain.seed-{seed}" / "scores.npz") as file:
            known = file["labels"][:, 0] >= 0
            weights = block_weights(file["blocks"], 200, 0)[:, known]
        samples.append(
            [average_precision_score(np.repeat(labels, w), np.repeat(scores, w)) for w in weights.astype(int)]
        )
    draws = np.random.default_rng(0).integers(2, size=(2, 200))
    expected = np.quantile(np.take_along_axis(np.array(samples), draws, axis=0).mean(axis=0), [0.025, 0.975])
    row = rows_of(folder / "out")["plain"]
    np.testing.assert_allclose([row["auprc_low"], row["auprc_high"]], expected, rtol=1e-5)


def test_agreement_is_that_of_the_maps_of_two_seeds(folder: Path) -> None:
    maps = {
        str(seed): open_result(folder / "out" / "runs" / f"plain.seed-{seed}" / "maps.nc") for seed in (1, 2)
    }
    row = rows_of(folder / "out")["plain"]
    assert row["agreement"] == pytest.approx(float(agreement(maps)["cosine"].mean(skipna=False)), abs=1e-5)
    assert row["agreement_low"] <= row["agreement"] <= row["agreement_high"]


def test_page_says_how_much_is_done(folder: Path, tmp_path: Path) -> None:
    page = (folder / "out" / "comparison.md").read_text()
    assert page.startswith("# A comparison\n\nOf two settings.\n\n| training | seeds | AUPRC")
    assert "\n| plain | 2 | " in page
    shutil.copytree(folder / "out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "runs" / "noise.seed-2")
    run(folder, tmp_path / "out", max_minutes=0)
    assert "3 of 4 runs are done" in (tmp_path / "out" / "comparison.md").read_text()


def test_killed_comparison_goes_on_and_ends_as_if_it_had_not_been(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(folder / "out", output)
    last = output / "runs" / "noise.seed-2"
    shutil.rmtree(last)
    paths = map(str, (folder / "plan.yaml", folder / "genome.fa", folder, output))
    killed = subprocess.run([sys.executable, "-c", KILLED, *paths], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (last / "history.csv").exists()
    assert not (last / "record.json").exists()
    kept = (output / "runs" / "plain.seed-1" / "model.keras").stat().st_mtime_ns
    found = run(folder, output).drop(columns="cpu_seconds")
    assert (output / "runs" / "plain.seed-1" / "model.keras").stat().st_mtime_ns == kept
    expected = pd.read_csv(folder / "out" / "comparison.tsv", sep="\t").drop(columns="cpu_seconds")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-4, atol=1e-5)
    assert json.loads((last / "record.json").read_text())["epochs"] == 2


def test_folder_of_another_plan_is_refused_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    base = {**PLAN["base"], "fit": {**PLAN["base"]["fit"], "epochs": 3}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({**PLAN, "base": base}, sort_keys=False))
    with pytest.raises(
        InputError, match=r"plain\.seed-1/config\.yaml: this folder holds a run of another plan"
    ):
        compare(tmp_path / "plan.yaml", folder / "genome.fa", folder, folder / "out")


def test_setting_that_makes_no_model_is_refused_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    factors = {"training": {**PLAN["factors"]["training"], "deep": {"hyperparameters": {"depth": 9}}}}
    entries = {**PLAN, "factors": factors, "grid": [{"training": ["plain", "deep"]}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    with pytest.raises(InputError, match=r"deep: hyperparameters of motif_cnn: .*'depth'"):
        compare(tmp_path / "plan.yaml", folder / "genome.fa", folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
