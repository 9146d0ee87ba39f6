"""Offsets: where affected regions start, as integers only.

A region starts at a position that each edit has, plus an offset that all edits share. Two regions with the
same positions by edit are brought together by the difference of their shared offsets alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kipoi_tfbind.graph.incremental.position_ops import PoolPositions


@dataclass(frozen=True, eq=False)
class Offsets:
    """Where regions start: ``by_edit + shared``; at `shared` itself where it is the same for all edits."""

    by_edit: Any = field(repr=False, default=None)
    shared: int = 0

    def moved(self, by: int) -> Offsets:
        """The same, so much further on."""
        return Offsets(self.by_edit, self.shared + by)

    def first(self) -> Any:
        """The first position of each region: an integer, or one for each edit."""
        return self.shared if self.by_edit is None else self.by_edit + self.shared

    def minus(self, other: Offsets) -> Any:
        """How far it is behind another: an integer where that is the same for all edits."""
        if self.by_edit is other.by_edit:
            return self.shared - other.shared
        return self.first() - other.first()


ALL = Offsets()


def pooled(start: Offsets, width: int, pool: PoolPositions, n_out: int) -> tuple[Offsets, int, Offsets, int]:
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
        return ALL, n_out, Offsets(shared=-pool.before), (n_out - 1) * pool.stride + pool.span
    first = (start.first() + (pool.before - pool.span + pool.stride)) // pool.stride
    width_in = (width_out - 1) * pool.stride + pool.span
    if start.by_edit is None:
        return Offsets(shared=first), width_out, Offsets(shared=first * pool.stride - pool.before), width_in
    return Offsets(first), width_out, Offsets(first * pool.stride, -pool.before), width_in
