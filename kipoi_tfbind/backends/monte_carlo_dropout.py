"""Monte Carlo dropout: the spread of predictions when the units that training drops are dropped again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.backends.dropout import draw_masks, moments
from kipoi_tfbind.backends.dropout_keras import check_dropout_of_keras, find_drops, with_masks
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError


def predict_with_dropout(
    model: keras.Model,
    one_hot: NDArray,
    *,
    n_passes: int = 50,
    seed: int = 0,
    batch_size: int = 256,
) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation of a model's predictions over passes with dropout.

    The standard deviation is an estimate of what the model does not know (Gal and Ghahramani 2016,
    Proceedings of Machine Learning Research 48:1050-1059). All else, such as batch normalisation, is as in
    prediction. The units to drop are drawn from (seed, pass, layer, the sequence itself), so that neither
    the batch size nor the order of the sequences matters. `predict_sequences` does the same for any model
    of Keras or PyTorch and gives a labelled result, of log-odds where the model ends in a sigmoid.

    Parameters
    ----------
    model
        A Keras model with one input and one output, with layers of `keras.layers.Dropout`, also inside
        other layers.
    one_hot
        (sequence, position, base), as the model takes them.
    n_passes
        Number of passes; at least 2.
    seed
        Of the draws.
    batch_size
        Sequences per call of the model.

    Returns
    -------
    mean, standard_deviation
        (sequence, ...), of the shape of the model's output; the standard deviation with n_passes - 1.

    Raises
    ------
    UnsupportedModelError
        The model has no dropout with a rate above 0, or a recurrent layer that drops units by itself.
    InputError
        There are fewer than two passes.

    Examples
    --------
    >>> from kipoi_tfbind.architectures import motif_cnn
    >>> x = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(4, size=(3, 60))]
    >>> mean, deviation = predict_with_dropout(motif_cnn(length=60), x, n_passes=10)
    >>> mean.shape, bool((deviation > 0).all())
    ((3, 1), True)
    """
    if n_passes < 2:
        raise InputError(f"n_passes: expected at least 2, got {n_passes}")
    check_dropout_of_keras(model)

    def run(inputs: Sequence[Any]) -> Any:
        return model(inputs[0], training=False)

    drops, masked = find_drops(model, run, [one_hot[:2]]), with_masks(model, run, 1)

    def draws(batch: NDArray) -> Iterator[NDArray]:
        seeds = content_seeds(codes_of(batch), seed, "dropout")
        for draw in range(n_passes):
            tensors = map(ops.convert_to_tensor, [batch, *draw_masks(drops, seeds, draw)])
            yield ops.convert_to_numpy(masked(*tensors))

    found = [
        moments(draws(one_hot[start : start + batch_size])) for start in range(0, len(one_hot), batch_size)
    ]
    mean, deviation = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return mean, deviation
