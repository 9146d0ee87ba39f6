"""What the methods share: predictions in batches of one shape, and the record of how a result came about."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.model import SequenceModel

_PACKAGES = ("kipoi_tfbind", "kipoi", "numpy", "xarray")
_FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "sklearn")
_DISTRIBUTION_OF = {"sklearn": "scikit-learn"}


def predict_in_batches(
    model: SequenceModel,
    n: int,
    make: Callable[[NDArray[np.intp]], NDArray],
    *,
    batch_size: int,
    description: str,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predict `n` sequences that are made when their turn comes.

    Every batch has the same shape (the last one is filled up with its last sequence), because a compiled
    model is compiled anew for each shape that it meets, which takes seconds.

    Parameters
    ----------
    model
        The model.
    n
        Number of sequences.
    make
        Indices of sequences -> their one-hot arrays (sequence, position, base).
    batch_size
        Number of sequences in a batch.
    description
        What the progress bar says; there is none where stderr is not a terminal.

    Yields
    ------
    indices, prediction
        Indices of the batch's sequences, and their predictions (sequence, target).

    Raises
    ------
    InputError
        `batch_size` is not positive.
    """
    if batch_size < 1:
        raise InputError(f"batch_size: expected at least 1, got {batch_size}")
    with tqdm(total=n, desc=description, unit="seq", disable=None, leave=False) as progress:
        for first in range(0, n, batch_size):
            indices = np.arange(first, first + batch_size)
            padded = np.minimum(indices, n - 1)
            indices = indices[indices < n]
            yield indices, model.predict(make(padded))[: len(indices)]
            progress.update(len(indices))


def provenance(method: str, model: SequenceModel, **settings: int | str) -> dict[str, int | str]:
    """Attributes of a result: the method, the model, the settings, and the versions of what ran.

    Examples
    --------
    >>> from kipoi_tfbind.model import as_sequence_model
    >>> model = as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=list("ACGT"))
    >>> attributes = provenance("occlusion", model, width=5)
    >>> attributes["method"], attributes["model"], attributes["output"], attributes["width"]
    ('occlusion', '<lambda>', 'raw', 5)
    """
    packages = [*_PACKAGES, *(name for name in _FRAMEWORKS if name in sys.modules)]
    versions = (f"{name} {version(_DISTRIBUTION_OF.get(name, name))}" for name in packages)
    return {
        "method": method,
        "model": model.name,
        "output": model.output,
        **settings,
        "versions": ", ".join(versions),
    }
