from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class ReverseComplement(keras.layers.Layer):
    """Reverse complement of one-hot sequences or of RC feature maps: positions and channels reversed.

    Example:

    >>> import numpy as np
    >>> x = np.eye(4, dtype="float32")[[[0, 0, 1]]]  # AAC
    >>> ReverseComplement()(x).numpy().argmax(axis=-1).tolist()  # GTT
    [[2, 3, 3]]

    Args:
        channels: Boolean; without it the positions alone are reversed, as of a track that has no strand.

    Input shape:
        `(batch, length, channels)`.

    Output shape:
        The same.
    """

    def __init__(self, *, channels: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, inputs):
        return ops.flip(inputs, axis=(1, 2) if self.channels else 1)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {"channels": self.channels}
