"""One node in the propagation of a change: what a handler looks at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.regions import Regions
from kipoi_tfbind.graph.incremental.states import AffectedRegion, State


@dataclass(frozen=True)
class Step:
    """One node with the states of its inputs.

    Attributes
    ----------
    regions
        Operations on affected regions.
    i
        The node.
    states
        State of each value so far.
    whole
        A value -> its whole array, of the edited sequences.
    looks_ahead
        Whether a convolution gives what the pool after it needs.
    """

    regions: Regions
    i: int
    states: Mapping[Ref, State]
    whole: Callable[[Ref], Any]
    looks_ahead: bool

    @property
    def program(self) -> Program:
        """The model."""
        return self.regions.program

    @property
    def ops(self) -> ArrayOps:
        """The framework's arrays."""
        return self.regions.ops

    @property
    def node(self) -> Node:
        """The node."""
        return self.program.graph.nodes[self.i]

    @property
    def ref(self) -> Ref:
        """Its first output."""
        return self.i, 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its first output, without the batch."""
        return self.program.shapes[self.ref]

    def input_shape(self, region: AffectedRegion) -> tuple[int, ...]:
        """The shape of a region's value, without the batch."""
        return self.program.shapes[region.ref]

    def first(self) -> State:
        """The state of the first input that has one."""
        return next(self.states[ref] for ref in self.node.inputs if ref in self.states)

    def input_regions(self) -> list[AffectedRegion] | None:
        """The regions among the inputs, if all others are constants."""
        found = []
        for ref in dict.fromkeys(self.node.inputs):
            region = self.states[ref].region() if ref in self.states else None
            if region is not None:
                found.append(region)
            elif ref not in self.program.constants:
                return None
        return found

    def input_region(self, *, own_axis: bool = True) -> AffectedRegion | None:
        """The one region among the inputs, whose positions are an axis of their own if that is asked for."""
        regions = self.input_regions()
        if regions is None or len(regions) != 1 or (own_axis and regions[0].axis == 0):
            return None
        return regions[0]

    def like(self, region: AffectedRegion, axis: int, **arrays: Any) -> AffectedRegion:
        """A region of the node's output at the same positions."""
        return AffectedRegion(
            self.ref, axis, region.length, region.start, region.width, ready=region.ready, **arrays
        )

    def varies_along(self, region: AffectedRegion) -> bool:
        """Whether a constant that is broadcast is not the same at all positions."""
        if region.axis == 0:
            return False
        from_end = len(self.input_shape(region)) - region.axis + 1
        constants = (self.program.constants.get(ref) for ref in self.node.inputs)
        return any(c is not None and c.ndim >= from_end and c.shape[-from_end] != 1 for c in constants)

    def run(self, arrays: Mapping[Ref, Any], region: AffectedRegion, axis: int) -> list[Any]:
        """Outputs of the node for arrays of regions that lie as `region` does."""
        node, width, ops = self.node, region.width, self.ops
        inputs = []
        for ref in node.inputs:
            own = self.states[ref].position_axis if ref in arrays else None
            inputs.append(self.whole(ref) if own is None else ops.to_layout(arrays[ref], own))
        shapes = [self.program.shapes[(self.i, j)] for j in range(node.n_outputs)]
        if axis:
            shapes = [(*s[: axis - 1], width, *s[axis:]) if len(s) >= axis else s for s in shapes]
        self.regions.traffic += width * math.prod(self.regions.rest(self.ref, axis))
        outputs = self.regions.run(node, inputs, shapes)
        return [
            ops.from_layout(y, axis, width) if len(s) >= axis else y
            for y, s in zip(outputs, shapes, strict=True)
        ]
