"""Effect of each of several motifs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, centre, length_of
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motifs

Motifs = Mapping[str, str | Motif | NDArray] | Sequence[str | Motif]


def motif_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motifs: Motifs,
    *,
    offset: int | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of each motif, embedded by itself.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motifs
        {name: motif}, or a list, as `kipoi_tfbind.motifs.read.parse_motifs` takes them.
    offset
        0-based position of the first base of each; by default each is in the middle.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`, with the coordinate ``offset`` (pattern).

    Raises
    ------
    InputError
        As `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GATAAG"))
    >>> result = motif_importance(model, make_backgrounds("uniform", 100, length=30), ["GATAAG", "CATAAG"])
    >>> result["importance"].isel(target=0).values.round(2)
    array([1., 0.])
    """
    length, design = length_of(backgrounds), Design("effect")
    for name, motif in parse_motifs(motifs).items():
        at = centre(length, len(motif)) if offset is None else offset
        design.add(name, [(motif, at)], offset=at)
    return analyse(model, backgrounds, design, Settings(**options))
