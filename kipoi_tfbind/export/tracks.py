"""Tracks for genome browsers: the score of each base by its place in the genome."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.export._means import Means
from kipoi_tfbind.export._pieces import Result, name_of, pieces_of
from kipoi_tfbind.export._places import ChromSizes, Contigs, check_bases, contigs_of, inside, places_of
from kipoi_tfbind.notices import notice
from kipoi_tfbind.repairs.outputs import reserve
from kipoi_tfbind.results.files import check_writable, whole_file
from kipoi_tfbind.results.position_scores import base_scores

# At most, of a bigWig file: 8 of each base and its share of the summaries.
_BYTES_PER_BASE, _LEAST_BYTES = 12, 1 << 16

# Contig -> 0-based positions, sorted, and their scores.
Track = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]


def genomic_scores(
    result: Result,
    *,
    target: int | str = 0,
    fasta: str | os.PathLike[str] | None = None,
    chrom_sizes: ChromSizes | None = None,
) -> Track:
    """Score of each base of a result by its place in the genome.

    The contribution of the observed base; of in-silico mutagenesis, minus the mean effect of its three
    substitutions. Where sequences overlap, the mean of their scores; where they have N, or reach over the
    ends of a contig, none. A result in a file is read piece by piece: memory grows with the number of bases
    that have a score, and not with the number of sequences that cover them.

    Parameters
    ----------
    result
        Result of `in_silico_mutagenesis`, `deep_shap`, `gradients` or `sampled_shapley`, with coordinates, or
        the file of one.
    target
        Index of the target, or its name.
    fasta
        Genome that the sequences are compared with: one that is on another strand or of another assembly
        than its coordinates say would put every score in a wrong place.
    chrom_sizes
        Length of each contig, or a file of them such as hg19.chrom.sizes, instead of a genome; then nothing
        can be compared.

    Returns
    -------
    dict
        Contig -> 0-based positions, sorted, and the score of each; contigs sorted by name, which is that in
        the result, or in the FASTA or the table where it is written otherwise there.

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
    means = _means_by_contig(result, target, contigs_of(fasta, chrom_sizes))
    parts = {contig: list(of_contig.parts()) for contig, of_contig in means.items()}
    return {
        contig: (np.concatenate([p for p, _ in some]), np.concatenate([s for _, s in some]))
        for contig, some in parts.items()
    }


def _means_by_contig(result: Result, target: int | str, contigs: Contigs | None) -> dict[str, Means]:
    """Means of the scores on each contig that has any, sorted by its name."""
    name, n_outside = name_of(result), 0
    means: dict[str, Means] = {}
    for piece in pieces_of(result, target):
        places, values = places_of(piece, name), base_scores(piece)
        is_base = np.isfinite(values)
        placed = inside(piece, places, is_base, contigs)
        n_outside += int(is_base.sum() - placed.sum())
        if contigs is not None and contigs.genome is not None:
            check_bases(piece, placed, contigs.genome)
        chrom = piece["chrom"].values.astype(str)
        for contig in np.unique(chrom).tolist():
            rows = placed & (chrom == contig)[:, np.newaxis]
            own = contig if contigs is None else contigs.own_name(contig)
            means.setdefault(own, Means()).add(places[rows], values[rows])
    if n_outside:
        notice(f"{name}: bases that are outside their contig are left out: {n_outside:,}")
    covered = {contig: means[contig] for contig in sorted(means) if means[contig]}
    if not covered:
        raise InputError(f"{name}: has no base with a place in the genome; are all of its sequences N?")
    return covered


