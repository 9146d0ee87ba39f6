"""Models of every kind as a `SequenceModel`: which framework, which input, which layout, which outputs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, InputStructure, OutputKind, Transform
from kipoi_tfbind.backends.predict_only import PredictOnlyBackend
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.evaluation import Adapted
from kipoi_tfbind.kipoi_entry import (
    Hints,
    InputField,
    OutputField,
    Shape,
    find_sequence_input,
    read_hints,
    read_inputs,
    read_outputs,
    settle_layout,
    target_names,
)
from kipoi_tfbind.layout import Layout
from kipoi_tfbind.model import SequenceModel, listed
from kipoi_tfbind.model_files import allowing_pickle
from kipoi_tfbind.one_hot import BASES

# Length at which a model that takes any is asked for the shape of its output.
_PROBE_LENGTH = 1000


class Options(NamedTuple):
    """The options of `as_sequence_model`, which explains them."""

    sequence_input: str | None
    layout: str | None
    alphabet: str | None
    neutral_value: float | None
    length: int | None
    auxiliary: Mapping[str, Any]
    targets: Sequence[str] | None
    transform: Transform | None
    output: OutputKind | None


@dataclass(frozen=True)
class Description:
    """What is known of a model before it is wrapped.

    Attributes
    ----------
    name
        What the results call it.
    structure, inputs
        The form of its inputs, and each of them.
    outputs
        Its outputs as an entry describes them; None where nothing does.
    make
        Makes the backend, from the inputs with their shapes settled and from example arrays.
    hints
        What its dataloader says of the layout.
    source
        Kipoi's model source.
    files
        What tells it from another model that has no weights to be looked at.
    default_layout
        Layout of an input whose shape is not known.
    names
        Names of its targets, where they are not those of `outputs`.
    """

    name: str
    structure: InputStructure
    inputs: list[InputField]
    outputs: list[OutputField] | None
    make: Callable[[Description, Options, list[NDArray]], Backend]
    hints: Hints = field(default_factory=Hints)
    source: str = ""
    files: tuple[Path, ...] = ()
    default_layout: str = "L,4"
    names: tuple[str, ...] | None = None
    probe: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)


def get_kipoi_model(
    name: str, source: str, *, allow_pickle: bool = False, with_dataloader: bool = False
) -> Any:
    """Load a model with Kipoi, by default without its dataloader.

    Raises
    ------
    InputError
        There is no such source or model.
    """
    import kipoi

    try:
        kipoi.get_source(source).get_model_dir(name)
    except ValueError as error:
        problem = " ".join(str(error).split())
        raise InputError(
            f"model {name!r}, source {source!r}: {problem}; is it spelled as `kipoi ls` has it?"
        ) from None
    with allowing_pickle(allow_pickle):
        return kipoi.get_model(name, source=source, with_dataloader=with_dataloader)


def wrap(model: Any, options: Options) -> SequenceModel:
    """Wrap one model; see `as_sequence_model`."""
    if isinstance(model, SequenceModel):
        if any(option not in (None, {}) for option in options):
            raise InputError("model: is wrapped already; give the options to the call that wrapped it")
        return model
    description = _describe(model, options)
    index = find_sequence_input(description.inputs, options.sequence_input)
    settled = _settle(description, index, options)
    layout, length = settled.layout, settled.length

    examples = [_example(f, i == index, layout, length, options) for i, f in enumerate(settled.fields)]
    description = replace(description, inputs=settled.fields)
    backend = description.make(description, options, examples)
    outputs = _outputs(description, backend, options, examples)
    names = _names(description, outputs, options)
    fixed = {name: np.asarray(value) for name, value in options.auxiliary.items()}
    others = [f.name for i, f in enumerate(settled.fields) if i != index]
    for name in fixed:
        if name not in others:
            raise InputError(
                f"auxiliary: no input {name!r} beside the sequence; this model has {listed(others) or 'none'}"
            )
    return SequenceModel(
        description.name,
        names,
        length,
        _output_kind(description.name, backend.output, options.output),
        Adapted(backend, layout, tuple(f.name for f in settled.fields), index, fixed),
        tuple(range(len(names))),
        len(names),
        tuple(name for name in others if name not in fixed),
        layout,
        _sequence_key(description.structure, index),
        _fingerprint(backend, description.files),
        description.source,
    )


def _sequence_key(structure: InputStructure, index: int) -> str | int | None:
    if structure.kind == "dict":
        return structure.names[index]
    return index if structure.kind == "list" else None


class _Settled(NamedTuple):
    fields: list[InputField]
    layout: Layout
    length: int | None


def _settle(description: Description, index: int, options: Options) -> _Settled:
    """Settle layout and length of the sequence, and the shape of its input by them."""
    fields = list(description.inputs)
    sequence = fields[index]
    default = description.default_layout if sequence.shape is None else None
    try:
        layout = settle_layout(
            sequence,
            description.hints,
            layout=options.layout or default,
            alphabet=options.alphabet,
            neutral_value=options.neutral_value,
        )
        _check_layout(sequence, layout)
    except (InputError, UnsupportedModelError) as error:
        raise type(error)(f"model {description.name}: {error}") from None
    known = layout.length(sequence.shape) if sequence.shape is not None else None
    if None not in (known, options.length) and known != options.length:
        raise InputError(
            f"length: model {description.name} takes sequences of {known} bases, not {options.length}"
        )
    length = known if known is not None else options.length
    if not layout.takes_text:
        fields[index] = replace(sequence, shape=layout.shape(length))
    return _Settled(fields, layout, length)


def _check_layout(field: InputField, layout: Layout) -> None:
    """Check a layout that the user gave against the input's shape."""
    if field.shape is None or layout.takes_text or field.is_text:
        return
    expected = layout.shape(
        layout.length(field.shape) if len(field.shape) == len(layout.shape(None)) else None
    )
    if len(expected) != len(field.shape) or any(
        a != b for a, b in zip(expected, field.shape, strict=True) if None not in (a, b)
    ):
        raise InputError(
            f"layout: {layout} does not fit the input {field.name!r}, whose shape is {field.shape}"
        )


