from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class BothStrands(keras.layers.Wrapper):
    """Make any layer that maps positions to positions RC-equivariant, by running it on both strands.

    `[g(x), reverse complement of g(reverse complement of x)]`: the weights of g are shared, so that the
    result is an RC feature map whatever g is. Of an LSTM it makes a bidirectional one whose two directions
    have the same weights; of a convolution what :class:`RevCompConv1D` does with one kernel.

    Example:

    >>> import numpy as np
    >>> x = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(4, size=(2, 30))]
    >>> layer = BothStrands(keras.layers.LSTM(3, return_sequences=True))
    >>> forward, reverse = layer(x), layer(x[:, ::-1, ::-1])
    >>> forward.shape[1:]
    TensorShape([30, 6])
    >>> bool(np.allclose(forward, np.array(reverse)[:, ::-1, ::-1], atol=1e-6))
    True

    Args:
        layer: The layer g, `(batch, length, channels)` to `(batch, new length, features)`.

    Input shape:
        `(batch, length, channels)`, a one-hot sequence or the output of an RC layer.

    Output shape:
        `(batch, new length, 2 * features)`.

    Reference:
        Zhou, Shrikumar and Kundaje 2022, Proceedings of Machine Learning Research 165:1-33 (weight sharing
        over the two strands in general).
    """

    @property
    def kernel(self):
        """The kernel of the layer inside, that of one strand."""
        return self.layer.kernel

    def call(self, inputs, training=None):
        takes_mode = self.layer._call_has_training_arg
        mode = {"training": training} if takes_mode else {}
        forward = self.layer(inputs, **mode)
        reverse = self.layer(ops.flip(inputs, axis=(1, 2)), **mode)
        return ops.concatenate([forward, ops.flip(reverse, axis=(1, 2))], axis=-1)

    def compute_output_shape(self, input_shape):
        *axes, features = self.layer.compute_output_shape(input_shape)
        return (*axes, 2 * features)
