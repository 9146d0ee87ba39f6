"""Backends of described models; each imports its framework, which the model has brought along."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, InputStructure
from kipoi_tfbind.backends.predict_only import PredictOnlyBackend
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.description import Description, Options
from kipoi_tfbind.notices import notice
from kipoi_tfbind.repairs.saved_models import known_inputs, names_in_signature


def function_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A function of arrays, be they JAX's, or a Kipoi model's `predict_on_batch`."""
    if "jax" in sys.modules:
        from kipoi_tfbind.backends.jax import gives_jax_arrays

        if gives_jax_arrays(description.model, description.structure, examples):
            return jax_backend(description, options)
    if options.double_precision:
        raise InputError(
            f"double_precision: model {description.name} only predicts, in a precision of its own"
        )
    return PredictOnlyBackend(
        description.model,
        description.structure,
        transform=options.transform,
        order=order_of(description),
        single_precision=description.single_precision,
    )


def jax_backend(description: Description, options: Options, variables: Iterable[Any] = ()) -> Backend:
    """A function of JAX's arrays."""
    from kipoi_tfbind.backends.jax import JaxBackend

    if options.double_precision:
        raise InputError(
            f"double_precision: model {description.name} computes with JAX, in the precision that JAX was "
            "started with (JAX_ENABLE_X64=1)"
        )
    return JaxBackend(
        description.model,
        description.structure,
        transform=options.transform,
        order=order_of(description),
        variables=variables,
    )


def onnx_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """An ONNX model: its graph by PyTorch's operations, or its predictions by onnxruntime."""
    from kipoi_tfbind.backends.onnx_module import OnnxModule, session_function

    try:
        module = OnnxModule(description.model)
        return torch_backend(replace(description, model=module.eval()), options, examples)
    except (UnsupportedModelError, NotImplementedError) as error:
        if options.double_precision or options.output == "logit":
            raise
        by_itself = session_function(description.model)
        notice(f"{str(error).partition(';')[0]}; it gives predictions only, by onnxruntime")
        return function_backend(replace(description, model=by_itself), options, examples)


def torch_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A PyTorch module, or a Keras model that computes with PyTorch."""
    from kipoi_tfbind.backends.torch import TorchBackend

    return TorchBackend(
        description.model,
        examples,
        description.structure,
        output=options.output or "logit",
        transform=options.transform,
        order=order_of(description),
        double_precision=options.double_precision,
    )


def keras_model_backend(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A Keras model, by what it computes with."""
    model = description.model
    if keras_computes_with(model) == "torch":
        return torch_backend(description, options, examples)
    if keras_computes_with(model) != "tensorflow":
        stateless, variables = keras_stateless(model)
        return jax_backend(replace(description, model=stateless), options, variables)
    from kipoi_tfbind.backends.tensorflow import keras_backend

    structure = own_names(description.structure, model)

    def traced() -> Backend:
        return keras_backend(
            model,
            structure,
            specs_of(description, examples, model),
            output=options.output or "logit",
            transform=options.transform,
            order=order_of(description),
            double_precision=options.double_precision,
        )

    by_itself = replace(description, structure=structure, model=functools.partial(model, training=False))
    return _traced_or_by_itself(traced, by_itself, options, examples)


