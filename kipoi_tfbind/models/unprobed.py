"""A model that takes sequences of a length that nothing tells: it is asked at its first batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.models.sequence_model import SequenceModel

# Length at which such a model is asked for its outputs before it has met a sequence.
PROBE_LENGTH = 1000

_FIELDS = frozenset(field.name for field in fields(SequenceModel))


class UnprobedModel(SequenceModel):
    """A model whose outputs are known once it has met a sequence.

    At its first batch it is wrapped for sequences of that length. Whoever asks for its targets before that
    has it tried at 1,000 bases.

    Parameters
    ----------
    wrap
        Length at which to ask the model for its outputs -> the model, wrapped.
    """

    def __init__(self, wrap: Callable[[int], SequenceModel]) -> None:
        object.__setattr__(self, "_wrap", wrap)
        object.__setattr__(self, "_wrapped", None)

    @property
    def is_asked(self) -> bool:
        """Whether the model has met a sequence, or was tried."""
        return object.__getattribute__(self, "_wrapped") is not None

    def for_length(self, length: int) -> SequenceModel:
        """Return the model, wrapped for sequences of this length unless it has met others before."""
        wrapped: SequenceModel | None = object.__getattribute__(self, "_wrapped")
        if wrapped is None:
            wrapped = object.__getattribute__(self, "_wrap")(length)
            object.__setattr__(self, "_wrapped", wrapped)
        return wrapped

    def __getattribute__(self, name: str) -> Any:
        if name in _FIELDS:
            return getattr(self.for_length(PROBE_LENGTH), name)
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        wrapped = object.__getattribute__(self, "_wrapped")
        return "SequenceModel(not asked yet: give it a sequence)" if wrapped is None else repr(wrapped)

    def select_targets(self, names: Any) -> SequenceModel:
        """Return the model with some of its targets, asked at its first batch as the model itself."""
        chosen = tuple(names)
        return UnprobedModel(lambda length: self.for_length(length).select_targets(chosen))

    def average_strands(self) -> SequenceModel:
        """Return the mean of the model over both strands, asked at its first batch as the model itself."""
        return UnprobedModel(lambda length: self.for_length(length).average_strands())

    def _checked(self, one_hot: NDArray) -> NDArray:
        one_hot = np.asarray(one_hot)
        if one_hot.ndim == 3 and one_hot.shape[1]:
            self.for_length(one_hot.shape[1])
        return super()._checked(one_hot)
