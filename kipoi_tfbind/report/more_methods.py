"""Panels of results that are about pairs, heads, units, steps or samples, rather than scores of positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot.result import kind_of, plot_result
from kipoi_tfbind.report.figures import Picture, encode
from kipoi_tfbind.report.patterns import PatternPanel
from kipoi_tfbind.report.subjects import find_subjects
from kipoi_tfbind.report.tables import Table
from kipoi_tfbind.results.view import interval, labels_of, name_of, number, select, unit

MORE_TITLES = {
    "integrated_hessians": "Integrated Hessians",
    "deep_feature_interaction": "Deep feature interactions",
    "shapley_interactions": "Shapley interactions",
    "attention_maps": "Attention",
    "layer_contributions": "Contributions of a layer's units",
    "design": "Design",
    "maximum_entropy_samples": "Maximum-entropy samples",
}
_SHAPES = {"interaction": (6.6, 6.0), "attention": (6.4, 5.6), "units": (8.0, 4.4), "samples": (11.0, 2.2)}
_SHAPE = (8.0, 4.0)
_ROWS = 10  # of a table


def is_more(result: xr.Dataset) -> bool:
    """Whether a result is of one of these methods."""
    return result.attrs.get("method") in MORE_TITLES


def check_more(result: xr.Dataset) -> None:
    """Check that a result has what its panel is made of.

    Raises
    ------
    InputError
        It has not.
    """
    schema.require(result, _variable(result), "prediction", "one_hot")


def more_panels(result: xr.Dataset, targets: Sequence[str] | None, n: int) -> list[PatternPanel]:
    """A panel for each of the first `n` sequences, by largest prediction, and each of its targets."""
    panels = []
    for subject in find_subjects([result], targets)[:n]:
        for place in subject.appearances:
            picture, table = _panel(result, place.sequence, place.target)
            view = select(result, sequence=place.sequence, target=place.target)
            panels.append(PatternPanel(f"{name_of(view)}: {view['target'].item()}", picture, table))
    return panels


def _panel(result: xr.Dataset, sequence: int, target: int) -> tuple[Picture, Table]:
    view = select(result, _variable(result), sequence=sequence, target=target)
    table = _TABLES[_variable(result)](view, _ROWS)
    figure = Figure(figsize=_SHAPES.get(kind_of(result), _SHAPE))
    plot_result(result, sequence=sequence, target=target, ax=figure.add_subplot())
    source, size = encode(figure)
    first = ", ".join(table.rows[0]) if table.rows else "nothing"
    about = f"{name_of(view)}, {interval(view)}, target {view['target'].item()}"
    title = MORE_TITLES[str(result.attrs["method"])]
    return Picture(source, f"{title} of {about}; first row: {first}", *size), table


def _variable(result: xr.Dataset) -> str:
    return next((name for name in _TABLES if name in result), "interaction")


def _interactions(view: xr.Dataset, n: int) -> Table:
    values = view["interaction"].values
    names = ("interaction_standard_error", "interaction_low", "interaction_high")
    more = [name for name in names if name in view]
    rows = []
    for pair in _strongest(values, n):
        ends = []
        for side in "ab":
            start = int(view[f"position_{side}"][pair])
            stop = int(view[f"end_{side}"][pair]) if f"end_{side}" in view.coords else start + 1
            low, high = sorted(labels_of(view, np.array([start, stop - 1])).tolist())
            ends.append(f"{low:,}" if low == high else f"{low:,}–{high:,}")
        rows.append(
            [*ends, number(float(values[pair]), "+.3f"), *(number(float(view[m][pair]), ".3f") for m in more)]
        )
    headings = ["first", "second", "interaction", *(name.removeprefix("interaction_") for name in more)]
    return Table(f"Strongest interactions ({unit(view)})", [h.replace("_", " ") for h in headings], rows)


def _heads(view: xr.Dataset, n: int) -> Table:
    names = ("ism_correlation", "epistasis_correlation")
    order = np.argsort(-np.nan_to_num(view["ism_correlation"].values, nan=-2), kind="stable")[:n]
    rows = [
        [str(view["head"].values[i]), *(number(float(view[name][i]), "+.2f") for name in names)]
        for i in order
    ]
    caption = (
        "Rank correlation of each head's attention with mutations: attention that has none explains nothing"
    )
    return Table(caption, ["head", "with ISM", "with second-order ISM"], rows)


def _units(view: xr.Dataset, n: int) -> Table:
    values = view["unit_contribution"].values
    rows = []
    for i in _strongest(values, n):
        start, end = int(view["unit_field_start"][i]), int(view["unit_field_end"][i])
        low, high = sorted(labels_of(view, np.array([start, max(end - 1, start)])).tolist())
        rows.append(
            [str(int(view["unit_channel"][i])), f"{low:,}–{high:,}", number(float(values[i]), "+.3f")]
        )
    caption = f"Strongest units of layer {view.attrs.get('layer', '')} ({unit(view)})"
    return Table(caption, ["channel", "sees", "contribution"], rows)


def _steps(view: xr.Dataset, n: int) -> Table:
    rows = []
    for step in np.flatnonzero(view["step_position"].values >= 0)[:n]:
        place = labels_of(view, view["step_position"].values[[step]])[0]
        numbers = [float(view[name][step]) for name in ("step_effect", "step_prediction")]
        rows.append(
            [f"{place:,}", BASES[int(view["step_base"][step])], *(number(v, "+.3f") for v in numbers)]
        )
    return Table(
        f"Substitutions of the design ({unit(view)})", ["position", "base", "effect", "prediction"], rows
    )


def _samples(view: xr.Dataset, n: int) -> Table:
    weight = view["position_weight"].values
    rows = [
        [f"{labels_of(view, view['position'].values[[i]])[0]:,}", number(float(weight[i]), ".2f")]
        for i in _strongest(weight, n)
    ]
    size = number(float(view["effective_sample_size"]), ".0f")
    return Table(
        f"Positions that the samples keep most (effective samples: {size})", ["position", "bit"], rows
    )


_TABLES: dict[str, Callable[[xr.Dataset, int], Table]] = {
    "attention": _heads,
    "unit_contribution": _units,
    "step_prediction": _steps,
    "position_weight": _samples,
    "interaction": _interactions,
}


def _strongest(values: np.ndarray, n: int) -> list[int]:
    magnitude = np.abs(np.nan_to_num(values))
    return [int(i) for i in np.argsort(-magnitude, kind="stable")[:n] if magnitude[i] > 0]
