"""Memory that a run of a graph takes for each sequence, known before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kipoi_tfbind.graph.graph import Graph, Ref

# Beside the values themselves, kernels have arrays of their own, and a framework frees some late.
_OVERHEAD = 2


def bytes_per_row(
    graph: Graph, shapes: Sequence[tuple[int, ...]], itemsize: int = 4, *, keeps_all: bool = False
) -> int:
    """Bytes that a run takes for each sequence, about: of the values that are there at the same time.

    Parameters
    ----------
    graph
        The model.
    shapes
        Shape of each input, without the batch.
    itemsize
        Bytes of a number.
    keeps_all
        All values are kept, as they are for a gradient, and not only those that are still needed.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind.graph import trace_torch
    >>> graph = trace_torch(lambda x: [x[0].exp().exp().sin().sum(1)], [torch.ones(1, 100)])
    >>> bytes_per_row(graph, [(100,)])  # two arrays of 100 numbers, twice
    1600
    """
    found, _ = graph.shapes_and_constants(shapes)
    varying = graph.varying()
    # A size that is not known is that of the longest axis of an input.
    longest = max((size for shape in shapes for size in shape), default=1)
    size = {
        ref: math.prod(longest if n < 0 else n for n in shape)
        for ref, shape in found.items()
        if ref[0] in varying
    }
    if keeps_all:
        return _OVERHEAD * itemsize * sum(size.values())
    steps = [i for i in graph.live_nodes() if i in varying]
    last_use: dict[Ref, int] = {ref: i for i in steps for ref in graph.nodes[i].inputs}
    last_use |= dict.fromkeys(graph.outputs, len(graph.nodes))
    held = largest = 0
    for i in steps:
        own = [(i, j) for j in range(graph.nodes[i].n_outputs)]
        held += sum(size.get(ref, 0) for ref in own)
        largest = max(largest, held)
        done = {ref for ref in (*graph.nodes[i].inputs, *own) if last_use.get(ref, i) == i}
        held -= sum(size.get(ref, 0) for ref in done)
    return _OVERHEAD * itemsize * largest
