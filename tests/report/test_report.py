"""The report: one page with everything in it, and what it says is in the results."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from PIL import Image
from pypdf import PdfReader

from kipoi_tfbind import (
    as_sequence_model,
    design,
    encode_sequences,
    in_silico_mutagenesis,
    make_backgrounds,
    motif_importance,
    open_result,
    save_result,
)
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.report import write_report
from kipoi_tfbind.report.card import read_card, to_html
from kipoi_tfbind.report.checks import completeness, equivariance
from kipoi_tfbind.report.subjects import find_subjects
from kipoi_tfbind.report.tables import top_table
from kipoi_tfbind.results.view import select
from tests.conftest import CHROMIUM
from tests.plot.test_epistasis import plant, quiet, second_order
from tests.plot.test_occlusion import occlusion

ZOO = Path(__file__).parents[2] / "model_zoo" / "TFBind"
LENGTH = 200
NASTY = '<b id="x">&amp; $x_{$'
START = 5000


class Page(HTMLParser):
    """What a page shows: its text, tags with their attributes, and the rows of its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.title = ""
        self.rows: list[list[str]] = []
        self._cell: list[str] | None = None
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "title" and not self.title:
            self.title = data
        self.text += data
        if self._cell is not None:
            self._cell.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def mutagenesis(n: int = 3) -> xr.Dataset:
    """Mutagenesis of an additive model with a site of ten strong bases, and of sequences with a place."""
    rng = np.random.default_rng(0)
    weights = rng.normal(scale=0.01, size=(2, LENGTH, 4))
    weights[:, 60:70] *= 300
    letters = rng.choice(list("ACGT"), size=(n, LENGTH))
    letters[0, 65] = "N"
    model = as_sequence_model(lambda x: np.einsum("nlb,tlb->nt", x, weights), targets=["<CTCF>", "MAX"])
    ids = [NASTY, *(f"peak_{i}" for i in range(1, n))]
    result = in_silico_mutagenesis(model, encode_sequences(["".join(row) for row in letters], ids=ids))
    return result.assign_coords(
        chrom=("sequence", ["chr20"] * n),
        start=("sequence", START + 1000 * np.arange(n)),
        end=("sequence", START + 1000 * np.arange(n) + LENGTH),
        strand=("sequence", ["+", "-", "+"][:n] + ["+"] * (n - 3)),
    ).assign_attrs(output="logit")


def contributions(ism: xr.Dataset) -> xr.Dataset:
    """Contributions of the same sequences, with errors that are known."""
    hypothetical = -ism["mutation_effect"].fillna(0)
    contribution = -(ism["mutation_effect"].sum("base") / 3) * ism["one_hot"]
    n = ism.sizes["sequence"]
    both = ("sequence", "target")
    return (
        ism.drop_vars("mutation_effect")
        .assign(
            prediction=(both, np.stack([np.linspace(5, 4, n), np.linspace(4, 3, n)], axis=1)),
            mean_reference_prediction=(both, np.full((n, 2), -100.0)),
            hypothetical_contribution=hypothetical,
            contribution=contribution.transpose("sequence", "position", "base", "target"),
            completeness_error=(both, np.stack([np.linspace(0, 0.02, n), np.zeros(n)], axis=1)),
            reverse_complement_difference=(both, np.full((n, 2), [0.5, 0.0])),
        )
        .assign_attrs(method="deep_shap", tolerance=1e-3, seed=0)
    )


@pytest.fixture(scope="module")
def ism() -> xr.Dataset:
    return mutagenesis()


@pytest.fixture(scope="module")
def results(ism: xr.Dataset) -> list[xr.Dataset]:
    pairs = second_order("ACGTTGCA", [0, 1, 2, 5])
    return [ism, contributions(ism), pairs.assign_coords(id=("sequence", ["site"])), occlusion([0, 5, 10], 5)]


