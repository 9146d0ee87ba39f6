"""Numbers of the page's interactive tracks: what each result says of every base of every sequence, packed.

A thousand sequences of pictures would make a page of hundreds of megabytes. Their numbers, in steps of a
thousandth of the largest and compressed, are some three megabytes, and the page draws them itself.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.report.subjects import Subject
from kipoi_tfbind.results.files import pieces
from kipoi_tfbind.results.position_scores import base_scores, has_scores, source_of
from kipoi_tfbind.results.view import has_coordinates, name_of, number, unit

_AT_ONCE = 256  # sequences
_STEPS = 1000  # from 0 to the largest number of a track
_MISSING = -32768  # stands for no number
_LETTERS = np.array(list("ACGTN"))
_MAP = ("hypothetical_contribution", "mutation_effect")


@dataclass(frozen=True)
class Track:
    """Numbers of one sequence and target of one result.

    Attributes
    ----------
    result
        Index of the result.
    target
        Name of the target.
    prediction
        For the sequence.
    numbers
        Whole numbers of steps: per position and base, position, window, or pair, as the result has them.
        Scores that follow from the numbers of the bases are not among them.
    steps
        Size of a step of each of these parts.
    strongest
        Position in the sequence of the largest score; None where nothing has one.
    """

    result: int
    target: str
    prediction: float
    numbers: NDArray[np.int16]
    steps: list[float]
    strongest: int | None


@dataclass
class TrackedSequence:
    """One sequence, and its tracks in the order of the results.

    Attributes
    ----------
    place
        Name, and coordinates where they are known.
    first, letters
        Position in the sequence of the first letter, 0-based, and the letters.
    tracks
        Of every result and target that is shown.
    """

    place: dict[str, Any]
    first: int = 0
    letters: str = ""
    tracks: list[Track] = field(default_factory=list)


def track_sequences(subjects: Sequence[Subject], results: Sequence[xr.Dataset]) -> list[TrackedSequence]:
    """Read the numbers of sequences from the results, a few hundred sequences at a time.

    Parameters
    ----------
    subjects
        The sequences, in the order of the page.
    results
        The results that they appear in; those without scores of positions have no tracks.
    """
    tracked = [TrackedSequence({}) for _ in subjects]
    for index, result in enumerate(results):
        wanted = defaultdict(list)
        for row, subject in enumerate(subjects):
            for appearance in subject.appearances:
                if appearance.result == index:
                    wanted[appearance.sequence].append((row, appearance.target))
        first = 0
        for part in pieces(result, _AT_ONCE) if wanted and has_scores(result) else ():
            n = part.sizes["sequence"]
            _read_part(part, index, {i: wanted[first + i] for i in range(n) if first + i in wanted}, tracked)
            first += n
    return tracked


def _read_part(
    part: xr.Dataset, index: int, wanted: Mapping[int, list[tuple[int, int]]], tracked: list[TrackedSequence]
) -> None:
    """Read the tracks of some sequences of one result: sequence -> (row of the page, target)."""
    codes = codes_of(part["one_hot"].transpose("sequence", "position", "base").values)
    positions = part["position"].values
    for target in sorted({target for places in wanted.values() for _, target in places}):
        view = part.isel(target=target)
        arrays, scores = _arrays(view), base_scores(view)
        for sequence, places in wanted.items():
            for row, other in places:
                if other != target:
                    continue
                one = tracked[row]
                if not one.tracks:
                    one.place = _place(part.isel(sequence=sequence))
                if np.ptp(positions) + 1 > len(one.letters):
                    letters = np.full(np.ptp(positions) + 1, " ")
                    letters[positions - positions[0]] = _LETTERS[np.minimum(codes[sequence], 4)]
                    one.first, one.letters = int(positions[0]), "".join(letters)
                one.tracks.append(
                    _track(index, view, sequence, scores[sequence], [a[sequence] for a in arrays])
                )


def _arrays(view: xr.Dataset) -> list[NDArray]:
    """What a result has by base, by position, by window and by pair: (sequence, ...)."""
    arrays = []
    for name in _MAP:
        if name in view:
            values = view[name].transpose("sequence", "position", "base").values
            known = np.any(view["one_hot"].transpose("sequence", "position", "base").values, axis=-1)
            arrays.append(np.where(np.expand_dims(known, -1), values, np.nan))
            break
    if not derived_from(view):
        arrays.append(base_scores(view))
    if "occlusion_effect" in view:
        arrays.append(view["occlusion_effect"].transpose("sequence", "window").values)
    if "epistasis" in view:
        flat = view["epistasis"].transpose("sequence", "pair", "base_a", "base_b").values
        flat = flat.reshape(*flat.shape[:2], -1)
        which = np.nan_to_num(np.abs(flat), nan=-1).argmax(axis=-1)
        arrays += [np.take_along_axis(flat, which[..., np.newaxis], axis=-1)[..., 0], which]
    return arrays


def _track(index: int, view: xr.Dataset, sequence: int, scores: NDArray, arrays: list[NDArray]) -> Track:
    strength = np.abs(np.nan_to_num(scores))
    numbers, steps = [], []
    for values in arrays:
        if values.dtype.kind == "i":  # which pair of bases
            numbers.append(values.astype(np.int16))
            steps.append(1.0)
            continue
        largest = float(np.nanmax(np.abs(values), initial=0)) if np.isfinite(values).any() else 0.0
        step = largest / _STEPS or 1.0
        whole = np.where(np.isfinite(values), np.round(np.nan_to_num(values) / step), _MISSING)
        numbers.append(whole.astype(np.int16).ravel())
        steps.append(float(f"{step:.6g}"))
    return Track(
        index,
        str(view["target"].item()),
        float(view["prediction"].values[sequence]),
        np.concatenate(numbers),
        steps,
        int(view["position"][strength.argmax()]) if strength.any() else None,
    )


def derived_from(result: xr.Dataset) -> str:
    """How the scores follow from the numbers of the bases: "mean", "observed", or "" where they do not.

    Those of mutagenesis are minus the mean of the three substitutions. Contributions of DeepSHAP and of
    gradients are the hypothetical ones of the observed bases; of other methods that is not known.
    """
    if source_of(result) == "mutation_effect":
        return "mean"
    known = result.attrs.get("method") in ("deep_shap", "gradients") and "hypothetical_contribution" in result
    return "observed" if known else ""


def _place(one: xr.Dataset) -> dict[str, Any]:
    place: dict[str, Any] = {"name": name_of(one)}
    if has_coordinates(one):
        strand = str(one["strand"].item()) if "strand" in one.coords else "+"
        place |= {"chrom": str(one["chrom"].item()), "start": int(one["start"]), "end": int(one["end"])}
        place["strand"] = strand
    return place


def describe_result(title: str, result: xr.Dataset) -> dict[str, Any]:
    """What the page has to know of a result to draw its tracks."""
    if not has_scores(result):
        return {"title": title}
    positions = result["position"].values
    contiguous = positions[-1] - positions[0] == len(positions) - 1
    words = {
        "mutation_effect": "\N{MINUS SIGN} mean effect",
        "occlusion_effect": "\N{MINUS SIGN} mean effect",
    }
    described: dict[str, Any] = {
        "title": title,
        "unit": unit(result),
        "score": words.get(source_of(result), "contribution"),
        "positions": [int(positions[0]), len(positions)] if contiguous else [],
        "list": [] if contiguous else positions.tolist(),
        "derived": derived_from(result),
        "map": next((name for name in _MAP if name in result), ""),
    }
    if "occlusion_effect" in result:
        described["windows"] = [result[f"window_{end}"].values.tolist() for end in ("start", "end")]
    if "epistasis" in result:
        described["pairs"] = [
            np.searchsorted(positions, result[f"position_{side}"].values).tolist() for side in "ab"
        ]
    return described


def pack(
    sequences: Sequence[TrackedSequence],
    results: Sequence[Mapping[str, Any]],
    hits: Sequence[Sequence[Any]],
    budget: int,
) -> tuple[str, int]:
    """Pack tracks for the page: as many sequences, from the first on, as have room in `budget` characters.

    Parameters
    ----------
    sequences
        What `track_sequences` read.
    results
        What `describe_result` says of each result.
    hits
        Hits of each sequence, as lists that the page's script knows.
    budget
        Largest number of characters.

    Returns
    -------
    packed
        Base64 of a compressed text: sizes, JSON, then the lower and the upper bytes of the numbers.
    n
        How many sequences are in it.
    """
    n = len(sequences)
    while True:
        packed = _packed(sequences[:n], results, hits[:n])
        if len(packed) <= budget or not n:
            return packed, n
        n = min(n - 1, int(0.97 * n * budget / len(packed)))


def _packed(
    sequences: Sequence[TrackedSequence], results: Sequence[Mapping[str, Any]], hits: Sequence[Sequence[Any]]
) -> str:
    parts: list[NDArray[np.int16]] = []
    at, listed = 0, []
    for one, found in zip(sequences, hits, strict=True):
        tracks = []
        for track in one.tracks:
            tracks.append(
                {
                    "result": track.result,
                    "target": track.target,
                    "prediction": number(track.prediction),
                    "at": at,
                    "steps": track.steps,
                }
            )
            parts.append(track.numbers)
            at += len(track.numbers)
        listed.append(
            {**one.place, "first": one.first, "letters": one.letters, "tracks": tracks, "hits": found}
        )
    text = json.dumps({"results": results, "sequences": listed}, separators=(",", ":")).encode()
    numbers = np.concatenate([*parts, np.empty(0, np.int16)]).astype("<i2").view(np.uint8)
    sizes = np.array([len(text), at], dtype="<u4").tobytes()
    raw = sizes + text + numbers[::2].tobytes() + numbers[1::2].tobytes()
    return base64.b64encode(zlib.compress(raw, 6)).decode()
