"""Sequence Datasets, a few at a time, and how many sequences there are in all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.fasta import read_records
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.numbered import Numbered


class Batches(Iterator[xr.Dataset]):
    """Sequence Datasets, one after the other.

    Attributes
    ----------
    n_sequences
        Number of sequences in all of them; None before the first.
    numbered
        Function that gives the same sequences by number; None where there is none, or some were handed out.
    """

    def __init__(
        self,
        make: Callable[[Batches], Iterator[xr.Dataset]],
        numbered: Callable[[], Numbered] | None = None,
    ) -> None:
        self.n_sequences: int | None = None
        self.numbered = numbered
        self._batches = make(self)

    def __next__(self) -> xr.Dataset:
        self.numbered = None
        return next(self._batches)


def check_records(path: str | os.PathLike[str], length: int | None) -> tuple[int, int, str]:
    """Length, number and hash of the sequences, after all records were read once and found to have it.

    Raises
    ------
    InputError
        The file cannot be used; a record is shorter than `length`, or of another length than the first.
    """
    wanted, first, is_cut, n = length, "", False, 0
    digest = hashlib.sha256(f"{length}".encode())
    for name, text in read_records(path):
        n += 1
        digest.update(f"\0{name}\0{text}".encode())
        if wanted is None:
            wanted, first = len(text), name
        if len(text) < wanted or (length is None and len(text) > wanted):
            expected = f"{length} are wanted" if length is not None else f"record {first!r} has {wanted}"
            raise InputError(
                f"{path}: record {name!r} has {len(text)} bases, where {expected}; give sequences of one "
                "length, or a length that all of them have (length=; --length)"
            )
        is_cut |= len(text) > wanted
    if is_cut:
        notice(f"{path}: of records longer than {wanted} bases, the central {wanted} are taken")
    return int(wanted or 0), n, digest.hexdigest()[:16]
