"""Occurrences of a motif in sequences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.motifs.motif import Motif

_PSEUDOCOUNT = 0.01


class Site(NamedTuple):
    """Where a motif occurs.

    Attributes
    ----------
    start
        0-based position of its first base in the sequence.
    is_reverse
        Whether it is its reverse complement that occurs.
    score
        From 0, the worst possible, to 1, the best.
    """

    start: int
    is_reverse: bool
    score: float


def find_sites(codes: NDArray[np.uint8], motif: Motif, *, threshold: float = 0.85) -> list[list[Site]]:
    """Find the occurrences of a motif on both strands, in the order of their starts.

    Parameters
    ----------
    codes
        uint8 base codes (sequence, position).
    motif
        A consensus matches where every base is one that it allows; a matrix where its log-odds score against
        uniform bases, scaled from the worst (0) to the best (1) sequence, reaches `threshold`.
    threshold
        From 0 to 1; of a consensus it is not asked.

    Returns
    -------
    sites
        Of each sequence; one for each start, of the better strand. No site has an N, but under an N of the
        motif.

    Raises
    ------
    InputError
        A threshold that is not from 0 to 1.

    Examples
    --------
    >>> from kipoi_tfbind.motifs.read import parse_motif
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> [site[:2] for site in find_sites(encode_bases(["TTGATAAGTTCTTATC"]), parse_motif("GATAAG"))[0]]
    [(2, False), (10, True)]
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold: expected a number from 0 to 1, got {threshold}")
    width = len(motif)
    if codes.shape[1] < width:
        return [[] for _ in codes]
    matrix = motif.matrix[::-1, ::-1] if motif.is_reverse else motif.matrix
    forward, backward = (_scores(codes, each) for each in (matrix, matrix[::-1, ::-1]))
    best = np.maximum(forward, backward)
    least = 1.0 if _is_consensus(motif.matrix) else threshold
    return [
        [
            Site(int(s), bool(backward[row, s] > forward[row, s]), float(best[row, s]))
            for s in np.flatnonzero(hits)
        ]
        for row, hits in enumerate(best >= least - 1e-9)
    ]


def best_scores(codes: NDArray[np.uint8], motif: Motif) -> NDArray[np.float64]:
    """Score of the best site in each sequence, on either strand, as `Site.score`; -inf where there is none.

    Parameters
    ----------
    codes
        uint8 base codes (sequence, position), 4 for N.
    motif
        A motif.

    Examples
    --------
    >>> from kipoi_tfbind.motifs.read import parse_motif
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> best_scores(encode_bases(["TTGATAAGTT", "TTCTTATCTT", "NNNNNNNNNN"]), parse_motif("GATAAG")).tolist()
    [1.0, 1.0, -inf]
    """
    if codes.shape[1] < len(motif):
        return np.full(len(codes), -np.inf)
    strands = (_scores(codes, each) for each in (motif.matrix, motif.matrix[::-1, ::-1]))
    return np.maximum(*strands).max(axis=1)


def _is_consensus(matrix: NDArray[np.float64]) -> bool:
    """Whether every row allows some bases equally, and no other."""
    largest = matrix.max(axis=1, keepdims=True)
    return bool(((matrix == 0) | np.isclose(matrix, largest)).all())


def _scores(codes: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled scores (sequence, start), -inf where a base is N."""
    is_embedded = matrix.any(axis=1)
    log_odds = np.log2((matrix + _PSEUDOCOUNT) / (1 + 4 * _PSEUDOCOUNT) / 0.25)
    log_odds[~is_embedded] = 0
    table = np.hstack([log_odds, np.where(is_embedded, -np.inf, 0)[:, np.newaxis]])
    n_starts = codes.shape[1] - len(matrix) + 1
    scores = np.zeros((len(codes), n_starts))
    for offset, row in enumerate(table):
        scores += row[codes[:, offset : offset + n_starts]]
    worst, best = log_odds.min(axis=1).sum(), log_odds.max(axis=1).sum()
    return (scores - worst) / max(best - worst, np.finfo(float).tiny)
