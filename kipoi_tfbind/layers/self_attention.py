from __future__ import annotations

import keras


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class SelfAttention(keras.layers.Layer):
    """Multi-head attention of the positions of a map to one another, as a layer of one input.

    `keras.layers.MultiHeadAttention` with the map as query, key and value. There is no encoding of the
    position: what a position attends to depends on what is there, not on how far away it is.

    Example:

    >>> import numpy as np
    >>> SelfAttention(2, 4, 6)(np.zeros((3, 20, 8), "float32")).shape
    TensorShape([3, 20, 6])

    Args:
        heads: Integer, the number of heads.
        key_dim: Integer, the size of the queries, keys and values of a head.
        units: Integer, the number of channels that the heads are projected to.
        dropout: Float, the share of attention weights dropped, in training.

    Input shape:
        `(batch, length, channels)`.

    Output shape:
        `(batch, length, units)`.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762.
    """

    def __init__(self, heads: int, key_dim: int, units: int, *, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.key_dim = key_dim
        self.units = units
        self.dropout = dropout
        self.attention = keras.layers.MultiHeadAttention(
            heads, key_dim, dropout=dropout, output_shape=units, name="attention", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.attention.build(input_shape, input_shape)

    def call(self, inputs, training=None):
        return self.attention(inputs, inputs, training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {
            "heads": self.heads,
            "key_dim": self.key_dim,
            "units": self.units,
            "dropout": self.dropout,
        }
