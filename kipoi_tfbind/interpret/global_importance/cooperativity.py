"""Cooperativity: the effect of two motifs together beyond the sum of their effects alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, centre, length_of
from kipoi_tfbind.interpret.global_importance._insertions import Insertion
from kipoi_tfbind.interpret.global_importance.effect import Motifs
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.interpret.global_importance.spacing import ORIENTATIONS
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motifs


def cooperativity(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motifs: Motifs,
    *,
    gaps: Sequence[int] = (5, 10, 20),
    orientations: Sequence[str] = ("++",),
    pairs: Sequence[tuple[str, str]] | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Interaction of every two of some motifs, at some gaps between them.

    The ``difference`` of a pair is importance(p, q) - importance(p) - importance(q), each at the place that
    it has in the pair, on the same backgrounds: 0 where they act on their own. Every motif is paired with
    every one, itself included, in either order.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motifs
        {name: motif}, or a list, as `kipoi_tfbind.motifs.read.parse_motifs` takes them.
    gaps
        Numbers of bases between the end of the first and the start of the second; the pair is in the middle.
    orientations
        Some of "++", "+-", "-+" and "--".
    pairs
        Names of the motifs of each pair that is to be tested, in either order; by default every two.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`, with the coordinates ``motif_a`` (upstream), ``motif_b``,
        ``gap``, ``orientation`` and ``role`` ("pair" or "single") by pattern.

    Raises
    ------
    InputError
        A negative gap, another orientation, a pair that does not fit or of motifs that are not there, or as
        `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GATANNNCACG"))
    >>> backgrounds = make_backgrounds("uniform", 50, length=40)
    >>> result = cooperativity(model, backgrounds, ["GATA", "CACG"], gaps=[3]).isel(target=0)
    >>> pairs = result.isel(pattern=(result["role"] == "pair").values)
    >>> pairs["difference"].values.round(1) + 0
    array([0., 1., 0., 0.])
    """
    parsed, length, design = parse_motifs(motifs), length_of(backgrounds), Design("cooperativity")
    for orientation in orientations:
        if orientation not in ORIENTATIONS:
            raise InputError(f"orientations: expected some of {', '.join(ORIENTATIONS)}, got {orientation!r}")
    if not len(gaps) or min(gaps) < 0 or not orientations:
        raise InputError(f"gaps, orientations: expected gaps from 0 on and an orientation, got {list(gaps)}")
    for a, b in ordered_pairs(parsed, pairs):
        for gap in gaps:
            at = centre(length, len(a) + gap + len(b))
            for orientation in orientations:
                _add_pair(design, a, b, at, gap, orientation)
    design.attributes = {"gaps": ",".join(map(str, gaps)), "orientations": ",".join(orientations)}
    return analyse(model, backgrounds, design, Settings(**options))


def ordered_pairs(
    motifs: Mapping[str, Motif], pairs: Sequence[tuple[str, str]] | None
) -> list[tuple[Motif, Motif]]:
    """Every two motifs, or those of some pairs, in either order.

    Raises
    ------
    InputError
        A pair has a motif that is not there, or there is no pair.
    """
    chosen = [(a, b) for a in motifs for b in motifs] if pairs is None else list(pairs)
    unknown = [name for pair in chosen for name in pair if name not in motifs]
    if unknown or not chosen:
        raise InputError(
            f"pairs: expected pairs of {', '.join(motifs)}, got {repr(unknown[0]) if unknown else 'none'}"
        )
    if pairs is not None:
        chosen = list(dict.fromkeys(each for a, b in chosen for each in ((a, b), (b, a))))
    return [(motifs[a], motifs[b]) for a, b in chosen]


def _add_pair(design: Design, a: Motif, b: Motif, at: int, gap: int, orientation: str) -> None:
    """Add a pair and both of its motifs alone, each where it lies in the pair."""
    oriented = [m if s == "+" else m.reverse_complement() for m, s in zip((a, b), orientation, strict=True)]
    # Two copies of one motif are two draws from it.
    copy = int(a.key == b.key)
    placed = [Insertion(oriented[0], at), Insertion(oriented[1], at + len(a) + gap, copy)]
    singles = []
    for insertion, sign in zip(placed, orientation, strict=True):
        name = f"{insertion.motif.name} {sign} @{insertion.offset}" + (" (2)" if insertion.instance else "")
        here: dict[str, Any] = {
            "motif_a": insertion.motif.name,
            "motif_b": "",
            "gap": -1,
            "orientation": sign,
            "role": "single",
        }
        design.add(name, [insertion], **here)
        singles.append(name)
    pair: dict[str, Any] = {"motif_a": a.name, "motif_b": b.name, "gap": gap}
    pair |= {"orientation": orientation, "role": "pair"}
    design.add(f"{a.name} {b.name} {orientation} gap {gap}", placed, singles, **pair)
