"""Receptive fields: which positions of the sequence each position of a value sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental import position_ops as along
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.position_kernel import PositionKernel


@dataclass(frozen=True)
class ReceptiveField:
    """Position o of a value sees the `size` positions of the sequence from ``o * stride + offset`` on.

    Attributes
    ----------
    size, stride, offset
        In positions of the sequence, 0-based; some may lie before its start or after its end.
    axis
        Axis of the positions in the value, which has the batch as axis 0.
    """

    size: int
    stride: int
    offset: int
    axis: int

    def of(self, position: int) -> range:
        """The positions of the sequence that one position of the value sees.

        Examples
        --------
        >>> ReceptiveField(size=19, stride=4, offset=-9, axis=1).of(2)
        range(-1, 18)
        """
        first = position * self.stride + self.offset
        return range(first, first + self.size)

    def convolved(self, span: int, stride: int, before: int) -> ReceptiveField:
        """The field after windows of `span` positions in steps of `stride`, the first `before` the start."""
        size = self.size + (span - 1) * self.stride
        return replace(
            self, size=size, stride=self.stride * stride, offset=self.offset - before * self.stride
        )

    def joined(self, other: ReceptiveField) -> ReceptiveField | None:
        """The field that has two others in it; None where their steps are not the same."""
        if self.stride != other.stride:
            return None
        first = min(self.offset, other.offset)
        last = max(self.offset + self.size, other.offset + other.size)
        return replace(self, size=last - first, offset=first)


@dataclass(frozen=True)
class _InBlocks:
    """A field whose positions are dealt out to blocks of the batch, and the convolution on the blocks."""

    field: ReceptiveField
    blocks: along.Blocks
    axis: int
    kernel: PositionKernel | None = None


def receptive_fields(program: Program) -> dict[Ref, ReceptiveField]:
    """The receptive field of every value whose positions are an axis of their own.

    Values that see the whole sequence, and those that see it in another order, have none.
    """
    found: dict[Ref, ReceptiveField | _InBlocks] = {program.sequence: ReceptiveField(1, 1, 0, program.axis)}
    for i in program.steps:
        fields = {ref: found[ref] for ref in program.graph.nodes[i].inputs if ref in found}
        op = program.position_op(i, {ref: field.axis for ref, field in fields.items()}) if fields else None
        field = None if op is None else _after(program, i, op, fields)
        if field is not None:
            found[(i, 0)] = field
    return {ref: field for ref, field in found.items() if isinstance(field, ReceptiveField) and field.axis}


def _after(
    program: Program,
    i: int,
    op: along.PositionOp,
    fields: Mapping[Ref, ReceptiveField | _InBlocks],
) -> ReceptiveField | _InBlocks | None:
    (ref, first), *_ = fields.items()
    before, after = program.shapes[ref], program.shapes[(i, 0)]
    if isinstance(first, _InBlocks):
        return _in_blocks(op, first, before, after)
    match op:
        case along.Local() | along.Sum() | along.Scale():
            return _local(op, list(fields.values()), len(before), len(after))
        case along.SameElements():
            if not first.axis:  # Merged with the batch, or no longer so.
                return replace(first, axis=0 if math.prod(before) == math.prod(after) else 1)
            axis = along.reshaped_axis(before, first.axis, after)
            return None if axis is None else replace(first, axis=axis)
        case along.Permute(order):
            return replace(first, axis=order.index(first.axis))
        case along.Cut(stretches):
            own = stretches.get(first.axis, range(1))
            gone = sum(a < first.axis and len(chosen) == 1 for a, chosen in stretches.items())
            moved = replace(first, axis=first.axis - (gone if len(after) < len(before) else 0))
            return replace(
                moved,
                stride=first.stride * own.step,
                offset=first.offset + own.start * first.stride,
            )
        case along.ZeroPad(n):
            return replace(first, offset=first.offset - n * first.stride)
        case along.Convolve(kernel):
            return first.convolved(kernel.span, kernel.stride, kernel.before)
        case along.PoolPositions(span, stride, n):
            return first.convolved(span, stride, n)
        case along.Blocks():
            return _InBlocks(first, op, first.axis)
    return None


def _local(
    op: along.PositionOp, fields: Sequence[ReceptiveField | _InBlocks], before: int, after: int
) -> ReceptiveField | None:
    found: ReceptiveField | None = None
    for field in fields:
        if isinstance(field, _InBlocks):
            return None
        found = field if found is None else found.joined(field)
        if found is None:
            return None
    if found is None or not found.axis:
        return found
    if isinstance(op, along.Local) and not op.broadcasts:
        return replace(found, axis=found.axis - sum(a < found.axis for a in op.dropped))
    # What broadcasts may add axes before.
    return replace(found, axis=found.axis + after - before)


def _in_blocks(
    op: along.PositionOp, state: _InBlocks, before: tuple[int, ...], after: tuple[int, ...]
) -> ReceptiveField | _InBlocks | None:
    """Until blocks are put together, when a convolution in between is a dilated one."""
    if isinstance(op, along.SameElements):
        axis = along.reshaped_axis(before, state.axis, after)
        return replace(state, axis=axis) if axis else None
    if isinstance(op, along.Convolve) and state.kernel is None:
        return replace(state, kernel=op.kernel)
    if not isinstance(op, along.Unblocks) or state.kernel is None:
        return None
    span = (len(state.kernel.kernel) - 1) * op.size + 1
    field = state.field.convolved(span, 1, state.blocks.before - op.before)
    return replace(field, axis=state.axis)
