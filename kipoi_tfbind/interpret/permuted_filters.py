"""Motifs of filters with permuted weights: how often filters that learned nothing match a known motif."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES, codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._motif_scan import scan
from kipoi_tfbind.interpret._site_counts import count_bases
from kipoi_tfbind.interpret.filter_motifs import Source

# More would not change a motif's frequencies, and memory is to stay the same for any number of sequences.
_MOST_SITES = 20_000
_CHUNK = 1024


def permuted_filter_motifs(result: xr.Dataset, sequences: Source, *, n: int = 5, seed: int = 0) -> xr.Dataset:
    """Make motifs of the same filters with their weights permuted.

    Each has as many sites as its filter has, but at most 20,000: the strongest of its convolution over the
    sequences, which are gone through twice, in constant memory. They go
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
    has_kernel = np.isfinite(result["kernel_matrix"].values).all(axis=(1, 2))
    used = np.flatnonzero(has_kernel & (result["n_motif_sites"].values > 0))
    if not used.size:
        raise InputError(
            "result: none of its filters has a kernel and a site; only of a layer that sees the sequence "
            "itself can the weights be permuted"
        )
    names, kernels, wanted = _permuted(result, used, n, seed)
    best = [_Best(size) for size in wanted]
    for codes in _codes(sequences):
        for kernel, largest in zip(kernels, best, strict=True):
            largest.add(scan(codes, kernel))
    size = result.sizes["column"]
    counts = np.zeros((len(kernels), size, len(BASES)), dtype=np.int64)
    for codes in _codes(sequences):
        for i, (kernel, largest) in enumerate(zip(kernels, best, strict=True)):
            scores = scan(codes, kernel)
            sequence, start = np.nonzero((scores >= largest.least) & np.isfinite(scores))
            counts[i] += count_bases(codes, sequence, start, np.zeros(len(sequence), np.intp), (1, size))[0]
    own = counts.astype(np.float64)
    matrix = own / np.maximum(own.sum(axis=-1, keepdims=True), 1)
    return schema.annotate(
        xr.Dataset(
            {
                "motif_matrix": (("motif", "column", "base"), matrix),
                "n_motif_sites": (("motif",), wanted),
            },
            coords={"motif": names, "column": np.arange(size), "base": list(BASES)},
            attrs={"method": "permuted_filter_motifs", "n": n, "seed": seed},
        )
    )


def _permuted(
    result: xr.Dataset, used: NDArray[np.intp], n: int, seed: int
) -> tuple[list[str], list[NDArray[np.float64]], list[int]]:
    """Names, kernels and numbers of sites of the permuted filters."""
    names, kernels, wanted = [], [], []
    for i in used:
        weights = np.log(result["kernel_matrix"].values[i])
        rounded = np.rint(weights * 1e4).astype(np.int64).tobytes()
        rng = np.random.default_rng([seed, *hashlib.sha256(rounded).digest()])
        for draw in range(n):
            names.append(f"{result['motif'].values[i]} permuted {draw}")
            kernels.append(rng.permutation(weights.ravel()).reshape(weights.shape))
            wanted.append(min(int(result["n_motif_sites"].values[i]), _MOST_SITES))
    return names, kernels, wanted


def _codes(sequences: Source) -> Iterator[NDArray[np.uint8]]:
    """Base codes (sequence, position), some sequences at a time."""
    for dataset in [sequences] if isinstance(sequences, xr.Dataset) else sequences():
        for start in range(0, dataset.sizes["sequence"], _CHUNK):
            yield codes_of(dataset["one_hot"].values[start : start + _CHUNK])


class _Best:
    """The largest so many of all scores."""

    def __init__(self, size: int) -> None:
        self._size, self._held = size, np.empty(0, dtype=np.float32)

    def add(self, scores: NDArray[np.float32]) -> None:
        """Add scores; -inf is none."""
        new = scores[np.isfinite(scores) & (scores > self.least if len(self._held) == self._size else True)]
        both = np.concatenate([self._held, new])
        extra = len(both) - self._size
        self._held = np.partition(both, extra)[extra:] if extra > 0 else both

    @property
    def least(self) -> float:
        """The smallest of those that are held."""
        return float(self._held.min()) if len(self._held) else np.inf
