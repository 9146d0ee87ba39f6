"""``kipoi tfbind plot`` and ``kipoi tfbind report``: what is written, and that mistakes write nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import click
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from kipoi_tfbind import save_result
from kipoi_tfbind.cli import main
from kipoi_tfbind.cli.plot import command
from kipoi_tfbind.plot import KINDS
from tests.plot.test_epistasis import second_order
from tests.plot.test_occlusion import occlusion
from tests.report.test_report import Page, contributions, mutagenesis

# What only the picture of that kind says.
MARKS = {
    "map": ("Substituted", "Hypothetical"),
    "epistasis": ("Strongest epistasis",),
    "occlusion": ("Effect of occlusion",),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a result of each method."""
    plt.close("all")  # What the doctests of the plots drew.
    folder = tmp_path_factory.mktemp("results")
    ism = mutagenesis()
    save_result(ism, folder / "ism.nc")
    save_result(contributions(ism), folder / "deepshap.nc")
    gradients = contributions(ism).assign_attrs(method="gradients", gradient_method="gradient_x_input")
    save_result(gradients, folder / "gradients.nc")
    pairs = second_order("ACGTTGCA", [0, 1, 2, 5])
    save_result(pairs.assign_coords(id=("sequence", ["site"])), folder / "pairs.nc")
    save_result(occlusion([0, 5, 10], 5), folder / "occlusion.nc")
    save_result(ism.isel(sequence=[]), folder / "empty.nc")
    save_result(ism.drop_vars("mutation_effect"), folder / "other.nc")
    (folder / "text.nc").write_text("not a result\n")
    (folder / "folder.nc").mkdir()
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def plot(result: Path, picture: Path, *options: str) -> str:
    """The text of a picture that the command draws."""
    ran = run("plot", result, "-o", picture, *options)
    assert (ran.exit_code, ran.output) == (0, f"{picture}\n")
    assert plt.get_fignums() == []
    root = ElementTree.parse(picture).getroot()
    return "\n".join("".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text"))


def kind_of(text: str) -> str:
    """Kind of a picture with this text."""
    kinds = [kind for kind, marks in MARKS.items() if any(mark in text for mark in marks)]
    return " and ".join(kinds) or "logo"


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("ism", "map", ["Effect (", "100 of 200 positions"]),
        ("deepshap", "logo", ["(DeepSHAP,", "for the references −100"]),
        ("gradients", "logo", ["(gradient × input,"]),
        ("pairs", "epistasis", ["×"]),
        ("occlusion", "occlusion", ["prediction for the whole sequence 1"]),
    ],
)
def test_each_method_has_its_picture(
    results: Path, tmp_path: Path, name: str, expected: str, words: list[str]
) -> None:
    text = plot(results / f"{name}.nc", tmp_path / "a.svg")
    assert kind_of(text) == expected
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "logo") for name in ("ism", "deepshap", "gradients", "pairs", "occlusion")]
    + [(name, "map") for name in ("ism", "deepshap", "gradients", "pairs")]
    + [("pairs", "epistasis"), ("occlusion", "occlusion")],
)
def test_every_kind_that_a_result_has(results: Path, tmp_path: Path, name: str, kind: str) -> None:
    text = plot(results / f"{name}.nc", tmp_path / "a.svg", "--kind", kind)
    assert kind_of(text) == kind
    assert "mean effect" in text or "Contribution" in text or kind == "occlusion"


def test_what_is_shown_can_be_chosen(results: Path, tmp_path: Path) -> None:
    def draw(*options: str) -> str:
        return plot(results / "ism.nc", tmp_path / "a.svg", "--kind", "logo", *options)

    assert "chr20:5,011-5,020" in draw("--start", "10", "--end", "20")
    whole = draw("--whole", "--sequence", "peak_1", "--target", "MAX")
    assert "of 200 positions" not in whole
    assert "MAX" in whole
    assert "chr20:6,001-6,200 (-)" in whole
    assert whole == draw("--whole", "--sequence", "1", "--target", "1")
    assert "<CTCF>" in draw("--target", "<CTCF>")


def test_command_knows_all_kinds() -> None:
    (kind,) = [parameter for parameter in command.params if parameter.name == "kind"]
    assert isinstance(kind.type, click.Choice)
    assert tuple(kind.type.choices) == KINDS


