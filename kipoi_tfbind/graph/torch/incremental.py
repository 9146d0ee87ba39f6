"""Incremental predictions in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.graph import Node
from kipoi_tfbind.graph.incremental.cached import Cached, make_cached
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.incremental.pair_engine import Pairs, single_changes
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.incremental.propagation import Propagation, propagate_edits
from kipoi_tfbind.graph.incremental.regions import RunNode
from kipoi_tfbind.graph.torch.graph import TorchGraph
from kipoi_tfbind.graph.torch.pairs import Parts, TorchPairs

# Arrays beyond this are slower to get from the system than to fill.
_BYTES = 16 << 20
# Single edits of double mutants that are followed at once.
_AT_ONCE = 256
# What takes tensors in any order of their axes, and keeps it.
_STRIDED = frozenset({"add", "cast", "elementwise", "elementwise_pair", "normalise", "product", "ratio"})


class TorchIncremental(Incremental):
    """The propagation in PyTorch.

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
    base_encodings
        Encodings of A, C, G, T and N at one position of that input: (code, ...).
    """

    def __init__(
        self,
        graph: TorchGraph,
        wrt: int,
        shapes: Sequence[tuple[int, ...]],
        axis: int,
        base_encodings: NDArray,
    ) -> None:
        self._graph, self._ops = graph, graph.ops
        encodings = torch.as_tensor(base_encodings, dtype=graph.dtypes[wrt]).numpy()
        super().__init__(Program.of(graph, wrt, axis, shapes, encodings))

    def cached_activations(self, inputs: Sequence[NDArray], codes: NDArray, width: int) -> list[Any]:
        """See the base class."""
        return self._looked_up(self._planned(width)[1], inputs, codes)

    def predict_both(
        self,
        inputs: Sequence[NDArray],
        codes: NDArray,
        sequence: NDArray,
        first: NDArray,
        new_codes: NDArray,
    ) -> tuple[NDArray, NDArray]:
        """See the base class."""
        wanted = [*self._planned(new_codes.shape[1])[1], Cached(self.program.output, "whole")]
        *cached, outputs = self._looked_up(wanted, inputs, codes)
        return outputs.cpu().numpy(), self.predict(cached, sequence, first, new_codes)

    def predict(self, cached: list[Any], sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the base class."""
        plan, wanted = self._planned(codes.shape[1])
        n_at_once = max(_BYTES // max(plan.largest * self.program.base_encodings.itemsize, 1), 1)
        n_parts = -(-len(first) // n_at_once)
        with torch.no_grad():
            parts = [
                self._propagation(wanted, cached, *part).outputs().cpu().numpy()
                for part in zip(
                    *(np.array_split(array, n_parts) for array in (sequence, first, codes)), strict=True
                )
            ]
        return np.concatenate(parts)

    def pairs(self, inputs: Sequence[NDArray], codes: NDArray, first: NDArray, new: NDArray) -> Pairs:
        """See the base class."""
        program = self.pair_program

        def look_up(wanted: list[Cached]) -> list[Any]:
            return self._looked_up(wanted, inputs, codes)

        def follow() -> Parts:
            own, parts = look_up(program.own), []
            with torch.no_grad():
                for at in range(0, len(first), _AT_ONCE):
                    some = slice(at, at + _AT_ONCE)
                    sequence = np.zeros(len(first[some]), np.int64)
                    single = self._propagation(program.own, own, sequence, first[some], new[some, np.newaxis])
                    parts.append(single_changes(single, program.singles))
            return parts

        return TorchPairs(program, self._ops, self._run, look_up, follow)

    def _looked_up(self, wanted: list[Cached], inputs: Sequence[NDArray], codes: NDArray) -> list[Any]:
        with torch.no_grad():
            tensors = [
                torch.as_tensor(np.ascontiguousarray(array)).to(device=self._ops.device, dtype=dtype)
                for array, dtype in zip(inputs, self._graph.dtypes, strict=True)
            ]
            refs = {cached.ref for cached in wanted if cached.form != "codes"}
            values = self._graph.run(tensors, refs, len(codes))
            return [
                self._ops.indices(codes.reshape(-1))
                if cached.form == "codes"
                else make_cached(self._ops, self.program, cached, values[cached.ref]).contiguous()
                for cached in wanted
            ]

    def _propagation(
        self, wanted: list[Cached], cached: list[Any], sequence: NDArray, first: NDArray, codes: NDArray
    ) -> Propagation:
        found = dict(zip(wanted, cached, strict=True))
        return propagate_edits(
            self._ops,
            self._run(len(codes)),
            self.program,
            found.__getitem__,
            sequence=self._ops.indices(sequence),
            first=self._ops.indices(first),
            codes=self._ops.indices(codes),
        )

    def _run(self, n: int) -> RunNode:
        """A function that runs a node on arrays of `n` edits."""

        def run(node: Node, inputs: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
            if node.kind not in _STRIDED:
                inputs = [x.contiguous() for x in inputs]
            return self._graph.run_node(node, inputs, n)

        return run
