"""Protocols of a model in the package's own layout: the four verbs that can be asked of it.

One-hot arrays are (sequence, position, base), references (sequence, reference, position, base); auxiliary
inputs are (sequence, ...) by name. `columns` are indices of outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Capability

if TYPE_CHECKING:
    from kipoi_tfbind.graph.incremental.plan import PairCost, Plan

Auxiliary = Mapping[str, NDArray]
Multipliers = tuple[NDArray, NDArray, NDArray]


class Evaluator(Protocol):
    """A model behind its layout, a strand average, or an ensemble."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Capabilities: predictions, gradients, multipliers."""

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """All outputs (sequence, column)."""

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """Gradient (sequence, position, base, column) by the bases of the model's own input."""

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """DeepLIFT multipliers (sequence, reference, position, base, column).

        With them the predictions (sequence, column), and those of the references
        (sequence, reference, column).
        """

    def edits(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        """Engine that predicts edits of sequences like these; None where each is to be predicted whole."""

    def in_double_precision(self) -> Evaluator | None:
        """The same computed in float64; None where that cannot be had, or is so already."""


class EditEngine(Protocol):
    """Predictions of sequences of one length with a stretch of their bases replaced."""

    def plan(self, width: int) -> Plan:
        """Cost of a prediction in which `width` positions are replaced."""

    def cached_activations(self, one_hot: NDArray, auxiliary: Auxiliary, width: int) -> Any:
        """Activations of unedited sequences that edits of this width are predicted from."""

    def predict_both(
        self, one_hot: NDArray, auxiliary: Auxiliary, sequence: NDArray, first: NDArray, codes: NDArray
    ) -> tuple[NDArray, NDArray]:
        """All outputs (sequence, column) for unedited sequences and (edit, column) for edits: one pass."""

    def predict(self, cached: Any, sequence: NDArray, first: NDArray, codes: NDArray) -> NDArray:
        """All outputs (edit, column).

        Parameters
        ----------
        cached
            The cached activations of the sequences.
        sequence
            Index of each edit's sequence.
        first
            0-based position of its first base.
        codes
            Codes (edit, position) of its bases, 4 for N.
        """

    def pair_cost(self, n_edits: int) -> PairCost:
        """Typical cost of pairs of so many edits of a sequence, of one position each."""

    def pairs(self, one_hot: NDArray, auxiliary: Auxiliary, first: NDArray, new: NDArray) -> PairEngine:
        """Engine of pairs of edits of one sequence, each of the position `first` to the code `new`."""


class PairEngine(Protocol):
    """Predictions of pairs of one sequence's edits."""

    def measure(self, first: NDArray, second: NDArray) -> float:
        """Prepare for these pairs, which the calls of `predict` that follow are of; the cost of one."""

    def predict(self, first: NDArray, second: NDArray) -> NDArray:
        """All outputs (pair, column) of some of the pairs that were measured, by numbers of their edits."""
