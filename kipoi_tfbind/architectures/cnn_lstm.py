"""A convolution whose motifs are read in order by a bidirectional LSTM."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network


def cnn_lstm(
    *,
    length: int = 1000,
    n_targets: int = 1,
    filters: int = 320,
    kernel_size: int = 26,
    pool_size: int = 13,
    units: int = 320,
    hidden_units: int = 925,
    conv_dropout: float = 0.2,
    lstm_dropout: float = 0.5,
    activation: str = "relu",
    exponential_bound: float | None = None,
    strands: str = "tied",
) -> keras.Model:
    """CNN-RNN hybrid: DanQ (Quang and Xie 2016, doi:10.1093/nar/gkw226).

    Convolution, max pool, a bidirectional LSTM over the pooled positions, which reads the grammar of the
    motifs in either direction, and a dense layer. The defaults are DanQ's. On a CPU it is slow: smaller
    numbers are as well (FactorNet has 32 filters and units; see `cnn_lstm_accessibility`).

    Parameters
    ----------
    length
        Window length in bp; with tied strands `length - kernel_size + 1` must be a multiple of `pool_size`.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        Convolution, without padding: features per strand, and their width in bp.
    pool_size
        Width of the max pool, in bp.
    units
        Units of the LSTM in each direction. With tied strands the two directions share their weights.
    hidden_units
        Width of the dense layer before the outputs.
    conv_dropout, lstm_dropout
        Share of units dropped after the pool and after the LSTM, in training.
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
        If the strands are tied and the pool does not divide the positions of the convolution.

    Examples
    --------
    >>> cnn_lstm(length=90, filters=4, kernel_size=11, pool_size=8, units=3, hidden_units=5).output_shape
    (None, 1)
    """
    net = Network(strands)
    net.check_pooling(length - kernel_size + 1, pool_size, "length - kernel_size + 1")

    def body(x: Any) -> Any:
        x = net.conv(x, "motifs", filters, kernel_size, padding="valid")
        x = net.activation(x, "motifs_activation", activation, exponential_bound)
        x = net.make(keras.layers.MaxPooling1D, "motifs_pool", pool_size)(x)
        x = net.dropout(x, "motifs_dropout", conv_dropout)
        x = bidirectional_lstm(net, x, units)
        x = net.dropout(x, "lstm_dropout", lstm_dropout)
        return net.dense(x, "hidden", hidden_units, activation="relu")

    sequence = keras.Input((length, 4), name="sequence")
    logit = keras.layers.Dense(n_targets, name="logit")(net.over_strands(body, sequence))
    return net.model(sequence, net.probability(logit), "cnn_lstm")


def bidirectional_lstm(net: Network, x: Any, units: int) -> Any:
    """States of an LSTM that reads a map in both directions; with the same weights where strands are tied."""
    if net.tied:
        return net.both(x, "lstm", keras.layers.LSTM, units, return_sequences=True)
    return net.make(
        lambda name: keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=True), name=name),
        "lstm",
    )(x)
