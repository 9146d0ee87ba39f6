"""Models that give predictions and nothing else: scikit-learn, custom Kipoi classes, plain functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import (
    InputStructure,
    NoGradients,
    OutputKind,
    Path,
    Transform,
    leaves,
    reduce_positions,
    transformed_whole,
)
from kipoi_tfbind.errors import UnsupportedModelError


class PredictOnlyBackend(NoGradients):
    """A function of arrays.

    Parameters
    ----------
    function
        As the model's `predict_on_batch`: its inputs, packed as `structure` says, to its outputs.
    structure
        The form of its inputs.
    transform
        Applied to each output array.
    order
        Paths of the outputs in the order that is wanted; by default the output's own.
    single_precision
        Give it numbers as float32; by default as they come.
    """

    framework = "none"
    # Nothing tells whether such a model ends in a sigmoid.
    output: OutputKind = "raw"

    def __init__(
        self,
        function: Callable[[Any], Any],
        structure: InputStructure | None = None,
        *,
        transform: Transform | None = None,
        order: Sequence[Path] | None = None,
        single_precision: bool = False,
    ) -> None:
        self._function = function
        self._structure = structure or InputStructure()
        self._transform = transform
        self._order = order
        self._single_precision = single_precision

    def output_shapes(self, inputs: Sequence[NDArray]) -> list[tuple[Path, tuple[int, ...]]]:
        """See the protocol."""
        return [(path, array.shape[1:]) for path, array in self._outputs(inputs)]

    def predict(self, inputs: Sequence[NDArray]) -> NDArray:
        """See the protocol."""
        n = len(inputs[0])
        arrays = [array.reshape(n, -1) for _, array in self._outputs(inputs)]
        prediction = np.concatenate(arrays, axis=1) if len(arrays) > 1 else arrays[0]
        if not np.issubdtype(prediction.dtype, np.floating):
            prediction = prediction.astype(np.float32)
        return prediction

    def _outputs(self, inputs: Sequence[NDArray]) -> list[tuple[Path, NDArray]]:
        if self._single_precision:
            inputs = [
                array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array for array in inputs
            ]
        output = self._structure.call(self._function, inputs)
        whole = transformed_whole(output, self._transform)
        transform = None if whole is not None else self._transform
        found = leaves(output if whole is None else whole, self._order)
        return [(path, _reduced(path, array, len(inputs[0]), transform)) for path, array in found]

    def weights(self) -> list[NDArray]:
        """None are known."""
        return []


def _reduced(path: Path, value: Any, n: int, transform: Transform | None) -> NDArray:
    array = np.asarray(value)
    if callable(transform):
        array = np.asarray(transform(array))
    elif transform is not None:
        array = reduce_positions(array, transform)
    if array.ndim == 0 or len(array) != n:
        name = "/".join(map(str, path)) or "the output"
        raise UnsupportedModelError(
            f"model: expected {name} to have one row for each of {n} sequences, got an array of shape "
            f"{array.shape}; a transform must keep the first axis"
        )
    return array
