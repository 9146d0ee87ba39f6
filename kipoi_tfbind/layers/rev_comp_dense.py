from __future__ import annotations

import math

import keras
from keras import ops

from kipoi_tfbind.layers._strands import n_features


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class RevCompDense(keras.layers.Layer):
    """Dense head on an RC feature map, tied so that its output is the same for both strands.

    The weight of feature c at position l equals that of its twin, channel C - 1 - c at position
    L - 1 - l. Unlike a dense layer after strand pooling, it still knows on which strand a feature
    lies relative to its neighbours. Half as many weights as an untied layer.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(2, 10, 6)).astype("float32")
    >>> layer = RevCompDense(3)
    >>> bool(np.allclose(layer(x), layer(x[:, ::-1, ::-1]), atol=1e-6))
    True

    Args:
        units: Integer, the number of outputs.
        activation: Name of an activation, callable, or `None`.
        use_bias: Boolean.
        kernel_initializer, kernel_regularizer: For the kernel of shape
            `(length * channels / 2, units)`.

    Input shape:
        `(batch, length, channels)`, or `(batch, channels)` after pooling over positions, with an
        even number of channels.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: if the number of channels is odd, or the length is not fixed.
    """

    def __init__(
        self,
        units: int,
        *,
        activation=None,
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        lengths = input_shape[1:-1]
        if None in lengths:
            raise ValueError(f"RevCompDense needs a fixed length. Received: input_shape={input_shape}")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(math.prod(lengths) * n_features(input_shape[-1], type(self).__name__), self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        self.bias = (
            self.add_weight(name="bias", shape=(self.units,), initializer="zeros") if self.use_bias else None
        )

    def call(self, inputs):
        n = inputs.shape[-1] // 2
        axes = tuple(range(1, len(inputs.shape)))
        # Twins share a weight, so they may be added first: half the multiplications.
        twins = inputs[..., :n] + ops.flip(inputs, axis=axes)[..., :n]
        outputs = ops.matmul(
            ops.reshape(twins, (-1, self.kernel.shape[0])), ops.cast(self.kernel, inputs.dtype)
        )
        if self.bias is not None:
            outputs = outputs + ops.cast(self.bias, outputs.dtype)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.units

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
