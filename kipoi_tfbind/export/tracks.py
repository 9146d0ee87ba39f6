"""Tracks for genome browsers: the score of each base by its place in the genome."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.export._scores import Result, base_scores, pieces_of
from kipoi_tfbind.genome import Genome
from kipoi_tfbind.io import check_writable, whole_file
from kipoi_tfbind.one_hot import reverse_complement_codes

# Contig -> 0-based positions, sorted, and their scores.
Track = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]


def genomic_scores(
    result: Result, *, target: int | str = 0, fasta: str | os.PathLike[str] | None = None
) -> Track:
    """Score of each base of a result by its place in the genome.

    The contribution of the base that is there; of in-silico mutagenesis, minus the mean effect of its three
    substitutions. Where sequences overlap, the mean of their scores; where they have N, or reach over the
    ends of a contig, none.

    Parameters
    ----------
    result
        Result of `in_silico_mutagenesis`, `deep_shap` or `gradients`, with coordinates, or the file of one.
    target
        Index of the target, or its name.
    fasta
        Genome that the sequences are compared with: one that is on another strand or of another assembly
        than its coordinates say would put every score in a wrong place.

    Returns
    -------
    dict
        Contig -> 0-based positions, sorted, and the score of each; contigs in the order of the result, or
        under the names and in the order of the FASTA.

    Raises
    ------
    InputError
        The result has no coordinates, no such target, no score for each base, or no base with a place; or
        a sequence is not the one that the FASTA has there.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> places = {name: ("sequence", [value]) for name, value in
    ...           {"chrom": "chr20", "start": 100, "end": 103, "strand": "-"}.items()}
    >>> sequences = encode_sequences(["GTC"]).assign_coords(places)
    >>> genomic_scores(in_silico_mutagenesis(model, sequences))["chr20"][1].round(2)
    array([-0.33, -0.33,  1.  ])
    """
    positions: dict[str, list[NDArray]] = {}
    scores: dict[str, list[NDArray]] = {}
    genome = None if fasta is None else Genome(fasta)
    for piece in pieces_of(result, target):
        where, values = _places(piece), base_scores(piece)
        if genome is not None:
            _check_genome(piece, where, genome)
        known = np.isfinite(values) & (where >= 0)
        chrom = piece["chrom"].values.astype(str)
        for name in dict.fromkeys(chrom.tolist()):
            rows = known & (chrom == name)[:, np.newaxis]
            positions.setdefault(name, []).append(where[rows])
            scores.setdefault(name, []).append(values[rows])
    track = {
        name: _averaged(np.concatenate(positions[name]), np.concatenate(scores[name]))
        for name in positions
        if sum(map(len, positions[name]))
    }
    if not track:
        raise InputError("result: has no base with a place in the genome; are all of its sequences N?")
    if genome is None:
        return track
    named = {genome.contig(name): scores for name, scores in track.items()}
    return {name: named[name] for name in genome.lengths if name in named}


def _places(piece: xr.Dataset) -> NDArray[np.int64]:
    """0-based place in the genome (sequence, position) of each base."""
    if not {"chrom", "start", "end"} <= set(piece.coords):
        raise InputError(
            "result: its sequences have no places in the genome; read them with --fasta and --intervals"
        )
    offset = piece["position"].values[np.newaxis]
    start, end = (piece[name].values.astype(np.int64)[:, np.newaxis] for name in ("start", "end"))
    strand = piece["strand"].values if "strand" in piece.coords else np.full(len(start), "+")
    return np.where((strand == "-")[:, np.newaxis], end - 1 - offset, start + offset)


def _check_genome(piece: xr.Dataset, places: NDArray[np.int64], genome: Genome) -> None:
    """Compare sequences with what the genome has at their places.

    A variant may be in them; of another strand, or another assembly, a quarter of the bases agree by chance.
    """
    one_hot = piece["one_hot"].transpose("sequence", "position", "base").values
    is_base = np.asarray(one_hot.any(axis=-1))
    start, end = piece["start"].values, piece["end"].values
    chrom = [genome.contig(str(name)) for name in piece["chrom"].values]
    lengths = np.array([genome.lengths[name] for name in chrom])
    if (outside := (is_base & (places >= lengths[:, np.newaxis])).any(axis=1)).any():
        row = int(outside.argmax())
        raise InputError(
            f"{genome.path}: contig {chrom[row]} has {lengths[row]:,} bases, and the result a score at "
            f"{places[row][is_base[row]].max() + 1:,}; use the FASTA that the result was made with"
        )
    codes = genome.windows(chrom, start, int(end[0] - start[0]))
    if "strand" in piece.coords:
        reverse = piece["strand"].values == "-"
        codes[reverse] = reverse_complement_codes(codes[reverse])
    agree = is_base & (codes[:, piece["position"].values] == one_hot.argmax(axis=-1))
    other = np.flatnonzero(2 * agree.sum(axis=1) < is_base.sum(axis=1))
    if other.size:
        row = int(other[0])
        name = f"{piece['id'].values[row]!s} " if "id" in piece.coords else ""
        raise InputError(
            f"{genome.path}: the result's sequence {name}is not what this FASTA has at {chrom[row]}:"
            f"{start[row] + 1}-{end[row]}, read on the strand {_strand(piece, row)}; use the FASTA that the "
            "result was made with"
        )


def _strand(piece: xr.Dataset, row: int) -> str:
    return str(piece["strand"].values[row]) if "strand" in piece.coords else "+"


def _averaged(positions: NDArray, scores: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    unique, row = np.unique(positions, return_inverse=True)
    return unique, np.bincount(row, weights=scores, minlength=len(unique)) / np.bincount(row)


def export_bedgraph(
    result: Result,
    path: str | os.PathLike[str],
    *,
    target: int | str = 0,
    fasta: str | os.PathLike[str] | None = None,
) -> None:
    """Write the score of each base as a bedGraph: contig, start, end (0-based, half-open), score.

    Parameters
    ----------
    result, target
        As in `genomic_scores`.
    path
        Name of the file, which is compressed where it ends in ``.gz``; a file of that name is replaced.
    fasta
        Genome, for the names and the order of the contigs, and to compare the sequences with; by default
        they are as in the result.

    Raises
    ------
    InputError
        As `genomic_scores`; or the file cannot be written.
    """
    check_writable(path)
    track = genomic_scores(result, target=target, fasta=fasta)
    with whole_file(path) as partial:
        pd.concat(
            [
                pd.DataFrame({"chrom": name, "start": start, "end": start + 1, "score": scores})
                for name, (start, scores) in track.items()
            ]
        ).to_csv(partial, sep="\t", header=False, index=False, float_format="%.7g")


def export_bigwig(
    result: Result, path: str | os.PathLike[str], *, fasta: str | os.PathLike[str], target: int | str = 0
) -> None:
    """Write the score of each base as a bigWig file.

    Parameters
    ----------
    result, target
        As in `genomic_scores`.
    path
        Name of the file; a file of that name is replaced.
    fasta
        Genome, for the names, the order and the lengths of the contigs, and to compare the sequences with.

    Raises
    ------
    InputError
        As `genomic_scores`; or the FASTA is of another genome, or the file cannot be written.
    MissingProgramError
        pyBigWig is not installed.
    """
    check_writable(path)
    try:
        import pyBigWig
    except ImportError:
        raise MissingProgramError(
            "bigWig files need pyBigWig, which is not installed: pip install 'kipoi_tfbind[export]'"
        ) from None
    track = genomic_scores(result, target=target, fasta=fasta)
    lengths = Genome(fasta).lengths
    with whole_file(path) as partial:
        file = pyBigWig.open(str(partial), "w")
        try:
            file.addHeader([(name, lengths[name]) for name in track])
            for name, (start, scores) in track.items():
                file.addEntries(name, start, values=scores, span=1)
        finally:
            file.close()
