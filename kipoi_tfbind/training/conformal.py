"""Split conformal prediction: for a bin, the set of labels that held-out bins do not speak against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.training.metrics import with_interval

LEVEL = 0.9


@dataclass(frozen=True)
class LabelSets:
    """Thresholds on log-odds that give each sequence a set of labels: bound, not bound, both, or neither.

    Attributes
    ----------
    bound
        The set has "bound" from these log-odds on.
    unbound
        The set has "not bound" up to these log-odds.
    level
        Share of bound sequences whose set has "bound", and of unbound ones whose set has "not bound".
    """

    bound: float
    unbound: float
    level: float

    def sets(self, log_odds: NDArray) -> NDArray[np.bool_]:
        """Sets (sequence, label), the labels being not bound and bound.

        Examples
        --------
        >>> LabelSets(bound=-1.0, unbound=1.0, level=0.9).sets(np.array([-2.0, 0.0, 2.0])).tolist()
        [[True, False], [True, True], [False, True]]
        """
        return np.stack([log_odds <= self.unbound, log_odds >= self.bound], axis=1)


def fit_label_sets(log_odds: NDArray, labels: NDArray[np.int8], level: float = LEVEL) -> LabelSets | None:
    """Thresholds from held-out bins, each class by itself, so that the rare class is covered as well.

    Split (Papadopoulos et al. 2002), class-conditional conformal prediction (Vovk 2012,
    arXiv:1209.2673): of n held-out bins of a class, the ceil((n + 1) * level)-th in the order of how well
    they conform is the last that is covered. A new bin of that class, exchangeable with them, is covered
    with a probability between `level` and `level` + 1 / (n + 1).

    Parameters
    ----------
    log_odds
        (bin), of bins that did not train the model.
    labels
        (bin): 1 bound, 0 not bound, -1 ambiguous.
    level
        Share to cover.

    Returns
    -------
    LabelSets or None
        None where a class has too few bins for any threshold: fewer than level / (1 - level).

    Examples
    --------
    >>> fit_label_sets(np.arange(20.0), np.repeat([0, 1], 10).astype(np.int8), 0.8)
    LabelSets(bound=11.0, unbound=8.0, level=0.8)
    """
    thresholds = []
    for conformity in (log_odds[labels == 1], -log_odds[labels == 0]):
        last = int(np.ceil((len(conformity) + 1) * level - 1e-9))
        if last > len(conformity):
            return None
        thresholds.append(np.sort(conformity)[len(conformity) - last])
    return LabelSets(float(thresholds[0]), float(-thresholds[1]), level)


def coverage(
    label_sets: LabelSets,
    log_odds: NDArray,
    labels: NDArray[np.int8],
    weights: NDArray,
    confidence: float = 0.95,
) -> dict[str, dict[str, float]]:
    """Share of bins whose set has their label, by class, with block-bootstrap intervals.

    Parameters
    ----------
    log_odds, labels
        (bin), of bins that neither trained the model nor gave the thresholds; -1 is left out.
    weights
        (resample, bin).

    Returns
    -------
    dict
        `"bound"` and `"unbound"` (shares covered), and `"both"` (share of all bins whose set has both
        labels) -> `value`, `low`, `high`.
    """
    sets = label_sets.sets(log_odds)
    parts: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {
        "bound": (labels == 1, sets[:, 1]),
        "unbound": (labels == 0, sets[:, 0]),
        "both": (labels >= 0, sets[:, 0] & sets[:, 1]),
    }
    result = {}
    for name, (rows, hit) in parts.items():
        resampled = weights[:, rows].astype(np.float64)
        resampled = resampled[resampled.sum(axis=1) > 0]
        shares = resampled @ hit[rows] / resampled.sum(axis=1)
        result[name] = with_interval(hit[rows].mean(), shares, confidence)
    return result
