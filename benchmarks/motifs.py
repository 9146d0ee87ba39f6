"""Motifs by filters, seqlets and hits, where the truth is known: a simulated genome with planted motifs.

    python benchmarks/motifs.py simulate FOLDER    genome, peaks and training files, with and without ReLU
    kipoi tfbind train FOLDER/exponential.yaml --fasta FOLDER/genome.fa --peaks FOLDER -o FOLDER/exponential
    kipoi tfbind train FOLDER/relu.yaml --fasta FOLDER/genome.fa --peaks FOLDER -o FOLDER/relu
    python benchmarks/motifs.py recovered FOLDER FOLDER/exponential   planted motifs that filters match
    python benchmarks/motifs.py scan HITS.bed WINDOWS.bed GENOME PEAKS

A motif has 2,000 sites, each in a window of 120 bp. With 800 sites in windows of 200 bp the network does not
learn GATA1's and MEF2A's at all (average precision 0.04 and 0.03, their own matrices have 0.11 and 0.29).

The last holds hits of CTCF's matrix against as many of the best matches of the matrix alone in the same
windows: shares that lie in peaks of other cells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
import yaml

from kipoi_tfbind.motifs.read import JASPAR_RELEASE

PLANTED = {
    "CTCF": "MA0139.2",
    "NRF1": "MA0506.3",
    "NFYA": "MA0060.4",
    "GATA1": "MA0035.5",
    "TP53": "MA0106.3",
    "REST": "MA0138.3",
    "CEBPB": "MA0466.4",
    "IRF1": "MA0050.4",
    "SPI1": "MA0080.7",
    "MEF2A": "MA0052.5",
    "SRF": "MA0083.3",
    "RFX1": "MA0509.3",
}
CHOICES = "fraction:0.5,fraction:0.3"
LONGEST, LEAST_BITS = 19, 9.0  # of drawn motifs: as wide as a filter, and enough to be found
SPACING, SITES_OF_EACH, WINDOW, FREQUENCIES = 500, 2000, 120, (0.29, 0.21, 0.21, 0.29)


def families() -> dict[str, tuple[str, ...]]:
    """Family of each matrix of JASPAR's vertebrates, by id."""
    from pyjaspar import jaspardb

    found = jaspardb(release=JASPAR_RELEASE).fetch_motifs(collection="CORE", tax_group=["vertebrates"])
    return {motif.matrix_id: tuple(motif.tf_family or ()) for motif in found}


def drawn_motifs(number: int) -> dict[str, str]:
    """Twelve motifs: the named ones, or one drawn at random of each of twelve families drawn at random."""
    from kipoi_tfbind.motifs.match import information
    from kipoi_tfbind.motifs.read import parse_motif

    if number == 1:
        return PLANTED
    rng = np.random.default_rng(number)
    by_family: dict[tuple[str, ...], list[str]] = {}
    for matrix_id, family in sorted(families().items()):
        by_family.setdefault(family, []).append(matrix_id)
    drawn: dict[str, str] = {}
    for i in rng.permutation(len(by_family)):
        members = list(by_family.values())[i]
        matrix_id = members[rng.integers(len(members))]
        motif = parse_motif(matrix_id)
        if len(motif) <= LONGEST and information(motif.matrix).sum() >= LEAST_BITS and motif.name.isalnum():
            drawn[motif.name] = matrix_id
        if len(drawn) == len(PLANTED):
            break
    return drawn


def simulate(folder: Path, number: int) -> None:
    """A random genome with one site of one motif every 500 bp, on either strand; a peak of 60 bp at each."""
    from kipoi_tfbind.motifs.read import parse_motif

    folder.mkdir(parents=True, exist_ok=True)
    planted = drawn_motifs(number)
    (folder / "planted.yaml").write_text(yaml.safe_dump(planted, sort_keys=False))
    rng = np.random.default_rng(number)
    n = len(planted) * SITES_OF_EACH
    genome = rng.choice(4, size=(n + 2) * SPACING, p=FREQUENCIES).astype(np.uint8)
    order = rng.permutation(np.repeat(np.arange(len(planted)), SITES_OF_EACH))
    peaks: dict[str, list[str]] = {name: [] for name in planted}
    sites = []
    motifs = {name: parse_motif(matrix_id) for name, matrix_id in planted.items()}
    for i, which in enumerate(order):
        name = list(planted)[which]
        matrix = motifs[name].matrix
        start = (i + 1) * SPACING + int(rng.integers(100))
        drawn = (rng.random((len(matrix), 1)) > np.cumsum(matrix, axis=1)[:, :3]).sum(axis=1)
        reverse = bool(rng.integers(2))
        genome[start : start + len(matrix)] = 3 - drawn[::-1] if reverse else drawn
        centre = start + len(matrix) // 2
        peaks[name].append(f"sim1\t{centre - 30}\t{centre + 30}\t.\t0\t.\t0\t0\t0\t30\n")
        sites.append(f"sim1\t{start}\t{start + len(matrix)}\t{name}\t0\t{'-' if reverse else '+'}\n")
    text = np.frombuffer(b"ACGT", dtype=np.uint8)[genome].tobytes().decode()
    (folder / "genome.fa").write_text(f">sim1\n{text}\n")
    (folder / "sites.bed").write_text("".join(sites))
    for name, lines in peaks.items():
        (folder / f"{name}.narrowPeak").write_text("".join(lines))
    size = len(text)
    settings = {
        "architecture": "motif_cnn",
        "targets": {name: f"{name}.narrowPeak" for name in planted},
        "validation": [f"sim1:{int(size * 0.8)}-{int(size * 0.9)}"],
        "test": [f"sim1:{int(size * 0.9)}-{size}"],
        "windows": {"bin_length": 60, "stride": 30, "gc_matched": 0.25, "random": 0.25},
        "fit": {"epochs": 10, "jitter": 20},
    }
    for activation in ("exponential", "relu"):
        own = {"length": WINDOW, "filters": 32, "activation": activation}
        (folder / f"{activation}.yaml").write_text(yaml.safe_dump({**settings, "hyperparameters": own}))


