"""Propagation of a change: of each value, only the region that an edit of a sequence affects.

What is linear is applied to the change from the sequence's own value, what is not to the edited value. Where
an operation is not known to act along the positions in a way that can be followed, the regions end: from
there on the whole arrays go through the model's own operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.cached import Cached
from kipoi_tfbind.graph.incremental.handlers import HANDLERS, Found
from kipoi_tfbind.graph.incremental.offsets import Offsets
from kipoi_tfbind.graph.incremental.position_ops import PositionOp
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.regions import Regions, RunNode
from kipoi_tfbind.graph.incremental.states import AffectedRegion, State, Whole
from kipoi_tfbind.graph.incremental.step import Step


class Propagation:
    """From the affected regions of the input to the predictions.

    Parameters
    ----------
    regions
        Operations on affected regions.
    entry
        The state of the input.

    Attributes
    ----------
    states
        State of each value.
    ended_at
        The layer where regions ended before the positions did.
    """

    # Whether a convolution gives what the pool after it needs.
    looks_ahead = True

    def __init__(self, regions: Regions, entry: State) -> None:
        self.regions, self.program, self.ops = regions, regions.program, regions.ops
        self.states: dict[Ref, State] = {self.program.sequence: entry}
        self.ended_at = ""
        self._whole: dict[Ref, Any] = {}
        for node in self.program.graph.inputs:
            if (node, 0) != self.program.sequence:
                self.states[(node, 0)] = Whole(regions.unchanged((node, 0)))
        for i in self.program.steps:
            self._propagate(i)

    def outputs(self) -> Any:
        """Predictions (edit, target)."""
        return self.whole(self.program.output)

    def whole(self, ref: Ref) -> Any:
        """A value of the edited sequences, in the framework's layout."""
        if ref in self.program.constants:
            return self.ops.constant(self.program.constants[ref])
        if ref not in self._whole:
            self._whole[ref] = self.joined(ref)
        return self._whole[ref]

    def joined(self, ref: Ref) -> Any:
        """The whole array of a state."""
        found = self.states[ref].joined(self._in_layout)
        return self._run_whole(ref[0])[ref[1]] if found is None else found

    def _in_layout(self, region: AffectedRegion) -> Any:
        self.ended_at = self.ended_at or self.program.graph.nodes[region.ref[0]].layer or "output"
        return self.regions.in_layout(region)

    def handled(self, i: int, op: PositionOp) -> Found:
        """The state of a node's outputs, from the table of what becomes of a change."""
        return self.with_states(i, op, self.states)

    def with_states(self, i: int, op: PositionOp, states: Mapping[Ref, State]) -> Found:
        """The same for other states."""
        step = Step(self.regions, i, states, self.whole, self.looks_ahead)
        return HANDLERS[type(op)](step, op)

    def _propagate(self, i: int) -> None:
        node, axes = self.program.graph.nodes[i], {}
        for ref in node.inputs:
            axis = self.states[ref].position_axis if ref in self.states else None
            if axis is not None:
                axes[ref] = axis
        if node.kind == "shape_of" and axes:
            shape = self.program.shapes[node.inputs[0]]
            n_edits, *_ = self.ops.shape(self.regions.sequence)
            self.states[(i, 0)] = Whole(self.ops.vector([n_edits, *shape]))
            return
        op = self.program.position_op(i, axes) if axes else None
        found = None if op is None else self.handled(i, op)
        if found is None:
            found = {(i, j): Whole(y) for j, y in enumerate(self._run_whole(i))}
        self.states.update({(i, 0): found} if isinstance(found, State) else found)

    def _run_whole(self, i: int) -> list[Any]:
        """Outputs of a node for whole arrays."""
        node = self.program.graph.nodes[i]
        shapes = [self.program.shapes[(i, j)] for j in range(node.n_outputs)]
        self.regions.macs += self.program.macs(i)
        self.regions.traffic += self.program.traffic(i)
        return self.regions.run(node, [self.whole(ref) for ref in node.inputs], shapes)


def propagate_edits(
    ops: ArrayOps,
    run: RunNode,
    program: Program,
    cached: Callable[[Cached], Any],
    *,
    sequence: Any,
    first: Any,
    codes: Any,
) -> Propagation:
    """The propagation of edits of a stretch of the sequence.

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
    first
        The first edited position of each.
    codes
        Base codes (edit, position) from there on, 4 for N.
    """
    regions = Regions(ops, run, program, cached, sequence)
    ref, axis, width = program.sequence, program.axis, codes.shape[1]
    bare = AffectedRegion(ref, axis, program.shapes[ref][axis - 1], Offsets(first), width)
    own = ops.take(cached(Cached(ref, "codes")), regions.own_rows(bare))
    encodings = ops.constant(program.base_encodings)
    change = ops.take(encodings, codes) - ops.take(encodings, own)
    substitution = own[:, 0] * len(program.base_encodings) + codes[:, 0] if width == 1 else None
    entry = AffectedRegion(
        ref, axis, bare.length, bare.start, width, change=change, substitution=substitution
    )
    return Propagation(regions, entry)
