"""Backgrounds: the sequences that patterns are embedded in, and what each kind preserves.

A background that preserves little isolates a pattern; one that preserves much keeps the model on sequences
like those that it was trained on. `distribution_shift` says how far a model's predictions on the backgrounds
are from those on real sequences.

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

import os
import shutil
import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.errors import BackgroundWarning, InputError, MissingProgramError
from kipoi_tfbind.genome import Genome
from kipoi_tfbind.intervals import read_intervals
from kipoi_tfbind.one_hot import BASES, N_CODE, codes_of, decode_codes, decode_one_hot
from kipoi_tfbind.sequences import encode_sequences
from kipoi_tfbind.shuffle import SHUFFLE_METHODS, klet_length, random_sequences, shuffle_codes

BACKGROUND_KINDS = ("uniform", "profile", *SHUFFLE_METHODS, "markov:K")
MAX_ORDER = 8

_GC_CLASSES = 50  # classes of 2% each
_DRAWS, _ROUNDS = 20_000, 200  # genomic windows that are looked at in a round, and rounds
_CENTRAL = 0.95
_MOST_OUTSIDE = 0.5


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
          N stays in its place. See `kipoi_tfbind.shuffle`.
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
    if n < 1:
        raise InputError(f"n: expected at least 1 background, got {n}")
    attributes = {"background": kind, "background_seed": seed}
    if kind == "uniform":
        length = length or (sequences.sizes["position"] if sequences is not None else None)
        if length is None:
            raise InputError("length: expected the length of the backgrounds, or sequences that have it")
        return _labelled(random_sequences(n, length, seed=seed)).assign_attrs(attributes)
    codes = _codes_of(sequences, kind)
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


def genomic_backgrounds(
    fasta: str | os.PathLike[str],
    like: xr.Dataset,
    n: int = 1000,
    *,
    avoid: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Draw windows of a genome that have the GC content of given sequences.

    Preserves the distribution of the GC content, in classes of 2%, and everything that is natural in a
    genome. The windows have no N and do not overlap the intervals to avoid; a window may be near another one.

    Parameters
    ----------
    fasta
        Genome, FASTA or bgzipped FASTA.
    like
        Dataset with ``one_hot``: its GC contents, in turn, are those of the windows; and its length.
    n
        Number of windows.
    avoid
        BED of intervals that no window may touch: peaks, say. Read with pybedtools.
    seed
        A whole number from 0 on.

    Returns
    -------
    xr.Dataset
        ``one_hot`` with ``id``, ``chrom``, ``start``, ``end`` (0-based, half-open) and ``strand`` ("+").

    Raises
    ------
    InputError
        A file cannot be used, or the genome has too few windows of some GC content.
    MissingProgramError
        Intervals to avoid are given, and bedtools is not installed.
    """
    if n < 1:
        raise InputError(f"n: expected at least 1 background, got {n}")
    codes = _codes_of(like, "genomic windows")
    length, genome = codes.shape[1], Genome(fasta)
    classes = _gc_classes(codes)[np.arange(n) % len(codes)]
    free = _free_intervals(genome, length, avoid)
    rng = np.random.default_rng(seed)
    chosen = np.full(n, -1)
    found: list[tuple[str, int]] = []
    found_codes: list[NDArray[np.uint8]] = []
    for _ in range(_ROUNDS):
        chrom, start = _random_places(free, length, rng)
        windows = genome.windows(chrom, start, length)
        sound = np.flatnonzero((windows != N_CODE).all(axis=1))
        gc = _gc_classes(windows[sound])
        for value in np.unique(classes[chosen < 0]):
            open_ = np.flatnonzero((chosen < 0) & (classes == value))
            for slot, row in zip(open_, sound[gc == value], strict=False):
                chosen[slot] = len(found)
                found.append((chrom[row], int(start[row])))
                found_codes.append(windows[row])
        if (chosen >= 0).all():
            break
    else:
        lacking = classes[chosen < 0]
        raise InputError(
            f"{fasta}: {len(lacking)} windows, with a GC content of {100 * lacking[0] // _GC_CLASSES}% and "
            "the like, were not found; give other sequences, or avoid fewer intervals"
        )
    places = [found[index] for index in chosen]
    starts = np.array([start for _, start in places])
    names = [f"{name}:{start}-{start + length}" for name, start in places]
    dataset = encode_sequences(decode_codes(np.stack([found_codes[i] for i in chosen])), ids=names)
    return schema.annotate(
        dataset.assign_coords(
            chrom=("sequence", [name for name, _ in places]),
            start=("sequence", starts),
            end=("sequence", starts + length),
            strand=("sequence", ["+"] * n),
        ).assign_attrs(background="genomic windows", background_seed=seed)
    )


