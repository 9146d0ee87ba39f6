"""Part of a report about motifs: logos, the known motifs that they are like, importance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.plot.filter_motifs import effect_of, finite_columns, known_motifs
from kipoi_tfbind.report.letters import motif_logo
from kipoi_tfbind.results.view import find_target, number, probability

_TITLES = {"filter_motifs": "Motifs of filters", "find_patterns": "Patterns of contributions (TF-MoDISco)"}
_LEVEL = 0.05  # of the q-value; known motifs above it are pale
_BAR = 120  # pixels


@dataclass(frozen=True)
class MotifRow:
    """A motif in the table.

    Attributes
    ----------
    name, sites
        Its name, and of how many sites it is made.
    logo
        Its logo, and beneath it that of the known motif, as SVG.
    match, match_id, q_value
        The known motif that it is most like; empty where none was looked for.
    is_sure
        Whether the q-value is at most 0.05.
    effect, interval
        Change of the prediction when the filter is silenced, and its interval; empty for patterns.
    bar
        The same as SVG; of patterns, the number of sites.
    """

    name: str
    sites: int
    logo: Markup
    match: str
    match_id: str
    q_value: str
    is_sure: bool
    effect: str
    interval: str
    bar: Markup


@dataclass(frozen=True)
class MotifSection:
    """Motifs of one result, the most important first.

    Attributes
    ----------
    title
        Heading.
    target
        Name of the target of the importance; empty for patterns.
    rows
        The motifs that have a site.
    n_dead
        Filters that are never active, or always the same.
    false_matches
        Share of permuted filters that match a known motif; empty where it was not measured.
    """

    title: str
    target: str
    rows: list[MotifRow]
    n_dead: int
    false_matches: str


def is_about_motifs(result: xr.Dataset) -> bool:
    """Whether a result is of motifs."""
    return "motif_matrix" in result and "n_motif_sites" in result


def motif_title(result: xr.Dataset) -> str:
    """Heading of a result."""
    method = str(result.attrs.get("method", ""))
    return _TITLES.get(method, method.replace("_", " ").capitalize() or "Motifs")


def motif_section(title: str, result: xr.Dataset, target: str | None = None) -> MotifSection:
    """The motifs of a result as rows of a table.

    Parameters
    ----------
    title
        Heading.
    result
        From `match_filters`, `filter_motifs` or `find_patterns`.
    target
        Name of the target of the importance; by default the strongest.
    """
    result = result.load()
    known = known_motifs(result) or {}
    names = [str(name) for name in result["target"].values] if "target" in result.coords else []
    chosen = target if target in names else None
    effect = effect_of(result, chosen)
    sites = result["n_motif_sites"].values
    there = np.flatnonzero(sites > 0)
    strength = sites if effect is None else np.abs(effect[0])
    order = there[np.argsort(-np.nan_to_num(strength[there], nan=-1), kind="stable")]
    scale = _scale(strength if effect is None else np.stack(effect))
    rate = result.attrs.get("false_match_rate")
    return MotifSection(
        title=title,
        target="" if effect is None else names[find_target(result, chosen)],
        rows=[_row(result.isel(motif=int(i)), known, _numbers(effect, int(i)), scale) for i in order],
        n_dead=int(result["is_dead"].values.sum()) if "is_dead" in result else len(sites) - len(there),
        false_matches="" if rate is None else f"{100 * float(rate):.3g}%",
    )


def _numbers(effect: Any, i: int) -> tuple[float, float, float] | None:
    return None if effect is None else (float(effect[0][i]), float(effect[1][i]), float(effect[2][i]))


def _scale(values: np.ndarray) -> tuple[float, float]:
    """Range of the bars: with zero in it."""
    known = values[np.isfinite(values)]
    return float(known.min(initial=0)), float(known.max(initial=0)) or 1.0


def _row(
    one: xr.Dataset,
    known: dict[str, Motif],
    effect: tuple[float, float, float] | None,
    scale: tuple[float, float],
) -> MotifRow:
    name, sites = str(one["motif"].item()), int(one["n_motif_sites"])
    matrix = finite_columns(one["motif_matrix"].transpose("column", "base").values)
    match = match_id = q_value = ""
    is_sure, other, offset = False, None, 0
    if "match_name" in one and str(one["match_name"].values[0]):
        match, match_id = (str(one[f"match_{part}"].values[0]) for part in ("name", "id"))
        q = float(one["match_q_value"].values[0])
        q_value, is_sure = probability(q), q <= _LEVEL
        if match_id in known:
            other, offset = known[match_id].matrix, -int(one["match_offset"].values[0])
            if str(one["match_orientation"].values[0]) == "-":
                other = other[::-1, ::-1]
    words = f"Logo of {name}" + (f", with {match} {match_id} beneath" if other is not None else "")
    return MotifRow(
        name=name,
        sites=sites,
        logo=motif_logo(matrix, other, offset, name=words, is_sure=is_sure),
        match=match,
        match_id=match_id,
        q_value=q_value,
        is_sure=is_sure,
        effect="" if effect is None else number(effect[0], "+.3f"),
        interval="" if effect is None else f"{number(effect[1], '+.2f')} to {number(effect[2], '+.2f')}",
        bar=_bar((float(sites), np.nan, np.nan) if effect is None else effect, scale),
    )


def _bar(effect: tuple[float, float, float], scale: tuple[float, float]) -> Markup:
    """A bar from zero, with a line for the interval."""
    low, high = scale
    at = [(value - low) / (high - low) * (_BAR - 2) + 1 for value in (0.0, *effect)]
    zero, middle = at[:2]
    kind, left = "raises" if effect[0] > 0 else "lowers", min(zero, middle)
    parts = [f'<rect class="{kind}" x="{left:.1f}" y="3" width="{abs(middle - zero):.1f}" height="10"/>']
    if np.isfinite(at[2:]).all():
        parts.append(f'<path class="line" d="M{at[2]:.1f} 8H{at[3]:.1f}"/>')
    parts.append(f'<path class="line" d="M{zero:.1f} 0V16"/>')
    return Markup(
        f'<svg class="bar" aria-hidden="true" viewBox="0 0 {_BAR} 16" width="{_BAR}" height="16">'
        f"{''.join(parts)}</svg>"
    )
