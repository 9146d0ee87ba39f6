"""Where the windows of a change lie: integers only.

A window starts at a place that each edit has, plus an offset that all edits share. Two windows whose places
are the same are brought together by the difference of their offsets alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.position_ops import Pool


@dataclass(frozen=True, eq=False)
class Start:
    """Where the windows start: ``places + offset``; at the offset itself where there are no places."""

    places: Any = field(repr=False, default=None)
    offset: int = 0

    def moved(self, by: int) -> Start:
        """The same with another offset."""
        return Start(self.places, self.offset + by)

    def at(self) -> Any:
        """The first position of each window: an integer, or one for each edit."""
        return self.offset if self.places is None else self.places + self.offset

    def minus(self, other: Start) -> Any:
        """How far it is behind another: an integer where that is the same for all edits."""
        if self.places is other.places:
            return self.offset - other.offset
        return self.at() - other.at()


ALL = Start()


def pooled(
    arrays: WindowArrays, start: Start, width: int, pool: Pool, n_out: int
) -> tuple[Start, int, Start, int]:
    """Which windows of a pool or a strided convolution a change reaches.

    Returns
    -------
    start_out, width_out
        Positions of the output that the change reaches.
    start_in, width_in
        Positions of the input that those need.
    """
    width_out = max(
        (phase + width - 1) // pool.stride + (pool.span - 1 - phase) // pool.stride + 1
        for phase in range(pool.stride)
    )
    if width_out >= n_out:
        return ALL, n_out, Start(offset=-pool.before), (n_out - 1) * pool.stride + pool.span
    behind = start.at() + (pool.before - pool.span + pool.stride)
    places = arrays.floor_divide(behind, pool.stride)
    width_in = (width_out - 1) * pool.stride + pool.span
    if start.places is None:
        return Start(offset=places), width_out, Start(offset=places * pool.stride - pool.before), width_in
    return Start(places), width_out, Start(places * pool.stride, -pool.before), width_in