@pytest.fixture(scope="module")
def path(results: list[xr.Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(results, path)
    return path


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path)


def test_everything_is_inside_the_page(page: Page, path: Path) -> None:
    loading = ("src", "srcset", "poster", "data", "background", "action")
    for tag, attributes in page.tags:
        for name in loading:
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, name)
    assert {(link["rel"], link["href"]) for link in page.attributes("link")} == {("icon", "data:,")}
    # Numbers, and one script, that the page's policy names by its hash.
    assert [script.get("type") for script in page.attributes("script")] == ["application/octet-stream", None]
    html = path.read_text()
    script = html.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in page.attributes("meta") if "http-equiv" in meta]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" + digest + "'"
    )
    for word in ("eval(", "Function(", "fetch(", "XMLHttpRequest", "import(", "http:", "https:"):
        assert word not in script
    style = path.read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "--accent" in style  # it is not escaped away
    assert path.stat().st_size < 2e6


def test_pictures_are_pictures_and_say_what_they_show(page: Page) -> None:
    images = page.attributes("img")
    assert len(images) == 3 + 3 + 1 + 1
    for image in images:
        assert image["src"] is not None
        header, data = image["src"].split(",")
        assert header == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        extrema = np.asarray(picture.convert("L"))
        assert extrema.min() < 50 < 200 < extrema.max()
        ratio = int(image["width"] or 0) / int(image["height"] or 1)
        assert ratio == pytest.approx(picture.width / picture.height, rel=0.01)
    described = " ".join(str(image["alt"]) for image in images)
    for words in ("Logo and map", "Epistasis map", "Occlusion profile", NASTY, "<CTCF>", "chr20:"):
        assert words in described


def test_names_are_shown_as_they_are_and_not_obeyed(page: Page) -> None:
    assert NASTY in page.text
    assert "<CTCF>" in page.text
    assert not page.attributes("b")


