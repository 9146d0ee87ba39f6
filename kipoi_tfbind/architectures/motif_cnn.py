"""A shallow CNN whose filters are motifs."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network


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
    exponential_bound: float | None = None,
    composition: bool = False,
    strands: str = "tied",
) -> keras.Model:
    """Shallow CNN whose first-layer filters can be read as motifs.

    An exponential activation after the first convolution and a pool wide enough to hide a motif's
    parts from the next layer make each filter learn a whole motif (Koo and Ploenzke 2021,
    doi:10.1038/s42256-020-00291-x; Koo and Eddy 2019, doi:10.1371/journal.pcbi.1007560).

    Parameters
    ----------
    length
        Window length in bp; with tied strands a multiple of `pool_size`, or pooling would see the two
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
        Width of the dense layer before the outputs.
    dropout
        Share of units dropped after the second convolution and the hidden layer, in training.
    l2
        L2 penalty on all kernels.
    activation
        Of the first layer; another one, such as "relu", is for comparisons.
    exponential_bound
        Bound of an exponential activation (:class:`kipoi_tfbind.layers.BoundedExponential`), if any.
    composition
        Give the last layer the GC and CpG content of the window too, so that no filter need say it.
    strands
        What is done about the two strands: see :mod:`kipoi_tfbind.architectures`.

    Returns
    -------
    keras.Model
        One-hot `sequence` (batch, length, 4) -> `probability` (batch, n_targets). The layer `logit`
        holds the values before the sigmoid.

    Raises
    ------
    ValueError
        If the strands are tied and `length` is not a multiple of `pool_size` or a width is even.

    Examples
    --------
    >>> motif_cnn(length=200, n_targets=2).output_shape
    (None, 2)
    """
    net = Network(strands)
    net.check_pooling(length, pool_size)
    penalty = keras.regularizers.L2(l2)

    def body(x: Any) -> Any:
        x = net.conv(x, "motifs", filters, kernel_size, use_bias=False, kernel_regularizer=penalty)
        x = net.norm(x, "motifs_norm")
        x = net.activation(x, "motifs_exp", activation, exponential_bound)
        x = net.make(keras.layers.MaxPooling1D, "motifs_pool", pool_size)(x)
        x = net.conv(
            x, "combinations", second_filters, second_kernel_size, use_bias=False, kernel_regularizer=penalty
        )
        x = net.activation(net.norm(x, "combinations_norm"), "combinations_relu", "relu")
        x = net.dropout(x, "combinations_dropout", dropout)
        return net.dense(x, "hidden", hidden_units, activation="relu", kernel_regularizer=penalty)

    sequence = keras.Input((length, 4), name="sequence")
    x = net.dropout(net.over_strands(body, sequence), "hidden_dropout", dropout)
    x = net.beside_composition(x, sequence) if composition else x
    logit = keras.layers.Dense(n_targets, kernel_regularizer=penalty, name="logit")(x)
    return net.model(sequence, net.probability(logit), "motif_cnn")
