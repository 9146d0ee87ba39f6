"""Best matches of given motifs and composition, weighed by a small network."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network
from kipoi_tfbind.layers import Composition


def motif_scan(
    *,
    length: int = 600,
    n_targets: int = 1,
    filters: int = 64,
    kernel_size: int = 21,
    scan_length: int = 240,
    hidden_units: int = 64,
    dropout: float = 0.2,
    l2: float = 1e-5,
    strands: str = "tied",
) -> keras.Model:
    """Scan the centre for motifs that stay as they are, and weigh their best matches and the composition.

    For factors with too few peaks to learn a motif from: the filters of the first layer are set from known
    motifs (`motif_filters` of a training configuration) and not trained; a perceptron with one hidden layer
    reads the best match of each, on either strand (by `strands`), and the GC and CpG content of the centre
    and of the whole window. What it says of a sequence is what those motifs and the composition say.

    Parameters
    ----------
    length
        Window length in bp.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        Number of motifs, and the width in bp to which they are cut or filled up.
    scan_length
        Length in bp of the central part that is scanned.
    hidden_units
        Width of the hidden layer.
    dropout
        Share of hidden units dropped, in training.
    l2
        L2 penalty on the kernels of the hidden and the last layer.
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
        If the scanned part is longer than the window, or cannot be centred in it.

    Examples
    --------
    >>> motif_scan(length=300, n_targets=2, filters=8).output_shape
    (None, 2)
    """
    outside = length - scan_length
    if outside < 0 or outside % 2:
        raise ValueError(
            f"scan_length must be at most length={length} and leave an even number of positions outside. "
            f"Received: scan_length={scan_length}"
        )
    net = Network(strands)
    penalty = keras.regularizers.L2(l2)

    def body(sequence: Any) -> Any:
        centre = net.make(keras.layers.Cropping1D, "centre", outside // 2)(sequence)
        x = net.conv(centre, "motifs", filters, kernel_size, padding="valid", use_bias=False, trainable=False)
        x = net.make(keras.layers.GlobalMaxPooling1D, "best_match")(x)
        x = net.make(keras.layers.Concatenate, "features")(
            [
                net.pool_strands(x, "best_strand", "max"),
                net.make(Composition, "composition_centre")(centre),
                net.make(Composition, "composition_window")(sequence),
            ]
        )
        x = net.make(keras.layers.BatchNormalization, "features_norm")(x)
        hidden = net.make(
            keras.layers.Dense, "hidden", hidden_units, activation="relu", kernel_regularizer=penalty
        )
        return hidden(x)

    sequence = keras.Input((length, 4), name="sequence")
    x = net.dropout(net.over_strands(body, sequence), "hidden_dropout", dropout)
    logit = keras.layers.Dense(
        n_targets, kernel_initializer="zeros", kernel_regularizer=penalty, name="logit"
    )(x)
    return net.model(sequence, net.probability(logit), "motif_scan")
