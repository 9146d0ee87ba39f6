"""Effect of the number of copies of a motif."""

from __future__ import annotations

from typing import Any, Unpack

import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, centre, length_of
from kipoi_tfbind.interpret.global_importance._insertions import Insertion
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif


def number_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motif: str | Motif | NDArray,
    *,
    max_copies: int = 4,
    distance: int | None = None,
    offset: int | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of 1 to `max_copies` copies of a motif, against the sum of single copies.

    Each number of copies is compared with single copies at the same places of the same backgrounds: the
    ``difference`` is 0 where copies add up, and `interaction_verdicts` says what it is else.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motif
        Motif, as `kipoi_tfbind.parse_motif` takes it; each copy is drawn for itself.
    max_copies
        Largest number of copies.
    distance
        From the start of a copy to that of the next, in bp; by default the motif's width and 10.
    offset
        0-based position of the first base of the first copy; by default all copies lie in the middle.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`, with the coordinates ``copies`` and ``role`` ("copies", or
        "single" for the single copies at each place) by pattern.

    Raises
    ------
    InputError
        Copies that overlap or do not fit, or as `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> counter = motif_counter("GATAAG")
    >>> model = as_sequence_model(lambda one_hot: counter(one_hot) ** 2, targets=["square"])
    >>> result = number_importance(model, make_backgrounds("uniform", 50, length=60), "GATAAG", max_copies=3)
    >>> copies = result.isel(pattern=(result["role"] == "copies").values).isel(target=0)
    >>> copies["difference"].values.round(1)
    array([0., 2., 6.])
    """
    motif, length, design = parse_motif(motif), length_of(backgrounds), Design("number")
    distance = len(motif) + 10 if distance is None else distance
    if max_copies < 1 or distance < 1:
        raise InputError(f"max_copies, distance: expected at least 1, got {max_copies} and {distance}")
    first = centre(length, (max_copies - 1) * distance + len(motif)) if offset is None else offset
    places = [Insertion(motif, first + copy * distance, copy) for copy in range(max_copies)]
    for copy, insertion in enumerate(places):
        design.add(f"{motif.name} alone, place {copy + 1}", [insertion], copies=1, role="single")
    singles = list(design.patterns)
    for n in range(1, max_copies + 1):
        design.add(f"{n} x {motif.name}", places[:n], singles[:n], copies=n, role="copies")
    design.attributes = {"motif": motif.name, "max_copies": max_copies, "distance": distance, "offset": first}
    return analyse(model, backgrounds, design, Settings(**options))
