"""Models of every kind, as they are before they are wrapped: framework, inputs, outputs, names."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kipoi_tfbind.backends.base import InputStructure
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models import make_backend as make
from kipoi_tfbind.models.describe_objects import (
    describe_estimator,
    describe_onnx,
    input_shapes_of_program,
    module_of_program,
)
from kipoi_tfbind.models.description import Description, InputField, Options
from kipoi_tfbind.models.kipoi_schema import read_hints, read_inputs, read_outputs
from kipoi_tfbind.models.layout import possible_axes
from kipoi_tfbind.models.model_file import ModelFile


def describe(model: Any, options: Options) -> Description:
    """Tell what kind of model it is, without importing a framework that the model does not bring along."""
    _refuse_what_stands_for_a_model(model)
    if isinstance(model, ModelFile):
        described = describe(model.model, options)
        files = tuple(sorted(path for path in (model.path, *model.path.rglob("*")) if path.is_file()))
        return replace(described, name=model.path.name, source="file", files=files)
    if _is_of(model, "kipoi_tfbind.kipoi_model", "TFBindModel"):
        return _describe_own(model)
    if hasattr(model, "predict_on_batch") and hasattr(model, "schema"):
        return _describe_kipoi(model)
    if _is_keras(model):
        return _describe_keras(model)
    if _is_of(model, "sklearn.base", "BaseEstimator"):
        return describe_estimator(model)
    if _is_of(model, "onnx", "ModelProto"):
        return describe_onnx(model)
    if _is_of(model, "torch.export", "ExportedProgram"):
        return _with_shape(describe(module_of_program(model), options), input_shapes_of_program(model))
    if _is_of(model, "torch.nn", "Module"):
        return _described_bare(model, options, type(model).__name__, make.torch_backend, "4,L")
    if hasattr(model, "signatures"):  # a loaded SavedModel; its class has a name that says nothing
        name = str(getattr(model, "name", None) or "SavedModel")
        return _with_signature(model, _described_bare(model, options, name, make.saved_model))
    if _is_of(model, "tensorflow", "Module") or _is_tensorflow_function(model):
        return _described_bare(model, options, _name(model), make.saved_model)
    if not callable(model):
        raise UnsupportedModelError(
            "model: expected a Kipoi, Keras, TensorFlow or PyTorch model, or a function of one-hot "
            f"sequences, got {type(model).__name__}"
        )
    if options.targets is not None and isinstance(options.targets, str):
        raise InputError(
            f"targets: expected a list with the name of each output of the function, got {options.targets!r}"
        )
    description = _described_bare(model, options, _name(model), make.function_backend)
    return replace(description, probe=options.targets is None)


def _refuse_what_stands_for_a_model(model: Any) -> None:
    """Refuse a name, a class or weights, with what to do to have a model."""
    if isinstance(model, str | os.PathLike):
        raise InputError(
            f"model: expected a model or a function, got the name {os.fspath(model)!r}; load_model loads a "
            "file, a folder, or a model of Kipoi's zoo"
        )
    if isinstance(model, type):
        raise InputError(
            f"model: expected a model or a function, got the class {model.__name__}; make one of it, with "
            f"its weights: {model.__name__}(...)"
        )
    if isinstance(model, Mapping):
        raise InputError(
            f"model: expected a model or a function, got a {type(model).__name__}; if it holds weights of "
            "a module, load them into one (load_state_dict)"
        )


def _described_bare(
    model: Any, options: Options, name: str, make: Any, default_layout: str = "L,4"
) -> Description:
    """A model that says nothing of itself: the sequence, and the auxiliary inputs that the user gives."""
    shapes = [InputField(key, np.shape(value)) for key, value in options.auxiliary.items()]
    fields = [InputField(options.sequence_input or "sequence", None, True), *shapes]
    kind = "arguments" if shapes else "array"
    structure = InputStructure(kind, tuple(f.name for f in fields))  # type: ignore[arg-type]
    return Description(model, name, structure, fields, None, make, default_layout=default_layout)


def _with_signature(model: Any, description: Description) -> Description:
    """The shape of a SavedModel's only input, where its signature tells how it takes a sequence."""
    signature = model.signatures.get("serving_default")
    specs = list(signature.structured_input_signature[1].values()) if signature is not None else []
    return _with_shape(description, [tuple(s.shape[1:]) for s in specs if s.shape.rank is not None])


