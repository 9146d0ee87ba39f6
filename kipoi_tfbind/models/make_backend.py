"""Backends of described models; each imports its framework, which the model has brought along."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, InputStructure
from kipoi_tfbind.backends.predict_only import PredictOnlyBackend
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.description import Description, Options


def function_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A function of arrays, or a Kipoi model's `predict_on_batch`."""
    if options.double_precision:
        raise InputError(
            f"double_precision: model {description.name} only predicts, in a precision of its own"
        )
    return PredictOnlyBackend(
        description.model,
        description.structure,
        transform=options.transform,
        order=_order(description),
        single_precision=description.single_precision,
    )


def torch_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A PyTorch module, or a Keras model that computes with PyTorch."""
    from kipoi_tfbind.backends.torch import TorchBackend

    return TorchBackend(
        description.model,
        examples,
        description.structure,
        output=options.output or "logit",
        transform=options.transform,
        order=_order(description),
        double_precision=options.double_precision,
    )


def keras_model_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A Keras model, by what it computes with."""
    model = description.model
    if keras_computes_with(model) == "torch":
        return torch_backend(description, options, examples)
    if keras_computes_with(model) != "tensorflow":  # JAX
        described = replace(description, model=model.predict_on_batch)
        return function_backend(described, options, examples)
    from kipoi_tfbind.backends.tensorflow import keras_backend

    return keras_backend(
        model,
        _own_names(description.structure, model),
        _specs(description, examples, model),
        output=options.output or "logit",
        transform=options.transform,
        order=_order(description),
        double_precision=options.double_precision,
    )


def _own_names(structure: InputStructure, keras_model: Any) -> InputStructure:
    """The inputs under the names that today's Keras gave them: it does not take every character."""
    own = [tensor.name.split(":")[0] for tensor in keras_model.inputs]
    if structure.kind != "dict" or set(structure.names) <= set(own):
        return structure
    from kipoi_tfbind.repairs.legacy_keras.architecture import valid_name

    return replace(structure, names=tuple(map(valid_name, structure.names)))


def saved_model(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A SavedModel, or a function of TensorFlow's tensors."""
    from kipoi_tfbind.backends.tensorflow import saved_model_backend

    return saved_model_backend(
        description.model,
        description.structure,
        _specs(description, examples),
        output=options.output or "logit",
        transform=options.transform,
        order=_order(description),
        double_precision=options.double_precision,
    )


def _specs(description: Description, examples: list[NDArray], keras_model: Any = None) -> list[Any]:
    """Type and shape of each input; a Keras model knows the types of its own."""
    import tensorflow as tf

    own = {tensor.name.split(":")[0]: tensor.dtype for tensor in getattr(keras_model, "inputs", None) or ()}
    signature = getattr(description.model, "input_signature", None)  # of a tf.function
    in_order = [spec.dtype for spec in signature] if signature else list(own.values())
    if len(in_order) != len(examples):
        in_order = [example.dtype for example in examples]
    specs = []
    for f, example, dtype in zip(description.inputs, examples, in_order, strict=True):
        shape: tuple[int | None, ...] = example.shape[1:] if f.shape is None else f.shape
        specs.append(tf.TensorSpec((None, *shape), own.get(f.name, dtype)))
    return specs


def _order(description: Description) -> list[Any] | None:
    return [output.path for output in description.outputs] if description.outputs is not None else None


def keras_computes_with(model: Any) -> str:
    """What a Keras model computes with; tf_keras knows TensorFlow only."""
    if not any(base.__module__.split(".")[0] == "keras" for base in type(model).__mro__):
        return "tensorflow"
    return str(sys.modules["keras"].backend.backend())
