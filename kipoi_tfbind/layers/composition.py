from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class Composition(keras.layers.Layer):
    """GC content and frequency of CpG of one-hot sequences, the same for either strand.

    Many factors bind in CpG islands. A model that is given the composition need not spend filters on it,
    and its other features are left to say what else there is.

    Example:

    >>> import numpy as np
    >>> x = np.eye(4, dtype="float32")[[[0, 1, 2, 3]]]
    >>> Composition()(x).numpy().tolist()
    [[0.5, 0.25]]

    Input shape:
        `(batch, length, 4)`, one-hot in the order A C G T.

    Output shape:
        `(batch, 2)`: G and C per base, and CpG dinucleotides per base.
    """

    def call(self, inputs):
        gc = ops.mean(inputs[:, :, 1] + inputs[:, :, 2], axis=1, keepdims=True)
        cpg = ops.sum(inputs[:, :-1, 1] * inputs[:, 1:, 2], axis=1, keepdims=True) / inputs.shape[1]
        return ops.concatenate([gc, cpg], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[0], 2
