"""The part of a report about variants: a table that can be sorted and searched, each row with its picture.

The pictures are drawn when a row is opened, of numbers in the page: a thousand of them as images would make
it large and slow. The page's policy names the script by its hash, so that no other can run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

VARIANT_METHOD = "explain_variants"
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
    "motif_change": "",
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
    data
        JSON of the variants.
    script
        The script.
    policy
        Its entry in the page's policy.
    """

    headings: list[str]
    data: Markup
    script: Markup
    policy: str


def is_about_variants(result: xr.Dataset) -> bool:
    """Whether a result has its place in this part."""
    return result.attrs.get("method") == VARIANT_METHOD


def variant_section(results: Sequence[xr.Dataset]) -> VariantSection | None:
    """The part about variants; None where there is none."""
    if not results:
        return None
    has_motifs = any("motif" in result for result in results)
    columns = (*_COLUMNS, *(_MOTIF_COLUMNS if has_motifs else ()))
    variants = [variant for result in results for variant in _variants(result, columns)]
    numbers = [name in ("pos", "effect", "motif_ref_score", "motif_alt_score") for name in columns]
    data = {"numbers": numbers, "effect": columns.index("effect"), "variants": variants}
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    script = (files(__package__) / "variants.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"; script-src 'sha256-{digest}'"
    return VariantSection([_HEADINGS[name] for name in columns], Markup(text), Markup(script), policy)


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
        one["cells"] = [_cell(cells[name][i]) if name in cells else None for name in columns]
        found.append(one)
    return found


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
