"""The CNN-RNN hybrid that reads the accessibility of the DNA beside its sequence."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network
from kipoi_tfbind.architectures.cnn_lstm import bidirectional_lstm


def cnn_lstm_accessibility(
    *,
    length: int = 1000,
    n_targets: int = 1,
    filters: int = 32,
    kernel_size: int = 26,
    pool_size: int = 13,
    units: int = 32,
    hidden_units: int = 128,
    conv_dropout: float = 0.1,
    dropout: float = 0.5,
    activation: str = "relu",
    exponential_bound: float | None = None,
    strands: str = "tied",
) -> keras.Model:
    """CNN-RNN hybrid with an accessibility track: FactorNet (Quang and Xie 2019).

    The track (a DNase-seq or ATAC-seq signal at single bases) is a further channel of the input, so that
    a model that has been trained in one cell type can be applied to another. Convolution, a dense layer at
    each position, max pool, bidirectional LSTM, dense layer. The defaults are FactorNet's
    (doi:10.1016/j.ymeth.2019.03.020), which is siamese and takes the mean of the two strands'
    probabilities; here `strands="siamese"` takes that of their log-odds.

    Parameters
    ----------
    length
        Window length in bp; with tied strands `length - kernel_size + 1` must be a multiple of `pool_size`.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        Convolution, without padding: features per strand, and their width in bp. The dense layer at each
        position has as many features.
    pool_size
        Width of the max pool, in bp.
    units
        Units of the LSTM in each direction. With tied strands the two directions share their weights.
    hidden_units
        Width of the dense layer before the outputs.
    conv_dropout, dropout
        Share of units dropped after the convolution, and after the LSTM and the hidden layer, in training.
    activation
        Of the first layer: "exponential" (Koo and Ploenzke 2021, doi:10.1038/s42256-020-00291-x), "relu", ...
    exponential_bound
        Bound of an exponential activation (:class:`kipoi_tfbind.layers.BoundedExponential`), if any.
    strands
        What is done about the two strands: see :mod:`kipoi_tfbind.architectures`.

    Returns
    -------
    keras.Model
        One-hot `sequence` (batch, length, 4) and `accessibility` (batch, length, 1), which has no strand,
        -> `probability` (batch, n_targets). The layer `logit` holds the values before the sigmoid.

    Raises
    ------
    ValueError
        If the strands are tied and the pool does not divide the positions of the convolution.

    Examples
    --------
    >>> model = cnn_lstm_accessibility(length=90, filters=4, kernel_size=11, pool_size=8, units=3)
    >>> [tensor.name for tensor in model.inputs]
    ['sequence', 'accessibility']
    """
    net = Network(strands)
    net.check_pooling(length - kernel_size + 1, pool_size, "length - kernel_size + 1")

    def body(sequence: Any, track: Any) -> Any:
        # A channel and its twin: the track is the same on both strands, so it lies at both ends.
        channels = [track, sequence, track] if net.tied else [sequence, track]
        x = net.make(keras.layers.Concatenate, "with_accessibility")(channels)
        x = net.conv(x, "motifs", filters, kernel_size, padding="valid")
        x = net.activation(x, "motifs_activation", activation, exponential_bound)
        x = net.dropout(x, "motifs_dropout", conv_dropout)
        x = net.conv(x, "combinations", filters, 1, activation="relu")
        x = net.make(keras.layers.MaxPooling1D, "combinations_pool", pool_size)(x)
        x = bidirectional_lstm(net, x, units)
        x = net.dropout(x, "lstm_dropout", dropout)
        return net.dense(x, "hidden", hidden_units, activation="relu")

    sequence = keras.Input((length, 4), name="sequence")
    track = keras.Input((length, 1), name="accessibility")
    x = net.dropout(net.over_strands(body, sequence, track), "hidden_dropout", dropout)
    logit = keras.layers.Dense(n_targets, name="logit")(x)
    return net.model([sequence, track], net.probability(logit), "cnn_lstm_accessibility")
