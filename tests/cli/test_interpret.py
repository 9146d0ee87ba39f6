"""The commands of the methods: every way to give sequences, every method, interrupted runs, mistakes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main

LENGTH = 40
RNG = np.random.default_rng(0)
CONTIG = "".join(RNG.choice(list("ACGT"), size=3000))

MODEL = f"""
import os
import time
from kipoi.model import BaseModel
import numpy as np

WEIGHTS = np.random.default_rng(7).normal(size=({LENGTH}, 4))

class Additive(BaseModel):
    def __init__(self, seconds=0, scale=1.0):
        self.seconds, self.scale = seconds, scale

    def predict_on_batch(self, x):
        time.sleep(self.seconds * ("IN_HASTE" not in os.environ))
        return self.scale * np.einsum("nlb,lb->n", x, WEIGHTS)
"""
WEIGHTS = np.random.default_rng(7).normal(size=(LENGTH, 4))


def description(**args: float) -> str:
    entry = {
        "defined_as": "model.Additive",
        "args": args,
        "default_dataloader": {
            "defined_as": "kipoi_tfbind.dataloaders.IntervalWindows",
            "default_args": {"length": LENGTH},
        },
        "info": {"authors": [{"name": "somebody"}], "doc": "additive"},
        "schema": {
            "inputs": {"shape": f"({LENGTH}, 4)", "doc": "one-hot"},
            "targets": {"shape": "(1, )", "doc": "sum", "column_labels": ["CTCF"]},
        },
    }
    import yaml

    return yaml.safe_dump(entry, sort_keys=False)


def make_entry(folder: Path, name: str, **args: float) -> Path:
    entry = folder / name
    entry.mkdir()
    (entry / "model.py").write_text(MODEL)
    (entry / "model.yaml").write_text(description(**args))
    return entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_entry(tmp_path, "additive")
    (tmp_path / "genome.fa").write_text(f">20\n{CONTIG}\n")
    lines = [f"chr20\t{40 * i + 100}\t{40 * i + 140}\tsite_{i}\t0\t{'+-'[i % 2]}\n" for i in range(12)]
    (tmp_path / "sites.bed").write_text("".join(lines))
    return tmp_path


def run(folder: Path, *arguments: str, output: str = "out.nc") -> Result:
    places = [str(folder / part) if part in PLACES else part for part in arguments]
    return CliRunner().invoke(main, [*places, "-o", str(folder / output)])


PLACES = (
    "additive",
    "other",
    "genome.fa",
    "sites.bed",
    "sites.narrowPeak",
    "sites.fa",
    "none.fa",
    "short.fa",
    "bad.fa",
    "mixed.fa",
)
BED = ("--source", "dir", "--fasta", "genome.fa", "--intervals", "sites.bed")


@pytest.mark.parametrize(("center", "position"), [("auto", 220), ("summit", 220), ("midpoint", 250)])
def test_windows_of_peaks_have_the_centre_that_was_asked_for(
    folder: Path, center: str, position: int
) -> None:
    (folder / "sites.narrowPeak").write_text("chr20\t200\t300\t.\t0\t.\t9\t-1\t5\t20\n")
    peaks = ("--fasta", "genome.fa", "--intervals", "sites.narrowPeak", "--center", center)
    assert run(folder, "ism", "additive", *peaks).exit_code == 0
    assert opened(folder)["start"].item() == position - LENGTH // 2


def opened(folder: Path, output: str = "out.nc") -> xr.Dataset:
    return tfb.open_result(folder / output)


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["ism"], "mutation_effect"),
        (["second-order-ism", "--positions", "3,10,20"], "epistasis"),
        (["occlusion", "--width", "8", "--fill", "shuffle"], "occlusion_effect"),
    ],
)
def test_each_method_that_needs_predictions_only(folder: Path, command: list[str], variable: str) -> None:
    ran = run(folder, command[0], "additive", *BED, *command[1:])
    assert ran.exit_code == 0, ran.output
    result = opened(folder)
    assert variable in result
    assert result["id"].values.tolist() == [f"site_{i}" for i in range(12)]
    assert result["strand"].values.tolist() == ["+", "-"] * 6
    assert result.attrs["model_source"] == "dir"


@pytest.mark.parametrize("command", ["gradients", "deepshap"])
def test_methods_that_the_model_cannot_do_are_refused_by_name(folder: Path, command: str) -> None:
    ran = run(folder, command, "additive", *BED)
    assert (ran.exit_code, ran.output.count("\n")) == (1, 1), ran.output
    assert "in_silico_mutagenesis, second_order_mutagenesis" in ran.output
    assert [path.name for path in folder.iterdir() if path.name.startswith("out")] == []


def test_three_ways_to_give_the_same_sequences(folder: Path) -> None:
    assert run(folder, "ism", "additive", *BED).exit_code == 0
    intervals = opened(folder)
    arguments = {"intervals_file": str(folder / "sites.bed"), "fasta_file": str(folder / "genome.fa")}
    ran = run(folder, "ism", "additive", "--source", "dir", "--dataloader_args", json.dumps(arguments))
    assert ran.exit_code == 0, ran.output
    loaded = opened(folder)
    pairs = [option for key, value in arguments.items() for option in ("--dataloader_args", f"{key}={value}")]
    assert run(folder, "ism", "additive", "--source", "dir", *pairs, output="pairs.nc").exit_code == 0
    xr.testing.assert_identical(opened(folder, "pairs.nc"), loaded)
    for name in ("mutation_effect", "id", "chrom", "start", "end", "strand"):
        np.testing.assert_array_equal(loaded[name], intervals[name])

    texts = dict(zip(intervals["id"].values, texts_of(intervals), strict=True))
    (folder / "sites.fa").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    ran = run(folder, "ism", "additive", "--source", "dir", "--sequences", "sites.fa")
    assert ran.exit_code == 0, ran.output
    read = opened(folder)
    np.testing.assert_array_equal(read["mutation_effect"], intervals["mutation_effect"])
    assert read["id"].values.tolist() == list(texts)
    assert "chrom" not in read


def texts_of(result: xr.Dataset) -> list[str]:
    from kipoi_tfbind.dna.one_hot import decode_one_hot

    return decode_one_hot(result["one_hot"].values)


def test_several_models_are_an_ensemble(folder: Path) -> None:
    make_entry(folder, "other", scale=3.0)
    ran = run(folder, "ism", "additive", "other", *BED)
    assert ran.exit_code == 0, ran.output
    result = opened(folder)
    here = result["one_hot"].values
    expected = 2 * (WEIGHTS - np.einsum("nlb,lb->nl", here, WEIGHTS)[..., np.newaxis])
    np.testing.assert_allclose(result["mutation_effect"].values[..., 0], expected, atol=1e-12)
    np.testing.assert_allclose(result["mutation_effect_sd"].values[..., 0], np.abs(expected) / 2, atol=1e-12)


def test_average_over_strands(folder: Path) -> None:
    assert run(folder, "ism", "additive", *BED, "--average-strands").exit_code == 0
    result = opened(folder)
    both = (WEIGHTS + WEIGHTS[::-1, ::-1]) / 2
    expected = both - np.einsum("nlb,lb->nl", result["one_hot"].values, both)[..., np.newaxis]
    np.testing.assert_allclose(result["mutation_effect"].values[..., 0], expected, atol=1e-12)
    assert (result["reverse_complement_difference"] == 0).all()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_gives_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_entry(folder, "slow", seconds=0.2)
    arguments = ["ism", "slow", "--source", "dir", "--fasta", "genome.fa", "--intervals", "sites.bed"]
    code = (
        "import sys; import kipoi_tfbind.results.stream as s; s._PIECE_BYTES = 1; "
        "from kipoi_tfbind.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *arguments, "-o", "out.nc"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    pieces = folder / "out.nc.partial"
    deadline = time.monotonic() + 60
    while len(list(pieces.glob("*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "out.nc").exists()
    with pytest.raises(tfb.errors.InputError, match=r"out\.nc"):
        tfb.open_result(folder / "out.nc")

    monkeypatch.setenv("IN_HASTE", "1")
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "going on after the" in ran.stderr
    assert not pieces.exists()
    subprocess.run([*command[:-1], "whole.nc"], cwd=folder, capture_output=True, check=True)
    xr.testing.assert_identical(opened(folder), opened(folder, "whole.nc"))


def test_an_unfinished_run_with_other_settings_is_not_gone_on_with(folder: Path) -> None:
    assert run(folder, "occlusion", "additive", *BED).exit_code == 0
    part = opened(folder).isel(sequence=slice(0, 3))
    tfb.append_result(part, folder / "new.nc")
    ran = run(folder, "occlusion", "additive", *BED, "--width", "5", output="new.nc")
    assert ran.exit_code == 1
    assert "is of another run" in ran.output
    assert "width" in ran.output
    assert (
        run(folder, "occlusion", "additive", *BED, "--width", "5", "--restart", output="new.nc").exit_code
        == 0
    )
    assert opened(folder, "new.nc").attrs["width"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--fasta", "genome.fa"],
            "expected --fasta with --intervals or --region, or --sequences, or --dataloader_args",
        ),
        (["--sequences", "sites.fa", "--intervals", "sites.bed"], "one of these; got --intervals"),
        (["--sequences", "none.fa"], "none.fa: cannot read this file"),
        (["--sequences", "short.fa"], "record 'tiny' has 4 bases, where 40 are wanted"),
        (["--sequences", "bad.fa"], "record 'odd', position 3: 'X' is no nucleotide"),
        (["--dataloader_args", "{'a': "], "--dataloader_args: expected JSON"),
        (["--dataloader_args", "no.json"], "--dataloader_args: expected JSON"),
        (["--fasta", "genome.fa", "--intervals", "sites.bed", "--targets", "U"], "no target 'U'"),
        (["--fasta", "genome.fa", "--intervals", "sites.bed", "--layout", "4,L"], "does not fit the input"),
        (["--fasta", "genome.fa", "--intervals", "sites.bed", "--alphabet", "ACGU"], "each of A, C, G and T"),
        (
            ["--fasta", "genome.fa", "--intervals", "sites.bed", "--auxiliary", "[1]"],
            "expected a JSON object",
        ),
        (["--fasta", "genome.fa", "--intervals", "sites.bed", "--auxiliary", '{"a": 1}'], "no input 'a'"),
        (["--fasta", "genome.fa", "--intervals", "sites.bed", "--output-kind", "logit"], "has no logit"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(folder: Path, options: list[str], message: str) -> None:
    (folder / "sites.fa").write_text(f">a\n{CONTIG[:LENGTH]}\n")
    (folder / "short.fa").write_text(">tiny\nACGT\n")
    (folder / "bad.fa").write_text(f">odd\nACX{CONTIG[:LENGTH]}\n")
    ran = run(folder, "ism", "additive", "--source", "dir", *options)
    assert (ran.exit_code, ran.output.count("\n")) == (1, 1), ran.output
    assert ran.output.startswith("error: ")
    assert message in ran.output
    assert not (folder / "out.nc").exists()


def test_long_records_are_cut_and_that_is_said(folder: Path) -> None:
    (folder / "sites.fa").write_text(f">long\n{CONTIG[: LENGTH + 10]}\n")
    ran = run(folder, "ism", "additive", "--source", "dir", "--sequences", "sites.fa")
    assert ran.exit_code == 0, ran.output
    assert "of records longer than 40 bases, the central 40 are taken" in ran.output
    assert texts_of(opened(folder)) == [CONTIG[5 : LENGTH + 5]]


def test_every_method_has_help_that_shows_an_example() -> None:
    for command in ("ism", "second-order-ism", "deepshap", "gradients", "occlusion", "plot", "report"):
        ran = CliRunner().invoke(main, [command, "--help"])
        assert ran.exit_code == 0
        assert f"kipoi tfbind {command} " in ran.output
