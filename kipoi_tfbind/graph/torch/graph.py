"""A graph that came from PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_leaves, tree_map

from kipoi_tfbind.graph.graph import Graph, Node, Ref
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.torch.call import BatchInteger, Call, Running, batch_leads, filled
from kipoi_tfbind.graph.torch.ops import TorchOps
from kipoi_tfbind.graph.torch.vjp import node_vjp
from kipoi_tfbind.graph.vjp import VJP, windows_of_axes


@dataclass(frozen=True, eq=False)
class TorchGraph(Graph):
    """A graph of ATen operations."""

    @cached_property
    def ops(self) -> TorchOps:
        """Arrays on the device of the graph's constants."""
        devices = (node.call.device for node in self.nodes if node.kind == "constant")
        return TorchOps(next(devices, torch.device("cpu")))

    @property
    def dtypes(self) -> list[torch.dtype]:
        """Type of each input."""
        return [self.nodes[i].call for i in self.inputs]

    def run_node(self, node: Node, values: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """Outputs of one node, for a batch of `batch_size` sequences."""
        if node.kind == "constant":
            return [node.call]
        if node.kind == "max_pool" and node.n_outputs == 1 and not torch.is_grad_enabled():
            found = _maxima(node, values[0])
            if found is not None:
                return [found]
        args, kwargs = filled(node.call.arguments, values, batch_size)
        Running.layer = node.layer
        try:
            result = node.call.function(*args, **kwargs)
        finally:
            Running.layer = ""
        if isinstance(result, torch.Tensor):
            return [result]
        return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)][: node.n_outputs]

    def vjp(
        self, node: Node, values: Sequence[Any], wanted: Sequence[int], batch_size: Any = None
    ) -> tuple[list[Any], VJP]:
        """See the base class."""
        return node_vjp(self.run_node, self.ops, node, values, wanted, batch_size)

    def batch_leads(self, ref: Ref, value: Any) -> bool:
        """See the base class: by the shapes of the trace."""
        node = self.nodes[ref[0]]
        return node.kind == "input" or (node.kind != "constant" and batch_leads(node.call.shapes[ref[1]]))

    def shapes_and_constants(
        self, shapes: Sequence[tuple[int, ...]]
    ) -> tuple[Mapping[Ref, tuple[int, ...]], Mapping[Ref, NDArray]]:
        """See the base class: the shapes of the trace."""
        varying = self.varying()
        constant = [i for i in self.live_nodes() if i not in varying]
        with torch.no_grad():
            values: dict[Ref, torch.Tensor] = {}
            for i in constant:
                outputs = self.run_node(self.nodes[i], [values[ref] for ref in self.nodes[i].inputs])
                values |= {(i, j): output for j, output in enumerate(outputs)}
        constants = {ref: value.cpu().resolve_conj().resolve_neg().numpy() for ref, value in values.items()}
        found: dict[Ref, tuple[int, ...]] = {ref: value.shape for ref, value in constants.items()}
        found |= dict(zip(((i, 0) for i in self.inputs), map(tuple, shapes), strict=True))
        for i in varying - set(self.inputs):
            for j, shape in enumerate(self.nodes[i].call.shapes):
                found[(i, j)] = tuple(-1 if isinstance(size, BatchInteger) else size for size in shape[1:])
        return found, constants

    def as_function(self) -> Callable[[list[Any]], list[Any]]:
        """The graph as a function of PyTorch's tensors."""

        def run(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
            values = self.run(tensors, self.outputs, len(tensors[0]))
            return [values[ref] for ref in self.outputs]

        return run

    def input_node(self, shape: Sequence[int]) -> Node:
        """See the base class."""
        dtype = next((dtype for dtype in self.dtypes if dtype.is_floating_point), torch.float32)
        return Node("input", Operation("input"), call=dtype)

    def in_precision(self, dtype: Literal["float32", "float64"]) -> TorchGraph:
        """The same graph with every float32 (or float64) constant and operation in `dtype`."""
        target = getattr(torch, dtype)
        source = torch.float32 if target == torch.float64 else torch.float64

        def converted(leaf: Any) -> Any:
            if isinstance(leaf, Call):
                return replace(leaf, arguments=tree_map(converted, leaf.arguments))
            if isinstance(leaf, torch.Tensor):
                return leaf.to(target) if leaf.dtype == source else leaf
            return target if leaf == source else leaf

        return replace(self, nodes=tuple(replace(node, call=converted(node.call)) for node in self.nodes))


def _maxima(node: Node, x: torch.Tensor) -> torch.Tensor | None:
    """Maxima of windows side by side, faster than PyTorch's own, which looks for their positions as well."""
    sizes = node.operation.window_sizes(tuple(x.shape[1:]))
    windows = None if sizes is None else windows_of_axes(x.shape[1:], sizes)
    if windows is None:
        return None
    if windows.after == 1:
        values = torch.max_pool1d(x.reshape(len(x), windows.before, windows.length), windows.size)
    else:
        rows = x.reshape(len(x) * windows.before, windows.length, windows.after)
        rows = rows[:, : windows.n * windows.size]
        values = rows.unflatten(1, (windows.n, windows.size)).amax(2)
    return values.reshape(len(x), *node.call.shapes[0][1:])
