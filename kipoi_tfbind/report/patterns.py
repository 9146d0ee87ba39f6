"""Parts of a report about global importance analysis: pictures, and tables of patterns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret import interaction_verdicts
from kipoi_tfbind.plot.result import kind_of, plot_result
from kipoi_tfbind.report.figures import Picture, encode
from kipoi_tfbind.report.tables import Table
from kipoi_tfbind.results.view import number, probability, unit, with_role

PATTERN_METHODS = ("global_importance_analysis", "distribution_shift")
_TITLES = {
    "effect": "effect of motifs",
    "position": "position",
    "number": "number of copies",
    "spacing": "spacing",
    "orientation": "orientation",
    "context": "context",
    "cooperativity": "cooperativity",
    "kmers": "k-mers",
    "necessity": "necessity",
    "swap": "swapped contexts",
}
_MAIN_ROLES = ("pair", "copies", "in context", "ablated", "control")
_ROWS = 12
_TARGETS = 3  # that are shown unless others are asked for


@dataclass(frozen=True)
class PatternPanel:
    """Part of the page about one target of one result.

    Attributes
    ----------
    target
        Its name.
    picture
        The result's picture.
    table
        The strongest patterns.
    problem
        Why there is neither, where there is nothing to show.
    """

    target: str
    picture: Picture | None = None
    table: Table | None = None
    problem: str = ""


def pattern_title(result: xr.Dataset) -> str:
    """Heading of a result."""
    if result.attrs.get("method") == "distribution_shift":
        return "Backgrounds and real sequences"
    experiment = str(result.attrs.get("experiment", ""))
    return f"Global importance analysis: {_TITLES.get(experiment, experiment)}"


def pattern_panels(result: xr.Dataset, targets: Sequence[str] | None) -> list[PatternPanel]:
    """Pictures and tables of a result: of these targets, or of those with the strongest patterns."""
    names = [str(name) for name in result["target"].values]
    chosen = [names.index(name) for name in targets if name in names] if targets else _strongest(result)
    panels = []
    for target in chosen:
        try:
            panels.append(_panel(result, names[target], target))
        except InputError as error:
            panels.append(PatternPanel(names[target], problem=str(error)))
    return panels


def _strongest(result: xr.Dataset) -> list[int]:
    if "importance" not in result:
        return list(range(min(_TARGETS, result.sizes["target"])))
    size = np.nan_to_num(np.abs(result["importance"].values)).max(axis=0)
    return sorted(np.argsort(-size, kind="stable")[:_TARGETS].tolist())


def _panel(result: xr.Dataset, name: str, target: int) -> PatternPanel:
    view = result.isel(target=target).load()
    kind = kind_of(result)
    table = _shift_table(view) if kind == "shift" else _table(view)
    height = 1.2 + 0.24 * min(30, result.sizes["pattern"]) if kind == "importance" else 3.4
    figure = Figure(figsize=(6.4, 5.6) if kind == "cooperativity" else (9, height))
    plot_result(result, target=target, ax=figure.add_subplot())
    source, size = encode(figure)
    first = ", ".join(table.rows[0]) if table.rows else "nothing"
    alternative = f"{pattern_title(result)}, target {name}; first row of the table: {first}"
    return PatternPanel(name, Picture(source, alternative, *size), table)


def _table(view: xr.Dataset) -> Table:
    """The strongest patterns of an experiment; where they are compared, by their difference."""
    if "role" in view.coords and set(view["role"].values.astype(str)) & set(_MAIN_ROLES):
        view = with_role(view, *_MAIN_ROLES)
    compared = bool(np.isfinite(view["difference"].values).any())
    by = view["difference" if compared else "importance"].values
    strength = np.nan_to_num(np.abs(by), nan=-1)
    order = np.argsort(-strength, kind="stable")[:_ROWS]
    verdicts = interaction_verdicts(view).values
    with_verdict = view.attrs.get("experiment") in ("number", "spacing", "cooperativity")
    rows = []
    for row in order:
        one = view.isel(pattern=int(row))
        cells = [str(one["pattern"].item()), *_numbers(one, "importance", "q_value")]
        if compared:
            cells += _numbers(one, "difference", "difference_q_value")
        rows.append(cells + ([str(verdicts[row])] if with_verdict else []))
    confidence = f"{100 * float(view.attrs.get('confidence', 0.95)):g}% interval"
    columns = ["pattern", "importance", confidence, "q-value"]
    columns += ["difference", confidence, "q-value"] if compared else []
    columns += ["verdict"] if with_verdict else []
    what = "Patterns that differ most from what they are compared with" if compared else "Strongest patterns"
    return Table(f"{what} (Δ {unit(view)})", columns, rows)


def _numbers(one: xr.Dataset, name: str, q: str) -> list[str]:
    value, low, high = (float(one[name + end]) for end in ("", "_low", "_high"))
    if np.isnan(value):
        return ["", "", ""]
    interval = f"{number(low, '+.3f')} to {number(high, '+.3f')}"
    return [number(value, "+.3f"), interval, probability(float(one[q]))]


def _shift_table(view: xr.Dataset) -> Table:
    rows = [
        [name, f"{len(values):,}", *(number(float(q)) for q in np.quantile(values, [0.025, 0.5, 0.975]))]
        for name, values in (
            ("real sequences", view["real_sample"].values),
            ("backgrounds", view["background_sample"].values),
        )
    ]
    outside = f"{float(view['share_outside']):.1%} of the backgrounds are outside the central 95%"
    caption = f"Predictions ({unit(view)}); {outside}"
    return Table(caption, ["sample", "number", "2.5%", "median", "97.5%"], rows)
