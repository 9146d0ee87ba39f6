"""What training minimises: the loss, the weight of each target in it, and the optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.backends.keras_objective import ObjectiveModel
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.regularise import RegularisedLoss

# Largest weight of a target with few bound windows, relative to that with most.
_MOST_WEIGHT = 10.0


def target_weights(config: TrainingConfig, labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Weight in the loss of each target and auxiliary target (target).

    That of a target is what the configuration gives it (1 by default) times (n_most / n)^balance, at most 10,
    where n is its number of bound windows and n_most that of the target with most; then all are divided by
    their mean, so that auxiliary targets keep theirs.

    Parameters
    ----------
    config
        `target_weights`, and of `fit` `balance` and `auxiliary_weight`.
    labels
        Of the training windows (window, target), auxiliary targets last.

    Examples
    --------
    >>> config = TrainingConfig.from_entries({
    ...     "architecture": "motif_cnn", "hyperparameters": {"length": 400}, "fit": {"balance": 0.5},
    ...     "targets": {"A": "a.bed", "B": "b.bed"}, "validation": "c:0-9", "test": "c:10-19"})
    >>> target_weights(config, np.array([[1, 1], [1, 0], [1, 0], [1, 0]], np.int8)).round(2).tolist()
    [0.67, 1.33]
    """
    n = len(config.targets)
    bound = np.maximum((labels[:, :n] == 1).sum(axis=0), 1)
    given = np.array([config.target_weights.get(target, 1.0) for target in config.targets])
    weights = given * np.minimum((bound.max() / bound) ** config.fit.balance, _MOST_WEIGHT)
    return np.append(weights / weights.mean(), [config.fit.auxiliary_weight] * len(config.auxiliary))


def model_in_training(
    model: keras.Model, config: TrainingConfig, weights: Sequence[float] | NDArray, steps: int
) -> keras.Model:
    """Compiled model of the logits: the layers of a model, and the loss that a configuration describes.

    Parameters
    ----------
    weights
        Of each target in the loss.
    steps
        Of the whole training.
    """
    inputs, logits = model.input, model.get_layer("logit").output
    optimizer = cosine_optimizer(config.fit.learning_rate, steps, config.fit.weight_decay)
    loss = MaskedCrossEntropy(weights, config.regularise.label_smoothing)
    if config.regularise.needs_input_gradients:
        on_logits = ObjectiveModel(inputs, logits, RegularisedLoss(loss, config.regularise))
        on_logits.compile(optimizer)
    else:
        on_logits = keras.Model(inputs, logits)
        on_logits.compile(optimizer, loss)
    return on_logits


class MaskedCrossEntropy(keras.losses.Loss):
    """Mean binary cross-entropy of logits over the (bin, target) pairs that are not ambiguous (label -1).

    Parameters
    ----------
    weights
        Of each target in the mean.
    smoothing
        Share s of label smoothing: a label y counts as (1 - s) y + s / 2.
    """

    def __init__(self, weights: Sequence[float] | NDArray, smoothing: float = 0.0):
        super().__init__(reduction=None, name="masked_cross_entropy")
        self.weights = np.asarray(weights, dtype=np.float32)
        self.smoothing = smoothing

    def call(self, labels: Any, logits: Any) -> Any:
        """Loss of a batch, a scalar."""
        labels = ops.cast(labels, logits.dtype)
        weights = ops.cast(labels >= 0, logits.dtype) * ops.cast(self.weights, logits.dtype)
        labels = (1 - self.smoothing) * labels + self.smoothing / 2
        losses = ops.relu(logits) - logits * labels + ops.softplus(-ops.abs(logits))
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-6)


def cosine_optimizer(rate: float, steps: int, weight_decay: float = 0.0) -> keras.optimizers.Optimizer:
    """AdamW; its rate rises in the first twentieth of the steps, then falls to 0 as a cosine."""
    warm_up = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up
    )
    return keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
