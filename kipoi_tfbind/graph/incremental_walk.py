"""One walk over a graph for many edits of few sequences: of each value, only the window that an edit reaches.

What is linear is applied to the change from the sequence's own value, what is not to the edited value. Where
an operation is not known to act along the positions in a way that can be followed, the windows end: from
there on the whole arrays go through the model's own operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kipoi_tfbind.graph import reach
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.program import Program
from kipoi_tfbind.graph.window_arrays import WindowArrays
from kipoi_tfbind.graph.window_places import Start
from kipoi_tfbind.graph.windows import Dealt, Flat, Table, Window, Windows


class IncrementalWalk:
    """The walk; `outputs` gives the predictions of the edited sequences.

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
        self.arrays, self.program = arrays, program
        self.windows = Windows(arrays, program, table, sequence)
        self.state: dict[Ref, Any] = {program.sequence: self._edited(first, codes)}
        self._whole: dict[Ref, Any] = {}
        self.spans = False
        # The layer where windows end before the positions do.
        self.ended_at = ""
        for node in program.graph.inputs:
            if (node, 0) != program.sequence:
                self.state[(node, 0)] = self.windows.whole((node, 0))
        for i in program.steps:
            self._step(i)

    def outputs(self) -> Any:
        """Predictions (edit, target)."""
        return self.whole(self.program.output)

    def is_window(self, ref: Ref) -> bool:
        """Whether a value is known by windows."""
        return isinstance(self.state.get(ref), Window | Flat | Dealt)

    def whole(self, ref: Ref) -> Any:
        """A value of the edited sequences, in the framework's layout."""
        if ref in self.program.constants:
            return self.arrays.constant(self.program.constants[ref])
        state = self.state[ref]
        if not self.is_window(ref):
            return state
        if ref not in self._whole:
            if not isinstance(state, Window):
                return self._run_whole(ref[0])[ref[1]]
            self.ended_at = self.ended_at or self.program.graph.nodes[ref[0]].layer or "output"
            everywhere = self.windows.everywhere(state)
            value = self.windows.value(everywhere)
            self._whole[ref] = self.arrays.to_layout(value, state.axis)
        return self._whole[ref]

    def _edited(self, first: Any, codes: Any) -> Window:
        """The window of the input."""
        ref, axis, width = self.program.sequence, self.program.axis, codes.shape[1]
        window = Window(ref, axis, self.program.shapes[ref][axis - 1], Start(first), width)
        codes_of_own = self.windows.table(Table(ref, "codes"))
        own = self.arrays.take(codes_of_own, self.windows.own_rows(window))
        units = self.arrays.constant(self.program.units)
        change = self.arrays.take(units, codes) - self.arrays.take(units, own)
        substitution = own[:, 0] * len(self.program.units) + codes[:, 0] if width == 1 else None
        return Window(ref, axis, window.length, window.start, width, change=change, substitution=substitution)

    def _step(self, i: int) -> None:
        node = self.program.graph.nodes[i]
        axes = {ref: self._axis(ref) for ref in node.inputs if self.is_window(ref)}
        if node.operation == "Shape" and axes:
            shape = self.program.shapes[node.inputs[0]]
            self.state[(i, 0)] = self.arrays.shape_of(self.windows.sequence, shape)
            return
        known = self.program.geometry(i, axes) if axes else None
        found = None if known is None else reach.HANDLERS[type(known)](self, i, known)
        if found is None:
            found = {(i, j): y for j, y in enumerate(self._run_whole(i))}
        self.state.update(found if isinstance(found, Mapping) else {(i, 0): found})

    def _axis(self, ref: Ref) -> int:
        state = self.state[ref]
        return 1 if isinstance(state, Flat) else state.axis

    def _run_whole(self, i: int) -> list[Any]:
        """Outputs of a node for whole arrays."""
        node = self.program.graph.nodes[i]
        shapes = [self.program.shapes[(i, j)] for j in range(node.n_outputs)]
        self.windows.products += self.program.products(i)
        self.windows.elements += self.program.elements(i)
        return self.arrays.run(node, [self.whole(ref) for ref in node.inputs], shapes)
