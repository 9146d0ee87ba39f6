"""A layer of a model, or that of each member of an ensemble, looked up once in a call of a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from kipoi_tfbind.interpret._batches import Batch, batch_of
from kipoi_tfbind.models.sequence_model import SequenceModel


@dataclass
class Chosen:
    """What was looked up of each member.

    Attributes
    ----------
    first
        That of the model, or of the ensemble's first member.
    """

    first: Any
    _find: Callable[[SequenceModel], Any]
    _found: dict[int, Any] = field(default_factory=dict)

    def of(self, member: SequenceModel) -> Any:
        """That of a member."""
        if id(member) not in self._found:
            self._found[id(member)] = self._find(member)
        return self._found[id(member)]


def of_layer(
    model: SequenceModel, sequences: xr.Dataset, find: Callable[[SequenceModel, Batch], Any]
) -> Chosen:
    """Look something up in a model, given sequences like those that will come; in members when asked."""
    first = (model.members or (model,))[0]

    def of(member: SequenceModel) -> Any:
        batch = batch_of(sequences.isel(sequence=slice(0, 1)), member)
        # Sequences that the model does not take are its own error, before that of a trace.
        member.predict(batch.one_hot, batch.auxiliary)
        return find(member, batch)

    found = of(first)
    return Chosen(found, of, {id(first): found})
