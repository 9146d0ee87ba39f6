"""The report itself: what goes into the page, and the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from kipoi_tfbind import __version__
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.notices import followed
from kipoi_tfbind.report.card import cards_of
from kipoi_tfbind.report.checks import completeness, equivariance
from kipoi_tfbind.report.labelled import Labelled, label, settings
from kipoi_tfbind.report.letters import symbols
from kipoi_tfbind.report.map_checks import map_check_panels
from kipoi_tfbind.report.more_methods import more_panels
from kipoi_tfbind.report.motifs import motif_section
from kipoi_tfbind.report.patterns import pattern_panels
from kipoi_tfbind.report.places import Place, place_section, places_of
from kipoi_tfbind.report.scripts import page_script
from kipoi_tfbind.report.sections import SequenceRow, sequence_row, sequence_section
from kipoi_tfbind.report.subjects import check_targets, find_subjects
from kipoi_tfbind.report.tracks import TrackedSequence, describe_result, pack, track_sequences
from kipoi_tfbind.report.variants import variant_section
from kipoi_tfbind.results.files import check_writable, whole_file

_LARGEST = 5_900_000  # bytes of a page
_PICTURES = 3_500_000  # bytes of its pictures of sequences
_MOST = 2000  # sequences in the table
_PARTS = ("sequences", "patterns", "variants", "maps", "motifs", "places", "more")


@dataclass(frozen=True)
class _Sequences:
    """The part of the page about sequences.

    Attributes
    ----------
    sections
        Pictures and tables of the first ones.
    rows
        Of the table, for each of the first 2,000 that has scores of its positions.
    tracked
        Numbers of the same, for the page's own pictures.
    places
        Name of a sequence -> hits and seqlets in it.
    n
        Number of all sequences.
    """

    sections: list[dict[str, Any]]
    rows: list[SequenceRow]
    tracked: list[TrackedSequence]
    places: dict[str, list[Place]]
    n: int


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

    Results of global importance analysis, motifs, hits and seqlets, explained variants and checks of maps
    have parts of the page to themselves. In a browser, tables can be sorted and searched, and every sequence
    has tracks that can be zoomed and read base by base; without its script, the page has all the pictures and
    tables.

    Everything is inside the one file, which stays under 6 MB; the page loads nothing from anywhere and prints
    well. The same results make the same page, byte for byte.

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
        How many sequences to draw: those with the largest prediction (for a raw output, the largest
        magnitude), as far as the page has room. The page says how many were left out; up to 2,000 are in its
        table, and have tracks as far as there is room.
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
    labelled = label(results)
    if max_sequences < 1:
        raise InputError(f"max_sequences: expected at least 1, got {max_sequences}")
    about = {part: [each for each in labelled if each.about == part] for part in _PARTS}
    with_targets = [*about["sequences"], *about["maps"], *about["patterns"], *about["more"]]
    check_targets([each.result for each in with_targets], targets if with_targets else None)
    cards = cards_of(results, model)
    sequences = _sequences(about["sequences"], about["places"], targets, max_sequences)
    one = targets[0] if targets else None
    content = {
        "title": title or "Interpretation of " + ", ".join(dict.fromkeys(card.name for card in cards)),
        "labelled": labelled,
        "cards": cards,
        "settings": settings(labelled),
        "completeness": [(each, completeness(each.result)) for each in (*about["sequences"], *about["more"])],
        "equivariance": [(each, equivariance(each.result)) for each in about["sequences"]],
        "motifs": [motif_section(each.title, each.result, one) for each in about["motifs"]],
        "places": [place_section(each.title, each.result) for each in about["places"]],
        "patterns": [(each.title, pattern_panels(each.result, targets)) for each in about["patterns"]],
        "variants": variant_section([each.result for each in about["variants"]]),
        "map_checks": [(each.title, map_check_panels(each.result, targets)) for each in about["maps"]],
        "more": [(each.title, more_panels(each.result, targets, max_sequences)) for each in about["more"]],
        "sequences": sequences,
        "targets": targets,
        "n_targets": max(result.sizes.get("target", 1) for result in results),
        "versions": [
            (each.title, str(each.result.attrs.get("versions", "not recorded"))) for each in labelled
        ],
    }
    page = _with_tracks(content, sequences, about["sequences"])
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _sequences(
    labelled: Sequence[Labelled],
    places: Sequence[Labelled],
    targets: Sequence[str] | None,
    max_sequences: int,
) -> _Sequences:
    """Find the sequences, and draw the first ones, as far as a page has room for pictures."""
    subjects = find_subjects([each.result for each in labelled], targets)
    found = places_of([each.result for each in places], [each.result for each in labelled])
    sections: list[dict[str, Any]] = []
    size = 0
    for subject in followed(subjects[:max_sequences], "report"):
        section = sequence_section(subject, labelled, found)
        size += sum(len(panel.picture.source) for panel in section["panels"] if panel.picture)
        if size > _PICTURES and sections:
            break
        sections.append(section)
    tracked = track_sequences(subjects[:_MOST], [each.result for each in labelled])
    tracked = [one for one in tracked if one.tracks]
    rows = [sequence_row(one, found.get(one.place["name"], ())) for one in tracked]
    return _Sequences(sections, rows, tracked, found, len(subjects))


def _with_tracks(content: dict[str, Any], sequences: _Sequences, labelled: Sequence[Labelled]) -> str:
    """The page, with the tracks of as many sequences as it has room for."""
    without = _render(**content, tracks="", n_tracks=0)
    if not sequences.tracked:
        return without
    described = [describe_result(each.title, each.result) for each in labelled]
    hits = [sequences.places.get(one.place["name"], []) for one in sequences.tracked]
    room = max(0, _LARGEST - len(without.encode()))
    packed, n = pack(sequences.tracked, described, hits, room)
    return _render(**content, tracks=packed if n else "", n_tracks=n)


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


def _render(**content: Any) -> str:
    folder = files(__package__)
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (folder / "style.css").read_text(encoding="utf-8")
    script, policy = page_script()
    return environment.get_template("report.html.j2").render(
        style=Markup(style), script=script, policy=policy, symbols=symbols(), version=__version__, **content
    )
