"""Scores of variants: what is made of the predictions for both alleles, and how each is called in a VCF.

With r and a for the output of the model for the reference and the alternative allele (the logit where the
model ends in a sigmoid or softmax), and p(x) = 1 / (1 + exp(-x)) where the output is a logit, else p(x) = x:

================= ==========================================================================================
logit_difference  logit(p(a)) - logit(p(r)), natural logarithm; a - r where the output is a logit; missing for
                  outputs that are neither logits nor probabilities
signal_difference p(a) - p(r)
log2_fold_change  log2(p(a) / p(r)); missing where one of them is not positive
jensen_shannon    of all targets or positions t of a profile, with P = p(r_t) / sum p(r) and Q likewise:
                  sqrt((KL(P | M) + KL(Q | M)) / 2), M = (P + Q) / 2, logarithm to base 2; from 0 to 1 (Endres
                  and Schindelin 2003, doi:10.1109/TIT.2003.813506); missing for one target
largest           the difference of logits (or signals) of the target where its magnitude is largest
================= ==========================================================================================

With a softmax, p is that of the two-class case; ask for ``output="probability"`` to have the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit, rel_entr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.variants.predictions import AllelePredictions


@dataclass(frozen=True)
class Score:
    """A score, as options, Datasets and files call it.

    Attributes
    ----------
    name
        Name of its option and variable.
    key
        Its part of the keys in a VCF's INFO.
    meaning
        Its formula, for the header of a VCF.
    by_target
        Whether there is one for each target.
    """

    name: str
    key: str
    meaning: str
    by_target: bool = True


SCORES = {
    score.name: score
    for score in (
        Score("ref_prediction", "REF", "output for the reference allele"),
        Score("alt_prediction", "ALT", "output for the alternative allele"),
        Score("logit_difference", "DLOGIT", "difference of logits, alternative minus reference"),
        Score("signal_difference", "DIFF", "difference of probabilities or signals, ALT minus reference"),
        Score("log2_fold_change", "LFC", "log2 of the ratio of probabilities or signals, ALT to REF"),
        Score(
            "window_spread",
            "SPREAD",
            "largest difference of one window's effect from the mean",
        ),
        Score("member_sd", "MSD", "standard deviation of the difference of outputs over the ensemble"),
        Score("agreeing", "AGREE", "members of the ensemble whose difference has the sign of the mean"),
        *(
            Score(f"haplotype_{number}_{name}", f"H{number}_{key}", f"haplotype {number}: {meaning}")
            for number in (1, 2)
            for name, key, meaning in (
                ("effect", "EFFECT", "output with the haplotype's alleles, minus the same without this one"),
                ("joint_minus_sum", "JOINT", "effect of all alleles together minus the sum of each alone"),
            )
        ),
        Score("effect_p_value", "P", "two-sided p-value of the effect among null variants"),
        Score("effect_q_value", "Q", "Benjamini-Hochberg q-value of P over all alleles of the file"),
        Score("effect_quantile", "QUANTILE", "share of the null effects below the effect"),
        Score("effect_tail_fit", "TAILFIT", "p-value of the fit of the nulls' tail, where P is from it"),
        Score("n_nulls", "NULLS", "number of null variants that the p-value is from"),
        Score("ref_quantile", "REFQ", "share of peaks with a lower output than the reference allele"),
        Score("alt_quantile", "ALTQ", "share of peaks with a lower output than the alternative allele"),
        Score("jensen_shannon", "JSD", "Jensen-Shannon distance of the targets' shares, base 2", False),
        Score("largest", "MAX", "difference of logits (or outputs) of the target where it is largest", False),
    )
}


def default_scores(n_targets: int, output: str, n_members: int) -> list[str]:
    """Scores that are written where none are asked for: few keys, however many targets.

    Examples
    --------
    >>> default_scores(1, "logit", 1)
    ['ref_prediction', 'alt_prediction', 'logit_difference', 'window_spread']
    >>> default_scores(19, "logit", 1)
    ['logit_difference', 'jensen_shannon', 'largest']
    """
    effect = "signal_difference" if output == "raw" else "logit_difference"
    if n_targets > 24:
        return ["jensen_shannon", "largest"]
    if n_targets > 4:
        return [effect, "jensen_shannon", "largest"]
    some = ["ref_prediction", "alt_prediction", effect, "window_spread"]
    return some + (["member_sd", "agreeing"] if n_members > 1 else [])


def haplotype_scores() -> list[str]:
    """Names of the scores that a sample is needed for."""
    return [name for name in SCORES if name.startswith("haplotype_")]


def null_scores(*, peaks: bool) -> list[str]:
    """Names of the scores that null variants, or peaks, are needed for."""
    names = ["effect_p_value", "effect_q_value", "effect_quantile", "effect_tail_fit", "n_nulls"]
    return names + (["ref_quantile", "alt_quantile"] if peaks else [])


def check_scores(names: Sequence[str]) -> None:
    """Check the names of scores.

    Raises
    ------
    InputError
        None is given, or one is not known.
    """
    for name in names:
        if name not in SCORES:
            raise InputError(f"scores: expected some of {', '.join(SCORES)}, got {name!r}")
    if not names:
        raise InputError(f"scores: expected some of {', '.join(SCORES)}, got none")


def scores_of(found: AllelePredictions, output: str) -> dict[str, NDArray]:
    """All scores of alleles: (allele, target), or (allele) of those that are of all targets together.

    Parameters
    ----------
    found
        Predictions for both alleles.
    output
        "logit", "probability", or "raw".

    Examples
    --------
    >>> zero = np.zeros((1, 2))
    >>> found = AllelePredictions(zero, np.array([[1.0, -2.0]]), zero, zero, zero, zero)
    >>> scores = scores_of(found, "logit")
    >>> scores["logit_difference"].tolist(), scores["largest"].tolist(), scores["largest_target"].tolist()
    ([[1.0, -2.0]], [-2.0], [1])
    """
    ref, alt = found.ref, found.alt
    with np.errstate(divide="ignore", invalid="ignore"):
        if output == "logit":
            p_ref, p_alt = expit(ref), expit(alt)
            by_logit = alt - ref
            fold = (log_expit(alt) - log_expit(ref)) / np.log(2)
        else:
            p_ref, p_alt = ref, alt
            by_logit = logit(alt) - logit(ref) if output == "probability" else np.full_like(ref, np.nan)
            fold = np.where((ref > 0) & (alt > 0), np.log2(alt) - np.log2(ref), np.nan)
        distance = _jensen_shannon(p_ref, p_alt)
    difference = p_alt - p_ref
    effect = difference if output == "raw" else by_logit
    largest = np.abs(np.nan_to_num(effect)).argmax(axis=1)
    return {
        "ref_prediction": ref,
        "alt_prediction": alt,
        "logit_difference": by_logit,
        "signal_difference": difference,
        "log2_fold_change": fold,
        "window_spread": found.window_spread,
        "member_sd": found.member_sd,
        "agreeing": found.agreeing,
        "jensen_shannon": distance,
        "largest": effect[np.arange(len(effect)), largest],
        "largest_target": largest,
    }


def _jensen_shannon(p: NDArray, q: NDArray) -> NDArray:
    """Distance (allele) of two signals (allele, target); missing where one has no signal."""
    if p.shape[1] < 2:
        return np.full(len(p), np.nan)
    usable = (np.nan_to_num(p) >= 0).all(axis=1) & (np.nan_to_num(q) >= 0).all(axis=1)
    seen = np.isfinite(p) & np.isfinite(q)
    p, q = np.where(seen, p, 0), np.where(seen, q, 0)
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    divergence = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2 / np.log(2)
    return np.where(usable, np.sqrt(np.maximum(divergence, 0)), np.nan)
