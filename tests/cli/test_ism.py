"""``kipoi tfbind ism`` and ``kipoi tfbind plot``, on a model whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kipoi_tfbind import open_result
from kipoi_tfbind.cli import main

if TYPE_CHECKING:
    from tests.conftest import KipoiCommand

CONTIG = "".join(np.random.default_rng(0).choice(list("ACGT"), size=2000))
LENGTH = 60

MODEL = f"""
import numpy as np
from kipoi.model import BaseModel

WEIGHTS = np.random.default_rng(7).normal(size=(2, {LENGTH}, 4))

class Additive(BaseModel):
    def predict_on_batch(self, x):
        return np.einsum("nlb,tlb->nt", x, WEIGHTS)
"""
DESCRIPTION = f"""
defined_as: model.Additive
args: {{}}
default_dataloader: .
info: {{authors: [{{name: somebody}}], doc: additive}}
schema:
  inputs:
    shape: ({LENGTH}, 4)
    doc: one-hot
  targets:
    shape: (2, )
    doc: sums
    column_labels: [CTCF, MAX]
"""
WEIGHTS = np.random.default_rng(7).normal(size=(2, LENGTH, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "additive").mkdir()
    (tmp_path / "additive" / "model.py").write_text(MODEL)
    (tmp_path / "additive" / "model.yaml").write_text(DESCRIPTION)
    (tmp_path / "genome.fa").write_text(f">20\n{CONTIG}\n")
    (tmp_path / "peaks.bed").write_text("chr20\t400\t600\tpeak\nchr20\t990\t1010\tother\n")
    return tmp_path


def ism(folder: Path, *options: str, output: str = "ism.nc") -> Result:
    arguments = ["ism", str(folder / "additive"), "--source", "dir", "--fasta", str(folder / "genome.fa")]
    arguments += ["--intervals", str(folder / "peaks.bed"), "-o", str(folder / output)]
    return CliRunner().invoke(main, arguments + list(options))


def test_from_kipois_command_line_to_a_picture(folder: Path, kipoi_program: KipoiCommand) -> None:
    ran = kipoi_program(
        *("tfbind", "ism", "additive", "--source", "dir", "--fasta", "genome.fa"),
        *("--intervals", "peaks.bed", "--targets", "MAX", "--start", "10", "--end", "50", "-o", "ism.nc"),
        cwd=folder,
    )
    assert "ism.nc: in_silico_mutagenesis; sequences: 2, targets: 1\n" in ran.stdout
    assert "mutants" not in ran.stderr  # no progress bar in a pipe
    result = open_result(folder / "ism.nc")
    assert result.attrs["model"] == "additive"
    assert result["id"].values.tolist() == ["peak", "other"]
    assert result["start"].values.tolist() == [470, 970]
    for row, start in enumerate(result["start"].values):
        here = ["ACGT".index(letter) for letter in CONTIG[start : start + LENGTH]]
        expected = WEIGHTS[1] - WEIGHTS[1][np.arange(LENGTH), here, np.newaxis]
        effect = result["mutation_effect"].sel(target="MAX").values[row]
        np.testing.assert_allclose(effect, expected[10:50], atol=1e-12)

    ran = kipoi_program("tfbind", "plot", "ism.nc", "--sequence", "other", "-o", "ism.svg", cwd=folder)
    assert ran.stdout.endswith("ism.svg\n")
    assert "chr20:981-1,020" in (folder / "ism.svg").read_text()


def test_length_is_the_users_where_the_model_takes_any(folder: Path) -> None:
    description = (folder / "additive" / "model.yaml").read_text()
    (folder / "additive" / "model.yaml").write_text(description.replace(f"({LENGTH}, 4)", "(None, 4)"))
    code = (folder / "additive" / "model.py").read_text()
    (folder / "additive" / "model.py").write_text(code.replace("(2, 60, 4)", "(2, 30, 4)"))
    ran = ism(folder, "--length", "30")
    assert ran.exit_code == 0, ran.output
    assert open_result(folder / "ism.nc").sizes["position"] == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--targets", "CTCF", "--targets", "U"], "no target 'U'; its targets are CTCF, MAX"),
        (["--length", "50"], "takes sequences of 60 bases, not 50"),
        (["--start", "70"], "expected 0 <= start < end <= 60"),
        (["--fasta", "nowhere.fa"], "nowhere.fa: cannot read this file"),
        (["--source", "nowhere"], "source 'nowhere'"),
        (["--batch-size", "0"], "batch_size: expected at least 1, got 0"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(folder: Path, options: list[str], message: str) -> None:
    ran = ism(folder, *options)
    assert ran.exit_code == 1
    assert ran.output.startswith("error: ")
    assert message in ran.output
    assert ran.output.count("\n") == 1
    assert not (folder / "ism.nc").exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_work(folder: Path) -> None:
    (folder / "additive" / "model.yaml").unlink()
    ran = ism(folder, output="nowhere/ism.nc")
    assert ran.exit_code == 1
    assert "there is no folder" in ran.output


def test_mistakes_of_plot_are_one_line(folder: Path) -> None:
    assert ism(folder).exit_code == 0
    result = str(folder / "ism.nc")
    for arguments, message in (
        ([str(folder / "none.nc"), "-o", str(folder / "a.png")], "none.nc: no such file"),
        ([result, "-o", str(folder / "a.gif")], "expected a name that ends in .png, .svg, .pdf; got '.gif'"),
        ([result, "-o", str(folder / "a.png"), "--sequence", "2"], "expected an index from 0 to 1, got 2"),
        ([result, "-o", str(folder / "a.png"), "--target", "U"], "none of the name 'U'; it has CTCF, MAX"),
    ):
        ran = CliRunner().invoke(main, ["plot", *arguments])
        assert (ran.exit_code, ran.output.count("\n")) == (1, 1)
        assert message in ran.output
    assert not (folder / "a.png").exists()
