"""The report itself: what goes into the page, and the page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from kipoi_tfbind import __version__, schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import followed
from kipoi_tfbind.plot.result import kind_of, strongest_window
from kipoi_tfbind.report.card import Card, read_card
from kipoi_tfbind.report.checks import completeness, equivariance
from kipoi_tfbind.report.figures import Picture, draw
from kipoi_tfbind.report.map_checks import MAP_CHECKS, map_check_panels, map_check_title
from kipoi_tfbind.report.patterns import PATTERN_METHODS, pattern_panels, pattern_title
from kipoi_tfbind.report.subjects import Subject, check_targets, find_subjects
from kipoi_tfbind.report.tables import Table, top_table
from kipoi_tfbind.report.variants import is_about_variants, variant_section
from kipoi_tfbind.results.files import check_writable, whole_file
from kipoi_tfbind.results.position_scores import source_of
from kipoi_tfbind.results.view import has_coordinates, interval, model_name, name_of, number, select, unit

_TITLES = {
    "in_silico_mutagenesis": "In-silico mutagenesis",
    "second_order_mutagenesis": "Second-order mutagenesis",
    "deep_shap": "DeepSHAP",
    "gradients": "Gradients",
    "occlusion": "Occlusion",
    "sampled_shapley": "Sampled Shapley values",
    "surrogate": "Surrogate",
}
_ROWS = 10  # of a table of top positions
_ELSEWHERE = ("method", "versions")  # attributes that are no settings
_COORDINATES = ("chrom", "start", "end", "strand")


@dataclass(frozen=True)
class Labelled:
    """A result and what the page calls it.

    Attributes
    ----------
    title
        Method, and file where the result is from one.
    result
        The result.
    """

    title: str
    result: xr.Dataset


@dataclass(frozen=True)
class Panel:
    """Part of the page about one sequence and target of one result.

    Attributes
    ----------
    title
        Method and target.
    picture
        The result's picture.
    table
        The strongest positions, pairs or windows.
    problem
        Why there is neither, where there is nothing to show.
    """

    title: str
    picture: Picture | None = None
    table: Table | None = None
    problem: str = ""


def write_report(
    results: xr.Dataset | Sequence[xr.Dataset],
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    targets: Sequence[str] | None = None,
    max_sequences: int = 10,
    title: str | None = None,
) -> None:
    """Write an HTML page about results: model card, settings, checks, pictures and tables.

    Results of global importance analysis are about patterns, and have a part of the page to themselves; so
    have explained variants, as a table that can be sorted and searched, whose rows open as pictures.

    Everything is inside the one file; the page loads nothing from anywhere and prints well. The same
    results make the same page, byte for byte.

    Parameters
    ----------
    results
        One result or several, of any methods; what they say of one sequence is shown together.
    path
        Name of the page, which ends in .html or .htm; a file of that name is replaced.
    model
        Folder of the Kipoi model, for its card; by default what the results call the model, if that is
        a local folder.
    targets
        Names of the targets to show; by default each sequence's own one of the largest prediction.
    max_sequences
        How many sequences to show: those with the largest prediction (for a raw output, the largest
        magnitude). The page says how many were left out.
    title
        Title of the page; by default it names the models, as their cards do.

    Raises
    ------
    InputError
        No result, or one without a picture; a target that none of them has; no Kipoi model in the
        folder; the page has another suffix or cannot be written there.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = in_silico_mutagenesis(model, encode_sequences(["AGGA"], ids=["tiny"]))
    >>> path = getfixture("tmp_path") / "report.html"
    >>> write_report(result, path)
    >>> "number of G" in path.read_text()
    True
    """
    check_page(path)
    results = [results] if isinstance(results, xr.Dataset) else list(results)
    labelled = _label(results)
    if max_sequences < 1:
        raise InputError(f"max_sequences: expected at least 1, got {max_sequences}")
    cards = _cards(results, model)
    variants = [each.result for each in labelled if is_about_variants(each.result)]
    others = [each for each in labelled if not is_about_variants(each.result)]
    check_targets([each.result for each in others], targets if others else None)
    map_checks = [each for each in others if _is_map_check(each.result)]
    patterns = [each for each in others if _is_about_patterns(each.result)]
    about = [each for each in others if not (_is_map_check(each.result) or _is_about_patterns(each.result))]
    subjects = find_subjects([each.result for each in about], targets)
    shown = subjects[:max_sequences]
    sections = [_section(subject, about) for subject in followed(shown, "report")]
    page = _render(
        title=title or "Interpretation of " + ", ".join(dict.fromkeys(card.name for card in cards)),
        labelled=labelled,
        cards=cards,
        settings=_settings(labelled),
        completeness=[(each, completeness(each.result)) for each in about],
        equivariance=[(each, equivariance(each.result)) for each in about],
        patterns=[(each.title, pattern_panels(each.result, targets)) for each in patterns],
        variants=variant_section(variants),
        map_checks=[(each.title, map_check_panels(each.result, targets)) for each in map_checks],
        sections=sections,
        n_left_out=len(subjects) - len(shown),
        targets=targets,
        n_targets=max(result.sizes.get("target", 1) for result in results),
        versions=[(each.title, str(each.result.attrs.get("versions", "not recorded"))) for each in labelled],
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def check_page(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that a page can be written; no result is mistaken for one.

    Raises
    ------
    InputError
        Its name does not end in .html or .htm, or it cannot be written there.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: expected a name that ends in .html or .htm; got {suffix or 'no suffix'!r}")
    check_writable(path)


def _label(results: Sequence[xr.Dataset]) -> list[Labelled]:
    """Check that each result has a picture, and give it a title; alike ones are numbered."""
    if not results:
        raise InputError("results: expected at least one, got none")
    titles = []
    for result in results:
        if is_about_variants(result):
            titles.append(_with_file("Variants", result))
            continue
        if _is_map_check(result):
            titles.append(_with_file(map_check_title(result), result))
            continue
        if _is_about_patterns(result):
            titles.append(_with_file(pattern_title(result), result))
            continue
        schema.require(result, source_of(result), "prediction", "one_hot")
        kind_of(result)
        if not result.sizes["sequence"]:
            raise InputError("results: expected results with a sequence, got one without")
        method = str(result.attrs["method"])
        kind = str(result.attrs.get("kind", "")).replace("_", " ")
        titles.append(_with_file(_TITLES[method] + (f" ({kind})" if kind else ""), result))
    numbered = [
        title if titles.count(title) == 1 else f"{title} [{titles[: i + 1].count(title)}]"
        for i, title in enumerate(titles)
    ]
    return [Labelled(title, result) for title, result in zip(numbered, results, strict=True)]


def _is_about_patterns(result: xr.Dataset) -> bool:
    return result.attrs.get("method") in PATTERN_METHODS


def _is_map_check(result: xr.Dataset) -> bool:
    return result.attrs.get("method") in MAP_CHECKS


def _with_file(title: str, result: xr.Dataset) -> str:
    """A title and the file that a result is from, if it is from one."""
    file = Path(str(result.encoding.get("source", ""))).name
    return title + (f", {file}" if file else "")


def _cards(results: Sequence[xr.Dataset], folder: str | os.PathLike[str] | None) -> list[Card]:
    """Card of each model of the results that is in a local folder."""
    names = {str(result.attrs.get("model", "")): model_name(result) for result in results}
    if folder is not None:
        return [read_card(", ".join(names.values()), folder)]
    # Results of older versions do not say their model's source.
    sources = {str(r.attrs.get("model", "")): str(r.attrs.get("model_source", "dir")) for r in results}
    cards = {
        path: _card_if_there(names[path], path) if source == "dir" else Card(names[path])
        for path, source in sources.items()
    }
    return _one_of_each(results, cards)


def _one_of_each(results: Sequence[xr.Dataset], cards: Mapping[str, Card]) -> list[Card]:
    """Leave out what says nothing new: a card twice, or no card for a model that has one by another path."""
    pairs = [
        (cards[str(result.attrs.get("model", ""))], str(result.attrs.get("model_hash", "")))
        for result in results
    ]
    known = {model_hash for card, model_hash in pairs if model_hash and card.is_filled}
    kept = [card for card, model_hash in pairs if card.is_filled or model_hash not in known]
    return [card for i, card in enumerate(kept) if card not in kept[:i]]


def _card_if_there(name: str, folder: str) -> Card:
    """The card of a model, if its folder is still there."""
    if folder:
        with contextlib.suppress(InputError):
            return read_card(name, folder)
    return Card(name)


def _settings(labelled: Sequence[Labelled]) -> list[tuple[str, list[str]]]:
    """Rows of the table of settings: name, and its value in each result."""
    results = [each.result for each in labelled]
    names = dict.fromkeys(str(name) for result in results for name in result.attrs if name not in _ELSEWHERE)
    rows = [(name, [str(result.attrs.get(name, "")) for result in results]) for name in names]
    for dimension in ("sequence", "position", "pair", "window", "pattern", "background", "allele", "target"):
        sizes = [f"{r.sizes[dimension]:,}" if dimension in r.sizes else "" for r in results]
        rows.append((f"{dimension}s", sizes))
    return [(name, values) for name, values in rows if any(values)]


def _section(subject: Subject, labelled: Sequence[Labelled]) -> dict[str, Any]:
    """Everything about one sequence."""
    panels, predictions = [], {}
    window: tuple[int, int] | None = None
    for appearance in subject.appearances:
        each = labelled[appearance.result]
        here = {"sequence": appearance.sequence, "target": appearance.target}
        view = select(each.result, **here)
        target = str(view["target"].item())
        window, shown = _window(each.result, here, window)
        try:
            picture = draw(each.result, window=shown, **here)
            panels.append(Panel(f"{each.title}: {target}", picture, top_table(view, _ROWS)))
        except InputError as error:
            panels.append(Panel(f"{each.title}: {target}", problem=str(error)))
        value = number(float(view["prediction"]))
        predictions[target] = value if unit(view) == "output" else f"{value} ({unit(view)})"
    return {"name": name_of(view), "place": _place(view), "predictions": predictions, "panels": panels}


def _window(
    result: xr.Dataset, here: Mapping[str, int], common: tuple[int, int] | None
) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """The range of positions that the long results of a sequence have in common, and this result's.

    The first long result of a sequence chooses; the next ones show the same, as far as they have it.
    """
    own = strongest_window(result, **here)
    first, last = (int(position) for position in result["position"].values[[0, -1]])
    if own == (first, last + 1):
        return common, own
    if common is None:
        return own, own
    has_all = first <= common[0] and common[1] <= last + 1
    return common, common if has_all else own


def _place(view: xr.Dataset) -> str:
    """Where all of a sequence lies; empty where that is not known."""
    if not has_coordinates(view):
        return ""
    ends = np.array([0, int(view["end"]) - int(view["start"]) - 1])
    coordinates = {name: view[name].item() for name in _COORDINATES if name in view.coords}
    return interval(xr.Dataset(coords={**coordinates, "position": ends}))


def _render(**content: Any) -> str:
    folder = files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    style = (folder / "style.css").read_text(encoding="utf-8")
    return template.render(style=Markup(style), version=__version__, **content)
