"""Variant scores measured, as Markdown: speed, memory, size of the test of null variants, false discovery.

    python benchmarks/variants.py speed [--models CTCF-single] [--snvs 20000]   edits beside whole windows
    python benchmarks/variants.py end-to-end FASTA [--snvs 100000]             files in, files out; memory
    python benchmarks/variants.py memory FASTA --snvs 1000000                  a tenth of them, and all
    python benchmarks/variants.py atlas FASTA --region 20:1000000-2000000      every SNV of a region
    python benchmarks/variants.py size FASTA                                   p-values of null variants
    python benchmarks/variants.py discovery FASTA                                        planted variants
    python benchmarks/variants.py indels                                       fills of the indels of NA12878

Sides of a comparison take turns in one process, and ratios are those of the processor's time: seconds of a
machine that others use say little. FASTA is chromosome 20 of
GRCh37/hg19; null variants are drawn from `--intervals`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pysam
from scipy import stats

import kipoi_tfbind as tfb
from kipoi_tfbind.genome.all_snvs import AllSnvs
from kipoi_tfbind.genome.changes import find_changes
from kipoi_tfbind.genome.intervals import read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret.variants.evaluate import VariantOptions
from kipoi_tfbind.interpret.variants.null_statistics import q_values
from kipoi_tfbind.interpret.variants.nulls import NullVariants
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer
from kipoi_tfbind.interpret.variants.write import write_variant_effects
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.motifs.sites import find_sites

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"
EXAMPLE = ZOO / "example_data" / "chr20.hg19.1-1Mb.fa.gz"
NA12878 = ZOO / "example_data" / "NA12878.chr20_1Mb.vcf.gz"
HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
CLASSES = ("C>A", "C>G", "C>T", "C>T CpG", "T>A", "T>C", "T>G", "deletion 1", "insertion 1")


def model_of(name: str) -> Any:
    return tfb.load_model(str(ZOO / name), source="dir")


def write_snvs(path: Path, fasta: str, n: int) -> None:
    """SNVs at random places of the first contig of a FASTA."""
    file = pysam.FastaFile(fasta)
    name = file.references[0]
    text = file.fetch(name).upper()
    rng = np.random.default_rng(0)
    places = np.flatnonzero(np.frombuffer(text.encode(), dtype="S1") != b"N")
    with open(path, "w") as out:
        out.write(HEADER)
        for pos in np.sort(rng.choice(places, min(n, len(places)), replace=False)).tolist():
            alt = "ACGT".replace(text[pos], "")[rng.integers(3)]
            out.write(f"{name}\t{pos + 1}\t.\t{text[pos]}\t{alt}\t.\t.\t.\n")


def timed(run: Any) -> tuple[float, float]:
    """Seconds of the processor and of the clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def speed(args: argparse.Namespace) -> None:
    print("| model | whole windows, alleles per CPU second | edits | ratio (smallest to largest) |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "a.vcf")
        write_snvs(source, str(EXAMPLE), args.snvs)
        for name in args.models:
            model, times = model_of(name), {"full": [], "incremental": []}

            def run(path: str, model: Any = model) -> None:
                options = VariantOptions(path=path)  # type: ignore[arg-type]
                write_variant_effects(model, source, EXAMPLE, [Path(folder, "o.vcf.gz")], options=options)

            for path in times:
                run(path)
            for _ in range(args.rounds):
                for path, found in times.items():
                    found.append(timed(lambda path=path: run(path))[0])
            ratios = np.array(times["full"]) / times["incremental"]
            whole, edits = (args.snvs / np.median(times[path]) for path in ("full", "incremental"))
            print(
                f"| {name} | {whole:,.0f} | {edits:,.0f} | {np.median(ratios):.2f} "
                f"({ratios.min():.2f} to {ratios.max():.2f}) |"
            )


def end_to_end(args: argparse.Namespace) -> None:
    print("| model | SNVs | alleles/s (clock) | alleles per CPU second | largest memory |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "a.vcf")
        write_snvs(source, args.fasta, args.snvs)
        for name in args.models:
            model = model_of(name)
            out = Path(folder, "o.vcf.gz")
            cpu, wall = timed(lambda: write_variant_effects(model, source, args.fasta, [out]))  # noqa: B023
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            rates = f"{args.snvs / wall:,.0f} | {args.snvs / cpu:,.0f}"
            print(f"| {name} | {args.snvs:,} | {rates} | {memory:.2f} GB |")


def memory(args: argparse.Namespace) -> None:
    """Largest memory of a process that scores so many SNVs with a model that costs next to nothing."""
    script = (
        "import resource, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "import variants as v; source = Path(sys.argv[3], 'a.vcf');"
        "model = v.tfb.as_sequence_model(lambda x: x[:, 90:110, 1].sum(axis=1), targets=['C'], length=200);"
        "v.write_variant_effects(model, source, sys.argv[2], [Path(sys.argv[3], 'o.vcf.gz')]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
    )
    print("| SNVs | largest memory |")
    print("|---|---|")
    for n in (args.snvs // 10, args.snvs):
        with tempfile.TemporaryDirectory() as folder:
            write_snvs(Path(folder, "a.vcf"), args.fasta, n)
            command = [sys.executable, "-c", script, str(Path(__file__).parent), args.fasta, folder]
            used = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {n:,} | {float(used):.2f} GB |", flush=True)


def atlas(args: argparse.Namespace) -> None:
    contig, _, text = args.region.rpartition(":")
    start, end = (int(part) for part in text.split("-"))
    genome = Genome(args.fasta)
    print("| model | region | SNVs | minutes | minutes per Mb | CPU minutes per Mb |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        bed = Path(folder, "a.bed")
        bed.write_text(f"{contig}\t{start}\t{end}\n")
        for name in args.models:
            model, out = model_of(name), Path(folder, f"{name}.vcf.gz")

            def run(model: Any = model, out: Path = out) -> None:
                write_variant_effects(model, AllSnvs(genome, bed), genome, [out])

            cpu, wall = timed(run)
            mb = (end - start) / 1e6
            times = f"{wall / 60:.1f} | {wall / 60 / mb:.1f} | {cpu / 60 / mb:.1f}"
            print(f"| {name} | {args.region} | {3 * (end - start):,} | {times} |")


def nulls_of(args: argparse.Namespace, folder: str) -> NullVariants:
    model, genome = model_of(args.models[0]), Genome(args.fasta)
    if args.intervals:
        regions = args.intervals
    else:
        regions = Path(folder, "a.bed")
        name = next(iter(genome.lengths))
        regions.write_text(f"{name}\t10000000\t20000000\n")
    scorer = AlleleScorer(model, genome, model.length)
    return NullVariants(scorer, read_intervals(regions), args.nulls)


def fresh(nulls: NullVariants, n: int) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Null variants of other draws, with the predictions for the reference and the effects."""
    for number, name in enumerate(CLASSES):
        for stream in range(1, 1 + -(-n // (nulls.n * len(CLASSES)))):
            changes = nulls.draw(name, stream=stream + 100 * number)
            found = nulls.scorer.predict(changes)
            yield changes, found.ref, found.alt - found.ref


def size(args: argparse.Namespace) -> None:
    """P-values of variants that are drawn like the nulls."""
    with tempfile.TemporaryDirectory() as folder:
        nulls = nulls_of(args, folder)
        print_size(nulls, args, null_p_values(nulls, args.tests))


def null_p_values(nulls: NullVariants, n: int) -> np.ndarray:
    found = [nulls.compare(changes, ref, e)["effect_p_value"] for changes, ref, e in fresh(nulls, n)]
    return np.concatenate(found)[:, 0]


def print_size(nulls: NullVariants, args: argparse.Namespace, p: np.ndarray) -> None:
    """How many of the null variants have a p-value as small as is said, with 95% intervals (Wilson)."""
    print(
        f"{len(p):,} null variants, {nulls.n:,} nulls of each of {len(CLASSES)} classes, {args.models[0]}\n"
    )
    print("| nominal | null variants | observed | 95% interval |")
    print("|---|---|---|---|")
    for level in (0.05, 0.01, 1e-3, 1e-4):
        k = int((p <= level).sum())
        low, high = stats.binomtest(k, len(p)).proportion_ci(method="wilson")
        print(f"| {level:g} | {k:,} | {k / len(p):.3g} | {low:.2g} to {high:.2g} |")
    print()


def discovery(args: argparse.Namespace) -> None:
    """As size; and SNVs that break CTCF motifs under peaks, among null variants: recovered, and false."""
    with tempfile.TemporaryDirectory() as folder:
        nulls = nulls_of(args, folder)
        genome, model = nulls.scorer.genome, nulls.scorer.model
        planted = planted_snvs(genome, Path(folder, "planted.vcf"), args)
        effects = tfb.variant_effects(model, planted, genome)
        n = effects.sizes["allele"]
        changes = find_changes(
            genome,
            [str(effects["chrom"].values[0])],
            np.zeros(n, dtype=int),
            effects["pos"].values,
            effects["ref"].values.tolist(),
            effects["alt"].values.tolist(),
        )
        ref = effects["ref_prediction"].values
        p_planted = nulls.compare(changes, ref, effects["alt_prediction"].values - ref)["effect_p_value"][
            :, 0
        ]
        p_null = null_p_values(nulls, args.tests)
    print_size(nulls, args, p_null)
    print(f"{n:,} planted variants\n")
    rng = np.random.default_rng(0)
    print("| planted among nulls | nominal FDR | recovered | false among the found |")
    print("|---|---|---|---|")
    for share in (0.02, 0.1):
        m = int(len(p_planted) / share - len(p_planted))
        for level in (0.05, 0.1):
            recovered, false = [], []
            for _ in range(200):
                p = np.concatenate([p_planted, rng.choice(p_null, min(m, len(p_null)), replace=False)])
                found = q_values(p[:, np.newaxis])[:, 0] <= level
                recovered.append(found[: len(p_planted)].mean())
                false.append(found[len(p_planted) :].sum() / max(found.sum(), 1))
            print(f"| {share:.0%} | {level:g} | {np.mean(recovered):.2f} | {np.mean(false):.3f} |")


def planted_snvs(genome: Genome, path: Path, args: argparse.Namespace) -> Path:
    """The core base of the best CTCF site under each summit, changed to the least likely one."""
    peaks = read_intervals(args.peaks)
    motif = parse_motif("MA0139.1")
    name = next(iter(genome.lengths))
    rows = []
    starts = peaks.center - 50
    for start, codes in zip(starts.tolist(), genome.windows(name, starts, 100), strict=True):
        sites = find_sites(codes[np.newaxis], motif, threshold=0.85)[0]
        if sites:
            site = max(sites, key=lambda each: each.score)
            matrix = motif.matrix[::-1, ::-1] if site.is_reverse else motif.matrix
            column = int(matrix.max(axis=1).argmax())
            pos = start + site.start + column
            own = int(codes[site.start + column])
            alt = int(matrix[column].argmin())
            if alt != own:
                rows.append((pos + 1, "ACGT"[own], "ACGT"[alt]))
    lines = [f"{name}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" for pos, ref, alt in sorted(set(rows))]
    path.write_text(HEADER + "".join(lines))
    return path


def indels(args: argparse.Namespace) -> None:
    """How far the windows of an indel differ, and whether all have the sign of their mean, moved ones too."""
    print(
        "| model | indels | median magnitude of the effect | of left - right | effect above the spread | "
        "both fills have its sign | moved by 1, the mean has it | all moved windows have it |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        source = only_indels(Path(folder, "a.vcf"))
        for name in args.models:
            model = model_of(name)
            effect, spread = effects_of(model, source, indel_anchors="both")
            left, right = (effects_of(model, source, indel_anchors=side)[0] for side in ("left", "right"))
            moved, moved_spread = effects_of(model, source, shifts=1)
            clear = np.abs(effect) > spread
            same = (np.sign(left) == np.sign(effect)) & (np.sign(right) == np.sign(effect))
            still = np.sign(moved) == np.sign(effect)
            # Where a mean is larger than its spread, all of its windows have its sign.
            everywhere = still & (np.abs(moved) > moved_spread)
            print(
                f"| {name} | {len(effect)} | {np.median(np.abs(effect)):.3f} | "
                f"{np.median(np.abs(left - right)):.3f} | {clear.mean():.1%} | {same[clear].mean():.1%} | "
                f"{still[clear].mean():.1%} | {everywhere[clear].mean():.1%} |",
                flush=True,
            )


def only_indels(path: Path) -> Path:
    """The records of NA12878 with an insertion or deletion."""
    with (
        pysam.VariantFile(str(NA12878)) as file,
        pysam.VariantFile(str(path), "w", header=file.header) as out,
    ):
        for record in file:
            if any(len(alt) != len(record.ref) for alt in record.alts or ()):
                out.write(record)
    return path


def effects_of(model: Any, source: Path, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    found = tfb.variant_effects(model, source, EXAMPLE, **options)
    return found["alt_prediction"].values - found["ref_prediction"].values, found["window_spread"].values


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for function in (speed, end_to_end, memory, atlas, size, discovery, indels):
        command = commands.add_parser(function.__name__.replace("_", "-"), help=function.__doc__)
        command.set_defaults(run=function)
        command.add_argument(
            "--models",
            nargs="+",
            default=["CTCF-single"] if function in (size, discovery) else ["CTCF-single", "HepG2-single"],
        )
        if function in (end_to_end, memory, atlas, size, discovery):
            command.add_argument("fasta")
        command.add_argument("--snvs", type=int, default=100_000 if function is end_to_end else 20_000)
        command.add_argument("--rounds", type=int, default=3)
        command.add_argument("--region", default="20:1000000-2000000")
        command.add_argument("--intervals", help="regions that nulls are drawn from")
        command.add_argument("--peaks", help="narrowPeak of CTCF, for planted variants")
        command.add_argument("--nulls", type=int, default=10_000)
        command.add_argument("--tests", type=int, default=200_000)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
