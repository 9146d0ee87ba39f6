"""Make the example files from chromosome 20 of hg19 and a set of CTCF peaks; see README.md.

Usage: python make.py CHR20_FASTA PEAKS_NARROWPEAK_GZ
"""

import gzip
import sys
from pathlib import Path

import pysam

END = 1_000_000  # the slice begins at base 1, so that coordinates are those of hg19
HERE = Path(__file__).parent

# CTCF sites by their motif (JASPAR MA0139.1, 19 bases): first base (1-based), strand, and three
# variants: one that breaks the core, one that hardly matters, one towards the consensus.
SITES = [
    (118554, "-", (118563, "C", "G"), (118571, "C", "A"), (118554, "A", "T")),
    (189774, "+", (189778, "C", "G"), (189780, "C", "G"), (189788, "T", "C")),
    (247783, "-", (247792, "C", "G"), (247783, "T", "G"), (247796, "C", "T")),
    (311394, "-", (311403, "C", "G"), (311394, "T", "G"), (311397, "G", "C")),
    (335282, "+", (335286, "C", "G"), (335284, "A", "T"), (335296, "A", "C")),
    (412291, "-", (412300, "C", "G"), (412307, "T", "A"), (412306, "T", "G")),
    (459783, "-", (459792, "C", "G"), (459783, "T", "G"), (459799, "A", "C")),
    (648237, "-", (648246, "C", "G"), (648253, "T", "A"), (648254, "G", "C")),
    (719836, "-", (719845, "C", "G"), (719853, "C", "A"), (719840, "A", "G")),
    (741784, "+", (741788, "C", "G"), (741786, "A", "T"), (741784, "G", "T")),
    (796840, "+", (796844, "C", "G"), (796850, "G", "A"), (796851, "A", "G")),
]
# Away from every peak.
CONTROLS = [
    (150000, "C", "A"),
    (230000, "A", "G"),
    (430000, "G", "T"),
    (700000, "C", "T"),
    (900000, "T", "C"),
]
# Other kinds of records; the last three are not scored.
OTHERS = [
    (459789, "ctcf_core_deletion", "CACCTGCTG", "C"),
    (648242, "ctcf_core_insertion", "C", "CATAT"),
    (719842, "ctcf_core_multinucleotide", "CAC", "TGA"),
    (741788, "ctcf_multiallelic", "C", "A,T,CA"),
    (796900, "symbolic_deletion", "{ref}", "<DEL>"),
    (796901, "spanned", "{ref}", "*"),
    (796902, "breakend", "{ref}", "{ref}[chr20:900000["),
]


def main(fasta_path: str, peaks_path: str) -> None:
    """Write all files into the folder of this script."""
    chromosome = pysam.FastaFile(fasta_path).fetch("20", 0, END)
    write_fasta(chromosome)
    write_peaks(peaks_path)
    write_sites()
    write_variants(chromosome)


def write_fasta(chromosome: str) -> None:
    """Write the slice and its index."""
    lines = (chromosome[i : i + 60] for i in range(0, len(chromosome), 60))
    bgzip(">chr20\n" + "\n".join(lines) + "\n", "chr20.hg19.1-1Mb.fa.gz")
    pysam.faidx(str(HERE / "chr20.hg19.1-1Mb.fa.gz"))


def write_peaks(peaks_path: str) -> None:
    """Write the peaks that lie on the slice."""
    with gzip.open(peaks_path, "rt") as file:
        rows = [line for line in file if int(line.split("\t")[2]) < END]
    bgzip("".join(rows), "CTCF.HepG2.narrowPeak.gz")


def write_sites() -> None:
    """Write a BED of the sites with their strands and of the places 3 kb downstream; column 7 is a label."""
    rows = []
    for number, (first, strand, *_) in enumerate(SITES, start=1):
        for name, shift, label in ((f"ctcf_site_{number}", 0, 1), (f"downstream_{number}", 3000, 0)):
            start = first - 1 + shift
            rows.append(f"chr20\t{start}\t{start + 19}\t{name}\t0\t{strand}\t{label}\n")
    (HERE / "ctcf_sites.bed").write_text("".join(rows))


def write_variants(chromosome: str) -> None:
    """Write the variants, sorted, each REF compared with the chromosome."""
    records = [(pos, f"control_{i}", ref, alt) for i, (pos, ref, alt) in enumerate(CONTROLS, start=1)]
    for i, (_, _, *variants) in enumerate(SITES, start=1):
        for kind, (pos, ref, alt) in zip(("break", "mild", "gain"), variants, strict=True):
            records.append((pos, f"ctcf_{kind}_{i}", ref, alt))
    for pos, name, ref, alt in OTHERS:
        base = chromosome[pos - 1]
        records.append((pos, name, ref.format(ref=base), alt.format(ref=base)))
    lines = [
        "##fileformat=VCFv4.3",
        "##reference=hg19",
        '##ALT=<ID=DEL,Description="Deletion">',
        f"##contig=<ID=chr20,length={END}>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    for pos, name, ref, alt in sorted(records):
        there = chromosome[pos - 1 : pos - 1 + len(ref)]
        if there != ref:
            raise ValueError(f"{name}: chr20:{pos} is {there}, not {ref}")
        lines.append(f"chr20\t{pos}\t{name}\t{ref}\t{alt}\t.\t.\t.")
    bgzip("\n".join(lines) + "\n", "variants.vcf.gz")


def bgzip(text: str, name: str) -> None:
    """Write text into a bgzipped file of this folder."""
    with pysam.BGZFile(str(HERE / name), "wb", None) as file:
        file.write(text.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
