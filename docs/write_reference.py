"""Writes the pages of the reference from the package: public names, commands, variables, models' cards.

`conf.py` calls it before every build, so that what is added to the package is in the reference without
a line here. The pages are in docs/reference and docs/models, and are not kept in the repository.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from pathlib import Path

import kipoi_tfbind
from kipoi_tfbind.schema import VARIABLES

HERE = Path(__file__).parent
CARDS = HERE.parent / "model_zoo" / "TFBind" / "cards"

# Page -> its title, the parts of the package whose public names it has, and further modules in whole.
PAGES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "sequences": (
        "Sequences and genomes",
        ("sequences", "dna", "genome", "dataloaders"),
        ("dna.one_hot", "dna.shuffle", "dna.random", "genome.reference"),
    ),
    "models": (
        "Models",
        ("models", "kipoi_model"),
        ("models.ensemble", "kipoi_model", "architectures", "layers"),
    ),
    "interpretation": (
        "Interpretation",
        ("interpret",),
        (
            "interpret.global_importance.background_shift",
            "interpret.global_importance.settings",
            "interpret.global_importance.statistics",
        ),
    ),
    "motifs": (
        "Motifs",
        ("motifs",),
        ("motifs.motif", "motifs.read", "motifs.sites", "motifs.collect", "motifs.match", "motifs.meme"),
    ),
    "results": (
        "Results, plots, reports",
        ("results", "plot", "report", "export"),
        ("results.position_scores", "schema"),
    ),
    "training": (
        "Training",
        ("training",),
        (
            "training.config",
            "training.options",
            "training.fit",
            "training.profile_losses",
            "training.evaluate",
            "training.calibration",
            "training.conformal",
            "training.package",
        ),
    ),
    "errors": ("Errors and warnings", (), ("errors",)),
    "testing": ("Testing", ("testing",), ("testing",)),
    "others": ("Other names", (), ()),  # whatever no page above has
}


def public_names() -> dict[str, list[str]]:
    """Page -> the public names of the package that it has."""
    parts = {part: page for page, (_, of_page, _) in PAGES.items() for part in of_page}
    found: dict[str, list[str]] = {page: [] for page in PAGES}
    for name in kipoi_tfbind.__all__:
        if name not in ("__version__", "cli_main"):
            module = getattr(getattr(kipoi_tfbind, name), "__module__", "")
            part = module.removeprefix("kipoi_tfbind.").partition(".")[0]
            found[parts.get(part, "others")].append(name)
    return {page: sorted(names) for page, names in found.items()}


def write_python() -> Iterable[str]:
    """Write a page for each area, and give their names."""
    for page, names in public_names().items():
        title, _, modules = PAGES[page]
        if not names and not modules:
            continue
        lines = [title, "=" * len(title), ""]
        if names:
            lines += ["From ``kipoi_tfbind`` itself:", ""]
            for name in names:
                lines += [f"- :py:obj:`{name} <kipoi_tfbind.{name}>`: {first_line(name)}"]
            lines += [""]
        for name in names:
            kind = "class" if inspect.isclass(getattr(kipoi_tfbind, name)) else "function"
            lines += [f".. auto{kind}:: kipoi_tfbind.{name}"]
            lines += ["   :members:", ""] if kind == "class" else [""]
        for module in modules:
            lines += [f"kipoi_tfbind.{module}", "-" * (len(module) + 13), ""]
            lines += [f".. automodule:: kipoi_tfbind.{module}", "   :members:", ""]
        write(HERE / "reference" / f"{page}.rst", "\n".join(lines))
        yield page


def first_line(name: str) -> str:
    """First sentence of a docstring, as reStructuredText."""
    return inspect.getdoc(getattr(kipoi_tfbind, name)).partition("\n")[0]


def write_variables() -> None:
    """Write the table of all variables of results."""
    rows = [
        f"| `{name}` | {', '.join(v.dims)} | {v.unit or ''} | {v.meaning.replace('|', chr(92) + '|')} |"
        for name, v in VARIABLES.items()
    ]
    text = """# Variables of results

A result is a netCDF-4 file or an xarray Dataset. Each variable has its dimensions, unit and meaning from
this table, also in the file (`long_name`, `units`). "output" is the unit of the model's output: the logit or
the probability.

| variable | dimensions | unit | meaning |
|---|---|---|---|
"""
    write(HERE / "reference" / "variables.md", text + "\n".join(rows) + "\n")


def write_cards() -> None:
    """Write a page for the card of each model, and the list of them; pages of models that are gone go."""
    cards = sorted(CARDS.glob("*.md"))
    for page in (HERE / "models").glob("*.md"):
        if page.name not in {"index.md", *(card.name for card in cards)}:
            page.unlink()
    for card in cards:
        link = f"../../model_zoo/TFBind/cards/{card.name}"
        write(HERE / "models" / card.name, f"```{{include}} {link}\n:relative-images:\n```\n")
    names = "\n".join(card.stem for card in cards)
    text = "# Model cards\n\nThose of the group `TFBind`; [how to predict](../predict.md) with them."
    write(HERE / "models" / "index.md", f"{text}\n\n```{{toctree}}\n{names}\n```\n")


def write(path: Path, text: str) -> None:
    """Write a page, unless it is as it was: Sphinx reads what changed."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


COMMANDS = """Command line
============

The same commands are in ``kipoi tfbind`` and in the script ``kipoi-tfbind``.

.. click:: kipoi_tfbind.cli:main
   :prog: kipoi tfbind
   :nested: full
"""


def write_all() -> None:
    """Write all pages, and the list of them."""
    pages = [*write_python(), "command_line", "variables"]
    write_variables()
    write_cards()
    write(HERE / "_build" / "public_names.json", json.dumps(public_names()))
    write(HERE / "reference" / "command_line.rst", COMMANDS)
    text = "# Reference\n\nMade from the docstrings and the commands themselves."
    contents = "\n".join(pages)
    write(HERE / "reference" / "index.md", f"{text}\n\n```{{toctree}}\n{contents}\n```\n")
