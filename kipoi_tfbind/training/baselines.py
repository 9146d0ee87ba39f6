"""What a trained model has to beat on the same bins: the best motif score, and a k-mer logistic model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit

from kipoi_tfbind.dna.one_hot import N_CODE, reverse_complement_codes
from kipoi_tfbind.motifs.read import jaspar_counts

_PSEUDOCOUNT = 0.8
_CHUNK = 10_000
# Of the k-mer model, chosen by AUPRC in validation: similarity of two k-mers per base that differs, L2
# penalty, and iterations, which penalise too (the likelihood would go on rising long after).
_SIMILARITY, _L2, _ITERATIONS = 0.08, 30.0, 20


def jaspar_log_odds(matrix_id: str) -> NDArray[np.float64]:
    """Log-odds matrix (position, base) of a JASPAR profile, against a uniform background, in bits.

    Parameters
    ----------
    matrix_id
        Such as ``"MA0139.1"``; without a version, the latest of JASPAR 2024.

    Raises
    ------
    InputError
        JASPAR has no such matrix.
    MissingProgramError
        pyjaspar is not installed.
    """
    counts = jaspar_counts(matrix_id)[1] + _PSEUDOCOUNT / 4
    return np.log2(counts / counts.sum(axis=1, keepdims=True) / 0.25)


def best_motif_score(codes: NDArray[np.uint8], log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best score of a motif on either strand of each sequence.

    Parameters
    ----------
    codes
        Base codes (sequence, position); an N scores 0 wherever it lies.
    log_odds
        (position of the motif, base).

    Returns
    -------
    scores
        (sequence).

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> tata = np.array([[-2.0, -2, -2, 2], [2, -2, -2, -2], [-2, -2, -2, 2], [2, -2, -2, -2]])
    >>> best_motif_score(encode_bases(["CCTATAC", "CCCATGC"]), tata).tolist()
    [8.0, 0.0]
    """
    both = (log_odds, log_odds[::-1, ::-1])
    return np.concatenate(
        [
            np.maximum(*(_scan(codes[start : start + _CHUNK], matrix) for matrix in both))
            for start in range(0, len(codes), _CHUNK)
        ]
    )


def _scan(codes: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best score over positions, one strand."""
    table = np.hstack([matrix, np.zeros((len(matrix), 1))])  # the last column is N
    n_positions = codes.shape[1] - len(matrix) + 1
    scores = np.zeros((len(codes), n_positions))
    for offset, column in enumerate(table):
        scores += column[codes[:, offset : offset + n_positions]]
    return scores.max(axis=1)


def kmer_counts(codes: NDArray[np.uint8], k: int = 10) -> csr_matrix:
    """Counts of the k-mers of each sequence, a k-mer and its reverse complement counted as one.

    Parameters
    ----------
    codes
        Base codes (sequence, position). k-mers with an N are not counted.

    Returns
    -------
    counts
        Sparse (sequence, k-mer); columns of the larger of a pair of complements stay empty.
    """
    chunks = [_kmer_rows(codes[start : start + _CHUNK], k) for start in range(0, len(codes), _CHUNK)]
    lengths = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(chunk.indptr) for chunk in chunks]))])
    data = np.concatenate([chunk.data for chunk in chunks])
    counts = csr_matrix(
        (data, np.concatenate([chunk.indices for chunk in chunks]), lengths), (len(codes), 4**k)
    )
    counts.sum_duplicates()
    return counts


def _kmer_rows(codes: NDArray[np.uint8], k: int) -> csr_matrix:
    known = (np.lib.stride_tricks.sliding_window_view(codes, k, axis=1) != N_CODE).all(axis=-1)
    twins = _kmer_numbers(reverse_complement_codes(codes), k)[:, ::-1]
    canonical = np.minimum(_kmer_numbers(codes, k), twins)
    indptr = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    return csr_matrix((np.ones(indptr[-1], np.float32), canonical[known], indptr), (len(codes), 4**k))


def _kmer_numbers(codes: NDArray[np.uint8], k: int) -> NDArray[np.int32]:
    """Each k-mer (sequence, position) as a number to the base 4, the first letter the most significant."""
    n_positions = codes.shape[1] - k + 1
    numbers = np.zeros((len(codes), n_positions), dtype=np.int32)
    for offset in range(k):
        numbers = 4 * numbers + codes[:, offset : offset + n_positions]
    return numbers


def kmer_model_scores(
    training: csr_matrix, labels: NDArray[np.int8], held_out: csr_matrix
) -> NDArray[np.float64]:
    """Scores (sequence) of a logistic model on k-mer counts, fitted to the training bins of one target.

    Similar k-mers share their evidence, as in a gapped k-mer SVM (Ghandi et al. 2014): the weight of a
    k-mer is a sum of effects over all k-mers, each damped for every base that differs, and the penalty
    is on the effects. Without that, k-mers long enough for a motif are seen too rarely to be learned.

    Parameters
    ----------
    training, held_out
        From :func:`kmer_counts`, (sequence, k-mer).
    labels
        (sequence) of the training bins; those labelled -1 are left out.
    """
    known = labels >= 0
    counts, bound = training[known], labels[known] == 1
    log_odds = np.log((bound.sum() + 1) / ((~bound).sum() + 1))

    def penalised_loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        effects, bias = parameters[:-1].astype(np.float32), parameters[-1] + log_odds
        logits = counts @ _shared(effects) + bias
        residuals = (expit(logits) - bound).astype(np.float32)
        gradient = _shared(_both_strands(counts.T @ residuals)) + _L2 * effects
        loss = np.logaddexp(0, logits).sum() - logits[bound].sum() + _L2 / 2 * effects @ effects
        return float(loss), np.append(gradient, residuals.sum()).astype(np.float64)

    start = np.zeros(training.shape[1] + 1)
    fitted = minimize(
        penalised_loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS, "maxcor": 5}
    )
    return held_out @ _shared(fitted.x[:-1])


def _shared(effects: NDArray) -> NDArray:
    """Weights (k-mer): the sum of all effects, each times `_SIMILARITY` per base that differs."""
    alike = np.full((4, 4), _SIMILARITY, dtype=effects.dtype)
    np.fill_diagonal(alike, 1)
    for _ in range(_n_bases(effects)):
        # The last base is mixed and becomes the first, so that each has its turn.
        effects = (alike @ effects.reshape(-1, 4).T).reshape(-1)
    return effects


def _both_strands(values: NDArray) -> NDArray:
    """Mean over each k-mer (k-mer) and its reverse complement."""
    by_base = values.reshape((4,) * _n_bases(values))
    return (values + np.flip(by_base.transpose()).reshape(-1)) / 2


def _n_bases(kmers: NDArray) -> int:
    return (len(kmers).bit_length() - 1) // 2
