"""The tables of a report: which positions, pairs or windows of a sequence count most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.plot.epistasis import strongest_pairs
from kipoi_tfbind.results.position_scores import contribution_kind, scores_of
from kipoi_tfbind.results.view import has_coordinates, labels_of, number, unit
from kipoi_tfbind.schema import SPREAD


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes
    ----------
    caption
        Its subject, and its unit.
    columns
        Their headings.
    rows
        The cells of each row.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def is_number(self, column: int) -> bool:
        """Whether a column is one of numbers, to be aligned as such."""
        return bool(self.rows) and self.rows[0][column][:1] in tuple("+−0123456789")


def top_table(view: xr.Dataset, n: int) -> Table:
    """Return the table of the `n` strongest of whatever a result is about.

    Parameters
    ----------
    view
        One sequence and target of a result, as `select` returns it.
    n
        Number of rows, at most.
    """
    return _TABLES[next(name for name in _TABLES if name in view)](view, n)


def _pairs(view: xr.Dataset, n: int) -> Table:
    effect = view["mutation_effect"]
    rows = []
    for pair in strongest_pairs(view, n):
        first = float(effect.sel(position=pair.position_a, base=pair.substitution_a[-1]))
        second = float(effect.sel(position=pair.position_b, base=pair.substitution_b[-1]))
        numbers = [first, second, first + second + pair.epistasis, pair.epistasis]
        spread = "" if pair.spread is None else f" ± {number(pair.spread, '.2g')}"
        cells = [pair.substitution_a, pair.substitution_b, *(number(value, "+.3f") for value in numbers)]
        rows.append([*cells[:-1], cells[-1] + spread])
    return Table(
        f"Strongest pairs of substitutions, one for each pair of positions (Δ {unit(view)})",
        ["first", "second", "effect of first", "effect of second", "effect of both", "epistasis"],
        rows,
    )


def _substitutions(view: xr.Dataset, n: int) -> Table:
    effect = np.nan_to_num(view["mutation_effect"].transpose("position", "base").values)
    best = np.abs(effect).argmax(axis=1)
    strongest = effect[np.arange(len(effect)), best]
    scores = scores_of(view).values
    spread = _spread(view, "mutation_effect", best)
    rows = [
        [
            _coordinate(view, i),
            _letter(view, i),
            BASES[best[i]],
            number(strongest[i], "+.3f") + spread(i),
            number(scores[i], "+.3f"),
        ]
        for i in _strongest(strongest, n)
    ]
    return Table(
        f"Positions with the strongest single substitution (Δ {unit(view)})",
        [_place(view), "base", "strongest substitution", "its effect", "−\N{NO-BREAK SPACE}mean effect"],
        rows,
    )


def _contributions(view: xr.Dataset, n: int) -> Table:
    values = np.nan_to_num(scores_of(view).values)
    last, further = _further(view)
    there = view["one_hot"].transpose("position", "base").values.argmax(axis=1)
    spread = _spread(view, "contribution", there)
    rows = [
        [
            _coordinate(view, i),
            _letter(view, i),
            number(values[i], "+.3f") + spread(i),
            further(i),
        ]
        for i in _strongest(values, n)
    ]
    return Table(
        f"Positions with the strongest contribution ({contribution_kind(view)}, {unit(view)})",
        [_place(view), "base", "contribution", last],
        rows,
    )


def _further(view: xr.Dataset) -> tuple[str, Callable[[int], str]]:
    """Last column of a table of contributions: its title, and its cell for a position."""
    if "hypothetical_contribution" in view:
        hypothetical = view["hypothetical_contribution"].transpose("position", "base").values
        best = hypothetical.argmax(axis=1)
        value = hypothetical.max(axis=1)
        return "highest hypothetical", lambda i: f"{BASES[best[i]]} {number(value[i], '+.3f')}"
    error = view["contribution_standard_error"].values
    return "standard error", lambda i: number(error[i], ".3f")


def _windows(view: xr.Dataset, n: int) -> Table:
    effect = view["occlusion_effect"].values
    starts, ends = view["window_start"].values, view["window_end"].values
    name = "occlusion_effect" + SPREAD
    chosen: list[int] = []
    for i in _strongest(effect, len(effect)):
        if all(ends[i] <= starts[j] or starts[i] >= ends[j] for j in chosen):
            chosen.append(i)
        if len(chosen) == n:
            break
    rows = []
    for i in chosen:
        low, high = sorted(labels_of(view, np.array([starts[i], ends[i] - 1])).tolist())
        spread = f" ± {number(float(view[name][i]), '.2g')}" if name in view else ""
        rows.append([f"{low:,}–{high:,}", number(float(effect[i]), "+.3f") + spread])
    return Table(
        f"Windows with the strongest effect of occlusion, none overlapping a stronger one (Δ {unit(view)})",
        [_place(view), "effect"],
        rows,
    )


def _grad_cam(view: xr.Dataset, n: int) -> Table:
    values = np.nan_to_num(scores_of(view).values)
    rows = [[_coordinate(view, i), _letter(view, i), number(values[i], ".3f")] for i in _strongest(values, n)]
    caption = f"Positions where layer {view.attrs.get('layer', '')} sees most of the target ({unit(view)})"
    return Table(caption, [_place(view), "base", "Grad-CAM"], rows)


_TABLES: dict[str, Callable[[xr.Dataset, int], Table]] = {
    "epistasis": _pairs,
    "contribution": _contributions,
    "mutation_effect": _substitutions,
    "occlusion_effect": _windows,
    "grad_cam": _grad_cam,
}


def _strongest(values: NDArray, n: int) -> list[int]:
    """Indices of the values of largest magnitude, without those that are 0 or missing."""
    magnitude = np.abs(np.nan_to_num(values))
    order = np.argsort(-magnitude, kind="stable")[:n]
    return [int(i) for i in order if magnitude[i] > 0]


def _spread(view: xr.Dataset, name: str, base: NDArray[np.intp]) -> Callable[[int], str]:
    """Text of the standard deviation over an ensemble at each position; empty for a single model."""
    if name + SPREAD not in view:
        return lambda i: ""
    values = view[name + SPREAD].transpose("position", "base").values
    return lambda i: f" ± {number(float(values[i, base[i]]), '.2g')}"


def _place(view: xr.Dataset) -> str:
    return f"{view['chrom'].item()} (1-based)" if has_coordinates(view) else "position (0-based)"


def _coordinate(view: xr.Dataset, i: int) -> str:
    return f"{int(labels_of(view, view['position'].values[[i]])[0]):,}"


def _letter(view: xr.Dataset, i: int) -> str:
    return BASES[int(view["one_hot"].transpose("position", "base").values[i].argmax())]
