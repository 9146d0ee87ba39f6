"""Tests of whether a model has learned a factor: its motif, or only what surrounds bound sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from kipoi_tfbind.dna.shuffle import shuffle_codes
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.read import read_jaspar

LEARNED, CONTEXT_ONLY, TOO_FEW_PEAKS = "learned", "context only", "too few peaks"

# A response of one nat multiplies the odds of binding by 2.7. A factor with fewer bound bins than this to
# train on is said to have too few peaks where its motif is not learned.
LEAST_RESPONSE, LEAST_AUROC, FEW_BINS = 0.5, 0.6, 1000
N_BACKGROUNDS, _N_POSITIVES = 100, 250

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def what_is_learned(
    predict: Predict,
    codes: NDArray[np.uint8],
    labels: NDArray[np.int8],
    motifs: Mapping[str, str],
    targets: list[str],
    n_training: NDArray[np.int64],
    *,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Own-motif response, bound windows against their shuffles, and a verdict, for each target.

    Parameters
    ----------
    predict
        Base codes (sequence, position) -> log-odds (sequence, target).
    codes, labels
        Held-out windows (window, position) and their labels (window, target).
    motifs
        Target -> JASPAR matrix id, where it has one.
    targets
        Names of the targets.
    n_training
        Bound bins to train on (target).
    seed
        Of the choice of windows and of the shuffles.

    Returns
    -------
    dict
        target -> `own_motif` (`matrix`, `value`, `low`, `high`: log-odds), `best_motif` (the matrix that
        raises the target most, and by how much), `shuffles` (`auroc`, `low`, `high`, `n`), `verdict`.
    """
    rng = np.random.default_rng(seed)
    unbound = np.flatnonzero((labels == 0).all(axis=1))
    chosen = np.sort(rng.choice(unbound, min(len(unbound), N_BACKGROUNDS), replace=False))
    backgrounds = shuffle_codes(codes[chosen], 1, seed=seed)[:, 0]
    effects = {matrix: motif_response(predict, backgrounds, matrix, seed) for matrix in {*motifs.values()}}
    result = {}
    for column, target in enumerate(targets):
        entry: dict[str, Any] = {
            "shuffles": _against_shuffles(predict, codes, labels[:, column], column, seed)
        }
        matrix = motifs.get(target)
        if matrix:
            entry["own_motif"] = {"matrix": matrix, **_interval(effects[matrix][:, column])}
        if effects:
            best = max(effects, key=lambda name: effects[name][:, column].mean())
            entry["best_motif"] = {"matrix": best, "value": float(effects[best][:, column].mean())}
        entry["verdict"] = verdict(entry, int(n_training[column]))
        result[target] = entry
    return result


def motif_response(
    predict: Predict, backgrounds: NDArray[np.uint8], matrix_id: str, seed: int = 0
) -> NDArray[np.float64]:
    """Log-odds with a motif's consensus in the middle minus log-odds with its scramble, (background, target).

    The scramble has the consensus' bases in a random order, drawn anew for each background, so that the
    pair differs in nothing but the motif (global importance analysis, Koo et al. 2021,
    doi:10.1371/journal.pcbi.1008925). Mean over the motif and its reverse complement.

    Parameters
    ----------
    backgrounds
        Base codes (background, position).
    """
    motif = read_jaspar(matrix_id).consensus()
    start = (backgrounds.shape[1] - len(motif)) // 2
    rng = np.random.default_rng(seed)
    both = []
    for strand in (motif, motif.reverse_complement()):
        site = _codes_of(strand)
        with_motif, with_scramble = backgrounds.copy(), backgrounds.copy()
        with_motif[:, start : start + len(site)] = site
        with_scramble[:, start : start + len(site)] = rng.permuted(
            np.tile(site, (len(backgrounds), 1)), axis=1
        )
        both.append(predict(with_motif).astype(np.float64) - predict(with_scramble))
    return (both[0] + both[1]) / 2


def verdict(entry: Mapping[str, Any], n_training: int) -> str:
    """Verdict on a target from its own-motif response and its bound windows against their shuffles.

    Examples
    --------
    >>> shuffles = {"auroc": 0.8, "low": 0.75}
    >>> verdict({"own_motif": {"value": 2.0, "low": 1.5}, "shuffles": shuffles}, 3000)
    'learned'
    >>> verdict({"own_motif": {"value": 0.1, "low": -0.1}, "shuffles": shuffles}, 200)
    'too few peaks'
    """
    own, shuffles = entry.get("own_motif"), entry["shuffles"]
    answers = own is not None and own["low"] > 0 and own["value"] >= LEAST_RESPONSE
    if answers and shuffles["auroc"] >= LEAST_AUROC and shuffles["low"] > 0.5:
        return LEARNED
    return TOO_FEW_PEAKS if n_training < FEW_BINS else CONTEXT_ONLY


def _codes_of(motif: Motif) -> NDArray[np.uint8]:
    return motif.draw(np.zeros((1, len(motif))))[0]


def _interval(effects: NDArray[np.float64]) -> dict[str, float]:
    """Mean over backgrounds and its 95% interval."""
    half = norm.ppf(0.975) * effects.std(ddof=1) / np.sqrt(len(effects))
    mean = float(effects.mean())
    return {"value": mean, "low": float(mean - half), "high": float(mean + half)}


def _against_shuffles(
    predict: Predict, codes: NDArray[np.uint8], labels: NDArray[np.int8], column: int, seed: int
) -> dict[str, float]:
    """AUROC of bound windows against a dinucleotide shuffle of each; its interval from resampled pairs."""
    rng = np.random.default_rng(seed)
    bound = np.flatnonzero(labels == 1)
    bound = np.sort(rng.choice(bound, min(len(bound), _N_POSITIVES), replace=False))
    real = predict(codes[bound])[:, column]
    shuffled = predict(shuffle_codes(codes[bound], 1, seed=seed)[:, 0])[:, column]
    truth = np.repeat([1, 0], len(bound))
    samples = []
    for _ in range(200):
        rows = rng.integers(len(bound), size=len(bound))
        samples.append(roc_auc_score(truth, np.concatenate([real[rows], shuffled[rows]])))
    low, high = np.quantile(samples, [0.025, 0.975])
    auroc = float(roc_auc_score(truth, np.concatenate([real, shuffled])))
    return {"auroc": auroc, "low": float(low), "high": float(high), "n": len(bound)}
