"""A model in its framework behind its layout: from one-hot sequences to a backend and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, Capability
from kipoi_tfbind.backends.dropout import DropoutBackend
from kipoi_tfbind.dna.one_hot import N_CODE, codes_of
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.memory import memory_budget
from kipoi_tfbind.models.evaluator import Auxiliary, Multipliers, PairEngine
from kipoi_tfbind.models.layout import TRACKS, Layout

# Bytes of inputs that are never too many, and numbers that a model has at once for each of its input.
_SMALL = 1 << 16
_MOST_TIMES = 2000

if TYPE_CHECKING:
    from kipoi_tfbind.graph.incremental.engine import Incremental
    from kipoi_tfbind.graph.incremental.plan import PairCost, Plan


@dataclass(frozen=True)
class Adapted:
    """A backend behind its layout.

    Attributes
    ----------
    backend
        The model in its framework.
    layout
        How the sequence goes in.
    names
        Name of each input, in the backend's order.
    sequence_index
        Which of them is the sequence.
    fixed
        Values, without the batch axis, of inputs that are the same for every sequence.
    make_double
        Makes the backend in float64; None where it is so already, or only predicts.
    make_dropout
        Makes the backend whose units are dropped by masks; raises where the model has no dropout.
    """

    backend: Backend
    layout: Layout
    names: tuple[str, ...] = ("sequence",)
    sequence_index: int = 0
    fixed: Mapping[str, NDArray] = field(default_factory=dict)
    make_double: Callable[[], Backend] | None = field(default=None, repr=False, compare=False)
    make_dropout: Callable[[], DropoutBackend] | None = field(default=None, repr=False, compare=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the backend; text and tokens have no gradient."""
        return self.backend.capabilities if self.layout.has_bases else frozenset({"predictions"})

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """All outputs (sequence, column)."""
        inputs = self.inputs(one_hot, auxiliary)
        parts = [self.backend.predict(some) for some in self._that_fit(inputs, backward=False)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """Gradient (sequence, position, base, column) by the bases of the model's own input."""
        inputs = self.inputs(one_hot, auxiliary)
        parts = [
            self.backend.gradient(some, self.sequence_index, columns)
            for some in self._that_fit(inputs, backward=True)
        ]
        gradient = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return _columns_last(self.layout.by_base(_columns_first(gradient)))

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """Multipliers by one-hot, and predictions; as the protocol says."""
        multipliers, prediction, reference = self.backend.multipliers(
            self.inputs(one_hot, auxiliary), self.layout.to_model(references), self.sequence_index, columns
        )
        own = _columns_last(self.layout.gradient_to_one_hot(_columns_first(multipliers)))
        return own, prediction, reference

    def edits(self, one_hot: NDArray, auxiliary: Auxiliary) -> AdaptedEdits | None:
        """Engine of the backend's graph; None for text, for flattened inputs, and where nothing is traced."""
        if not self.layout.has_bases or self.layout.flattened:
            return None
        inputs = self.inputs(one_hot, auxiliary)
        axis, encodings = position_axis(self.layout), base_encodings(self.layout)
        incremental = self.backend.incremental(inputs, self.sequence_index, axis, encodings)
        return None if incremental is None else AdaptedEdits(self, incremental)

    def in_double_precision(self) -> Adapted | None:
        """The same in float64; None where the framework has an operation in float32 only."""
        if self.make_double is None:
            return None
        try:
            return replace(self, backend=self.make_double(), make_double=None)
        except (InputError, UnsupportedModelError):
            return None

    def _that_fit(self, inputs: list[NDArray], *, backward: bool) -> Iterator[list[NDArray]]:
        """The inputs of some sequences after those of others, if all at once would take too much memory."""
        n, given = len(inputs[0]), sum(array.nbytes for array in inputs)
        budget = memory_budget() if given > _SMALL else 0
        at_once = n
        # No model that is known has so many times the numbers of its input at the same time.
        if budget and given * _MOST_TIMES > budget:
            bytes_each = self.backend.bytes_per_row([array[:2] for array in inputs], backward=backward)
            at_once = min(n, max(1, budget // max(bytes_each, 1)))
        if at_once >= n:
            yield inputs
            return
        for start in range(0, n, at_once):
            yield [array[start : start + at_once] for array in inputs]

    def inputs(self, one_hot: NDArray, auxiliary: Auxiliary) -> list[NDArray]:
        """The backend's inputs, in its order."""
        return [
            self.layout.to_model(one_hot)
            if i == self.sequence_index
            else self._tracks(len(one_hot), one_hot, auxiliary)
            if name == TRACKS and self.layout.tracks
            else self._other(name, len(one_hot), auxiliary)
            for i, name in enumerate(self.names)
        ]

    def _other(self, name: str, n: int, auxiliary: Auxiliary) -> NDArray:
        if name in auxiliary:
            return np.asarray(auxiliary[name])
        if name not in self.fixed:
            raise InputError(
                f"input {name!r}: expected a value beside the sequence, got none; give one for all sequences "
                f"(--auxiliary, auxiliary={{{name!r}: ...}}), or read them with the model's own dataloader"
            )
        value = np.asarray(self.fixed[name])
        return np.broadcast_to(value, (n, *value.shape))

    def _tracks(self, n: int, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        found = self._other(TRACKS, n, auxiliary)
        expected = (one_hot.shape[1], self.layout.tracks)
        if found.shape[1:] != expected:
            raise InputError(
                f"input {TRACKS!r}: expected (position, channel) of {expected} for each sequence, "
                f"got {found.shape[1:]}"
            )
        return self.layout.tracks_to_model(found)


@dataclass(frozen=True)
class AdaptedEdits:
    """The engine of a model in its framework.

    Attributes
    ----------
    adapted
        The model behind its layout.
    incremental
        The engine of its graph.
    """

    adapted: Adapted
    incremental: Incremental

    def plan(self, width: int) -> Plan:
        """Cost of edits of this width."""
        return self.incremental.plan(width)

    def cached_activations(self, one_hot: NDArray, auxiliary: Auxiliary, width: int) -> Any:
        """Activations of the graph for these sequences."""
        inputs = self.adapted.inputs(one_hot, auxiliary)
        return self.incremental.cached_activations(inputs, codes_of(one_hot), width)

    def predict_both(
        self, one_hot: NDArray, auxiliary: Auxiliary, sequence: NDArray, first: NDArray, codes: NDArray
    ) -> tuple[NDArray, NDArray]:
        """All outputs for these sequences and for edits of them."""
        inputs = self.adapted.inputs(one_hot, auxiliary)
        return self.incremental.predict_both(inputs, codes_of(one_hot), sequence, first, codes)

    def predict(self, cached: Any, sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """All outputs (edit, column)."""
        return self.incremental.predict(cached, sequence, first, codes)

    def pair_cost(self, n_edits: int) -> PairCost:
        """Typical cost of pairs of so many edits."""
        return self.incremental.pair_cost(n_edits)

    def pairs(self, one_hot: NDArray, auxiliary: Auxiliary, first: NDArray, new: NDArray) -> PairEngine:
        """Engine of the pairs of one sequence's edits."""
        inputs = self.adapted.inputs(one_hot, auxiliary)
        return self.incremental.pairs(inputs, codes_of(one_hot), first, new)


def base_encodings(layout: Layout) -> NDArray:
    """Encodings of A, C, G, T and N at one position of a model's input: (code, ...).

    Examples
    --------
    >>> base_encodings(Layout.parse("1,4,L", alphabet="AGCT"))[1].tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    one_hot = np.eye(N_CODE + 1)[:, np.newaxis, :N_CODE]
    return layout.to_model(one_hot).squeeze(position_axis(layout))


def position_axis(layout: Layout) -> int:
    """The axis of the positions in a model's input, which has the batch as axis 0."""
    return 1 + layout.axes.index("L")


def _columns_first(array: NDArray) -> NDArray:
    """(sequence, [reference,] *axes, column) -> (column, sequence, [reference,] *axes)."""
    return np.moveaxis(array, -1, 0)


def _columns_last(array: NDArray) -> NDArray:
    return np.moveaxis(array, 0, -1)
