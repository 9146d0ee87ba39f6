"""Shuffles: random sequences that keep some of the composition of a given one.

Arrays only. A shuffle that preserves k-lets is drawn uniformly from all the sequences that have exactly as
many of each k-let (k bases in a row) and begin with the same k - 1 bases; they end with the same k - 1
bases too. Common code draws the order of the edges and keeps the last edge of each node as it was, and so
reaches only some of those sequences.

N stays in its place and splits the sequence: every stretch between Ns is shuffled for itself, so that
k-lets are counted within the stretches, and no base crosses an N.

The draws are made from the seed, k and the sequence itself. They depend neither on the order or number of
the sequences they are made with, nor on the machine, and the first draws do not depend on how many follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of, one_hot_codes
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError

# The tables of k-lets have 4**k entries; and in some kb few longer words occur twice, so that little moves.
MAX_K = 8
SHUFFLE_METHODS = ("dinucleotide_shuffle", "mononucleotide_shuffle", "klet_shuffle:K")


def dinucleotide_shuffle(one_hot: NDArray, n: int, *, seed: int = 0) -> NDArray:
    """Shuffle a sequence and preserve how often each base follows each other one.

    Uniform over all sequences with the same first base and the same dinucleotide counts (Altschul and
    Erickson 1985, doi:10.1093/oxfordjournals.molbev.a040370); they share base counts and last base too.
    N stays in its place, and each stretch between Ns is shuffled for itself.

    Parameters
    ----------
    one_hot
        One sequence (position, base), bases in the order A, C, G, T; N is a row of zeros.
    n
        Number of shuffles.
    seed
        A whole number from 0 on. The draws depend on it and on the sequence.

    Returns
    -------
    shuffled
        (draw, position, base), of the type of `one_hot`. Equal draws occur; a short or simple sequence
        has few shuffles, perhaps none but itself.

    Raises
    ------
    InputError
        Another shape, a row that is neither a base nor zeros, `n` below 1, or a negative seed.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
    >>> decode_one_hot(dinucleotide_shuffle(one_hot(["ACGATCGACTGANNAAC"])[0], 3, seed=1))
    ['ACGACTCGATGANNAAC', 'ACGACTGATCGANNAAC', 'ATGACGACTCGANNAAC']
    """
    return klet_shuffle(one_hot, n, k=2, seed=seed)


def mononucleotide_shuffle(one_hot: NDArray, n: int, *, seed: int = 0) -> NDArray:
    """Shuffle a sequence and preserve how often each base occurs, nothing else.

    Every order of the bases of a stretch between Ns is equally probable; N stays in its place.

    Parameters
    ----------
    one_hot
        One sequence (position, base), bases in the order A, C, G, T; N is a row of zeros.
    n
        Number of shuffles.
    seed
        A whole number from 0 on. The draws depend on it and on the sequence.

    Returns
    -------
    shuffled
        (draw, position, base), of the type of `one_hot`.

    Raises
    ------
    InputError
        As `dinucleotide_shuffle`.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
    >>> decode_one_hot(mononucleotide_shuffle(one_hot(["AACCGNT"])[0], 3))
    ['ACGACNT', 'CCAAGNT', 'ACACGNT']
    """
    return klet_shuffle(one_hot, n, k=1, seed=seed)


def klet_shuffle(one_hot: NDArray, n: int, *, k: int, seed: int = 0) -> NDArray:
    """Shuffle a sequence and preserve how often each k-let (k bases in a row) occurs.

    Uniform over all sequences with the same first k - 1 bases and the same k-let counts: Altschul and
    Erickson's method (1985, doi:10.1093/oxfordjournals.molbev.a040370) on (k-1)-mers. Counts of shorter
    words are preserved too, and the last k - 1 bases. N stays in its place, and each stretch between Ns is
    shuffled for itself.

    Parameters
    ----------
    one_hot
        One sequence (position, base), bases in the order A, C, G, T; N is a row of zeros.
    n
        Number of shuffles.
    k
        Length of the words, 1 to 8; 2 is `dinucleotide_shuffle`.
    seed
        A whole number from 0 on. The draws depend on it, on `k` and on the sequence.

    Returns
    -------
    shuffled
        (draw, position, base), of the type of `one_hot`.

    Raises
    ------
    InputError
        As `dinucleotide_shuffle`, or `k` is not from 1 to 8.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
    >>> decode_one_hot(klet_shuffle(one_hot(["ACATACGACATGACA"])[0], 3, k=3))
    ['ACATGACATACGACA', 'ACATGACGACATACA', 'ACATACGACATGACA']
    """
    array = np.asarray(one_hot)
    if array.ndim != 2 or array.shape[1] != len(BASES):
        raise InputError(
            f"one_hot: expected one sequence (position, 4), got shape {array.shape}; "
            "use shuffle_batch for several sequences"
        )
    shuffled = shuffle_codes(codes_of(array[np.newaxis]), n, k=k, seed=seed)
    return one_hot_codes(shuffled[0], array.dtype)


def shuffle_batch(
    one_hot: NDArray, n: int, *, method: str = "dinucleotide_shuffle", seed: int = 0
) -> NDArray:
    """Shuffle many sequences; the draws of each are those that it would have on its own.

    Parameters
    ----------
    one_hot
        (sequence, position, base), bases in the order A, C, G, T; N is a row of zeros.
    n
        Number of shuffles of each sequence.
    method
        "dinucleotide_shuffle", "mononucleotide_shuffle", or "klet_shuffle:K" with K from 1 to 8.
    seed
        A whole number from 0 on.

    Returns
    -------
    shuffled
        (sequence, draw, position, base), of the type of `one_hot`. In float32 these are 16 bytes for
        each base of each draw; `shuffle_codes` gives the same draws in one byte.

    Raises
    ------
    InputError
        As `klet_shuffle`, or an unknown method.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
    >>> sequences = one_hot(["ACGATCGACTGA", "AACGTTGCAAGC"])
    >>> shuffle_batch(sequences, 20).shape
    (2, 20, 12, 4)
    """
    array = np.asarray(one_hot)
    return one_hot_codes(shuffle_codes(codes_of(array), n, k=klet_length(method), seed=seed), array.dtype)


def shuffle_codes(codes: NDArray[np.uint8], n: int, *, k: int = 2, seed: int = 0) -> NDArray[np.uint8]:
    """Shuffle sequences of base codes: the compact form of `shuffle_batch`.

    Parameters
    ----------
    codes
        uint8 (sequence, position): 0 to 3 for A, C, G, T and 4 for N.
    n
        Number of shuffles of each sequence.
    k
        Length of the words that are preserved, 1 to 8.
    seed
        A whole number from 0 on.

    Returns
    -------
    shuffled
        uint8 (sequence, draw, position).

    Raises
    ------
    InputError
        Codes of another shape or type or above 4, `n` below 1, `k` not from 1 to 8, or a negative seed.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> shuffle_codes(encode_bases(["ACGATCGACTGA"]), 2)
    array([[[0, 1, 3, 1, 2, 0, 3, 2, 0, 1, 2, 0],
            [0, 1, 3, 1, 2, 0, 1, 2, 0, 3, 2, 0]]], dtype=uint8)
    """
    codes = np.ascontiguousarray(codes)
    if codes.dtype != np.uint8 or codes.ndim != 2 or (codes.size and codes.max() > N_CODE):
        raise InputError(
            "codes: expected uint8 base codes from 0 to 4 (sequence, position), got "
            f"{codes.dtype} of shape {codes.shape}; make them with encode_bases"
        )
    if n < 1:
        raise InputError(f"n: expected at least 1 shuffle, got {n}")
    if not 1 <= k <= MAX_K:
        raise InputError(f"k: expected a word length from 1 to {MAX_K}, got {k}")
    from kipoi_tfbind.dna import _shuffle_kernels

    return _shuffle_kernels.shuffle_codes(codes, n, k, content_seeds(codes, seed, f"shuffle {k}"))


def klet_length(method: str) -> int:
    """Length of the words that a shuffle preserves: k of a method's name.

    Raises
    ------
    InputError
        There is no such method.

    Examples
    --------
    >>> klet_length("dinucleotide_shuffle"), klet_length("klet_shuffle:3")
    (2, 3)
    """
    fixed = {"mononucleotide_shuffle": 1, "dinucleotide_shuffle": 2}
    if method in fixed:
        return fixed[method]
    name, _, k = str(method).partition(":")
    if name != "klet_shuffle" or not (k.isascii() and k.isdigit() and 1 <= int(k) <= MAX_K):
        raise InputError(
            f"method: expected {', '.join(SHUFFLE_METHODS)} (K from 1 to {MAX_K}), got {method!r}"
        )
    return int(k)
