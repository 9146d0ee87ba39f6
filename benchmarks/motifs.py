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
import yaml

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
SPACING, SITES_OF_EACH, WINDOW, FREQUENCIES = 500, 2000, 120, (0.29, 0.21, 0.21, 0.29)


def simulate(folder: Path) -> None:
    """A random genome with one site of one motif every 500 bp, on either strand; a peak of 60 bp at each."""
    from kipoi_tfbind.motifs.read import parse_motif

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    n = len(PLANTED) * SITES_OF_EACH
    genome = rng.choice(4, size=(n + 2) * SPACING, p=FREQUENCIES).astype(np.uint8)
    order = rng.permutation(np.repeat(np.arange(len(PLANTED)), SITES_OF_EACH))
    peaks: dict[str, list[str]] = {name: [] for name in PLANTED}
    sites = []
    motifs = {name: parse_motif(matrix_id) for name, matrix_id in PLANTED.items()}
    for i, which in enumerate(order):
        name = list(PLANTED)[which]
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
        "targets": {name: f"{name}.narrowPeak" for name in PLANTED},
        "validation": [f"sim1:{int(size * 0.8)}-{int(size * 0.9)}"],
        "test": [f"sim1:{int(size * 0.9)}-{size}"],
        "windows": {"bin_length": 60, "stride": 30, "gc_matched": 0.25, "random": 0.25},
        "fit": {"epochs": 24, "jitter": 20},
    }
    for activation in ("exponential", "relu"):
        own = {"length": WINDOW, "filters": 32, "activation": activation}
        (folder / f"{activation}.yaml").write_text(yaml.safe_dump({**settings, "hyperparameters": own}))


def recovered(folder: Path, run: Path) -> None:
    """Which planted motifs are a filter's best match at q < 0.05, and how often filters match by chance.

    The chance is that of permuted filters, and of the filters of the same network before its training.
    """
    import keras

    import kipoi_tfbind.layers  # noqa: F401 (registers the layers)
    from kipoi_tfbind import as_sequence_model, filter_motifs, match_filters, read_sequences
    from kipoi_tfbind.training.config import TrainingConfig
    from kipoi_tfbind.training.fit import build_model

    lines = [line.split() for line in (folder / "sites.bed").read_text().splitlines()[::3]]
    rng = np.random.default_rng(0)
    centres = [(int(f[1]) + int(f[2])) // 2 + int(rng.integers(-40, 41)) for f in lines]
    windows = folder / "windows.bed"
    windows.write_text("".join(f"sim1\t{c - WINDOW // 2}\t{c + WINDOW // 2}\n" for c in centres))
    sequences = read_sequences(folder / "genome.fa", windows, length=WINDOW)
    untrained = build_model(TrainingConfig.from_yaml(run / "config.yaml"))
    for name, network in (("trained", keras.models.load_model(run / "model.keras")), ("random", untrained)):
        model = as_sequence_model(network, targets=list(PLANTED))
        for threshold in (0.3, 0.5):
            found = filter_motifs(model, sequences, threshold=threshold, importance=False)
            result = match_filters(found, sequences)
            q = result["match_q_value"].values[:, 0]
            ids = set(result["match_id"].values[:, 0][q < 0.05])
            missed = [motif for motif, matrix_id in PLANTED.items() if matrix_id not in ids]
            strangers = ids - set(PLANTED.values())
            print(
                f"{name} weights, sites above {threshold:g} of the largest activation: "
                f"{len(PLANTED) - len(missed)} of {len(PLANTED)} planted motifs are a filter's best match at "
                f"q < 0.05 (not: {', '.join(missed) or '-'}); filters with a match "
                f"{int((q < 0.05).sum())} of {len(q)}, other motifs among the best: "
                f"{', '.join(sorted(strangers)) or '-'}; permuted filters with a match "
                f"{result.attrs['false_match_rate']:.1%}, by Tomtom alone "
                f"{result.attrs['tomtom_false_match_rate']:.1%}"
            )


def scan(hits: Path, windows: Path, genome: Path, peaks: Path) -> None:
    """Shares of hits, and of as many best matches of CTCF's matrix in the same windows, that lie in peaks."""
    from scipy.stats import binomtest

    from kipoi_tfbind import read_sequences
    from kipoi_tfbind.dna.one_hot import codes_of
    from kipoi_tfbind.genome.text_files import numbered_lines
    from kipoi_tfbind.interpret._motif_scan import Template, base_frequencies
    from kipoi_tfbind.interpret._motif_scan import scan as log_odds
    from kipoi_tfbind.motifs.read import parse_motif

    bound = [line.split("\t") for _, line in numbered_lines(peaks)]
    bound = [(int(fields[1]), int(fields[2])) for fields in bound]
    rows = [line.split("\t") for line in hits.read_text().splitlines()[1:]]
    calls = {"hits": [(int(fields[1]) + int(fields[2])) // 2 for fields in rows]}
    sequences = read_sequences(genome, windows)
    codes = codes_of(sequences["one_hot"].values)
    template = Template.of(parse_motif("MA0139.2").matrix, base_frequencies(codes))
    scores = np.maximum(*(log_odds(codes, each.log_odds) for each in (template, template.reverse())))
    row, start = np.unravel_index(np.argsort(-scores, axis=None, kind="stable"), scores.shape)
    width, taken, places = len(template.log_odds), set(), []
    for r, s in zip(row, start, strict=True):
        if not any((r, s + shift) in taken for shift in range(-width, width + 1)):
            taken.add((r, s))
            places.append(int(sequences["start"].values[r]) + int(s) + width // 2)
        if len(places) == len(rows):
            break
    calls["scan"] = places
    for name, centres in calls.items():
        inside = sum(any(low <= centre < high for low, high in bound) for centre in centres)
        interval = binomtest(inside, len(centres)).proportion_ci(method="wilson")
        share = inside / len(centres)
        print(
            f"{name}: {len(centres)} calls, in peaks {share:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("simulate")
    one.add_argument("folder", type=Path)
    one.set_defaults(run=lambda arguments: simulate(arguments.folder))
    two = commands.add_parser("recovered")
    two.add_argument("folder", type=Path)
    two.add_argument("run_folder", type=Path)
    two.set_defaults(run=lambda arguments: recovered(arguments.folder, arguments.run_folder))
    three = commands.add_parser("scan")
    for name in ("hits", "windows", "genome", "peaks"):
        three.add_argument(name, type=Path)
    three.set_defaults(run=lambda a: scan(a.hits, a.windows, a.genome, a.peaks))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
