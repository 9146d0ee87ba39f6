"""DeepLIFT multipliers of TensorFlow models by shap's own rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.eager import execute
from tensorflow.python.framework import ops

from kipoi_tfbind.backends.tensorflow import TensorFlowBackend
from kipoi_tfbind.errors import UnsupportedModelError

_TRANSPARENT = frozenset({"Cast", "ExpandDims", "Identity", "IdentityN", "Reshape", "Squeeze"})


class TensorFlowExplainer:
    """shap's explainer on the model itself.

    Parameters
    ----------
    backend
        The model; its logits are explained where they are what it gives.
    inputs
        Arrays of the shapes that will come.

    Attributes
    ----------
    prediction
        Outputs of the model as shap sees them.

    Raises
    ------
    UnsupportedModelError
        The sigmoid or softmax at the model's end cannot be left out.
    """

    def __init__(self, backend: TensorFlowBackend, inputs: Sequence[NDArray]) -> None:
        import shap

        self._backend = backend
        tensors = backend.tensors(inputs)
        self.prediction: NDArray = tf.function(self._outputs, autograph=False)(tensors).numpy()
        # shap takes the shapes of inputs and outputs from a Keras model, and then calls it.
        entries = [keras.Input(tensor.shape[1:], dtype=tensor.dtype.name) for tensor in tensors]
        shapes = keras.Model(entries, _Zeros(self.prediction.shape[1], self.prediction.dtype.name)(entries))
        with gradients_restored():
            background = [tensor[:1].numpy() for tensor in tensors]
            self._explainer = shap.DeepExplainer(shapes, background).explainer
        self._explainer.model = self._outputs

    def multipliers(self, rows: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """Multipliers (row, *axes, column) of rows against those as many places further on.

        Parameters
        ----------
        rows
            For each input (2 * row, *axes): the sequences, and then what each is compared with.
        """
        explainer = self._explainer
        with gradients_restored():
            found = [
                explainer.run(explainer.phi_symbolic(column), explainer.model_inputs, list(rows))[wrt]
                for column in columns
            ]
        return np.stack(found, axis=-1)[len(rows[wrt]) // 2 :]

    def _outputs(self, tensors: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
        """The outputs side by side, without the sigmoid or softmax at their end where logits are wanted."""
        outputs = self._backend.model_outputs(tensors)
        if self._backend.output == "logit":
            outputs = [_before_activation(output) for output in outputs]
        return self._backend.joined(outputs, tf.shape(tensors[0])[0])


class _Zeros(keras.layers.Layer):
    """Zeros (row, column)."""

    def __init__(self, n_columns: int, dtype: str) -> None:
        super().__init__(dtype=dtype, autocast=False)
        self.n_columns = n_columns

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.zeros((tf.shape(inputs[0])[0], self.n_columns), self.compute_dtype)


def _before_activation(output: tf.Tensor) -> tf.Tensor:
    """The logit of the sigmoid or softmax that an output comes from."""
    tensor = output
    while tensor.op.type in _TRANSPARENT:
        tensor = tensor.op.inputs[tensor.value_index]
    if tensor.op.type not in ("Sigmoid", "Softmax"):
        raise UnsupportedModelError(
            f"the sigmoid or softmax at its end is inside another function, {tensor.op.type}"
        )
    return tf.reshape(tf.cast(tensor.op.inputs[0], output.dtype), tf.shape(output))


@contextmanager
def gradients_restored() -> Iterator[None]:
    """Put TensorFlow's table of gradients back as it was, also after an error.

    shap writes its rules into it, for the whole process, while it traces and runs a model.
    """
    registry = ops._gradient_registry._registry
    entries = {name: (entry, dict(entry)) for name, entry in registry.items()}
    record_gradient = execute.record_gradient
    try:
        yield
    finally:
        execute.record_gradient = record_gradient
        for name in [*registry]:
            # What somebody else has registered meanwhile stays.
            if name not in entries and (name.startswith("shap_") or registry[name]["type"] is None):
                del registry[name]
        for name, (entry, contents) in entries.items():
            entry.clear()
            entry.update(contents)
            registry[name] = entry
