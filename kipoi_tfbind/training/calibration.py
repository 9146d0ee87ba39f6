"""Probabilities that mean what they say: temperature and offset, other prevalences, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.ensemble import fit_mixture
from kipoi_tfbind.training.metrics import weights_at_prevalence, with_both_classes, with_interval

_NEWTON_STEPS = 12


@dataclass(frozen=True)
class Calibration:
    """Line from a model's log-odds to log-odds that are calibrated to bins of a given prevalence.

    Attributes
    ----------
    scale, offset
        Of the line: scale * log-odds + offset. The scale is the reciprocal of a temperature.
    prevalence
        Share of bound bins that the calibrated log-odds stand for.

    Examples
    --------
    >>> line = Calibration(scale=0.5, offset=-2.0, prevalence=0.01)
    >>> line.log_odds(np.array([4.0]))
    array([0.])
    >>> line.log_odds(np.array([4.0]), prevalence=0.1).round(3)
    array([2.398])
    """

    scale: float
    offset: float
    prevalence: float

    def log_odds(self, log_odds: NDArray, prevalence: float | None = None) -> NDArray[np.float64]:
        """Calibrated log-odds of a model's log-odds, at the prevalence of the bins or at another one."""
        calibrated = self.scale * np.asarray(log_odds, dtype=np.float64) + self.offset
        return calibrated if prevalence is None else at_prevalence(calibrated, self.prevalence, prevalence)


def fit_calibration(log_odds: NDArray, labels: NDArray[np.int8]) -> Calibration | None:
    """Fit scale and offset by logistic regression of labels on a target's log-odds.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599) with an offset (Platt 1999), because the
    negatives of a training set are fewer than those of a genome.

    Parameters
    ----------
    log_odds
        (bin), of bins that did not train the model.
    labels
        (bin): 1 bound, 0 not bound, -1 ambiguous.

    Returns
    -------
    Calibration or None
        None where no bin is bound, or all are.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=20000) - 2
    >>> labels = (rng.random(20000) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    >>> line = fit_calibration(2 * truth + 3, labels)
    >>> round(line.scale, 1), round(line.offset, 1)
    (0.5, -1.5)
    """
    known = labels >= 0
    if not {0, 1} <= set(labels[known].tolist()):
        return None
    weights, bias = fit_mixture(np.asarray(log_odds)[None, :, None], labels[:, None], penalty=0)
    return Calibration(float(weights[0, 0]), float(bias[0]), float((labels[known] == 1).mean()))


def at_prevalence(log_odds: NDArray, prevalence: float, other: float) -> NDArray[np.float64]:
    """Log-odds restated for another prevalence: log-odds + logit(other) - logit(prevalence).

    Bayes' rule where bound sequences look alike at either prevalence, and unbound ones too (Saerens,
    Latinne and Decaestecker 2002, doi:10.1162/089976602753284446).

    Parameters
    ----------
    log_odds
        Calibrated to `prevalence`.
    prevalence, other
        Shares of bound sequences, between 0 and 1.

    Raises
    ------
    InputError
        A prevalence is not between 0 and 1.

    Examples
    --------
    >>> at_prevalence(np.array([0.0]), 0.5, 0.01).round(3)  # log(0.01 / 0.99)
    array([-4.595])
    """
    for value in (prevalence, other):
        if not 0 < value < 1:
            raise InputError(f"prevalence: expected a share between 0 and 1, got {value}")
    return np.asarray(log_odds, dtype=np.float64) + logit(other) - logit(prevalence)


def calibration_metrics(
    labels: NDArray[np.int8],
    log_odds: NDArray,
    weights: NDArray,
    confidence: float = 0.95,
    prevalence: float | None = None,
) -> dict[str, dict[str, float]]:
    """Ratio of expected to observed bound bins, and calibration slope, with block-bootstrap intervals.

    Both are 1 where log-odds are calibrated. A slope below 1 says that they are too extreme (Van Calster
    et al. 2019, doi:10.1186/s12916-019-1466-7).

    Parameters
    ----------
    labels, log_odds
        (bin); bins labelled -1 are left out.
    weights
        (resample, bin).
    prevalence
        Share of bound bins to weigh the bins to; by default they count as they are.

    Returns
    -------
    dict
        `"expected_to_observed"` and `"slope"` -> `value`, `low`, `high`.
    """
    known = labels >= 0
    bound, log_odds = labels[known] == 1, np.asarray(log_odds, dtype=np.float64)[known]
    once = np.ones((1, len(bound)))
    resamples = with_both_classes(bound, weights[:, known]).astype(np.float64)
    if prevalence is not None:
        once, resamples = (weights_at_prevalence(bound, each, prevalence) for each in (once, resamples))
    probability = expit(log_odds)
    statistics = {
        "expected_to_observed": lambda each: (each @ probability) / (each @ bound),
        "slope": lambda each: np.array([_slope(log_odds, bound, row) for row in each]),
    }
    return {
        name: with_interval(function(once)[0], function(resamples), confidence)
        for name, function in statistics.items()
    }


def _slope(log_odds: NDArray[np.float64], bound: NDArray[np.bool_], weights: NDArray) -> float:
    """Slope of the weighted logistic regression of labels on log-odds, by Newton's method."""
    design = np.stack([np.ones_like(log_odds), log_odds], axis=1)
    parameters = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        probability = expit(design @ parameters)
        gradient = design.T @ (weights * (bound - probability))
        curvature = (design * (weights * probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        # Far from the optimum, Newton's steps for rare events are too long.
        parameters += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return float(parameters[1])
