"""Backgrounds: the sequences that patterns are embedded in, and what each kind preserves.

A background that preserves little isolates a pattern; one that preserves much keeps the model on sequences
like those that it was trained on. `kipoi_tfbind.distribution_shift` says how far a model's predictions on the
backgrounds are from those on real sequences.

==========================  ====================================================================
kind                        what is preserved of the given sequences
==========================  ====================================================================
``uniform``                 nothing: each base with probability 1/4
``profile``                 the mean frequency of each base at each position
``mononucleotide_shuffle``  base counts of each sequence
``dinucleotide_shuffle``    dinucleotide counts of each sequence, its first and last base
``klet_shuffle:K``          counts of all words up to K bases of each sequence
``markov:K``                on average, how often each base follows each K bases
genomic windows             GC content of each sequence, and all else of the genome
==========================  ====================================================================
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of, decode_codes, decode_one_hot
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.dna.shuffle import SHUFFLE_METHODS, klet_length, shuffle_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.memory import check_fits
from kipoi_tfbind.sequences.read import encode_sequences

BACKGROUND_KINDS = ("uniform", "profile", *SHUFFLE_METHODS, "markov:K")
MAX_ORDER = 8
# One-hot in single precision, and a draw in double precision.
_BYTES_EACH_BASE = 24


def make_backgrounds(
    kind: str = "dinucleotide_shuffle",
    n: int = 1000,
    *,
    sequences: xr.Dataset | None = None,
    length: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Make background sequences.

    Parameters
    ----------
    kind
        One of:

        - ``"uniform"``: every base with probability 1/4, at each position of `length`; preserves nothing.
        - ``"profile"``: bases are independent; at each position they have the mean frequencies that
          `sequences` have there (of those that are not N).
        - ``"mononucleotide_shuffle"``, ``"dinucleotide_shuffle"``, ``"klet_shuffle:K"``: shuffles of the
          sequences in turn, uniform over all that preserve exactly the counts of 1-, 2- or K-letter words;
          N stays in its place. See `kipoi_tfbind.dna.shuffle`.
        - ``"markov:K"``: a Markov chain of order K, fitted to all sequences together: it preserves, on
          average, how often each base follows each K bases.
    n
        Number of backgrounds.
    sequences
        Dataset with ``one_hot``, for all kinds but ``"uniform"``.
    length
        Length in bp; by default that of `sequences`. For shuffles and the profile it has to be that.
    seed
        A whole number from 0 on.

    Returns
    -------
    xr.Dataset
        ``one_hot`` (sequence, position, base) with the coordinate ``id``; the attributes ``background`` (the
        kind) and ``background_seed``.

    Raises
    ------
    InputError
        An unknown kind, `n` below 1, no sequences where they are needed, or a length that does not fit.

    Examples
    --------
    >>> backgrounds = make_backgrounds("uniform", 2, length=12, seed=1)
    >>> decode_one_hot(backgrounds["one_hot"].values)
    ['GTATCCTCGATG', 'CTCCACACTCCT']
    >>> shuffled = make_backgrounds("dinucleotide_shuffle", 3, sequences=backgrounds)
    >>> shuffled["id"].values.tolist()
    ['0 shuffle 0', '1 shuffle 0', '0 shuffle 1']
    """
    if not isinstance(kind, str):
        raise InputError(f"background: expected one of {', '.join(BACKGROUND_KINDS)}, got {kind!r}")
    whole_number("n", n, least=1)
    whole_number("seed", seed)
    if length is not None:
        whole_number("length", length, least=1)
    width = length or (sequences.sizes.get("position", 1) if sequences is not None else 1)
    check_fits("n", f"{n:,} backgrounds of {width:,} bp", _BYTES_EACH_BASE * float(n) * width, "take fewer")
    attributes = {"background": kind, "background_seed": seed}
    if kind == "uniform":
        length = length or (sequences.sizes["position"] if sequences is not None else None)
        if length is None:
            raise InputError("length: expected the length of the backgrounds, or sequences that have it")
        return _labelled(random_sequences(n, length, seed=seed)).assign_attrs(attributes)
    codes = codes_of_sequences(sequences, kind)
    if kind.startswith("markov:"):
        drawn = _markov_chain(codes, n, length or codes.shape[1], _order(kind), seed)
        return encode_sequences(decode_codes(drawn)).assign_attrs(attributes)
    if length not in (None, codes.shape[1]):
        raise InputError(
            f"length: expected {codes.shape[1]}, that of the sequences, for {kind}; got {length}"
        )
    if kind == "profile":
        one_hot = random_sequences(n, codes.shape[1], frequencies=_profile(codes), seed=seed)
        return _labelled(one_hot).assign_attrs(attributes)
    if kind.partition(":")[0] not in [name.partition(":")[0] for name in SHUFFLE_METHODS]:
        raise InputError(f"background: expected one of {', '.join(BACKGROUND_KINDS)}, got {kind!r}")
    return _shuffles(sequences, codes, kind, n, seed).assign_attrs(attributes)


