"""A dilated CNN in which every layer reads all layers before it."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network


def dilated_dense_cnn(
    *,
    length: int = 600,
    n_targets: int = 1,
    filters: int = 48,
    kernel_size: int = 19,
    pool_size: int = 8,
    dilation_rates: tuple[int, ...] = (1, 2, 4, 8),
    growth: int = 16,
    dilated_kernel_size: int = 3,
    dropout: float = 0.1,
    head_dropout: float = 0.3,
    l2: float = 1e-6,
    activation: str = "exponential",
    exponential_bound: float | None = None,
    composition: bool = False,
    strands: str = "tied",
) -> keras.Model:
    """Dilated CNN with dense connections: each dilated layer adds features to those that it has read.

    As in Basenji (Kelley et al. 2018, doi:10.1101/gr.227819.117), the layers' dilation doubles and all of
    them are handed on to the end; the connections are those of DenseNet (Huang et al. 2017,
    doi:10.1109/CVPR.2017.243): concatenated, not added as in `dilated_residual_cnn`, so that the motifs of
    the first layer arrive at the output unchanged. Dilation for long sequences of DNA: Gupta and Rush 2017,
    arXiv:1710.01278.

    Parameters
    ----------
    length
        Window length in bp; with tied strands a multiple of `pool_size`.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        First layer: features per strand, and their width in bp.
    pool_size
        Width of the max pool after the first layer, in bp.
    dilation_rates
        One dilated layer for each, in units of pooled positions.
    growth
        Features per strand that each dilated layer adds.
    dilated_kernel_size
        Width of the dilated convolutions.
    dropout, head_dropout
        Share of units dropped in each dilated layer and before the output, in training.
    l2
        L2 penalty on the kernels of the first and the last layer.
    activation
        Of the first layer: "exponential" (Koo and Ploenzke 2021, doi:10.1038/s42256-020-00291-x), "relu", ...
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
    >>> dilated_dense_cnn(length=200, n_targets=3, filters=8, dilation_rates=(1, 2), growth=4).output_shape
    (None, 3)
    """
    net = Network(strands)
    net.check_pooling(length, pool_size)
    penalty = keras.regularizers.L2(l2)

    def body(x: Any) -> Any:
        x = net.conv(x, "motifs", filters, kernel_size, use_bias=False, kernel_regularizer=penalty)
        x = net.activation(net.norm(x, "motifs_norm"), "motifs_activation", activation, exponential_bound)
        x = net.make(keras.layers.MaxPooling1D, "motifs_pool", pool_size)(x)
        for rate in dilation_rates:
            name = f"dilated_{rate}"
            added = net.activation(net.norm(x, f"{name}_norm"), f"{name}_relu", "relu")
            added = net.conv(
                added, name, growth, dilated_kernel_size, dilation_rate=rate, kernel_initializer="he_normal"
            )
            added = net.dropout(added, f"{name}_dropout", dropout)
            x = net.concatenate([x, added], f"{name}_dense")
        x = net.activation(net.norm(x, "last_norm"), "last_relu", "relu")
        return net.pool_positions(x, "last")

    sequence = keras.Input((length, 4), name="sequence")
    x = net.dropout(net.over_strands(body, sequence), "head_dropout", head_dropout)
    x = net.beside_composition(x, sequence) if composition else x
    logit = keras.layers.Dense(n_targets, kernel_regularizer=penalty, name="logit")(x)
    return net.model(sequence, net.probability(logit), "dilated_dense_cnn")
