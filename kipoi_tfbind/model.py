"""The one face that every method sees of a model: one-hot sequences in, named targets out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.one_hot import BASES

OutputKind = Literal["logit", "probability", "raw"]


@dataclass(frozen=True)
class SequenceModel:
    """A model as the methods see it; made by `load_model` and `as_sequence_model`.

    Attributes
    ----------
    name
        What the results call the model.
    target_names
        Name of each output.
    length
        Length of the sequences that it takes; None for any.
    output
        What the outputs are: "logit", "probability", or "raw" where that is not known.
    function
        One-hot (sequence, position, base) -> array (sequence, target).

    Examples
    --------
    >>> def count_g(one_hot):
    ...     return one_hot[:, :, 2].sum(axis=1, keepdims=True)
    >>> model = as_sequence_model(count_g, targets=["G"])
    >>> model.predict(np.eye(4)[np.array([[2, 2, 3]])])
    array([[2.]])
    """

    name: str
    target_names: tuple[str, ...]
    length: int | None
    output: OutputKind
    function: Callable[[NDArray], ArrayLike] = field(repr=False)

    def predict(self, one_hot: NDArray) -> NDArray:
        """Predict every target for every sequence, in one batch.

        Parameters
        ----------
        one_hot
            (sequence, position, base), bases in the order A, C, G, T; N is a row of zeros.

        Returns
        -------
        prediction
            Floating point (sequence, target).

        Raises
        ------
        InputError
            The sequences do not have the shape that the model takes, or a prediction is not finite.
        UnsupportedModelError
            The model's output is not (sequence, target).
        """
        one_hot = np.asarray(one_hot)
        n, n_targets = len(one_hot), len(self.target_names)
        fits = one_hot.ndim == 3 and one_hot.shape[2] == len(BASES)
        if not fits or self.length not in (None, one_hot.shape[1]):
            length = "any length" if self.length is None else self.length
            raise InputError(
                f"model {self.name}: expected one-hot sequences (sequence, position: {length}, base: 4), "
                f"got an array of shape {one_hot.shape}"
            )
        prediction = np.asarray(self.function(one_hot))
        if prediction.shape == (n,) and n_targets == 1:
            prediction = prediction[:, np.newaxis]
        if prediction.shape != (n, n_targets):
            raise UnsupportedModelError(
                f"model {self.name}: expected an output of shape {(n, n_targets)} for {n} sequences and the "
                f"targets {_listed(self.target_names)}, got {prediction.shape}"
            )
        if not np.issubdtype(prediction.dtype, np.floating):
            prediction = prediction.astype(np.float32)
        if not np.isfinite(prediction).all():
            row, target = np.argwhere(~np.isfinite(prediction))[0]
            raise InputError(
                f"model {self.name}: the prediction of {self.target_names[target]} for sequence {row} of a "
                f"batch is {prediction[row, target]}; are the model's weights sound?"
            )
        return prediction

    def select_targets(self, names: Iterable[str]) -> SequenceModel:
        """Return the same model with only some of its targets, in the order of `names`.

        Raises
        ------
        InputError
            The model has no target of that name.

        Examples
        --------
        >>> model = as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=list("ACGT"))
        >>> model.select_targets(["G"]).predict(np.eye(4)[np.array([[2, 2, 3]])])
        array([[2.]])
        """
        names = tuple(names)
        for name in names:
            if name not in self.target_names:
                raise InputError(
                    f"model {self.name}: no target {name!r}; its targets are {_listed(self.target_names)}"
                )
        columns = [self.target_names.index(name) for name in names]
        return replace(self, target_names=names, function=lambda one_hot: self.predict(one_hot)[:, columns])


@runtime_checkable
class _LogitModel(Protocol):
    """A Kipoi model that gives its logits, as `kipoi_tfbind.kipoi_model.TFBindModel` does."""

    targets: Sequence[str]
    length: int

    def predict_logits(self, one_hot: NDArray) -> NDArray: ...


def load_model(name: str, *, source: str = "kipoi") -> SequenceModel:
    """Load a Kipoi model by its name, without its dataloader.

    Parameters
    ----------
    name
        Name of the model in its source; with ``source="dir"`` the path of its folder.
    source
        A model source of Kipoi: "kipoi", "dir", or one from Kipoi's configuration.

    Returns
    -------
    SequenceModel

    Raises
    ------
    InputError
        There is no such source or model.
    UnsupportedModelError
        As `as_sequence_model`.
    """
    import kipoi

    try:
        kipoi.get_source(source).get_model_dir(name)
    except ValueError as error:
        problem = " ".join(str(error).split())
        raise InputError(
            f"model {name!r}, source {source!r}: {problem}; is it spelled as `kipoi ls` has it?"
        ) from None
    return as_sequence_model(kipoi.get_model(name, source=source, with_dataloader=False))


def as_sequence_model(model: Any, *, targets: Sequence[str] | None = None) -> SequenceModel:
    """Give a model the one face that the methods see.

    Parameters
    ----------
    model
        A Kipoi model, or a function from one-hot (sequence, position, base) to (sequence, target).
        A Kipoi model has one input of shape (length, 4), and an array or a flat dict of targets. A
        `SequenceModel` is returned as it is.
    targets
        Names of the outputs of a function; a Kipoi model names its own.

    Returns
    -------
    SequenceModel
        With the logits of a model of this package, and the output of another model as it comes.

    Raises
    ------
    InputError
        A function without `targets`, or `targets` for a model that has names of its own.
    UnsupportedModelError
        The model has other inputs or outputs; the message says which.

    Examples
    --------
    >>> as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=list("ACGT"))
    SequenceModel(name='<lambda>', target_names=('A', 'C', 'G', 'T'), length=None, output='raw')
    """
    is_kipoi_model = hasattr(model, "predict_on_batch") and hasattr(model, "schema")
    if isinstance(model, SequenceModel | _LogitModel) or is_kipoi_model:
        if targets is not None:
            raise InputError(
                "targets: this model has names for its targets; use select_targets to choose some"
            )
        if isinstance(model, SequenceModel):
            return model
        return _from_logits(model) if isinstance(model, _LogitModel) else _from_schema(model)
    if not callable(model):
        raise UnsupportedModelError(
            f"model: expected a Kipoi model or a function of one-hot sequences, got {type(model).__name__}"
        )
    if not targets or isinstance(targets, str):
        raise InputError(
            f"targets: expected a list with the name of each output of the function, got {targets!r}"
        )
    return SequenceModel(_name(model), tuple(targets), None, "raw", model)


def _from_logits(model: _LogitModel) -> SequenceModel:
    return SequenceModel(_name(model), tuple(model.targets), model.length, "logit", model.predict_logits)


def _from_schema(model: Any) -> SequenceModel:
    """Adapt a Kipoi model by what its model.yaml says of inputs and targets."""
    name = _name(model)
    input_name, length = _only_input(name, model.schema.inputs)
    names = _names_of_targets(name, model.schema.targets)

    def predict(one_hot: NDArray) -> NDArray:
        one_hot = one_hot.astype(np.float32, copy=False)
        output = model.predict_on_batch(one_hot if input_name is None else {input_name: one_hot})
        if isinstance(output, Mapping):
            parts = [np.asarray(output[key]).reshape(len(one_hot), -1) for key in model.schema.targets]
            return np.concatenate(parts, axis=1)
        return np.asarray(output)

    return SequenceModel(name, names, length, "raw", predict)


def _only_input(name: str, inputs: Any) -> tuple[str | None, int | None]:
    """Key of the one input in a batch (None for a bare array), and its length (None for any)."""
    entries = inputs if isinstance(inputs, Mapping) else {None: inputs}
    key, schema = next(iter(entries.items()))
    shape = getattr(schema, "shape", None)
    if len(entries) != 1 or shape is None or len(shape) != 2 or shape[1] != len(BASES):
        raise UnsupportedModelError(
            f"model {name}: expected one input of shape (length, 4); its schema has {_described(inputs)}"
        )
    return key, shape[0]


def _names_of_targets(name: str, targets: Any) -> tuple[str, ...]:
    """Name of each output: column labels if there are any, else numbers; a dict's keys before them."""
    entries = targets if isinstance(targets, Mapping) else {None: targets}
    names: list[str] = []
    for key, schema in entries.items():
        shape = getattr(schema, "shape", None)
        if shape is None or len(shape) > 1 or None in shape:
            raise UnsupportedModelError(
                f"model {name}: expected an array of targets of shape (n,) or a flat dict of them; "
                f"its schema has {_described(targets)}"
            )
        width = shape[0] if shape else 1
        labels = list(schema.column_labels or [])
        if len(labels) != width:
            labels = [str(number) for number in range(width)]
        if key is not None:
            labels = [key] if width == 1 else [f"{key}/{label}" for label in labels]
        names += labels
    return tuple(names)


def _described(schema: Any) -> str:
    """Name and shape of everything in a part of a model's schema."""
    if isinstance(schema, Mapping):
        return ", ".join(f"{key}: {_described(part)}" for key, part in schema.items())
    if isinstance(schema, Sequence):
        return f"a list of {len(schema)}: " + ", ".join(map(_described, schema))
    return f"an array {tuple(schema.shape)}"


def _name(model: Any) -> str:
    return str(getattr(model, "name", None) or getattr(model, "__name__", None) or type(model).__name__)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
