"""Terms of the loss beside the cross-entropy: adversarial windows, and a prior on attributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from kipoi_tfbind.backends.keras_objective import input_gradient
from kipoi_tfbind.training.options import RegulariseConfig

# How softly the weights of high frequencies fall, as in the paper's code for binary models.
_SOFTNESS = 0.2
_TINY = 1e-20


def on_simplex(values: Any) -> Any:
    """Point of the probability simplex that is nearest to each row, over the last axis.

    By sorting (Duchi et al. 2008, doi:10.1145/1390156.1390191).

    Examples
    --------
    >>> ops.convert_to_numpy(on_simplex(np.array([[0.5, 0.25, 2.0, 0.0]]))).tolist()
    [[0.0, 0.0, 1.0, 0.0]]
    """
    values = ops.convert_to_tensor(values)
    size = values.shape[-1]
    ordered = ops.flip(ops.sort(values, axis=-1), axis=-1)
    surplus = (ops.cumsum(ordered, axis=-1) - 1) / ops.arange(1, size + 1, dtype=ordered.dtype)
    # The surplus of as many entries as stay above it is the largest of all.
    return ops.relu(values - ops.max(surplus, axis=-1, keepdims=True))


def adversarial_windows(gradient_of: Callable[[Any], Any], windows: Any, share: float, steps: int) -> Any:
    """Windows near the given ones with a higher loss: projected gradient ascent in a relaxed one-hot.

    Each position gives at most `share` of its base to a distribution over bases, which starts as the
    observed base and is moved along the gradient, scaled by its largest entry at that position, and back
    onto the simplex. Rows of zeros (N) stay.

    Parameters
    ----------
    gradient_of
        Windows -> gradient of the loss with respect to them.
    windows
        (window, position, base).
    share
        From 0 to 1.
    steps
        Number of steps.

    Returns
    -------
    windows
        (window, position, base); of one-hot windows no entry differs by more than `share`.

    Examples
    --------
    >>> window, towards_t = np.array([[[1.0, 0, 0, 0]]]), np.array([[[0.0, 0, 0, 2.0]]])
    >>> ops.convert_to_numpy(adversarial_windows(lambda x: towards_t, window, 0.25, 2)).tolist()
    [[[0.75, 0.0, 0.0, 0.25]]]
    """
    windows = ops.convert_to_tensor(windows)
    known = ops.cast(ops.max(ops.abs(windows), axis=-1, keepdims=True) > 0, windows.dtype)
    start = given = on_simplex(windows)
    moved = windows
    for _ in range(steps):
        gradient = gradient_of(moved)
        largest = ops.max(ops.abs(gradient), axis=-1, keepdims=True)
        given = on_simplex(given + gradient / ops.maximum(largest, _TINY))
        moved = windows + share * known * (given - start)
    return moved


def fourier_prior(attributions: Any, frequency: float, smoothing: float) -> Any:
    """Share of each attribution map's spectrum that lies at high frequencies.

    Of the absolute attributions, smoothed by a Gaussian (cut off at three standard deviations, zeros beyond
    the ends), the magnitudes of the Fourier components are divided by their sum; those of the k-th component
    count by 1 up to the limit, by 1 / (1 + (k - limit)^0.2) beyond it, and the constant one not at all. The
    prior is 1 minus their weighted sum (Tseng et al. 2020, doi:10.1101/2020.06.11.147272).

    Parameters
    ----------
    attributions
        (window, position).
    frequency
        Limit, in cycles per bp.
    smoothing
        Standard deviation of the Gaussian in bp; 0 for none.

    Returns
    -------
    prior
        (window), from 0 to 1.

    Examples
    --------
    >>> smooth, rough = np.zeros((2, 64), np.float32)
    >>> smooth[24:40] = 1
    >>> rough[::9] = 1
    >>> value = ops.convert_to_numpy(fourier_prior(np.stack([smooth, rough]), 0.15, 0))
    >>> bool(value[0] < value[1])
    True
    """
    values = ops.abs(ops.convert_to_tensor(attributions))
    length = values.shape[-1]
    if smoothing:
        values = ops.matmul(values, _gaussian(length, smoothing))
    real, imaginary = ops.rfft(values)
    magnitude = ops.sqrt(real**2 + imaginary**2 + _TINY)
    limit = round(frequency * length)
    beyond = np.maximum(np.arange(1, length // 2 + 1) - limit, 0)
    weights = np.where(beyond > 0, 1 / (1 + beyond**_SOFTNESS), 1.0).astype(np.float32)
    relative = magnitude[:, 1:] / ops.sum(magnitude, axis=-1, keepdims=True)
    return 1 - ops.sum(relative * ops.convert_to_tensor(weights), axis=-1)


def _gaussian(length: int, deviation: float) -> Any:
    """Matrix (position, position) that smooths along positions."""
    distance = np.arange(length)[:, None] - np.arange(length)
    kernel = np.where(np.abs(distance) <= 3 * deviation, np.exp(-0.5 * (distance / deviation) ** 2), 0)
    offsets = np.arange(-int(3 * deviation), int(3 * deviation) + 1)
    return (kernel / np.exp(-0.5 * (offsets / deviation) ** 2).sum()).astype(np.float32)


class RegularisedLoss:
    """Loss of a batch: cross-entropy of the windows and of adversarial ones, the prior, and the model's own.

    Parameters
    ----------
    loss
        (labels, logits) -> scalar.
    settings
        Weights of the terms.
    """

    def __init__(self, loss: Callable[[Any, Any], Any], settings: RegulariseConfig) -> None:
        self.loss, self.settings = loss, settings

    def __call__(self, model: Any, windows: Any, labels: Any) -> Any:
        """Loss of a model that predicts logits, a scalar."""
        windows = ops.cast(windows, "float32")
        bound = ops.cast(labels, windows.dtype) > 0.5
        if self.settings.prior_weight:
            gradient, logits = input_gradient(lambda x: _bound_logits(model, x, bound), windows, model)
        else:
            logits = model(windows, training=True)
        total = self.loss(labels, logits)
        if weight := self.settings.adversarial_weight:
            others = self.adversarial(model, windows, labels)
            total = (1 - weight) * total + weight * self.loss(labels, model(others, training=True))
        if self.settings.prior_weight:
            any_bound = ops.cast(ops.any(bound, axis=-1), windows.dtype)
            attributions = ops.sum(ops.abs(gradient * windows), axis=-1)
            priors = fourier_prior(attributions, self.settings.prior_frequency, self.settings.prior_smoothing)
            total += (
                self.settings.prior_weight * ops.sum(any_bound * priors) / ops.maximum(ops.sum(any_bound), 1)
            )
        return total + sum(model.losses)

    def adversarial(self, model: Any, windows: Any, labels: Any) -> Any:
        """Adversarial windows of a batch; no gradient flows back through their making."""

        def gradient_of(x: Any) -> Any:
            return input_gradient(
                lambda given: (self.loss(labels, model(given, training=False)), None), x, model
            )[0]

        settings = self.settings
        return ops.stop_gradient(
            adversarial_windows(gradient_of, windows, settings.adversarial_share, settings.adversarial_steps)
        )


def _bound_logits(model: Any, windows: Any, bound: Any) -> tuple[Any, Any]:
    """Sum of the logits of the targets that are bound, and all logits."""
    logits = model(windows, training=True)
    return ops.sum(ops.where(bound, logits, 0.0)), logits
