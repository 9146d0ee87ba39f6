from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class CircularConv1D(keras.layers.Layer):
    """1D convolution with circular filters: every filter together with all its circular shifts.

    Ordinary filters often learn a motif that is shifted and cut off at their edge, and spread it over
    several of them. Here what is pushed out at one end comes in at the other, so that one of the shifts
    shows the motif whole. Only the kernel of the unshifted filters is learned.

    Example:

    >>> import numpy as np
    >>> x = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(4, size=(2, 30))]
    >>> CircularConv1D(5, 8)(x).shape
    TensorShape([2, 23, 40])

    Args:
        filters: Integer, the number of filters; the output has `kernel_size` times as many channels,
            all filters by their first shift (by 0), then all by the next, and so on.
        kernel_size: Integer, the width of a filter in positions.
        kernel_initializer, kernel_regularizer: For the kernel of shape
            `(kernel_size, input channels, filters)`.

    Input shape:
        `(batch, length, channels)`.

    Output shape:
        `(batch, length - kernel_size + 1, kernel_size * filters)`.

    Reference:
        Blum and Kollmann 2019, doi:10.1093/bioinformatics/btz194.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )

    @property
    def circular_kernel(self):
        """Kernel of the equivalent plain convolution, `(kernel_size, channels, kernel_size * filters)`."""
        kernel = ops.convert_to_tensor(self.kernel)
        shifts = [
            ops.concatenate([kernel[-shift:], kernel[:-shift]], axis=0) if shift else kernel
            for shift in range(self.kernel_size)
        ]
        return ops.concatenate(shifts, axis=-1)

    def call(self, inputs):
        kernel = ops.cast(self.circular_kernel, inputs.dtype)
        return ops.conv(inputs, kernel, padding="valid", data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, length, _ = input_shape
        length = None if length is None else length - self.kernel_size + 1
        return batch, length, self.kernel_size * self.filters

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
