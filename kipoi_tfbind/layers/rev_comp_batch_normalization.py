from __future__ import annotations

import keras
from keras import ops

from kipoi_tfbind.layers._strands import mirror, n_features


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class RevCompBatchNormalization(keras.layers.Layer):
    """Batch normalisation with statistics and parameters shared by the two strands.

    A feature and its reverse-complement twin are one variable seen from two sides: they are
    normalised by their common mean and variance, so the layer stays RC-equivariant in training
    and at inference.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(32, 10, 6)).astype("float32")
    >>> y = np.array(RevCompBatchNormalization()(x, training=True))
    >>> twins = y[:, :, [0, 5]]  # the first feature, on either strand
    >>> bool(abs(twins.mean()) < 1e-4), bool(abs(twins.std() - 1) < 1e-3)
    (True, True)

    Args:
        momentum: Float, the share of the old moving average kept at each step.
        epsilon: Float added to the variance.

    Input shape:
        `(batch, length, channels)` with an even number of channels, the output of an RC layer.

    Output shape:
        The same.

    Raises:
        ValueError: if the number of channels is odd.

    Reference:
        Ioffe and Szegedy 2015, arXiv:1502.03167; tied over strands as in Shrikumar et al. 2017,
        doi:10.1101/103663.
    """

    def __init__(self, *, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        shape = (n_features(input_shape[-1], type(self).__name__),)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean = self.add_weight(
            name="moving_mean", shape=shape, initializer="zeros", trainable=False
        )
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=shape, initializer="ones", trainable=False
        )

    def _strand_moments(self, inputs):
        """Mean and variance of each feature over the batch, positions and both strands."""
        mean, variance = ops.moments(inputs, axes=(0, 1))
        n = mean.shape[-1] // 2
        mean_square = variance + ops.square(mean)
        mean = (mean[:n] + ops.flip(mean[n:], axis=-1)) / 2
        mean_square = (mean_square[:n] + ops.flip(mean_square[n:], axis=-1)) / 2
        return mean, mean_square - ops.square(mean)

    def call(self, inputs, training=None):
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = self._strand_moments(inputs)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                # A Python number would be rounded to float32 on PyTorch.
                momentum = ops.convert_to_tensor(self.momentum, dtype=moving.dtype)
                moving.assign(moving * momentum + ops.cast(batch, moving.dtype) * (1 - momentum))
        scale = self.gamma / ops.sqrt(variance + self.epsilon)
        shift = self.beta - mean * scale
        return inputs * ops.cast(mirror(scale), inputs.dtype) + ops.cast(mirror(shift), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}
