"""An experiment on backgrounds into a result file; an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind.interpret._method import wrapped_for
from kipoi_tfbind.interpret.global_importance._analyse import METHOD, content_hash
from kipoi_tfbind.interpret.global_importance.experiment_shards import shard_marks
from kipoi_tfbind.interpret.global_importance.kept_effects import KeptEffects
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.results.append import open_for_append
from kipoi_tfbind.results.files import OPTION, write_netcdf
from kipoi_tfbind.results.shards import Shard
from kipoi_tfbind.results.stream import model_attributes

# What may differ between an interrupted run and the one that goes on with it.
_NO_MATTER = ("batch_size", "verify")


def stream_experiment(
    experiment: Callable[..., xr.Dataset],
    model: Any,
    backgrounds: xr.Dataset,
    path: str | os.PathLike[str],
    /,
    *arguments: Any,
    shard: Shard | str | None = None,
    restart: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Run an experiment of global importance analysis, and write its result.

    Effects of some hundred backgrounds at a time are safe at any moment: when the process is killed, the same
    call goes on after them.

    Parameters
    ----------
    experiment
        Such as `motif_importance` or `spacing_importance`: one whose patterns are embedded in backgrounds.
    model, backgrounds, *arguments, **options
        Its arguments.
    path
        File of the result, netCDF-4; a file of that name is replaced when the run is complete.
    shard
        Only a share of the backgrounds, such as "2/8": every eighth block of at most 256; `merge_shards`
        joins the files of all shards, and makes means, intervals and tests.
    restart
        Throw away what an interrupted run has written.

    Returns
    -------
    xr.Dataset
        That of the experiment; of a shard, its labels only.

    Raises
    ------
    InputError
        As the experiment; the file cannot be written there, another process is writing it, or what an
        interrupted run has written is of another model, of other backgrounds or of other options.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds, motif_importance
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model, path = as_sequence_model(motif_counter("GATA")), getfixture("tmp_path") / "effect.nc"
    >>> backgrounds = make_backgrounds("uniform", 500, length=20)
    >>> result = stream_experiment(motif_importance, model, backgrounds, path, {"a": "GATA"})
    >>> bool(result["importance"].item() > 0.9)
    True
    """
    model = wrapped_for(backgrounds, model)
    shard = Shard.parse(shard) if isinstance(shard, str) else shard
    attributes = {
        **model_attributes(METHOD, model),
        "background_hash": content_hash(backgrounds),
        f"{OPTION}experiment": experiment.__name__,
        f"{OPTION}arguments": _text(arguments),
        **{f"{OPTION}{name}": _text(each) for name, each in options.items() if name not in _NO_MATTER},
        f"{OPTION}shard": str(shard),
    }
    found: list[xr.Dataset] = []

    def write(merged: Path) -> None:
        write_netcdf(found[0], merged)

    marks = None if shard is None else lambda: shard_marks(shard, found[0], len(model.members or (model,)))
    with open_for_append(
        path, attributes, restart=restart, dimension="background", complete=write, marks=marks
    ) as out:
        kept = KeptEffects(out, shard)
        found.append(experiment(model, backgrounds, *arguments, kept=kept, **options))
    return found[0]


def _text(value: Any) -> str:
    """An argument as text that is the same for the same value."""
    if isinstance(value, Motif):
        return f"{value.name} {hashlib.sha256(np.ascontiguousarray(value.matrix).tobytes()).hexdigest()[:16]}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)
