"""From one-hot sequences to a backend and back; strand averages and ensembles are made of this too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, Capability
from kipoi_tfbind.dna.one_hot import reverse_complement
from kipoi_tfbind.edit_engine import AdaptedEdits, EditEngine, StrandAverageEdits, position_axis, units_of
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.layout import Layout

Auxiliary = Mapping[str, NDArray]
Multipliers = tuple[NDArray, NDArray, NDArray]


class Evaluator(Protocol):
    """What can be asked of a model, in the package's own layout.

    One-hot arrays are (sequence, position, base), references (sequence, reference, position, base);
    auxiliary inputs are (sequence, ...) by name. `columns` are indices of outputs.
    """

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What can be asked: predictions, gradients, multipliers."""

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """All outputs (sequence, column)."""

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """Gradient (sequence, position, base, column)."""

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """DeepLIFT multipliers (sequence, reference, position, base, column).

        With them the predictions (sequence, column), and those of the references
        (sequence, reference, column).
        """

    def edit_engine(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        """What predicts edits of sequences like these; None where each is to be predicted as a whole."""


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
    """

    backend: Backend
    layout: Layout
    names: tuple[str, ...] = ("sequence",)
    sequence_index: int = 0
    fixed: Mapping[str, NDArray] = field(default_factory=dict)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See the protocol; text has no gradient."""
        return frozenset({"predictions"}) if self.layout.takes_text else self.backend.capabilities

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """See the protocol."""
        return self.backend.predict(self.inputs(one_hot, auxiliary))

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        gradient = self.backend.gradient(self.inputs(one_hot, auxiliary), self.sequence_index, columns)
        return _columns_last(self.layout.gradient_to_one_hot(_columns_first(gradient)))

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """See the protocol."""
        multipliers, prediction, reference = self.backend.multipliers(
            self.inputs(one_hot, auxiliary), self.layout.to_model(references), self.sequence_index, columns
        )
        own = _columns_last(self.layout.gradient_to_one_hot(_columns_first(multipliers)))
        return own, prediction, reference

    def edit_engine(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        """See the protocol."""
        if self.layout.takes_text or self.layout.flattened:
            return None
        inputs = self.inputs(one_hot, auxiliary)
        axis, units = position_axis(self.layout), units_of(self.layout)
        incremental = self.backend.incremental(inputs, self.sequence_index, axis, units)
        return None if incremental is None else AdaptedEdits(self, incremental)

    def inputs(self, one_hot: NDArray, auxiliary: Auxiliary) -> list[NDArray]:
        """The backend's inputs, in its order."""
        return [
            self.layout.to_model(one_hot)
            if i == self.sequence_index
            else self._other(name, len(one_hot), auxiliary)
            for i, name in enumerate(self.names)
        ]

    def _other(self, name: str, n: int, auxiliary: Auxiliary) -> NDArray:
        if name in auxiliary:
            return np.asarray(auxiliary[name])
        if name not in self.fixed:
            raise InputError(
                f"input {name!r}: expected a value beside the sequence, got none; give one for all sequences "
                f"(auxiliary={{{name!r}: ...}}), or read sequences with the model's own dataloader"
            )
        value = np.asarray(self.fixed[name])
        return np.broadcast_to(value, (n, *value.shape))


@dataclass(frozen=True)
class StrandAverage:
    """The mean over a sequence and its reverse complement."""

    inner: Evaluator

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See the protocol."""
        return self.inner.capabilities

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """See the protocol."""
        forward = self.inner.predict(one_hot, auxiliary)
        return (forward + self.inner.predict(reverse_complement(one_hot), auxiliary)) / 2

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        forward = self.inner.gradient(one_hot, auxiliary, columns)
        backward = self.inner.gradient(reverse_complement(one_hot), auxiliary, columns)
        return (forward + backward[:, ::-1, ::-1]) / 2

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """See the protocol."""
        forward = self.inner.multipliers(one_hot, references, auxiliary, columns)
        backward = self.inner.multipliers(
            reverse_complement(one_hot), reverse_complement(references), auxiliary, columns
        )
        multipliers, *predictions = (
            (a + b) / 2 for a, b in zip(forward, (backward[0][:, :, ::-1, ::-1], *backward[1:]), strict=True)
        )
        return multipliers, predictions[0], predictions[1]

    def edit_engine(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        """See the protocol."""
        inner = self.inner.edit_engine(one_hot, auxiliary)
        return None if inner is None else StrandAverageEdits(inner, one_hot.shape[1])


@dataclass(frozen=True)
class EnsembleMean:
    """The mean prediction of several models; each method runs on the members, one after the other."""

    members: tuple[Evaluator, ...]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What all members can do."""
        return frozenset.intersection(*(member.capabilities for member in self.members))

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """See the protocol."""
        return np.mean([member.predict(one_hot, auxiliary) for member in self.members], axis=0)

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        return np.mean([member.gradient(one_hot, auxiliary, columns) for member in self.members], axis=0)

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """Refuse: multipliers of a mean are those of no single model."""
        raise UnsupportedModelError("ensemble: multipliers are to be asked of its members")

    def edit_engine(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        """There is none: edits are to be asked of its members."""
        return None


def _columns_first(array: NDArray) -> NDArray:
    """(sequence, [reference,] *axes, column) -> (column, sequence, [reference,] *axes)."""
    return np.moveaxis(array, -1, 0)


def _columns_last(array: NDArray) -> NDArray:
    return np.moveaxis(array, 0, -1)
