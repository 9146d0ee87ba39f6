"""Effect of a motif along the background."""

from __future__ import annotations

from typing import Any, Unpack

import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse, length_of
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import parse_motif


def position_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    motif: str | Motif | NDArray,
    *,
    start: int = 0,
    end: int | None = None,
    step: int = 1,
    both_orientations: bool = True,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of a motif at each position.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    motif
        Motif, as `kipoi_tfbind.parse_motif` takes it.
    start, end
        Range that the motif lies in, 0-based, `end` not included; None is the end of the backgrounds.
    step
        Distance between positions, in bp.
    both_orientations
        Embed the reverse complement too.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`, with the coordinates ``offset`` (of the first base) and
        ``orientation`` ("+" or "-") by pattern.

    Raises
    ------
    InputError
        An empty range, or as `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :3, 2].sum(axis=1), targets=["G at the start"])
    >>> backgrounds = make_backgrounds("uniform", 200, length=8)
    >>> result = position_importance(model, backgrounds, "GG", both_orientations=False)
    >>> result["importance"].sel(target="G at the start").values.round(1)
    array([1.5, 1.5, 0.7, 0. , 0. , 0. , 0. ])
    """
    motif, length, design = parse_motif(motif), length_of(backgrounds), Design("position")
    end = length if end is None else end
    if not 0 <= start < end <= length or step < 1 or end - start < len(motif):
        raise InputError(
            f"start, end, step: expected a range within 0 to {length} with room for {motif.name} "
            f"({len(motif)} bp) and a step from 1 on, got {start}, {end} and {step}"
        )
    orientations = {"+": motif, "-": motif.reverse_complement()}
    for orientation, oriented in orientations.items() if both_orientations else [("+", motif)]:
        for offset in range(start, end - len(motif) + 1, step):
            name = f"{motif.name} {orientation} {offset}"
            design.add(name, [(oriented, offset)], offset=offset, orientation=orientation)
    design.attributes = {
        "motif": motif.name,
        "motif_width": len(motif),
        "start": start,
        "end": end,
        "step": step,
    }
    return analyse(model, backgrounds, design, Settings(**options))
