"""Handlers of operations in which the positions end: one number for all of them, or a dense layer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.position_ops import Dense, Largest, Total
from kipoi_tfbind.graph.incremental.states import AffectedRegion, State, Whole
from kipoi_tfbind.graph.incremental.step import Step


def total(step: Step, op: Total) -> State | None:
    """The sum or mean over all positions: the sequence's own with the change."""
    regions, region = step.regions, step.input_region()
    if region is None:
        return None
    others = [a for a in op.axes if a != region.axis]
    axes = [1, *(a + 1 if a < region.axis else a for a in others)]
    change = step.ops.sum(regions.change(region), axes)
    regions.count(region)
    if op.mean:
        change = change / math.prod(step.input_shape(region)[a - 1] for a in op.axes)
    return _ended(step, step.ops.reshape(change, (-1, *step.shape)))


def largest(step: Step, op: Largest) -> State | None:
    """The maximum over the region, all before it and all after it."""
    regions, region = step.regions, step.input_region()
    if region is None:
        return None
    if any(step.input_shape(region)[a - 1] != 1 for a in op.axes if a != region.axis):
        return None
    x = step.ops.max(regions.kept(region, regions.value(region), -math.inf), 1)
    regions.count(region)
    x = step.ops.maximum(x, _running(step, region, "before", 0))
    x = step.ops.maximum(x, _running(step, region, "after", region.width))
    return Whole(step.ops.reshape(x, (-1, *step.shape)))


def _running(step: Step, region: AffectedRegion, form: str, offset: int) -> Any:
    """The maximum of all unedited positions before a region, or from its end on."""
    at = replace(region, start=region.start.moved(offset), width=1)
    position = step.ops.clip(step.regions.positions(at)[:, 0], 0, region.length)
    row = step.regions.sequence * (region.length + 1) + position
    return step.ops.take(step.regions.cached(Cached(region.ref, form, region.axis)), row)


def dense(step: Step, op: Dense) -> State | None:
    """A dense layer on flattened positions: the changed ones times their weights."""
    flat = [step.states[ref].flattened() for ref in step.node.inputs if ref in step.states]
    (region,) = flat if len(flat) == 1 else (None,)
    if region is None or math.prod(step.input_shape(region)) != len(op.weight):
        return None
    weight = op.by_position(step.input_shape(region), region.axis)
    regions, n_channels = step.regions, weight.shape[1]
    x = step.ops.reshape(regions.change(region), (-1, region.width, n_channels))
    regions.macs += min(region.width + 1, region.length) * n_channels * weight.shape[2]
    regions.spans = True
    return _ended(step, step.ops.span_product(x, regions.positions(region), weight))


def _ended(step: Step, change: Any) -> Whole:
    step.regions.ends[step.ref] = change
    return Whole(step.regions.whole(step.ref) + change)
