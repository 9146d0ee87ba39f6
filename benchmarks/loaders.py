"""Speed of one-hot encoding, and of IntervalWindows against kipoiseq's SeqIntervalDl on the same windows.

The loaders read the same BED and FASTA, each from its construction to its last batch, in turns; the
medians and their ratio are printed. The first batches are compared, so that both do the same work.

    python benchmarks/loaders.py 20.fa.gz [--windows 10000] [--length 1000] [--repeats 5]

The FASTA is taken as it is and also decompressed, since a bgzipped one is slower to read by position.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pysam
from kipoiseq.dataloaders import SeqIntervalDl

from kipoi_tfbind.dataloaders import IntervalWindows, VariantWindows
from kipoi_tfbind.dna.one_hot import one_hot, one_hot_codes
from kipoi_tfbind.genome.reference import Genome


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "fasta", help="FASTA of one or more contigs, bgzipped, indexed or in a writable folder"
    )
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--length", type=int, default=1_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vcf", help="also time VariantWindows on this file")
    arguments = parser.parse_args()
    time_one_hot(arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        plain = decompressed(arguments.fasta, Path(folder))
        time_windows(plain, arguments)
        genome = Genome(arguments.fasta)
        for order in ("sorted", "random"):
            bed = write_bed(genome, Path(folder), order, arguments.windows, arguments.length)
            for name, fasta in (("bgzip", arguments.fasta), ("plain", str(plain))):
                time_loaders(f"{order} BED, {name} FASTA", str(bed), fasta, arguments)
    if arguments.vcf:
        time_variants(arguments)


def time_one_hot(repeats: int) -> None:
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGTNacgt", dtype=np.uint8)
    for n in (32, 256, 10_000):
        text = letters[rng.integers(0, len(letters), (n, 1000))]
        for kind, sequences in (("bytes", text), ("str", [row.tobytes().decode() for row in text])):
            seconds = statistics.median(timed(partial(one_hot, sequences)) for _ in range(max(5, repeats)))
            print(f"one_hot, {n} x 1000 {kind}: {text.size / seconds / 1e6:.0f} million bases/s")


def time_windows(fasta: Path, arguments: argparse.Namespace) -> None:
    """Windows at random places of an uncompressed FASTA: base codes, and one-hot numbers of one byte."""
    genome = Genome(fasta)
    contig, contig_length = next(iter(genome.lengths.items()))
    starts = np.random.default_rng(1).integers(0, contig_length - arguments.length, arguments.windows)

    def codes() -> np.ndarray:
        return genome.windows(contig, starts, arguments.length)

    def one_hot_bytes() -> np.ndarray:
        return one_hot_codes(codes(), np.uint8)

    codes()  # numba compiles
    for name, read in (("base codes", codes), ("one-hot uint8", one_hot_bytes)):
        seconds = statistics.median(timed(read) for _ in range(max(5, arguments.repeats)))
        bases = arguments.windows * arguments.length
        rate = bases / seconds / 1e6
        print(f"plain FASTA, {arguments.windows} x {arguments.length}: {name} {rate:.0f} million bases/s")


def time_loaders(title: str, bed: str, fasta: str, arguments: argparse.Namespace) -> None:
    batch_size, length = arguments.batch_size, arguments.length
    numbers = not next(iter(Genome(fasta).lengths)).startswith("chr")  # kipoiseq wants to be told

    def ours() -> Iterator[dict]:
        return IntervalWindows(bed, fasta, length=length).batch_iter(batch_size)

    def kipoiseq() -> Iterator[dict]:
        loader = SeqIntervalDl(bed, fasta, num_chr_fasta=numbers, auto_resize_len=length, ignore_targets=True)
        return loader.batch_iter(batch_size)

    mine, theirs = next(ours())["inputs"], next(kipoiseq())["inputs"]
    is_base = mine.any(axis=-1)  # kipoiseq writes 0.25 for N
    np.testing.assert_array_equal(mine[is_base], theirs[is_base])
    seconds: dict[str, list[float]] = {"IntervalWindows": [], "SeqIntervalDl": []}
    for _ in range(arguments.repeats):
        for name, loader in (("IntervalWindows", ours), ("SeqIntervalDl", kipoiseq)):
            seconds[name].append(timed(partial(exhaust, loader)))
    rates = {name: arguments.windows / statistics.median(times) for name, times in seconds.items()}
    ratio = rates["IntervalWindows"] / rates["SeqIntervalDl"]
    shown = ", ".join(f"{name} {rate:,.0f} windows/s" for name, rate in rates.items())
    print(f"{title}, {arguments.windows} x {length}: {shown}, ratio {ratio:.1f}")


def time_variants(arguments: argparse.Namespace) -> None:
    def batches() -> Iterator[dict]:
        loader = VariantWindows(arguments.vcf, arguments.fasta, length=arguments.length)
        return loader.batch_iter(arguments.batch_size)

    n = sum(len(batch["inputs"]["ref"]) for batch in batches())
    seconds = statistics.median(timed(partial(exhaust, batches)) for _ in range(arguments.repeats))
    print(f"VariantWindows, {n} alleles: {n / seconds:,.0f} pairs of windows/s")


def write_bed(genome: Genome, folder: Path, order: str, n: int, length: int) -> Path:
    """Windows at random places of the first contig; kipoiseq cannot read over its ends."""
    contig, contig_length = next(iter(genome.lengths.items()))
    starts = np.random.default_rng(1).integers(0, contig_length - length, n)
    if order == "sorted":
        starts.sort()
    path = folder / f"{order}.bed"
    path.write_text("".join(f"{contig}\t{start}\t{start + length}\n" for start in starts))
    return path


def decompressed(fasta: str, folder: Path) -> Path:
    path = folder / "plain.fa"
    with pysam.BGZFile(fasta, "rb", None) as source, path.open("wb") as target:
        while block := source.read(1 << 24):
            target.write(block)
    Genome(path)
    return path


def exhaust(loader: Callable[[], Iterator[dict]]) -> None:
    for _ in loader():
        pass


def timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
