"""Handlers of a change, one for each effect along the positions: the table `HANDLERS`.

A handler takes one step of the propagation and what the operation does along the positions, and gives the
state of the node's output; None where the change cannot be followed, and the whole array is computed from
there on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental import position_ops as along
from kipoi_tfbind.graph.incremental.convolutions import (
    blocked,
    convolved,
    pooled_maxima_or_means,
    put_together,
)
from kipoi_tfbind.graph.incremental.offsets import Offsets
from kipoi_tfbind.graph.incremental.reductions import dense, largest, total
from kipoi_tfbind.graph.incremental.states import AffectedRegion, State
from kipoi_tfbind.graph.incremental.step import Step

Found = State | Mapping[Ref, State] | None

# Operations that act at each position by itself.


def local(step: Step, op: along.Local) -> Found:
    """The same function at every position, of the edited values there."""
    regions = step.input_regions()
    if regions is None or len({region.length for region in regions}) > 1:
        return None
    from_end = {len(step.input_shape(region)) - region.axis for region in regions}
    if op.broadcasts and (len(from_end) > 1 or step.varies_along(regions[0])):
        return None
    together = step.regions.together(regions)
    region = together[0]
    if op.broadcasts and region.axis:
        axis = len(step.shape) - from_end.pop()
    else:
        axis = region.axis - sum(a < region.axis for a in op.dropped)
    if axis and (len(step.shape) < axis or step.shape[axis - 1] != region.length):
        return None
    outputs = step.run({r.ref: step.regions.value(r) for r in together}, region, axis)
    found: dict[Ref, State] = {}
    for j, y in enumerate(outputs):
        shape = step.program.shapes[(step.i, j)]
        if j == 0 or (len(shape) >= axis > 0 and shape[axis - 1] == region.length):
            found[(step.i, j)] = replace(step.like(region, axis, value=y), ref=(step.i, j))
    return found


def added(step: Step, op: along.Sum) -> Found:
    """Changes add up, and constants do not change."""
    regions = step.input_regions()
    as_local = along.Local(broadcasts=True)
    if regions is None or any(
        step.input_shape(r) != step.shape or r.axis != regions[0].axis for r in regions
    ):
        return local(step, as_local)
    if len(regions) != sum(ref not in step.program.constants for ref in step.node.inputs):
        return local(step, as_local)  # x + x
    if len(regions) == 1 and regions[0].change is None:
        return local(step, as_local)
    together = step.regions.together(regions)
    change = functools.reduce(lambda a, b: a + b, map(step.regions.change, together))
    if len(regions) > 1:
        step.regions.count(together[0])
    return step.like(together[0], regions[0].axis, change=change)


def scaled(step: Step, op: along.Scale) -> Found:
    """The operation itself, on the change if that is at hand."""
    region = step.input_region(own_axis=False)
    if region is None or (op.broadcasts and step.varies_along(region)):
        return None
    shape, after = step.input_shape(region), step.shape
    if len(shape) != len(after) or (region.axis and after[region.axis - 1] != region.length):
        return None
    if not op.broadcasts:
        step.regions.macs += region.width * step.regions.channels(region) * after[-1]
    name = "value" if region.change is None else "change"
    (found,) = step.run({region.ref: getattr(region, name)}, region, region.axis)
    return step.like(region, region.axis, **{name: found})


# Operations that move positions.


def reshaped(step: Step, op: along.SameElements) -> Found:
    """Positions that stay an axis of their own, or are merged with the channels or the batch."""
    ref, *_ = step.node.inputs
    found = step.states[ref].reshaped(step.program.shapes[ref], step.shape)
    region = None if found is None else found.region()
    if region is None:
        return found
    shape = (-1, region.width, *step.regions.rest(step.ref, region.axis))
    return replace(region.with_arrays(lambda x: step.ops.reshape(x, shape)), ref=step.ref)


def permuted(step: Step, op: along.Permute) -> Found:
    """Axes in another order; regions keep their positions second."""
    region = step.input_region()
    if region is None:
        return None
    others = [a for a in op.order[1:] if a != region.axis]
    order = [0, 1, *(_in_region(a, region) for a in others)]
    found = region.with_arrays(lambda x: step.ops.transpose(x, order))
    return replace(found, ref=step.ref, axis=op.order.index(region.axis), substitution=None)


def _in_region(axis: int, region: AffectedRegion) -> int:
    """The axis of a region's arrays, in which the positions come second."""
    if axis == region.axis:
        return 1
    return axis + 1 if axis < region.axis else axis


def cut(step: Step, op: along.Cut) -> Found:
    """A stretch of the positions, and of other axes."""
    region = step.input_region()
    if region is None:
        return None
    before, after = step.input_shape(region), step.shape
    index: list[Any] = [slice(None)] * (len(before) + 1)
    for a, chosen in op.stretches.items():
        if a != region.axis:
            index[_in_region(a, region)] = slice(chosen.start, chosen.stop, chosen.step)
    own = op.stretches.get(region.axis, range(region.length))
    if own.step != 1:
        return None
    start, length = region.start.moved(-own.start), len(own)
    dropped = len(before) - len(after)
    axis = region.axis
    if dropped:
        axis -= sum(a < region.axis and len(chosen) == 1 for a, chosen in op.stretches.items())
    if not 0 < axis <= len(after) or after[axis - 1] != length or dropped > 1:
        return None
    change = step.regions.change(region)[tuple(index)]
    change = step.ops.reshape(change, (-1, region.width, *step.regions.rest(step.ref, axis)))
    found = AffectedRegion(step.ref, axis, length, start, region.width)
    return replace(found, change=step.regions.kept(found, change, 0))


def padded(step: Step, op: along.ZeroPad) -> Found:
    """More positions, of zeros."""
    region = step.input_region()
    if region is None:
        return None
    length, start = step.shape[region.axis - 1], region.start.moved(op.before)
    change = step.regions.change(region)
    return AffectedRegion(step.ref, region.axis, length, start, region.width, change=change)


def mirrored(step: Step, op: along.Mirror) -> Found:
    """Axes in reverse; with the positions, the regions are mirrored."""
    region = step.input_region()
    if region is None:
        return None
    axes = [_in_region(a, region) for a in op.axes]
    start = region.start
    if region.axis in op.axes:
        by_edit = None if start.by_edit is None else -start.by_edit
        start = Offsets(by_edit, region.length - start.shared - region.width)
    found = region.with_arrays(lambda x: step.ops.reverse(x, axes))
    return replace(found, ref=step.ref, start=start, ready=None, substitution=None)


HANDLERS: Mapping[type, Callable[[Step, Any], Found]] = {
    along.Local: local,
    along.Sum: added,
    along.Scale: scaled,
    along.SameElements: reshaped,
    along.Permute: permuted,
    along.Cut: cut,
    along.ZeroPad: padded,
    along.Mirror: mirrored,
    along.Convolve: convolved,
    along.Blocks: blocked,
    along.Unblocks: put_together,
    along.PoolPositions: pooled_maxima_or_means,
    along.Total: total,
    along.Largest: largest,
    along.Dense: dense,
}
