"""DeepLIFT multipliers in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.graph.deeplift import engine
from kipoi_tfbind.graph.deeplift.propagation import Propagation
from kipoi_tfbind.graph.torch.call import row_size
from kipoi_tfbind.graph.torch.graph import TorchGraph


class TorchDeepLift(engine.DeepLift):
    """DeepLIFT multipliers of a graph of ATen operations."""

    graph: TorchGraph

    def compile(self, shapes: Sequence[tuple[int, ...]]) -> CompiledTorch:
        """See the base class."""
        return CompiledTorch(self.graph, self.wrt, shapes)


class CompiledTorch(engine.CompiledDeepLift):
    """The propagation for one graph; nothing is compiled."""

    # As long as nothing has been run.
    takes_targets = True

    def __init__(self, graph: TorchGraph, wrt: int, shapes: Sequence[tuple[int, ...]]) -> None:
        self._graph, self._wrt = graph, wrt
        nodes = [graph.nodes[i] for i in graph.live_nodes()]
        traced = [shape for n in nodes if n.kind not in ("input", "constant") for shape in n.call.shapes]
        self.largest = max(map(row_size, traced), default=1)
        self.elements, self.n_values = sum(map(row_size, traced)), max(len(traced), 1)
        self.itemsize = graph.dtypes[wrt].itemsize
        node, i = graph.outputs[0]
        own = dict(zip(graph.inputs, shapes, strict=True))
        self.n_outputs = math.prod(own[node]) if node in own else row_size(graph.nodes[node].call.shapes[i])

    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the base class."""
        n, n_references, *shape = references.shape
        chosen = columns.tolist()
        with torch.no_grad():
            values = [self._tensor(a, dtype) for a, dtype in zip(inputs, self._graph.dtypes, strict=True)]
            rows = self._tensor(references.reshape(n * n_references, *shape), self._graph.dtypes[self._wrt])
            ops = self._graph.ops
            r_inputs = [
                rows if i == self._wrt else ops.repeat(x, n_references, 0) for i, x in enumerate(values)
            ]
            propagation = Propagation(self._graph, values, r_inputs, [self._wrt], n, n_references)
            self.takes_targets = propagation.takes_targets
            like = propagation.outputs()[1]
            x, r = (y.reshape(len(y), -1) for y in propagation.outputs())
            n_pairs, by_rows = n * n_references, not propagation.takes_targets
            if by_rows:
                n_at_once = self.n_targets_by_rows(n_pairs, len(chosen))
            else:
                n_at_once = max(1, engine.WITH_TARGETS // (n_pairs * self.largest))
            multipliers = rows.new_empty(len(chosen), *references.shape)
            for start in range(0, len(chosen), n_at_once):
                some = torch.tensor(chosen[start : start + n_at_once], device=rows.device)
                seed = torch.nn.functional.one_hot(some, r.shape[1]).to(r.dtype)
                seed = seed.repeat_interleave(n_pairs, 0).reshape(-1, *like.shape[1:])
                if by_rows and len(some) > 1:
                    at_x, at_r = ([ops.tile_rows(a, len(some)) for a in part] for part in (values, r_inputs))
                    of_some = Propagation(self._graph, at_x, at_r, [self._wrt], n * len(some), n_references)
                    (found,) = of_some.back([seed])
                else:
                    (found,) = propagation.back([seed], len(some) if len(some) > 1 else None)
                multipliers[start : start + n_at_once] = found.reshape(-1, *references.shape)
            r = r.reshape(n, n_references, -1)[:, :, chosen]
            return multipliers.movedim(0, -1).cpu().numpy(), x[:, chosen].cpu().numpy(), r.cpu().numpy()

    def _tensor(self, array: NDArray, dtype: torch.dtype) -> torch.Tensor:
        array = np.ascontiguousarray(array)
        return torch.as_tensor(array).to(device=self._graph.ops.device, dtype=dtype)
