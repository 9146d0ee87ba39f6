"""Sequence Datasets, a few at a time, and how many sequences there are in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import xarray as xr


class Batches(Iterator[xr.Dataset]):
    """Sequence Datasets, one after the other.

    Attributes
    ----------
    n_sequences
        Number of sequences in all of them; None before the first.
    """

    def __init__(self, make: Callable[[Batches], Iterator[xr.Dataset]]) -> None:
        self.n_sequences: int | None = None
        self._batches = make(self)

    def __next__(self) -> xr.Dataset:
        return next(self._batches)
