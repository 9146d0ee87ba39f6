"""Models of every kind as a `SequenceModel`: which framework, which input, which layout, which outputs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend, InputStructure, OutputKind
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, TFBindError, UnsupportedModelError
from kipoi_tfbind.models.adapted import Adapted
from kipoi_tfbind.models.describe import describe
from kipoi_tfbind.models.description import Description, InputField, Options, OutputField
from kipoi_tfbind.models.kipoi_schema import find_sequence_input, settle_layout, target_names
from kipoi_tfbind.models.layout import TRACKS, Layout
from kipoi_tfbind.models.make_dropout import dropout_backend
from kipoi_tfbind.models.output_choice import chosen_columns
from kipoi_tfbind.models.sequence_model import SequenceModel, listed
from kipoi_tfbind.models.unprobed import PROBE_LENGTH, UnprobedModel


class LengthNeeded(Exception):
    """The model has to be run for its outputs to be known, and nothing tells on how many bases."""


def wrap(model: Any, options: Options) -> SequenceModel:
    """Wrap one model; see `as_sequence_model`.

    Raises
    ------
    LengthNeeded
        `options` have no length to ask it at, and it is to be asked.
    """
    if isinstance(model, SequenceModel):
        if any(option is not None and option is not False and option != {} for option in options[:-1]):
            raise InputError("model: is wrapped already; give the options to the call that wrapped it")
        if options.probe_length is not None:
            return model.for_length(options.probe_length)
        if isinstance(model, UnprobedModel) and not model.is_asked:
            raise LengthNeeded
        return model
    description = describe(model, options)
    index = find_sequence_input(description.inputs, options.sequence_input)
    settled = _settle(description, index, options)
    layout, length = settled.layout, settled.length
    if length is None and options.probe_length is None and description.probe and not layout.takes_text:
        raise LengthNeeded

    examples = [_example(f, i == index, layout, length, options) for i, f in enumerate(settled.fields)]
    description = replace(description, inputs=settled.fields)
    if layout.join is not None:
        structure = replace(description.structure, join=(index, layout.join))
        if len(structure.names) == len(settled.fields):  # of a model that says nothing of its inputs
            structure = replace(structure, names=structure.names[:-1])
        description = replace(description, structure=structure)
    with _explained(description.name, examples):
        backend = description.make(description, options, examples)
        outputs = _outputs(description, backend, options, examples)
    if any(None in output.shape for output in outputs):
        raise InputError(
            f"model {description.name}: the size of its output depends on the length of the sequence; "
            "say the length (length=; --length), or reduce it (transform='mean'; --transform mean)"
        )
    if length is None and options.probe_length and any(len(output.shape) > 1 for output in outputs):
        # Its positions are targets: it is a model of this length now.
        return wrap(model, options._replace(length=options.probe_length))
    names = _names(description, outputs, options)
    if not names:
        raise InputError(
            f"model {description.name}: its output for {length or options.probe_length} bases is empty; say "
            "the length of its sequences (length=; --length)"
        )
    fixed = {name: np.asarray(value) for name, value in options.auxiliary.items()}
    others = [f.name for i, f in enumerate(settled.fields) if i != index]
    for name in fixed:
        if name not in others:
            raise InputError(
                f"auxiliary: no input {name!r} beside the sequence; this model has {listed(others) or 'none'}"
            )
    chosen = chosen_columns(outputs, names, options.head, options.output_position)
    return SequenceModel(
        name=description.name,
        target_names=tuple(names[column] for column in chosen),
        length=length,
        output=_output_kind(description.name, backend.output, options.output),
        evaluator=Adapted(
            backend,
            layout,
            tuple(f.name for f in settled.fields),
            index,
            fixed,
            _double(description, options, examples),
            functools.cache(lambda: dropout_backend(description, options, examples)),
        ),
        columns=chosen,
        n_outputs=len(names),
        auxiliary=tuple(name for name in others if name not in fixed),
        layout=layout,
        sequence_input=_sequence_key(description.structure, index),
        fingerprint=_fingerprint(backend, description.files),
        source=description.source,
        not_learned=dict(getattr(model, "not_learned", None) or {}),
    )


def _double(
    description: Description, options: Options, examples: list[NDArray]
) -> Callable[[], Backend] | None:
    """Maker of the backend in float64, which is made once; None where it is so already, or only predicts."""
    if options.double_precision or not description.probe:
        return None
    precise = options._replace(double_precision=True)
    return functools.cache(lambda: description.make(description, precise, examples))


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
    says_nothing = sequence.shape is None or description.default_layout == "L*4"
    default = description.default_layout if says_nothing else None
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
    if options.length is not None and options.length < 1:
        raise InputError(f"length: expected at least 1 base, got {options.length}")
    known = layout.length(sequence.shape) if sequence.shape is not None else None
    if None not in (known, options.length) and known != options.length:
        raise InputError(
            f"length: model {description.name} takes sequences of {known} bases, not {options.length}"
        )
    length = known if known is not None else options.length
    if not layout.takes_text:
        fields[index] = replace(sequence, shape=layout.shape(length))
    if layout.tracks:
        fields = [f for f in fields if f.name != TRACKS]
        fields.append(InputField(TRACKS, (length, layout.tracks)))
    return _Settled(fields, layout, length)


def _check_layout(field: InputField, layout: Layout) -> None:
    """Check a layout that the user gave against the input's shape."""
    if field.shape is None or layout.takes_text or field.is_text:
        return
    expected = layout.whole_shape(
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
        codes = np.random.default_rng(0).integers(
            len(BASES), size=(2, length or options.probe_length or PROBE_LENGTH)
        )
        return layout.to_model(np.eye(len(BASES), dtype=np.float32)[codes])
    if f.name == TRACKS and layout.tracks:
        n = length or options.probe_length or PROBE_LENGTH
        return layout.tracks_to_model(np.zeros((2, n, layout.tracks)))
    if f.name in options.auxiliary:
        value = np.asarray(options.auxiliary[f.name])
        return np.stack([value, value])
    shape = [1 if size is None else size for size in f.shape or ()]
    return np.zeros((2, *shape), dtype=np.float32)


@contextmanager
def _explained(name: str, examples: list[NDArray]) -> Iterator[None]:
    """Turn the error of a model on inputs of a shape that it does not take into one that says so."""
    try:
        yield
    except (TFBindError, ImportError, MemoryError):
        raise
    except Exception as error:
        # Whatever it is: the user knows the length that the model takes.
        # TorchScript puts its own code before the error.
        reason = " ".join(str(error).rpartition("Traceback of TorchScript")[2].split())
        reason = reason.rpartition("RuntimeError: ")[2][:300]
        raise InputError(
            f"model {name}: fails on inputs of the shapes "
            f"{', '.join(str(array.shape) for array in examples)} ({type(error).__name__}: {reason}); say "
            "the length and layout of its sequences (length=, layout=; --length, --layout)"
        ) from error


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
    described = {output.path: output for output in known or ()}
    found = [
        replace(described.get(path, OutputField(path, shape)), shape=shape)
        for path, shape in backend.output_shapes(examples)
    ]
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
    if len(set(options.targets)) < len(names):
        raise InputError(f"targets: expected a name of its own for each output, got {options.targets!r}")
    return tuple(options.targets)


def _output_kind(name: str, found: OutputKind, wanted: OutputKind | None) -> OutputKind:
    """Kind of the output; a logit that cannot be had is refused."""
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
