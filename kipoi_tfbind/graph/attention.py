"""Attention in a graph: where it is, and which positions of the sequence its queries and keys stand at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kipoi_tfbind.graph.graph import Graph, Ref
from kipoi_tfbind.graph.incremental.program import Program
from kipoi_tfbind.graph.receptive_field import ReceptiveField, receptive_fields

_CONTRACTIONS = frozenset({"matmul", "einsum"})
# What may lie between the product of queries and keys and the softmax: a scale, a mask.
_BEFORE = frozenset(
    {
        "add",
        "broadcast",
        "cast",
        "elementwise",
        "identity",
        "product",
        "ratio",
        "reshape",
        "select",
        "transpose",
    }
)
# And between the softmax and the product with the values: dropout that does nothing.
_BEHIND = frozenset({"broadcast", "cast", "identity", "product", "reshape", "transpose"})


@dataclass(frozen=True)
class Attention:
    """One attention of a model: weights that sum to 1 over the keys.

    Attributes
    ----------
    layer
        Its layer, as the framework names it.
    ref
        The weights; queries and keys are their last two axes.
    queries, keys
        Receptive field of each; None where it is not known which positions they stand at.
    """

    layer: str
    ref: Ref
    queries: ReceptiveField | None
    keys: ReceptiveField | None


def attentions(program: Program) -> list[Attention]:
    """Every attention of a graph, in order of execution: a softmax between two products of what varies.

    A query stands at the positions that the last value with as many positions before it sees. Behind an
    earlier attention, where every position has seen all, that is where the position stood before it.
    """
    graph = program.graph
    varying = {(i, j) for i in graph.varying() for j in range(graph.nodes[i].n_outputs)}
    fields = receptive_fields(program)
    return [
        Attention(
            graph.nodes[i].layer,
            (i, 0),
            *(
                _field(graph, program.shapes, fields, (i, 0), program.shapes[(i, 0)][axis])
                for axis in (-2, -1)
            ),
        )
        for i in program.steps
        if graph.nodes[i].kind == "softmax"
        and len(program.shapes[(i, 0)]) > 1
        and _is_between_products(program, i, varying)
    ]


def _is_between_products(program: Program, i: int, varying: Collection[Ref]) -> bool:
    graph = program.graph

    def is_product(node: int) -> bool:
        inputs = graph.nodes[node].inputs
        return graph.nodes[node].kind in _CONTRACTIONS and sum(ref in varying for ref in inputs) > 1

    def leads(start: list[int], step: Mapping[int, list[int]], kinds: frozenset[str]) -> bool:
        pending, seen = list(start), set(start)
        while pending:
            node = pending.pop()
            if is_product(node):
                return True
            if graph.nodes[node].kind in kinds:
                more = [other for other in step.get(node, ()) if other not in seen]
                pending += more
                seen.update(more)
        return False

    sources = {n: [ref[0] for ref in graph.nodes[n].inputs if ref in varying] for n in program.steps}
    consumers: dict[int, list[int]] = {}
    for n in program.steps:
        for source in sources[n]:
            consumers.setdefault(source, []).append(n)
    return leads(sources[i], sources, _BEFORE) and leads(consumers.get(i, []), consumers, _BEHIND)


def _field(
    graph: Graph,
    shapes: Mapping[Ref, tuple[int, ...]],
    fields: Mapping[Ref, ReceptiveField],
    ref: Ref,
    n: int,
) -> ReceptiveField | None:
    """The field of the last value before `ref` that has `n` positions."""
    before = set(graph.live_nodes([ref]))
    found = [
        known for known, field in fields.items() if known[0] in before and shapes[known][field.axis - 1] == n
    ]
    return fields[max(found)] if found else None