@pytest.mark.parametrize("name", ["ism", "pairs", "occlusion"])
def test_formats(results: Path, tmp_path: Path, name: str) -> None:
    for suffix in ("png", "pdf"):
        assert run("plot", results / f"{name}.nc", "-o", tmp_path / f"a.{suffix}").exit_code == 0
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape[1] > 1000
    assert pixels.min() < 50 < 200 < pixels.max()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    if shutil.which("pdftoppm"):
        subprocess.run(["pdftoppm", "-png", "-r", "50", "a.pdf", "page"], cwd=tmp_path, check=True)
        (page,) = tmp_path.glob("page*.png")
        with Image.open(page) as picture:
            assert np.asarray(picture.convert("L")).min() < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.nc", "-o", "a.png"], "none.nc: no such file"),
        ([".", "-o", "a.png"], ".: is a folder; give the file of a result"),
        (["text.nc", "-o", "a.png"], "text.nc: not a result that can be read"),
        (["folder.nc", "-o", "a.png"], "folder.nc: is a folder; give the file of a result"),
        (["empty.nc", "-o", "a.png"], "sequence: this result has none"),
        (["other.nc", "-o", "a.png"], "found one_hot, prediction"),
        (["ism.nc", "-o", "a.gif"], "a.gif: expected a name that ends in .png, .svg, .pdf; got '.gif'"),
        (["ism.nc", "-o", "ism.nc"], "ism.nc: is the input RESULT (ism.nc), which it would overwrite"),
        (["ism.nc", "-o", "a.nc"], "a.nc: expected a name that ends in .png, .svg, .pdf; got '.nc'"),
        (["ism.nc", "-o", "picture"], ".png, .svg, .pdf; got 'no suffix'"),
        (["ism.nc", "-o", "nowhere/a.png"], "there is no folder"),
        (["ism.nc", "-o", "a.png", "--target", "U"], "none of the name 'U'; it has <CTCF>, MAX"),
        (["ism.nc", "-o", "a.png", "--target", "2"], "target: expected an index from 0 to 1, got 2"),
        (["ism.nc", "-o", "a.png", "--sequence", "U"], "sequence: this result has none of the name 'U'"),
        (["ism.nc", "-o", "a.png", "--sequence", "3"], "sequence: expected an index from 0 to 2, got 3"),
        (["ism.nc", "-o", "a.png", "--sequence", "-1"], "sequence: this result has none of the name '-1'"),
        (["ism.nc", "-o", "a.png", "--start", "20", "--end", "10"], "expected 0 <= start < end <= 200"),
        (["ism.nc", "-o", "a.png", "--end", "201"], "expected 0 <= start < end <= 200"),
        (["ism.nc", "-o", "a.png", "--kind", "epistasis"], "expected the variable epistasis"),
        (["deepshap.nc", "-o", "a.png", "--kind", "occlusion"], "expected the variable occlusion_effect"),
        (["occlusion.nc", "-o", "a.png", "--kind", "map"], "a mutation map needs the variable"),
        (["pairs.nc", "-o", "a.png", "--start", "5"], "expected a range with a pair"),
    ],
)
def test_mistakes_of_plot(
    results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    check_mistake(results, monkeypatch, ["plot", *arguments], message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.nc", "-o", "a.html"], "none.nc: no such file"),
        (["ism.nc", "none.nc", "-o", "a.html"], "none.nc: no such file"),
        (["ism.nc", "..", "-o", "a.html"], "..: is a folder; give the file of a result"),
        (["text.nc", "-o", "a.html"], "text.nc: not a result that can be read"),
        (["empty.nc", "-o", "a.html"], "expected results with a sequence, got one without"),
        (["other.nc", "-o", "a.html"], "expected one of the variables contribution"),
        (["ism.nc", "-o", "a.pdf"], "a.pdf: expected a name that ends in .html or .htm; got '.pdf'"),
        (["ism.nc", "-o", "ism.nc"], "ism.nc: is the input RESULT... (ism.nc), which it would overwrite"),
        (["ism.nc", "-o", "nowhere/a.html"], "there is no folder"),
        (["ism.nc", "-o", "a.html", "--targets", "U"], "none of the results has the target 'U'"),
        (["ism.nc", "-o", "a.html", "--model", "nowhere"], "nowhere: no Kipoi model can be read there"),
    ],
)
def test_mistakes_of_report(
    results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    check_mistake(results, monkeypatch, ["report", *arguments], message)


def check_mistake(results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    """One line, exit code 1, and the folder is as it was."""
    monkeypatch.chdir(results)
    before = {path.name: path.stat().st_mtime_ns for path in results.iterdir()}
    ran = run(*arguments)
    assert (ran.exit_code, ran.output.count("\n"), ran.stdout) == (1, 1, ""), ran.output
    assert message in ran.output
    assert {path.name: path.stat().st_mtime_ns for path in results.iterdir()} == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["plot", "ism.nc"],
        ["plot", "-o", "a.png"],
        ["plot", "ism.nc", "-o", "a.png", "--kind", "pie"],
        ["plot", "ism.nc", "-o", "a.png", "--start", "ten"],
        ["report", "-o", "a.html"],
        ["report", "ism.nc", "-o", "a.html", "--max-sequences", "0"],
    ],
)
def test_mistakes_of_usage(results: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(results)
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert "Usage:" in ran.output
    assert not (results / "a.png").exists()
    assert not (results / "a.html").exists()


def test_report_of_some_targets_and_sequences(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    files = (results / "ism.nc", results / "deepshap.nc")
    options = ("--targets", "MAX", "--max-sequences", "2", "--title", "Mine & yours")
    ran = run("report", *files, "-o", page, *options)
    assert (ran.exit_code, ran.output) == (0, f"{page}\n")
    shown = Page(page)
    assert len(shown.attributes("img")) == 4
    assert "1 more is left out" in shown.text
    assert "In-silico mutagenesis, ism.nc: MAX" in shown.text
    assert "DeepSHAP, deepshap.nc: MAX" in shown.text
    assert "Mine & yours" in shown.text


def test_no_display_is_needed(results: Path, tmp_path: Path) -> None:
    """Also where a notebook has asked for a backend of its own, which is not there for a command."""
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    program = Path(sys.executable).with_name("kipoi-tfbind")
    for command_name, output in (("plot", "a.png"), ("report", "a.html")):
        ran = subprocess.run(
            [program, command_name, results / "occlusion.nc", "-o", tmp_path / output],
            env=environment | {"MPLBACKEND": "module://of_a_notebook"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{tmp_path / output}\n", "")
        assert (tmp_path / output).stat().st_size > 5000
