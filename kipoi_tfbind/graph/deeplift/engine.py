"""DeepLIFT multipliers of a graph: checks, and parts of a size that a computer's cache and memory hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.graph.graph import Graph
from kipoi_tfbind.memory import memory_budget

# Numbers that a value may have for all pairs that are run at once: more would be slower, out of the cache.
_AT_ONCE = 2**21
# How often the values of a pair are in memory at once, about; in recurrent layers, whose many small
# operations keep their slopes and their values at the sequences as well, so often (measured on LSTMs).
_KEPT, _KEPT_BY_ROWS = 2, 5
# And for all targets of them.
WITH_TARGETS = 2**26
# Operations of fewer numbers take longer to start than to run; more bytes than these are not spent on that.
_TOO_FEW = 2**16
_BYTES_BY_ROWS = 2**30


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


class CompiledDeepLift(ABC):
    """The function that is run for one graph and inputs of one shape.

    Attributes
    ----------
    itemsize
        Bytes of a number.
    n_outputs
        Number of the model's outputs.
    largest
        Numbers that the largest value on the way has for each pair of sequence and reference.
    elements
        Numbers that all values on the way have for each pair.
    n_values
        Number of values on the way.
    takes_targets
        Whether several targets are taken at once.
    """

    itemsize = 4
    n_outputs: int
    largest: int
    elements: int
    n_values: int
    takes_targets: bool

    @abstractmethod
    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, columns: NDArray
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Multipliers, output and output at the references, as in `DeepLiftResult`."""

    def n_pairs_at_once(self, n_references: int, n_targets: int) -> int:
        """How many pairs of sequence and reference are to be run together: those of a sequence, or more."""
        n_at_once = max(1, n_references, _AT_ONCE // self.largest)
        if self.takes_targets and n_targets:
            n_at_once = min(n_at_once, max(1, WITH_TARGETS // (self.largest * n_targets)))
        # All values are kept for the way back, and some of the multipliers beside them.
        bytes_each = _KEPT * self.elements * self.itemsize
        return min(n_at_once, max(1, memory_budget() // max(bytes_each, 1)))

    def n_targets_by_rows(self, n_pairs: int, n_targets: int) -> int:
        """How many targets are taken at once by repeating the pairs of sequence and reference for each.

        That is done where operations go through one target after the other and are of few numbers each, as
        those of recurrent layers are.
        """
        in_cache = _TOO_FEW * self.n_values // max(n_pairs * self.elements, 1)
        n_bytes = min(memory_budget(), _BYTES_BY_ROWS)
        in_memory = n_bytes // max(_KEPT_BY_ROWS * self.elements * self.itemsize * n_pairs, 1)
        return max(1, min(n_targets, in_cache, in_memory))


class DeepLift(ABC):
    """DeepLIFT multipliers (rescale rule) of one input of a graph, for sequences against their references.

    For every sequence x, reference r and target t, the sum of ``multipliers * (x - r)`` is f_t(x) - f_t(r) to
    the precision of the arithmetic, whatever operations the model consists of; one without an exact rule
    is refused. All targets share the runs of the sequences and of the references.

    Parameters
    ----------
    graph
        The model; its first output, (sequence, target), is explained.
    wrt
        Number of the input that is explained.

    References
    ----------
    Shrikumar et al. 2017, arXiv:1704.02685; Lundberg and Lee 2017, arXiv:1705.07874.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind.graph import TorchDeepLift, trace_torch
    >>> graph = trace_torch(lambda x: [torch.relu(x[0] - 1)], [torch.ones(1, 1)])
    >>> explain = TorchDeepLift(graph)
    >>> result = explain([np.array([[3.0]], np.float32)], np.array([[[0.0], [2.0]]], np.float32))
    >>> result.multipliers.squeeze().round(3)  # (2 - 0) / (3 - 0) and (2 - 1) / (3 - 2)
    array([0.667, 1.   ], dtype=float32)
    """

    def __init__(self, graph: Graph, wrt: int = 0) -> None:
        self.graph, self.wrt = graph, wrt
        # By the shapes of the inputs.
        self.compiled: dict[tuple[tuple[int, ...], ...], CompiledDeepLift] = {}

    @abstractmethod
    def compile(self, shapes: Sequence[tuple[int, ...]]) -> CompiledDeepLift:
        """The function for inputs of these shapes, without the batch."""

    def __call__(
        self, inputs: Sequence[NDArray], references: NDArray, targets: Iterable[int] | None = None
    ) -> DeepLiftResult:
        """Multipliers of some targets, in the precision of the graph (see `Graph.in_precision`).

        Parameters
        ----------
        inputs
            One array (sequence, ...) for each input of the graph.
        references
            (sequence, reference, ...) for the explained input. The other inputs stay as they are.
        targets
            Columns of the output; all of them by default.

        Raises
        ------
        UnsupportedOperationError
            The model has an operation without an exact rule.
        InputError
            Arrays that do not fit each other, or a column that is not there.
        """
        inputs = [np.asarray(array) for array in inputs]
        references = np.asarray(references)
        _check(self.graph, inputs, references, self.wrt)
        shapes = tuple(array.shape[1:] for array in inputs)
        if shapes not in self.compiled:
            self.compiled[shapes] = self.compile(shapes)
        compiled = self.compiled[shapes]
        columns = np.arange(compiled.n_outputs) if targets is None else np.asarray(list(targets), np.int64)
        if not np.all((columns >= 0) & (columns < compiled.n_outputs)):
            raise InputError(
                f"targets: the model has {compiled.n_outputs} outputs, got the columns {columns.tolist()}"
            )
        n, n_references = references.shape[:2]
        parts = _parts(n, n_references, compiled.n_pairs_at_once(n_references, len(columns)))
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