def _example(
    f: InputField, is_sequence: bool, layout: Layout, length: int | None, options: Options
) -> NDArray:
    """Two rows of an input, to ask a model for the shape of its output."""
    if is_sequence:
        codes = np.random.default_rng(0).integers(len(BASES), size=(2, length or _PROBE_LENGTH))
        return layout.to_model(np.eye(len(BASES), dtype=np.float32)[codes])
    if f.name in options.auxiliary:
        value = np.asarray(options.auxiliary[f.name])
        return np.stack([value, value])
    shape = [1 if size is None else size for size in f.shape or ()]
    return np.zeros((2, *shape), dtype=np.float32)


def _outputs(
    description: Description, backend: Backend, options: Options, examples: list[NDArray]
) -> list[OutputField]:
    """The outputs after their transform, with the labels that the entry gives them."""
    known = description.outputs
    if options.targets is not None and known is None and not description.probe:
        return [OutputField((), (len(options.targets),))]
    complete = known is not None and all(None not in output.shape for output in known)
    if complete and options.transform is None and not description.probe:
        return list(known or ())
    try:
        shapes = backend.output_shapes(examples)
    except (InputError, UnsupportedModelError):
        raise
    except Exception as error:
        # Whatever a model raises on a length that it does not take: the user knows the length.
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"model {description.name}: fails on inputs of the shapes "
            f"{', '.join(str(array.shape) for array in examples)} ({type(error).__name__}: {reason}); say "
            "the length and layout of its sequences (length=, layout=; --length, --layout)"
        ) from error
    labels = {output.path: output.labels for output in known or ()}
    found = [OutputField(path, shape, labels.get(path, ())) for path, shape in shapes]
    if any(None in output.shape for output in found):
        raise InputError(
            f"model {description.name}: the size of its output depends on the length of the sequence; "
            "say the length (length=; --length), or reduce it (transform='mean'; --transform mean)"
        )
    return found


