"""A dilated residual CNN, the flagship of the zoo."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network


def dilated_residual_cnn(
    *,
    length: int = 600,
    n_targets: int = 1,
    filters: int = 48,
    kernel_size: int = 19,
    pool_size: int = 8,
    dilation_rates: tuple[int, ...] = (1, 2, 4, 8),
    block_kernel_size: int = 3,
    bin_length: int = 200,
    dropout: float = 0.1,
    head_dropout: float = 0.3,
    l2: float = 1e-6,
    block_filters: int | None = None,
    activation: str = "exponential",
    exponential_bound: float | None = None,
    composition: bool = False,
    strands: str = "tied",
) -> keras.Model:
    """Dilated residual CNN: binding at the centre, in the context of the whole window.

    A motif layer with an exponential activation, which makes its filters read as motifs (Koo and
    Ploenzke 2021, doi:10.1038/s42256-020-00291-x), and a max pool, then residual blocks whose
    dilation doubles; only the central bin is pooled for the output, so that the flanks act as context
    and not as further places to be bound. After dilated CNNs for regulatory sequence (Kelley et al.
    2018, doi:10.1101/gr.227819.117) and ResidualBind (Koo et al. 2021, doi:10.1371/journal.pcbi.1008925).

    Parameters
    ----------
    length
        Window length in bp; a multiple of `pool_size`, or pooling would see the two strands
        differently, and the bin would not lie in the centre of the pooled positions.
    n_targets
        Number of outputs, each a probability.
    filters, kernel_size
        First layer: features per strand, and their width in bp.
    pool_size
        Width of the max pool after the first layer, in bp.
    dilation_rates
        One residual block for each, in units of pooled positions.
    block_kernel_size
        Width of the dilated convolutions.
    bin_length
        Central part of the window that is pooled for the output, in bp.
    dropout, head_dropout
        Share of units dropped in each block and before the output, in training.
    l2
        L2 penalty on the kernels of the first and the last layer.
    block_filters
        Features per strand of the residual blocks, after a convolution of width 1 that mixes the
        pooled motifs; as many as `filters`, and no such convolution, when not given.
    activation
        Of the first layer: "exponential", or another one, such as "relu", for comparisons.
    exponential_bound
        Bound of the activation after the first layer (:class:`kipoi_tfbind.layers.BoundedExponential`);
        without one it is the plain exponential.
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
        If `length` is not a multiple of `pool_size`, or the bin cannot be centred on pooled positions.

    Examples
    --------
    >>> dilated_residual_cnn(length=600, n_targets=3, filters=8, dilation_rates=(1, 2)).output_shape
    (None, 3)
    """
    if length % pool_size:
        raise ValueError(f"length must be a multiple of pool_size={pool_size}. Received: length={length}")
    outside = length // pool_size - bin_length // pool_size
    if bin_length % pool_size or outside < 0 or outside % 2:
        raise ValueError(
            f"bin_length must be a multiple of pool_size={pool_size}, at most length={length}, and leave an "
            f"even number of pooled positions outside. Received: bin_length={bin_length}"
        )
    net = Network(strands)
    penalty = keras.regularizers.L2(l2)

    def body(x: Any) -> Any:
        x = net.conv(x, "motifs", filters, kernel_size, use_bias=False, kernel_regularizer=penalty)
        x = net.activation(net.norm(x, "motifs_norm"), "motifs_exp", activation, exponential_bound)
        x = net.make(keras.layers.MaxPooling1D, "motifs_pool", pool_size)(x)
        if block_filters is not None:
            x = net.norm(x, "motifs_scale")
            x = net.conv(x, "motifs_mix", block_filters, 1, use_bias=False)
        for rate in dilation_rates:
            x = net.residual_block(x, f"block_{rate}", block_kernel_size, rate, dropout)
        x = net.make(keras.layers.Cropping1D, "central_bin", outside // 2)(x)
        x = net.activation(net.norm(x, "bin_norm"), "bin_relu", "relu")
        return net.pool_positions(x, "bin")

    sequence = keras.Input((length, 4), name="sequence")
    x = net.dropout(net.over_strands(body, sequence), "head_dropout", head_dropout)
    x = net.beside_composition(x, sequence) if composition else x
    logit = keras.layers.Dense(
        n_targets, kernel_initializer="zeros", kernel_regularizer=penalty, name="logit"
    )(x)
    return net.model(sequence, net.probability(logit), "dilated_residual_cnn")
