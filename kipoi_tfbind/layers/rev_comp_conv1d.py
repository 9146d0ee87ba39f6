from __future__ import annotations

import keras
from keras import ops

from kipoi_tfbind.layers._strands import mirror


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class RevCompConv1D(keras.layers.Layer):
    """1D convolution whose filters are tied to their reverse complements.

    One convolution with the kernel ``[K, reverse complement of K]`` and a bias that both strands
    share, then one activation. Reverse-complementing the input flips the output along positions
    and channels: ``F(RC x)[l, c] = F(x)[L - 1 - l, C - 1 - c]``.

    Example:

    >>> import numpy as np
    >>> x = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(4, size=(2, 50))]
    >>> layer = RevCompConv1D(8, 5)
    >>> forward, reverse = layer(x), layer(x[:, ::-1, ::-1])
    >>> forward.shape[1:]
    TensorShape([50, 16])
    >>> bool(np.allclose(forward, np.array(reverse)[:, ::-1, ::-1], atol=1e-6))
    True

    Args:
        filters: Integer, the number of features per strand; the output has twice as many channels.
        kernel_size: Integer, the width of a filter in positions.
        dilation_rate: Integer, the distance between the taps of a filter.
        padding: `"same"` or `"valid"`. There are no strides: a stride samples other positions on
            the two strands unless the lengths happen to fit; pool instead.
        activation: Name of an activation, callable, or `None`.
        use_bias: Boolean.
        kernel_initializer, kernel_regularizer: For the untied kernel K of shape
            `(kernel_size, input channels, filters)`.

    Input shape:
        `(batch, length, channels)`, a one-hot sequence or the output of an RC layer.

    Output shape:
        `(batch, new length, 2 * filters)`.

    Raises:
        ValueError: if `padding="same"` would pad the two sides by different amounts.

    Reference:
        Shrikumar, Greenside and Kundaje 2017, doi:10.1101/103663.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        dilation_rate: int = 1,
        padding: str = "same",
        activation=None,
        use_bias: bool = True,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if padding not in ("same", "valid"):
            raise ValueError(f'`padding` must be "same" or "valid". Received: padding={padding!r}')
        if padding == "same" and (kernel_size - 1) * dilation_rate % 2:
            raise ValueError(
                'With padding="same", (kernel_size - 1) * dilation_rate must be even, or one side is padded '
                f"more than the other. Received: kernel_size={kernel_size}, dilation_rate={dilation_rate}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.padding = padding
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
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
        self.bias = (
            self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
            if self.use_bias
            else None
        )
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: input_shape[-1]})

    @property
    def tied_kernel(self):
        """Kernel of the equivalent untied convolution, `(kernel_size, channels, 2 * filters)`."""
        return ops.concatenate([self.kernel, ops.flip(self.kernel, axis=(0, 1, 2))], axis=-1)

    def call(self, inputs):
        outputs = ops.conv(
            inputs,
            ops.cast(self.tied_kernel, inputs.dtype),
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        if self.bias is not None:
            outputs = outputs + ops.cast(mirror(self.bias), outputs.dtype)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        batch, length, _ = input_shape
        if length is not None and self.padding == "valid":
            length -= (self.kernel_size - 1) * self.dilation_rate
        return batch, length, 2 * self.filters

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
