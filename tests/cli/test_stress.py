"""Rough handling of the commands: one line, nothing computed in vain, nothing half-written."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.interpret import occlusion
from tests import foreign_models as foreign
from tests.cli.test_gia import DESCRIPTION, LENGTH, MODEL

# A table of counts, and a profile: the number of G up to each position.
MODEL_OF_HEADS = """
import numpy as np
from kipoi.model import BaseModel

class Heads(BaseModel):
    def predict_on_batch(self, x):
        return {"counts": x.sum(axis=1)[:, :2], "profile": np.cumsum(x[:, :, 2], axis=1)[:, :21, np.newaxis]}
"""
HEADS = f"""
defined_as: model.Heads
args: {{}}
default_dataloader: .
info: {{authors: [{{name: somebody}}], doc: two heads}}
schema:
  inputs:
    shape: ({LENGTH}, 4)
    doc: one-hot
  targets:
    counts:
      shape: (2, )
      doc: A and C
    profile:
      shape: (21, 1)
      doc: G up to each position
"""
BIG = 10**12
LONG = "9" * 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stress")
    for name, code, description in (("counter", MODEL, DESCRIPTION), ("heads", MODEL_OF_HEADS, HEADS)):
        (folder / name).mkdir()
        (folder / name / "model.py").write_text(code)
        (folder / name / "model.yaml").write_text(description)
    records = ["".join(np.random.default_rng(row).choice(list("ACGT"), size=LENGTH)) for row in range(3)]
    records[2] = "N" * 8 + records[2][8:]
    (folder / "sites.fa").write_text("".join(f">s{row}\n{text}\n" for row, text in enumerate(records)))
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(*arguments: str | int) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def check_refused(ran: Result, message: str, output: str) -> None:
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1), ran.output
    assert message in ran.stderr
    assert not Path(output).exists()
    assert not Path(f"{output}.partial").exists()


SITES = ("--sequences", "sites.fa")
EFFECT = ("gia", "effect", "counter", "--motif", "GATAAG", "--backgrounds", "uniform")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sampled-shapley", "counter", *SITES, "--n-permutations", BIG), "permutations for each of 10 ref"),
        (("sampled-shapley", "counter", *SITES, "--n-references", BIG), "references for 1 sequences take"),
        (("surrogate", "counter", *SITES, "--n-mutants", BIG), "mutants by 240 parameters take"),
        (("maximum-entropy-samples", "counter", *SITES, "--n-samples", BIG), "samples, of"),
        (("design", "counter", *SITES, "--n-edits", BIG), "n_edits: 1,000,000,000,000 edits take"),
        (("design", "counter", *SITES, "--beam-width", BIG), "states by 240 successors take"),
        ((*EFFECT, "--n-backgrounds", BIG), "backgrounds of 80 bp take 1,920 TB"),
        ((*EFFECT, "--offset", LONG), "offset: expected a whole number of no more than 64 bits"),
        ((*EFFECT, "--n-backgrounds", 20, "--confidence", "2"), "confidence: expected a number between"),
        ((*EFFECT, "--n-backgrounds", 20, "--confidence", "nan"), "confidence: expected a number between"),
        ((*EFFECT, "--n-backgrounds", 20, "--n-resamples", LONG), "n_resamples: expected a whole number"),
        ((*EFFECT, "--n-backgrounds", 20, "--seed", LONG), "seed: expected a whole number of no more"),
    ],
)
def test_numbers_too_large_are_refused_at_once(arguments: tuple[str | int, ...], message: str) -> None:
    check_refused(run(*arguments, "-o", "large.nc"), message, "large.nc")


def test_shuffles_that_are_too_many_are_refused_at_once() -> None:
    check_refused(run("shuffle", "sites.fa", "--seed", LONG, "-o", "a.fa"), "seed: expected", "a.fa")
    check_refused(run("shuffle", "sites.fa", "-n", LONG, "-o", "a.fa"), "n: expected", "a.fa")
    check_refused(run("shuffle", "sites.fa", "-n", BIG, "-o", "a.fa"), "sequences take", "a.fa")
    assert run("ism", "counter", *SITES, "--threads", LONG, "-o", "a.nc").exit_code == 2


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **options: object) -> None:
        np.empty(100 * BIG)

    monkeypatch.setattr("kipoi_tfbind.interpret.occlusion", fails)
    functools.update_wrapper(fails, occlusion)
    ran = run("occlusion", "counter", *SITES, "-o", "memory.nc")
    check_refused(ran, "error: not enough memory (Unable to allocate", "memory.nc")


@pytest.mark.parametrize(
    "arguments",
    [
        ("match", "GATAAG"),
        ("interactions", "a.nc"),
        ("seqlets", "a.nc", "--null", "b.nc"),
        ("hits", "a.nc", "--null", "b.nc", "--motifs", "GATAAG"),
        ("modisco", "a.nc"),
        ("agreement", "a.nc", "b.nc"),
        ("occlusion", "counter", *SITES),
        ("gia", "swap", "counter", "--start", 3, "--end", 9, *SITES),
    ],
)
def test_a_name_says_what_is_written(arguments: tuple[str | int, ...]) -> None:
    for output in ("x.txt", "x", "x.png", "x.nc/"):
        ran = run(*arguments, "-o", output)
        check_refused(ran, f"{output}: expected a name that ends in .", output)


def test_what_another_command_has_done_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from kipoi_tfbind.interpret.global_importance import _analyse, kept_effects

    done: list[int] = []

    def fails(path: object, batch: object, *rest: object, **options: object) -> np.ndarray:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return np.zeros((1, 10, 2), np.float32)

    with monkeypatch.context() as patched:
        patched.setattr(kept_effects, "_BLOCK", 10)
        patched.setattr(_analyse, "pattern_effects", fails)
        assert run(*EFFECT, "--n-backgrounds", 20, "-o", "kept.nc").exit_code == 130
    before = sorted(Path("kept.nc.partial").iterdir())
    ran = run("occlusion", "counter", *SITES, "-o", "kept.nc")
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1), ran.output
    assert "unfinished result of another command" in ran.stderr
    assert sorted(Path("kept.nc.partial").iterdir()) == before
    assert run("occlusion", "counter", *SITES, "--restart", "-o", "kept.nc").exit_code == 0
    assert not Path("kept.nc.partial").exists()


def predictions(*options: str | int) -> tuple[list[str], np.ndarray]:
    ran = run("occlusion", "heads", *SITES, *options, "-o", "heads.nc")
    assert ran.exit_code == 0, ran.output
    result = tfb.open_result("heads.nc")
    return result["target"].values.tolist(), result["prediction"].values


def test_heads_positions_and_the_neutral_value() -> None:
    sequences = Path("sites.fa").read_text().split("\n")[1::2]
    letters = np.array([list(text) for text in sequences])
    up_to = np.cumsum(letters == "G", axis=1)
    counts = np.stack([(letters == base).sum(axis=1) for base in "AC"], axis=1)
    names, found = predictions("--head", "counts")
    np.testing.assert_array_equal(found, counts)
    for position, column in (("centre", 10), (3, 3), (20, 20)):
        names, found = predictions("--head", "profile", "--output-position", position)
        assert len(names) == 1
        np.testing.assert_array_equal(found[:, 0], up_to[:, column])
    names, found = predictions("--head", "counts", "--neutral-value", "0.25")
    np.testing.assert_allclose(found, counts + 0.25 * (letters == "N").sum(axis=1, keepdims=True), rtol=1e-6)
    assert tfb.open_result("heads.nc").attrs["neutral_value"] == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--head", "U"), "no output 'U'"),
        (("--head", "profile", "--output-position", "21"), "output_position: "),
        (("--head", "profile", "--output-position", LONG), "output_position: "),
        (("--output-position", "-1"), "--output-position: expected a position, 0-based, or centre"),
        (("--output-position", "middle"), "--output-position: expected a position, 0-based, or centre"),
        (("--head", "counts", "--neutral-value", "nan"), "nan"),
    ],
)
def test_heads_and_positions_that_are_none(options: tuple[str, ...], message: str) -> None:
    check_refused(run("occlusion", "heads", *SITES, *options, "-o", "none.nc"), message, "none.nc")


def test_gradients_record_what_was_chosen() -> None:
    Path("torch").mkdir()
    foreign.FOREIGN_MODELS["torch"].build(Path("torch").absolute())
    Path("short.fa").write_text(f">a\n{'ACGTT' * (foreign.LENGTH // 5)}\n")
    given = ("gradients", "torch", "--sequences", "short.fa", "-o", "gradients.nc")
    for options, method, correction, neutral in (
        ((), "saliency", 0, 0.25),
        (("--method", "gradient_x_input", "--correction", "--neutral-value", "0"), "gradient_x_input", 1, 0),
    ):
        ran = run(*given, *options)
        assert ran.exit_code == 0, ran.output
        attributes = tfb.open_result("gradients.nc").attrs
        assert attributes["gradient_method"] == method
        assert attributes["correction"] == correction
        assert attributes["neutral_value"] == neutral


def test_standard_output_that_is_full_or_closed() -> None:
    program = Path(sys.executable).with_name("kipoi-tfbind")
    full = "cannot be written (No space left on device)"
    command = f"{program} shuffle sites.fa -n 2000 -o -"
    for line, code, message in (
        (
            f"{command} -q > /dev/full",
            1,
            f"error: standard output: {full}\n",
        ),
        (f"set -o pipefail; {command} -q | head -1 > /dev/null", 0, ""),
    ):
        ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
        assert (ran.returncode, ran.stderr) == (code, message)
