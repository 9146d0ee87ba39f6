"""Incremental predictions in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.affected_region import Table
from kipoi_tfbind.graph.incremental.engine import Incremental, make_table
from kipoi_tfbind.graph.incremental.pair_engine import Pairs, single_changes
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.single_edits import IncrementalWalk
from kipoi_tfbind.graph.torch.edit_arrays import TorchWindows
from kipoi_tfbind.graph.torch.graph import BatchInteger, TorchGraph
from kipoi_tfbind.graph.torch.pairs import Parts, TorchPairs
from kipoi_tfbind.graph.torch.position_ops import torch_geometry

# Arrays beyond this are slower to get from the system than to fill.
_BYTES = 16 << 20
# Single edits of pairs that are followed at once.
_AT_ONCE = 256


class TorchIncremental(Incremental):
    """The walk in PyTorch.

    Parameters
    ----------
    graph
        The model, traced for sequences of one length.
    wrt
        Number of the input whose sequence is edited.
    shapes
        Shape of each input, without the batch.
    axis
        Axis of the positions there.
    units
        What that input has at a position with each of the five codes: (code, ...).
    """

    def __init__(
        self, graph: TorchGraph, wrt: int, shapes: Sequence[tuple[int, ...]], axis: int, units: NDArray
    ) -> None:
        self._graph = graph
        self._device = next(
            (node.attributes["value"].device for node in graph.nodes if node.kind == "constant"),
            torch.device("cpu"),
        )
        self._dtypes = [graph.nodes[i].attributes["dtype"] for i in graph.inputs]
        constants = _constants(graph)
        known = dict(zip(((i, 0) for i in graph.inputs), map(tuple, shapes), strict=True))
        all_shapes = known | _shapes(graph, constants)
        dtype = torch.empty(0, dtype=self._dtypes[wrt]).numpy().dtype
        super().__init__(
            Program(graph, wrt, axis, all_shapes, constants, units.astype(dtype), torch_geometry)
        )
        self._arrays: dict[int, TorchWindows] = {}

    def references(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """See the base class."""
        return self._looked_up(self._planned(width)[1], inputs, codes)

    def predict(self, references: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the base class."""
        plan, tables = self._planned(codes.shape[1])
        n_at_once = max(_BYTES // max(plan.largest * self.program.units.itemsize, 1), 1)
        n_parts = -(-len(first) // n_at_once)
        with torch.no_grad():
            parts = [
                self._walk(tables, references, *part).outputs().cpu().numpy()
                for part in zip(
                    *(np.array_split(array, n_parts) for array in (sequence, first, codes)), strict=True
                )
            ]
        return np.concatenate(parts)

    def pairs(self, inputs: Sequence[NDArray], codes: NDArray, first: NDArray, new: NDArray) -> Pairs:
        """See the base class."""
        program = self.pair_program

        def look_up(tables: list[Table]) -> list[Any]:
            return self._looked_up(tables, inputs, codes)

        def follow() -> Parts:
            own, parts = look_up(program.own), []
            with torch.no_grad():
                for at in range(0, len(first), _AT_ONCE):
                    some = slice(at, at + _AT_ONCE)
                    sequence = np.zeros(len(first[some]), np.int64)
                    walk = self._walk(program.own, own, sequence, first[some], new[some, np.newaxis])
                    parts.append(single_changes(walk, program.singles))
            return parts

        return TorchPairs(program, self._windows, look_up, follow, self._device)

    def _looked_up(self, tables: list[Table], inputs: Sequence[NDArray], codes: NDArray) -> list[Any]:
        wanted = {table.ref for table in tables}
        arrays = self._windows(len(codes))
        with torch.no_grad():
            tensors = [
                torch.as_tensor(np.ascontiguousarray(array)).to(device=self._device, dtype=dtype)
                for array, dtype in zip(inputs, self._dtypes, strict=True)
            ]
            values = _values(self._graph, tensors, wanted)
            flat = torch.as_tensor(codes.reshape(-1).astype(np.int64), device=self._device)
            return [
                flat
                if table.how == "codes"
                else make_table(arrays, self.program, table, values[table.ref]).contiguous()
                for table in tables
            ]

    def _walk(
        self, tables: list[Table], references: list[Any], sequence: NDArray, first: NDArray, codes: NDArray
    ) -> IncrementalWalk:
        found = dict(zip(tables, references, strict=True))
        places = [
            torch.as_tensor(array.astype(np.int64), device=self._device) for array in (sequence, first, codes)
        ]
        return IncrementalWalk(
            self._windows(len(codes)),
            self.program,
            found.__getitem__,
            sequence=places[0],
            first=places[1],
            codes=places[2],
        )

    def _windows(self, n: int) -> TorchWindows:
        if n not in self._arrays:
            self._arrays[n] = TorchWindows(self._graph, self._device, n)
        return self._arrays[n]


def _values(graph: TorchGraph, tensors: Sequence[torch.Tensor], wanted: set[Ref]) -> dict[Ref, torch.Tensor]:
    """Some values of a graph."""
    values: dict[Ref, torch.Tensor] = {(i, 0): t for i, t in zip(graph.inputs, tensors, strict=True)}
    steps = [i for i in graph.live_nodes() if i not in graph.inputs]
    last_use = {ref: i for i in steps for ref in graph.nodes[i].inputs}
    for i in steps:
        node = graph.nodes[i]
        outputs = graph.run_node(node, [values[ref] for ref in node.inputs], len(tensors[0]))
        values |= {(i, j): output for j, output in enumerate(outputs)}
        for ref in node.inputs:
            if last_use[ref] == i and ref not in wanted:
                values.pop(ref, None)
    return values


def _constants(graph: TorchGraph) -> dict[Ref, NDArray]:
    """The values that depend neither on an input nor on the size of the batch."""
    varying = set(graph.inputs)
    values: dict[Ref, torch.Tensor] = {}
    with torch.no_grad():
        for i in graph.live_nodes():
            node = graph.nodes[i]
            depends = any(source in varying for source, _ in node.inputs)
            if i in varying or depends or node.attributes.get("uses_batch_size"):
                varying.add(i)
                continue
            outputs = graph.run_node(node, [values[ref] for ref in node.inputs])
            values |= {(i, j): output for j, output in enumerate(outputs)}
    return {ref: value.cpu().numpy() for ref, value in values.items()}


def _shapes(graph: TorchGraph, constants: dict[Ref, NDArray]) -> dict[Ref, tuple[int, ...]]:
    """The shape of every value but the inputs, without the first axis where it varies."""
    shapes: dict[Ref, tuple[int, ...]] = {ref: value.shape for ref, value in constants.items()}
    for i in graph.live_nodes():
        for j, shape in enumerate(graph.nodes[i].attributes.get("shapes", ())):
            if (i, j) not in constants:
                sizes = [-1 if isinstance(size, BatchInteger) else size for size in shape]
                shapes[(i, j)] = tuple(sizes[1:])
    return shapes
