"""Seqlets: the stretches of sequences whose contributions are more than chance gives."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._places import place_variables, recorded
from kipoi_tfbind.interpret._score_tracks import Result, ScoreTracks, read_tracks
from kipoi_tfbind.interpret._segments import p_values, q_values, segments


def find_seqlets(
    result: Result,
    null: Result,
    *,
    target: int | str = 0,
    fdr: float = 0.1,
    baseline: float = 0.8,
    min_length: int = 3,
) -> xr.Dataset:
    """Find the stretches of sequences with more contribution than those of the null have.

    Every maximal stretch whose scores sum to more than a baseline allows is a candidate, of positive and of
    negative contributions, each for itself. Its p-value is the share of the null's candidates that are at
    least as strong, and of these come the q-values, for both signs together. So a rate of false seqlets is
    kept where the null's sequences give chance contributions such as those beside the motifs.
    Read backwards, sequences have the same seqlets.

    Parameters
    ----------
    result
        Contributions of the sequences: a result of `deep_shap`, `gradients`, `in_silico_mutagenesis`,
        `occlusion` or `sampled_shapley`, or the file of one.
    null
        The same of sequences without motifs: dinucleotide shuffles of these (`shuffled_sequences`), or
        control regions. As many as the sequences, or more.
    target
        Index of the target, or its name.
    fdr
        Largest q-value of a seqlet.
    baseline
        A base counts with what its contribution is above this quantile of the null's.
    min_length
        Smallest number of bases of a seqlet.

    Returns
    -------
    xr.Dataset
        (seqlet): ``seqlet_sequence``, ``seqlet_start``, ``seqlet_end``, ``seqlet_contribution``,
        ``seqlet_score``, ``seqlet_p_value``, ``seqlet_q_value``, ``seqlet_strand``, and the contig's
        coordinates where the sequences have some; in the order of the sequences and positions.
        ``seqlet_score`` has the sign of the contributions.

    Raises
    ------
    InputError
        A result without contributions; a null of another method or model; numbers out of their ranges.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> from kipoi_tfbind.dna.one_hot import one_hot
    >>> from kipoi_tfbind.sequences.shuffled import shuffled_sequences
    >>> site = one_hot(["TGACTCA"])[0]
    >>> def best_match(x):
    ...     windows = np.lib.stride_tricks.sliding_window_view(x, site.shape, axis=(1, 2))
    ...     return (windows * site).sum(axis=(-2, -1)).max(axis=(1, 2)) ** 3
    >>> model = as_sequence_model(best_match, targets=["AP-1"])
    >>> sequences = encode_sequences(["CCGTTGTGACTCACCTTCGCATCC"])
    >>> null = shuffled_sequences(sequences, 50)
    >>> found = find_seqlets(*(in_silico_mutagenesis(model, each) for each in (sequences, null)))
    >>> found["seqlet_start"].values, found["seqlet_end"].values
    (array([6]), array([13]))
    """
    if not 0 < fdr <= 1 or not 0 < baseline < 1 or min_length < 1:
        raise InputError(
            "fdr, baseline, min_length: expected numbers from 0 to 1 and a length from 1 on, got "
            f"{fdr}, {baseline} and {min_length}"
        )
    tracks, nulls = read_tracks(result, target), read_tracks(null, target)
    check_null(tracks, nulls)
    known = nulls.scores[np.isfinite(nulls.scores)]
    scale = float(np.abs(known).mean()) if known.size else 0.0
    if not scale > 0:
        raise InputError("null: all of its contributions are 0; give sequences that the model responds to")
    parts = []
    for sign in (1, -1):
        level = max(float(np.quantile(sign * known, baseline)), 1e-3 * scale)
        sequence, start, end, excess = segments(sign * tracks.scores, level, scale, min_length=min_length)
        chance = segments(sign * nulls.scores, level, scale, min_length=min_length)[3]
        parts.append((sequence, start, end, sign * excess, p_values(excess, chance)))
    sequence, start, end, score, p = (np.concatenate(some) for some in zip(*parts, strict=True))
    q = q_values(p)
    kept = np.flatnonzero(q <= fdr)
    kept = kept[np.lexsort((start[kept], sequence[kept]))]
    variables = place_variables("seqlet", tracks, sequence[kept], start[kept], end[kept])
    values = {
        "contribution": stretch_sums(tracks.scores, sequence[kept], start[kept], end[kept]),
        "score": score[kept],
        "p_value": p[kept],
        "q_value": q[kept],
    }
    variables |= {f"seqlet_{name}": (("seqlet",), found) for name, found in values.items()}
    attributes = recorded("find_seqlets", tracks, nulls, fdr=fdr, baseline=baseline, min_length=min_length)
    return schema.annotate(xr.Dataset(variables, attrs=attributes))


def check_null(tracks: ScoreTracks, null: ScoreTracks) -> None:
    """Check that a null is of the same method, model and target.

    Raises
    ------
    InputError
        It is not, or it is the very result that is to be tested.
    """
    for name in ("method", "gradient_method", "model_hash", "output"):
        mine, other = (each.attributes.get(name) for each in (tracks, null))
        if mine != other:
            raise InputError(
                f"null: expected contributions of the same model and method, got {name} {other!r} beside "
                f"{mine!r}; make it with the same command on other sequences"
            )
    if tracks.target != null.target:
        raise InputError(f"null: has the target {null.target!r}, the result {tracks.target!r}")
    if tracks.codes.shape == null.codes.shape and (tracks.codes == null.codes).all():
        raise InputError("null: has the very sequences that are tested; give shuffled ones, or controls")


def stretch_sums(
    scores: NDArray, sequence: NDArray[np.intp], start: NDArray[np.intp], end: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Sum of the scores in each of many stretches; N counts nothing."""
    total = np.zeros((len(scores), scores.shape[1] + 1))
    np.cumsum(np.nan_to_num(scores), axis=1, out=total[:, 1:])
    return total[sequence, end] - total[sequence, start]
