"""Baselines that a trained model has to beat: motifs, k-mers, composition, boosted motif scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, one_hot_codes, reverse_complement_codes
from kipoi_tfbind.motifs.read import jaspar_counts

_PSEUDOCOUNT = 0.8
_CHUNK = 10_000
_IN_CACHE = 32  # sequences whose scores at all positions stay in the processor's cache
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


def best_motif_scores(
    codes: NDArray[np.uint8], matrices: Sequence[NDArray[np.float64]]
) -> NDArray[np.float32]:
    """Best scores (sequence, motif) of many motifs, all at once; see :func:`best_motif_score`.

    A match may not reach over the ends. Single precision: good for ranking and for a model's features.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> tata = np.array([[-2.0, -2, -2, 2], [2, -2, -2, -2], [-2, -2, -2, 2], [2, -2, -2, -2]])
    >>> best_motif_scores(encode_bases(["CCTATAC"]), [tata, tata[:2]]).tolist()
    [[8.0, 4.0]]
    """
    scores = np.empty((len(codes), len(matrices)), dtype=np.float32)
    n_positions, width = codes.shape[1], max(map(len, matrices), default=1)
    kernel = np.zeros((width, len(BASES), 2, len(matrices)), dtype=np.float32)
    for index, matrix in enumerate(matrices):
        kernel[: len(matrix), :, 0, index], kernel[: len(matrix), :, 1, index] = matrix, matrix[::-1, ::-1]
    # A narrow motif fits further to the right than a wide one: the windows there are filled up with N.
    filled = np.pad(codes, ((0, 0), (0, width - 1)), constant_values=N_CODE)
    last = np.array([n_positions - len(matrix) for matrix in matrices])
    beyond = np.where(np.arange(n_positions)[:, None] <= last, np.float32(0), -np.float32(np.inf))
    for start in range(0, len(codes), _IN_CACHE):
        bases = np.ascontiguousarray(one_hot_codes(filled[start : start + _IN_CACHE]))
        windows = np.lib.stride_tricks.sliding_window_view(bases, width, axis=1).swapaxes(2, 3)
        values = windows.reshape(-1, 4 * width) @ kernel.reshape(4 * width, -1)
        by_strand = values.reshape(len(bases), n_positions, 2, len(matrices))
        best = np.maximum(by_strand[:, :, 0], by_strand[:, :, 1]) + beyond
        scores[start : start + len(bases)] = best.max(axis=1)
    return scores


def composition(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """GC content and CpG dinucleotides per base, of each sequence and their squares: (sequence, 4).

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> composition(encode_bases(["ACGT"])).tolist()
    [[0.5, 0.25, 0.25, 0.0625]]
    """
    gc = ((codes == 1) | (codes == 2)).mean(axis=1)
    cpg = ((codes[:, :-1] == 1) & (codes[:, 1:] == 2)).sum(axis=1) / codes.shape[1]
    return np.stack([gc, cpg, gc**2, cpg**2], axis=1).astype(np.float32)


def composition_scores(
    training: NDArray[np.float32], labels: NDArray[np.int8], held_out: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Scores (sequence) of a logistic model on composition, fitted to the training bins of one target."""
    known = labels >= 0
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return model.fit(training[known], labels[known] == 1).decision_function(held_out)


def boosting_scores(
    training: NDArray[np.float32], labels: NDArray[np.int8], held_out: NDArray[np.float32], seed: int
) -> NDArray[np.float64]:
    """Scores (sequence) of boosted trees on motif scores and composition, of one target."""
    known = labels >= 0
    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.08, max_leaf_nodes=15, l2_regularization=1.0, random_state=seed
    )
    return model.fit(training[known], labels[known] == 1).decision_function(held_out)


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
