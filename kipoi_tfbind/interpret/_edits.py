"""Predictions of edited sequences: what every method that mutates asks for, and where it is made fast.

An edit is a sequence, some positions in it, and the bases that go there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.interpret._batches import Batch, predict_in_batches
from kipoi_tfbind.model import SequenceModel


class Edits(NamedTuple):
    """Edits of sequences.

    Attributes
    ----------
    sequence
        Index of each edit's sequence (edit).
    positions
        0-based positions (edit, k).
    bases
        Codes of the new bases, 0 to 3 (edit, k).
    """

    sequence: NDArray[np.intp]
    positions: NDArray[np.intp]
    bases: NDArray[np.intp]


def predict_edits(
    model: SequenceModel,
    batch: Batch,
    n: int,
    edits_of: Callable[[NDArray[np.intp]], Edits],
    *,
    batch_size: int,
    description: str,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predict `n` edited sequences, in constant memory.

    Parameters
    ----------
    model
        The model.
    batch
        The sequences that are edited.
    n
        Number of edits.
    edits_of
        Numbers of edits -> the edits.
    batch_size
        Number of edited sequences that are predicted at once.
    description
        What the progress bar says.

    Yields
    ------
    numbers, prediction
        Numbers of some edits, and the predictions (edit, target).
    """

    def make(numbers: NDArray[np.intp]) -> Batch:
        edits = edits_of(numbers)
        edited = batch.rows(edits.sequence)
        rows = np.arange(len(numbers))[:, np.newaxis]
        edited.one_hot[rows, edits.positions] = 0
        edited.one_hot[rows, edits.positions, edits.bases] = 1
        return edited

    return predict_in_batches(model, n, make, batch_size=batch_size, description=description)
