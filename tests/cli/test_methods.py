"""The commands surrogate, design, maximum-entropy-samples, agreement and sanity-checks, on real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from tests import foreign_models as foreign


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras entry of 60 bp and a FASTA of three sequences."""
    path = tmp_path_factory.mktemp("methods")
    (path / "entry").mkdir()
    foreign.FOREIGN_MODELS["keras_3"].build(path / "entry")
    rng = np.random.default_rng(2)
    rows = ["".join(rng.choice(list("ACGT"), size=foreign.LENGTH)) for _ in range(3)]
    (path / "sites.fa").write_text("".join(f">site_{i}\n{row}\n" for i, row in enumerate(rows)))
    return path


def run(folder: Path, command: str, *arguments: str, output: str) -> Result:
    options = ["--source", "dir", "--sequences", str(folder / "sites.fa"), "-o", str(folder / output)]
    ran = CliRunner().invoke(main, [command, str(folder / "entry"), *options, *arguments])
    assert ran.exit_code == 0, ran.output
    return ran


def test_results_are_those_of_the_functions(folder: Path) -> None:
    model = tfb.load_model(str(folder / "entry"), source="dir")
    sequences = tfb.read_fasta_sequences(folder / "sites.fa")
    first = model.target_names[0]
    run(folder, "surrogate", "--n-mutants", "200", "--start", "10", "--end", "30", output="surrogate.nc")
    expected = tfb.surrogate(model, sequences, n_mutants=200, start=10, end=30)
    found = tfb.open_result(folder / "surrogate.nc")
    np.testing.assert_allclose(found["surrogate_effect"], expected["surrogate_effect"], rtol=0, atol=1e-5)

    arguments = ("--lower", first, "--n-edits", "2", "--fixed", "3,4", "--gc-range", "0.3", "0.7")
    run(folder, "design", *arguments, output="d.nc")
    constraints: dict[str, Any] = {"fixed": [3, 4], "gc_range": (0.3, 0.7)}
    expected = tfb.design(model, sequences, objective={first: -1}, n_edits=2, **constraints)
    found = tfb.open_result(folder / "d.nc")
    np.testing.assert_array_equal(found["step_position"], expected["step_position"])
    assert found.attrs["objective"] == f"-1 {first}"

    few = ("--n-samples", "6", "--burn-in", "3", "--thin", "1", "--tolerance", "0.2")
    run(folder, "maximum-entropy-samples", *few, output="samples.nc")
    expected = tfb.maximum_entropy_samples(model, sequences, n_samples=6, burn_in=3, thin=1, tolerance=0.2)
    found = tfb.open_result(folder / "samples.nc")
    np.testing.assert_array_equal(found["sampled_base"], expected["sampled_base"])


def assert_shards_are_the_bytes_of_one_run(folder: Path, command: list[str], whole: str) -> None:
    parts = [str(folder / f"{number}-of-2.{whole}") for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        ran = CliRunner().invoke(main, [*command, "--shard", f"{number}/2", "-o", part])
        assert ran.exit_code == 0, ran.output
        assert ran.output.count("\n") == 1
    ran = CliRunner().invoke(main, ["merge", *parts, "-o", str(folder / "joined.nc")])
    assert ran.exit_code == 0, ran.output
    assert (folder / "joined.nc").read_bytes() == (folder / whole).read_bytes()


def test_maps_in_files_are_compared(folder: Path) -> None:
    run(folder, "ism", output="ism.nc")
    run(folder, "occlusion", "--width", "5", output="occlusion.nc")
    files = [str(folder / name) for name in ("ism.nc", "occlusion.nc")]
    ran = CliRunner().invoke(main, ["agreement", *files, "-o", str(folder / "agreement.nc")])
    assert ran.exit_code == 0, ran.output
    assert "ism and occlusion" in ran.output
    expected = tfb.agreement({name: tfb.open_result(path) for name, path in zip("ab", files, strict=True)})
    np.testing.assert_allclose(tfb.open_result(folder / "agreement.nc")["cosine"], expected["cosine"])
    assert_shards_are_the_bytes_of_one_run(folder, ["agreement", *files], "agreement.nc")
    ran = CliRunner().invoke(main, ["agreement", files[0], files[0], "-o", str(folder / "no.nc")])
    assert (ran.exit_code, ran.output.count("\n")) == (1, 1)
    assert "--name: expected names that differ, got ism, ism" in ran.output


def test_sanity_checks_of_an_entry(folder: Path) -> None:
    ran = run(folder, "sanity-checks", "--method", "saliency", output="sanity.nc")
    result = tfb.open_result(folder / "sanity.nc")
    assert result.sizes["layer"] == 3
    assert f"{result['target'].values[0]}: gradients " in ran.output
    given = [str(folder / "entry"), "--source", "dir", "--sequences", str(folder / "sites.fa")]
    command = ["sanity-checks", *given, "--method", "saliency"]
    assert_shards_are_the_bytes_of_one_run(folder, command, "sanity.nc")
    last = str(result["target"].values[-1])
    chosen = ("--targets", last, "--layer", str(result["layer"].values[1]))
    ran = run(folder, "sanity-checks", "--method", "ism", *chosen, output="one.nc")
    assert ran.output.splitlines()[-1].startswith(f"  {last}: in_silico_mutagenesis ")
    assert tfb.open_result(folder / "one.nc")["target"].values.tolist() == [last]
    plotted = CliRunner().invoke(main, ["plot", str(folder / "sanity.nc"), "-o", str(folder / "sanity.png")])
    assert plotted.exit_code == 0, plotted.output