def _with_shape(description: Description, shapes: list[tuple[int | None, ...]]) -> Description:
    """The shape of the only input, where it tells how a sequence is taken."""
    if len(shapes) != 1 or len(description.inputs) != 1 or len(possible_axes(shapes[0])) != 1:
        return description
    return replace(description, inputs=[replace(description.inputs[0], shape=shapes[0])])


def _describe_own(model: Any) -> Description:
    """A model of this package: the network itself, also of the entry for variants."""
    return replace(
        _describe_keras(model.model, _name(model)), names=tuple(model.targets), source=_source_name(model)
    )


def _describe_keras(model: Any, name: str | None = None) -> Description:
    """A Keras model: its inputs have names and shapes."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise UnsupportedModelError(
            f"model {_name(model)}: a Keras model that was never built has no inputs; call it once on an "
            "array, or give its function"
        )
    fields = [InputField(tensor.name.split(":")[0], tuple(tensor.shape[1:])) for tensor in inputs]
    is_dict = isinstance(getattr(model, "input", None), Mapping)
    kind = "dict" if is_dict else "array" if len(fields) == 1 else "list"
    structure = InputStructure(kind, tuple(f.name for f in fields))  # type: ignore[arg-type]
    return Description(model, name or _name(model), structure, fields, None, make.keras_model_backend)


def _describe_kipoi(model: Any) -> Description:
    """A Kipoi model: its schema says what goes in and comes out, its class what framework it is."""
    import kipoi.model

    structure, inputs = read_inputs(model.schema.inputs)
    framework_model, make_backend, probe = model.predict_on_batch, make.function_backend, False
    for kind, attribute, make_differentiable in (
        (kipoi.model.KerasModel, "model", make.keras_model_backend),
        (kipoi.model.PyTorchModel, "model", make.torch_backend),
        (kipoi.model.TensorFlow2Model, "reconstructed_model", make.saved_model),
        (kipoi.model.TensorFlowModel, None, make.frozen_checkpoint),
    ):
        # A subclass that predicts in a way of its own is taken by its predictions.
        if isinstance(model, kind) and type(model).predict_on_batch is kind.predict_on_batch:
            framework_model = model if attribute is None else getattr(model, attribute)
            make_backend, probe = make_differentiable, True
    return Description(
        framework_model,
        _name(model),
        structure,
        inputs,
        read_outputs(model.schema.targets),
        make_backend,
        read_hints(model),
        _source_name(model),
        tuple(_files_of(model)),
        probe=probe,
        single_precision=True,
    )


def _source_name(model: Any) -> str:
    return str(getattr(model, "source_name", None) or "")


def _files_of(model: Any) -> list[Path]:
    """Files that make a Kipoi model what it is: its description, its code, and those among its arguments."""
    folder = Path(getattr(model, "source_dir", None) or ".")
    arguments = [folder / str(value) for value in dict(getattr(model, "args", None) or {}).values()]
    named = [path for path in arguments if path.is_file()]
    return [*sorted(folder.glob("model*.y*ml")), *sorted(folder.glob("*.py")), *sorted(named)]


def _is_of(model: Any, module: str, name: str) -> bool:
    """Whether a model is an instance of a framework's class; a framework that is not loaded has none."""
    loaded = sys.modules.get(module)
    kind = getattr(loaded, name, None) if loaded is not None else None
    return kind is not None and isinstance(model, kind)


def _is_keras(model: Any) -> bool:
    return any(base.__module__.split(".")[0] in ("keras", "tf_keras") for base in type(model).__mro__)


def _is_tensorflow_function(model: Any) -> bool:
    return type(model).__module__.startswith("tensorflow.")


def _name(model: Any) -> str:
    return str(getattr(model, "name", None) or getattr(model, "__name__", None) or type(model).__name__)
