"""Backgrounds from a genome: windows with the GC content of given sequences."""

from __future__ import annotations

import os
import shutil

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import N_CODE, decode_codes
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.intervals import read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.sequences.backgrounds import codes_of_sequences
from kipoi_tfbind.sequences.read import encode_sequences

_GC_CLASSES = 50  # classes of 2% each
_DRAWS, _ROUNDS = 20_000, 200  # windows that are looked at in a round, and rounds


def genomic_backgrounds(
    fasta: str | os.PathLike[str],
    like: xr.Dataset,
    n: int = 1000,
    *,
    avoid: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Draw windows of a genome that have the GC content of given sequences.

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

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "tiny.fa").write_text(">chr1\n" + "ACGTTTAACG" * 20 + "\n")
    >>> like = encode_sequences(["GCGCATATAT"])  # 40% GC
    >>> windows = genomic_backgrounds(folder / "tiny.fa", like, 3)
    >>> windows["one_hot"].sel(base=["C", "G"]).sum(("position", "base")).values
    array([4., 4., 4.], dtype=float32)
    """
    if n < 1:
        raise InputError(f"n: expected at least 1 background, got {n}")
    codes = codes_of_sequences(like, "genomic windows")
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
    names = [f"{name}:{start + 1}-{start + length}" for name, start in places]
    dataset = encode_sequences(decode_codes(np.stack([found_codes[i] for i in chosen])), ids=names)
    return schema.annotate(
        dataset.assign_coords(
            chrom=("sequence", [name for name, _ in places]),
            start=("sequence", starts),
            end=("sequence", starts + length),
            strand=("sequence", ["+"] * n),
        ).assign_attrs(background="genomic windows", background_seed=seed)
    )


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
