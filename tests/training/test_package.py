"""From peaks to a tested entry of a model group, by the real commands; and what they refuse."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import keras
import kipoi
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from scipy.special import logit

from kipoi_tfbind.cli.evaluate import command as evaluate_command
from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.kipoi_model import TFBindModel
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.evaluate import evaluate
from kipoi_tfbind.training.package import package

if TYPE_CHECKING:
    from tests.conftest import KipoiCommand

ZOO = Path(__file__).parents[2] / "model_zoo" / "TFBind"
FASTA = ZOO / "example_data" / "chr20.hg19.1-1Mb.fa.gz"
PEAKS = ZOO / "example_data"
CONFIG = {
    "title": "CTCF: a model that the tests train",
    "architecture": "motif_cnn",
    "hyperparameters": {"length": 200, "filters": 16, "second_filters": 16, "dropout": 0.0},
    "validation": "chr20:100,000-300,000",
    "test": "chr20:300,000-500,000",
    "targets": {"CTCF": "CTCF.HepG2.narrowPeak.gz", "CTCF-again": "CTCF.HepG2.narrowPeak.gz"},
    "windows": {"bin_length": 100, "stride": 25},
    "fit": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "jitter": 10},
    "motifs": {"CTCF": "MA0139.1"} if importlib.util.find_spec("pyjaspar") else {},
}


def write_config(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump(CONFIG | changes))
    return path


def copy_group(folder: Path) -> Path:
    """A group without entries: the zoo's template and example data."""
    group = folder / "Group"
    shutil.copytree(ZOO / "example_data", group / "example_data")
    shutil.copy(ZOO / "model-template.yaml", group)
    return group


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def trained(folder: Path, kipoi_cli: KipoiCommand) -> Path:
    config = write_config(folder / "run.yaml")
    kipoi_cli("tfbind", "train", config, "--fasta", FASTA, "--peaks", PEAKS, "-o", folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def evaluated(trained: Path, kipoi_cli: KipoiCommand) -> tuple[Path, str]:
    """Folder of the run, and the table that its evaluation prints."""
    shown = kipoi_cli(
        *("tfbind", "evaluate", trained, "--fasta", FASTA, "--peaks", PEAKS, "--prevalence", "0.2"),
        *("--other-cell", "CTCF:HepG2=CTCF.HepG2.narrowPeak.gz"),
    )
    return trained, shown.stdout


@pytest.fixture(scope="module")
def group(folder: Path, evaluated: tuple[Path, str], kipoi_cli: KipoiCommand) -> Path:
    group = copy_group(folder)
    shown = kipoi_cli("tfbind", "package", evaluated[0], "--name", "Tiny", "--group", group)
    assert shown.stdout.splitlines()[-2:] == [f"wrote {group}/Tiny", f"wrote {group}/Tiny/variants"]
    return group


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_training_leaves_a_model_and_its_history(trained: Path) -> None:
    assert len(pd.read_csv(trained / "history.csv")) == 2
    assert TrainingConfig.from_yaml(trained / "config.yaml").target_names == ["CTCF", "CTCF-again"]
    assert keras.models.load_model(trained / "model.keras").output_shape == (None, 2)


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_evaluation_prints_and_keeps_the_metrics(evaluated: tuple[Path, str]) -> None:
    run, table = evaluated
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"] == "test"
    assert metrics["model_md5"] == hashlib.md5((run / "model.keras").read_bytes()).hexdigest()
    # 2,000 bins of 100 bp, none of them with an N.
    assert metrics["n_bins"] == 2_000
    one, again = metrics["targets"].values()
    # The same peaks under two names: the same baseline, and another output of the model.
    assert one["kmer"]["auprc"]["value"] == again["kmer"]["auprc"]["value"]
    assert one["model"]["auprc"]["value"] != again["model"]["auprc"]["value"]
    for target in metrics["targets"].values():
        assert 0 < target["n_positive"] < target["n_bins"] <= 2_000
        for metric in target["model"].values():
            assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1
    lines = [line.split(" | ") for line in table.splitlines()]
    row = next(line for line in lines if line[0] == "| CTCF")
    assert row[1] == f"{one['n_positive']} of {one['n_bins']:,}"
    assert row[2].startswith(f"**{one['model']['auprc']['value']:.3f}** (")
    assert row[4] == f"{one['kmer']['auprc']['value']:.3f}"
    if importlib.util.find_spec("pyjaspar"):
        assert row[3] == f"{one['motif']['auprc']['value']:.3f}"
        # Binding sites of CTCF look like its motif.
        assert one["motif"]["auroc"]["value"] > 0.8
    again_row = next(line for line in lines if line[0] == "| CTCF-again")
    assert again_row[3] == "–"
    # The same peaks once more, as another cell type's.
    assert one["other_cells"]["HepG2"]["model"] == one["model"]
    assert one["other_cells"]["HepG2"]["n_positive"] == one["n_positive"]
    assert "other_cells" not in again


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_evaluation_states_calibration_at_the_prevalence_that_was_asked_for(
    evaluated: tuple[Path, str],
) -> None:
    run, table = evaluated
    for name, target in json.loads((run / "metrics.json").read_text())["targets"].items():
        line = target["calibration"]
        shift = line["at_prevalence"]["offset"] - line["offset"]
        assert shift == pytest.approx(logit(0.2) - logit(line["prevalence"]))
        assert target["at_prevalence"]["prevalence"] == line["at_prevalence"]["prevalence"] == 0.2
        # Bound bins are fewer than 20% here, so that precision rises.
        assert target["at_prevalence"]["auprc"]["value"] > target["model"]["auprc"]["value"]
        assert target["at_prevalence"]["auroc"]["value"] == pytest.approx(target["model"]["auroc"]["value"])
        assert f"{name}: {target['at_prevalence']['auprc']['value']:.3f} (" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"other_cells": {"MAX": {"K562": "a.bed"}}}, "other cells: .'MAX'. are no targets"),
        ({"prevalence": 1.5}, "prevalence: expected a share between 0 and 1, got 1.5"),
    ],
)
def test_what_evaluation_cannot_do_is_refused_at_once(
    finished: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(finished, FASTA, PEAKS, **options)


@pytest.mark.parametrize("text", ["CTCF=a.bed", "CTCF:K562", ":K562=a.bed", "CTCF:=a.bed"])
def test_other_cell_that_is_not_written_as_asked_is_refused(text: str) -> None:
    arguments = ["run", "--fasta", "g.fa", "--peaks", "peaks", "--other-cell", text]
    shown = CliRunner().invoke(evaluate_command, arguments)
    assert f"--other-cell: expected TARGET:CELL=FILE, got '{text}'" in f"{shown.output}{shown.exception}"


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_package_holds_what_belongs_to_the_entry(group: Path, evaluated: tuple[Path, str]) -> None:
    run, table = evaluated
    weights = group / "weights" / "Tiny.keras"
    assert weights.read_bytes() == (run / "model.keras").read_bytes()
    md5 = hashlib.md5(weights.read_bytes()).hexdigest()
    listed = pd.read_csv(group / "models.tsv", sep="\t")
    assert listed["model"].tolist() == ["Tiny", "Tiny/variants"]
    assert listed["kind"].tolist() == ["intervals", "variants"]
    assert set(listed["md5"]) == {md5}
    assert set(listed["trained_on"]) == {"not stated"}
    card = (group / "cards" / "Tiny.md").read_text()
    assert table.strip().split("\n\n")[0] in card
    for heading in ("## What it has learned", "## Calibration and label sets", "## In other cell types"):
        assert heading in card
    n_positive = json.loads((run / "metrics.json").read_text())["targets"]["CTCF"]["n_positive"]
    assert f"| CTCF | HepG2 | {n_positive:,} |" in card
    assert md5 in card
    assert "chr20:300000-500000" in card
    assert "{" not in card
    TrainingConfig.from_yaml(group / "training" / "Tiny.yaml")
    assert (group / "training" / "Tiny.metrics.json").read_text() == (run / "metrics.json").read_text()
    assert not list(group.rglob("*partial*"))


@pytest.mark.slow
@pytest.mark.needs_bedtools
@pytest.mark.parametrize("entry", ["Tiny", "Tiny/variants"])
def test_kipoi_tests_the_entry(group: Path, entry: str, kipoi_cli: KipoiCommand) -> None:
    shown = kipoi_cli("test", group / entry, "--source=dir")
    assert "All predictions match" in shown.stdout + shown.stderr
    with h5py.File(group / "expected" / f"{entry.replace('/', '.')}.h5") as file:
        preds = file["preds"] if entry == "Tiny" else file["preds/difference"]
        assert sorted(preds) == ["CTCF", "CTCF-again"]


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_kipoi_predicts_with_the_entry(group: Path, tmp_path: Path, kipoi_cli: KipoiCommand) -> None:
    out = tmp_path / "out.tsv"
    files = {"intervals_file": str(PEAKS / "CTCF.HepG2.narrowPeak.gz"), "fasta_file": str(FASTA)}
    arguments = ("--source=dir", "--dataloader_args", json.dumps(files), "-o", out)
    kipoi_cli("predict", group / "Tiny", *arguments)
    table = pd.read_csv(out, sep="\t")
    peaks = pd.read_csv(PEAKS / "CTCF.HepG2.narrowPeak.gz", sep="\t", header=None)
    centers = peaks[1] + peaks[9]
    codes = Genome(FASTA).windows("chr20", centers - 100, 200)
    model = TFBindModel(str(group / "weights" / "Tiny.keras"), ["CTCF", "CTCF-again"], 200)
    for target, expected in model.predict_on_batch(one_hot_codes(codes)).items():
        np.testing.assert_allclose(table[f"preds/{target}"], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_packaging_again_replaces_the_entry_and_keeps_the_others(
    group: Path, evaluated: tuple[Path, str], tmp_path: Path
) -> None:
    own = tmp_path / "Group"
    shutil.copytree(group, own)
    url = "https://example.org/weights.keras?a=1&b=2"
    assert package(evaluated[0], "Other", own, weights_url=url) == ["Other", "Other/variants"]
    package(evaluated[0], "Tiny", own)
    table = pd.read_csv(own / "models.tsv", sep="\t")
    assert table["model"].tolist() == ["Other", "Other/variants", "Tiny", "Tiny/variants"]
    assert table["weights_url"].tolist() == [url, url, ".", "."]
    assert table["bin_length"].tolist() == [100] * 4
    source = kipoi.get_source("dir")
    by_url = source.get_model_descr(str(own / "Other")).args["weights"]
    assert (by_url.url, by_url.md5) == (url, table["md5"][0])


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_run_evaluated_on_the_validation_regions_is_not_packaged(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    # The slow part, of no account here.
    monkeypatch.setattr(
        "kipoi_tfbind.training.evaluate.kmer_model_scores", lambda *args: np.arange(args[2].shape[0])
    )
    assert evaluate(run, FASTA, PEAKS, split="validation", n_resamples=5)["split"] == "validation"
    group = copy_group(tmp_path)
    with pytest.raises(InputError, match="from split 'validation'; evaluate with --split test"):
        package(run, "Tiny", group)
    assert sorted(path.name for path in group.iterdir()) == ["example_data", "model-template.yaml"]


@pytest.mark.slow
@pytest.mark.needs_bedtools
def test_target_without_a_held_out_peak_is_named(trained: Path, tmp_path: Path) -> None:
    run, peaks = tmp_path / "run", tmp_path / "peaks"
    shutil.copytree(trained, run)
    peaks.mkdir()
    shutil.copy(PEAKS / "CTCF.HepG2.narrowPeak.gz", peaks)
    (peaks / "other.bed").write_text("chr20\t700000\t700200\n")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["targets"]["CTCF-again"] = ["other.bed"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="CTCF-again: the test regions lack bins that are bound"):
        evaluate(run, FASTA, peaks)


def test_evaluation_before_training_is_refused(tmp_path: Path, kipoi_cli: KipoiCommand) -> None:
    shown = kipoi_cli("tfbind", "evaluate", tmp_path, "--fasta", FASTA, "--peaks", PEAKS, check=False)
    assert shown.returncode != 0
    expected = f"error: {tmp_path / 'model.keras'}: no trained model here; run `kipoi tfbind train` first"
    assert shown.stderr.splitlines()[-1] == expected
    assert "Traceback" not in shown.stderr


def test_configuration_that_is_missing_is_one_line(tmp_path: Path, kipoi_cli: KipoiCommand) -> None:
    arguments = ("--fasta", FASTA, "--peaks", PEAKS, "-o", tmp_path / "run")
    shown = kipoi_cli("tfbind", "train", tmp_path / "no.yaml", *arguments, check=False)
    assert shown.returncode != 0
    assert re.fullmatch(r"error: .*no\.yaml: cannot read this file .*", shown.stderr.splitlines()[-1])
    assert "Traceback" not in shown.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run folder whose files look finished; the model itself is not read by what refuses it."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.keras").write_bytes(b"a model")
    TrainingConfig.from_yaml(write_config(run / "config.yaml"))
    md5 = hashlib.md5(b"a model").hexdigest()
    (run / "metrics.json").write_text(json.dumps({"split": "test", "model_md5": md5}))
    return run


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [
        ("run/model.keras", "train the model first: kipoi tfbind train"),
        ("run/metrics.json", "evaluate the model first: kipoi tfbind evaluate"),
        ("Group/model-template.yaml", "give the folder of a model group with --group"),
        ("Group/example_data", "the group needs the files that its dataloaders give as examples"),
    ],
)
def test_what_is_missing_is_named(finished: Path, tmp_path: Path, missing: str, remedy: str) -> None:
    group = copy_group(tmp_path)
    path = tmp_path / missing
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=re.escape(f"{path}: no such file; {remedy}")):
        package(finished, "Tiny", group)


def test_metrics_of_an_earlier_model_are_refused(finished: Path, tmp_path: Path) -> None:
    (finished / "model.keras").write_bytes(b"a model of a later epoch")
    with pytest.raises(InputError, match=r"metrics\.json: not of this model\.keras, .*evaluate it again"):
        package(finished, "Tiny", copy_group(tmp_path))


@pytest.mark.parametrize("name", ["", "a/b", "../a", "7up", "a b", ".hidden"])
def test_name_that_cannot_be_an_entrys_is_refused(finished: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"name {name!r}: the name of an entry must be a letter, then"):
        package(finished, name, copy_group(tmp_path))


@pytest.mark.parametrize("text", ["model #1", "two\nlines", 'a "quoted" word', "a\ttab"])
def test_text_that_would_break_the_groups_table_is_refused(finished: Path, tmp_path: Path, text: str) -> None:
    group = copy_group(tmp_path)
    with pytest.raises(InputError, match=r"weights_url .* one line without a tab, # or double quote"):
        package(finished, "Tiny", group, weights_url=text)
    write_config(finished / "config.yaml", title=text)
    with pytest.raises(InputError, match=r"title .* one line without a tab, # or double quote"):
        package(finished, "Tiny", group)
    assert not (group / "models.tsv").exists()
