"""Effect of the spacing of two motifs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, centre, length_of
from kipoi_tfbind.interpret.global_importance._insertions import Insertion
from kipoi_tfbind.interpret.global_importance.effect import Motifs
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif, parse_motifs
from kipoi_tfbind.notices import notice

ORIENTATIONS = ("++", "+-", "-+", "--")


def spacing_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motif_a: str | Motif | NDArray,
    motif_b: str | Motif | NDArray,
    *,
    max_distance: int = 50,
    step: int = 1,
    orientations: Sequence[str] = ORIENTATIONS,
    offset: int | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of two motifs at each distance from each other, and what they do beyond each alone.

    The first motif stays where it is, the second one is moved; so what a position does to the second by
    itself is in its single effects, and the ``difference`` importance(a, b) - importance(a) - importance(b),
    on the same backgrounds and at the same places, is free of it.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motif_a, motif_b
        Motifs, as `kipoi_tfbind.parse_motif` takes them.
    max_distance
        Largest distance in bp, from the first base of one to that of the other, in either direction.
        Distances at which they would overlap are left out, or clipped with ``on_conflict="clip"``.
    step
        Step between distances, in bp.
    orientations
        Some of "++", "+-", "-+" and "--": those of the first and of the second motif.
    offset
        0-based position of the first base of the first motif; by default it is in the middle.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`, with the coordinates ``distance`` (of the second motif's first
        base from the first's; negative where the second is upstream), ``orientation`` and ``role`` ("pair",
        "first" or "second") by pattern. ``difference`` is there for pairs.

    Raises
    ------
    InputError
        No distance fits, another orientation, or as `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GATANNCACG"))  # both, with two bases between them
    >>> backgrounds = make_backgrounds("uniform", 50, length=40)
    >>> result = spacing_importance(model, backgrounds, "GATA", "CACG", max_distance=8, orientations=["++"])
    >>> pairs = result.isel(pattern=(result["role"] == "pair").values)
    >>> int(pairs["distance"][pairs["difference"].values.argmax()])
    6
    """
    first, second = parse_motif(motif_a), parse_motif(motif_b)
    length, design = length_of(backgrounds), Design("spacing")
    at = centre(length, len(first)) if offset is None else offset
    _check(max_distance, step, orientations)
    distances = _distances(
        first, second, at, length, max_distance, step, options.get("on_conflict", "refuse")
    )
    _add_pair(design, first, second, at, distances, orientations)
    design.attributes = {
        "motif_a": first.name,
        "motif_b": second.name,
        "width_a": len(first),
        "width_b": len(second),
    }
    design.attributes |= {"max_distance": max_distance, "step": step, "offset": at}
    return analyse(model, backgrounds, design, Settings(**options))