def _names(description: Description, outputs: list[OutputField], options: Options) -> tuple[str, ...]:
    names = description.names or target_names(outputs)
    if options.targets is None:
        return names
    if description.names is not None or any(output.labels or output.path for output in outputs):
        raise InputError("targets: this model has names for its targets; use select_targets to choose some")
    if isinstance(options.targets, str) or len(options.targets) != len(names):
        raise InputError(
            f"targets: expected a list with the name of each of the {len(names)} outputs, "
            f"got {options.targets!r}"
        )
    return tuple(options.targets)


def _output_kind(name: str, found: OutputKind, wanted: OutputKind | None) -> OutputKind:
    """What to call the output; a logit that cannot be had is refused."""
    if wanted == "logit" and found != "logit":
        raise InputError(
            f"output: model {name} does not end in a sigmoid or softmax that can be found, so it has no "
            "logit to give; leave the option out to take its output as it comes"
        )
    # A user who says that the numbers are probabilities knows it.
    return "probability" if wanted == "probability" else found


def _fingerprint(backend: Backend, files: Iterable[Path]) -> str:
    """SHA-256 of the weights with their shapes, else of the files; its first 16 digits."""
    digest = hashlib.sha256()
    parts = 0
    for array in backend.weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
        parts += 1
    if not parts:
        for path in files:
            digest.update(path.name.encode())
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            parts += 1
    return digest.hexdigest()[:16] if parts else "unknown"


def _describe(model: Any, options: Options) -> Description:
    """Tell what kind of model it is, without importing a framework that the model does not bring along."""
    if _is_of(model, "kipoi_tfbind.kipoi_model", "TFBindModel"):
        return _describe_own(model)
    if hasattr(model, "predict_on_batch") and hasattr(model, "schema"):
        return _describe_kipoi(model)
    if _is_keras(model):
        return _describe_keras(model)
    if _is_of(model, "torch.nn", "Module"):
        return _described_bare(model, options, type(model).__name__, _torch, "4,L")
    if _is_of(model, "tensorflow", "Module") or _is_tensorflow_function(model):
        return _described_bare(model, options, _name(model), _saved_model)
    if hasattr(model, "signatures"):  # a loaded SavedModel
        return _described_bare(model, options, _name(model), _saved_model)
    if not callable(model):
        raise UnsupportedModelError(
            "model: expected a Kipoi, Keras, TensorFlow or PyTorch model, or a function of one-hot "
            f"sequences, got {type(model).__name__}"
        )
    if options.targets is not None and isinstance(options.targets, str):
        raise InputError(
            f"targets: expected a list with the name of each output of the function, got {options.targets!r}"
        )
    description = _described_bare(model, options, _name(model), _function)
    return replace(description, probe=options.targets is None)


def _described_bare(
    model: Any, options: Options, name: str, make: Any, default_layout: str = "L,4"
) -> Description:
    """A model that says nothing of itself: the sequence, and the auxiliary inputs that the user gives."""
    shapes = [InputField(key, np.shape(value)) for key, value in options.auxiliary.items()]
    fields = [InputField(options.sequence_input or "sequence", None, True), *shapes]
    kind = "arguments" if shapes else "array"
    structure = InputStructure(kind, tuple(f.name for f in fields))  # type: ignore[arg-type]
    return Description(
        name, structure, fields, None, make, default_layout=default_layout, more={"model": model}
    )


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
    return Description(name or _name(model), structure, fields, None, _keras, more={"model": model})


def _describe_kipoi(model: Any) -> Description:
    """A Kipoi model: its schema says what goes in and comes out, its class what framework it is."""
    import kipoi.model

    structure, inputs = read_inputs(model.schema.inputs)
    framework_model, make, probe = model.predict_on_batch, _function, False
    for kind, attribute, make_backend in (
        (kipoi.model.KerasModel, "model", _keras),
        (kipoi.model.PyTorchModel, "model", _torch),
        (kipoi.model.TensorFlow2Model, "reconstructed_model", _saved_model),
    ):
        # A subclass that predicts in a way of its own is taken by its predictions.
        if isinstance(model, kind) and type(model).predict_on_batch is kind.predict_on_batch:
            framework_model, make, probe = getattr(model, attribute), make_backend, True
    return Description(
        _name(model),
        structure,
        inputs,
        read_outputs(model.schema.targets),
        make,
        read_hints(model),
        _source_name(model),
        tuple(_files_of(model)),
        probe=probe,
        more={"model": framework_model},
    )


