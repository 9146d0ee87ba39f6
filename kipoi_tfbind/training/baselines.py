"""What a trained model has to beat on the same bins: the best motif score, and a k-mer logistic model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.one_hot import N_CODE, reverse_complement_codes

_PSEUDOCOUNT = 0.8
_CHUNK = 10_000


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
    try:
        from pyjaspar import jaspardb
    except ImportError:
        raise MissingProgramError("pyjaspar is not installed: pip install 'kipoi_tfbind[motifs]'") from None
    motif = jaspardb(release="JASPAR2024").fetch_motif_by_id(matrix_id)
    if motif is None:
        raise InputError(f"motif {matrix_id!r}: JASPAR 2024 has no such matrix")
    counts = np.array([motif.counts[base] for base in "ACGT"]).T + _PSEUDOCOUNT / 4
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
    >>> from kipoi_tfbind.one_hot import encode_bases
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


def kmer_counts(codes: NDArray[np.uint8], k: int = 6) -> csr_matrix:
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
    windows = np.lib.stride_tricks.sliding_window_view(codes, k, axis=1)
    known = (windows != N_CODE).all(axis=-1)
    place = 4 ** np.arange(k - 1, -1, -1)
    twin = np.lib.stride_tricks.sliding_window_view(reverse_complement_codes(codes), k, axis=1)[:, ::-1]
    canonical = np.minimum(windows @ place, twin @ place)
    indptr = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    return csr_matrix((np.ones(indptr[-1], np.float32), canonical[known], indptr), (len(codes), 4**k))


def kmer_model_scores(
    training: csr_matrix, labels: NDArray[np.int8], held_out: csr_matrix, seed: int
) -> NDArray[np.float64]:
    """Scores (sequence) of a logistic model on k-mer counts, fitted to the training bins of one target."""
    known = labels >= 0
    model = make_pipeline(
        MaxAbsScaler(), SGDClassifier(loss="log_loss", alpha=1e-5, class_weight="balanced", random_state=seed)
    )
    model.fit(training[known], labels[known])
    return model.decision_function(held_out)
