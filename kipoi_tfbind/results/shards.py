"""Shards of a run: every N-th block of its input, so that any number of processes share the work.

A run goes through its input in blocks of a fixed number of sequences (lines of a VCF, k-mers), and computes
each block for itself, whether it is sharded or not. So the shards, joined, are the bytes of the whole run: no
number depends on what else its process had to do. Shard k of N has the blocks k - 1, k - 1 + N, ...; it needs
no count of what there is, and shards of an input whose beginning is slower than its end take equally long.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind.errors import InputError

# Sequences that are computed together. More would be no faster but for the cheapest methods, and some hundred
# sequences could not be shared evenly by several processes.
BLOCK = 32
# Beginning of the attributes that say what a shard is.
MARK = "shard"


@dataclass(frozen=True)
class Shard:
    """A share of a run.

    Attributes
    ----------
    number
        Its number, 1-based.
    of
        How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a shard such as "2/8".

        Raises
        ------
        InputError
            It is none.

        Examples
        --------
        >>> Shard.parse("2/8")
        Shard(number=2, of=8)
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(f"--shard: expected K/N such as 1/8, K from 1 to N; got {text!r}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, block: int) -> bool:
        """Whether it has the block of this number, 0-based.

        Examples
        --------
        >>> [block for block in range(9) if Shard(2, 4).has(block)]
        [1, 5]
        """
        return block % self.of == self.number - 1

    def ranges(self, n: int, size: int) -> Iterator[tuple[int, int]]:
        """First number, and the one after the last, of each of its blocks of `n` things.

        Examples
        --------
        >>> list(Shard(2, 3).ranges(10, 2))
        [(2, 4), (8, 10)]
        """
        for first in range((self.number - 1) * size, n, self.of * size):
            yield first, min(first + size, n)


WHOLE = Shard(1, 1)


class OwnBlocks:
    """Blocks of sequences that a shard has; the others are read and counted.

    Parameters
    ----------
    batches
        Datasets of sequences, of any size.
    size
        Number of sequences in a block; the last may have fewer.
    shard
        The shard; None for all blocks of a run that is not shared.

    Attributes
    ----------
    n
        Number of sequences of all blocks that were read.
    """

    def __init__(self, batches: Iterable[xr.Dataset], size: int, shard: Shard | None) -> None:
        self._batches, self._size, self._shard = batches, size, shard
        self._digests: dict[str, Any] = {}
        self.n = 0

    def __iter__(self) -> Iterator[xr.Dataset]:
        for block, is_own in self.all():
            if is_own:
                yield block

    def all(self) -> Iterator[tuple[xr.Dataset, bool]]:
        """All blocks, and whether they are the shard's."""
        for number, block in enumerate(in_blocks(self._batches, self._size)):
            self.n += block.sizes["sequence"]
            if self._shard is not None:
                self._add_to_digest(block)
            yield block, (self._shard or WHOLE).has(number)

    def marks(self) -> dict[str, Any]:
        """Attributes of a file of the shard, when all blocks were read."""
        digests = [f"{name} {digest.hexdigest()}" for name, digest in sorted(self._digests.items())]
        input_hash = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
        return marks(self._shard or WHOLE, "sequence", self._size, self.n, input_hash)

    def _add_to_digest(self, block: xr.Dataset) -> None:
        for name, values in block.variables.items():
            if "sequence" in values.dims:
                digest = self._digests.setdefault(str(name), hashlib.sha256())
                array = values.values
                is_text = array.dtype.kind in "UOT"
                digest.update(
                    "".join(f"{text}\0" for text in array.ravel()).encode()
                    if is_text
                    else np.ascontiguousarray(array).data
                )


def marks(shard: Shard, dimension: str, size: int, n: int, input_hash: str) -> dict[str, Any]:
    """Attributes that say what a file of a shard has, and of which run it is."""
    return {
        MARK: str(shard),
        f"{MARK}_dimension": dimension,
        f"{MARK}_block": size,
        f"{MARK}_total": n,
        f"{MARK}_input": input_hash,
    }


def in_blocks(batches: Iterable[xr.Dataset], size: int) -> Iterator[xr.Dataset]:
    """Sequences in blocks of one size, whatever the sizes that they come in; the last may be smaller.

    Examples
    --------
    >>> batches = [xr.Dataset({"x": ("sequence", [1, 2, 3])}), xr.Dataset({"x": ("sequence", [4, 5])})]
    >>> [block["x"].values.tolist() for block in in_blocks(batches, 2)]
    [[1, 2], [3, 4], [5]]
    """
    left: xr.Dataset | None = None
    for batch in batches:
        if left is not None:
            batch = xr.concat([left, batch], "sequence", data_vars="minimal", coords="minimal", **_TAKE_FIRST)
        n = batch.sizes["sequence"]
        whole = n - n % size
        for first in range(0, whole, size):
            yield batch.isel(sequence=slice(first, first + size))
        left = batch.isel(sequence=slice(whole, None)) if whole < n else None
    if left is not None:
        yield left


def concatenated(results: list[xr.Dataset], dimension: str) -> xr.Dataset:
    """Results of one method along a dimension; what lacks it is taken from the first."""
    if len(results) == 1:
        return results[0]
    return xr.concat(results, dimension, data_vars="minimal", coords="minimal", **_TAKE_FIRST)


_TAKE_FIRST: Any = {"compat": "override", "join": "override", "combine_attrs": "override"}
