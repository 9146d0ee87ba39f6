"""Sequences with their auxiliary inputs, and predictions of them in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import progress


@dataclass(frozen=True)
class Batch:
    """Sequences with what goes into the model beside them.

    Attributes
    ----------
    one_hot
        (sequence, position, base).
    auxiliary
        (sequence, ...) by name of the input.
    """

    one_hot: NDArray
    auxiliary: Mapping[str, NDArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.one_hot)

    def rows(self, indices: NDArray[np.intp]) -> Batch:
        """Some of the sequences, each as often as its index is there."""
        return Batch(
            self.one_hot[indices], {name: values[indices] for name, values in self.auxiliary.items()}
        )

    def replaced(self, one_hot: NDArray) -> Batch:
        """Other sequences with the same auxiliary inputs."""
        return Batch(one_hot, self.auxiliary)


def batch_of(sequences: xr.Dataset, model: SequenceModel) -> Batch:
    """Sequences of a Dataset, with the auxiliary inputs that the model needs.

    Raises
    ------
    InputError
        The Dataset has no one-hot array, or lacks an auxiliary input.
    """
    schema.require(sequences, "one_hot")
    auxiliary = {}
    for name in model.auxiliary:
        variable = f"{schema.AUXILIARY}{name}"
        if variable not in sequences:
            raise InputError(
                f"sequences: model {model.name} has an input {name!r} beside the sequence, the Dataset no "
                f"{variable} (sequence, ...); read them with the model's dataloader (--dataloader_args), or "
                f"give one value for all (--auxiliary, auxiliary={{{name!r}: ...}})"
            )
        auxiliary[name] = sequences[variable].values
    return Batch(sequences["one_hot"].values, auxiliary)


def predict_in_batches(
    model: SequenceModel,
    n: int,
    make: Callable[[NDArray[np.intp]], Batch],
    *,
    batch_size: int,
    description: str,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predict `n` sequences that are made when their turn comes.

    Parameters
    ----------
    model
        The model.
    n
        Number of sequences.
    make
        Indices of sequences -> the sequences.
    batch_size
        Number of sequences in a batch.
    description
        Text of the progress bar; there is none where stderr is not a terminal.

    Yields
    ------
    indices, prediction
        Indices of the batch's sequences, and their predictions (sequence, target).

    Raises
    ------
    InputError
        `batch_size` is not positive.
    """
    for indices, padded in in_batches(n, batch_size=batch_size, description=description):
        batch = make(padded)
        yield indices, model.predict(batch.one_hot, batch.auxiliary)[: len(indices)]


def in_batches(
    n: int, *, batch_size: int, description: str
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices of `n` things in batches, under a progress bar.

    Yields
    ------
    indices, padded
        Indices of the batch, and the same filled up with the last index: all batches have one shape,
        because a compiled model may be compiled anew for each shape that it meets, which takes seconds.

    Raises
    ------
    InputError
        `batch_size` is not positive.
    """
    check_batch_size(batch_size)
    step = min(batch_size, n)
    with progress(description, n) as bar:
        for first in range(0, n, step or 1):
            indices = np.arange(first, first + step)
            yield indices[indices < n], np.minimum(indices, n - 1)
            bar.update(min(step, n - first))


def check_batch_size(batch_size: int) -> None:
    """Check that it is positive.

    Raises
    ------
    InputError
        It is not.
    """
    whole_number("batch_size", batch_size, least=1)