def _labelled(one_hot: NDArray) -> xr.Dataset:
    return encode_sequences(decode_one_hot(one_hot))


def codes_of_sequences(sequences: xr.Dataset | None, kind: str) -> NDArray[np.uint8]:
    """Base codes of the sequences that backgrounds are made from; InputError where there are none."""
    if sequences is None:
        raise InputError(f"sequences: {kind} is made from sequences; give some")
    schema.require(sequences, "one_hot")
    if not sequences.sizes["sequence"]:
        raise InputError(f"sequences: {kind} is made from sequences; got none")
    return codes_of(sequences["one_hot"].values)


def _profile(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean frequencies (position, base) of the bases that are known; uniform where none is."""
    counts = np.stack([(codes == base).sum(axis=0) for base in range(len(BASES))], axis=1).astype(np.float64)
    counts[~counts.any(axis=1)] = 1
    return counts / counts.sum(axis=1, keepdims=True)


def _shuffles(
    sequences: xr.Dataset | None, codes: NDArray[np.uint8], kind: str, n: int, seed: int
) -> xr.Dataset:
    rounds = -(-n // len(codes))
    own = codes[:n]
    shuffled = shuffle_codes(own, rounds, k=klet_length(kind), seed=seed)
    draw, row = np.divmod(np.arange(n), len(codes))
    names = (
        sequences["id"].values
        if sequences is not None and "id" in sequences.coords
        else np.arange(len(codes))
    )
    ids = [f"{names[r]} shuffle {d}" for r, d in zip(row, draw, strict=True)]
    return encode_sequences(decode_codes(shuffled[row, draw]), ids=ids)


def _order(kind: str) -> int:
    order = kind.partition(":")[2]
    if not (order.isascii() and order.isdigit() and int(order) <= MAX_ORDER):
        raise InputError(f"background: expected markov:K with K from 0 to {MAX_ORDER}, got {kind!r}")
    return int(order)


def _markov_chain(codes: NDArray[np.uint8], n: int, length: int, order: int, seed: int) -> NDArray[np.uint8]:
    """Sequences of a Markov chain that is fitted to others; it begins like a word drawn from them."""
    tables = [_word_counts(codes, k) for k in range(1, order + 2)]
    if not tables[-1].any():
        raise InputError(f"sequences: have no {order + 1} bases in a row without N; lower the order")
    rng = np.random.default_rng(seed)
    drawn = np.zeros((n, length), dtype=np.uint8)
    context = np.zeros(n, dtype=np.int64)
    for position in range(length):
        table = tables[min(position, order)].reshape(-1, len(BASES))
        # What follows a word that is only at the very end of sequences is as after any word.
        table = np.where(table.any(axis=1, keepdims=True), table, tables[0])
        steps = np.cumsum(table, axis=1) / table.sum(axis=1, keepdims=True)
        base = (rng.random((n, 1)) >= steps[context][:, :-1]).sum(axis=1)
        drawn[:, position] = base
        context = (context * len(BASES) + base) % len(BASES) ** min(position + 1, order)
    return drawn


def _word_counts(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """How often each word of k bases occurs, the first base the most significant."""
    if codes.shape[1] < k:
        return np.zeros(len(BASES) ** k, dtype=np.int64)
    words = np.lib.stride_tricks.sliding_window_view(codes, k, axis=1)
    known = words[(words != N_CODE).all(axis=-1)].astype(np.int64)
    numbers = known @ (len(BASES) ** np.arange(k - 1, -1, -1))
    return np.bincount(numbers, minlength=len(BASES) ** k)
