"""The value that a choice such as ``where(x > 0, x, 0.1 * x)`` is a function of."""

from __future__ import annotations

from collections.abc import Collection

from kipoi_tfbind.graph.graph import Graph, Node, Ref
from kipoi_tfbind.graph.operations import BROADCASTING

# What may lie between a value and a choice that is a function of it alone.
_ELEMENT_BY_ELEMENT = BROADCASTING | {"steps"}


def common_source(graph: Graph, node: Node, varying: Collection[Ref], steps: Collection[Ref]) -> Ref | None:
    """The one value of which a node's output is a function, element by element; None if there is none.

    Parameters
    ----------
    graph, node
        The model, and the choice.
    varying
        The values that depend on the explained input.
    steps
        Those of them that do so in steps, which are no such value.
    """
    pending = {ref for ref in node.inputs if ref in varying}
    while len(pending) > 1 or pending & set(steps):
        ref = max(pending)
        producer = graph.nodes[ref[0]]
        if producer.kind not in _ELEMENT_BY_ELEMENT:
            return None
        pending.remove(ref)
        pending.update(source for source in producer.inputs if source in varying)
        if not pending:
            return None
    (base,) = pending
    return base
