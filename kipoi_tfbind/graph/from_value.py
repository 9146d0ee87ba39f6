"""The rest of a graph from one of its values on, and which values everything passes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from kipoi_tfbind.graph.graph import Graph, Ref

AnyGraph = TypeVar("AnyGraph", bound=Graph)

# What looks at the shape of a value, and not at its numbers.
_OF_SHAPES = frozenset({"shape", "shape_of"})


def from_value(graph: AnyGraph, ref: Ref, shape: Sequence[int]) -> AnyGraph:
    """The graph with a value as its first input; its own inputs follow, for what does not pass through it.

    Parameters
    ----------
    graph
        A model.
    ref
        The value.
    shape
        Its shape, without the batch.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind.graph import trace_torch
    >>> graph = trace_torch(lambda x: [torch.relu(x[0]) * 3], [torch.zeros(1, 2)])
    >>> rest = from_value(graph, (graph.outputs[0][0] - 2, 0), (2,))
    >>> rest.as_function()([torch.ones(1, 2), torch.zeros(1, 2)])
    [tensor([[3., 3.]])]
    """

    def moved(source: Ref) -> Ref:
        return (0, 0) if source == ref else (source[0] + 1, source[1])

    nodes = (
        graph.input_node(shape),
        *(replace(node, inputs=tuple(map(moved, node.inputs))) for node in graph.nodes),
    )
    inputs = (0, *(i + 1 for i in graph.inputs))
    return graph.made_of(nodes, inputs, tuple(map(moved, graph.outputs)))


def all_passes_through(graph: Graph, ref: Ref, wrt: int) -> bool:
    """Whether the outputs depend on the numbers of input `wrt` by way of one value alone."""
    varying = {(graph.inputs[wrt], 0)} - {ref}
    for i in graph.live_nodes():
        node = graph.nodes[i]
        if node.kind not in _OF_SHAPES and any(source in varying for source in node.inputs):
            varying.update((i, j) for j in range(node.n_outputs))
            varying.discard(ref)
    return not varying.intersection(graph.outputs)
