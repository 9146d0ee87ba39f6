"""References: what DeepSHAP and integrated gradients compare a sequence with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of, one_hot_codes
from kipoi_tfbind.dna.random import content_seeds, random_sequences
from kipoi_tfbind.dna.shuffle import MAX_K, SHUFFLE_METHODS, klet_length, shuffle_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.memory import check_fits

REFERENCE_KINDS = (*SHUFFLE_METHODS, "random", "uniform", "mean_profile", "zeros")


def make_references(
    one_hot: NDArray,
    kind: str | ArrayLike = "dinucleotide_shuffle",
    n: int = 20,
    *,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Make the references of each sequence.

    N stays N: where a sequence has N, all of its references but those given as an array have a row of
    zeros, so that N differs from none of them and gets no contribution.

    Drawn at random, `n` references for each sequence:

    - ``"dinucleotide_shuffle"``: shuffles with the same first and last base and dinucleotide counts,
      and so the same base counts; the motifs are gone, CpG content and poly-A runs mostly are not.
    - ``"mononucleotide_shuffle"``: shuffles with the same base counts.
    - ``"klet_shuffle:K"``: shuffles with the same counts of all words of up to K bases, K from 1 to 8.
    - ``"random"``: every base with probability 1/4; nothing of the sequence is preserved but N.

    Determined by the sequence, one reference whatever `n`, and no DNA but a profile:

    - ``"uniform"``: 0.25 for each base.
    - ``"mean_profile"``: the frequency of each base in the sequence, the same at every position.
    - ``"zeros"``: N everywhere.

    Parameters
    ----------
    one_hot
        (sequence, position, base), bases in the order A, C, G, T; N is a row of zeros.
    kind
        One of the names above; or the references themselves: (reference, position, base) for all the
        sequences, or (sequence, reference, position, base).
    n
        Number of references that are drawn.
    seed
        A whole number from 0 on. The draws depend on it and on the sequence, not on the other sequences
        nor on `n`: those of a part of the sequences are a part of the draws.

    Returns
    -------
    references
        float32 (sequence, reference, position, base). References that all the sequences share are a
        read-only view of one copy. Memory grows with all four sizes; make them for some sequences at a time.

    Raises
    ------
    InputError
        An unknown kind, `n` below 1, a negative seed; sequences or references that have another shape, or
        values that are not one-hot or not finite.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
    >>> sequences = one_hot(["ACGATCGACTGAN"])
    >>> decode_one_hot(make_references(sequences, "dinucleotide_shuffle", 2)[0])
    ['ATCGACGACTGAN', 'ACGACGATCTGAN']
    >>> make_references(sequences, "mean_profile")[0, 0, [0, 12]].round(2)
    array([[0.33, 0.25, 0.25, 0.17],
           [0.  , 0.  , 0.  , 0.  ]], dtype=float32)
    """
    one_hot = np.asarray(one_hot)
    if one_hot.ndim != 3 or one_hot.shape[-1] != len(BASES):
        raise InputError(f"one_hot: expected shape (sequence, position, 4), got {one_hot.shape}")
    if n < 1:
        raise InputError(f"n: expected at least 1 reference, got {n}")
    if not isinstance(kind, str):
        return _given(kind, *one_hot.shape[:2])
    codes = codes_of(one_hot)
    if kind not in ("uniform", "mean_profile", "zeros"):
        n_bytes = 4 * len(BASES) * codes.size * float(n)
        check_fits("n_references", f"{n:,} references for {len(codes)} sequences", n_bytes, "take fewer")
    if kind == "random":
        return _random(codes, n, seed)
    if kind in ("uniform", "mean_profile", "zeros"):
        return _profile(codes, kind)
    if kind.partition(":")[0] not in [name.partition(":")[0] for name in SHUFFLE_METHODS]:
        raise _unknown_kind(kind)
    return one_hot_codes(shuffle_codes(codes, n, k=klet_length(kind), seed=seed))


def _random(codes: NDArray[np.uint8], n: int, seed: int) -> NDArray[np.float32]:
    references = np.empty((len(codes), n, codes.shape[1], len(BASES)), dtype=np.float32)
    for row, words in enumerate(content_seeds(codes, seed, "random references")):
        own_seed = int.from_bytes(words.astype("<u8").tobytes(), "little")
        references[row] = random_sequences(n, codes.shape[1], seed=own_seed)
        references[row, :, codes[row] == N_CODE] = 0
    return references


def _profile(codes: NDArray[np.uint8], kind: str) -> NDArray[np.float32]:
    """One reference for each sequence, the same at every position that is not N."""
    is_base = codes[..., np.newaxis] == np.arange(len(BASES))
    if kind == "mean_profile":
        counts = is_base.sum(axis=1)
        profile = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    else:
        profile = np.full((len(codes), len(BASES)), 0.25 if kind == "uniform" else 0.0)
    references = profile[:, np.newaxis] * is_base.any(axis=-1, keepdims=True)
    return references[:, np.newaxis].astype(np.float32)


def _given(references: ArrayLike, n_sequences: int, length: int) -> NDArray[np.float32]:
    """References of the user, one set of them for each sequence."""
    try:
        array = np.asarray(references, dtype=np.float32)
    except (TypeError, ValueError):
        raise _unknown_kind(references) from None
    if not array.ndim:
        raise _unknown_kind(references)
    n_references = array.shape[-3] if array.ndim >= 3 else 0
    shapes = ((n_references, length, len(BASES)), (n_sequences, n_references, length, len(BASES)))
    if array.shape not in shapes or not n_references:
        raise InputError(
            f"references: expected at least one, of shape (reference, {length}, 4) for all sequences or "
            f"({n_sequences}, reference, {length}, 4), got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise InputError("references: expected finite numbers, got NaN or infinity")
    return np.broadcast_to(array, shapes[1])


def _unknown_kind(kind: object) -> InputError:
    got = repr(kind) if isinstance(kind, str) else type(kind).__name__
    return InputError(
        f"references: expected {', '.join(REFERENCE_KINDS)} (K from 1 to {MAX_K}) or an array of numbers, "
        f"got {got}"
    )
