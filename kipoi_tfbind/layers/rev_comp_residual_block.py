from __future__ import annotations

import keras

from kipoi_tfbind.layers._strands import n_features
from kipoi_tfbind.layers.rev_comp_batch_normalization import RevCompBatchNormalization
from kipoi_tfbind.layers.rev_comp_conv1d import RevCompConv1D


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class RevCompResidualBlock(keras.layers.Layer):
    """Dilated residual block, RC-equivariant.

    `x + conv_1(act(norm(conv_dilated(act(norm(x))))))`: a dilated convolution that sees far, then one
    of width 1 that mixes features, each behind a normalisation and an activation, so that the
    skip path stays the identity. The last convolution starts at zero: an untrained block changes
    nothing, and a deep stack learns its first motifs as fast as a shallow network.

    Example:

    >>> import numpy as np
    >>> RevCompResidualBlock(3, dilation_rate=4)(np.zeros((2, 40, 16), "float32")).shape
    TensorShape([2, 40, 16])

    Args:
        kernel_size: Integer, the width of the dilated convolution.
        dilation_rate: Integer.
        dropout: Float, the share of features dropped before the sum, in training.
        activation: Name of an activation or callable.

    Input shape:
        `(batch, length, channels)` with an even number of channels, the output of an RC layer.

    Output shape:
        The same.

    Raises:
        ValueError: if the number of channels is odd.

    Reference:
        He et al. 2016, arXiv:1603.05027 (pre-activation); Yu and Koltun 2016, arXiv:1511.07122
        (dilation).
    """

    def __init__(
        self,
        kernel_size: int = 3,
        *,
        dilation_rate: int = 1,
        dropout: float = 0.0,
        activation="relu",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.dropout = dropout
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        filters = n_features(input_shape[-1], type(self).__name__)
        same = {"dtype": self.dtype_policy}
        self._layers_in_order = [
            RevCompBatchNormalization(name="norm_1", **same),
            keras.layers.Activation(self.activation, name="activation_1", **same),
            # The normalisation that follows has its own shift.
            RevCompConv1D(
                filters,
                self.kernel_size,
                dilation_rate=self.dilation_rate,
                use_bias=False,
                kernel_initializer="he_normal",
                name="dilated",
                **same,
            ),
            RevCompBatchNormalization(name="norm_2", **same),
            keras.layers.Activation(self.activation, name="activation_2", **same),
            RevCompConv1D(filters, 1, kernel_initializer="zeros", name="mix", **same),
            keras.layers.Dropout(self.dropout, name="dropout", **same),
        ]
        for layer in self._layers_in_order:
            layer.build(input_shape)

    def call(self, inputs, training=None):
        branch = inputs
        for layer in self._layers_in_order:
            takes_mode = isinstance(layer, (RevCompBatchNormalization, keras.layers.Dropout))
            branch = layer(branch, training=training) if takes_mode else layer(branch)
        return inputs + branch

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
        }
