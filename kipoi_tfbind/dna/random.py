"""Random sequences, and seeds of random draws that depend on nothing but a sequence itself."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.dna.one_hot import BASES, one_hot_codes
from kipoi_tfbind.errors import InputError

_PROFILE_TOLERANCE = 0.01


def random_sequences(
    n: int, length: int, *, frequencies: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.float32]:
    """Random sequences whose bases are independent of each other.

    Parameters
    ----------
    n
        Number of sequences.
    length
        Their length.
    frequencies
        Probability of each base (base,), or of each base at each position (position, base); uniform by
        default. They sum to 1, but for rounding (0.01).
    seed
        A whole number from 0 on. The first sequences do not depend on how many follow.

    Returns
    -------
    one_hot
        float32 (sequence, position, base).

    Raises
    ------
    InputError
        Not at least one sequence and one base, a negative seed, or frequencies of another shape, negative,
        or with another sum.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot
    >>> decode_one_hot(random_sequences(2, 12, seed=1))
    ['GTATCCTCGATG', 'CTCCACACTCCT']
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot
    >>> decode_one_hot(random_sequences(1, 12, frequencies=[0.5, 0, 0, 0.5]))
    ['TAAATTTTTTTA']
    """
    if n < 1 or length < 1:
        raise InputError(f"n, length: expected at least one sequence and one base, got {n} and {length}")
    steps = np.cumsum(_base_profile(frequencies, length), axis=-1)
    # The last step is 1 exactly, and so are those before it where the last bases never occur.
    steps /= steps[..., -1:]
    draws = np.random.default_rng(checked_seed(seed)).random((n, length))
    codes = np.zeros((n, length), dtype=np.uint8)
    for base in range(len(BASES) - 1):
        codes += draws >= steps[..., base]
    return one_hot_codes(codes)


def content_seeds(codes: NDArray[np.uint8], seed: int, purpose: str) -> NDArray[np.uint64]:
    """Seeds of random draws that depend on nothing but the sequence itself, a seed and a purpose.

    Parameters
    ----------
    codes
        uint8 base codes (sequence, position).
    seed
        A whole number from 0 on.
    purpose
        Purpose of the draws: those for different purposes are independent.

    Returns
    -------
    seeds
        uint64 (sequence, word): a hash (BLAKE2) of 256 bits for each sequence.

    Raises
    ------
    InputError
        A negative seed.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> seeds = content_seeds(encode_bases(["ACGT", "AAAA", "ACGT"]), 0, "shuffle 2")
    >>> seeds.shape, (seeds[0] == seeds[2]).all(), (seeds[0] == seeds[1]).any()
    ((3, 4), np.True_, np.False_)
    """
    prefix = hashlib.blake2b(f"{purpose} {checked_seed(seed)} ".encode(), digest_size=32)
    digests = []
    for row in np.ascontiguousarray(codes):
        digest = prefix.copy()
        digest.update(row.data)
        digests.append(digest.digest())
    # Little-endian on every machine.
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64).reshape(-1, 4)


def checked_seed(seed: int) -> int:
    """Return a seed; InputError where it is no whole number from 0 on."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed: expected a whole number from 0 on, got {seed!r}")
    return int(seed)


def _base_profile(frequencies: ArrayLike | None, length: int) -> NDArray[np.float64]:
    """Probabilities (base,) or (position, base), checked."""
    if frequencies is None:
        return np.full(len(BASES), 1 / len(BASES))
    profile = np.asarray(frequencies, dtype=np.float64)
    if profile.shape not in ((len(BASES),), (length, len(BASES))):
        raise InputError(
            f"frequencies: expected shape (4,) or ({length}, 4), one for each base, got {profile.shape}"
        )
    total = profile.sum(axis=-1)
    # Written so that NaN is refused.
    if not ((profile >= 0).all() and (np.abs(total - 1) <= _PROFILE_TOLERANCE).all()):
        worst = total.flat[np.argmax(np.abs(total - 1))]
        raise InputError(
            "frequencies: expected probabilities from 0 on that sum to 1, got a smallest of "
            f"{profile.min():.6g} and a sum of {worst:.6g}"
        )
    return profile
