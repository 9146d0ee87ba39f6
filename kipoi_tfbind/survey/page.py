"""The page of a survey."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from kipoi_tfbind import __version__


def survey_page(source: str, records: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> str:
    """HTML of a survey: a row a model, a column a method, each with its seconds or the reason why not.

    Parameters
    ----------
    source
        Name or folder of the source.
    records
        Model -> its record.
    methods
        Those that were tried.
    """
    folder = files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "page.html.j2").read_text())
    runs = {
        method: sum(record["methods"].get(method, {}).get("runs", False) for record in records.values())
        for method in methods
    }
    return template.render(
        source=source,
        records=records,
        methods=methods,
        runs=runs,
        reasons=_reasons(records),
        n_loaded=sum("problem" not in record for record in records.values()),
        version=__version__,
    )


def _reasons(records: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Reason -> the models, and of each the methods, that it holds for."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, record in records.items():
        why = {"": record["problem"]} if "problem" in record else {}
        why |= {method: each["why"] for method, each in record["methods"].items() if not each["runs"]}
        for method, text in why.items():
            found.setdefault(without_place(text, name), {}).setdefault(name, []).append(method)
    return {
        text: [f"{name}: {', '.join(methods)}" if any(methods) else name for name, methods in of.items()]
        for text, of in found.items()
    }


def without_place(reason: str, name: str) -> str:
    """A reason without the place and name of its model, so that those of two models can be the same.

    Examples
    --------
    >>> without_place("model /zoo/group/net: has no gradients", "group/net")
    'model MODEL: has no gradients'
    >>> without_place("/zoo/net/weights.pkl: a pickle", "net")
    'MODEL/weights.pkl: a pickle'
    """
    return re.sub(rf"(/\S*)?/{re.escape(name)}(?=[/:,; ]|$)", "MODEL", reason)
