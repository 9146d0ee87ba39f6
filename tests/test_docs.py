"""The documentation, as far as it can be checked without building it; `make docs` does the rest."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import kipoi_tfbind

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = ("reference", "models")  # by docs/write_reference.py
SOURCES = (page for page in DOCS.rglob("*.md") if page.parts[len(DOCS.parts)] not in ("_build", *WRITTEN))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(SOURCES)]
MAX_README = 155


def script(name: str) -> ModuleType:
    """A module of the documentation's folder."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def check_site() -> ModuleType:
    return script("check_site")


def local_links(page: Path) -> list[str]:
    """Files that a page of Markdown links to, as they are seen where the sources are read."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_in_the_sources_lead_to_files(page: Path) -> None:
    if "_build" in page.parts or page.relative_to(ROOT).as_posix().startswith(
        ("docs/reference", "docs/models")
    ):
        pytest.skip("written by docs/write_reference.py")
    for link in local_links(page):
        target = (page.parent / link).resolve()
        below = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else ""
        assert target.exists() or below.startswith(WRITTEN), f"{page}: {link}"


def test_pages_of_models_are_those_of_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_reference = script("write_reference")
    monkeypatch.setattr(write_reference, "HERE", tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "renamed.md").write_text("an entry that has another name now")
    write_reference.write_cards()
    cards = {card.stem for card in (ROOT / "model_zoo" / "TFBind" / "cards").glob("*.md")}
    assert {page.stem for page in (tmp_path / "models").iterdir()} == {"index", *cards}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README


def test_every_plot_is_in_the_gallery() -> None:
    text = (DOCS / "gallery.md").read_text()
    plots = {name for name in kipoi_tfbind.__all__ if name.startswith("plot_")}
    assert {name for name in plots if name not in text} == set()


def test_every_page_on_a_method_says_the_same_things() -> None:
    for page in (DOCS / "method").glob("*.md"):
        text = page.read_text()
        for word in ("Definition", "When", "Cost", "What can go wrong", "Source"):
            assert f"**{word}.**" in text, f"{page.name}: {word}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<a href="b.html#there">x</a><img src="p.png">', []),
        ('<a href="c.html">x</a>', ["a.html: c.html does not exist"]),
        ('<a href="b.html#gone">x</a>', ["a.html: b.html#gone has no such anchor"]),
        ('<script src="https://cdn.example/x.js"></script>', ["a.html: fetches https://cdn.example/x.js"]),
        ('<a href="https://example.org">x</a>', []),
        ('<a href="/b.html">x</a>', ["a.html: /b.html does not exist"]),
    ],
)
def test_the_check_of_the_site_finds_what_is_wrong(
    check_site: ModuleType, tmp_path: Path, body: str, expected: list[str]
) -> None:
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "b.html").write_text('<p id="there">x</p>')
    (tmp_path / "p.png").write_bytes(b"")
    assert check_site.problems(tmp_path) == expected
