"""Effects of backgrounds that are done, kept in the pieces of a result file while the others are computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.result_file import ResultFile
from kipoi_tfbind.results.shards import WHOLE, Shard

# Backgrounds that are computed together: what does not depend on them is set up once for each block.
_BLOCK = 256

# Numbers of backgrounds -> predictions (background, target) and effects (pattern, background, target).
Compute = Callable[[NDArray[np.intp]], tuple[NDArray, NDArray]]


def blocks(n: int) -> list[tuple[int, int]]:
    """First background of each block, and the one after its last.

    Examples
    --------
    >>> blocks(600)
    [(0, 200), (200, 400), (400, 600)]
    """
    size = math.ceil(n / math.ceil(n / _BLOCK))
    return [(start, min(start + size, n)) for start in range(0, n, size)]


class KeptEffects:
    """Computes effects some backgrounds at a time, and takes those that an interrupted run has kept.

    Parameters
    ----------
    out
        The file; the members of an ensemble come one after the other along its dimension ``background``.
    shard
        Compute only its blocks; the members' blocks are numbered one after the other.

    Attributes
    ----------
    shard
        The shard; None for all blocks.
    """

    def __init__(self, out: ResultFile, shard: Shard | None = None) -> None:
        self.shard = shard
        self._out = out
        done = list(out.finished())
        self._done = xr.concat(done, "background") if done else None
        self._number = 0  # of the next block
        self._first = 0  # background of the next block, of all members
        self._n_own = 0  # backgrounds of the blocks before it that are the shard's

    def of(
        self, n: int, patterns: Sequence[str], targets: Sequence[str], compute: Compute
    ) -> tuple[NDArray, NDArray]:
        """Predictions (background, target) and effects (pattern, background, target) of `n` backgrounds.

        Those of a shard are in its file only.
        """
        ranges = blocks(n)
        own = [(self.shard or WHOLE).has(self._number + number) for number in range(len(ranges))]
        n_own = sum(end - start for (start, end), is_own in zip(ranges, own, strict=True) if is_own)
        parts = []
        with progress("backgrounds", n_own, unit="background") as bar:
            for (start, end), is_own in zip(ranges, own, strict=True):
                if is_own:
                    rows = np.arange(start, end)
                    part = self._block(rows, ranges[0][1], n, patterns, targets, compute)
                    if self.shard is None:
                        parts.append(part)
                    self._n_own += len(rows)
                    bar.update(len(rows))
        self._first += n
        self._number += len(ranges)
        if self.shard is not None:
            return np.empty((0, len(targets))), np.empty((len(patterns), 0, len(targets)))
        whole = xr.concat(parts, "background")
        return whole["unedited_prediction"].values, whole["pattern_effect"].values

    def _block(
        self,
        rows: NDArray[np.intp],
        size: int,
        n: int,
        patterns: Sequence[str],
        targets: Sequence[str],
        compute: Compute,
    ) -> xr.Dataset:
        end = self._n_own + len(rows)
        if self._done is not None and end <= self._done.sizes["background"]:
            return self._done.isel(background=slice(self._n_own, end))
        # Always as many, so that nothing is compiled anew for the last block.
        prediction, effect = compute(np.minimum(np.arange(rows[0], rows[0] + size), n - 1))
        block = xr.Dataset(
            {
                "unedited_prediction": (("background", "target"), prediction[: len(rows)]),
                "pattern_effect": (("pattern", "background", "target"), effect[:, : len(rows)]),
            },
            coords={
                "pattern": list(patterns),
                "background": self._first + rows,
                "target": list(targets),
            },
        )
        self._out.append(block)
        return block
