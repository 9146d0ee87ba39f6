"""Part of a report about sequences: pictures and tables of some, and a row of the table for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.result import strongest_window
from kipoi_tfbind.report.figures import Picture, draw, shown_kind
from kipoi_tfbind.report.labelled import Labelled
from kipoi_tfbind.report.places import Place
from kipoi_tfbind.report.subjects import Subject
from kipoi_tfbind.report.tables import Table, top_table
from kipoi_tfbind.report.tracks import TrackedSequence
from kipoi_tfbind.results.position_scores import has_scores
from kipoi_tfbind.results.view import has_coordinates, interval, name_of, number, select, unit

_ROWS = 10  # of a table of top positions
_COORDINATES = ("chrom", "start", "end", "strand")


@dataclass(frozen=True)
class Panel:
    """Part of the page about one sequence and target of one result.

    Attributes
    ----------
    title
        Method and target.
    legend
        What the picture shows, in a sentence.
    picture
        The result's picture.
    table
        The strongest positions, pairs or windows.
    problem
        Why there is neither, where there is nothing to show.
    """

    title: str
    legend: str = ""
    picture: Picture | None = None
    table: Table | None = None
    problem: str = ""


_LEGENDS = {
    "map": "Above, each base is as high as minus the mean effect of its three substitutions, or as its "
    "contribution; below, the effect of each base in its place: red raises the prediction, blue lowers it, a "
    "dot marks the observed base.",
    "logo": "Each base is as high as its contribution to the prediction, or its Grad-CAM.",
    "epistasis": "Each cell is the strongest epistasis of the two positions: red where both substitutions "
    "together do more for the prediction than the sum of each, blue where less; below, each base is as high "
    "as minus the mean effect of its three substitutions.",
    "occlusion": "Change of the prediction when a window is occluded, at the middle of the window.",
    "interaction": "What every two positions or segments do together beyond each alone; red raises the "
    "prediction, blue lowers it.",
    "samples": "Information in the bases of samples whose prediction is that of the sequence.",
    "design": "Predictions after each substitution; black is the target.",
    "surrogate": "Effect of each substitution in the additive model against its effect in the sequence as "
    "it is, with 95% intervals.",
}


def sequence_section(
    subject: Subject, labelled: Sequence[Labelled], places: Mapping[str, Sequence[Place]]
) -> dict[str, Any]:
    """Everything about one sequence: its name, place, predictions, and a panel for each result."""
    panels, predictions = [], {}
    window: tuple[int, int] | None = None
    for appearance in subject.appearances:
        each = labelled[appearance.result]
        here = {"sequence": appearance.sequence, "target": appearance.target}
        view = select(each.result, **here)
        target = str(view["target"].item())
        window, shown = _window(each.result, here, window)
        title = f"{each.title}: {target}"
        try:
            picture = draw(each.result, window=shown, places=places.get(name_of(view), ()), **here)
            legend = _LEGENDS.get(shown_kind(each.result), "")
            table = top_table(view, _ROWS) if has_scores(view) else None
            panels.append(Panel(title, legend, picture, table))
        except InputError as error:
            panels.append(Panel(title, problem=str(error)))
        value = number(float(view["prediction"]))
        predictions[target] = value if unit(view) == "output" else f"{value} ({unit(view)})"
    place, name = _place(view), name_of(view)
    if place.replace(",", "").removesuffix(" (-)") == name:
        name, place = place, ""  # a sequence without a name is called by its place
    return {"name": name, "place": place, "predictions": predictions, "panels": panels}


def _window(
    result: xr.Dataset, here: Mapping[str, int], common: tuple[int, int] | None
) -> tuple[tuple[int, int] | None, tuple[int, int]]:
    """The range of positions that the long results of a sequence have in common, and this result's.

    The first long result of a sequence chooses; the next ones show the same, as far as they have it.
    """
    if not has_scores(result):
        return common, (0, 0)  # drawn whole
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


@dataclass(frozen=True)
class SequenceRow:
    """A row of the table of sequences.

    Attributes
    ----------
    name, place, targets, predictions
        Of the sequence.
    strongest
        The position with the largest score in the first result.
    hits
        Names of the hits in it.
    """

    name: str
    place: str
    targets: str
    predictions: str
    strongest: str
    hits: str


def sequence_row(one: TrackedSequence, places: Sequence[Place]) -> SequenceRow:
    """The row of one sequence."""
    place = one.place
    track = one.tracks[0]
    shown = {each.target: number(each.prediction) for each in one.tracks}
    where = ""
    if "chrom" in place:
        strand = " (\N{MINUS SIGN})" if place["strand"] == "-" else ""
        where = f"{place['chrom']}:{place['start'] + 1:,}-{place['end']:,}{strand}"
    strongest = ""
    if track.strongest is not None:
        position = track.strongest
        base = one.letters[position - one.first]
        at = (
            position
            if "chrom" not in place
            else place["end"] - position
            if place["strand"] == "-"
            else place["start"] + 1 + position
        )
        strongest = f"{base}{at:,}"
    hits = ", ".join(dict.fromkeys(each[3] for each in places))
    return SequenceRow(place["name"], where, ", ".join(shown), ", ".join(shown.values()), strongest, hits)
