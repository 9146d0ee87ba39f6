"""Losses of a profile model: where the reads lie, and how many there are."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kipoi_tfbind")
class MultinomialNLL(keras.losses.Loss):
    """Negative log-likelihood of the reads of a profile, given their number.

    Each track of each sequence is a multinomial draw over its positions, whose probabilities are the
    softmax of the predicted log-odds (Avsec et al. 2021, doi:10.1038/s41588-021-00782-6). The
    multinomial coefficient, which depends on the counts alone, is left out: the loss is the cross-entropy
    summed over the reads, in nats, and its least value is the entropy of the profile times its counts.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[[3.0], [1.0]]])  # one sequence, two positions, one track
    >>> loss = MultinomialNLL()(counts, np.log([[[0.75], [0.25]]]))
    >>> bool(np.isclose(float(loss), -3 * np.log(0.75) - np.log(0.25)))
    True
    """

    def __init__(self, name: str = "multinomial_nll", **options: Any):
        super().__init__(name=name, **options)

    def call(self, counts: Any, log_odds: Any) -> Any:
        """Loss of each sequence: counts and log-odds (sequence, position, track), summed over tracks."""
        return -ops.sum(ops.cast(counts, log_odds.dtype) * ops.log_softmax(log_odds, axis=1), axis=(1, 2))


def profile_losses(counts_weight: float = 10.0) -> dict[str, Any]:
    """Losses of `profile_cnn`, and their weights, as arguments of `compile`.

    The targets are `profile`, the reads at each position, and `log_counts`, the logarithm of 1 + their
    number, whose loss is the mean squared error.

    Parameters
    ----------
    counts_weight
        Weight of the error of the counts beside the likelihood of the profile. BPNet's is 10; half the mean
        number of reads gives the two heads about equal weight.

    Examples
    --------
    >>> sorted(profile_losses()["loss_weights"].items())
    [('log_counts', 10.0), ('profile', 1.0)]
    """
    return {
        "loss": {"profile": MultinomialNLL(), "log_counts": keras.losses.MeanSquaredError()},
        "loss_weights": {"profile": 1.0, "log_counts": counts_weight},
    }
