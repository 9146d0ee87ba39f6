"""Part of a report about hits and seqlets: a table of them, and those of each sequence for its tracks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from kipoi_tfbind.results.view import number, probability

_KINDS = ("hit", "seqlet")
_TITLES = {"hit": "Hits of motifs", "seqlet": "Seqlets"}
_MOST = 2000  # rows of a table
# One place for the page's script: start, end, strand in the sequence, name, contribution, q-value.
Place = tuple[int, int, str, str, float, str]


@dataclass(frozen=True)
class PlaceSection:
    """Hits or seqlets of one result.

    Attributes
    ----------
    title
        Heading.
    target
        Name of the target whose contributions they are in.
    fdr
        Largest q-value.
    columns, rows
        Of the table; the first columns are the sequence and the name.
    n_left_out
        How many are not in the table, those with the largest q-values.
    """

    title: str
    target: str
    fdr: str
    columns: list[str]
    rows: list[list[str]]
    n_left_out: int


def is_about_places(result: xr.Dataset) -> bool:
    """Whether a result is of hits or seqlets."""
    return _kind(result) is not None


def _kind(result: xr.Dataset) -> str | None:
    return next((kind for kind in _KINDS if f"{kind}_start" in result), None)


def place_title(result: xr.Dataset) -> str:
    """Heading of a result."""
    return _TITLES[_kind(result) or "hit"]


def place_section(title: str, result: xr.Dataset) -> PlaceSection:
    """The places of a result as rows of a table, those with the smallest q-value first."""
    result = result.load()
    kind = _kind(result) or "hit"
    q = result[f"{kind}_q_value"].values
    score = result[f"{kind}_score"].values
    order = np.lexsort((-np.abs(score), q))[:_MOST]
    with_place = f"{kind}_chrom" in result
    columns = ["sequence", "name", "place", "strand", "contribution", "score", "q-value"]
    if "hit_similarity" in result:
        columns.append("similarity")
    rows = []
    for i in order:
        one = {
            str(name).removeprefix(f"{kind}_"): values.values[i]
            for name, values in result.variables.items()
            if values.dims == (kind,)
        }
        place = (
            f"{one['chrom']}:{int(one['chrom_start']) + 1:,}-{int(one['chrom_end']):,}"
            if with_place
            else f"{int(one['start']):,}-{int(one['end']) - 1:,} (0-based)"
        )
        rows.append(
            [
                str(one["sequence_id"]),
                str(one.get("motif", kind)),
                place,
                str(one.get("strand", "+")).replace("-", "\N{MINUS SIGN}"),
                number(float(one["contribution"]), "+.3f"),
                number(float(one["score"]), ".3g"),
                probability(float(one["q_value"])),
                *([number(float(one["similarity"]), ".2f")] if "similarity" in one else []),
            ]
        )
    attributes = result.attrs
    target, fdr = str(attributes.get("target", "")), str(attributes.get("fdr", ""))
    return PlaceSection(title, target, fdr, columns, rows, len(q) - len(rows))


def places_of(results: Sequence[xr.Dataset], sequences: Sequence[xr.Dataset]) -> dict[str, list[Place]]:
    """Find the hits and seqlets of each sequence.

    Parameters
    ----------
    results
        Of hits and seqlets.
    sequences
        Results with the sequences. The strand of a hit with a place on the genome is that of the genome; in
        a sequence of the reverse strand it is turned to that of the sequence.

    Returns
    -------
    dict
        Name of a sequence -> its places, in the order of their starts.
    """
    reverse = {
        str(name)
        for result in sequences
        if "strand" in result.coords and "id" in result.coords
        for name, strand in zip(result["id"].values, result["strand"].values, strict=True)
        if strand == "-"
    }
    found: dict[str, list[Place]] = defaultdict(list)
    for result in results:
        kind = _kind(result) or "hit"
        get = {
            name: result[f"{kind}_{name}"].values.tolist()
            for name in ("sequence_id", "start", "end", "contribution", "q_value")
        }
        n = len(get["start"])
        names = result["hit_motif"].values.tolist() if kind == "hit" else ["seqlet"] * n
        strands = result[f"{kind}_strand"].values.tolist() if f"{kind}_strand" in result else ["+"] * n
        for i in range(n):
            sequence = str(get["sequence_id"][i])
            turned = sequence in reverse and f"{kind}_chrom" in result
            found[sequence].append(
                (
                    int(get["start"][i]),
                    int(get["end"][i]),
                    "+-"[(strands[i] == "-") != turned],
                    str(names[i]),
                    float(f"{get['contribution'][i]:.3g}"),
                    probability(float(get["q_value"][i])),
                )
            )
    return {name: sorted(places) for name, places in found.items()}
