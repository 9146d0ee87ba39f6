"""CPU seconds that one shard of many takes to read its input: all but the computing, which is next to none.

    python benchmarks/shard_reading.py [--sequences 20000] [--length 1000] [--shards 20]

Inputs are drawn at random: a genome with intervals (plain FASTA and bgzip), a FASTA of sequences,
every SNV of some intervals, a VCF.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import pysam
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind import schema

GENOME = 20_000_000


def method(model: object, sequences: xr.Dataset) -> xr.Dataset:
    """A method that costs nothing."""
    result = sequences.drop_vars(["one_hot", "base", "position"]).assign(
        prediction=(("sequence", "target"), np.zeros((sequences.sizes["sequence"], 1), dtype=np.float32))
    )
    return schema.annotate(result.assign_coords(target=["y"]).assign_attrs(method="method"))


def draw(folder: Path, n: int, length: int) -> None:
    """The inputs."""
    rng = np.random.default_rng(0)
    bases = rng.choice(np.frombuffer(b"ACGT", dtype=np.uint8), GENOME).tobytes().decode()
    lines = "\n".join(bases[i : i + 60] for i in range(0, GENOME, 60))
    (folder / "genome.fa").write_text(f">1\n{lines}\n")
    pysam.tabix_compress(str(folder / "genome.fa"), str(folder / "genome.fa.gz"))
    starts = np.sort(rng.integers(0, GENOME - length, n))
    (folder / "peaks.bed").write_text("".join(f"1\t{start}\t{start + length}\n" for start in starts))
    with (folder / "sequences.fa").open("w") as file:
        for number, start in enumerate(starts):
            file.write(f">s{number}\n{bases[start : start + length]}\n")
    with (folder / "variants.vcf").open("w") as file:
        file.write("##fileformat=VCFv4.3\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for start in np.unique(starts):
            ref = bases[start]
            file.write(f"1\t{start + 1}\t.\t{ref}\t{'A' if ref != 'A' else 'C'}\t.\t.\t.\n")
    (folder / "some.bed").write_text("1\t0\t4000000\n")


def cases(folder: Path, length: int) -> Iterator[tuple[str, Callable[[str | None], object]]]:
    """Name of a way to read, and what reads so as a shard, or all."""
    model = tfb.as_sequence_model(lambda one_hot: one_hot[:, 0, :1], targets=["y"], length=length)

    def sequences(make: Callable[[], Iterator[xr.Dataset]]) -> Callable[[str | None], object]:
        return lambda shard: tfb.stream(method, model, make(), folder / "out.nc", shard=shard, at_once=1024)

    for fasta in ("genome.fa", "genome.fa.gz"):
        read = lambda fasta=fasta: tfb.iterate_intervals(folder / fasta, folder / "peaks.bed")  # noqa: E731
        yield f"{fasta} with intervals", sequences(read)
    yield "FASTA of sequences", sequences(lambda: tfb.iterate_fasta(folder / "sequences.fa"))

    from kipoi_tfbind.genome.all_snvs import AllSnvs
    from kipoi_tfbind.genome.reference import Genome
    from kipoi_tfbind.genome.vcf_stream import VcfStream
    from kipoi_tfbind.results.shards import Shard
    from kipoi_tfbind.results.variant_shards import OwnRecords

    def records(make: Callable[[], object]) -> Callable[[str | None], object]:
        def run(shard: str | None) -> object:
            stream = OwnRecords(make(), Shard.parse(shard)) if shard else make()  # type: ignore[arg-type]
            return sum(len(block) for block in stream.blocks(1024)), shard and stream.facts()  # type: ignore

        return run

    yield "VCF", records(lambda: VcfStream(folder / "variants.vcf"))
    genome = Genome(folder / "genome.fa")
    yield "every SNV of 4,000,000 bp", records(lambda: AllSnvs(genome, folder / "some.bed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, redirect_stderr(StringIO()):
        folder = Path(name)
        draw(folder, options.sequences, options.length)
        print(f"| input | all | shard 2/{options.shards} |\n|---|---|---|")
        for what, run in cases(folder, options.length):
            seconds = []
            for shard in (None, f"2/{options.shards}"):
                rounds = []
                for _ in range(options.rounds):
                    start = time.process_time()
                    run(shard)
                    rounds.append(time.process_time() - start)
                seconds.append(min(rounds))
            print(f"| {what} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