def keras_stateless(model: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A Keras model on JAX as a function of its inputs alone, and the arrays that it has for its weights."""
    trainable, other = (
        # Copies: Keras deletes its own arrays when it predicts or trains.
        [variable.value.copy() for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )

    def stateless(*inputs: Any) -> Any:
        return model.stateless_call(trainable, other, *inputs, training=False)[0]

    # Without the states of what it draws, which differ whenever the model is loaded.
    return stateless, [weight.value.copy() for weight in model.weights]


def own_names(structure: InputStructure, keras_model: Any) -> InputStructure:
    """The inputs under the names that today's Keras gave them: it does not take every character."""
    own = [tensor.name.split(":")[0] for tensor in keras_model.inputs]
    if structure.kind != "dict" or set(structure.names) <= set(own):
        return structure
    from kipoi_tfbind.repairs.legacy_keras.architecture import valid_name

    return replace(structure, names=tuple(map(valid_name, structure.names)))


def saved_model(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A SavedModel, or a function of TensorFlow's tensors."""
    from kipoi_tfbind.backends.tensorflow import saved_model_backend
    from kipoi_tfbind.repairs.tensorflow_models import saved_function

    def traced() -> Backend:
        return saved_model_backend(
            description.model,
            description.structure,
            specs_of(description, examples),
            output=options.output or "logit",
            transform=options.transform,
            order=order_of(description),
            double_precision=options.double_precision,
        )

    own = saved_function(description.model, description.structure.names)
    return _traced_or_by_itself(traced, replace(description, model=own), options, examples)


def frozen_checkpoint(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    """A checkpoint of TensorFlow 1, whose graph is as good as another once its variables are constants."""
    from kipoi_tfbind.backends.tensorflow import TensorFlowBackend
    from kipoi_tfbind.repairs.frozen_checkpoints import frozen_function, input_types, weights_of

    model = description.model

    def traced() -> Backend:
        import tensorflow as tf

        types = input_types(model, description.structure.names)
        specs = specs_of(description, examples)
        return TensorFlowBackend(
            frozen_function(model),
            [tf.TensorSpec(spec.shape, dtype) for spec, dtype in zip(specs, types, strict=True)],
            description.structure,
            variables=weights_of(model),
            output=options.output or "logit",
            transform=options.transform,
            order=order_of(description),
            double_precision=options.double_precision,
        )

    return _traced_or_by_itself(
        traced, replace(description, model=model.predict_on_batch), options, examples, as_tensors=False
    )


def _traced_or_by_itself(
    traced: Callable[[], Backend],
    by_itself: Description,
    options: Options,
    examples: list[NDArray],
    *,
    as_tensors: bool = True,
) -> Backend:
    """A backend of the model's graph; where it has none, of its predictions, with a note."""
    import tensorflow as tf

    try:
        return traced()
    except UnsupportedModelError as error:
        if options.double_precision or options.output == "logit":
            raise

        def predict(*inputs: Any) -> Any:
            return by_itself.model(
                *(tf.nest.map_structure(tf.convert_to_tensor, inputs) if as_tensors else inputs)
            )

        backend = function_backend(
            replace(by_itself, model=predict, single_precision=True), options, examples
        )
        try:
            backend.output_shapes(examples)
        except Exception:  # of the model, which does not take such inputs at all: the first error says more
            raise error from None
        reason = str(error).partition("; use a method")[0]
        notice(f"{reason}; it gives predictions only, as they come: no gradients and no DeepLIFT multipliers")
        return backend


def specs_of(description: Description, examples: list[NDArray], keras_model: Any = None) -> list[Any]:
    """Type and shape of each input; a Keras model knows the types of its own."""
    import tensorflow as tf

    own = {tensor.name.split(":")[0]: tensor.dtype for tensor in getattr(keras_model, "inputs", None) or ()}
    signature = getattr(description.model, "input_signature", None)  # of a tf.function
    in_order = [spec.dtype for spec in signature] if signature else list(own.values())
    if keras_model is None and not signature and (known := known_inputs(description.model)):
        names = [f.name for f in description.inputs]
        if len(known) == len(names):
            found = names_in_signature(known, names, [example.shape[1:] for example in examples])
            in_order = [known[name].dtype for name in found]
    if len(in_order) != len(examples):
        # What comes from JSON or Python is float64, which few models take.
        in_order = [np.float32 if array.dtype == np.float64 else array.dtype for array in examples]
    specs = []
    for f, example, dtype in zip(description.inputs, examples, in_order, strict=True):
        shape: tuple[int | None, ...] = example.shape[1:] if f.shape is None else f.shape
        specs.append(tf.TensorSpec((None, *shape), own.get(f.name, dtype)))
    return specs


def order_of(description: Description) -> list[Any] | None:
    """Paths of the outputs as an entry describes them; None where nothing does."""
    return [output.path for output in description.outputs] if description.outputs is not None else None


def keras_computes_with(model: Any) -> str:
    """Framework that a Keras model computes with; tf_keras knows TensorFlow only."""
    if not any(base.__module__.split(".")[0] == "keras" for base in type(model).__mro__):
        return "tensorflow"
    return str(sys.modules["keras"].backend.backend())
