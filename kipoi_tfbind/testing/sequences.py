"""Sequences to test with."""

from __future__ import annotations

import numpy as np
import xarray as xr

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.sequences.read import encode_sequences


def random_sequences(n: int, length: int, *, n_fraction: float = 0.0, seed: int = 0) -> xr.Dataset:
    """Make a sequence Dataset of random bases.

    Parameters
    ----------
    n
        Number of sequences.
    length
        Their length.
    n_fraction
        Probability that a base is N.
    seed
        The same seed gives the same sequences.

    Returns
    -------
    xr.Dataset
        As `kipoi_tfbind.encode_sequences` makes it.

    Raises
    ------
    InputError
        No sequence or no base, or `n_fraction` is not from 0 to 1.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot
    >>> decode_one_hot(random_sequences(2, 12, n_fraction=0.2, seed=1)["one_hot"].values)
    ['CGTTNATTACTC', 'CTCCNGANTTTG']
    """
    if not 0 <= n_fraction <= 1:
        raise InputError(f"n_fraction: expected a probability from 0 to 1, got {n_fraction}")
    rng = np.random.default_rng(seed)
    letters = rng.choice(list(BASES), size=(max(0, n), max(0, length)))
    letters[rng.random(letters.shape) < n_fraction] = "N"
    return encode_sequences(["".join(row) for row in letters])
