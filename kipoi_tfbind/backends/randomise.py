"""Copies of Keras models and PyTorch modules, some of whose layers have lost what they learned."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.random import checked_seed
from kipoi_tfbind.errors import UnsupportedModelError


def weighted_layers(model: Any) -> list[str]:
    """Names of the layers that have weights to lose, from the output to the input.

    Raises
    ------
    UnsupportedModelError
        It is neither a Keras model nor a PyTorch module.
    """
    if _is_torch(model):
        return [name for name, part in model.named_modules() if len(_own_weights(part))][::-1]
    if _keras_of(model) is not None:
        return [layer.name for layer in model.layers if layer.trainable_weights][::-1]
    raise UnsupportedModelError(
        f"model: expected a Keras model or a PyTorch module, whose weights can be copied, got "
        f"{type(model).__name__}"
    )


def randomised(model: Any, layers: Collection[str], *, seed: int = 0) -> Any:
    """Copy a model, and permute the entries of every trained weight of some of its layers.

    A permutation keeps how large weights are, and so the scale of what comes out, and nothing that was
    learned. What is not trained (running means of a batch normalisation) is copied as it is. The user's model
    is only read.

    Parameters
    ----------
    model
        A Keras model or a PyTorch module.
    layers
        Names as `weighted_layers` has them.
    seed
        Of the permutations; each layer has its own.

    Raises
    ------
    UnsupportedModelError
        As `weighted_layers`; or a Keras model that cannot be cloned.
    """
    checked_seed(seed)
    order = weighted_layers(model)
    rngs = {
        name: np.random.default_rng([seed, number]) for number, name in enumerate(order) if name in layers
    }
    return (_randomised_torch if _is_torch(model) else _randomised_keras)(model, rngs)


def _randomised_torch(model: Any, rngs: dict[str, np.random.Generator]) -> Any:
    import torch

    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, part in twin.named_modules():
            if name in rngs:
                for weight in _own_weights(part):
                    values = _permuted(weight.detach().cpu().numpy(), rngs[name])
                    weight.copy_(torch.as_tensor(values))
    return twin


def _randomised_keras(model: Any, rngs: dict[str, np.random.Generator]) -> Any:
    keras = _keras_of(model)
    try:
        twin = keras.models.clone_model(model)
    except Exception as error:
        # Keras raises anything on a model without a configuration.
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedModelError(
            f"model {model.name}: Keras cannot clone it ({type(error).__name__}: {reason}); give its "
            "layers a get_config, or make it of layers in the functional way"
        ) from error
    twin.set_weights(model.get_weights())
    for layer in twin.layers:
        if layer.name in rngs:
            for weight in layer.trainable_weights:
                weight.assign(_permuted(np.asarray(weight), rngs[layer.name]))
    return twin


def _permuted(values: NDArray, rng: np.random.Generator) -> NDArray:
    return rng.permutation(values.ravel()).reshape(values.shape)


def _own_weights(module: Any) -> list[Any]:
    return [weight for weight in module.parameters(recurse=False) if weight.is_floating_point()]


def _is_torch(model: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def _keras_of(model: Any) -> Any:
    """The package that a Keras model is of: keras or tf_keras; None where it is no Keras model."""
    roots = [base.__module__.split(".")[0] for base in type(model).__mro__]
    name = next((root for root in roots if root in ("keras", "tf_keras")), None)
    is_model = name is not None and hasattr(model, "layers") and hasattr(model, "get_weights")
    return importlib.import_module(name) if name is not None and is_model else None
