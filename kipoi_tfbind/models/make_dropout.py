"""Backends of described models with masks for their layers of dropout as further inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import InputStructure
from kipoi_tfbind.backends.dropout import Drop, DropoutBackend
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.models import make_backend as make
from kipoi_tfbind.models.description import Description, Options


def dropout_backend(description: Description, options: Options, examples: list[NDArray]) -> DropoutBackend:
    """Backend of a Keras model or a PyTorch module that drops what its masks say.

    Raises
    ------
    UnsupportedModelError
        The model is of another kind, has no dropout, or has some that is not drawn by masks.
    """
    if description.make is make.keras_model_backend:
        return _of_keras(description, options, examples)
    if description.make is make.torch_backend:
        return _of_torch(description, options, examples)
    raise UnsupportedModelError(
        f"model {description.name}: dropout is known of Keras models and PyTorch modules alone; the spread "
        "of an ensemble of models needs none"
    )


def _of_keras(description: Description, options: Options, examples: list[NDArray]) -> DropoutBackend:
    from kipoi_tfbind.backends import dropout_keras as dropout

    model = description.model
    dropout.check_dropout_of_keras(model)
    structure = make.own_names(description.structure, model)
    run = _run(structure, functools.partial(model, training=False))
    find_drops = functools.partial(dropout.find_drops, model, run)
    masks = _masks(find_drops(examples))
    framework = make.keras_computes_with(model)
    if framework == "jax":
        stateless, variables = make.keras_stateless(model)
        function = dropout.with_masks(model, _run(structure, stateless), len(examples))
        masked = _masked(description, function, len(masks))
        return DropoutBackend(make.jax_backend(masked, options, variables), find_drops)
    function = dropout.with_masks(model, run, len(examples))
    if framework == "torch":
        from kipoi_tfbind.backends.dropout_torch import MaskedModule

        masked = _masked(description, MaskedModule(model, function), len(masks))
        return DropoutBackend(make.torch_backend(masked, options, [*examples, *masks]), find_drops)
    import tensorflow as tf

    from kipoi_tfbind.backends.tensorflow import TensorFlowBackend

    backend = TensorFlowBackend(
        function,
        [
            *make.specs_of(description, examples, model),
            *(tf.TensorSpec([None] * mask.ndim, tf.float32) for mask in masks),
        ],
        _masked(description, function, len(masks)).structure,
        output=options.output or "logit",
        transform=options.transform,
        order=make.order_of(description),
        double_precision=options.double_precision,
    )
    return DropoutBackend(backend, find_drops)


def _of_torch(description: Description, options: Options, examples: list[NDArray]) -> DropoutBackend:
    from kipoi_tfbind.backends import dropout_torch as dropout
    from kipoi_tfbind.backends.torch import module_call

    module = description.model
    dropout.check_dropout_of_module(module, description.name)
    run = module_call(module, description.structure)
    find_drops = functools.partial(dropout.find_drops, module, run)
    masks = _masks(find_drops(examples))
    if not masks:
        raise UnsupportedModelError(
            f"model {description.name}: has no dropout with a rate above 0 (that of a scripted module cannot "
            "be seen); the spread of an ensemble of models needs none"
        )
    function = dropout.with_masks(run, len(examples))
    masked = _masked(description, dropout.MaskedModule(module, function), len(masks))
    return DropoutBackend(make.torch_backend(masked, options, [*examples, *masks]), find_drops)


def _run(structure: InputStructure, function: Callable[..., Any]) -> Callable[[Sequence[Any]], Any]:
    return lambda inputs: structure.call(function, list(inputs))


def _masks(drops: Sequence[Drop]) -> list[NDArray[np.float32]]:
    """Masks of two sequences that drop nothing."""
    return [np.ones((2, *drop.shape), dtype=np.float32) for drop in drops]


def _masked(description: Description, model: Any, n_masks: int) -> Description:
    """Description of a function of the model's inputs and of masks, each an argument."""
    n_inputs = len(description.inputs)
    names = (*(f"input{i}" for i in range(n_inputs)), *(f"mask{i}" for i in range(n_masks)))
    return replace(description, model=model, structure=InputStructure("arguments", names))
