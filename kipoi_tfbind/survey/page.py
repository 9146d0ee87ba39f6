"""The page of a survey."""

from __future__ import annotations

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
        n_loaded=sum("problem" not in record for record in records.values()),
        version=__version__,
    )
