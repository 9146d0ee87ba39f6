"""Effects of backgrounds that are done, kept in the pieces of a result file while the others are computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.result_file import ResultFile

# Backgrounds that are computed together: what does not depend on them is set up once for each block.
_BLOCK = 256

# Numbers of backgrounds -> predictions (background, target) and effects (pattern, background, target).
Compute = Callable[[NDArray[np.intp]], tuple[NDArray, NDArray]]


class KeptEffects:
    """Computes effects some backgrounds at a time, and takes those that an interrupted run has kept.

    Parameters
    ----------
    out
        The file; the members of an ensemble come one after the other along its dimension ``background``.
    """

    def __init__(self, out: ResultFile) -> None:
        self._out = out
        done = list(out.finished())
        self._done = xr.concat(done, "background") if done else None
        self._first = 0

    def of(
        self, n: int, patterns: Sequence[str], targets: Sequence[str], compute: Compute
    ) -> tuple[NDArray, NDArray]:
        """Predictions (background, target) and effects (pattern, background, target) of `n` backgrounds."""
        size = math.ceil(n / math.ceil(n / _BLOCK))
        parts = []
        with progress("backgrounds", n, unit="background") as bar:
            for start in range(0, n, size):
                rows = np.arange(start, min(start + size, n))
                parts.append(self._block(rows, size, n, patterns, targets, compute))
                bar.update(len(rows))
        self._first += n
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
        first = self._first + int(rows[0])
        if self._done is not None and first + len(rows) <= self._done.sizes["background"]:
            return self._done.isel(background=slice(first, first + len(rows)))
        # Always as many, so that nothing is compiled anew for the last block.
        prediction, effect = compute(np.minimum(np.arange(rows[0], rows[0] + size), n - 1))
        block = xr.Dataset(
            {
                "unedited_prediction": (("background", "target"), prediction[: len(rows)]),
                "pattern_effect": (("pattern", "background", "target"), effect[:, : len(rows)]),
            },
            coords={
                "pattern": list(patterns),
                "background": np.arange(first, first + len(rows)),
                "target": list(targets),
            },
        )
        self._out.append(block)
        return block
