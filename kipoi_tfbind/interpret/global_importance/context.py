"""Effect of what is around a motif: GC content and bases of its flanks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, centre, length_of
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif

MAX_FLANK_BASES = 3


def context_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motif: str | Motif | NDArray,
    *,
    gc: Sequence[float] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    flank: int = 20,
    flank_bases: int = 0,
    offset: int | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of a motif between flanks of each GC content, or of given bases.

    For each kind of flanks three things are embedded in the same backgrounds: the flanks alone, the motif
    alone, and the motif between them. In the flanks the importance of the motif is that of both minus that of
    the flanks (``role`` "in context"); minus the importance of the motif alone as well, it is what the flanks
    change (``role`` "change"). Both are the ``difference`` of their pattern.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motif
        Motif, as `kipoi_tfbind.parse_motif` takes it.
    gc
        GC contents of the flanks, from 0 to 1; their bases are drawn for each background, from the same
        random numbers for all contents, so that the backgrounds pair them too.
    flank
        Width of the flank on either side, in bp; cut where the background ends.
    flank_bases
        1 to 3: all combinations of so many bases on either side, instead of GC contents.
    offset
        0-based position of the first base of the motif; by default it is in the middle.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`, with the coordinates ``gc`` (NaN where there is none),
        ``flanks`` ("A_TC" is A before and TC after) and ``role`` ("motif", "flanks", "in context", "change")
        by pattern.

    Raises
    ------
    InputError
        A GC content that is none, no room for flanks, or as `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("CGATAAG"))
    >>> backgrounds = make_backgrounds("uniform", 400, length=30)
    >>> result = context_importance(model, backgrounds, "GATAAG", flank_bases=1)
    >>> inside = result.isel(pattern=((result["role"] == "in context") & (result["flanks"] == "C_A")).values)
    >>> inside["difference"].values.round(1)
    array([[1.]])
    """
    motif, length, design = parse_motif(motif), length_of(backgrounds), Design("context")
    at = centre(length, len(motif)) if offset is None else offset
    _check(gc, flank, flank_bases, at, length - at - len(motif))
    design.add(motif.name, [(motif, at)], gc=np.nan, flanks="", role="motif")
    if flank_bases:
        words = ["".join(word) for word in itertools.product(BASES, repeat=flank_bases)]
        for before, after in itertools.product(words, words):
            pattern = [(parse_motif(before), at - flank_bases), (parse_motif(after), at + len(motif))]
            _add(design, motif, at, f"{before}_{after}", pattern, np.nan)
    else:
        left, right = min(flank, at), min(flank, length - at - len(motif))
        for content in gc:
            row = np.array([1 - content, content, content, 1 - content]) / 2
            pattern = [
                (Motif("flank", np.tile(row, (width, 1)), stream=f"flank {side}"), start)
                for side, width, start in (("left", left, at - left), ("right", right, at + len(motif)))
                if width
            ]
            _add(design, motif, at, f"GC {content:g}", pattern, content)
    design.attributes = {"motif": motif.name, "flank": flank_bases or flank, "offset": at}
    return analyse(model, backgrounds, design, Settings(**options))


def _add(
    design: Design, motif: Motif, at: int, name: str, flanks: list[tuple[Motif, int]], gc: float
) -> None:
    alone, both, change = f"{name} alone", f"{name}", f"{name}, change"
    pattern = [*flanks, (motif, at)]
    design.add(alone, flanks, gc=gc, flanks=name, role="flanks")
    design.add(both, pattern, [alone], gc=gc, flanks=name, role="in context")
    design.add(change, pattern, [alone, motif.name], gc=gc, flanks=name, role="change")


def _check(gc: Sequence[float], flank: int, flank_bases: int, left: int, right: int) -> None:
    if not 0 <= flank_bases <= MAX_FLANK_BASES:
        raise InputError(f"flank_bases: expected 0 to {MAX_FLANK_BASES}, got {flank_bases}")
    if min(left, right) < flank_bases:
        raise InputError(
            f"flank_bases: {flank_bases} do not fit beside the motif; {left} and {right} bp are there"
        )
    if flank_bases:
        return
    if not len(gc) or not all(0 <= content <= 1 for content in gc):
        raise InputError(f"gc: expected contents from 0 to 1, got {list(gc)}")
    if flank < 1 or max(left, right) < 1:
        raise InputError(f"flank: expected a width from 1 on with room beside the motif, got {flank}")
