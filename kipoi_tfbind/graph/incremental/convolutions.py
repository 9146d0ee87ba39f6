"""Handlers of convolutions and pools."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from kipoi_tfbind.graph.incremental.offsets import ALL, pooled
from kipoi_tfbind.graph.incremental.position_ops import Blocks, Convolve, PoolPositions, Unblocks
from kipoi_tfbind.graph.incremental.states import AffectedRegion, InBlocks, State
from kipoi_tfbind.graph.incremental.step import Step
from kipoi_tfbind.graph.position_kernel import PositionKernel


def convolved(step: Step, op: Convolve) -> State | None:
    """The convolution of the change."""
    deferred = step.first().deferred(op.kernel)
    if deferred is not None:
        return deferred
    region = step.input_region(own_axis=False)
    return None if region is None else _convolve(step, op.kernel, region, region.axis)


def blocked(step: Step, op: Blocks) -> State | None:
    """Positions dealt out to blocks: what comes of it is known when they are put together again."""
    region = step.input_region()
    return None if region is None else InBlocks(region, op, region.axis)


def put_together(step: Step, op: Unblocks) -> State | None:
    """A dilated convolution, seen whole."""
    found = step.first().put_together(op)
    if found is None:
        return None
    region, kernel, axis = found
    return _convolve(step, kernel, region, axis)


def _convolve(step: Step, kernel: PositionKernel, region: AffectedRegion, axis: int) -> AffectedRegion:
    """The convolution of a region's change, as the output of the node."""
    regions, ops = step.regions, step.ops
    n_out = step.shape[axis - 1]
    n_in, n_channels = kernel.kernel.shape[1:]
    if kernel.stride > 1:
        pool = PoolPositions(kernel.span, kernel.stride, kernel.before, maximum=False)
        start, width, start_in, width_in = pooled(region.start, region.width, pool, n_out)
        change = regions.change(regions.moved(region, start_in, width_in))
        change = ops.strided_convolution(ops.reshape(change, (-1, width_in, n_in)), kernel)
        regions.macs += width * kernel.kernel.size
        found = AffectedRegion(step.ref, axis, n_out, start, width)
    else:
        found = _target(step, kernel, region, axis, n_out)
        shift = region.start.moved(kernel.before - kernel.span + 1).minus(found.start)
        if region.substitution is not None:
            change = _looked_up(step, kernel, region, shift, found.width)
        else:
            change = ops.spread(ops.reshape(regions.change(region), (-1, region.width, n_in)), kernel)
            regions.macs += region.width * kernel.kernel.size
            regions.traffic += region.width * len(kernel.kernel) * n_channels
            in_place = isinstance(shift, int) and shift == 0
            if not (in_place and found.width == region.width + kernel.span - 1):
                change = ops.place(change, shift, found.width)
                regions.count(found)
    regions.count(found)
    change = ops.reshape(change, (-1, found.width, *regions.rest(step.ref, axis)))
    return replace(found, change=regions.kept(found, change, 0))


def _target(
    step: Step, kernel: PositionKernel, region: AffectedRegion, axis: int, n_out: int
) -> AffectedRegion:
    """Where the output's regions are to lie: as the pool that follows needs them, or all positions."""
    start, width = region.start.moved(kernel.before - kernel.span + 1), region.width + kernel.span - 1
    pool = step.program.next_pool(step.ref, axis) if step.looks_ahead else None
    if pool is not None:
        out, width_out, start, width = pooled(start, width, *pool)
        return AffectedRegion(step.ref, axis, n_out, start, width, ready=(pool[0], out, width_out))
    if width >= n_out:
        start, width = ALL, n_out
    return AffectedRegion(step.ref, axis, n_out, start, width)


def _looked_up(step: Step, kernel: PositionKernel, region: AffectedRegion, shift: Any, width: int) -> Any:
    """The change that one substitution makes: a difference of the kernel's weights, without a product."""
    ops = step.ops
    tap = ops.span(ops.indices(np.array([0])), width)
    tap = tap - (shift if isinstance(shift, int) else shift[:, None])
    within = (tap >= 0) & (tap < kernel.span)
    index = region.substitution[:, None] * kernel.span + ops.clip(tap, 0, kernel.span - 1)
    rows = step.program.substitutions(kernel)
    return ops.take(ops.constant(rows), ops.where(within, index, len(rows) - 1))


def pooled_maxima_or_means(step: Step, op: PoolPositions) -> State | None:
    """The maximum or mean of the edited values."""
    regions, ops, region = step.regions, step.ops, step.input_region()
    if region is None:
        return None
    n_out = step.shape[region.axis - 1]
    if region.ready is not None and region.ready[0] == op:
        _, start, width = region.ready
    else:
        start, width, start_in, width_in = pooled(region.start, region.width, op, n_out)
        region = regions.moved(region, start_in, width_in)
    x = regions.value(region)
    if op.maximum:
        x = regions.kept(region, x, -math.inf)
    if op.span == op.stride:
        parts = ops.reshape(x, (-1, width, op.span, *regions.rest(step.ref, region.axis)))
        value = ops.max(parts, 2) if op.maximum else ops.sum(parts, 2) / op.span
    else:
        last = (width - 1) * op.stride + 1
        shifted = [x[:, j : j + last : op.stride] for j in range(op.span)]
        value = functools.reduce(ops.maximum if op.maximum else lambda a, b: a + b, shifted)
        value = value if op.maximum else value / op.span
    regions.count(region)
    return AffectedRegion(step.ref, region.axis, n_out, start, width, value=value)
