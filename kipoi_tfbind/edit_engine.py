"""Predictions of edited sequences behind a model's layout: from base codes to the graph's windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, codes_of, reverse_complement
from kipoi_tfbind.models.layout import Layout

if TYPE_CHECKING:
    from kipoi_tfbind.graph.incremental.engine import Incremental, Plan
    from kipoi_tfbind.models.adapted import Adapted

_COMPLEMENT = np.array([3, 2, 1, 0, N_CODE])


class EditEngine(Protocol):
    """Predictions of sequences of one length with a stretch of their bases replaced."""

    def plan(self, width: int) -> Plan:
        """What a prediction costs if `width` positions are replaced."""

    def references(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray], width: int) -> Any:
        """What is needed of sequences (sequence, position, base) for edits of this width."""

    def predict(self, references: Any, sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """All outputs (edit, column).

        Parameters
        ----------
        references
            Of the sequences.
        sequence
            Index of each edit's sequence.
        first
            0-based position of its first base.
        codes
            Codes (edit, position) of its bases, 4 for N.
        """

    def pair_work(self) -> float:
        """What a pair of edits of one position each costs, about, in multiply-accumulates."""

    def pairs(
        self, one_hot: NDArray, auxiliary: Mapping[str, NDArray], first: NDArray, new: NDArray
    ) -> PairEngine:
        """Pairs of edits of one sequence, each of the position `first` to the code `new`."""


class PairEngine(Protocol):
    """Predictions of pairs of one sequence's edits."""

    def measure(self, first: NDArray, second: NDArray) -> float:
        """See how much these pairs have in common, for the calls of `predict` that follow; what one costs."""

    def predict(self, first: NDArray, second: NDArray) -> NDArray:
        """All outputs (pair, column) of some of the pairs that were measured, by numbers of their edits."""


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
        """See the protocol."""
        return self.incremental.plan(width)

    def references(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray], width: int) -> Any:
        """See the protocol."""
        inputs = self.adapted.inputs(one_hot, auxiliary)
        return self.incremental.references(inputs, codes_of(one_hot), width)

    def predict(self, references: Any, sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the protocol."""
        return self.incremental.predict(references, sequence, first, codes)

    def pair_work(self) -> float:
        """See the protocol."""
        return self.incremental.pair_program.typical_work

    def pairs(
        self, one_hot: NDArray, auxiliary: Mapping[str, NDArray], first: NDArray, new: NDArray
    ) -> PairEngine:
        """See the protocol."""
        inputs = self.adapted.inputs(one_hot, auxiliary)
        return self.incremental.pairs(inputs, codes_of(one_hot), first, new)


@dataclass(frozen=True)
class StrandAverageEdits:
    """The mean of an engine over a sequence and its reverse complement.

    Attributes
    ----------
    inner
        The engine.
    length
        Length of the sequences.
    """

    inner: EditEngine
    length: int

    def plan(self, width: int) -> Plan:
        """See the protocol: of one of the two strands."""
        return self.inner.plan(width)

    def references(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray], width: int) -> Any:
        """See the protocol."""
        strands = (one_hot, reverse_complement(one_hot))
        return [self.inner.references(strand, auxiliary, width) for strand in strands]

    def predict(self, references: Any, sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """See the protocol."""
        forward = self.inner.predict(references[0], sequence, first, codes)
        mirrored = self.length - first - codes.shape[1]
        backward = self.inner.predict(references[1], sequence, mirrored, _COMPLEMENT[codes[:, ::-1]])
        return (forward + backward) / 2

    def pair_work(self) -> float:
        """See the protocol: of one of the two strands."""
        return self.inner.pair_work()

    def pairs(
        self, one_hot: NDArray, auxiliary: Mapping[str, NDArray], first: NDArray, new: NDArray
    ) -> PairEngine:
        """See the protocol."""
        forward = self.inner.pairs(one_hot, auxiliary, first, new)
        mirrored = self.length - 1 - first
        backward = self.inner.pairs(reverse_complement(one_hot), auxiliary, mirrored, _COMPLEMENT[new])
        return StrandAveragePairs(forward, backward)


@dataclass(frozen=True)
class StrandAveragePairs:
    """The mean of pairs over a sequence and its reverse complement."""

    forward: PairEngine
    backward: PairEngine

    def measure(self, first: NDArray, second: NDArray) -> float:
        """See the protocol."""
        return self.forward.measure(first, second) + self.backward.measure(first, second)

    def predict(self, first: NDArray, second: NDArray) -> NDArray:
        """See the protocol."""
        return (self.forward.predict(first, second) + self.backward.predict(first, second)) / 2


def units_of(layout: Layout) -> NDArray:
    """What a model's input has at a position with each of the codes of A, C, G, T and N: (code, ...).

    Examples
    --------
    >>> units_of(Layout.parse("1,4,L", alphabet="AGCT"))[1].tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    one_hot = np.eye(N_CODE + 1)[:, np.newaxis, :N_CODE]
    return layout.to_model(one_hot).squeeze(position_axis(layout))


def position_axis(layout: Layout) -> int:
    """The axis of the positions in a model's input, which has the batch as axis 0."""
    return 1 + layout.axes.index("L")
