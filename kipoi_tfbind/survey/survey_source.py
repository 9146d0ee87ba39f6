"""A survey of all models of a Kipoi source."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.survey.page import survey_page

METHODS = (
    "predict",
    "ism",
    "second-order-ism",
    "gradients",
    "deepshap",
    "occlusion",
    "sampled-shapley",
    "gia",
    "filters",
    "layer-contributions",
)


def survey_source(
    source: str,
    output: str | os.PathLike[str],
    *,
    models: Sequence[str] = (),
    methods: Sequence[str] = METHODS,
    timeout: float = 600,
    allow_pickle: bool = False,
    restart: bool = False,
) -> pd.DataFrame:
    """Load every model of a source and try each method on its example, each model in its own process.

    What fails is written down with its reason and stops nothing. A survey that was interrupted goes on with
    the models that have no record yet, or one without some of the methods.

    Parameters
    ----------
    source
        Folder of models, or the name of a source of Kipoi's configuration.
    output
        Folder of the survey: ``records/MODEL.json`` and the log of each, ``survey.tsv`` and ``index.html``.
    models
        Only these; by default all that the source lists.
    methods
        Only these.
    timeout
        Seconds after which a model is given up.
    allow_pickle
        Load files that run code when they are loaded; see docs/security.md.
    restart
        Try models anew that have a record.

    Returns
    -------
    pandas.DataFrame
        A row a model: what it is, and for each method the seconds that it took, NaN where it did not run.

    Raises
    ------
    InputError
        There is no such source, model or method.

    Examples
    --------
    >>> table = survey_source("model_zoo", "survey", models=["TFBind/CTCF"])  # doctest: +SKIP
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown or not methods:
        raise InputError(
            f"methods: expected some of {', '.join(METHODS)}; got {', '.join(unknown) or 'none'}"
        )
    if timeout <= 0:
        raise InputError(f"timeout: expected some seconds, got {timeout:g}")
    folder, listed = _list_models(source)
    missing = sorted(set(models) - set(listed))
    if missing:
        raise InputError(f"models: {source} has no {missing[0]!r}; it has {', '.join(listed[:10])}")
    chosen = [name for name in listed if name in models] if models else listed
    records = Path(output) / "records"
    records.mkdir(parents=True, exist_ok=True)
    with progress("models", len(chosen), unit="model") as bar:
        for name in chosen:
            path = records / f"{name}.json"
            if restart or not _is_complete(path, methods):
                where = (str(folder / name), "dir") if folder else (name, source)
                _try_model(*where, path, list(methods), timeout, allow_pickle)
            bar.update()
    found = {name: json.loads((records / f"{name}.json").read_text()) for name in chosen}
    table = _tabulate(found)
    with whole_file(Path(output) / "survey.tsv") as partial:
        table.to_csv(partial, sep="\t", index=False)
    with whole_file(Path(output) / "index.html") as partial:
        partial.write_text(survey_page(source, found, list(methods)))
    return table


def _list_models(source: str) -> tuple[Path | None, list[str]]:
    """Folder of a local source, and the names of its models."""
    import kipoi
    from kipoi.sources import LocalSource

    # Not `list_models`: it reads every description, and one that cannot be read would end it.
    if Path(source).is_dir():
        folder = Path(source).resolve()
        names = LocalSource(local_path=str(folder))._list_components()
        if not names:
            raise InputError(f"source {source!r}: no model.yaml and no group of models in this folder")
        return folder, sorted(names)
    known = list(kipoi.config.model_sources())
    if source not in known:
        raise InputError(f"source {source!r}: no such folder, and Kipoi's sources are {', '.join(known)}")
    return None, sorted(kipoi.get_source(source)._list_components())


def _is_complete(path: Path, methods: Sequence[str]) -> bool:
    """Whether there is a record that all of the methods are in, or why the model does not load."""
    if not path.is_file():
        return False
    record = json.loads(path.read_text())
    return record["state"] == "done" and ("problem" in record or set(methods) <= set(record["methods"]))


def _try_model(
    name: str, source: str, path: Path, methods: list[str], timeout: float, allow_pickle: bool
) -> None:
    """Have a process of its own write a model's record; another one after a method that took it with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    if path.is_file():
        before = json.loads(path.read_text())["methods"]
        found = {method: each for method, each in before.items() if method not in methods}
    arguments = {"name": name, "source": source, "path": str(path.absolute()), "allow_pickle": allow_pickle}
    todo = methods
    while todo:
        path.unlink(missing_ok=True)
        problem, is_late = _run({**arguments, "methods": todo}, path, timeout)
        record: dict[str, Any] = {"state": "starting", "methods": {}}
        if path.is_file():
            record = json.loads(path.read_text())
        found |= record["methods"]
        at = record["state"]
        if not problem:
            break
        if at not in todo:
            record["problem"] = f"{at}: {problem}"
            break
        found[at] = {"runs": False, "why": problem}
        todo = [method for method in todo if method not in found]
        if is_late:
            found |= {method: {"runs": False, "why": f"not tried: {at} was {problem}"} for method in todo}
            todo = []
    with whole_file(path) as partial:
        partial.write_text(json.dumps(record | {"state": "done", "methods": found}, indent=1))


def _run(arguments: dict[str, Any], path: Path, timeout: float) -> tuple[str, bool]:
    """Run a process to its end; what went wrong with it, if anything, and whether it was given up."""
    command = [sys.executable, "-m", "kipoi_tfbind.survey.entry", json.dumps(arguments)]
    log = path.with_suffix(".log")
    with log.open("w") as file:
        try:
            code = subprocess.run(command, stdout=file, stderr=file, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            return f"given up after {timeout:g} s", True
    if code == 0:
        return "", False
    ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return ended + _last_line(log), False


def _last_line(log: Path) -> str:
    """What a process said last, as the end of a reason."""
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f" ({said[-1].strip()[:300]})" if said else ""


def _tabulate(records: dict[str, dict[str, Any]]) -> pd.DataFrame:
    columns = ("kind", "layout", "length", "n_targets", "output", "load_seconds", "peak_mb", "problem")
    rows = []
    for name, record in records.items():
        row: dict[str, Any] = {"model": name} | {column: record.get(column) for column in columns}
        for method, found in record["methods"].items():
            row[method] = found.get("seconds")
            row[f"{method}_why_not"] = found.get("why")
        rows.append(row)
    return pd.DataFrame(rows)
