"""A CNN of one layer whose filters are circular, so that none learns half a motif."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network
from kipoi_tfbind.layers import CircularConv1D


def circular_cnn(
    *,
    length: int = 200,
    n_targets: int = 1,
    filters: int = 8,
    kernel_size: int = 19,
    dropout: float = 0.0,
    l2: float = 1e-4,
    activation: str = "relu",
    exponential_bound: float | None = None,
    strands: str = "tied",
) -> keras.Model:
    """CNN with circular filters (Blum and Kollmann 2019, doi:10.1093/bioinformatics/btz194).

    Every filter is scanned in all its circular shifts, the best match of each shift is taken over all
    positions, and a linear layer weighs them: the shift with the largest weight shows the motif whole. For
    few data and short sequences: it has hardly more weights than a matrix for each motif. The published
    network has one filter, of the length of the motif, and a penalty of 0.01 on it for 100 positives.

    Parameters
    ----------
    length
        Window length in bp.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        Number of filters, and their width in bp; each is scanned in `kernel_size` shifts on each strand.
    dropout
        Share of best matches dropped, in training.
    l2
        L2 penalty on the filters.
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
        If a bound is given and the activation is not the exponential.

    Examples
    --------
    >>> circular_cnn(length=60, n_targets=2, filters=3, kernel_size=8).count_params()
    146
    """
    net = Network(strands)
    penalty = keras.regularizers.L2(l2)

    def body(x: Any) -> Any:
        x = net.both(x, "motifs", CircularConv1D, filters, kernel_size, kernel_regularizer=penalty)
        x = net.activation(x, "motifs_activation", activation, exponential_bound)
        return net.pool_positions(x, "motifs", ("max",))

    sequence = keras.Input((length, 4), name="sequence")
    x = net.dropout(net.over_strands(body, sequence), "motifs_dropout", dropout)
    logit = keras.layers.Dense(n_targets, name="logit")(x)
    return net.model(sequence, net.probability(logit), "circular_cnn")