def central_backgrounds(
    model: Any,
    backgrounds: xr.Dataset,
    *,
    low: float = 0.1,
    high: float = 0.9,
    target: str | int = 0,
    batch_size: int = 256,
) -> xr.Dataset:
    """Keep the backgrounds whose prediction is between two quantiles: those without a site by chance.

    The null filter of ResidualBind (Koo et al. 2021, doi:10.1371/journal.pcbi.1008925). Everything that the
    backgrounds preserve is preserved of those that are kept; their predictions are not any more a sample of
    all backgrounds, so that the unedited prediction has less spread.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    backgrounds
        Dataset with ``one_hot``.
    low, high
        Quantiles of the predictions, from 0 to 1.
    target
        Index of the target, or its name.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        The backgrounds that are kept, in their order.

    Raises
    ------
    InputError
        Quantiles that are none, or no such target.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> backgrounds = make_backgrounds("uniform", 100, length=20)
    >>> kept = central_backgrounds(model, backgrounds)
    >>> np.unique(kept["one_hot"].sel(base="G").sum("position"))
    array([3., 4., 5., 6., 7., 8.], dtype=float32)
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"low, high: expected 0 <= low < high <= 1, got {low} and {high}")
    prediction = _predictions(model, backgrounds, batch_size)[1]
    from kipoi_tfbind.plot._view import find

    index = find(prediction.to_dataset(name="prediction"), "target", "target", target)
    values = prediction.isel(target=index).values
    ends = np.quantile(values, [low, high])
    kept = backgrounds.isel(sequence=(ends[0] <= values) & (values <= ends[1]))
    name = str(prediction["target"].values[index])
    return kept.assign_attrs(background_filter=f"{name} between its quantiles {low:g} and {high:g}")


def distribution_shift(
    model: Any, backgrounds: xr.Dataset, sequences: xr.Dataset, *, batch_size: int = 256
) -> xr.Dataset:
    """Compare a model's predictions on backgrounds with those on real sequences.

    Where the backgrounds are unlike all that the model has seen, what a pattern does there may not be what it
    does in a genome. The warning comes for targets whose predictions on more than half of the backgrounds are
    outside the central 95% of those on the real sequences. Real sequences that are not bound are the fair
    comparison: a background has no site, and is not to look like a peak.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    backgrounds, sequences
        Datasets with ``one_hot``.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``background_sample`` (background, target) and ``real_sample`` (sequence, target), the predictions;
        ``share_outside`` (target), the share of backgrounds outside the central 95% of the real ones;
        ``ks_statistic`` and ``ks_p_value`` (target) of the two-sample test of Kolmogorov and Smirnov.

    Warns
    -----
    BackgroundWarning
        The background is far outside.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> one, other = (make_backgrounds("uniform", 200, length=20, seed=seed) for seed in (0, 1))
    >>> float(distribution_shift(model, one, other)["share_outside"].sel(target="number of G")) < 0.1
    True
    """
    from kipoi_tfbind.interpret._method import provenance

    wrapped, fake = _predictions(model, backgrounds, batch_size)
    _, real = _predictions(wrapped, sequences, batch_size)
    tests = [stats.ks_2samp(f, r) for f, r in zip(fake.values.T, real.values.T, strict=True)]
    low, high = np.quantile(real.values, [(1 - _CENTRAL) / 2, (1 + _CENTRAL) / 2], axis=0)
    outside = ((fake.values < low) | (fake.values > high)).mean(axis=0)
    names = list(wrapped.target_names)
    for name, share, sample in zip(names, outside, fake.values.T, strict=True):
        if share > _MOST_OUTSIDE:
            column = names.index(name)
            warnings.warn(
                f"{name}: {share:.0%} of the backgrounds are predicted outside the central {_CENTRAL:.0%} of "
                f"the real sequences ({low[column]:.3g} to {high[column]:.3g}; the median background "
                f"{np.median(sample):.3g}); what a pattern does there may not be what it does in a genome",
                BackgroundWarning,
                stacklevel=2,
            )
    kind = str(backgrounds.attrs.get("background", "given"))
    result = xr.Dataset(
        {
            "background_sample": (("background", "target"), fake.values),
            "real_sample": (("sequence", "target"), real.values),
            "share_outside": ("target", outside),
            "ks_statistic": ("target", [float(test.statistic) for test in tests]),
            "ks_p_value": ("target", [float(test.pvalue) for test in tests]),
        },
        coords={"target": names},
        attrs=provenance("distribution_shift", wrapped, background=kind, batch_size=batch_size),
    )
    return schema.annotate(result)


def _predictions(model: Any, sequences: xr.Dataset, batch_size: int) -> tuple[Any, xr.DataArray]:
    from kipoi_tfbind.interpret._batches import batch_of
    from kipoi_tfbind.interpret._method import predict_all
    from kipoi_tfbind.model import as_sequence_model

    model = as_sequence_model(model)
    batch = batch_of(sequences, model)
    values = predict_all(model, batch, batch_size=batch_size, description="backgrounds")
    return model, xr.DataArray(
        values, dims=("sequence", "target"), coords={"target": list(model.target_names)}
    )


def _labelled(one_hot: NDArray) -> xr.Dataset:
    return encode_sequences(decode_one_hot(one_hot))


def _codes_of(sequences: xr.Dataset | None, kind: str) -> NDArray[np.uint8]:
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


def _gc_classes(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Class of the GC content of each sequence, of its bases that are known."""
    strong = ((codes == 1) | (codes == 2)).sum(axis=1)
    known = np.maximum((codes != N_CODE).sum(axis=1), 1)
    return np.minimum(strong * _GC_CLASSES // known, _GC_CLASSES - 1)


def _free_intervals(
    genome: Genome, length: int, avoid: str | os.PathLike[str] | None
) -> list[tuple[str, int, int]]:
    """Intervals (contig, start, end) that a window can lie in."""
    whole = [(name, 0, size) for name, size in genome.lengths.items()]
    if avoid is not None:
        if shutil.which("bedtools") is None:
            raise MissingProgramError(
                "bedtools: not found on the PATH; install it (apt-get install bedtools, or from bioconda)"
            )
        import pybedtools

        table = read_intervals(avoid)
        # The contigs of the FASTA; those that it has not, have no windows.
        names = {i: genome.contig(name) for i, name in enumerate(table.contigs)}
        rows = [
            (names[contig], start, end)
            for contig, start, end in zip(table.contig.tolist(), table.start, table.end, strict=True)
        ]
        taken = pybedtools.BedTool(rows).sort()
        whole = [(i.chrom, i.start, i.end) for i in pybedtools.BedTool(whole).sort().subtract(taken)]
    free = [interval for interval in whole if interval[2] - interval[1] >= length]
    if not free:
        raise InputError(f"{genome.path}: no stretch of {length} bp is free; avoid fewer intervals")
    return free


def _random_places(
    free: list[tuple[str, int, int]], length: int, rng: np.random.Generator
) -> tuple[list[str], NDArray[np.int64]]:
    """Contig and start of random windows, every place equally probable."""
    room = np.array([end - start - length + 1 for _, start, end in free])
    ends = np.cumsum(room)
    place = rng.integers(0, ends[-1], size=_DRAWS)
    interval = np.searchsorted(ends, place, side="right")
    start = np.array([start for _, start, _ in free])[interval] + place - (ends - room)[interval]
    return [free[i][0] for i in interval], start.astype(np.int64)
