"""Results as the page has them: what each is about, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.result import kind_of
from kipoi_tfbind.report.figures import ONLY_PICTURES
from kipoi_tfbind.report.map_checks import MAP_CHECKS, map_check_title
from kipoi_tfbind.report.more_methods import MORE_TITLES, check_more, is_more
from kipoi_tfbind.report.motifs import is_about_motifs, motif_title
from kipoi_tfbind.report.patterns import PATTERN_METHODS, pattern_title
from kipoi_tfbind.report.places import is_about_places, place_title
from kipoi_tfbind.report.variants import is_about_variants
from kipoi_tfbind.results.position_scores import source_of

_TITLES = {
    "in_silico_mutagenesis": "In-silico mutagenesis",
    "second_order_mutagenesis": "Second-order mutagenesis",
    "deep_shap": "DeepSHAP",
    "gradients": "Gradients",
    "occlusion": "Occlusion",
    "sampled_shapley": "Sampled Shapley values",
    "surrogate": "Surrogate",
    "grad_cam": "Grad-CAM",
    **MORE_TITLES,
}
_ELSEWHERE = ("method", "versions")  # attributes that are no settings
_SIZES = (
    *("sequence", "position", "pair", "window", "pattern", "background", "allele", "motif", "hit", "seqlet"),
    "target",
)


@dataclass(frozen=True)
class Labelled:
    """A result and what the page calls it.

    Attributes
    ----------
    title
        Method, and file where the result is from one.
    result
        The result.
    about
        "sequences", "patterns", "variants", "maps", "motifs", "places" or "more": its part
        of the page.
    """

    title: str
    result: xr.Dataset
    about: str


def label(results: Sequence[xr.Dataset]) -> list[Labelled]:
    """Check that each result has a part of the page, and give it a title; alike ones are numbered.

    Raises
    ------
    InputError
        There is no result, or one that has no part.
    """
    if not results:
        raise InputError("results: expected at least one, got none")
    subjects = [_about(result) for result in results]
    titles = [
        _with_file(_title(result, about), result) for result, about in zip(results, subjects, strict=True)
    ]
    numbered = [
        title if titles.count(title) == 1 else f"{title} [{titles[: i + 1].count(title)}]"
        for i, title in enumerate(titles)
    ]
    return [Labelled(*each) for each in zip(numbered, results, subjects, strict=True)]


def _about(result: xr.Dataset) -> str:
    if is_about_variants(result):
        return "variants"
    if result.attrs.get("method") in MAP_CHECKS:
        return "maps"
    if result.attrs.get("method") in PATTERN_METHODS:
        return "patterns"
    if is_about_places(result):
        return "places"
    if is_about_motifs(result):
        return "motifs"
    if is_more(result):
        check_more(result)
        return "more"
    source = () if kind_of(result) in ONLY_PICTURES else (source_of(result),)
    schema.require(result, *source, "prediction", "one_hot")
    if not result.sizes["sequence"]:
        raise InputError("results: expected results with a sequence, got one without")
    return "sequences"


def _title(result: xr.Dataset, about: str) -> str:
    if about == "variants":
        return "Variants"
    titles = {
        "maps": map_check_title,
        "patterns": pattern_title,
        "places": place_title,
        "motifs": motif_title,
    }
    if about in titles:
        return titles[about](result)
    method = str(result.attrs["method"])
    kind = str(result.attrs.get("gradient_method", "")).replace("_", " ")
    return _TITLES.get(method, method.replace("_", " ").capitalize()) + (f" ({kind})" if kind else "")


def _with_file(title: str, result: xr.Dataset) -> str:
    """A title and the file that a result is from, if it is from one."""
    file = Path(str(result.encoding.get("source", ""))).name
    return title + (f", {file}" if file else "")


def settings(labelled: Sequence[Labelled]) -> list[tuple[str, list[str]]]:
    """Rows of the table of settings: name, and its value in each result."""
    results = [each.result for each in labelled]
    names = dict.fromkeys(str(name) for result in results for name in result.attrs if name not in _ELSEWHERE)
    rows = [(name, [str(result.attrs.get(name, "")) for result in results]) for name in names]
    for dimension in _SIZES:
        sizes = [f"{r.sizes[dimension]:,}" if dimension in r.sizes else "" for r in results]
        rows.append((f"{dimension}s", sizes))
    return [(name, values) for name, values in rows if any(values)]
