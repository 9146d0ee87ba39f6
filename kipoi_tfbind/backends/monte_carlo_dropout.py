"""Monte Carlo dropout: the spread of predictions when the units that training drops are dropped again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError, UnsupportedModelError


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
    the batch size nor the order of the sequences matters.

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
        The model has no dropout with a rate above 0, or it has dropout inside an attention or recurrent
        layer alone, whose units are not drawn by a layer of their own.
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
    layers = [layer for layer in _all_layers(model) if type(layer) is keras.layers.Dropout and layer.rate > 0]
    if not layers:
        raise UnsupportedModelError(
            f"model {model.name}: has no layer of dropout (keras.layers.Dropout with a rate above 0); the "
            "spread of an ensemble of models needs none"
        )
    found = [
        _moments(model, layers, one_hot[start : start + batch_size], n_passes, seed)
        for start in range(0, len(one_hot), batch_size)
    ]
    mean, deviation = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return mean, deviation


def _moments(
    model: keras.Model, layers: list[Any], one_hot: NDArray, n_passes: int, seed: int
) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation of one batch, in float64 and pass by pass."""
    seeds = content_seeds(codes_of(one_hot), seed, "dropout").tolist()
    total = squares = first = np.zeros(())
    for number in range(n_passes):

        def kept(layer: int, shape: tuple[int, ...], rate: float, number: int = number) -> NDArray:
            draws = (np.random.default_rng([number, layer, *words]) for words in seeds)
            return np.stack([rng.random(shape) >= rate for rng in draws])

        with _dropping(layers, kept):
            output = ops.convert_to_numpy(model(one_hot, training=False)).astype(np.float64)
        # Differences from the first pass: sums of squares of the outputs themselves would cancel.
        first = output if number == 0 else first
        total = total + (output - first)
        squares = squares + (output - first) ** 2
    variance = (squares - total**2 / n_passes) / (n_passes - 1)
    return first + total / n_passes, np.sqrt(np.maximum(variance, 0))


@contextmanager
def _dropping(layers: list[Any], kept: Callable[[int, tuple[int, ...], float], NDArray]) -> Iterator[None]:
    """Layers of dropout that drop what `kept` says, for the time of the context, and scale up the rest."""

    def replacement(number: int, layer: Any) -> Callable[..., Any]:
        calls = itertools.count()  # a layer that is called twice, by a siamese network, draws twice

        def call(inputs: Any, training: bool = False) -> Any:
            draw = number + len(layers) * next(calls)
            mask = kept(draw, tuple(inputs.shape[1:]), layer.rate) / (1 - layer.rate)
            return inputs * ops.convert_to_tensor(mask, dtype=inputs.dtype)

        return call

    for number, layer in enumerate(layers):
        object.__setattr__(layer, "call", replacement(number, layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _all_layers(model: keras.Model) -> list[Any]:
    """The layers of a model, also those inside other layers, in an order of the model's own."""
    return list(model._flatten_layers(include_self=False, recursive=True))
