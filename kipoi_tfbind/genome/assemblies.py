"""Which assembly of a genome a FASTA looks like, by the lengths of its chromosomes."""

from __future__ import annotations

from collections.abc import Mapping

# Lengths of chromosomes in bp, as the Genome Reference Consortium and the T2T Consortium published them.
_LENGTHS = {
    "GRCh37/hg19": {
        "1": 249250621, "2": 243199373, "3": 198022430, "4": 191154276, "5": 180915260, "6": 171115067,
        "7": 159138663, "8": 146364022, "9": 141213431, "10": 135534747, "11": 135006516, "12": 133851895,
        "13": 115169878, "14": 107349540, "15": 102531392, "16": 90354753, "17": 81195210, "18": 78077248,
        "19": 59128983, "20": 63025520, "21": 48129895, "22": 51304566, "X": 155270560, "Y": 59373566,
    },
    "GRCh38/hg38": {
        "1": 248956422, "2": 242193529, "3": 198295559, "4": 190214555, "5": 181538259, "6": 170805979,
        "7": 159345973, "8": 145138636, "9": 138394717, "10": 133797422, "11": 135086622, "12": 133275309,
        "13": 114364328, "14": 107043718, "15": 101991189, "16": 90338345, "17": 83257441, "18": 80373285,
        "19": 58617616, "20": 64444167, "21": 46709983, "22": 50818468, "X": 156040895, "Y": 57227415,
    },
    "NCBI36/hg18": {"1": 247249719, "20": 62435964, "22": 49691432, "X": 154913754},
    "T2T-CHM13v2.0": {"1": 248387328, "20": 66210255, "22": 51324926, "X": 154259566},
    "GRCm38/mm10": {"1": 195471971, "19": 61431566},
    "GRCm39/mm39": {"1": 195154279, "19": 61420004},
}  # fmt: skip


def assembly_of(lengths: Mapping[str, int]) -> str:
    """Name of the assembly that most contigs have the length of; empty where none is known.

    Examples
    --------
    >>> assembly_of({"chr20": 63025520, "chrUn": 4})
    'GRCh37/hg19'
    >>> assembly_of({"tiny": 10})
    ''
    """
    counts = {
        name: sum(known.get(contig.removeprefix("chr")) == length for contig, length in lengths.items())
        for name, known in _LENGTHS.items()
    }
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def likely_assembly(lengths: Mapping[str, int]) -> str:
    """Addition to a message about a FASTA: the assembly that its contigs' lengths look like."""
    name = assembly_of(lengths)
    return f" (the FASTA's contig lengths are those of {name})" if name else ""
