"""Protocol of the frameworks: predictions always, gradients and multipliers where it can."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.graph.graph import Graph, Ref
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.layer_output import ConvolutionOutput, LayerOutput

OutputKind = Literal["logit", "probability", "raw"]
Capability = Literal["predictions", "gradients", "multipliers"]
REDUCTIONS = ("mean", "sum", "max")
# How an output is reduced: by name over its positions, or by a function of the framework's own tensor.
Transform = Literal["mean", "sum", "max"] | Callable[[Any], Any]

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class InputStructure:
    """How a model takes its inputs: one array, a list of them, a dict of them, or an argument for each.

    Attributes
    ----------
    kind
        "array", "list", "dict" or "arguments".
    names
        Name of each input, in order; the keys of a dict.
    join
        Of a sequence with tracks, which are one more input here: its index, and the axis to join them on.

    Examples
    --------
    >>> InputStructure("dict", ("sequence", "age")).call(len, [1, 2])
    2
    """

    kind: Literal["array", "list", "dict", "arguments"] = "array"
    names: tuple[str, ...] = ("sequence",)
    join: tuple[int, int] | None = None

    def joined(self, inputs: Sequence[Any]) -> list[Any]:
        """The inputs as the model has them: a last one of tracks belongs to one of the others."""
        inputs = list(inputs)
        if self.join is not None:
            index, axis = self.join
            inputs[index] = _concatenated(inputs[index], inputs.pop(), axis)
        return inputs

    def call(self, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        """Call a function with the inputs in the form that it takes."""
        inputs = self.joined(inputs)
        if self.kind == "dict":
            return function(dict(zip(self.names, inputs, strict=True)))
        return function(list(inputs)) if self.kind == "list" else function(*inputs)


def _concatenated(first: Any, second: Any, axis: int) -> Any:
    """Two arrays of one framework along an axis."""
    framework = type(first).__module__.partition(".")[0]
    if framework == "torch":
        return sys.modules["torch"].cat([first, second.to(first.dtype)], axis)
    if framework == "tensorflow":
        tf = sys.modules["tensorflow"]
        return tf.concat([first, tf.cast(second, first.dtype)], axis)
    return np.concatenate([first, np.asarray(second, dtype=first.dtype)], axis)


class Backend(Protocol):
    """A model in its framework, with its inputs as a list of arrays and its outputs as one flat array."""

    framework: str
    output: OutputKind
    capabilities: frozenset[Capability]

    def output_shapes(self, inputs: Sequence[NDArray]) -> list[tuple[Path, tuple[int, ...]]]:
        """Path and shape, without the batch axis, of each output after its transform."""

    def predict(self, inputs: Sequence[NDArray]) -> NDArray:
        """All outputs, each flattened, side by side: (sequence, column)."""

    def gradient(self, inputs: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """Gradient of some columns by input `wrt`: (sequence, *axes, column)."""

    def multipliers(
        self, inputs: Sequence[NDArray], references: NDArray, wrt: int, columns: Sequence[int]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """DeepLIFT multipliers by input `wrt` against references (sequence, reference, *axes).

        Returns
        -------
        multipliers
            (sequence, reference, *axes, column).
        prediction, reference_prediction
            Outputs (sequence, column) and (sequence, reference, column).
        """

    def incremental(
        self, inputs: Sequence[NDArray], wrt: int, axis: int, base_encodings: NDArray
    ) -> Incremental | None:
        """Predictions of edits of input `wrt`; None where the model cannot be traced.

        Parameters
        ----------
        inputs
            Inputs of the shapes that will come.
        wrt
            Number of the input that is edited.
        axis
            Axis of the positions in that input, which has the batch as axis 0.
        base_encodings
            Encodings of A, C, G, T and N at one position of that input: (code, ...).
        """

    def layers(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[LayerOutput]:
        """Outputs of layers along input `wrt`, with receptive fields; none where the model cannot be traced.

        Parameters
        ----------
        inputs
            Inputs of the shapes that will come.
        wrt, axis
            Number of the input that is the sequence, and the axis of its positions.
        """

    def convolutions(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[ConvolutionOutput]:
        """Convolutions along input `wrt`, as `layers`."""

    def traced(self, inputs: Sequence[NDArray]) -> Graph:
        """The graph of all outputs side by side, for inputs of these shapes.

        Raises
        ------
        UnsupportedModelError
            The model cannot be traced.
        """

    def activations(self, inputs: Sequence[NDArray], ref: Ref) -> NDArray:
        """An inner value of `traced`, such as the output of a layer."""

    def predict_silenced(
        self, inputs: Sequence[NDArray], layer: LayerOutput, channels: Sequence[int]
    ) -> NDArray:
        """All outputs (sequence, column), with some channels of a layer's output set to 0."""

    def weights(self) -> list[NDArray]:
        """All weights of the model, in an order of their own; empty where they cannot be had."""

    def bytes_per_row(self, inputs: Sequence[NDArray], *, backward: bool) -> int:
        """Memory that a sequence takes in a batch, about; 0 where it is not known.

        Parameters
        ----------
        inputs
            Some of the sequences.
        backward
            Of a gradient, and not of a prediction.
        """


