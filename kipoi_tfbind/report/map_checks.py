"""Part of a report about checks of maps: agreement of several, and sanity checks of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from kipoi_tfbind.plot.result import plot_result
from kipoi_tfbind.report.figures import Picture, encode
from kipoi_tfbind.report.patterns import PatternPanel
from kipoi_tfbind.report.tables import Table
from kipoi_tfbind.results.view import number

MAP_CHECKS = ("agreement", "sanity_checks")
_TARGETS = 3  # that are shown unless others are asked for
_MEASURES = {
    "cosine": "cosine",
    "rank_correlation": "rank correlation",
    "top_overlap": "overlap of the top positions",
}


def map_check_title(result: xr.Dataset) -> str:
    """Heading of a result."""
    if result.attrs.get("method") == "agreement":
        return "Agreement of maps"
    return f"Sanity checks of {result.attrs.get('checked', 'a method')}"


def map_check_panels(result: xr.Dataset, targets: Sequence[str] | None) -> list[PatternPanel]:
    """Pictures and tables of a result: of these targets, or of the first few."""
    names = [str(name) for name in result["target"].values]
    wanted = [name for name in names if name in targets] if targets else names[:_TARGETS]
    return [_panel(result, name, names.index(name)) for name in wanted]


def _panel(result: xr.Dataset, name: str, target: int) -> PatternPanel:
    view = result.isel(target=target).load()
    is_agreement = result.attrs.get("method") == "agreement"
    table = _agreement_table(view) if is_agreement else _sanity_table(view)
    n = len({*view["map_a"].values, *view["map_b"].values}) if is_agreement else 0
    figure = Figure(figsize=(2.6 + 1.1 * n, 1.6 + 0.8 * n) if is_agreement else (8, 3.6))
    plot_result(result, target=target, ax=figure.add_subplot())
    source, size = encode(figure)
    alternative = f"{map_check_title(result)}, target {name}; first row: {', '.join(table.rows[0])}"
    return PatternPanel(name, Picture(source, alternative, *size), table)


def _agreement_table(view: xr.Dataset) -> Table:
    rows = []
    for at in range(view.sizes["comparison"]):
        one = view.isel(comparison=at)
        cells = [_with_interval(one, f"mean_{measure}") for measure in _MEASURES]
        rows.append([f"{one['map_a'].item()} and {one['map_b'].item()}", *cells])
    caption = f"Means over {view.sizes['sequence']} sequences, with their intervals"
    return Table(caption, ["maps", *_MEASURES.values()], rows)


def _sanity_table(view: xr.Dataset) -> Table:
    rows = [
        [str(view["layer"].values[at]), _with_interval(view.isel(layer=at), "mean_randomised_correlation")]
        for at in range(view.sizes["layer"])
    ]
    rows.append(["(a shuffle of the sequence)", _with_interval(view, "mean_shuffled_correlation")])
    if "relabelled" in view.attrs:
        rows.append(["(trained on shuffled labels)", _with_interval(view, "mean_relabelled_correlation")])
    return Table(str(view["verdict"].item()), ["randomised down to", "rank correlation"], rows)


def _with_interval(one: xr.Dataset, name: str) -> str:
    mean, low, high = (float(one[name + end]) for end in ("", "_low", "_high"))
    interval = "" if np.isnan(low) else f" ({number(low, '.2f')} to {number(high, '.2f')})"
    return number(mean, ".2f") + interval
