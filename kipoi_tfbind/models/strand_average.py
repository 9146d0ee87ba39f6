"""The mean of a model over a sequence and its reverse complement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Capability
from kipoi_tfbind.dna.one_hot import N_CODE, reverse_complement
from kipoi_tfbind.models.evaluator import Auxiliary, EditEngine, Evaluator, Multipliers, PairEngine

if TYPE_CHECKING:
    from kipoi_tfbind.graph.incremental.plan import PairCost, Plan

_COMPLEMENT = np.array([3, 2, 1, 0, N_CODE])


@dataclass(frozen=True)
class StrandAverage:
    """The mean over a sequence and its reverse complement."""

    inner: Evaluator

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the model itself."""
        return self.inner.capabilities

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """Mean of the two strands' outputs (sequence, column)."""
        forward = self.inner.predict(one_hot, auxiliary)
        return (forward + self.inner.predict(reverse_complement(one_hot), auxiliary)) / 2

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """Gradient (sequence, position, base, column), that of the reverse strand turned round."""
        forward = self.inner.gradient(one_hot, auxiliary, columns)
        backward = self.inner.gradient(reverse_complement(one_hot), auxiliary, columns)
        return (forward + backward[:, ::-1, ::-1]) / 2

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """Multipliers of the mean, the references being reverse-complemented with the sequence."""
        forward = self.inner.multipliers(one_hot, references, auxiliary, columns)
        backward = self.inner.multipliers(
            reverse_complement(one_hot), reverse_complement(references), auxiliary, columns
        )
        multipliers, *predictions = (
            (a + b) / 2 for a, b in zip(forward, (backward[0][:, :, ::-1, ::-1], *backward[1:]), strict=True)
        )
        return multipliers, predictions[0], predictions[1]

    def edits(self, one_hot: NDArray, auxiliary: Auxiliary) -> StrandAverageEdits | None:
        """Engine of the mean; None where the model itself has none."""
        inner = self.inner.edits(one_hot, auxiliary)
        return None if inner is None else StrandAverageEdits(inner, one_hot.shape[1])

    def in_double_precision(self) -> StrandAverage | None:
        """The mean in float64; None where the model itself cannot compute in it."""
        inner = self.inner.in_double_precision()
        return None if inner is None else StrandAverage(inner)


@dataclass(frozen=True)
class StrandAverageEdits:
    """The mean of an engine over a sequence and its reverse complement.

    Attributes
    ----------
    inner
        The engine of one strand.
    length
        Length of the sequences.
    """

    inner: EditEngine
    length: int

    def plan(self, width: int) -> Plan:
        """Cost of one of the two strands."""
        return self.inner.plan(width)

    def cached_activations(self, one_hot: NDArray, auxiliary: Auxiliary, width: int) -> Any:
        """Cached activations of each strand."""
        strands = (one_hot, reverse_complement(one_hot))
        return [self.inner.cached_activations(strand, auxiliary, width) for strand in strands]

    def predict_both(
        self, one_hot: NDArray, auxiliary: Auxiliary, sequence: NDArray, first: NDArray, codes: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Means of the two strands' outputs, for the sequences and for edits of them."""
        mirrored = self._mirrored(first, codes)
        forward = self.inner.predict_both(one_hot, auxiliary, sequence, first, codes)
        backward = self.inner.predict_both(reverse_complement(one_hot), auxiliary, sequence, *mirrored)
        return (forward[0] + backward[0]) / 2, (forward[1] + backward[1]) / 2

    def _mirrored(self, first: NDArray, codes: NDArray) -> tuple[NDArray, NDArray]:
        """Edits as they are on the other strand."""
        return self.length - first - codes.shape[1], _COMPLEMENT[codes[:, ::-1]]

    def predict(self, cached: Any, sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """Mean of the two strands' outputs (edit, column)."""
        forward = self.inner.predict(cached[0], sequence, first, codes)
        backward = self.inner.predict(cached[1], sequence, *self._mirrored(first, codes))
        return (forward + backward) / 2

    def pair_cost(self, n_edits: int) -> PairCost:
        """Typical cost of a pair on one of the two strands, and memory for both."""
        one = self.inner.pair_cost(n_edits)
        return replace(one, prepared_bytes=2 * one.prepared_bytes)

    def pairs(self, one_hot: NDArray, auxiliary: Auxiliary, first: NDArray, new: NDArray) -> PairEngine:
        """Engine of the pairs' means."""
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
        """Cost of a pair on both strands."""
        return self.forward.measure(first, second) + self.backward.measure(first, second)

    def predict(self, first: NDArray, second: NDArray) -> NDArray:
        """Mean of the two strands' outputs (pair, column)."""
        return (self.forward.predict(first, second) + self.backward.predict(first, second)) / 2
