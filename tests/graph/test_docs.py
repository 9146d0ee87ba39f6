"""The page on the graph says what is so."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "graph.md"


def test_examples_of_the_page() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 5
    assert result.failed == 0


def test_files_that_the_page_names_exist() -> None:
    graph = ROOT / "kipoi_tfbind" / "graph"
    named = set(re.findall(r"`([a-z_/0-9]+\.py)`", PAGE.read_text()))
    assert len(named) > 15
    folders = (graph, graph / "deeplift", graph / "incremental", ROOT)
    missing = {name for name in named if not any((folder / name).exists() for folder in folders)}
    assert missing == set()
