"""Motifs of filters with permuted weights: how often filters that learned nothing match a known motif."""

from __future__ import annotations

import hashlib

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._motif_scan import scan
from kipoi_tfbind.interpret._site_counts import count_bases
from kipoi_tfbind.interpret.filter_motifs import Source


def permuted_filter_motifs(result: xr.Dataset, sequences: Source, *, n: int = 5, seed: int = 0) -> xr.Dataset:
    """Make motifs of the same filters with their weights permuted.

    Each has as many sites as its filter has: the strongest of its convolution over the sequences. They go
    through the same matching as the filters' own motifs, and tell how often that finds something where
    nothing was learned.

    Parameters
    ----------
    result
        Result of `filter_motifs` of a layer that sees the sequence itself.
    sequences
        The sequences that it was made with.
    n
        Number of permutations of each filter.
    seed
        The permutations depend on it and on the filter's weights.

    Returns
    -------
    xr.Dataset
        ``motif_matrix`` (motif, column, base) and ``n_motif_sites`` of the permuted filters.

    Raises
    ------
    InputError
        The filters have no kernel, or none of them has a site.
    """
    schema.require(result, "kernel_matrix", "n_motif_sites")
    kernels, wanted = result["kernel_matrix"].values, result["n_motif_sites"].values
    used = np.flatnonzero(np.isfinite(kernels).all(axis=(1, 2)) & (wanted > 0))
    if not used.size:
        raise InputError(
            "result: none of its filters has a kernel and a site; only of a layer that sees the sequence "
            "itself can the weights be permuted"
        )
    codes = np.concatenate(
        [
            codes_of(piece["one_hot"].values)
            for piece in ([sequences] if isinstance(sequences, xr.Dataset) else sequences())
        ]
    )
    size = kernels.shape[1]
    names, counts = [], []
    for i in used:
        weights = np.log(kernels[i])
        rounded = np.rint(weights * 1e4).astype(np.int64).tobytes()
        rng = np.random.default_rng([seed, *hashlib.sha256(rounded).digest()])
        for draw in range(n):
            permuted = rng.permutation(weights.ravel()).reshape(weights.shape)
            counts.append(_strongest(codes, permuted, int(wanted[i])))
            names.append(f"{result['motif'].values[i]} permuted {draw}")
    own = np.stack(counts).astype(np.float64)
    matrix = own / np.maximum(own.sum(axis=-1, keepdims=True), 1)
    return schema.annotate(
        xr.Dataset(
            {
                "motif_matrix": (("motif", "column", "base"), matrix),
                "n_motif_sites": (("motif",), np.repeat(wanted[used], n)),
            },
            coords={"motif": names, "column": np.arange(size), "base": list("ACGT")},
            attrs={"method": "permuted_filter_motifs", "n": n, "seed": seed},
        )
    )


def _strongest(codes: NDArray[np.uint8], weights: NDArray[np.float64], n_sites: int) -> NDArray[np.int64]:
    """Counts (column, base) under the `n_sites` largest values of the convolution."""
    scores = scan(codes, weights)
    n_sites = min(n_sites, scores.size)
    least = np.partition(scores.ravel(), scores.size - n_sites)[scores.size - n_sites]
    sequence, start = np.nonzero((scores >= least) & np.isfinite(scores))
    return count_bases(codes, sequence, start, np.zeros(len(sequence), dtype=np.intp), (1, len(weights)))[0]


def false_match_rate(matches: xr.Dataset, *, level: float = 0.05) -> float:
    """Share of the motifs whose best match has a q-value below a level.

    Examples
    --------
    >>> matches = xr.Dataset({"match_q_value": (("motif", "rank"), [[0.01, 0.2], [0.5, 0.6]])})
    >>> false_match_rate(matches)
    0.5
    """
    return float((matches["match_q_value"].isel(rank=0).values < level).mean())
