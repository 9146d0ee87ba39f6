"""Sequences that are read by their number: of them a shard reads its own blocks, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.results.shards import Shard, in_blocks, marks


@dataclass(frozen=True)
class Numbered:
    """Sequences that are read by their number.

    Attributes
    ----------
    n
        How many there are.
    length
        Number of their positions.
    input_hash
        Hash of all that they are read from: it differs wherever one of them might.
    read
        Numbers, 0-based and rising -> Datasets of these sequences, some at a time.
    """

    n: int
    length: int
    input_hash: str
    read: Callable[[NDArray[np.intp]], Iterator[xr.Dataset]]


class NumberedBlocks:
    """Blocks of a shard, as `kipoi_tfbind.results.shards.OwnBlocks`, of sequences that are read by number.

    Parameters
    ----------
    numbered
        All sequences.
    size
        Number of sequences in a block; the last may have fewer.
    shard
        The shard.
    """

    def __init__(self, numbered: Numbered, size: int, shard: Shard) -> None:
        self._numbered, self._size, self._shard = numbered, size, shard

    def __iter__(self) -> Iterator[xr.Dataset]:
        ranges = list(self._shard.ranges(self._numbered.n, self._size))
        if ranges:
            own = np.concatenate([np.arange(first, last) for first, last in ranges])
            yield from in_blocks(self._numbered.read(own), self._size)

    def marks(self) -> dict[str, Any]:
        """Attributes of a file of the shard."""
        return marks(self._shard, "sequence", self._size, self._numbered.n, self._numbered.input_hash)
