"""DeepLIFT multipliers: one walk forward for sequences and references, one back for each target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Factored, Pull
from kipoi_tfbind.graph.deeplift.composite_rules import rule_for
from kipoi_tfbind.graph.deeplift.rules import Site, is_linear, unsupported
from kipoi_tfbind.graph.graph import Graph, Node, Ref

# Numbers that a value may have for all pairs that are run at once: more would be slower, out of the cache.
_AT_ONCE = 2**21
# And for all targets of them.
WITH_TARGETS = 2**26
# Whose gradient is a factor for each element where the shape stays the same, or only the shape changes.
_DIAGONAL = frozenset({"add", "identity", "normalise", "product", "ratio"})
# Whose outputs are the rows of its inputs in their order, whatever it does along the other axes.
_KEEPS_BLOCKS = frozenset({"convolution", "add", "identity", "cast"})
# What may lie between a value and a choice that is a function of it alone.
_ELEMENT_BY_ELEMENT = frozenset(
    {"add", "cast", "steps", "elementwise", "elementwise_pair", "identity", "product", "ratio", "select"}
)


class DeepLiftResult(NamedTuple):
    """Multipliers, and the outputs that they explain.

    Attributes
    ----------
    multipliers
        (sequence, reference, *shape of the input, target).
    output
        (sequence, target).
    reference_output
        (sequence, reference, target).
    """

    multipliers: NDArray
    output: NDArray
    reference_output: NDArray


def deep_lift(
    graph: Graph,
    inputs: Sequence[NDArray],
    references: NDArray,
    *,
    wrt: int = 0,
    targets: Iterable[int] | None = None,
    jit_compile: bool = False,
) -> DeepLiftResult:
    """DeepLIFT multipliers (rescale rule) of one input, for each sequence against each of its references.

    For every sequence x, reference r and target t, the sum of ``multipliers * (x - r)`` is f_t(x) - f_t(r) to
    the precision of the arithmetic, whatever operations the model consists of; one without an exact rule
    is refused. All targets share the runs of the sequences and of the references.

    Parameters
    ----------
    graph
        The model; its first output, (sequence, target), is explained.
    inputs
        One array (sequence, ...) for each input of the graph.
    references
        (sequence, reference, ...) for input number `wrt`. The other inputs stay as they are.
    wrt
        Number of the input that is explained.
    targets
        Columns of the output; all of them by default.
    jit_compile
        Compile with XLA, in TensorFlow: every new batch size is then compiled anew, which takes seconds.

    Returns
    -------
    DeepLiftResult
        In the precision of the graph (see `Graph.in_precision`).

    Raises
    ------
    UnsupportedOperationError
        The model has an operation without an exact rule.
    InputError
        Arrays that do not fit each other, or a column that is not there.

    References
    ----------
    Shrikumar et al. 2017, arXiv:1704.02685; Lundberg and Lee 2017, arXiv:1705.07874.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind.graph import trace_torch
    >>> graph = trace_torch(lambda x: [torch.relu(x[0] - 1)], [torch.ones(1, 1)])
    >>> result = deep_lift(graph, [np.array([[3.0]], np.float32)], np.array([[[0.0], [2.0]]], np.float32))
    >>> result.multipliers.squeeze().round(3)  # (2 - 0) / (3 - 0) and (2 - 1) / (3 - 2)
    array([0.667, 1.   ], dtype=float32)
    """
    inputs = [np.asarray(array) for array in inputs]
    references = np.asarray(references)
    _check(graph, inputs, references, wrt)
    key = (wrt, jit_compile, *(array.shape[1:] for array in inputs))
    if key not in graph.compiled:
        graph.compiled[key] = graph.compile_deep_lift(wrt, [a.shape[1:] for a in inputs], jit_compile)
    columns = None if targets is None else np.asarray(list(targets), dtype=np.int64)
    compiled = graph.compiled[key]
    n, n_references = references.shape[:2]
    parts = _parts(n, n_references, compiled.n_pairs_at_once(n_references, columns))
    if len(parts) == 1:
        return DeepLiftResult(*compiled(inputs, references, columns))
    return _joined(
        references,
        (
            (rows, some, compiled([a[rows] for a in inputs], references[rows, some], columns))
            for rows, some in parts
        ),
    )


def _parts(n: int, n_references: int, n_at_once: int) -> list[tuple[slice, slice]]:
    """Sequences and references of them that are run together; as even as can be."""
    n_parts = max(1, -(-n_references // n_at_once))
    n_each = max(1, -(-n_references // n_parts))
    n_rows = max(1, n_at_once // max(n_references, 1))
    return [
        (slice(row, row + n_rows), slice(some, some + n_each))
        for row in range(0, max(n, 1), n_rows)
        for some in range(0, max(n_references, 1), n_each)
    ]


def _joined(
    references: NDArray, parts: Iterable[tuple[slice, slice, tuple[NDArray, NDArray, NDArray]]]
) -> DeepLiftResult:
    result: Any = None
    n, n_references, *shape = references.shape
    for rows, some, (multipliers, output, reference_output) in parts:
        if result is None:
            n_targets = output.shape[1]
            # The targets are last but lie first in memory, as they come.
            empty = np.empty((n_targets, n, n_references, *shape), dtype=multipliers.dtype)
            result = DeepLiftResult(
                np.moveaxis(empty, 0, -1),
                np.empty((n, n_targets), dtype=output.dtype),
                np.empty((n, n_references, n_targets), dtype=output.dtype),
            )
        result.multipliers[rows, some] = multipliers
        result.output[rows] = output
        result.reference_output[rows, some] = reference_output
    return result


def _check(graph: Graph, inputs: Sequence[NDArray], references: NDArray, wrt: int) -> None:
    if len(inputs) != len(graph.inputs) or not 0 <= wrt < len(inputs):
        raise InputError(
            f"inputs: expected {len(graph.inputs)} arrays, one for each input of the model, and wrt below "
            f"that, got {len(inputs)} and wrt={wrt}"
        )
    shape = inputs[wrt].shape
    if references.ndim != len(shape) + 1 or (references.shape[0], *references.shape[2:]) != shape:
        raise InputError(
            f"references: expected (sequence, reference, ...) for an input of shape {shape}, got an array of "
            f"shape {references.shape}"
        )
    if any(len(array) != len(inputs[wrt]) for array in inputs):
        raise InputError(
            f"inputs: expected as many sequences in each, got {[len(array) for array in inputs]}"
        )


class CompiledDeepLift(ABC):
    """What `deep_lift` runs for one graph and inputs of one shape.

    Attributes
    ----------
    n_outputs
        Number of the model's outputs.
    largest
        Numbers that the largest value on the way has for each pair of sequence and reference.
    takes_targets
        Whether several targets are taken at once.
    """

    n_outputs: int
    largest: int
    takes_targets: bool

    @abstractmethod
    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Multipliers, output and output at the references, as in `DeepLiftResult`."""

    def n_pairs_at_once(self, n_references: int, columns: NDArray | None) -> int:
        """How many pairs of sequence and reference are to be run together: those of a sequence, or more."""
        n_targets = self.n_outputs if columns is None else len(columns)
        n_at_once = max(1, n_references, _AT_ONCE // self.largest)
        if self.takes_targets and n_targets:
            n_at_once = min(n_at_once, max(1, WITH_TARGETS // (self.largest * n_targets)))
        return n_at_once


class Walk:
    """The forward walk over a graph, at the sequences and at their references, and the walk back.

    The sequences are run as they are as long as a node's output has its rows in their order: only where a
    rule needs a row for each pair of sequence and reference are they repeated.

    Parameters
    ----------
    xp
        The framework's arrays.
    inputs
        (sequence, ...) for each input of the graph.
    references
        (sequence * reference, ...), the references of the first sequence first.
    n, n_references
        Number of sequences, and of references for each.
    """

    def __init__(
        self, xp: Arrays, inputs: Sequence[Any], references: Any, wrt: int, n: Any, n_references: Any
    ):
        self.xp, self.graph = xp, xp.graph
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
        self._pulls: list[tuple[int, list[Ref], Pull]] = []
        for i, (node, value) in enumerate(zip(self.graph.inputs, inputs, strict=True)):
            ref = (node, 0)
            self._x[ref] = value
            self._r[ref] = references if i == wrt else xp.repeat(value, n_references, 0)
            if i == wrt:
                self._blocks[ref] = 1
        self._explained = (self.graph.inputs[wrt], 0)
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
        if self._blocks.get(self._output) == 0:
            # One row of the equal ones for each sequence.
            x = self.xp.reshape(self._x[self._output], (self.n, self.n_references, -1))[:, 0]
        else:
            x = self._x[self._output]
        return x, self._r[self._output]

    @property
    def takes_targets(self) -> bool:
        """Whether all operations can be gone back through for several targets at once."""
        return all(pull.takes_targets for _, _, pull in self._pulls)

    def largest(self) -> int:
        """Numbers that the largest value has for each pair of sequence and reference, as far as known."""
        return max(self.xp.row_size(value) for ref, value in self._r.items() if self._blocks.get(ref, 0) == 1)

    def back(self, cotangent: Any, n_targets: Any = None) -> Any:
        """Multipliers of the explained input for a cotangent of the output at the references.

        With `n_targets`, for the cotangents of several targets, whose rows stand one after the other along
        the first axis; their multipliers do so as well.
        """
        cotangents: dict[Ref, Any] = {self._output: cotangent}
        for i, sources, pull in reversed(self._pulls):
            of_outputs = [cotangents.pop((i, j), None) for j in range(self.graph.nodes[i].n_outputs)]
            if all(c is None for c in of_outputs):
                continue
            pulled = pull(of_outputs) if n_targets is None else self._pulled(i, pull, of_outputs, n_targets)
            for ref, c in zip(sources, pulled, strict=True):
                if c is not None and ref in cotangents:
                    cotangents[ref] = self._dense(cotangents[ref], n_targets) + self._dense(c, n_targets)
                elif c is not None:
                    cotangents[ref] = c
        result = cotangents.get(self._explained)
        if result is None:
            zeros = self.xp.zeros_like(self._r[self._explained])
            return zeros if n_targets is None else self.xp.tile_rows(zeros, n_targets)
        return self._dense(result, n_targets)

    def _pulled(self, i: int, pull: Pull, cotangents: list[Any], n_targets: Any) -> list[Any]:
        """One step back for several targets: what is the same for all of them is done once."""
        first = cotangents[0]
        if pull.diagonal and first is not None:
            others: list[Any] = [None] * (len(cotangents) - 1)
            if isinstance(first, Factored) and pull.windows is None:
                (factor,) = pull([first.factor, *others])
                return [replace(first, factor=factor)]
            if pull.of_targets is None:
                (factor,) = pull([self.xp.ones_like(self._r[i, 0]), *others])
                n_pairs = self.n * self.n_references
                return [Factored(self._dense(first, n_targets), factor, pull.windows, n_pairs)]
        if isinstance(first, Factored) and pull.of_factored is not None:
            found = pull.of_factored(first, n_targets)
            if found is not None:
                return [found]
        dense = [self._dense(c, n_targets) for c in cotangents]
        return [] if pull.of_targets is None else pull.of_targets(dense, n_targets)

    def _dense(self, cotangent: Any, n_targets: Any) -> Any:
        """A cotangent with its factor."""
        if isinstance(cotangent, Factored):
            return self.xp.multiplied_out(cotangent, n_targets)
        return cotangent

    def _forward(self, i: int) -> None:
        node = self.graph.nodes[i]
        refs = [(i, j) for j in range(node.n_outputs)]
        if node.kind in ("loop", "branch"):
            raise unsupported(
                node, "its steps depend on values that only come at run time (trace it with a fixed length)"
            )
        varying = tuple(k for k, ref in enumerate(node.inputs) if ref in self._blocks)
        if not varying or node.kind == "shape":
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
            and not node.attributes.get("uses_batch_size", False)
        )
        of_pairs = any(self._blocks.get(ref) == 0 or ref in self._of_pairs for ref in node.inputs)
        r = self.xp.run(node, [self._r[ref] for ref in node.inputs], self.n * self.n_references)
        x = r
        if not constant and not of_pairs:
            x = self.xp.run(node, [self._x[ref] for ref in node.inputs], self.n)
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
        self._pulls.append(
            (i, [base, *(node.inputs[k] for k in slopes)], self._choice(node, base, slopes, refs[0]))
        )

    def _choice(self, node: Node, base: Ref, slopes: tuple[int, ...], ref: Ref) -> Pull:
        """The secant's slope to the one value that a choice depends on; at equal values the derivative."""
        xp = self.xp
        difference = self._at_pairs(base) - self._r[base]
        near = xp.unary("abs", difference) < 8 * xp.epsilon(difference)
        slope = (self._at_pairs(ref) - self._r[ref]) / difference
        slope = xp.where(near, xp.scalar(0.0, slope), slope)
        inputs = [self._r[source] for source in node.inputs]
        _, local = xp.linearise(node, inputs, slopes, self.n * self.n_references)

        def pull(cotangents: Sequence[Any]) -> list[Any]:
            (cotangent,) = cotangents
            there = xp.where(near, cotangent, xp.zeros_like(cotangent))
            return [cotangent * slope, *local([there])]

        return Pull(pull)

    def _common_source(self, node: Node) -> Ref | None:
        """The one value of which a node's output is a function, element by element; None if there is none."""
        pending = {ref for ref in node.inputs if ref in self._blocks}
        while len(pending) > 1 or pending & self._steps:
            ref = max(pending)
            producer = self.graph.nodes[ref[0]]
            if producer.kind not in _ELEMENT_BY_ELEMENT:
                return None
            pending.remove(ref)
            pending.update(source for source in producer.inputs if source in self._blocks)
            if not pending:
                return None
        (base,) = pending
        outputs = [ref for ref in node.inputs if ref in self._blocks]
        return base if all(self.xp.same_shape(self._r[base], self._r[ref]) for ref in outputs) else None

    def _run_at_references(self, node: Node, refs: list[Ref]) -> None:
        outputs = self.xp.run(node, [self._r[ref] for ref in node.inputs], self.n * self.n_references)
        self._r |= dict(zip(refs, outputs, strict=True))

    def _varying(self, i: int, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> None:
        if node.kind == "normalise" and varying != (0,):
            raise unsupported(node, "its statistics depend on the sequence, which has no exact DeepLIFT rule")
        if is_linear(node, varying):
            inputs = [self._r[ref] for ref in node.inputs]
            outputs, pull = self.xp.linearise(node, inputs, varying, self.n * self.n_references)
            self._r |= dict(zip(refs, outputs, strict=True))
            self._run_at_sequences(node, varying, refs)
            pull = self._of_linear(node, varying, refs, pull)
        else:
            rule = rule_for(node)
            if rule is None:
                raise unsupported(node)
            self._run_at_references(node, refs)
            self._run_at_sequences(node, varying, refs)
            pull = rule(self._site(node, varying, refs))
            if not self._rows_lead(node, varying, refs):
                pull = Pull(pull.run)
        self._steps.update(ref for ref in refs if not self.xp.is_floating(self._r[ref]))
        self._pulls.append((i, [node.inputs[k] for k in varying], pull))

    def _rows_lead(self, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> bool:
        return all(self._blocks[ref] == 1 for ref in (*refs, *(node.inputs[k] for k in varying)))

    def _of_linear(self, node: Node, varying: tuple[int, ...], refs: list[Ref], pull: Pull) -> Pull:
        """The pull of a linear operation, with what it may be used for."""
        others = [ref for k, ref in enumerate(node.inputs) if k not in varying]
        if node.kind != "reshape" and not all(ref in self._constant for ref in others):
            # Each row has its own, or they were made for this number of rows.
            return Pull(pull.run)
        if any(self._blocks[ref] == 0 for ref in (*refs, *(node.inputs[k] for k in varying))):
            return Pull(pull.run)
        if len(varying) > 1 or not self._rows_lead(node, varying, refs):
            return replace(pull, of_factored=None)
        source = node.inputs[varying[0]]
        same = node.kind in _DIAGONAL and self.xp.same_shape(self._r[source], self._r[refs[0]])
        return replace(pull, diagonal=same or node.kind == "reshape")

    def _run_at_sequences(self, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> None:
        blocks = self._blocks_after(node, varying)
        if blocks != 0:
            inputs = [self._x[ref] for ref in node.inputs]
            outputs = self.xp.run(node, inputs, self.n)
            if not all(
                self.xp.batch_leads(node, j, value)
                for j, value in enumerate(outputs)
                if self.xp.is_floating(value) and not (node.kind == "normalise" and j)
            ):
                blocks = 0
        if blocks == 0:
            inputs = [
                self._at_pairs(ref) if k in varying else self._r[ref] for k, ref in enumerate(node.inputs)
            ]
            outputs = self.xp.run(node, inputs, self.n * self.n_references)
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
            size = self.xp.block_size(node, [self._x[ref] for ref in node.inputs])
            if size is None:
                return 0
            return blocks * size if node.kind == "space_to_batch" else blocks // size
        if blocks != 1 and node.kind not in _KEEPS_BLOCKS and node.operation not in ("Squeeze", "ExpandDims"):
            return 0
        return blocks if self.xp.keeps_rows(node, [self._x[ref] for ref in node.inputs]) else 0

    def _at_pairs(self, ref: Ref) -> Any:
        """A value at the sequences, with a row for each of their references."""
        blocks = self._blocks[ref]
        if blocks == 0:
            return self._x[ref]
        if ref not in self._repeated:
            xp, x, like = self.xp, self._x[ref], self._r[ref]
            rows = xp.repeat(xp.reshape(x, (blocks, self.n, -1)), self.n_references, 1)
            self._repeated[ref] = xp.reshape(rows, xp.shape(like))
        return self._repeated[ref]

    def _site(self, node: Node, varying: tuple[int, ...], refs: list[Ref]) -> Site:
        pairs = (self.n, self.n_references, -1)

        def flat(ref: Ref) -> tuple[Any, Any]:
            blocks = self._blocks[ref]
            if blocks == 1:
                x = self.xp.reshape(self._x[ref], (self.n, 1, -1))
            else:
                x = self.xp.reshape(self._at_pairs(ref), pairs)
            return x, self.xp.reshape(self._r[ref], pairs)

        def flats() -> tuple[Any, Any, Any, Any]:
            (x, r), (fx, fr) = flat(node.inputs[varying[0]]), flat(refs[0])
            return x, r, fx, fr

        return Site(
            xp=self.xp,
            node=node,
            varying=varying,
            batch_size=self.n * self.n_references,
            r_inputs=[self._r[ref] for ref in node.inputs],
            r_outputs=[self._r[ref] for ref in refs],
            x_input=lambda k: self._at_pairs(node.inputs[k]),
            x_output=lambda j: self._at_pairs(refs[j]),
            flat=flats,
        )
