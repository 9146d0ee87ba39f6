"""The commands of the interactions, and their table, on real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from tests import foreign_models as foreign


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PyTorch entry of 60 bp and a FASTA of one sequence."""
    path = tmp_path_factory.mktemp("interactions")
    (path / "entry").mkdir()
    foreign.FOREIGN_MODELS["torch"].build(path / "entry")
    letters = np.random.default_rng(2).choice(list("ACGT"), size=foreign.LENGTH)
    (path / "site.fa").write_text(f">site\n{''.join(letters)}\n")
    return path


def run(folder: Path, command: str, *arguments: str, output: str) -> Result:
    options = ["--source", "dir", "--sequences", str(folder / "site.fa"), "-o", str(folder / output)]
    return CliRunner().invoke(main, [command, str(folder / "entry"), *options, *arguments])


def test_results_are_those_of_the_functions_and_share_a_table(folder: Path) -> None:
    model = tfb.load_model(str(folder / "entry"), source="dir")
    precise = tfb.load_model(str(folder / "entry"), source="dir", double_precision=True)
    one = tfb.read_fasta_sequences(folder / "site.fa")
    commands = {
        "hessians.nc": ("integrated-hessians", "--n-references", "1"),
        "dfim.nc": ("deep-feature-interaction", "--positions", "10,12,30", "--n-references", "2"),
        "ism.nc": ("second-order-ism", "--positions", "10,12,30"),
        "shapley.nc": ("shapley-interactions", "--segments", "0-10,10-20,20-60", "--n-references", "1"),
    }
    for output, (command, *arguments) in commands.items():
        ran = run(folder, command, *arguments, output=output)
        assert ran.exit_code == 0, ran.output
    expected = {
        "hessians.nc": tfb.integrated_hessians(precise, one, n_references=1),
        "dfim.nc": tfb.deep_feature_interaction(model, one, positions=[10, 12, 30], n_references=2),
        "shapley.nc": tfb.shapley_interactions(
            model, one, segments=[(0, 10), (10, 20), (20, 60)], n_references=1
        ),
    }
    for output, result in expected.items():
        found = tfb.open_result(folder / output)
        scale = np.abs(result["interaction"]).values.max()
        np.testing.assert_allclose(found["interaction"], result["interaction"], rtol=0, atol=1e-5 * scale)

    files = [str(folder / name) for name in ("hessians.nc", "dfim.nc", "ism.nc")]
    ran = CliRunner().invoke(main, ["interactions", *files, "--n", "5", "-o", str(folder / "table.tsv")])
    assert ran.exit_code == 0, ran.output
    table = pd.read_csv(folder / "table.tsv", sep="\t")
    assert {"id", "target", "position_a", "position_b", "hessians", "rank dfim", "ism"} <= set(table.columns)
    assert table.groupby("target").size().tolist() == [5, 5]
    for output in ("hessians", "dfim", "shapley"):
        picture = str(folder / f"{output}.png")
        plotted = CliRunner().invoke(main, ["plot", str(folder / f"{output}.nc"), "-o", picture])
        assert plotted.exit_code == 0, plotted.output


def test_segments_that_are_none_are_refused(folder: Path) -> None:
    ran = run(folder, "shapley-interactions", "--segments", "3:5", output="no.nc")
    assert (ran.exit_code, ran.output.count("\n")) == (1, 1)
    assert "--segments: expected segments such as 180-199,230-245, got '3:5'" in ran.output
