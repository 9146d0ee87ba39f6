"""Surveys of the zoo and of entries as other groups write them: docs/survey_results.md.

    python docs/make_survey.py --folder survey

The entries of tests/foreign_models.py are written into FOLDER/foreign, and surveyed with pickles allowed. A
survey that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from kipoi_tfbind import survey_source
from kipoi_tfbind.survey.page import without_place
from kipoi_tfbind.survey.survey_source import METHODS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "survey_results.md"
# The other entries for variants have the same weights.
ZOO = [
    f"TFBind/{name}"
    for name in (
        "CTCF",
        "CTCF-single",
        "CTCF-single/variants",
        "GM12878",
        "HepG2",
        "HepG2-ensemble",
        "HepG2-single",
        "K562",
    )
]
HEAD = """# Surveys of two sources

Written by `docs/make_survey.py`: seconds of each method on two sequences, with what a first call prepares,
and the peak of the process's memory, on a machine that was in use. A letter is a reason, below its table.
What was asked of each model: [Survey](method/survey.md).
"""


def foreign_models() -> ModuleType:
    """The module of the tests that has the entries."""
    spec = importlib.util.spec_from_file_location("foreign_models", ROOT / "tests" / "foreign_models.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("tests/foreign_models.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def section(title: str, source: Path, survey: Path, models: Sequence[str] = ()) -> str:
    """Survey a source, or some of its models; its table in Markdown."""
    table = survey_source(str(source), survey, models=models, allow_pickle=True)
    records = {name: json.loads((survey / "records" / f"{name}.json").read_text()) for name in table["model"]}
    loaded = {name: record for name, record in records.items() if "problem" not in record}
    reasons: list[str] = []
    rows = [row(name, record, reasons) for name, record in records.items()]
    runs = [
        sum(record["methods"].get(m, {}).get("runs", False) for record in loaded.values()) for m in METHODS
    ]
    lines = [
        f"\n## {title}\n",
        f"{len(loaded)} of {len(records)} models load.\n",
        "| model | takes | " + " | ".join(METHODS) + " | GB |",
        "|---" * (len(METHODS) + 3) + "|",
        "| **run on** | | " + " | ".join(f"**{n}**" for n in runs) + " | |",
        *rows,
        "",
        *(f"{letter(number)}. {reason}\\" for number, reason in enumerate(reasons)),
    ]
    return "\n".join(lines).removesuffix("\\") + "\n"


def row(name: str, record: dict[str, Any], reasons: list[str]) -> str:
    """A line of a table; its reasons are added to those of the others."""
    if "problem" in record:
        cells = ["", *[letter(found_in(reasons, record["problem"], name))] * len(METHODS)]
    else:
        length = record["length"] or "any length"
        cells = [f"{record['layout']}, {length}; {record['n_targets']}"]
        for method in METHODS:
            found = record["methods"].get(method, {"runs": False, "why": "not tried"})
            number = None if found["runs"] else found_in(reasons, found["why"], name)
            cells.append(f"{found['seconds']:.1f}" if number is None else letter(number))
    return f"| {name} | " + " | ".join(cells) + f" | {record.get('peak_mb', 0) / 1000:.1f} |"


def found_in(reasons: list[str], text: str, name: str) -> int:
    """Number of a reason, without what is the model's own in it."""
    text = without_place(text, name).replace("`", "")
    if text not in reasons:
        reasons.append(text)
    return reasons.index(text)


def letter(number: int) -> str:
    """A, B, ... of a reason."""
    return chr(ord("A") + number)


def main(arguments: Sequence[str] | None = None) -> None:
    """Survey both sources, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("survey"))
    folder = parser.parse_args(arguments).folder.absolute()
    for name, model in foreign_models().FOREIGN_MODELS.items():
        own = folder / "foreign" / name
        if not (own / "model.yaml").exists():
            own.mkdir(parents=True, exist_ok=True)
            model.build(own)
    parts = [
        section("As other groups write them", folder / "foreign", folder / "survey_of_foreign"),
        section("The zoo of this package", ROOT / "model_zoo", folder / "survey_of_zoo", ZOO),
    ]
    PAGE.write_text(HEAD + "".join(parts))


if __name__ == "__main__":
    main()
