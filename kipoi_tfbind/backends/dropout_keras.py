"""Dropout of Keras models as masks that are further inputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from kipoi_tfbind.backends.dropout import Drop
from kipoi_tfbind.errors import UnsupportedModelError

# By name: those of Keras 3 and of tf_keras.
_DRAWN = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
_NOT_DRAWN = ("AlphaDropout", "GaussianDropout")


def check_dropout_of_keras(model: Any) -> None:
    """Check that a Keras model has layers of dropout, and that all it drops is dropped by them.

    Raises
    ------
    UnsupportedModelError
        It has none with a rate above 0; or a recurrent layer drops its own inputs or states.
    """
    own = [layer.name for layer in _layers(model) if _drops_by_itself(layer)]
    if own:
        raise UnsupportedModelError(
            f"model {model.name}: layer {own[0]} drops units by itself, and which ones cannot be drawn for "
            "each sequence; the spread of an ensemble of models needs no dropout"
        )
    if not layers_of_dropout(model):
        raise UnsupportedModelError(
            f"model {model.name}: has no layer of dropout (keras.layers.Dropout with a rate above 0); the "
            "spread of an ensemble of models needs none"
        )


def layers_of_dropout(model: Any) -> list[Any]:
    """Layers of dropout with a rate above 0, also those inside other layers, in the model's own order."""
    return [layer for layer in _layers(model) if type(layer).__name__ in _DRAWN and layer.rate > 0]


def find_drops(model: Any, run: Callable[[Sequence[Any]], Any], inputs: Sequence[NDArray]) -> list[Drop]:
    """Calls of the layers of dropout when a function that calls a model is run on some inputs."""
    found: list[Drop] = []

    def recorded(layer: Any, x: Any) -> Any:
        found.append(Drop(_mask_shape(layer, x), float(layer.rate)))
        return x

    with _replaced(layers_of_dropout(model), recorded):
        run(inputs)
    return found


def with_masks(model: Any, run: Callable[[Sequence[Any]], Any], n_inputs: int) -> Callable[..., Any]:
    """A function that calls a model, of its inputs and of a mask for each call of a layer of dropout.

    Parameters
    ----------
    model
        The Keras model.
    run
        Its inputs -> its outputs.
    n_inputs
        Number of its inputs.
    """
    layers = layers_of_dropout(model)

    def function(*tensors: Any) -> Any:
        masks = iter(tensors[n_inputs:])
        with _replaced(layers, lambda _, x: _product(x, next(masks))):
            return run(tensors[:n_inputs])

    return function


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def _drops_by_itself(layer: Any) -> bool:
    if type(layer).__name__ in _NOT_DRAWN:
        return layer.rate > 0
    is_recurrent = hasattr(layer, "recurrent_dropout")
    return is_recurrent and bool(layer.recurrent_dropout or getattr(layer, "dropout", 0))


def _mask_shape(layer: Any, x: Any) -> tuple[int, ...]:
    """Shape of a mask without the batch: of spatial dropout, 1 for the axes that it does not draw along."""
    spatial = getattr(layer, "_get_noise_shape", None)
    shape = layer.noise_shape if spatial is None else spatial(x)
    if shape is None:
        shape = [None] * len(x.shape)
    return tuple(int(size if of is None else of) for of, size in zip(shape, x.shape, strict=True))[1:]


def _product(x: Any, mask: Any) -> Any:
    framework = type(x).__module__.partition(".")[0]
    if framework == "torch":
        return x * mask.to(x.dtype)
    if framework == "tensorflow":
        product = x * sys.modules["tensorflow"].cast(mask, x.dtype)
        product.set_shape(x.shape)  # where that of the mask is not known
        return product
    return x * mask.astype(x.dtype)


@contextmanager
def _replaced(layers: Sequence[Any], call: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Have layers called as `call(layer, inputs)` for the time of the context."""

    def of(layer: Any) -> Callable[..., Any]:
        return lambda inputs, training=None: call(layer, inputs)

    for layer in layers:
        object.__setattr__(layer, "call", of(layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
