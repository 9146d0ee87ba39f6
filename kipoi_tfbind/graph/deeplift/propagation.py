"""Propagation of DeepLIFT multipliers: forward for sequences and references, then back for each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kipoi_tfbind.graph.deeplift.common_source import common_source
from kipoi_tfbind.graph.deeplift.composite_rules import rule_for
from kipoi_tfbind.graph.deeplift.node_context import NodeContext
from kipoi_tfbind.graph.deeplift.rules import is_linear
from kipoi_tfbind.graph.graph import Graph, Node, Ref, Scan, unsupported
from kipoi_tfbind.graph.operations import Reshape, SpaceToBatch
from kipoi_tfbind.graph.vjp import VJP, Factored

# Whose gradient is a factor for each element where the shape stays the same, or only the shape changes.
_DIAGONAL = frozenset({"add", "identity", "normalise", "product", "ratio"})
# Whose outputs are the rows of its inputs in their order, whatever it does along the other axes.
_KEEPS_BLOCKS = frozenset({"convolution", "add", "identity", "cast"})
# What depends on the shapes only.
_OF_SHAPES = frozenset({"shape", "shape_of"})


class Propagation:
    """Values of a graph at the sequences and at their references, and multipliers from the outputs back.

    The sequences are run as they are as long as a node's output has its rows in their order: only where a
    rule needs a row for each pair of sequence and reference are they repeated.

    Parameters
    ----------
    graph
        The model.
    inputs
        (sequence, ...) for each input of the graph.
    references
        (sequence * reference, ...) for each input, the references of the first sequence first.
    explained
        Numbers of the inputs that are explained; the others have the same values in both.
    n, n_references
        Number of sequences, and of references for each.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sequence[Any],
        references: Sequence[Any],
        explained: Sequence[int],
        n: Any,
        n_references: Any,
    ):
        self.graph, self.ops = graph, graph.ops
        self.n, self.n_references = n, n_references
        self._r: dict[Ref, Any] = {}
        self._x: dict[Ref, Any] = {}
        # Of the values that vary: how many times the rows stand one after the other along the first axis, as
        # after a space-to-batch; 0 where they have been repeated for the references.
        self._blocks: dict[Ref, int] = {}
        self._repeated: dict[Ref, Any] = {}
        # Those of the values that vary which do so in steps only, such as x > 0: no cotangent comes to them.
        self._steps: set[Ref] = set()
        self._constant: set[Ref] = set()
        # Values that do not vary but are made from the size of a batch of pairs.
        self._of_pairs: set[Ref] = set()
        # Of each node that a cotangent goes through: its number, where the parts go, and what makes them.
        self._vjps: list[tuple[int, list[Ref], VJP]] = []
        sources = [(node, 0) for node in self.graph.inputs]
        self._x.update(zip(sources, inputs, strict=True))
        self._r.update(zip(sources, references, strict=True))
        self._explained = [sources[i] for i in explained]
        self._blocks.update(dict.fromkeys(self._explained, 1))
        self._output = self.graph.outputs[0]
        for i in self.graph.live_nodes():
            if i not in self.graph.inputs:
                self._forward(i)
        if self._output in self._steps:
            raise unsupported(
                self.graph.nodes[self._output[0]],
                "the output changes in steps, so that it has no multipliers",
            )

    def outputs(self) -> tuple[Any, Any]:
        """The output at the sequences and at the references."""
        x = self._x[self._output]
        if self._blocks.get(self._output) == 0:
            # One row of the equal ones for each sequence.
            x = self.ops.reshape(x, (self.n, self.n_references, -1))[:, 0]
        return x, self._r[self._output]

    @property
    def takes_targets(self) -> bool:
        """Whether all operations can be gone back through for several targets at once."""
        return all(vjp.takes_targets for _, _, vjp in self._vjps)

    def sizes(self) -> tuple[int, int, int]:
        """Of each pair: numbers of the largest value, numbers of all values, and their number."""
        of_pairs = {ref: self.ops.row_size(value) for ref, value in self._r.items() if ref in self._blocks}
        operations = (self.graph.nodes[i].operation for i, _, _ in self._vjps)
        scans = [operation for operation in operations if isinstance(operation, Scan)]
        largest = max(n for ref, n in of_pairs.items() if self._blocks[ref] == 1)
        elements = sum(of_pairs.values()) + sum(scan.elements for scan in scans)
        n_inside = sum(scan.n_steps * len(scan.body.varying()) for scan in scans)
        return largest, elements, len(of_pairs) + n_inside

    def back(self, of_outputs: Sequence[Any], n_targets: Any = None) -> list[Any]:
        """Multipliers of the explained inputs for a cotangent of each output at the references.

        With `n_targets`, for the cotangents of several targets, whose rows stand one after the other along
        the first axis; their multipliers do so as well.
        """
        cotangents: dict[Ref, Any] = {}
        for ref, cotangent in zip(self.graph.outputs, of_outputs, strict=True):
            cotangents[ref] = cotangents[ref] + cotangent if ref in cotangents else cotangent
        for i, sources, vjp in reversed(self._vjps):
            own = [cotangents.pop((i, j), None) for j in range(self.graph.nodes[i].n_outputs)]
            if all(c is None for c in own):
                continue
            parts = vjp(own) if n_targets is None else self._back_through(i, vjp, own, n_targets)
            for ref, c in zip(sources, parts, strict=True):
                if c is not None and ref in cotangents:
                    cotangents[ref] = self._dense(cotangents[ref], n_targets) + self._dense(c, n_targets)
                elif c is not None:
                    cotangents[ref] = c
        return [self._found(ref, cotangents.get(ref), n_targets) for ref in self._explained]

    def _found(self, ref: Ref, cotangent: Any, n_targets: Any) -> Any:
        if cotangent is None:
            zeros = self.ops.zeros_like(self._r[ref])
            return zeros if n_targets is None else self.ops.tile_rows(zeros, n_targets)
        return self._dense(cotangent, n_targets)

    def _back_through(self, i: int, vjp: VJP, cotangents: list[Any], n_targets: Any) -> list[Any]:
        """One step back for several targets: what is the same for all of them is done once."""
        first = cotangents[0]
        if vjp.diagonal and first is not None:
            others: list[Any] = [None] * (len(cotangents) - 1)
            if isinstance(first, Factored) and vjp.windows is None:
                (factor,) = vjp([first.factor, *others])
                return [replace(first, factor=factor)]
            if vjp.of_targets is None:
                (factor,) = vjp([self.ops.zeros_like(self._r[i, 0]) + 1, *others])
                n_pairs = self.n * self.n_references
                return [Factored(self._dense(first, n_targets), factor, vjp.windows, n_pairs)]
        if isinstance(first, Factored) and vjp.of_factored is not None:
            found = vjp.of_factored(first, n_targets)
            if found is not None:
                return [found]
        dense = [self._dense(c, n_targets) for c in cotangents]
        return [] if vjp.of_targets is None else vjp.of_targets(dense, n_targets)

    def _dense(self, cotangent: Any, n_targets: Any) -> Any:
        """A cotangent with its factor."""
        if isinstance(cotangent, Factored):
            return cotangent.multiplied_out(self.ops, n_targets)
        return cotangent

    def _forward(self, i: int) -> None:
        node = self.graph.nodes[i]
        refs = [(i, j) for j in range(node.n_outputs)]
        if node.kind in ("loop", "branch"):
            raise unsupported(
                node, "its steps depend on values that only come at run time (trace it with a fixed length)"
            )
        varying = tuple(k for k, ref in enumerate(node.inputs) if ref in self._blocks)
        if not varying or node.kind in _OF_SHAPES:
            self._fixed(node, refs)
        elif node.kind == "steps" or any(ref in self._steps for ref in node.inputs):
            self._step(i, node, varying, refs)
        else:
            self._varying(i, node, varying, refs)

    def _fixed(self, node: Node, refs: list[Ref]) -> None:
        """A node that does not depend on the explained input, though maybe on the size of the batch."""
        constant = node.kind == "constant" or (
            bool(node.inputs)
            and all(ref in self._constant for ref in node.inputs)
            and not node.uses_batch_size
        )
        of_pairs = any(self._blocks.get(ref) == 0 or ref in self._of_pairs for ref in node.inputs)
        r = self.graph.run_node(node, [self._r[ref] for ref in node.inputs], self.n * self.n_references)
        x = r
        if not constant and not of_pairs:
            x = self.graph.run_node(node, [self._x[ref] for ref in node.inputs], self.n)
        if constant:
            self._constant.update(refs)
        if of_pairs:
            self._of_pairs.update(refs)
        self._r |= dict(zip(refs, r, strict=True))
        self._x |= dict(zip(refs, x, strict=True))

    def _step(self, i: int, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> None:
        """A comparison, what is made of comparisons only, or the choice that one makes."""
        self._run_at_references(node, refs)
        self._run_at_sequences(node, varying, refs)
        slopes = tuple(k for k in varying if node.inputs[k] not in self._steps)
        if node.kind == "steps" or not slopes:
            # Nothing can be passed back through it.
            self._steps.update(refs)
            return
        base = self._common_source(node)
        if base is None or node.kind not in ("select", "product") or len(refs) > 1:
            raise unsupported(
                node, "it takes a condition on the sequence (such as x > 0), which has no exact DeepLIFT rule"
            )
        self._vjps.append(
            (i, [base, *(node.inputs[k] for k in slopes)], self._choice(node, base, slopes, refs[0]))
        )

    def _choice(self, node: Node, base: Ref, slopes: tuple[int, ...], ref: Ref) -> VJP:
        """The secant's slope to the one value that a choice depends on; at equal values the derivative."""
        ops = self.ops
        difference = self._at_pairs(base) - self._r[base]
        near = ops.unary("abs", difference) < 8 * ops.finfo(difference).eps
        slope = ops.where(near, 0.0, (self._at_pairs(ref) - self._r[ref]) / difference)
        inputs = [self._r[source] for source in node.inputs]
        _, local = self.graph.vjp(node, inputs, slopes, self.n * self.n_references)

        def back(cotangents: Sequence[Any]) -> list[Any]:
            (cotangent,) = cotangents
            there = ops.where(near, cotangent, 0.0)
            return [cotangent * slope, *local([there])]

        return VJP(back)

    def _common_source(self, node: Node) -> Ref | None:
        """The one value of which a node's output is a function, element by element; None if there is none."""
        base = common_source(self.graph, node, self._blocks, self._steps)
        outputs = [ref for ref in node.inputs if ref in self._blocks]
        if base is None or not all(self.ops.same_shape(self._r[base], self._r[ref]) for ref in outputs):
            return None
        return base

    def _run_at_references(self, node: Node, refs: list[Ref]) -> None:
        outputs = self.graph.run_node(node, [self._r[ref] for ref in node.inputs], self.n * self.n_references)
        self._r |= dict(zip(refs, outputs, strict=True))

    def _varying(self, i: int, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> None:
        if node.kind == "normalise" and varying != (0,):
            raise unsupported(node, "its statistics depend on the sequence, which has no exact DeepLIFT rule")
        if is_linear(node, varying):
            inputs = [self._r[ref] for ref in node.inputs]
            outputs, vjp = self.graph.vjp(node, inputs, varying, self.n * self.n_references)
            self._r |= dict(zip(refs, outputs, strict=True))
            self._run_at_sequences(node, varying, refs)
            vjp = self._of_linear(node, varying, refs, vjp)
        else:
            rule = rule_for(node)
            if rule is None:
                raise unsupported(node)
            self._run_at_references(node, refs)
            self._run_at_sequences(node, varying, refs)
            vjp = rule(self._context(node, varying, refs))
            if not self._rows_lead(node, varying, refs):
                vjp = VJP(vjp.run)
        self._steps.update(ref for ref in refs if not self.ops.is_floating(self._r[ref]))
        self._vjps.append((i, [node.inputs[k] for k in varying], vjp))

    def _rows_lead(self, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> bool:
        return all(self._blocks[ref] == 1 for ref in (*refs, *(node.inputs[k] for k in varying)))

    def _of_linear(self, node: Node, varying: tuple[int, ...], refs: list[Ref], vjp: VJP) -> VJP:
        """The vector-Jacobian product of a linear operation, with what it may be used for."""
        others = [ref for k, ref in enumerate(node.inputs) if k not in varying]
        if node.kind != "reshape" and not all(ref in self._constant for ref in others):
            # Each row has its own, or they were made for this number of rows.
            return VJP(vjp.run)
        if any(self._blocks[ref] == 0 for ref in (*refs, *(node.inputs[k] for k in varying))):
            return VJP(vjp.run)
        if len(varying) > 1 or not self._rows_lead(node, varying, refs):
            return replace(vjp, of_factored=None)
        source = node.inputs[varying[0]]
        same = node.kind in _DIAGONAL and self.ops.same_shape(self._r[source], self._r[refs[0]])
        return replace(vjp, diagonal=same or node.kind == "reshape")

    def _run_at_sequences(self, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> None:
        blocks = self._blocks_after(node, varying)
        if blocks != 0:
            inputs = [self._x[ref] for ref in node.inputs]
            outputs = self.graph.run_node(node, inputs, self.n)
            if not all(
                self.graph.batch_leads(refs[j], value)
                for j, value in enumerate(outputs)
                if self.ops.is_floating(value) and not (node.kind == "normalise" and j)
            ):
                blocks = 0
        if blocks == 0:
            inputs = [
                self._at_pairs(ref) if k in varying else self._r[ref] for k, ref in enumerate(node.inputs)
            ]
            outputs = self.graph.run_node(node, inputs, self.n * self.n_references)
        for ref, value in zip(refs, outputs, strict=True):
            self._x[ref] = value
            self._blocks[ref] = blocks

    def _blocks_after(self, node: Node, varying: tuple[int, ...]) -> int:
        """In how many blocks of rows an operation's output is; 0 where it has to be run for each pair."""
        before = {self._blocks[node.inputs[k]] for k in varying}
        if len(before) != 1 or 0 in before or any(ref in self._of_pairs for ref in node.inputs):
            return 0
        (blocks,) = before
        if node.kind in ("space_to_batch", "batch_to_space"):
            size = node.operation.n_blocks if isinstance(node.operation, SpaceToBatch) else None
            if size is None:
                return 0
            return blocks * size if node.kind == "space_to_batch" else blocks // size
        ones_only = isinstance(node.operation, Reshape) and node.operation.ones_only
        if blocks != 1 and node.kind not in _KEEPS_BLOCKS and not ones_only:
            return 0
        return blocks if node.keeps_rows else 0

    def _at_pairs(self, ref: Ref) -> Any:
        """A value at the sequences, with a row for each of their references."""
        blocks = self._blocks[ref]
        if blocks == 0:
            return self._x[ref]
        if ref not in self._repeated:
            ops, x, like = self.ops, self._x[ref], self._r[ref]
            rows = ops.repeat(ops.reshape(x, (blocks, self.n, -1)), self.n_references, 1)
            self._repeated[ref] = ops.reshape_like(rows, like)
        return self._repeated[ref]

    def _context(self, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> NodeContext:
        pairs = (self.n, self.n_references, -1)

        def flat(ref: Ref) -> tuple[Any, Any]:
            blocks = self._blocks[ref]
            if blocks == 1:
                x = self.ops.reshape(self._x[ref], (self.n, 1, -1))
            else:
                x = self.ops.reshape(self._at_pairs(ref), pairs)
            return x, self.ops.reshape(self._r[ref], pairs)

        def flats() -> tuple[Any, Any, Any, Any]:
            (x, r), (fx, fr) = flat(node.inputs[varying[0]]), flat(refs[0])
            return x, r, fx, fr

        return NodeContext(
            graph=self.graph,
            node=node,
            varying=varying,
            n_pairs=self.n * self.n_references,
            r_inputs=[self._r[ref] for ref in node.inputs],
            r_outputs=[self._r[ref] for ref in refs],
            x_input=lambda k: self._at_pairs(node.inputs[k]),
            x_output=lambda j: self._at_pairs(refs[j]),
            flat=flats,
            propagation=Propagation,
        )