def spacing_of_pairs(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motifs: Motifs,
    pairs: Sequence[tuple[str, str]],
    *,
    max_distance: int = 50,
    step: int = 1,
    orientations: Sequence[str] = ORIENTATIONS,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of several pairs of motifs at each distance, as `spacing_importance` of each.

    All are in one result, and the q-values are for all of them together. The first motif of each pair is in
    the middle of the backgrounds.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motifs
        {name: motif}, or a list, as `kipoi_tfbind.motifs.read.parse_motifs` takes them.
    pairs
        Names of the motifs of each pair.
    max_distance, step, orientations
        As in `spacing_importance`.
    **options
        As in `spacing_importance`.

    Returns
    -------
    xr.Dataset
        As of `spacing_importance`, with the coordinates ``motif_a`` and ``motif_b`` by pattern.

    Raises
    ------
    InputError
        A pair has a motif that is not there, or as `spacing_importance`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GATANNCACG"))
    >>> backgrounds, motifs = make_backgrounds("uniform", 50, length=40), ["GATA", "CACG", "TTT"]
    >>> pairs = [("GATA", "CACG"), ("GATA", "TTT")]
    >>> result = spacing_of_pairs(model, backgrounds, motifs, pairs, max_distance=8, orientations=["++"])
    >>> best = result.isel(pattern=np.nanargmax(result["difference"].values[:, 0]))
    >>> best["motif_b"].item(), int(best["distance"])
    ('CACG', 6)
    """
    parsed, length, design = parse_motifs(motifs), length_of(backgrounds), Design("spacing")
    _check(max_distance, step, orientations)
    unknown = [name for pair in pairs for name in pair if name not in parsed]
    if unknown or not pairs:
        raise InputError(
            f"pairs: expected pairs of {', '.join(parsed)}, got {repr(unknown[0]) if unknown else 'none'}"
        )
    conflict = options.get("on_conflict", "refuse")
    for first, second in ((parsed[a], parsed[b]) for a, b in pairs):
        at = centre(length, len(first))
        distances = _distances(first, second, at, length, max_distance, step, conflict)
        _add_pair(design, first, second, at, distances, orientations)
    first, second = (parsed[name] for name in pairs[0])
    # Of the first pair, which a plot shows.
    design.attributes = {"motif_a": first.name, "motif_b": second.name}
    design.attributes |= {"width_a": len(first), "width_b": len(second)}
    design.attributes |= {"n_pairs": len(pairs), "max_distance": max_distance, "step": step}
    return analyse(model, backgrounds, design, Settings(**options))


def _add_pair(
    design: Design,
    first: Motif,
    second: Motif,
    at: int,
    distances: Sequence[int],
    orientations: Sequence[str],
) -> None:
    """Add two motifs at each distance, and each alone."""
    # Two copies of one motif are two draws from it.
    copy = int(first.key == second.key)
    for orientation in orientations:
        a, b = (
            m if sign == "+" else m.reverse_complement()
            for m, sign in zip((first, second), orientation, strict=True)
        )
        labels: dict[str, Any] = {"motif_a": first.name, "motif_b": second.name, "orientation": orientation}
        alone = f"{first.name} {orientation[0]}"
        design.add(alone, [Insertion(a, at)], distance=0, role="first", **labels)
        for distance in distances:
            other = Insertion(b, at + distance, copy)
            single = f"{second.name} {orientation[1]} {distance:+d} alone"
            # The same distance from a first motif of another width is another place.
            if any(known[1:] != other[1:] for known in design.patterns.get(single, ())):
                single = f"{second.name} {orientation[1]} {distance:+d} from {first.name}, alone"
            design.add(single, [other], distance=distance, role="second", **labels)
            name = f"{first.name} {second.name} {orientation} {distance:+d}"
            compared = [alone, single]
            design.add(name, [Insertion(a, at), other], compared, distance=distance, role="pair", **labels)


def _check(max_distance: int, step: int, orientations: Sequence[str]) -> None:
    if max_distance < 1 or step < 1:
        raise InputError(f"max_distance, step: expected at least 1, got {max_distance} and {step}")
    for orientation in orientations:
        if orientation not in ORIENTATIONS:
            raise InputError(f"orientations: expected some of {', '.join(ORIENTATIONS)}, got {orientation!r}")
    if not orientations:
        raise InputError(f"orientations: expected some of {', '.join(ORIENTATIONS)}, got none")


def _distances(
    first: Motif, second: Motif, at: int, length: int, max_distance: int, step: int, on_conflict: str
) -> list[int]:
    """Distances at which both motifs have room; the user is told of those that are left out."""
    steps = max_distance // step
    distances = np.arange(-steps, steps + 1) * step
    outside = (at + distances < 0) | (at + distances + len(second) > length)
    overlap = (distances > -len(second)) & (distances < len(first))
    left_out = distances[outside | (overlap & (on_conflict != "clip"))]
    kept = distances[~np.isin(distances, left_out)]
    # What is clipped away whole is no pair.
    kept = kept[~((kept == 0) & (len(second) <= len(first)))]
    if left_out.size:
        notice(
            f"{first.name} and {second.name}: {left_out.size} of {distances.size} distances are left out, "
            "where they overlap or reach out of the backgrounds"
        )
    if not kept.size:
        raise InputError(
            f"max_distance: {first.name} ({len(first)} bp) and {second.name} ({len(second)} bp) overlap, or "
            f"do not fit into {length} bp, at every distance up to {max_distance}; take a larger one"
        )
    return [int(distance) for distance in kept]
