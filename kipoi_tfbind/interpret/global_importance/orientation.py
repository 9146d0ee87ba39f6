"""Effect of the orientation of a motif."""

from __future__ import annotations

from typing import Any, Unpack

import xarray as xr

from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, centre, length_of
from kipoi_tfbind.interpret.global_importance.effect import Motifs
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.read import parse_motifs


def orientation_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motifs: Motifs,
    *,
    offset: int | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of each motif on either strand, and the difference between them.

    The ``difference`` is that of the reverse complement minus that of the motif, at the same place of the
    same backgrounds; of a motif with a matrix, both strands have the same draw.

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
        That of `global_importance_analysis`, with the coordinates ``motif`` and ``orientation`` by pattern.

    Raises
    ------
    InputError
        As `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GATAAG"))
    >>> result = orientation_importance(model, make_backgrounds("uniform", 50, length=30), ["GATAAG"])
    >>> result["importance"].isel(target=0).values.round(1)
    array([1., 0.])
    """
    length, design = length_of(backgrounds), Design("orientation")
    for name, motif in parse_motifs(motifs).items():
        at = centre(length, len(motif)) if offset is None else offset
        design.add(f"{name} +", [(motif, at)], motif=name, orientation="+")
        reverse = [(motif.reverse_complement(), at)]
        design.add(f"{name} -", reverse, [f"{name} +"], motif=name, orientation="-")
    return analyse(model, backgrounds, design, Settings(**options))
