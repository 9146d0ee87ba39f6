"""The part of a report about variants: a table that can be sorted and searched, each row with its picture.

The pictures are drawn when a row is opened, of numbers in the page: a thousand of them as images would make
it large and slow. Without a script the table is there, and the pictures are not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from kipoi_tfbind.results.view import number

VARIANT_METHOD = "explain_variants"
_LARGEST = 1_500_000  # bytes of the pictures' numbers
_MOST = 2000  # rows
_COLUMNS = ("chrom", "pos", "variant_id", "ref", "alt", "explained_target", "effect")
_MOTIF_COLUMNS = ("motif", "motif_change", "motif_ref_score", "motif_alt_score")
_HEADINGS = {
    "chrom": "contig",
    "pos": "position",
    "variant_id": "ID",
    "ref": "REF",
    "alt": "ALT",
    "explained_target": "target",
    "effect": "effect",
    "motif": "motif",
    "motif_change": "change",
    "motif_ref_score": "REF score",
    "motif_alt_score": "ALT score",
}


@dataclass(frozen=True)
class VariantSection:
    """Contents of the section, for the template.

    Attributes
    ----------
    headings
        Of the table's columns.
    rows
        For each allele, (text, value to sort by) of each column; a value of None is the text.
    data
        JSON of what the pictures are drawn from.
    n_without
        Alleles without a picture, where there are more than a page has room for.
    n_left_out
        Alleles that are not in the table: those with the smallest effects, beyond 2,000.
    """

    headings: list[str]
    rows: list[list[tuple[str, float | None]]]
    data: Markup
    n_without: int
    n_left_out: int


def is_about_variants(result: xr.Dataset) -> bool:
    """Whether a result has its place in this part."""
    return result.attrs.get("method") == VARIANT_METHOD


def variant_section(results: Sequence[xr.Dataset]) -> VariantSection | None:
    """The part about variants; None where there is none.

    The largest effects come first; where a page has no room for the pictures of all, they have theirs.
    """
    if not results:
        return None
    has_motifs = any("motif" in result for result in results)
    columns = (*_COLUMNS, *(_MOTIF_COLUMNS if has_motifs else ()))
    variants = [variant for result in results for variant in _variants(result, columns)]
    effect = columns.index("effect")
    variants.sort(key=lambda one: -abs(one["cells"][effect] or 0))
    n = len(variants)
    variants = variants[:_MOST]
    rows = [
        [_text(name, cell) for name, cell in zip(columns, one.pop("cells"), strict=True)] for one in variants
    ]
    texts: list[str] = []
    size = 0
    for one in variants:
        text = json.dumps(one, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
        size += len(text)
        if size > _LARGEST:
            break
        texts.append(text)
    data = Markup("[" + ",".join(texts) + "]")
    headings = [_HEADINGS[name] for name in columns]
    return VariantSection(headings, rows, data, len(rows) - len(texts), n - len(rows))


def _text(name: str, cell: Any) -> tuple[str, float | None]:
    """A cell and what it is sorted by: an effect by its magnitude."""
    if cell is None:
        return "", None
    if name == "pos":
        return f"{cell:,}", float(cell)
    if isinstance(cell, float):
        return number(cell), abs(cell) if name == "effect" else cell
    return str(cell), None


def _variants(result: xr.Dataset, columns: Sequence[str]) -> list[dict[str, Any]]:
    flank = int(result.attrs["flank"])
    letters, values = result["letter"].values, result["contribution"].values
    found = []
    cells = {name: result[name].values.tolist() for name in columns if name in result.variables}
    for i, size in enumerate(result["change_size"].values.tolist()):
        width = 2 * flank + size
        one: dict[str, Any] = {"flank": flank, "size": size}
        for side, name in enumerate(("ref", "alt")):
            one[name] = "".join(letters[i, side, :width])
            one[f"{name}Scores"] = [float(f"{v:.3g}") for v in values[i, side, :width].tolist()]
        place = {name: cells[name][i] for name in ("chrom", "pos", "ref", "alt", "effect")}
        one["chrom"], one["pos"], one["effect"] = place["chrom"], place["pos"], _cell(place["effect"]) or 0
        one["name"] = f"{place['chrom']}:{place['pos']} {place['ref'][:9]}>{place['alt'][:9]}"
        one["cells"] = [_cell(cells[name][i]) if name in cells else None for name in columns]
        found.append(one)
    return found


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
