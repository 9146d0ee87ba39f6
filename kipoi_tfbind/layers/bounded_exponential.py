from __future__ import annotations

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class BoundedExponential(keras.layers.Layer):
    """Exponential activation that saturates: `bound * sigmoid(x - log(bound))`.

    Equal to `exp(x) / (1 + exp(x) / bound)`: the exponential where it is far below the bound, and never
    above it. Read with x as a binding energy (negative, in kT, up to a constant), it is the occupancy of a
    site times the bound. A plain exponential goes on without limit, so that one strong match, or a filter
    that meets a sequence unlike all of the training set, can outweigh everything else.

    Example:

    >>> import numpy as np
    >>> BoundedExponential(bound=100.0)(np.array([[0.0, 30.0]])).numpy().astype("float64").round(2).tolist()
    [[0.99, 100.0]]

    Args:
        bound: Float above 0, the largest value.

    Input shape:
        Any.

    Output shape:
        The same.

    Raises:
        ValueError: if `bound` is not positive.

    Reference:
        Koo and Ploenzke 2021, doi:10.1038/s42256-020-00291-x (exponential activations of first layers);
        Zhao, Granas and Stormo 2009, doi:10.1371/journal.pcbi.1000590 (occupancy of a site).
    """

    def __init__(self, bound: float = 100.0, **kwargs):
        super().__init__(**kwargs)
        if not bound > 0:
            raise ValueError(f"`bound` must be positive. Received: bound={bound}")
        self.bound = bound

    def call(self, inputs):
        return ops.sigmoid(inputs - math.log(self.bound)) * self.bound

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config() | {"bound": self.bound}
