"""Sequence Datasets: what the methods are given, from text or from a genome and intervals."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import file_name, whole_number
from kipoi_tfbind.dna.one_hot import BASES, codes_of, encode_bases
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.fasta import read_records
from kipoi_tfbind.genome.intervals import Center, Intervals, read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.results.numbered import Numbered
from kipoi_tfbind.sequences.batches import Batches, check_records
from kipoi_tfbind.sequences.genome_windows import GenomeWindows, sequence_dataset


def encode_sequences(sequences: Sequence[str], *, ids: Sequence[str] | None = None) -> xr.Dataset:
    """Make a sequence Dataset from strings.

    Parameters
    ----------
    sequences
        DNA of one length. Lower case is read as upper case, every IUPAC code but A, C, G, T as N.
    ids
        Name of each sequence; "0", "1", ... by default.

    Returns
    -------
    xr.Dataset
        ``one_hot`` (sequence, position, base) with the coordinates ``id``, ``position`` and ``base``.

    Raises
    ------
    InputError
        No sequence, sequences of unequal length, a character that is no nucleotide, or another number
        of ids than of sequences.

    Examples
    --------
    >>> encode_sequences(["ACGN"], ids=["promoter"])["one_hot"].sel(base="C").values
    array([[0., 1., 0., 0.]], dtype=float32)
    """
    for name, given in (("sequences", sequences), ("ids", [] if ids is None else ids)):
        if not isinstance(given, Sequence | np.ndarray | pd.Series | pd.Index):
            raise InputError(f"{name}: expected a list of strings, got {given!r}")
    codes = encode_bases(sequences)
    if not codes.size:
        raise InputError("sequences: expected at least one sequence with at least one base, got none")
    ids = [str(number) for number in range(len(codes))] if ids is None else list(ids)
    if len(ids) != len(codes):
        raise InputError(f"ids: expected one for each of {len(codes)} sequences, got {len(ids)}")
    return sequence_dataset(codes, id=np.array(ids, dtype=np.str_))


def as_sequences(sequences: Any) -> xr.Dataset:
    """Take sequences in any form as a sequence Dataset: what the methods do with what they are given.

    Parameters
    ----------
    sequences
        A Dataset, which is returned as it is; strings, or one; or one-hot arrays (sequence, position, base).

    Raises
    ------
    InputError
        It is none of these; or as `encode_sequences`.

    Examples
    --------
    >>> as_sequences("GATTACA").sizes["position"]
    7
    """
    if isinstance(sequences, xr.Dataset):
        schema.require(sequences, "one_hot")
        return sequences
    if isinstance(sequences, xr.DataArray):
        sequences = sequences.values
    if isinstance(sequences, str | bytes):
        sequences = [sequences]
    if isinstance(sequences, np.ndarray):
        if sequences.dtype.kind not in "biuf":
            sequences = sequences.ravel().tolist()
        elif sequences.ndim == 3 and sequences.shape[2] == len(BASES):
            ids = np.array([str(number) for number in range(len(sequences))])
            return sequence_dataset(codes_of(sequences), id=ids)
        else:
            raise InputError(
                "sequences: expected strings, or one-hot arrays (sequence, position, 4) with the bases in "
                f"the order A, C, G, T, got an array of shape {sequences.shape}"
            )
    if not isinstance(sequences, list | tuple):
        raise InputError(
            "sequences: expected a Dataset (of encode_sequences or read_sequences), strings, or one-hot "
            f"arrays (sequence, position, 4), got {type(sequences).__name__}"
        )
    return encode_sequences(sequences)


def read_sequences(
    fasta: str | os.PathLike[str],
    intervals: str | os.PathLike[str],
    *,
    length: int | None = None,
    center: Center = "auto",
) -> xr.Dataset:
    r"""Make a sequence Dataset from a genome and the intervals of a BED or narrowPeak file.

    Parameters
    ----------
    fasta
        FASTA file, plain or compressed with bgzip; its index is made when it is missing.
    intervals
        BED (three columns or more) or narrowPeak file. An interval of strand "-" is read as its reverse
        complement.
    length
        Length of the windows in bp; by default the intervals are taken as they are, and have to be of one
        length.
    center
        Centre of a window of `length`: "summit" (column 10 of a narrowPeak), "midpoint" of the
        interval, or "auto": the summit where a narrowPeak has one, else the midpoint.

    Returns
    -------
    xr.Dataset
        ``one_hot`` (sequence, position, base) with the coordinates ``id``, ``chrom``, ``start`` and ``end``
        of the window (0-based, half-open; what lies outside the contig is N), ``strand``, ``position``
        and ``base``, in the order of the file.

    Raises
    ------
    InputError
        A file cannot be used; an interval is not on the FASTA's contigs; no `length`, and intervals of
        several lengths.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "tiny.fa").write_text(">20\nACGTTGCA\n")
    >>> _ = (folder / "tiny.bed").write_text("chr20\t1\t5\tpeak\n")
    >>> sequences = read_sequences(folder / "tiny.fa", folder / "tiny.bed", length=2)
    >>> sequences["id"].values.tolist(), sequences["start"].values.tolist(), sequences["end"].values.tolist()
    (['peak'], [2], [4])
    >>> sequences["one_hot"].values
    array([[[0., 0., 1., 0.],
            [0., 0., 0., 1.]]], dtype=float32)
    """
    return next(iterate_intervals(fasta, intervals, length=length, center=center, chunk=None))


def iterate_intervals(
    fasta: str | os.PathLike[str],
    intervals: str | os.PathLike[str] | Intervals,
    *,
    length: int | None = None,
    center: Center = "auto",
    chunk: int | None = 1024,
) -> Batches:
    r"""Make sequence Datasets from a genome and intervals, a few at a time: in constant memory.

    All intervals and all bases are checked before the first Dataset.

    Parameters
    ----------
    fasta, length, center
        As in `read_sequences`.
    intervals
        The file, as in `read_sequences`, or `Intervals`.
    chunk
        Number of sequences in a Dataset; None for all in one.

    Yields
    ------
    xr.Dataset
        As from `read_sequences`.

    Raises
    ------
    InputError
        As `read_sequences`.

    Examples
    --------
    >>> fasta, bed = (getfixture("tmp_path") / name for name in ("genome.fa", "peaks.bed"))
    >>> _ = fasta.write_text(">chr1\nACGTACGTAC\n")
    >>> _ = bed.write_text("chr1\t0\t4\nchr1\t2\t6\nchr1\t4\t8\n")
    >>> [part.sizes["sequence"] for part in iterate_intervals(fasta, bed, chunk=2)]
    [2, 1]
    """
    if length is not None:
        whole_number("length", length, least=1)
    file_name("fasta", fasta)
    if not isinstance(intervals, Intervals):
        file_name("intervals", intervals)

    def windows() -> GenomeWindows:
        table = intervals if isinstance(intervals, Intervals) else read_intervals(intervals, center=center)
        return GenomeWindows(table, Genome(fasta), length)

    def make(batches: Batches) -> Iterator[xr.Dataset]:
        found = windows()
        batches.n_sequences = len(found)
        yield from found.datasets(chunk=chunk)

    return Batches(make, lambda: windows().numbered(chunk))


def read_fasta_sequences(path: str | os.PathLike[str], *, length: int | None = None) -> xr.Dataset:
    r"""Make one sequence Dataset of all records of a FASTA file.

    Parameters
    ----------
    path, length
        As in `iterate_fasta`.

    Returns
    -------
    xr.Dataset
        ``one_hot`` (sequence, position, base) with the coordinates ``id``, ``position`` and ``base``.

    Raises
    ------
    InputError
        As `iterate_fasta`.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "sites.fa"
    >>> _ = path.write_text(">first\nACGTA\n>second\nTTTNC\n")
    >>> read_fasta_sequences(path, length=2)["one_hot"].sel(base="T").values
    array([[0., 0.],
           [1., 1.]], dtype=float32)
    """
    return next(iterate_fasta(path, length=length, chunk=None))


def iterate_fasta(
    path: str | os.PathLike[str], *, length: int | None = None, chunk: int | None = 1024
) -> Batches:
    r"""Make sequence Datasets from the records of a FASTA file, a few at a time: in constant memory.

    All records are checked before the first Dataset.

    Parameters
    ----------
    path
        FASTA file, plain or compressed; its records are the sequences, their names the ids.
    length
        The central bases of each record, cut as a window around the record's middle is; by default the
        records are taken whole, and have to be of one length.
    chunk
        Number of sequences in a Dataset; None for all in one.

    Yields
    ------
    xr.Dataset
        ``one_hot`` (sequence, position, base) with the coordinates ``id``, ``position`` and ``base``.

    Raises
    ------
    InputError
        The file cannot be used; a record is shorter than `length`, or of another length than the first; a
        character that is no nucleotide. The message names the record.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "sites.fa"
    >>> _ = path.write_text(">first\nACGTA\n>second\nTTTNC\n")
    >>> [sequences["id"].values.tolist() for sequences in iterate_fasta(path, length=3, chunk=1)]
    [['first'], ['second']]
    """
    file_name("path", path)
    if length is not None:
        whole_number("length", length, least=1)

    def encoded(records: Iterator[tuple[str, str]], wanted: int) -> Iterator[xr.Dataset]:
        cut = ((name, text[len(text) // 2 - wanted // 2 :][:wanted]) for name, text in records)
        while some := list(itertools.islice(cut, chunk)):
            yield encode_sequences([text for _, text in some], ids=[name for name, _ in some])

    def make(batches: Batches) -> Iterator[xr.Dataset]:
        wanted, batches.n_sequences, _ = check_records(path, length)
        yield from encoded(read_records(path), wanted)

    def numbered() -> Numbered:
        wanted, n, input_hash = check_records(path, length)

        def read(rows: NDArray[np.intp]) -> Iterator[xr.Dataset]:
            is_own = np.isin(np.arange(n), rows, kind="table")
            return encoded(itertools.compress(read_records(path), is_own), wanted)

        return Numbered(n, wanted, input_hash, read)

    return Batches(make, numbered)
