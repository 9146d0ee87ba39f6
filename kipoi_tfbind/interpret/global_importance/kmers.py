"""Effect of every k-mer, in memory or streamed into a file."""

from __future__ import annotations

import os
from typing import Any, Unpack

import numpy as np
import xarray as xr

from kipoi_tfbind.dna.one_hot import BASES, decode_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._method import wrapped_for
from kipoi_tfbind.interpret.global_importance._analyse import (
    METHOD,
    Design,
    analyse,
    centre,
    content_hash,
    length_of,
)
from kipoi_tfbind.interpret.global_importance._summary import add_corrected
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.results.shards import Shard
from kipoi_tfbind.results.stream import model_attributes, number_at_once, option_attributes, stream_ranges

MAX_K = 10
_MOST_AT_ONCE = 256


def kmer_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    k: int = 6,
    *,
    start: int = 0,
    end: int | None = None,
    offset: int | None = None,
    corrected: bool = True,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Importance of every k-mer, ranked: the words that raise or lower the prediction, with no motif in mind.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    k
        Length of the words, 1 to 10; there are 4**k.
    start, end
        Numbers of the k-mers, 0-based in alphabetical order, `end` not included; all by default. Memory grows
        with k-mers × backgrounds × targets: `stream_kmer_importance` takes some at a time.
    offset
        0-based position of the first base; by default they are in the middle.
    corrected
        Rank these k-mers, and correct for their number. Else ``rank``, ``q_value`` and
        ``difference_q_value`` are left out: they depend on all k-mers.
    **options
        ``on_conflict``, ``confidence``, ``n_resamples``, ``seed``, ``path``, ``verify`` and ``batch_size``,
        as in `global_importance_analysis`.

    Returns
    -------
    xr.Dataset
        That of `global_importance_analysis`; ``rank`` is 1 for the largest importance of a target.

    Raises
    ------
    InputError
        `k` or a range that is none, or as `global_importance_analysis`.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model = as_sequence_model(motif_counter("GAT"))
    >>> result = kmer_importance(model, make_backgrounds("uniform", 50, length=20), k=3)
    >>> str(result["pattern"].values[result["importance"].values.argmax()])
    'GAT'
    """
    length = length_of(backgrounds)
    check_k(k)
    last = len(BASES) ** k
    end = last if end is None else end
    if not 0 <= start < end <= last:
        raise InputError(f"start, end: expected 0 <= start < end <= {last}, got {start} and {end}")
    at = centre(length, k) if offset is None else offset
    design = Design("kmers", n_in_all=last)
    powers = len(BASES) ** np.arange(k - 1, -1, -1)
    codes = (np.arange(start, end)[:, np.newaxis] // powers % len(BASES)).astype(np.uint8)
    for name, row in zip(decode_codes(codes), codes, strict=True):
        design.add(name, [(Motif(name, np.eye(len(BASES))[row]), at)])
    design.attributes = {"k": k, "offset": at}
    return analyse(model, backgrounds, design, Settings(**options), corrected=corrected)


def stream_kmer_importance(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    path: str | os.PathLike[str],
    /,
    k: int = 6,
    *,
    offset: int | None = None,
    at_once: int | None = None,
    shard: Shard | str | None = None,
    restart: bool = False,
    **options: Unpack[Options],
) -> None:
    """Compute `kmer_importance` of all k-mers, some at a time, into a result file.

    Memory does not grow with the number of k-mers, and a run that was interrupted goes on where it was; see
    `kipoi_tfbind.stream`.

    Parameters
    ----------
    model, backgrounds, k, offset, **options
        As in `kmer_importance`.
    path
        File of the result, netCDF-4; a file of that name is replaced when the run is complete.
    at_once
        Most k-mers that are computed and written together; by default as many as have effects of 64 MB, at
        most 256.
    shard
        Only a share of the k-mers, such as "2/8", every eighth block of as many as are computed together;
        `merge_shards` joins the files of all shards, ranks the k-mers and corrects for their number.
    restart
        Throw away what an interrupted run has written.

    Raises
    ------
    InputError
        As `kmer_importance`; the file cannot be written there, another process is writing it, or what an
        interrupted run has written is of another model, of other backgrounds or of other options.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds, open_result
    >>> from kipoi_tfbind.testing import motif_counter
    >>> model, path = as_sequence_model(motif_counter("GA")), getfixture("tmp_path") / "kmers.nc"
    >>> stream_kmer_importance(model, make_backgrounds("uniform", 50, length=20), path, k=2, at_once=5)
    >>> result = open_result(path)
    >>> str(result["pattern"].values[result["rank"].values[:, 0] == 1].item())
    'GA'
    """
    model = wrapped_for(backgrounds, model)
    check_k(k)
    attributes = {
        **model_attributes(METHOD, model),
        "experiment": "kmers",
        "background_hash": content_hash(backgrounds),
        **option_attributes(kmer_importance, {"k": k, "offset": offset, **options}),
    }
    if at_once is None:
        at_once = number_at_once(backgrounds.sizes["sequence"] * len(model.target_names) * 4, _MOST_AT_ONCE)

    def compute(start: int, end: int) -> xr.Dataset:
        return kmer_importance(
            model, backgrounds, k, start=start, end=end, offset=offset, corrected=False, **options
        )

    stream_ranges(
        compute,
        len(BASES) ** k,
        path,
        attributes,
        dimension="pattern",
        at_once=at_once,
        complete=add_corrected,
        shard=Shard.parse(shard) if isinstance(shard, str) else shard,
        input_hash=attributes["background_hash"],
        restart=restart,
    )


def check_k(k: int) -> None:
    """Check the length of the words.

    Raises
    ------
    InputError
        It is not from 1 to 10.
    """
    if not 1 <= k <= MAX_K:
        raise InputError(f"k: expected a length from 1 to {MAX_K}, got {k}")
