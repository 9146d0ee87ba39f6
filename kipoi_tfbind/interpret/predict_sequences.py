"""Predictions of sequences, and what dropout says of their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.backends.dropout import moments
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._method import Variables, predict_all, run_method
from kipoi_tfbind.models.dropout import with_dropout
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences


def predict_sequences(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    dropout_samples: int = 0,
    seed: int = 0,
    batch_size: int = 256,
) -> xr.Dataset:
    """Predictions of sequences; and their mean and spread when units are dropped as in training.

    The spread over draws of dropout is an estimate of what a model does not know (Monte Carlo dropout: Gal
    and Ghahramani 2016, Proceedings of Machine Learning Research 48:1050-1059). The units that are dropped
    follow from (seed, number of the draw, layer, the sequence itself), so that neither batches nor the order
    of the sequences matters. All else, such as batch normalisation, is as in prediction.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base); its coordinates go into the result.
    dropout_samples
        Number of draws of dropout, 2 or more; 0 for none. Each is a prediction of all sequences.
    seed
        Of the draws.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``prediction`` and ``reverse_complement_difference`` (sequence, target), of the model as it predicts;
        ``dropout_mean`` and ``dropout_standard_deviation`` (sequence, target), missing (NaN) without draws;
        ``one_hot``. The standard deviation is over the draws, with their number less 1. Of an ensemble these
        are means over its members, and ``prediction_sd`` is its members' standard deviation.

    Raises
    ------
    UnsupportedModelError
        Draws are asked for, and the model has no dropout, or has some that cannot be drawn for each sequence
        (within a recurrent layer, or an attention of PyTorch).
    InputError
        The number of draws is 1 or negative.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> from kipoi_tfbind.architectures import motif_cnn
    >>> model = as_sequence_model(motif_cnn(length=60, dropout=0.5), targets=["CTCF"])
    >>> result = predict_sequences(model, encode_sequences(["GATTACA" * 8 + "GATT"]), dropout_samples=20)
    >>> result["prediction"].shape, bool(result["dropout_standard_deviation"][0, 0] > 0)
    ((1, 1), True)
    """
    whole_number("seed", seed)
    whole_number("dropout_samples", dropout_samples)
    if dropout_samples == 1:
        raise InputError("dropout_samples: expected 2 draws or more for a spread, or 0 for none, got 1")

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        mean, deviation = _moments(member, batch, prediction, dropout_samples, seed, batch_size)
        dims = ("sequence", "target")
        return {"dropout_mean": (dims, mean), "dropout_standard_deviation": (dims, deviation)}

    return run_method(
        "predict_sequences",
        model,
        as_sequences(sequences),
        compute,
        settings={"dropout_samples": dropout_samples, **({"seed": seed} if dropout_samples else {})},
        batch_size=batch_size,
    )


def _moments(
    model: SequenceModel, batch: Batch, prediction: NDArray, n: int, seed: int, batch_size: int
) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation (sequence, target) over draws; missing without any."""
    if not n:
        missing = np.full_like(prediction, np.nan)
        return missing, missing.copy()

    def draws() -> Iterator[NDArray]:
        for draw in range(n):
            dropping = with_dropout(model, seed=seed, draw=draw)
            description = f"dropout {draw + 1}/{n}"
            yield predict_all(dropping, batch, batch_size=batch_size, description=description)

    mean, deviation = moments(draws())
    return mean.astype(prediction.dtype), deviation.astype(prediction.dtype)