def _source_name(model: Any) -> str:
    return str(getattr(model, "source_name", None) or "")


def _files_of(model: Any) -> list[Path]:
    """Files that make a Kipoi model what it is: its description, its code, and those among its arguments."""
    folder = Path(getattr(model, "source_dir", None) or ".")
    arguments = [folder / str(value) for value in dict(getattr(model, "args", None) or {}).values()]
    named = [path for path in arguments if path.is_file()]
    return [*sorted(folder.glob("model*.y*ml")), *sorted(folder.glob("*.py")), *sorted(named)]


def _order(description: Description) -> list[Any] | None:
    return [output.path for output in description.outputs] if description.outputs is not None else None


def _function(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    return PredictOnlyBackend(
        description.more["model"],
        description.structure,
        transform=options.transform,
        order=_order(description),
    )


def _torch(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    from kipoi_tfbind.backends.torch import TorchBackend

    return TorchBackend(
        description.more["model"],
        examples,
        description.structure,
        output=options.output or "logit",
        transform=options.transform,
        order=_order(description),
    )


def _keras(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    model = description.more["model"]
    if _keras_backend(model) == "torch":
        return _torch(description, options, examples)
    if _keras_backend(model) not in ("tensorflow", "torch"):
        described = replace(description, more={"model": model.predict_on_batch})
        return _function(described, options, examples)
    from kipoi_tfbind.backends.tensorflow import keras_backend

    return keras_backend(
        model,
        _own_names(description.structure, model),
        _specs(description, examples, model),
        output=options.output or "logit",
        transform=options.transform,
        order=_order(description),
    )


def _own_names(structure: InputStructure, keras_model: Any) -> InputStructure:
    """The inputs under the names that today's Keras gave them: it does not take every character."""
    own = [tensor.name.split(":")[0] for tensor in keras_model.inputs]
    if structure.kind != "dict" or set(structure.names) <= set(own):
        return structure
    from kipoi_tfbind.legacy_keras.architecture import valid_name

    return replace(structure, names=tuple(map(valid_name, structure.names)))


def _saved_model(description: Description, options: Options, examples: list[NDArray]) -> Backend:
    from kipoi_tfbind.backends.tensorflow import saved_model_backend

    return saved_model_backend(
        description.more["model"],
        description.structure,
        _specs(description, examples),
        output=options.output or "logit",
        transform=options.transform,
        order=_order(description),
    )


def _specs(description: Description, examples: list[NDArray], keras_model: Any = None) -> list[Any]:
    """Type and shape of each input; a Keras model knows the types of its own."""
    import tensorflow as tf

    own = {tensor.name.split(":")[0]: tensor.dtype for tensor in getattr(keras_model, "inputs", None) or ()}
    in_order = list(own.values()) if len(own) == len(examples) else [example.dtype for example in examples]
    specs = []
    for f, example, dtype in zip(description.inputs, examples, in_order, strict=True):
        shape: Shape = example.shape[1:] if f.shape is None else f.shape
        specs.append(tf.TensorSpec((None, *shape), own.get(f.name, dtype)))
    return specs


def _is_of(model: Any, module: str, name: str) -> bool:
    """Whether a model is an instance of a framework's class; a framework that is not loaded has none."""
    loaded = sys.modules.get(module)
    kind = getattr(loaded, name, None) if loaded is not None else None
    return kind is not None and isinstance(model, kind)


def _is_keras(model: Any) -> bool:
    return any(base.__module__.split(".")[0] in ("keras", "tf_keras") for base in type(model).__mro__)


def _keras_backend(model: Any) -> str:
    """What a Keras model computes with; tf_keras knows TensorFlow only."""
    if not any(base.__module__.split(".")[0] == "keras" for base in type(model).__mro__):
        return "tensorflow"
    return str(sys.modules["keras"].backend.backend())


def _is_tensorflow_function(model: Any) -> bool:
    return type(model).__module__.startswith("tensorflow.")


def _name(model: Any) -> str:
    return str(getattr(model, "name", None) or getattr(model, "__name__", None) or type(model).__name__)
