"""A shallow CNN whose filters are motifs."""

from __future__ import annotations

import keras

from kipoi_tfbind.layers import RevCompBatchNormalization, RevCompConv1D, RevCompDense


def motif_cnn(
    *,
    length: int = 400,
    n_targets: int = 1,
    filters: int = 32,
    kernel_size: int = 19,
    pool_size: int = 20,
    second_filters: int = 32,
    second_kernel_size: int = 5,
    hidden_units: int = 64,
    dropout: float = 0.3,
    l2: float = 1e-6,
    activation: str = "exponential",
) -> keras.Model:
    """Shallow RC-tied CNN whose first-layer filters can be read as motifs.

    An exponential activation after the first convolution and a pool wide enough to hide a motif's
    parts from the next layer make each filter learn a whole motif (Koo and Ploenzke 2021,
    doi:10.1038/s42256-020-00291-x; Koo and Eddy 2019, doi:10.1371/journal.pcbi.1007560).

    Parameters
    ----------
    length
        Window length in bp; a multiple of `pool_size`, or pooling would see the two strands
        differently.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        First layer: features per strand, and their width in bp.
    pool_size
        Width of the max pool after the first layer, in bp.
    second_filters, second_kernel_size
        Second layer, on the pooled map.
    hidden_units
        Width of the RC-tied dense layer before the outputs.
    dropout
        Share of units dropped after the second convolution and the hidden layer, in training.
    l2
        L2 penalty on all kernels.
    activation
        Of the first layer; another one, such as "relu", is for comparisons.

    Returns
    -------
    keras.Model
        One-hot `sequence` (batch, length, 4) -> `probability` (batch, n_targets). The layer `logit`
        holds the values before the sigmoid.

    Raises
    ------
    ValueError
        If `length` is not a multiple of `pool_size`.

    Examples
    --------
    >>> motif_cnn(length=200, n_targets=2).output_shape
    (None, 2)
    """
    if length % pool_size:
        raise ValueError(f"length must be a multiple of pool_size={pool_size}. Received: length={length}")
    penalty = keras.regularizers.L2(l2)
    sequence = keras.Input((length, 4), name="sequence")
    x = RevCompConv1D(filters, kernel_size, use_bias=False, kernel_regularizer=penalty, name="motifs")(
        sequence
    )
    x = RevCompBatchNormalization(name="motifs_norm")(x)
    x = keras.layers.Activation(activation, name="motifs_exp")(x)
    x = keras.layers.MaxPooling1D(pool_size, name="motifs_pool")(x)
    x = RevCompConv1D(
        second_filters, second_kernel_size, use_bias=False, kernel_regularizer=penalty, name="combinations"
    )(x)
    x = RevCompBatchNormalization(name="combinations_norm")(x)
    x = keras.layers.Activation("relu", name="combinations_relu")(x)
    x = keras.layers.Dropout(dropout, name="combinations_dropout")(x)
    x = RevCompDense(hidden_units, activation="relu", kernel_regularizer=penalty, name="hidden")(x)
    x = keras.layers.Dropout(dropout, name="hidden_dropout")(x)
    logit = keras.layers.Dense(n_targets, kernel_regularizer=penalty, name="logit")(x)
    return keras.Model(
        sequence, keras.layers.Activation("sigmoid", name="probability")(logit), name="motif_cnn"
    )
