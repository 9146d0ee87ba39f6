"""Effect of every k-mer."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import xarray as xr

from kipoi_tfbind.dna.one_hot import BASES, decode_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, Options, analyse, centre, length_of
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.motif import Motif

MAX_K = 10


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
    """Importance of every k-mer, ranked: which words raise or lower the prediction, without a motif in mind.

    Parameters
    ----------
    model, backgrounds
        As in `global_importance_analysis`.
    k
        Length of the words, 1 to 10; there are 4**k.
    start, end
        Numbers of the k-mers, 0-based in alphabetical order, `end` not included; all by default. Memory grows
        with k-mers × backgrounds × targets: `kipoi tfbind gia kmers` takes some at a time.
    offset
        0-based position of the first base; by default they are in the middle.
    corrected
        Rank these k-mers, and correct for their number. Else ``rank``, ``q_value`` and
        ``difference_q_value`` are left to `kmers.correct`, once all are
        there.
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
    if not 1 <= k <= MAX_K:
        raise InputError(f"k: expected a length from 1 to {MAX_K}, got {k}")
    last = len(BASES) ** k
    end = last if end is None else end
    if not 0 <= start < end <= last:
        raise InputError(f"start, end: expected 0 <= start < end <= {last}, got {start} and {end}")
    at = centre(length, k) if offset is None else offset
    design = Design(n_in_all=last)
    powers = len(BASES) ** np.arange(k - 1, -1, -1)
    codes = (np.arange(start, end)[:, np.newaxis] // powers % len(BASES)).astype(np.uint8)
    for name, row in zip(decode_codes(codes), codes, strict=True):
        design.add(name, [(Motif(name, np.eye(len(BASES))[row]), at)])
    settings = {"k": k, "offset": at}
    return analyse(
        model, backgrounds, design, experiment="kmers", settings=settings, corrected=corrected, **options
    )
