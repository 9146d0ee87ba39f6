"""The chain of convolutions that a model begins with, as far as it is one, block by block.

A block is a convolution along the sequence with what follows it position by position, and maxima of windows
side by side at its end. Where a value goes into several operations, or into one that is of another kind, the
chain ends: all of the sequence's effect passes through its last value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.position_ops import Convolve, Permute, PoolPositions, reshaped_axis
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.operations import Elementwise
from kipoi_tfbind.graph.position_kernel import PositionKernel

# Linear by themselves and the same at all positions, if their other inputs are constants.
_LINEAR = frozenset({"add", "cast", "identity", "normalise", "product"})
_OF_SHAPES = frozenset({"shape", "shape_of"})
# Output for an input of ones, less that for zeros, of what is between two values: without the batch.
Measure = Callable[[Ref, Ref], NDArray]


@dataclass(frozen=True)
class Value:
    """A value of the chain.

    Attributes
    ----------
    ref
        The value.
    axis
        Axis of its positions, with the batch as axis 0.
    shape
        Without the batch.
    """

    ref: Ref
    axis: int
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """Number of positions."""
        return self.shape[self.axis - 1]

    @property
    def channels(self) -> int:
        """Numbers at each position."""
        return math.prod(self.shape) // self.length

    def by_position(self, values: NDArray) -> NDArray:
        """(sequence, *shape) as (sequence, position, channel)."""
        return np.moveaxis(values, self.axis, 1).reshape(len(values), self.length, -1)

    def in_layout(self, values: NDArray) -> NDArray:
        """The inverse of `by_position`."""
        rest = self.shape[: self.axis - 1] + self.shape[self.axis :]
        return np.moveaxis(values.reshape(len(values), self.length, *rest), 1, self.axis)


@dataclass(frozen=True)
class Part:
    """One part of a block: a function of each number, or maxima of windows.

    Attributes
    ----------
    before, after
        Its input and output.
    function
        Name of the function; "" of maxima.
    span
        Positions in a window; 1 of a function.
    scale
        Factor of each channel before it.
    """

    before: Value
    after: Value
    function: str
    span: int
    scale: NDArray = field(repr=False)


@dataclass(frozen=True)
class Block:
    """A convolution, and what follows it.

    Attributes
    ----------
    kernel
        The convolution, with factors of the channels before and after it.
    source, convolved
        Its input, and its output with those factors.
    parts
        What follows.
    """

    kernel: PositionKernel
    source: Value
    convolved: Value
    parts: tuple[Part, ...] = ()

    @property
    def output(self) -> Value:
        """The value at its end."""
        return self.parts[-1].after

    @property
    def span(self) -> int:
        """Positions of the convolution's output in a window of the pool; 1 without one."""
        return max(part.span for part in self.parts)


def blocks_of(program: Program, functions: frozenset[str], measure: Measure) -> list[Block]:
    """The blocks that a model begins with; none where it begins with something else.

    Parameters
    ----------
    program
        The model.
    functions
        Functions of one number that a block may have.
    measure
        Gives what linear operations make of their input.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind.graph import trace_torch
    >>> module = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> graph = trace_torch(lambda x: [module(x[0])], [torch.zeros(1, 4, 10)])
    >>> program = Program.of(graph, 0, 2, [(4, 10)], np.empty(0))
    >>> (block,) = blocks_of(program, frozenset({"relu"}), lambda source, after: np.ones(1))
    >>> block.kernel.kernel.shape, [part.function for part in block.parts], block.output.length
    ((3, 4, 2), ['relu'], 8)
    """
    shape = program.shapes[program.sequence]
    at, scaled_from = Value(program.sequence, program.axis, shape), None
    found: list[Block] = []
    while (step := _next(program, at)) is not None:
        i, after = step
        op = program.position_op(i, {at.ref: at.axis})
        kind = program.graph.nodes[i].kind
        if isinstance(op, Convolve):
            scale = _scale(scaled_from, at, measure)
            if op.kernel.stride != 1 or scale is None or (found and not found[-1].parts):
                break
            found.append(Block(_times(op.kernel, scale[:, np.newaxis]), at, after))
            scaled_from = None
        elif kind in _LINEAR or kind in ("reshape", "transpose"):
            # Reshapes before the first convolution change no number.
            if found and scaled_from is None:
                scaled_from = at
            elif not found and kind not in ("identity", "reshape", "transpose"):
                break
        elif found and (part := _part(program, found[-1], i, at, after, functions)) is not None:
            scale = _scale(scaled_from, at, measure)
            if scale is None:
                break
            if found[-1].parts:
                part = replace(part, scale=scale)
            else:
                found[-1] = replace(found[-1], kernel=_times(found[-1].kernel, scale), convolved=at)
            found[-1] = replace(found[-1], parts=(*found[-1].parts, part))
            scaled_from = None
        else:
            break
        at = after
    return found if not found or found[-1].parts else found[:-1]


def _next(program: Program, at: Value) -> tuple[int, Value] | None:
    """The one operation that takes a value, beside constants, and its output with positions."""
    nodes = program.graph.nodes
    takers = {i for i in program.consumers.get(at.ref, ()) if nodes[i].kind not in _OF_SHAPES}
    if len(takers) != 1 or at.ref == program.output:
        return None
    (i,) = takers
    others = [ref for ref in nodes[i].inputs if ref != at.ref]
    if nodes[i].inputs.count(at.ref) != 1 or any(ref not in program.constants for ref in others):
        return None
    op, axis = program.position_op(i, {at.ref: at.axis}), at.axis
    shape = program.shapes[(i, 0)]
    if nodes[i].kind == "reshape" or len(shape) != len(at.shape):
        axis = reshaped_axis(at.shape, at.axis, shape) or 0
    elif isinstance(op, Permute):
        rest = [a for a in op.order[1:] if a != at.axis]
        axis = op.order.index(at.axis) if rest == sorted(rest) else 0
    return (i, Value((i, 0), axis, shape)) if axis and op is not None and -1 not in shape else None


def _part(
    program: Program, block: Block, i: int, at: Value, after: Value, functions: frozenset[str]
) -> Part | None:
    node = program.graph.nodes[i]
    op = program.position_op(i, {at.ref: at.axis})
    nothing = np.ones(at.channels)
    if isinstance(node.operation, Elementwise) and node.operation.function in functions:
        return Part(at, after, node.operation.function, 1, nothing) if at.shape == after.shape else None
    if isinstance(op, PoolPositions) and op.maximum and op.span == op.stride and op.before == 0:
        # A second pool would need windows of windows.
        fits = after.length * op.span <= at.length and all(part.span == 1 for part in block.parts)
        return Part(at, after, "", op.span, nothing) if fits else None
    return None


def _times(kernel: PositionKernel, scale: NDArray) -> PositionKernel:
    return replace(kernel, kernel=kernel.kernel * scale.astype(kernel.kernel.dtype))


def _scale(start: Value | None, at: Value, measure: Measure) -> NDArray | None:
    """Factor of each channel between two values; None where it is not the same at all positions."""
    if start is None:
        return np.ones(at.channels)
    by_position = at.by_position(measure(start.ref, at.ref)[np.newaxis])[0]
    return by_position[0] if (by_position == by_position[0]).all() else None
