"""Best matches of given motifs and composition, weighed by a small network."""

from __future__ import annotations

import keras

from kipoi_tfbind.layers import Composition, RevCompConv1D, StrandPool


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
) -> keras.Model:
    """Scan the centre for motifs that stay as they are, and weigh their best matches and the composition.

    For factors with too few peaks to learn a motif from: the filters of the first layer are set from known
    motifs (`motif_filters` of a training configuration) and not trained; a perceptron with one hidden layer
    reads the best match of each, on either strand, and the GC and CpG content of the centre and of the
    whole window. What it says of a sequence is what those motifs and the composition say.

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
    penalty = keras.regularizers.L2(l2)
    sequence = keras.Input((length, 4), name="sequence")
    centre = keras.layers.Cropping1D(outside // 2, name="centre")(sequence)
    x = RevCompConv1D(filters, kernel_size, padding="valid", use_bias=False, trainable=False, name="motifs")(
        centre
    )
    x = keras.layers.GlobalMaxPooling1D(name="best_match")(x)
    x = StrandPool("max", name="best_strand")(x)
    x = keras.layers.Concatenate(name="features")(
        [x, Composition(name="composition_centre")(centre), Composition(name="composition_window")(sequence)]
    )
    x = keras.layers.BatchNormalization(name="features_norm")(x)
    x = keras.layers.Dense(hidden_units, activation="relu", kernel_regularizer=penalty, name="hidden")(x)
    x = keras.layers.Dropout(dropout, name="hidden_dropout")(x)
    logit = keras.layers.Dense(
        n_targets, kernel_initializer="zeros", kernel_regularizer=penalty, name="logit"
    )(x)
    probability = keras.layers.Activation("sigmoid", name="probability")(logit)
    return keras.Model(sequence, probability, name="motif_scan")
