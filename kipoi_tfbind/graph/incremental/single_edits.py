"""One walk over a graph for many edits of few sequences: of each value, only the window that an edit reaches.

What is linear is applied to the change from the sequence's own value, what is not to the edited value. Where
an operation is not known to act along the positions in a way that can be followed, the windows end: from
there on the whole arrays go through the model's own operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental import handlers as reach
from kipoi_tfbind.graph.incremental.affected_region import Dealt, Flat, Table, Unmet, Window, Windows
from kipoi_tfbind.graph.incremental.array_ops import WindowArrays
from kipoi_tfbind.graph.incremental.offsets import Start
from kipoi_tfbind.graph.incremental.program import Program


class Walk:
    """The walk from the windows of the input to the predictions.

    Parameters
    ----------
    windows
        What can be done with windows.
    entry
        The windows of the input.

    Attributes
    ----------
    state
        What is known of each value: a window, or the whole array.
    spans
        Whether there are arrays whose size depends on where the edits are.
    ended_at
        The layer where windows ended before the positions did.
    """

    # Whether a convolution gives what the pool after it needs.
    looks_ahead = True

    def __init__(self, windows: Windows, entry: Any) -> None:
        self.windows, self.program, self.arrays = windows, windows.program, windows.arrays
        self.state: dict[Ref, Any] = {self.program.sequence: entry}
        self.spans, self.ended_at = False, ""
        # Changes of whole values where the windows ended in a sum.
        self.ends: dict[Ref, Any] = {}
        self._whole: dict[Ref, Any] = {}
        for node in self.program.graph.inputs:
            if (node, 0) != self.program.sequence:
                self.state[(node, 0)] = windows.unchanged((node, 0))
        for i in self.program.steps:
            self._step(i)

    def outputs(self) -> Any:
        """Predictions (edit, target)."""
        return self.whole(self.program.output)

    def is_window(self, ref: Ref) -> bool:
        """Whether a value is known by windows."""
        return isinstance(self.state.get(ref), Window | Flat | Dealt | Unmet)

    def whole(self, ref: Ref) -> Any:
        """A value of the edited sequences, in the framework's layout."""
        if ref in self.program.constants:
            return self.arrays.constant(self.program.constants[ref])
        if not self.is_window(ref):
            return self.state[ref]
        if ref not in self._whole:
            self._whole[ref] = self._joined(ref)
        return self._whole[ref]

    def handled(self, i: int, known: Any) -> Any:
        """The state of a node's outputs, from the table of what becomes of windows."""
        return reach.HANDLERS[type(known)](self, i, known)

    def _joined(self, ref: Ref) -> Any:
        state = self.state[ref]
        if not isinstance(state, Window):
            return self._run_whole(ref[0])[ref[1]]
        self.ended_at = self.ended_at or self.program.graph.nodes[ref[0]].layer or "output"
        return self.arrays.to_layout(self.windows.value(self.windows.everywhere(state)), state.axis)

    def _step(self, i: int) -> None:
        node = self.program.graph.nodes[i]
        axes = {ref: self.state[ref].axis for ref in node.inputs if self.is_window(ref)}
        if node.operation == "Shape" and axes:
            shape = self.program.shapes[node.inputs[0]]
            self.state[(i, 0)] = self.arrays.shape_of(self.windows.sequence, shape)
            return
        known = self.program.geometry(i, axes) if axes else None
        found = None if known is None else self.handled(i, known)
        if found is None:
            found = {(i, j): y for j, y in enumerate(self._run_whole(i))}
        self.state.update(found if isinstance(found, Mapping) else {(i, 0): found})

    def _run_whole(self, i: int) -> list[Any]:
        """Outputs of a node for whole arrays."""
        node = self.program.graph.nodes[i]
        shapes = [self.program.shapes[(i, j)] for j in range(node.n_outputs)]
        self.windows.products += self.program.products(i)
        self.windows.elements += self.program.elements(i)
        return self.arrays.run(node, [self.whole(ref) for ref in node.inputs], shapes)


class IncrementalWalk(Walk):
    """The walk for edits of a stretch of the sequence.

    Parameters
    ----------
    arrays
        The framework.
    program
        The model.
    table
        Gives what is looked up of the sequences' own values.
    sequence
        Which of the sequences each edit is of.
    first
        The first edited position of each.
    codes
        Base codes (edit, position) from there on, 4 for N.
    """

    def __init__(
        self,
        arrays: WindowArrays,
        program: Program,
        table: Callable[[Table], Any],
        *,
        sequence: Any,
        first: Any,
        codes: Any,
    ) -> None:
        windows = Windows(arrays, program, table, sequence)
        ref, axis, width = program.sequence, program.axis, codes.shape[1]
        bare = Window(ref, axis, program.shapes[ref][axis - 1], Start(first), width)
        own = arrays.take(table(Table(ref, "codes")), windows.own_rows(bare))
        units = arrays.constant(program.units)
        change = arrays.take(units, codes) - arrays.take(units, own)
        substitution = own[:, 0] * len(program.units) + codes[:, 0] if width == 1 else None
        entry = Window(ref, axis, bare.length, bare.start, width, change=change, substitution=substitution)
        super().__init__(windows, entry)
