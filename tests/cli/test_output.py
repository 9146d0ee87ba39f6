"""Outputs of commands: never over an input, over a file of somebody else's only with --overwrite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main

LENGTH = 20
MODEL = """
from kipoi.model import BaseModel

class Counter(BaseModel):
    def predict_on_batch(self, x):
        return x[:, :, 2].sum(axis=1)
"""
DESCRIPTION = f"""
defined_as: model.Counter
args: {{}}
default_dataloader:
  defined_as: kipoi_tfbind.dataloaders.IntervalWindows
  default_args: {{length: {LENGTH}}}
info: {{authors: [{{name: somebody}}], doc: counts}}
schema:
  inputs: {{shape: "({LENGTH}, 4)", doc: one-hot}}
  targets: {{shape: "(1, )", doc: count, column_labels: [G]}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.py").write_text(MODEL)
    (tmp_path / "model" / "model.yaml").write_text(DESCRIPTION)
    (tmp_path / "genome.fa").write_text(">20\n" + "ACGGTCATGA" * 10 + "\n")
    (tmp_path / "sites.bed").write_text("chr20\t10\t30\nchr20\t40\t60\n")
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def ism(*arguments: str) -> Result:
    return run("ism", "model", "--source", "dir", *arguments)


BED = ("--fasta", "genome.fa", "--intervals", "sites.bed")


def refused(ran: Result, folder: Path, before: dict[str, str], message: str) -> None:
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1), ran.output
    assert message in ran.stderr
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().hex() for path in folder.iterdir() if path.is_file()}


def test_an_input_is_never_overwritten(folder: Path) -> None:
    os.link("sites.bed", "hard.nc")
    os.symlink("genome.fa", "soft.nc")
    before = contents(folder)
    loader = json.dumps({"intervals_file": "sites.bed", "fasta_file": "genome.fa"})
    for more in ((), ("--overwrite",)):
        refused(ism(*BED, "-o", "hard.nc", *more), folder, before, "hard.nc: is the input --intervals")
        refused(ism(*BED, "-o", "soft.nc", *more), folder, before, "soft.nc: is the input --fasta")
        ran = ism("--dataloader_args", loader, "-o", "hard.nc", *more)
        refused(ran, folder, before, "hard.nc: is the input --dataloader_args")
    refused(
        ism(*BED, "-o", "sites.bed"), folder, before, "expected a name that ends in .nc, .nc4, .h5 or .hdf5"
    )
    refused(ism(*BED, "-o", "-"), folder, before, "expected a name that ends in .nc, .nc4, .h5 or .hdf5")


def test_a_result_is_not_overwritten_by_what_is_made_of_it(folder: Path) -> None:
    assert ism(*BED, "-o", "ism.nc").exit_code == 0
    os.symlink("ism.nc", "ism.bw")
    os.symlink("ism.nc", "ism.png")
    before = contents(folder)
    for name in ("ism.nc", "ism.bw"):
        ran = run("export", "ism.nc", "--format", "bigwig", "--fasta", "genome.fa", "-o", name, "--overwrite")
        refused(ran, folder, before, f"{name}: is the input RESULT")
    refused(run("plot", "ism.nc", "-o", "ism.png"), folder, before, "ism.png: is the input RESULT")
    assert ism(*BED, "-o", "other.nc").exit_code == 0
    before = contents(folder)
    ran = run("report", "ism.nc", "other.nc", "-o", "ism.nc")
    refused(ran, folder, before, "ism.nc: is the input RESULT")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("out.nc", ["ism", "model", "--source", "dir", *BED]),
        ("a.png", ["plot", "ism.nc"]),
        ("a.svg", ["plot", "ism.nc"]),
        ("a.pdf", ["plot", "ism.nc"]),
        ("a.html", ["report", "ism.nc"]),
        ("a.bedgraph", ["export", "ism.nc"]),
        ("a.bw", ["export", "ism.nc", "--fasta", "genome.fa"]),
        ("a.npz", ["export", "ism.nc"]),
    ],
)
def test_a_file_that_is_not_ours_is_replaced_only_with_overwrite(
    folder: Path, name: str, command: list[str]
) -> None:
    assert ism(*BED, "-o", "ism.nc").exit_code == 0
    written = "a.scores.npz" if name == "a.npz" else name
    Path(written).write_text("somebody else's")
    before = contents(folder)
    ran = run(*command, "-o", name)
    refused(
        ran,
        folder,
        before,
        f"{written}: exists and does not say that kipoi_tfbind wrote it; give another name",
    )
    ran = run(*command, "-o", name, "--overwrite")
    assert ran.exit_code == 0, ran.output
    assert Path(written).read_bytes() != b"somebody else's"
    # A second run replaces results, pictures and pages; tracks and arrays have no place for a name.
    again = run(*command, "-o", name)
    assert (again.exit_code == 0) == (command[0] != "export"), again.output


def test_a_command_that_is_misspelt_names_the_most_alike() -> None:
    for words, near in ((["deepsap"], "deepshap"), (["gia", "spacng"], "spacing")):
        ran = run(*words)
        assert ran.exit_code == 2
        assert f"Did you mean {near}?" in ran.stderr
    assert "Did you mean" not in run("xyzzy").stderr


def test_interrupted_by_the_keyboard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    method = tfb.in_silico_mutagenesis

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return method(*arguments, **options)

    interrupted.__name__ = "in_silico_mutagenesis"
    monkeypatch.setattr("kipoi_tfbind.interpret.in_silico_mutagenesis", interrupted)
    monkeypatch.setattr("kipoi_tfbind.results.stream._PIECE_BYTES", 1)
    ran = ism(*BED, "-o", "out.nc")
    assert ran.exit_code == 130, ran.output
    assert "not finished; 1 sequences are done and kept in out.nc.partial; run the same command" in ran.stderr
    assert ran.stderr.endswith("interrupted\n")
    ran = ism(*BED, "-o", "out.nc")
    assert ran.exit_code == 0, ran.output
    assert tfb.open_result("out.nc").sizes["sequence"] == 2


FULL = """
import resource, sys
from kipoi_tfbind.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("limit", "command"),
    [
        (50_000, ["ism", "model", "--source", "dir", *BED, "-o", "full.nc"]),
        (20_000, ["plot", "ism.nc", "-o", "full.png"]),
        (20_000, ["report", "ism.nc", "-o", "full.html"]),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(folder: Path, limit: int, command: list[str]) -> None:
    assert ism(*BED, "-o", "ism.nc").exit_code == 0
    before = contents(folder)
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(limit), *command], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert "cannot be written (File too large)" in ran.stderr
    assert contents(folder) == before
    assert not Path("full.nc.partial").exists()
