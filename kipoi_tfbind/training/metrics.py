"""How well held-out bins are ranked, with intervals that know that neighbouring bins are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

BLOCK_LENGTH = 100_000
# Recall is given where one in ten of the bins that are called is wrong.
FALSE_DISCOVERY_RATE = 0.1


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
    return float(np.nanmean(target_auprc(labels, scores)))


def target_auprc(labels: NDArray[np.int8], scores: NDArray) -> NDArray[np.float64]:
    """AUPRC of each target (target) among unambiguous bins, not a number without a positive.

    Parameters
    ----------
    labels, scores
        As in `mean_auprc`.

    Examples
    --------
    >>> target_auprc(np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.3], [0.1, 0.2]])).tolist()
    [1.0, nan]
    """
    return np.array(
        [
            average_precision_score(label[label >= 0], score[label >= 0]) if (label == 1).any() else np.nan
            for label, score in zip(labels.T, scores.T, strict=True)
        ]
    )


def ranking_metrics(
    bound: NDArray[np.bool_], scores: NDArray, weights: NDArray
) -> dict[str, NDArray[np.float64]]:
    """AUPRC (average precision), AUROC and recall at 10% FDR under many weightings of the same bins.

    Recall at 10% FDR is the largest share of the bound bins that a threshold calls while at least 90% of
    what it calls is bound. AUPRC and AUROC equal scikit-learn's, and come some twenty times faster for
    many weightings, because the scores are sorted only once.

    Parameters
    ----------
    bound
        (bin).
    scores
        (bin).
    weights
        (weighting, bin), whole or not; both classes need some weight in each.

    Returns
    -------
    dict
        `"auprc"`, `"auroc"` and `"recall"` -> (weighting).

    Examples
    --------
    >>> found = ranking_metrics(np.array([True, False, True]), np.array([3, 2, 1]), np.ones((1, 3)))
    >>> {name: round(float(values[0]), 3) for name, values in found.items()}
    {'auprc': 0.833, 'auroc': 0.5, 'recall': 0.5}
    """
    order = np.argsort(-scores, kind="stable")
    # Bins of one score are taken in together.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    ordered = bound[order]
    auprc, auroc, recall = (np.empty(len(weights)) for _ in range(3))
    for row, weight in enumerate(weights):
        taken = weight[order].astype(np.float64)
        total, true = np.cumsum(taken)[ends], np.cumsum(taken * ordered)[ends]
        new_true, new_false = np.diff(true, prepend=0), np.diff(total - true, prepend=0)
        precision = true / np.maximum(total, np.finfo(float).tiny)
        auprc[row] = new_true @ precision / true[-1]
        auroc[row] = new_false @ (true - new_true / 2) / (true[-1] * (total - true)[-1])
        # Rounding of the sums must not decide at a precision of just 90%.
        enough = np.flatnonzero(precision >= 1 - FALSE_DISCOVERY_RATE - 1e-12)
        recall[row] = true[enough[-1]] / true[-1] if len(enough) else 0
    return {"auprc": auprc, "auroc": auroc, "recall": recall}


def weights_at_prevalence(
    bound: NDArray[np.bool_], weights: NDArray, prevalence: float
) -> NDArray[np.float64]:
    """Weights (weighting, bin) with those of bound bins scaled so that they are a given share of all.

    Metrics under them are those of bins of that prevalence, as long as bound bins look alike among
    themselves, and unbound bins too (label shift).

    Examples
    --------
    >>> weights_at_prevalence(np.array([True, False, False, False]), np.ones((1, 4)), 0.5).round(2)
    array([[2.  , 0.67, 0.67, 0.67]])
    """
    share = (weights @ bound / weights.sum(axis=1))[:, None]
    return weights * np.where(bound, prevalence / share, (1 - prevalence) / (1 - share))


def blocks_of(chrom: NDArray[np.str_], start: NDArray[np.int64]) -> NDArray[np.str_]:
    """Label (bin) of the block of 100 kb that each bin is in, from its contig and 0-based start.

    Examples
    --------
    >>> blocks_of(np.array(["chr1", "chr1", "chr2"]), np.array([200, 150_000, 200])).tolist()
    ['chr1:0', 'chr1:1', 'chr2:0']
    """
    return np.char.add(np.char.add(chrom, ":"), (start // BLOCK_LENGTH).astype(str))


def block_weights(blocks: NDArray, n_resamples: int, seed: int) -> NDArray[np.uint16]:
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
    return counts.astype(np.uint16)[:, block_of_bin]


def with_both_classes(bound: NDArray[np.bool_], weights: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Resamples (resample, bin) with bound and unbound bins in them: another says nothing of a metric."""
    return weights[(weights[:, bound] > 0).any(axis=1) & (weights[:, ~bound] > 0).any(axis=1)]


def with_interval(value: float, samples: NDArray, confidence: float = 0.95) -> dict[str, float]:
    """Statistic with its percentile interval over bootstrap samples, such as those of `block_weights`.

    Parameters
    ----------
    value
        Of the statistic.
    samples
        Its values in the bootstrap samples (resample).
    confidence
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    dict
        `value`, `low`, `high`.

    Examples
    --------
    >>> with_interval(50, np.arange(101), confidence=0.5)
    {'value': 50.0, 'low': 25.0, 'high': 75.0}
    """
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}


def score_target(
    labels: NDArray[np.int8],
    scores: dict[str, NDArray],
    weights: NDArray[np.uint16],
    confidence: float = 0.95,
    prevalence: float | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """AUPRC, AUROC and recall at 10% FDR of several predictors of a target, with block-bootstrap intervals.

    Parameters
    ----------
    labels
        (bin); bins labelled -1 are left out; at least one must be bound, and one not.
    scores
        Predictor name -> score (bin), higher where binding is likelier. The first is compared with
        each of the others.
    weights
        (resample, bin), from :func:`block_weights`; all predictors see the same resamples.
    confidence
        Coverage of the percentile intervals.
    prevalence
        Share of bound bins to weigh the bins to; by default they count as they are.

    Returns
    -------
    dict
        predictor -> metric -> `value`, `low`, `high`; for all but the first also `gain_low` and
        `gain_high`, the interval of the first predictor's value minus this one's.
    """
    known = labels >= 0
    bound = labels[known] == 1
    resamples: NDArray = with_both_classes(bound, weights[:, known])
    once: NDArray = np.ones((1, len(bound)), dtype=np.uint16)
    if prevalence is not None:
        once, resamples = (weights_at_prevalence(bound, each, prevalence) for each in (once, resamples))
    result: dict[str, dict[str, dict[str, float]]] = {}
    reference: dict[str, NDArray] = {}
    for name, score in scores.items():
        values = ranking_metrics(bound, score[known], once)
        resampled = ranking_metrics(bound, score[known], resamples)
        reference = reference or resampled
        result[name] = {}
        for metric, samples in resampled.items():
            entry = with_interval(values[metric][0], samples, confidence)
            if samples is not reference[metric]:
                gain = with_interval(0.0, reference[metric] - samples, confidence)
                entry |= {"gain_low": gain["low"], "gain_high": gain["high"]}
            result[name][metric] = entry
    return result
