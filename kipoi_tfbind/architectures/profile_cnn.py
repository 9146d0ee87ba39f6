"""A model of base-resolution profiles and of their total counts."""

from __future__ import annotations

from typing import Any

import keras

from kipoi_tfbind.architectures._network import Network
from kipoi_tfbind.layers import ReverseComplement


def profile_cnn(
    *,
    length: int = 1000,
    n_targets: int = 1,
    filters: int = 64,
    kernel_size: int = 25,
    dilation_rates: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512),
    dilated_kernel_size: int = 3,
    profile_kernel_size: int = 25,
    stranded: bool = False,
    activation: str = "relu",
    exponential_bound: float | None = None,
    strands: str = "tied",
) -> keras.Model:
    """Shape and size of a ChIP or accessibility profile: after BPNet (Avsec et al. 2021).

    A wide convolution, dilated convolutions with skip connections, and two heads for each target: the
    log-odds of a read lying at each position, and the logarithm of 1 + the number of reads
    (doi:10.1038/s41588-021-00782-6). Its losses are those of
    :func:`kipoi_tfbind.training.profile_losses.profile_losses`. The defaults are BPNet's, whose transposed
    convolution in the profile head is a convolution at this stride; its control track is left out.

    Parameters
    ----------
    length
        Window length in bp; the profile is as long.
    n_targets
        Number of targets.
    filters, kernel_size
        First layer: features per strand, and their width in bp. The dilated layers have as many features.
    dilation_rates
        One dilated layer for each, in bp.
    dilated_kernel_size
        Width of the dilated convolutions.
    profile_kernel_size
        Width of the profile head, in bp.
    stranded
        Whether reads are counted by strand, as in ChIP-nexus: two tracks for each target, the forward ones
        first, then the reverse ones in reversed order. Otherwise one.
    activation
        Of the first layer: "exponential" (Koo and Ploenzke 2021, doi:10.1038/s42256-020-00291-x), "relu", ...
    exponential_bound
        Bound of an exponential activation (:class:`kipoi_tfbind.layers.BoundedExponential`), if any.
    strands
        What is done about the two strands: see :mod:`kipoi_tfbind.architectures`.

    Returns
    -------
    keras.Model
        One-hot `sequence` (batch, length, 4) -> `profile` (batch, length, tracks), log-odds up to a constant
        for each sequence and track, and `log_counts` (batch, n_targets). Under reverse complement,
        a profile is turned round, and a stranded one has its strands exchanged.

    Raises
    ------
    ValueError
        If the strands are tied and a width is even.

    Examples
    --------
    >>> model = profile_cnn(length=60, n_targets=2, filters=4, dilation_rates=(2, 4))
    >>> {name: tensor.shape[1:] for name, tensor in model.output.items()}
    {'profile': (60, 2), 'log_counts': (2,)}
    """
    net = Network(strands)

    def body(x: Any) -> Any:
        x = net.conv(x, "motifs", filters, kernel_size)
        x = net.activation(x, "motifs_activation", activation, exponential_bound)
        for rate in dilation_rates:
            name = f"dilated_{rate}"
            added = net.conv(x, name, filters, dilated_kernel_size, dilation_rate=rate, activation="relu")
            x = net.make(keras.layers.Add, f"{name}_sum")([x, added])
        return x

    def profile_of(features: Any) -> Any:
        tracks = 2 * n_targets if stranded and not net.tied else n_targets
        x = net.conv(features, "profile_tracks", tracks, profile_kernel_size)
        return x if stranded else net.pool_strands(x, "profile_strands", "mean")

    def features_of(sequence: Any) -> tuple[Any, Any]:
        x = body(sequence)
        return profile_of(x), net.pool_positions(x, "counts", ("mean",))

    sequence = keras.Input((length, 4), name="sequence")
    profile, pooled = features_of(sequence)
    if strands == "siamese":
        reverse, pooled_reverse = features_of(ReverseComplement(name="reverse_complement")(sequence))
        turned = ReverseComplement(channels=stranded, name="profile_turned")(reverse)
        profile = keras.layers.Average(name="profile_average")([profile, turned])
        pooled = keras.layers.Average(name="strand_average")([pooled, pooled_reverse])
    outputs = {
        "profile": keras.layers.Identity(name="profile")(profile),
        "log_counts": keras.layers.Dense(n_targets, name="log_counts")(pooled),
    }
    return net.model(sequence, outputs, "profile_cnn")