def test_the_same_results_make_the_same_page(results: list[xr.Dataset], path: Path, tmp_path: Path) -> None:
    write_report(results, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()


def test_no_figure_is_left_open(ism: xr.Dataset, tmp_path: Path) -> None:
    before = plt.get_fignums()
    write_report(ism, tmp_path / "report.html", max_sequences=1)
    assert plt.get_fignums() == before


def test_settings_and_versions_are_listed(page: Page, ism: xr.Dataset) -> None:
    rows = {
        row[0]: row[1:] for row in page.rows if row and row[0] in ("tolerance", "batch_size", "positions")
    }
    assert rows["tolerance"] == ["", "0.001", "", ""]
    assert rows["batch_size"] == ["256", "256", "", ""]
    assert rows["positions"] == ["200", "200", "4", "30"]
    assert ism.attrs["versions"] in page.text


def test_checks_are_listed(page: Page) -> None:
    # Errors 0, 0.01 and 0.02 of differences of 105, 104.5 and 104, the largest contribution being smaller.
    expected = ["DeepSHAP", "<CTCF>", "9.6e−05", "1.9e−04", "0.02", "peak_2", "0.001", "✓ passed"]
    assert expected in page.rows
    assert ["DeepSHAP", "MAX", "0", "0", "0", NASTY, "0.001", "✓ passed"] in page.rows
    # 0.5 of a largest prediction of 5.
    assert ["DeepSHAP", "<CTCF>", "0.1", "0.1", "0.5", NASTY] in page.rows


def test_verdicts_are_on_the_page(ism: xr.Dataset, tmp_path: Path) -> None:
    few = contributions(ism)
    strict, lax = few.assign_attrs(tolerance=1e-4), few.drop_vars("reverse_complement_difference")
    del lax.attrs["tolerance"]
    write_report([strict, lax], tmp_path / "report.html", max_sequences=1)
    page = Page(tmp_path / "report.html")
    verdicts = [row[-1] for row in page.rows if len(row) == 8]
    assert verdicts == ["verdict", "✗ failed", "✓ passed", "no tolerance", "no tolerance"]
    assert [row[0] for row in page.rows if len(row) == 6 and row[1] == "MAX"] == ["DeepSHAP [1]"]
    write_report(ism.drop_vars("reverse_complement_difference"), tmp_path / "none.html", max_sequences=1)
    text = Page(tmp_path / "none.html").text
    assert "None of the results is of a method whose contributions have to sum" in text
    assert "The results do not hold the predictions for the reverse complements." in text
    write_report(ism, tmp_path / "both.html", max_sequences=1)
    assert "Reverse-complement equivariance" in Page(tmp_path / "both.html").text


def test_completeness_fails_where_an_error_is_too_large(ism: xr.Dataset) -> None:
    result = contributions(ism)
    first, second = completeness(result.assign_attrs(tolerance=1e-4))
    assert (first.passed, second.passed) == (False, True)
    assert first.worst == pytest.approx(0.02 / 104)
    assert first.median == pytest.approx(0.01 / 104.5)
    assert completeness(result.drop_attrs())[0].passed is None
    # Large contributions that cancel out: the error is held against them, as in the methods' warning.
    cancelling = result.assign(mean_reference_prediction=result["prediction"])
    largest = float(np.abs(result["contribution"].values[2, ..., 0]).max())
    assert completeness(cancelling)[0].worst == pytest.approx(0.02 / largest)


def test_an_error_that_is_not_a_number_fails_and_saliency_has_none(ism: xr.Dataset) -> None:
    result = contributions(ism)
    result["completeness_error"][1, 1] = np.nan
    first, second = completeness(result)
    assert (first.passed, second.passed, second.worst) == (True, False, np.inf)
    assert second.worst_sequence == "peak_1"
    assert completeness(result.assign(completeness_error=result["completeness_error"] * np.nan)) == []
    assert completeness(ism) == []
    assert equivariance(ism.drop_vars("reverse_complement_difference", errors="ignore")) == []


def test_sequences_with_the_largest_prediction_are_shown(ism: xr.Dataset, tmp_path: Path) -> None:
    scores = np.array([[1.0, -9], [5, 2], [-20, 3]])
    scored = ism.assign(prediction=(("sequence", "target"), scores))
    write_report(scored, tmp_path / "a.html", max_sequences=1)
    page = Page(tmp_path / "a.html")
    assert len(page.attributes("img")) == 1
    assert "peak_1" in str(page.attributes("img")[0]["alt"])
    assert "2 more are left out" in page.text
    assert "Prediction: <CTCF> 5 (logit)" in page.text

    def order(**options: Any) -> list[tuple[int, int]]:
        subjects = find_subjects([options.pop("result", scored)], **options)
        return [(subject.appearances[0].sequence, subject.appearances[0].target) for subject in subjects]

    assert order() == [(1, 0), (2, 1), (0, 0)]
    assert order(targets=["MAX"]) == [(2, 1), (1, 1), (0, 1)]
    assert order(result=scored.assign_attrs(output="raw")) == [(2, 0), (0, 1), (1, 0)]
    both = find_subjects([scored], targets=["MAX", "<CTCF>"])
    assert [a.target for a in both[0].appearances] == [1, 0]


def test_what_results_say_of_one_sequence_is_together(ism: xr.Dataset) -> None:
    part = ism.isel(position=slice(50, 80), sequence=[2, 0])
    subjects = find_subjects([ism, part])
    assert len(subjects) == 3
    members = sorted([(a.result, a.sequence) for a in subject.appearances] for subject in subjects)
    assert members == [[(0, 0), (1, 1)], [(0, 1)], [(0, 2), (1, 0)]]
    # The same id and place with other letters is another sequence; so is the same one twice in a result.
    other = part.assign(one_hot=part["one_hot"].isel(base=[1, 0, 2, 3]).assign_coords(base=list("ACGT")))
    assert len(find_subjects([ism, other])) == 5
    assert len(find_subjects([ism.isel(sequence=[1, 1])])) == 2


def test_results_of_one_sequence_show_the_same_positions(page: Page) -> None:
    shown = [str(image["alt"]) for image in page.attributes("img") if "peak_2" in str(image["alt"])]
    places = {words.split("chr20:")[1].split(",  ")[0].split(", target")[0] for words in shown}
    assert len(shown) == 2
    assert len(places) == 1


def test_table_of_substitutions(ism: xr.Dataset) -> None:
    view = select(ism, sequence="peak_1", target="MAX")
    table = top_table(view, 3)
    effect = ism["mutation_effect"].values[1, ..., 1]
    expected = []
    for position, base in np.argwhere(np.abs(effect) == np.abs(effect).max(axis=1, keepdims=True)):
        here = ism["one_hot"].values[1, position].argmax()
        coordinate = START + 1000 + LENGTH - position  # reverse strand: the first position is the end
        mean = -effect[position].sum() / 3
        expected.append((abs(effect[position, base]), coordinate, here, base, effect[position, base], mean))
    expected = sorted(expected, reverse=True)[:3]
    assert table.columns[0] == "chr20 (1-based)"
    for row, (_, coordinate, here, base, value, mean) in zip(table.rows, expected, strict=True):
        texts = [f"{coordinate:,}", "ACGT"[here], "ACGT"[base], f"{value:+.3f}", f"{mean:+.3f}"]
        assert list(row) == [text.replace("-", "−") for text in texts]


def test_table_of_contributions_has_an_ensembles_spread(ism: xr.Dataset) -> None:
    result = contributions(ism)
    result["contribution_sd"] = xr.full_like(result["contribution"], 0.123)
    table = top_table(select(result, sequence=2, target=0), 1)
    ((coordinate, base, value, _),) = table.rows
    total = result["contribution"].values[2, ..., 0].sum(axis=-1)
    position = int(np.abs(total).argmax())
    assert coordinate == f"{START + 2000 + 1 + position:,}"
    assert base == "ACGT"[result["one_hot"].values[2, position].argmax()]
    assert value == f"{total[position]:+.3f} ± 0.12".replace("-", "−")


def test_table_of_pairs_adds_up() -> None:
    result = quiet(second_order("ACGTTGCA", [0, 1, 2, 5]))
    plant(result, 1, "A", 5, "T", -2.0)
    ((first, second, *numbers),) = top_table(select(result, target=0), 10).rows
    assert (first, second) == ("C1A", "G5T")
    a, b, both, epistasis = (float(number.replace("−", "-")) for number in numbers)
    assert a == pytest.approx(result["mutation_effect"].values[0, 1, 0, 0], abs=5e-4)
    assert b == pytest.approx(result["mutation_effect"].values[0, 3, 3, 0], abs=5e-4)
    assert epistasis == -2
    assert both - a - b == pytest.approx(-2, abs=2e-3)


def test_table_of_windows_leaves_out_those_that_overlap_a_stronger_one() -> None:
    result = occlusion(list(range(20)), 5)
    effect = np.zeros(20)
    effect[[3, 5, 6, 8]] = [-4, 3, -2, 1]
    result["occlusion_effect"] = ("sequence", "window", "target"), effect.reshape(1, -1, 1)
    assert top_table(select(result), 10).rows == [["3–7", "−4.000"], ["8–12", "+1.000"]]


def test_nothing_has_an_effect(ism: xr.Dataset, tmp_path: Path) -> None:
    write_report(ism.assign(mutation_effect=ism["mutation_effect"] * 0), tmp_path / "report.html")
    assert "Nothing in this sequence has an effect." in Page(tmp_path / "report.html").text


def test_a_result_without_numbers_is_named_and_the_others_are_shown(ism: xr.Dataset, tmp_path: Path) -> None:
    nothing = ism.assign(mutation_effect=ism["mutation_effect"] * np.nan)
    patterns = motif_importance(
        as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"]),
        make_backgrounds("uniform", 5, length=20),
        ["GAT"],
        n_resamples=10,
    )
    without = patterns.assign(importance=patterns["importance"] * np.nan)
    path = tmp_path / "report.html"
    write_report([ism, nothing, patterns, without], path)
    shown = Page(path)
    alone = tmp_path / "alone.html"
    write_report([ism, patterns], alone)
    assert len(shown.attributes("img")) == len(Page(alone).attributes("img"))
    assert "is not shown: mutation_effect: is missing (NaN) everywhere" in shown.text
    assert "number of G is not shown: importance: is missing (NaN) everywhere" in shown.text


def test_results_without_scores_are_pictures(tmp_path: Path) -> None:
    model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    sequences = encode_sequences(["ACTTACTT"], ids=["start"])
    designed = design(model, sequences, n_edits=2)
    for results in ([designed], [in_silico_mutagenesis(model, sequences), designed]):
        write_report(results, tmp_path / "report.html")
        page = Page(tmp_path / "report.html")
        described = [str(image["alt"]) for image in page.attributes("img")]
        assert len(described) == len(results)
        words = "start, positions 0-7 (0-based), target number of G; first row: 0, G, +1.000, +1.000"
        assert f"Design of start, {words}" in described
        assert "start: number of G" in page.text
        packed = [script for script in page.attributes("script") if script.get("id") == "track-data"]
        assert len(packed) == len(results) - 1


def test_settings_of_many_results_are_a_list(ism: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    one = ism.isel(sequence=[0])
    write_report([one.assign_attrs(path="full" if i else "incremental") for i in range(5)], path)
    text = Page(path).text
    assert "Of all results:" in text
    assert text.count("path: full") == 4
    assert text.count("path: incremental") == 1


def test_card_of_a_model_in_a_group(ism: xr.Dataset, tmp_path: Path) -> None:
    named = ism.isel(sequence=[0]).assign_attrs(model=str(ZOO / "CTCF" / "variants"), model_source="dir")
    write_report(named, tmp_path / "report.html")
    text = Page(tmp_path / "report.html").text
    assert "Held-out performance" in text
    assert "The model reads sequence only, from any assembly." in text
    assert "Interpretation of TFBind/CTCF" in text
    write_report(ism.isel(sequence=[0]), tmp_path / "named.html", model=ZOO / "HepG2", title="HepG2 <1>")
    page = Page(tmp_path / "named.html")
    assert "Binding of 19 transcription factors in HepG2 cells." in page.text
    assert "HepG2 <1>" in page.text


def test_models_are_named_by_their_cards_and_shown_once(
    ism: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ZOO.parent)
    one = ism.isel(sequence=[0])
    here = {"model_source": "dir", "model_hash": "a"}
    relative = one.assign_attrs(model="TFBind/CTCF", **here)
    absolute = one.assign_attrs(model=str(ZOO / "CTCF" / "variants"), **here)
    gone = one.assign_attrs(model="/moved/since/CTCF", **here)
    write_report([gone, relative, absolute], tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert page.title == "Interpretation of TFBind/CTCF"
    assert page.text.count("Held-out performance") == 1
    assert "there is no card" not in page.text
    settings = {row[0]: row[1:] for row in page.rows if row}
    assert settings["model"] == ["/moved/since/CTCF", "TFBind/CTCF", str(ZOO / "CTCF" / "variants")]

    other = gone.assign_attrs(model_hash="b")
    write_report([other, relative], tmp_path / "two.html")
    page = Page(tmp_path / "two.html")
    assert page.title == "Interpretation of since/CTCF, TFBind/CTCF"
    assert "since/CTCF: there is no card." in page.text
    # Of a model from another source there is no folder, whatever lies there.
    write_report(relative.assign_attrs(model_source="kipoi"), tmp_path / "kipoi.html")
    assert "TFBind/CTCF: there is no card." in Page(tmp_path / "kipoi.html").text
    assert "Held-out performance" not in Page(tmp_path / "kipoi.html").text


def test_files_are_read_in_parts(ism: xr.Dataset, tmp_path: Path) -> None:
    many = contributions(ism).isel(sequence=np.resize([0, 1, 2], 6000)).astype(np.float32)
    many = many.assign_coords(id=("sequence", [f"s{i}" for i in range(6000)]))
    many["prediction"][1234, 0] = 50
    save_result(many, tmp_path / "deepshap.nc")
    whole = many["contribution"].nbytes + many["hypothetical_contribution"].nbytes
    with open_result(tmp_path / "deepshap.nc", lazy=True) as opened:
        tracemalloc.start()
        write_report(opened, tmp_path / "lazy.html", max_sequences=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < whole / 3  # the parts, and a picture
    page = Page(tmp_path / "lazy.html")
    assert "5999 more are left out" in page.text
    assert "s1234" in page.text
    write_report(open_result(tmp_path / "deepshap.nc"), tmp_path / "eager.html", max_sequences=1)
    assert (tmp_path / "lazy.html").read_bytes() == (tmp_path / "eager.html").read_bytes()


def test_without_a_card_model_yaml_says_what_it_can(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("raise RuntimeError('code of the model was run')\n")
    (tmp_path / "model.yaml").write_text(
        "defined_as: model.M\nargs: {}\ninfo:\n  authors: [{name: A. <B>}, {name: C}]\n  doc: What it does\n"
        "  license: MIT\n  trained_on: chr1\nschema:\n  inputs:\n    shape: (10, 4)\n    doc: x\n"
        "  targets:\n    shape: (1, )\n    doc: y\n"
    )
    card = read_card("mine", tmp_path)
    info = dict(card.info)
    assert card.html is None
    assert (info["authors"], info["description"], info["trained on"]) == ("A. <B>, C", "What it does", "chr1")
    (tmp_path / "README.md").write_text("# Mine\n")
    assert read_card("mine", tmp_path).html == "<h3>Mine</h3>\n"
    with pytest.raises(InputError, match="no Kipoi model can be read there"):
        read_card("nothing", tmp_path / "nothing")


def test_cards_are_text_and_not_obeyed() -> None:
    html = to_html(
        "<script>alert(1)</script>\n\n[a](javascript:alert(1)) ![<p>](http://x.org/y.png)\n\n"
        "| a |\n|---|\n| b |"
    )
    assert "<script" not in html
    assert "<img" not in html
    assert "href" not in html
    assert "&lt;p&gt;" in html
    assert "<table>" in html


def test_what_cannot_be_reported_is_refused(ism: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(InputError, match="results: expected at least one, got none"):
        write_report([], path)
    with pytest.raises(InputError, match="with a sequence, got one without"):
        write_report(ism.isel(sequence=[]), path)
    with pytest.raises(InputError, match="none of the results has the target 'JUN'; they have <CTCF>, MAX"):
        write_report(ism, path, targets=["JUN"])
    with pytest.raises(InputError, match="expected one of the variables contribution"):
        write_report(ism[["one_hot"]], path)
    with pytest.raises(InputError, match="max_sequences: expected at least 1, got 0"):
        write_report(ism, path, max_sequences=0)
    with pytest.raises(InputError, match="there is no folder"):
        write_report(ism, tmp_path / "nowhere" / "report.html")
    with pytest.raises(InputError, match=r"ism.nc: expected a name that ends in .html or .htm; got '.nc'"):
        write_report(ism, tmp_path / "ism.nc")
    assert list(tmp_path.iterdir()) == []


MEASURE = """
<script>
addEventListener("load", () => {
  parent.postMessage(JSON.stringify({
    images: [...document.images].map(i => [i.naturalWidth, i.naturalHeight, i.clientWidth]),
    clipped: [...document.images].some(i => {
      const box = i.parentElement;
      return box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "auto";
    }),
    width: innerWidth,
    loaded: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }), "*");
});
</script>
"""
# A window has at least 500 pixels; a frame can be narrower.
FRAME = """<!DOCTYPE html>
<link rel="icon" href="data:,">
<pre id="measured"></pre>
<script>onmessage = event => { document.getElementById("measured").textContent = event.data; }</script>
<iframe src="copy.html" width="%d" height="900" style="border: none"></iframe>
"""


def in_chromium(page: Path, folder: Path, *options: str) -> tuple[str, list[str]]:
    """The page's tree after it was shown, and what it wrote to the console."""
    program = next(filter(None, map(shutil.which, CHROMIUM)))
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    # The browser's own errands go nowhere either.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", "--window-size=1300,900", "--dump-dom", *options]
    ran = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout, [line for line in ran.stderr.splitlines() if "CONSOLE" in line]


def measured(html: str, folder: Path, width: int) -> dict[str, Any]:
    """What a browser finds in a page; the page's policy would allow no script to ask."""
    policy = next((line for line in html.splitlines() if "Content-Security-Policy" in line), "")
    copy = html.replace(policy, "").replace("</body>", f"{MEASURE}</body>")
    (folder / "copy.html").write_text(copy)
    (folder / "frame.html").write_text(FRAME % width)
    shown, _ = in_chromium(folder / "frame.html", folder, "--virtual-time-budget=5000")
    found = json.loads(shown.split('<pre id="measured">')[1].split("</pre>")[0])
    assert isinstance(found, dict)
    return found


@pytest.mark.needs_chromium
def test_a_browser_shows_the_page_and_asks_for_nothing_else(path: Path, page: Page, tmp_path: Path) -> None:
    shown, console = in_chromium(path, tmp_path)
    assert console == []
    assert "&lt;CTCF&gt;" in shown
    assert NASTY.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in shown
    # A picture on a narrow screen is scrolled in its own box, not made too small to be read.
    for width, narrowest, widest in ((1200, 500, 1200), (400, 500, 720)):
        found = measured(path.read_text(), tmp_path, width)
        assert found["width"] == width
        assert found["loaded"] == []
        assert len(found["images"]) == len(page.attributes("img"))
        for natural, high, shown_width in found["images"]:
            assert natural > 300
            assert high > 100
            assert narrowest < shown_width < widest
        assert found["overflow"] <= 0
        assert not found["clipped"]


@pytest.mark.needs_chromium
def test_printed_it_is_a_supplement(path: Path, page: Page, tmp_path: Path) -> None:
    printed = tmp_path / "report.pdf"
    in_chromium(path, tmp_path, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    pages = PdfReader(printed).pages
    texts = [each.extract_text() for each in pages]
    # Of each page: text or a picture, and its number.
    assert len(pages) > 1
    assert all(len(text) > 100 or len(each.images) for text, each in zip(texts, pages, strict=True))
    assert all(f"S{number}" in text for number, text in enumerate(texts, start=1))
    text = "".join(" ".join(texts).split())
    # Every figure and table is numbered and there once, with its picture, and nothing that is to be clicked.
    n_figures, n_tables = (len(page.attributes(tag)) for tag in ("figcaption", "caption"))
    assert n_figures > 0
    assert n_tables > 0
    assert all(text.count(f"FigureS{number}.") == 1 for number in range(1, n_figures + 1))
    assert f"FigureS{n_figures + 1}." not in text
    assert f"TableS{n_tables + 1}." not in text
    assert sum(len(each.images) for each in pages) >= len(page.attributes("img"))
    for word in ("search", "zoom", "dark"):
        assert word not in text.lower(), word


@pytest.mark.needs_chromium
def test_the_browser_would_notice(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<body><script>console.error('oops')</script><img src='http://127.0.0.1:9/x.png'></body>")
    _, console = in_chromium(page, tmp_path)
    assert any("oops" in line for line in console)
    found = measured(page.read_text(), tmp_path, 1200)
    assert found["loaded"] == ["http://127.0.0.1:9/x.png"]
    assert found["images"][0][0] == 0
    page.write_text("<body><p><img src='data:,' style='width: 1500px; height: 9px'></p></body>")
    found = measured(page.read_text(), tmp_path, 400)
    assert found["overflow"] > 1000
    assert found["clipped"]