def recovered(
    folder: Path, run: Path, choices: list[tuple[str, float]], sample: int, with_untrained: bool
) -> None:
    """Which planted motifs are a filter's best match at q < 0.05, and how often filters match by chance.

    The chance is that of permuted filters, and of the filters of the same network before its training.
    """
    import keras

    import kipoi_tfbind.layers  # noqa: F401 (registers the layers)
    from kipoi_tfbind import as_sequence_model, filter_motifs, match_filters, read_sequences
    from kipoi_tfbind.training.config import TrainingConfig
    from kipoi_tfbind.training.fit import build_model

    planted = yaml.safe_load((folder / "planted.yaml").read_text())
    lines = [line.split() for line in (folder / "sites.bed").read_text().splitlines()[::sample]]
    rng = np.random.default_rng(0)
    centres = [(int(f[1]) + int(f[2])) // 2 + int(rng.integers(-40, 41)) for f in lines]
    windows = folder / f"{run.name}.windows.bed"
    windows.write_text("".join(f"sim1\t{c - WINDOW // 2}\t{c + WINDOW // 2}\n" for c in centres))
    sequences = read_sequences(folder / "genome.fa", windows, length=WINDOW)
    untrained = build_model(TrainingConfig.from_yaml(run / "config.yaml"))
    print("weights\tsites\texact\tfamily\tfilters\tmedian sites\tpermuted\tby Tomtom\tnot found\tothers")
    networks = {"trained": keras.models.load_model(run / "model.keras"), "random": untrained}
    for name, network in list(networks.items())[: 1 + with_untrained]:
        model = as_sequence_model(network, targets=list(planted))
        for sites, threshold in choices if name == "trained" else choices[:1]:
            found = filter_motifs(model, sequences, sites=sites, threshold=threshold, importance=False)
            print(name, f"{sites} {threshold:g}", row_of(match_filters(found, sequences), planted), sep="\t")


def row_of(result: xr.Dataset, planted: dict[str, str]) -> str:
    """The numbers of one choice of sites, as tab-separated text."""
    family = families()
    q = result["match_q_value"].values[:, 0]
    best = set(result["match_id"].values[:, 0][q < 0.05])
    of_best = {family.get(matrix_id) for matrix_id in best}
    exact = [name for name, matrix_id in planted.items() if matrix_id in best]
    alike = [name for name, matrix_id in planted.items() if family[matrix_id] in of_best]
    others = {name for name in best if family.get(name) not in {family[each] for each in planted.values()}}
    cells = [
        f"{len(exact)} of {len(planted)}",
        f"{len(alike)} of {len(planted)}",
        f"{int((q < 0.05).sum())} of {len(q)}",
        f"{np.median(result['n_motif_sites'].values):.0f}",
        f"{result.attrs['false_match_rate']:.1%}",
        f"{result.attrs['tomtom_false_match_rate']:.1%}",
        ", ".join(name for name in planted if name not in exact) or "-",
        ", ".join(sorted(others)) or "-",
    ]
    return "\t".join(cells)


def strongest(entry: Path, genome: Path, target: str, share: float, windows: Path) -> None:
    """Write the windows of a whole genome, side by side, that have the largest predictions of a target."""
    import pysam

    from kipoi_tfbind import load_model
    from kipoi_tfbind.dna.one_hot import encode_bases, one_hot_codes

    model = load_model(str(entry), source="dir")
    column, size = model.target_names.index(target), model.length
    places, scores = [], []
    with pysam.FastaFile(str(genome)) as fasta:
        for contig in fasta.references:
            for first in range(0, fasta.get_reference_length(contig) - size, 1024 * size):
                text = fasta.fetch(contig, first, first + 1024 * size).upper()
                starts = [i for i in range(0, len(text) - size + 1, size) if "N" not in text[i : i + size]]
                if starts:
                    codes = encode_bases([text[i : i + size] for i in starts])
                    scores.append(model.predict(one_hot_codes(codes))[:, column])
                    places += [(contig, first + i) for i in starts]
    order = np.argsort(-np.concatenate(scores), kind="stable")[: round(share * len(places))]
    kept = sorted(places[i] for i in order)
    windows.write_text("".join(f"{contig}\t{start}\t{start + size}\n" for contig, start in kept))
    print(f"{len(kept)} of {len(places)} windows of {size} bp without N")


def scan(hits: Path, windows: Path, genome: Path, peaks: list[Path], matrix: str) -> None:
    """Shares of hits that lie in peaks; of as many best matches of the matrix; and of places by chance."""
    from scipy.stats import binomtest

    from kipoi_tfbind import read_sequences
    from kipoi_tfbind.dna.one_hot import codes_of
    from kipoi_tfbind.interpret._motif_scan import Template, base_frequencies
    from kipoi_tfbind.interpret._motif_scan import scan as log_odds
    from kipoi_tfbind.motifs.read import parse_motif

    is_bound = covered(peaks)
    rows = [line.split("\t") for line in hits.read_text().splitlines() if not line.startswith("#")]
    calls = {"hits": [(int(fields[1]) + int(fields[2])) // 2 for fields in rows]}
    sequences = read_sequences(genome, windows)
    codes, first = codes_of(sequences["one_hot"].values), sequences["start"].values
    template = Template.of(parse_motif(matrix).matrix, base_frequencies(codes))
    scores = np.maximum(*(log_odds(codes, each.log_odds) for each in (template, template.reverse())))
    row, start = np.unravel_index(np.argsort(-scores, axis=None, kind="stable"), scores.shape)
    width, taken, places = len(template.log_odds), set(), []
    for r, s in zip(row, start, strict=True):
        if not any((r, s + shift) in taken for shift in range(-width, width + 1)):
            taken.add((r, s))
            places.append(int(first[r]) + int(s) + width // 2)
        if len(places) == len(rows):
            break
    calls["best matches of the matrix in these windows"] = places
    rng = np.random.default_rng(0)
    n = 100 * len(rows)
    many, inside = rng.integers(len(codes), size=n), rng.integers(codes.shape[1], size=n)
    calls["places drawn at random in these windows"] = first[many] + inside
    known = np.flatnonzero(bases_known(genome))
    calls["places drawn at random in the genome"] = known[rng.integers(len(known), size=n)]
    for name, centres in calls.items():
        inside = int(is_bound[np.asarray(centres)].sum())
        interval = binomtest(inside, len(centres)).proportion_ci(method="wilson")
        share = inside / len(centres)
        print(
            f"{name}: {len(centres)} calls, in peaks {share:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        )


def covered(peaks: list[Path]) -> np.ndarray:
    """Whether each position of the contig lies in a peak."""
    from kipoi_tfbind.genome.text_files import numbered_lines

    is_bound = np.zeros(300_000_000, dtype=bool)
    for path in peaks:
        for _, line in numbered_lines(path):
            fields = line.split("\t")
            is_bound[int(fields[1]) : int(fields[2])] = True
    return is_bound


def bases_known(genome: Path) -> np.ndarray:
    """Whether each position of the first contig has a base."""
    import pysam

    with pysam.FastaFile(str(genome)) as fasta:
        text = fasta.fetch(fasta.references[0]).upper()
    return np.frombuffer(text.encode(), dtype=np.uint8) != ord("N")


def parsed(choices: str) -> list[tuple[str, float]]:
    """Choices of sites, such as fraction:0.5,maximum:0.5."""
    return [(sites, float(level)) for sites, _, level in (one.partition(":") for one in choices.split(","))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("simulate")
    one.add_argument("folder", type=Path)
    one.add_argument("--set", dest="number", type=int, default=1)
    one.set_defaults(run=lambda arguments: simulate(arguments.folder, arguments.number))
    two = commands.add_parser("recovered")
    two.add_argument("folder", type=Path)
    two.add_argument("run_folder", type=Path)
    two.add_argument("--choices", default=CHOICES)
    two.add_argument("--sample", type=int, default=3, help="every how many-th of the 24,000 windows")
    two.set_defaults(
        run=lambda a: recovered(a.folder, a.run_folder, parsed(a.choices), a.sample, not a.trained_only)
    )
    two.add_argument("--trained-only", action="store_true", help="leave the network before its training out")
    three = commands.add_parser("strongest")
    for name in ("entry", "genome"):
        three.add_argument(name, type=Path)
    three.add_argument("target")
    three.add_argument("share", type=float)
    three.add_argument("windows", type=Path)
    three.set_defaults(run=lambda a: strongest(a.entry, a.genome, a.target, a.share, a.windows))
    four = commands.add_parser("scan")
    for name in ("hits", "windows", "genome"):
        four.add_argument(name, type=Path)
    four.add_argument("peaks", type=Path, nargs="+")
    four.add_argument("--matrix", default="MA0139.2")
    four.set_defaults(run=lambda a: scan(a.hits, a.windows, a.genome, a.peaks, a.matrix))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
