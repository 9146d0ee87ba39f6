"""Shuffles of sequences, as sequences of their own: what a null is made of."""

from __future__ import annotations

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import codes_of, one_hot_codes
from kipoi_tfbind.dna.shuffle import klet_length, shuffle_codes
from kipoi_tfbind.memory import check_fits


def shuffled_sequences(
    sequences: xr.Dataset, n: int = 1, *, method: str = "dinucleotide_shuffle", seed: int = 0
) -> xr.Dataset:
    """Shuffle each sequence `n` times.

    Parameters
    ----------
    sequences
        Dataset with ``one_hot`` (sequence, position, base): sequences, or any result about some.
    n
        Number of shuffles of each.
    method
        "dinucleotide_shuffle", "mononucleotide_shuffle", or "klet_shuffle:K".
    seed
        The draws depend on it and on the sequence itself.

    Returns
    -------
    xr.Dataset
        ``one_hot``, with ids such as "peak7 shuffle 0"; without coordinates, for they lie nowhere.

    Raises
    ------
    InputError
        As `kipoi_tfbind.dna.shuffle.shuffle_batch`.

    Examples
    --------
    >>> from kipoi_tfbind import encode_sequences
    >>> shuffled = shuffled_sequences(encode_sequences(["ACGATCGACTGA"], ids=["a"]), 2)
    >>> shuffled["id"].values.tolist()
    ['a shuffle 0', 'a shuffle 1']
    """
    schema.require(sequences, "one_hot")
    whole_number("seed", seed)
    whole_number("n", n, least=1)
    what = f"{n:,} shuffles of each of {sequences.sizes['sequence']:,} sequences"
    check_fits("n", what, 4.0 * n * sequences["one_hot"].size, "take fewer")
    codes = shuffle_codes(codes_of(sequences["one_hot"].values), n, k=klet_length(method), seed=seed)
    names = sequences["id"].values if "id" in sequences.coords else np.arange(len(codes))
    identifiers = [f"{name} shuffle {i}" for name in names for i in range(n)]
    return schema.annotate(
        xr.Dataset(
            {
                "one_hot": (
                    ("sequence", "position", "base"),
                    one_hot_codes(codes.reshape(-1, codes.shape[-1])),
                )
            },
            coords={"base": list("ACGT"), "id": ("sequence", identifiers)},
        )
    )