def export_bedgraph(
    result: Result,
    path: str | os.PathLike[str],
    *,
    target: int | str = 0,
    fasta: str | os.PathLike[str] | None = None,
) -> None:
    r"""Write the score of each base as a bedGraph: contig, start, end (0-based, half-open), score.

    Parameters
    ----------
    result, target
        As in `genomic_scores`.
    path
        Name of the file, which is compressed where it ends in ``.gz``; a file of that name is replaced.
    fasta
        Genome, for the names of the contigs, and to compare the sequences with; by default the names are
        as in the result.

    Raises
    ------
    InputError
        As `genomic_scores`; or the file cannot be written.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> places = {name: ("sequence", [value]) for name, value in
    ...           {"chrom": "chr20", "start": 100, "end": 102, "strand": "+"}.items()}
    >>> sequences = encode_sequences(["GN"]).assign_coords(places)
    >>> path = getfixture("tmp_path") / "g.bedgraph"
    >>> export_bedgraph(in_silico_mutagenesis(model, sequences), path)
    >>> path.read_text()
    'chr20\t100\t101\t1\n'
    """
    check_writable(path)
    means = _means_by_contig(result, target, contigs_of(fasta, None))
    opened = gzip.open if Path(path).suffix == ".gz" else open
    with whole_file(path) as partial, opened(partial, "wt", newline="") as file:
        for contig, of_contig in means.items():
            for start, scores in of_contig.parts():
                rows = pd.DataFrame({"chrom": contig, "start": start, "end": start + 1, "score": scores})
                rows.to_csv(
                    file, sep="\t", header=False, index=False, float_format="%.7g", lineterminator="\n"
                )


def export_bigwig(
    result: Result,
    path: str | os.PathLike[str],
    *,
    target: int | str = 0,
    fasta: str | os.PathLike[str] | None = None,
    chrom_sizes: ChromSizes | None = None,
) -> None:
    """Write the score of each base as a bigWig file.

    Parameters
    ----------
    result, target
        As in `genomic_scores`.
    path
        Name of the file; a file of that name is replaced.
    fasta, chrom_sizes
        Genome, for the names and the lengths of the contigs, and to compare the sequences with; or the
        lengths alone, as in `genomic_scores`. One of them is needed.

    Raises
    ------
    InputError
        As `genomic_scores`; neither `fasta` nor `chrom_sizes`; or the file cannot be written.
    MissingProgramError
        pyBigWig is not installed.

    Examples
    --------
    >>> import pyBigWig
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> places = {name: ("sequence", [value]) for name, value in
    ...           {"chrom": "chr20", "start": 100, "end": 102, "strand": "+"}.items()}
    >>> sequences = encode_sequences(["GN"]).assign_coords(places)
    >>> path = getfixture("tmp_path") / "g.bw"
    >>> export_bigwig(in_silico_mutagenesis(model, sequences), path, chrom_sizes={"chr20": 63_025_520})
    >>> with pyBigWig.open(str(path)) as file:
    ...     file.intervals("chr20")
    ((100, 101, 1.0),)
    """
    check_writable(path)
    try:
        import pyBigWig
    except ImportError:
        raise MissingProgramError(
            "bigWig files need pyBigWig, which is not installed: pip install 'kipoi_tfbind[export]'"
        ) from None
    contigs = contigs_of(fasta, chrom_sizes)
    if contigs is None:
        raise InputError(
            "fasta: a bigWig file has the lengths of the contigs; give the genome (fasta=; --fasta) or their "
            "lengths (chrom_sizes=; --chrom-sizes)"
        )
    means = _means_by_contig(result, target, contigs)
    n_bases = sum(map(len, means.values()))
    with whole_file(path) as partial:
        # On a full disk pyBigWig ends the process, or goes on without a word.
        reserve(partial, _BYTES_PER_BASE * n_bases + _LEAST_BYTES)
        file = pyBigWig.open(str(partial), "w")
        try:
            file.addHeader([(contig, contigs.lengths[contig]) for contig in means])
            last = {}
            for contig, of_contig in means.items():
                for start, scores in of_contig.parts():
                    file.addEntries(contig, start, values=scores, span=1)
                    last[contig] = int(start[-1])
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be written ({error}); choose another place") from None
        finally:
            file.close()
        _check_bigwig(path, partial, n_bases, last)


def _check_bigwig(path: str | os.PathLike[str], partial: Path, n_bases: int, last: dict[str, int]) -> None:
    """Check that a bigWig file is whole, by its last bases."""
    import pyBigWig

    try:
        with pyBigWig.open(str(partial)) as file:
            is_whole = file.header()["nBasesCovered"] == n_bases and all(
                file.intervals(contig, base, base + 1) for contig, base in last.items()
            )
    except RuntimeError:
        is_whole = False
    if not is_whole:
        raise InputError(
            f"{path}: cannot be written whole; is the disk full? Free some space or choose another place"
        )
