"""Several models as one: their mean prediction; each method runs on the members, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Capability
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.evaluator import Auxiliary, EditEngine, Evaluator, Multipliers
from kipoi_tfbind.models.sequence_model import SequenceModel, listed


def ensemble(models: Sequence[SequenceModel]) -> SequenceModel:
    """Make one model of several: their mean prediction, and the mean and spread of every method's result.

    Raises
    ------
    InputError
        There is none, or they differ in targets, length, or what their outputs are.

    Examples
    --------
    >>> import numpy as np
    >>> from kipoi_tfbind import as_sequence_model
    >>> one = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["G"])
    >>> two = as_sequence_model(lambda x: 3 * x[:, :, 2].sum(axis=1), targets=["G"])
    >>> ensemble([one, two]).predict(np.eye(4)[np.array([[2, 2, 3]])])
    array([[4.]])
    """
    if not models:
        raise InputError("model: expected at least one model in the list, got none")
    first = models[0]
    for what in ("target_names", "length", "output"):
        values = [getattr(model, what) for model in models]
        other = next((i for i, value in enumerate(values) if value != values[0]), None)
        if other is not None:
            raise InputError(
                f"ensemble: {what} of {models[other].name} is {values[other]}, of {first.name} {values[0]}; "
                "the models of an ensemble must agree in it"
            )
    if len(models) == 1:
        return first
    digest = _digest([model.fingerprint for model in models])
    names = list(dict.fromkeys(model.name for model in models))
    return SequenceModel(
        name=f"ensemble of {len(models)}: {listed(names)}",
        target_names=first.target_names,
        length=first.length,
        output=first.output,
        evaluator=EnsembleMean(tuple(_Selected(model) for model in models)),
        columns=tuple(range(len(first.target_names))),
        n_outputs=len(first.target_names),
        auxiliary=tuple(dict.fromkeys(name for model in models for name in model.auxiliary)),
        fingerprint=digest,
        members=tuple(models),
    )


def _digest(parts: Iterable[str]) -> str:
    """One fingerprint of several; "unknown" where one of them is."""
    parts = list(parts)
    if "unknown" in parts:
        return "unknown"
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class EnsembleMean:
    """The mean prediction of several models; each method runs on the members, one after the other."""

    members: tuple[Evaluator, ...]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Capabilities that all members have."""
        return frozenset.intersection(*(member.capabilities for member in self.members))

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        """Mean of the members' outputs (sequence, column)."""
        return np.mean([member.predict(one_hot, auxiliary) for member in self.members], axis=0)

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        """Mean of the members' gradients (sequence, position, base, column)."""
        return np.mean([member.gradient(one_hot, auxiliary, columns) for member in self.members], axis=0)

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        """Refuse: multipliers of a mean are those of no single model."""
        raise UnsupportedModelError("ensemble: multipliers are to be asked of its members")

    def edits(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        """There is no engine: edits are to be asked of its members."""
        return None

    def in_double_precision(self) -> Evaluator | None:
        """There is none: it is to be asked of its members."""
        return None


class _Selected:
    """The targets of a member as columns 0, 1, ..., whatever its columns are."""

    def __init__(self, model: SequenceModel) -> None:
        self._model = model
        self.capabilities = model.capabilities

    def predict(self, one_hot: NDArray, auxiliary: Auxiliary) -> NDArray:
        return self._model.predict(one_hot, auxiliary)

    def gradient(self, one_hot: NDArray, auxiliary: Auxiliary, columns: Sequence[int]) -> NDArray:
        return self._model.gradient(one_hot, auxiliary)[..., list(columns)]

    def multipliers(
        self, one_hot: NDArray, references: NDArray, auxiliary: Auxiliary, columns: Sequence[int]
    ) -> Multipliers:
        m, prediction, reference = self._model.multipliers(one_hot, references, auxiliary)
        return m[..., list(columns)], prediction[..., list(columns)], reference[..., list(columns)]

    def edits(self, one_hot: NDArray, auxiliary: Auxiliary) -> EditEngine | None:
        return self._model.edits(one_hot, auxiliary)

    def in_double_precision(self) -> Evaluator | None:
        precise = self._model.in_double_precision()
        return None if precise is None else _Selected(precise)
