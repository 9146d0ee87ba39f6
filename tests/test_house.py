"""The shape of the package: floors, no circles of imports, few doors at the root, no long modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kipoi_tfbind

ROOT = Path(kipoi_tfbind.__file__).parent
MAX_LINES = 350
MAX_ROOT_MODULES = 10

# From the top. A part of the package imports its own floor and those below.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("plugin",),
    ("cli",),
    ("report", "survey", "comparison", "benchmarks"),
    ("interpret",),
    ("testing", "sequences", "packaging"),
    ("models",),
    ("motifs", "dataloaders", "training", "export", "plot"),
    ("backends", "genome", "results"),
    ("graph",),
    ("dna", "repairs", "kipoi_model"),
    ("layers", "architectures", "schema", "arguments", "memory", "errors", "notices"),
)
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}

Graph = dict[str, set[str]]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names of all imports, wherever they stand: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            # What is imported from a package may be a module of it.
            yield from (f"{base}.{alias.name}" for alias in node.names)
            yield base


def import_graph(root: Path = ROOT) -> Graph:
    """Module -> the modules of the package that it imports.

    A package's `__init__` that defines no class only hands on names: what it imports is reached through it,
    and it is no room of its own.
    """
    trees = {module_name(path): (path, ast.parse(path.read_text())) for path in root.rglob("*.py")}
    hands_on = {
        name
        for name, (path, tree) in trees.items()
        if path.name == "__init__.py" and not any(isinstance(node, ast.ClassDef) for node in tree.body)
    }
    graph: Graph = {}
    for name in trees.keys() - hands_on:
        path, tree = trees[name]
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        graph[name] = (set(imported(tree, package)) & trees.keys()) - hands_on - {name}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Modules that reach each other, by removing again and again what has no way out or none in."""
    left = {name: set(targets) for name, targets in graph.items()}
    while True:
        targets = set().union(*left.values()) if left else set()
        ends = {name for name, out in left.items() if not out or name not in targets}
        if not ends:
            break
        left = {name: out - ends for name, out in left.items() if name not in ends}
    found = []
    while left:
        start = min(left)
        part = {name for name in reached(left, start) if start in reached(left, name)}
        if len(part) > 1:
            found.append(sorted(part))
        drop = part | {start}
        left = {name: out - drop for name, out in left.items() if name not in drop}
    return found


def reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for target in graph[todo.pop()]:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def part_of(module: str) -> str:
    return module.split(".")[1]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph()


def test_every_part_of_the_package_has_its_floor() -> None:
    parts = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/*.py")}
    assert parts - {"__init__"} <= FLOOR_OF.keys()


def test_no_circles_of_imports(graph: Graph) -> None:
    assert circles(graph) == []


def test_a_lower_floor_imports_no_higher_one(graph: Graph) -> None:
    upwards = [
        f"{name} imports {target}"
        for name, targets in graph.items()
        for target in targets
        if FLOOR_OF[part_of(target)] < FLOOR_OF[part_of(name)]
    ]
    assert sorted(upwards) == []


def test_what_loads_a_saved_model_imports_the_layers_that_it_is_made_of() -> None:
    texts = {module_name(path): path.read_text() for path in ROOT.rglob("*.py")}
    every = {name: set(imported(ast.parse(text), name)) & texts.keys() for name, text in texts.items()}
    loading = [
        name
        for name, text in texts.items()
        if part_of(f"{name}.") in ("training", "comparison") and "keras.models.load_model(" in text
    ]
    assert loading
    assert [name for name in loading if "kipoi_tfbind.layers" not in reached(every, name)] == []


def test_few_doors_at_the_root() -> None:
    doors = sorted(path.name for path in ROOT.glob("*.py") if path.name != "__init__.py")
    assert len(doors) <= MAX_ROOT_MODULES, doors


def test_no_long_modules() -> None:
    lines = {module_name(path): len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert {name: n for name, n in lines.items() if n > MAX_LINES} == {}


def test_every_folder_says_what_lives_there() -> None:
    silent = [
        str(path.parent.relative_to(ROOT))
        for path in ROOT.rglob("__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"e"}, "e": {"c"}}, [["a", "b"], ["c", "d", "e"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"b"}}, [["a", "b", "c", "d"]]),
    ],
)
def test_circles_are_found(given: Graph, expected: list[list[str]]) -> None:
    assert circles(given) == expected


def test_every_import_counts() -> None:
    source = """
from typing import TYPE_CHECKING
from kipoi_tfbind.dna import one_hot
if TYPE_CHECKING:
    from . import schema
def late():
    from ..results.files import save_result
    import kipoi_tfbind.plot
"""
    found = set(imported(ast.parse(source), "kipoi_tfbind.interpret"))
    assert {
        "kipoi_tfbind.dna.one_hot",
        "kipoi_tfbind.interpret.schema",
        "kipoi_tfbind.results.files",
        "kipoi_tfbind.plot",
    } <= found