class NoGradients:
    """The part of a backend whose models give predictions only."""

    capabilities: frozenset[Capability] = frozenset({"predictions"})

    def gradient(self, inputs: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """Refuse."""
        raise UnsupportedModelError("model: gives predictions only, no gradients")

    def multipliers(
        self, inputs: Sequence[NDArray], references: NDArray, wrt: int, columns: Sequence[int]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Refuse."""
        raise UnsupportedModelError("model: gives predictions only, no DeepLIFT multipliers")

    def incremental(
        self, inputs: Sequence[NDArray], wrt: int, axis: int, base_encodings: NDArray
    ) -> Incremental | None:
        """There is nothing to follow edits through."""
        return None

    def layers(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[LayerOutput]:
        """None are known."""
        return []

    def convolutions(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[ConvolutionOutput]:
        """None are known."""
        return []

    def traced(self, inputs: Sequence[NDArray]) -> Graph:
        """Refuse."""
        raise UnsupportedModelError("model: cannot be traced, so that its layers are not known")

    def activations(self, inputs: Sequence[NDArray], ref: Ref) -> NDArray:
        """Refuse."""
        raise UnsupportedModelError("model: gives predictions only, no activations of its layers")

    def predict_silenced(
        self, inputs: Sequence[NDArray], layer: LayerOutput, channels: Sequence[int]
    ) -> NDArray:
        """Refuse."""
        raise UnsupportedModelError("model: gives predictions only, no layer of it can be silenced")

    def bytes_per_row(self, inputs: Sequence[NDArray], *, backward: bool) -> int:
        """It is not known."""
        return 0


def leaves(output: Any, order: Sequence[Path] | None = None) -> list[tuple[Path, Any]]:
    """Path and value of everything in nested dicts, lists and dataclasses; what is None is passed over.

    Parameters
    ----------
    output
        A value, or nested dicts, lists and tuples of them.
    order
        Paths in the order that is wanted; by default the output's own.

    Raises
    ------
    UnsupportedModelError
        The paths are not those of `order`.

    Examples
    --------
    >>> leaves({"a": 1, "b": [2, 3]})
    [(('a',), 1), (('b', 0), 2), (('b', 1), 3)]
    """
    found = dict(_leaves(output, ()))
    if order is None:
        return list(found.items())
    if set(order) != set(found) and len(order) == len(found) == 1:
        return [(order[0], value) for value in found.values()]
    if set(order) != set(found):
        raise UnsupportedModelError(
            f"model: its schema has the outputs {_named(order)}, and it returns {_named(found)}; "
            "mend schema.targets in its model.yaml"
        )
    return [(path, found[path]) for path in order]


def _leaves(output: Any, path: Path) -> list[tuple[Path, Any]]:
    if isinstance(output, Mapping):
        items = [(key, value) for key, value in output.items() if value is not None]
    elif is_dataclass(output):
        named = ((f.name, getattr(output, f.name)) for f in fields(output))
        items = [(name, value) for name, value in named if value is not None]
    elif isinstance(output, list | tuple):
        items = list(enumerate(output))
    else:
        return [(path, output)]
    return [leaf for key, value in items for leaf in _leaves(value, (*path, key))]


def _named(paths: Any) -> str:
    return ", ".join("/".join(map(str, path)) or "(one array)" for path in paths)


def transformed_whole(output: Any, transform: Any) -> Any:
    """Transform of an output that is an object, as HuggingFace's are; None of other outputs.

    Of arrays, and lists and dicts of them, a transform sees one after the other.
    """
    is_object = is_dataclass(output) and not isinstance(output, type)
    return transform(output) if callable(transform) and is_object else None


def check_transform(transform: Any) -> None:
    """Check that a transform is one of the names, or a function.

    Raises
    ------
    InputError
        It is neither.
    """
    if not (transform is None or transform in REDUCTIONS or callable(transform)):
        raise InputError(
            f"transform: expected {', '.join(REDUCTIONS)} (over positions), or a function; got {transform!r}"
        )


def check_output(output: Any) -> None:
    """Check that a kind of output is one of the names, or None.

    Raises
    ------
    InputError
        It is not.
    """
    kinds = get_args(OutputKind)
    if output is not None and output not in kinds:
        raise InputError(f"output: expected {', '.join(kinds)}, got {output!r}")


def with_output(graph: Any, wanted: OutputKind) -> tuple[OutputKind, Any]:
    """Give a model's graph the kind of output that is wanted, as far as its own end allows it.

    Logits are given only where every output has an activation that can be taken away: numbers of two
    kinds under one name would be a trap.
    """
    outputs = range(len(graph.outputs))
    if wanted == "raw" or any(graph.output_activation(i) is None for i in outputs):
        return "raw", graph
    bare = graph.without_output_activations()
    if wanted == "probability" or any(bare.output_activation(i) is not None for i in outputs):
        return "probability", graph
    return "logit", bare


def reduce_positions(array: NDArray, how: str) -> NDArray:
    """Reduce the axes between the first and the last; an array without any is left as it is."""
    axes = tuple(range(1, array.ndim - 1))
    return getattr(np, how)(array, axis=axes) if axes else array
