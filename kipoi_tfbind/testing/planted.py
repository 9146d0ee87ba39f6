"""Simulated sequences in which two motifs act together at a spacing, as those of DFIM's authors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.sequences.read import encode_sequences


def planted_pairs(
    n: int,
    length: int,
    *,
    motifs: tuple[str, str] = ("GATAAG", "CACGTG"),
    spacing: tuple[int, int] = (4, 10),
    seed: int = 0,
) -> xr.Dataset:
    """Simulate sequences with two motifs, whose label needs both of them at a spacing.

    A quarter each has both motifs at a spacing in the range, both further apart, one of them, and none
    (after Greenside et al. 2018, doi:10.1093/bioinformatics/bty575). Only the first quarter has the label 1.

    Parameters
    ----------
    n
        Number of sequences; their kinds alternate.
    length
        Their length.
    motifs
        Two words of A, C, G and T.
    spacing
        Least and largest number of bases between the motifs.
    seed
        The same seed gives the same sequences.

    Returns
    -------
    xr.Dataset
        ``one_hot`` (sequence, position, base), ``label`` (sequence), 0 or 1, and ``site`` (sequence, motif),
        the first position of each motif, -1 where there is none.

    Raises
    ------
    InputError
        The motifs do not fit into the sequences.

    Examples
    --------
    >>> simulated = planted_pairs(4, 40, seed=1)
    >>> simulated["label"].values.tolist(), (simulated["site"].values >= 0).sum(axis=1).tolist()
    ([1, 0, 0, 0], [2, 2, 1, 0])
    """
    widths = [len(motif) for motif in motifs]
    if not 0 <= spacing[0] <= spacing[1] or sum(widths) + spacing[1] + 8 > length:
        raise InputError(
            f"length: expected at least {sum(widths) + spacing[1] + 8} for motifs of {widths} bases with "
            f"{spacing[0]} to {spacing[1]} between them, got {length}"
        )
    rng = np.random.default_rng(seed)
    rows, sites = [], np.full((n, 2), -1)
    for row in range(n):
        letters = rng.choice(list(BASES), size=length)
        sites[row] = _sites(rng, row % 4, length, widths, spacing)
        for start, motif in zip(sites[row], motifs, strict=True):
            if start >= 0:
                letters[start : start + len(motif)] = list(motif)
        rows.append("".join(letters))
    return encode_sequences(rows).assign(
        label=("sequence", (np.arange(n) % 4 == 0).astype(int)), site=(("sequence", "motif"), sites)
    )


def _sites(
    rng: np.random.Generator, kind: int, length: int, widths: Sequence[int], spacing: tuple[int, int]
) -> tuple[int, int]:
    """First positions of both motifs, -1 for none."""
    if kind == 3:
        return -1, -1
    if kind == 2:
        which = int(rng.integers(2))
        start = int(rng.integers(length - widths[which] + 1))
        return (start, -1) if which == 0 else (-1, start)
    first = int(rng.integers(2))
    width, other = widths[first], widths[1 - first]
    room = length - width - other
    gap = (
        int(rng.integers(spacing[0], spacing[1] + 1))
        if kind == 0
        else int(rng.integers(spacing[1] + 6, room + 1))
    )
    start = int(rng.integers(room - gap + 1))
    pair = start, start + width + gap
    return (pair[0], pair[1]) if first == 0 else (pair[1], pair[0])
