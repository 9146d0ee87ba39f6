"""A convolution whose motifs attend to one another."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network
from kipoi_tfbind.layers import SelfAttention


def cnn_attention(
    *,
    length: int = 600,
    n_targets: int = 1,
    filters: int = 200,
    kernel_size: int = 13,
    pool_size: int = 6,
    heads: int = 8,
    head_size: int = 32,
    units: int = 100,
    conv_dropout: float = 0.2,
    attention_dropout: float = 0.2,
    activation: str = "relu",
    exponential_bound: float | None = None,
    strands: str = "tied",
) -> keras.Model:
    """Convolution and multi-head self-attention: after SATORI (Ullah and Ben-Hur 2021).

    The pooled motifs of a convolution attend to one another; `attention_maps` reads from it which ones
    do. The defaults are SATORI's (doi:10.1093/nar/gkab349). Unlike it, the heads are projected without a ReLU
    on each of them, and a batch normalisation follows the pool: SATORI normalises by the batch that a
    sequence is predicted with.

    Parameters
    ----------
    length
        Window length in bp; with tied strands a multiple of `pool_size`.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        Convolution: features per strand, and their width in bp.
    pool_size
        Width of the max pool, in bp; the attention costs the square of the number of pooled positions.
    heads, head_size
        Number of heads, and the size of the queries, keys and values of each.
    units
        Features per strand that the heads are projected to.
    conv_dropout, attention_dropout
        Share of units dropped after the pool, and of attention weights, in training.
    activation
        Of the first layer: "exponential" (Koo and Ploenzke 2021, doi:10.1038/s42256-020-00291-x), "relu", ...
    exponential_bound
        Bound of an exponential activation (:class:`kipoi_tfbind.layers.BoundedExponential`), if any.
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
        If the strands are tied and `length` is not a multiple of `pool_size` or the width is even.

    Examples
    --------
    >>> cnn_attention(length=60, n_targets=2, filters=4, heads=2, head_size=3, units=5).output_shape
    (None, 2)
    """
    net = Network(strands)
    net.check_pooling(length, pool_size)

    def body(x: Any) -> Any:
        x = net.conv(x, "motifs", filters, kernel_size, use_bias=False)
        x = net.activation(net.norm(x, "motifs_norm"), "motifs_activation", activation, exponential_bound)
        x = net.make(keras.layers.MaxPooling1D, "motifs_pool", pool_size)(x)
        x = net.dropout(x, "motifs_dropout", conv_dropout)
        x = net.both(x, "attention", SelfAttention, heads, head_size, units, dropout=attention_dropout)
        x = net.activation(x, "attention_relu", "relu")
        x = net.pool_positions(x, "attention", ("mean",))
        return net.make(keras.layers.BatchNormalization, "attention_norm")(x)

    sequence = keras.Input((length, 4), name="sequence")
    logit = keras.layers.Dense(n_targets, name="logit")(net.over_strands(body, sequence))
    return net.model(sequence, net.probability(logit), "cnn_attention")
