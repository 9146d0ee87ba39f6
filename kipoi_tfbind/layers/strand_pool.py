from __future__ import annotations

import keras
from keras import ops

from kipoi_tfbind.layers._strands import n_features


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class StrandPool(keras.layers.Layer):
    """Bring the two strands of an RC feature map together, position by position.

    `"sum"`, `"mean"` and `"max"` leave one value per feature, which no longer depends on the
    strand: a pooled map is only mirrored along positions when the input is reverse-complemented,
    and a pooled vector (after pooling over positions) does not change at all. `"concat"` keeps
    both, the reverse strand's features brought into the order of the forward strand's, so that
    reverse-complementing swaps the two halves.

    Example:

    >>> import numpy as np
    >>> StrandPool("max")(np.array([[1.0, 2.0, 5.0, 0.0]])).numpy().tolist()
    [[1.0, 5.0]]

    Args:
        mode: `"sum"`, `"mean"`, `"max"` or `"concat"`.

    Input shape:
        `(batch, ..., channels)` with an even number of channels.

    Output shape:
        `(batch, ..., channels / 2)`, or the input's shape with `"concat"`.

    Raises:
        ValueError: if `mode` is unknown or the number of channels is odd.
    """

    def __init__(self, mode: str = "max", **kwargs):
        super().__init__(**kwargs)
        if mode not in ("sum", "mean", "max", "concat"):
            raise ValueError(f'`mode` must be "sum", "mean", "max" or "concat". Received: mode={mode!r}')
        self.mode = mode

    def call(self, inputs):
        n = n_features(inputs.shape[-1], type(self).__name__)
        forward, reverse = inputs[..., :n], ops.flip(inputs[..., n:], axis=-1)
        if self.mode == "concat":
            return ops.concatenate([forward, reverse], axis=-1)
        if self.mode == "max":
            return ops.maximum(forward, reverse)
        total = forward + reverse
        return total / 2 if self.mode == "mean" else total

    def compute_output_shape(self, input_shape):
        n = n_features(input_shape[-1], type(self).__name__)
        return (*input_shape[:-1], 2 * n if self.mode == "concat" else n)

    def get_config(self):
        return super().get_config() | {"mode": self.mode}
