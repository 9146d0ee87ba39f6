"""How a graph that came from PyTorch is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_leaves, tree_map

from kipoi_tfbind.graph.graph import Graph, Node, Ref

if TYPE_CHECKING:
    from kipoi_tfbind.graph.deeplift.propagation import CompiledDeepLift
    from kipoi_tfbind.graph.incremental.engine import Incremental


@dataclass(frozen=True)
class Slot:
    """Where an operation takes one of its tensors."""

    index: int


@dataclass(frozen=True)
class BatchInteger:
    """An integer that depends on the batch size: ``slope * batch_size + offset``."""

    slope: int
    offset: int


@dataclass(frozen=True, eq=False)
class TorchGraph(Graph):
    """A graph of ATen operations."""

    def run_node(self, node: Node, values: Sequence[Any], batch_size: Any = None) -> list[Any]:
        """Outputs of one node, for a batch of `batch_size` sequences."""
        if node.kind == "constant":
            return [node.attributes["value"]]

        def fill(leaf: Any) -> Any:
            if isinstance(leaf, BatchInteger):
                return leaf.slope * batch_size + leaf.offset
            return values[leaf.index] if isinstance(leaf, Slot) else leaf

        args, kwargs = tree_map(fill, node.attributes["arguments"])
        result = node.attributes["callable"](*args, **kwargs)
        return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]

    def as_function(self) -> Callable[[list[Any]], list[Any]]:
        """The graph as a function of PyTorch's tensors."""
        steps = [i for i in self.live_nodes() if i not in self.inputs]
        last_use = {ref: i for i in steps for ref in self.nodes[i].inputs}

        def run(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
            values: dict[Ref, Any] = {(node, 0): t for node, t in zip(self.inputs, tensors, strict=True)}
            batch_size = len(tensors[0])
            for i in steps:
                node = self.nodes[i]
                outputs = self.run_node(node, [values[ref] for ref in node.inputs], batch_size)
                values |= {(i, j): output for j, output in enumerate(outputs)}
                for ref in node.inputs:
                    if last_use[ref] == i and ref not in self.outputs:
                        values.pop(ref, None)
            return [values[ref] for ref in self.outputs]

        return run

    def compile_deep_lift(
        self, wrt: int, shapes: Sequence[tuple[int, ...]], jit_compile: bool
    ) -> CompiledDeepLift:
        """What `deep_lift` runs, for inputs of these shapes (without the batch)."""
        from kipoi_tfbind.graph.torch.deep_lift import TorchDeepLift

        return TorchDeepLift(self, wrt)

    def incremental(
        self, wrt: int, shapes: Sequence[tuple[int, ...]], axis: int, units: NDArray
    ) -> Incremental:
        """See the base class."""
        from kipoi_tfbind.graph.torch.incremental import TorchIncremental

        return TorchIncremental(self, wrt, shapes, axis, units)

    def in_precision(self, dtype: Literal["float32", "float64"]) -> TorchGraph:
        """The same graph with every float32 (or float64) constant and operation in `dtype`."""
        target = getattr(torch, dtype)
        source = torch.float32 if target == torch.float64 else torch.float64

        def convert(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return leaf.to(target) if leaf.dtype == source else leaf
            return target if leaf == source else leaf

        nodes = [
            replace(
                node, attributes={name: _converted(value, convert) for name, value in node.attributes.items()}
            )
            for node in self.nodes
        ]
        return replace(self, nodes=tuple(nodes))


def _converted(value: Any, convert: Callable[[Any], Any]) -> Any:
    return tree_map(convert, value) if isinstance(value, list | tuple | dict) else convert(value)
