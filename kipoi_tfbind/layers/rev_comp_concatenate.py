from __future__ import annotations

import keras
from keras import ops

from kipoi_tfbind.layers._strands import n_features


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class RevCompConcatenate(keras.layers.Layer):
    """Put RC feature maps side by side so that the result is one RC feature map.

    The forward features of all maps come first, in their order, then the reverse features in the
    opposite order; a plain concatenation would break the pairs of twins apart.

    Example:

    >>> import numpy as np
    >>> a, b = np.array([[[1.0, -1.0]]]), np.array([[[2.0, 3.0, -3.0, -2.0]]])
    >>> RevCompConcatenate()([a, b]).numpy().tolist()
    [[[1.0, 2.0, 3.0, -3.0, -2.0, -1.0]]]

    Input shape:
        List of `(batch, length, channels)`, each with an even number of channels.

    Output shape:
        `(batch, length, sum of the channels)`.

    Raises:
        ValueError: if a number of channels is odd.
    """

    def call(self, inputs):
        halves = [n_features(x.shape[-1], type(self).__name__) for x in inputs]
        forward = [x[..., :n] for x, n in zip(inputs, halves, strict=True)]
        reverse = [x[..., n:] for x, n in zip(inputs, halves, strict=True)]
        return ops.concatenate([*forward, *reverse[::-1]], axis=-1)

    def compute_output_shape(self, input_shape):
        halves = [n_features(shape[-1], type(self).__name__) for shape in input_shape]
        return (*input_shape[0][:-1], 2 * sum(halves))
