"""Seqlets and hits as BED: places on the contigs, with strand, score and q-value."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from kipoi_tfbind.dna.one_hot import decode_codes, reverse_complement_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.files import check_writable, open_result, whole_file

KINDS = ("hit", "seqlet")
_HEADER = "#chrom\tstart\tend\tname\tscore\tstrand\tstatistic\tcontribution\tp_value\tq_value\tsequence\n"
_LARGEST = 1000


def export_bed(
    result: xr.Dataset | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    fasta: str | os.PathLike[str] | None = None,
) -> None:
    r"""Write seqlets or hits as BED6 with five more columns, sorted by place.

    chrom, start, end (0-based, half-open), name (of the motif, or seqlet+ and seqlet- by the sign of the
    contribution), score (-100 log10 q, at most 1000), strand; and the statistic that was tested, the sum of
    the contributions, the p-value, the q-value and the name of the sequence. A first line begins with #.

    Parameters
    ----------
    result
        Result of `find_seqlets` or `find_hits`, or the file of one.
    path
        Name of the file, which is compressed where it ends in ``.gz``; a file of that name is replaced.
    fasta
        Genome, for the names of the contigs, and to compare the bases under each interval with.

    Raises
    ------
    InputError
        A result of another method, or one whose sequences have no places in the genome; or the genome has
        other bases there.

    Examples
    --------
    >>> values = {"chrom": "chr20", "chrom_start": 9, "chrom_end": 13, "strand": "-", "bases": "GATA",
    ...           "score": 2.5, "contribution": 1.5, "p_value": 1e-4, "q_value": 0.01, "sequence_id": "peak1"}
    >>> result = xr.Dataset({f"seqlet_{name}": ("seqlet", [value]) for name, value in values.items()})
    >>> path = getfixture("tmp_path") / "seqlets.bed"
    >>> export_bed(result, path)
    >>> path.read_text().splitlines()[1]
    'chr20\t9\t13\tseqlet+\t200\t-\t2.5\t1.5\t0.0001\t0.01\tpeak1'
    """
    check_writable(path)
    if not isinstance(result, xr.Dataset):
        result = open_result(result)
    kind = next((each for each in KINDS if f"{each}_score" in result), None)
    if kind is None:
        method = result.attrs.get("method", "an unknown method")
        raise InputError(f"result: of {method}, which has no places; give a result of seqlets or hits")
    if f"{kind}_chrom" not in result:
        raise InputError(
            "result: its sequences have no places in the genome, which BED needs; make the contributions "
            "with --fasta and --intervals, or write .tsv"
        )
    table = _table(result, kind)
    if fasta is not None and len(table):
        table["chrom"] = _checked(table, fasta)
    table = table.sort_values(["chrom", "start", "end", "strand", "name"], kind="stable")
    opened = gzip.open if Path(path).suffix == ".gz" else open
    with whole_file(path) as partial, opened(partial, "wt", newline="") as file:
        file.write(_HEADER)
        table.drop(columns="bases").to_csv(
            file, sep="\t", header=False, index=False, float_format="%.6g", lineterminator="\n"
        )


def _table(result: xr.Dataset, kind: str) -> pd.DataFrame:
    def of(name: str) -> np.ndarray:
        return np.asarray(result[f"{kind}_{name}"].values)

    q, contribution = of("q_value").astype(float), of("contribution").astype(float)
    names = (
        of("motif").astype(str)
        if f"{kind}_motif" in result
        else np.where(contribution < 0, f"{kind}-", f"{kind}+")
    )
    return pd.DataFrame(
        {
            "chrom": of("chrom").astype(str),
            "start": of("chrom_start").astype(np.int64),
            "end": of("chrom_end").astype(np.int64),
            "name": ["_".join(name.split()) for name in names],
            "score": np.clip(np.rint(-100 * np.log10(np.maximum(q, 1e-300))), 0, _LARGEST).astype(int),
            "strand": of("strand").astype(str),
            "statistic": of("score").astype(float),
            "contribution": contribution,
            "p_value": of("p_value").astype(float),
            "q_value": q,
            "sequence": ["_".join(name.split()) for name in of("sequence_id").astype(str)],
            "bases": of("bases").astype(str),
        }
    )


def _checked(table: pd.DataFrame, fasta: str | os.PathLike[str]) -> list[str]:
    """Names that the contigs have in a genome, whose bases are compared."""
    genome = Genome(fasta)
    chrom = [genome.contig(name) for name in table["chrom"]]
    differ = 0
    for length, rows in table.assign(chrom=chrom).groupby(table["end"] - table["start"]):
        codes = genome.windows(rows["chrom"].tolist(), rows["start"].to_numpy(), int(length))
        reverse = rows["strand"].to_numpy() == "-"
        codes[reverse] = reverse_complement_codes(codes[reverse])
        differ += int((np.array(decode_codes(codes)) != rows["bases"].to_numpy()).sum())
    if 2 * differ > len(table):
        raise InputError(
            f"{genome.path}: under {differ} of {len(table)} intervals it has other bases than the sequences; "
            "use the FASTA that the result was made with"
        )
    if differ:
        notice(f"{genome.path}: other bases than the sequences under {differ} of {len(table)} intervals")
    return chrom
