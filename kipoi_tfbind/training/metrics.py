"""How well held-out bins are ranked, with intervals that know that neighbouring bins are alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

METRICS: dict[str, Callable] = {"auprc": average_precision_score, "auroc": roc_auc_score}
BLOCK_LENGTH = 100_000


def mean_auprc(labels: NDArray[np.int8], scores: NDArray) -> float:
    """Mean over targets of the AUPRC among unambiguous bins; targets without a positive are left out.

    Parameters
    ----------
    labels
        (bin, target): 1 bound, 0 not bound, -1 ambiguous.
    scores
        (bin, target).

    Examples
    --------
    >>> mean_auprc(np.array([[1], [0], [-1]]), np.array([[0.9], [0.1], [0.5]]))
    1.0
    """
    values = [
        average_precision_score(label[label >= 0], score[label >= 0])
        for label, score in zip(labels.T, scores.T, strict=True)
        if (label == 1).any()
    ]
    return float(np.mean(values))


def block_weights(blocks: NDArray, n_resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each bin enters each bootstrap sample, (resample, bin).

    Whole blocks are drawn, because bins next to each other share peaks and sequence, and intervals
    from single bins would be too narrow.

    Parameters
    ----------
    blocks
        Label of the block of each bin (bin).
    """
    _, block_of_bin = np.unique(blocks, return_inverse=True)
    n_blocks = block_of_bin.max() + 1
    draws = np.random.default_rng(seed).integers(n_blocks, size=(n_resamples, n_blocks))
    counts = np.stack([np.bincount(draw, minlength=n_blocks) for draw in draws])
    return counts[:, block_of_bin]


def score_target(
    labels: NDArray[np.int8], scores: dict[str, NDArray], weights: NDArray[np.int64], confidence: float = 0.95
) -> dict[str, dict[str, dict[str, float]]]:
    """AUPRC and AUROC of several predictors of one target, with block-bootstrap intervals.

    Parameters
    ----------
    labels
        (bin); bins labelled -1 are left out.
    scores
        Predictor name -> score (bin), higher where binding is likelier. The first is compared with
        each of the others.
    weights
        (resample, bin), from :func:`block_weights`; all predictors see the same resamples.
    confidence
        Coverage of the percentile intervals.

    Returns
    -------
    dict
        predictor -> metric -> `value`, `low`, `high`; for all but the first also `gain_low` and
        `gain_high`, the interval of the first predictor's value minus this one's.
    """
    known = labels >= 0
    labels, weights = labels[known] == 1, weights[:, known]
    # Metrics need both classes; a resample without a bound bin says nothing about them.
    weights = weights[(weights[:, labels] > 0).any(axis=1)]
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    result: dict[str, dict[str, dict[str, float]]] = {}
    reference: dict[str, NDArray] = {}
    for name, score in scores.items():
        score = score[known]
        result[name] = {}
        for metric, function in METRICS.items():
            resampled = np.array([function(labels, score, sample_weight=weight) for weight in weights])
            low, high = np.quantile(resampled, tails)
            entry = {"value": float(function(labels, score)), "low": float(low), "high": float(high)}
            if metric in reference:
                gain_low, gain_high = np.quantile(reference[metric] - resampled, tails)
                entry |= {"gain_low": float(gain_low), "gain_high": float(gain_high)}
            else:
                reference[metric] = resampled
            result[name][metric] = entry
    return result
