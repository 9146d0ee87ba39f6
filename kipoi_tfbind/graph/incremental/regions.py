"""Affected regions: the part of a value that each edit may change, and what can be done with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.offsets import ALL, Offsets
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.states import AffectedRegion

# Runs a node on arrays of some edits, given the shapes of its outputs without the first axis.
RunNode = Callable[[Node, Sequence[Any], Sequence[tuple[int, ...]]], list[Any]]


class Regions:
    """Operations on affected regions, whatever the model.

    Parameters
    ----------
    ops
        The framework's arrays.
    run
        Runs a node.
    program
        The model.
    cached
        Gives the cached activations.
    sequence
        Which of the sequences each edit is of.

    Attributes
    ----------
    macs, traffic
        Multiply-accumulates of one edit so far, and elements of arrays that were made.
    largest
        Elements of the largest region.
    ends
        Changes of whole values where the positions have ended in a sum.
    spans
        Whether there are arrays whose size depends on where the edits are.
    """

    def __init__(
        self,
        ops: ArrayOps,
        run: RunNode,
        program: Program,
        cached: Callable[[Cached], Any],
        sequence: Any,
    ) -> None:
        self.ops, self.run, self.program = ops, run, program
        self.cached, self.sequence = cached, sequence
        self.macs = self.traffic = self.largest = 0
        self.ends: dict[Ref, Any] = {}
        self.spans = False
        self._positions: dict[tuple[int, int, int], Any] = {}
        self._keep: list[Any] = []  # Offsets by whose id positions are known.

    def count(self, region: AffectedRegion) -> None:
        """Note that an array of this region was made."""
        size = region.width * self.channels(region)
        self.traffic += size
        self.largest = max(self.largest, size)

    def channels(self, region: AffectedRegion) -> int:
        """Number of elements at one position."""
        return math.prod(self.rest(region.ref, region.axis))

    def rest(self, ref: Ref, axis: int) -> tuple[int, ...]:
        """Shape of a value at one position."""
        shape = self.program.shapes[ref]
        return shape if axis == 0 else (*shape[: axis - 1], *shape[axis:])

    def positions(self, region: AffectedRegion) -> Any:
        """Positions (edit, width); one row where they are the same for all edits."""
        key = (id(region.start.by_edit), region.start.shared, region.width)
        if key not in self._positions:
            self._keep.append(region.start.by_edit)
            first = region.start.first()
            first = self.ops.indices(np.array([first])) if region.start.by_edit is None else first
            self._positions[key] = self.ops.span(first, region.width)
        return self._positions[key]

    def own_rows(self, region: AffectedRegion) -> Any:
        """Where a region is among the cached rows of all positions of the sequences."""
        within = self.ops.clip(self.positions(region), 0, region.length - 1)
        return self.sequence[:, None] * region.length + within

    def own(self, region: AffectedRegion) -> Any:
        """The sequences' own values in a region."""
        self.count(region)
        return self.ops.take(self.cached(Cached(region.ref, "rows", region.axis)), self.own_rows(region))

    def whole(self, ref: Ref) -> Any:
        """A value that edits change, of their sequences: (edit, ...)."""
        return self.unchanged(ref)

    def unchanged(self, ref: Ref) -> Any:
        """A value of the sequences: (edit, ...)."""
        return self.ops.take(self.cached(Cached(ref, "whole")), self.sequence)

    def change(self, region: AffectedRegion) -> Any:
        """Edited minus own value."""
        if region.change is not None:
            return region.change
        return self.kept(region, region.value - self.own(region), 0)

    def value(self, region: AffectedRegion) -> Any:
        """The edited value."""
        return region.change + self.own(region) if region.value is None else region.value

    def kept(self, region: AffectedRegion, x: Any, outside: float) -> Any:
        """An array of a region with another value outside of the whole."""
        if region.start.by_edit is None and 0 <= region.start.shared <= region.length - region.width:
            return x
        positions = self.positions(region)
        self.count(region)
        return self.ops.masked(x, (positions >= 0) & (positions < region.length), outside)

    def moved(self, region: AffectedRegion, start: Offsets, width: int) -> AffectedRegion:
        """The same change in another region, which reaches over it or over all positions."""
        shift = region.start.minus(start)
        if isinstance(shift, int) and shift == 0 and width == region.width:
            return replace(region, start=start)
        change = self.ops.place(self.change(region), shift, width)
        found = AffectedRegion(region.ref, region.axis, region.length, start, width, change)
        self.count(found)
        return found

    def everywhere(self, region: AffectedRegion) -> AffectedRegion:
        """The same change in a region of all positions."""
        return self.moved(region, ALL, region.length)

    def together(self, regions: Sequence[AffectedRegion]) -> list[AffectedRegion]:
        """Regions of values of one length at the same positions."""
        base = regions[0].start
        if any(not isinstance(region.start.minus(base), int) for region in regions):
            return [self.everywhere(region) for region in regions]
        low = min(region.start.shared for region in regions)
        high = max(region.start.shared + region.width for region in regions)
        return [self.moved(region, base.moved(low - base.shared), high - low) for region in regions]

    def in_layout(self, region: AffectedRegion) -> Any:
        """The whole edited value, in the framework's layout."""
        return self.ops.to_layout(self.value(self.everywhere(region)), region.axis)
