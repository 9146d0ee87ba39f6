"""Trained on some cell types, tested on one that is left out; and trained on that one, for comparison.

    python benchmarks/held_out_cells.py --fasta 20.fa.gz --peaks peaks -o cells

The model is the dilated dense CNN of architectures.yaml beside this file, with its regions; three epochs. For
each cell type that is left out, one is trained on the union of the factors' peaks in all others, which also
choose its epoch, and one on the peaks of the cell type itself, on as many bins. Both are tested on its peaks
in the test regions, in which neither has trained. `cells/cells.md` has the table; a run that is done is not
done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.comparison.plan import merged, read_comparison
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.baselines import best_motif_score, jaspar_log_odds
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.fit import bins_of_run, train
from kipoi_tfbind.training.metrics import (
    block_weights,
    blocks_of,
    mean_auprc,
    ranking_metrics,
    with_both_classes,
    with_interval,
)
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins

PLAN = Path(__file__).with_name("architectures.yaml")
SETTING = {"architecture": "dilated_dense_cnn", "strands": "tied", "motifs": "JASPAR"}
# Of JUND both sites, of AP-1 and of CRE: the better one of each cell type in validation is the baseline.
MATRICES = {
    "CTCF": ("MA0139.1",),
    "MAX": ("MA0058.3",),
    "JUND": ("MA0491.1", "MA0492.2"),
    "REST": ("MA0138.2",),
}
CELLS, SEEDS, N_RESAMPLES, FLANK = ("HepG2", "HeLa-S3", "K562"), (1, 2, 3), 500, 20
Bins = tuple[LabelledBins, LabelledBins, LabelledBins]  # to train on, to validate with, to test on


def peak_files(peaks_dir: Path) -> dict[str, dict[str, str]]:
    """Factor -> cell type -> name of the peak file."""
    found: dict[str, dict[str, str]] = {factor: {} for factor in MATRICES}
    for path in sorted(peaks_dir.glob("ChIPseq.*.narrowPeak.gz")):
        _, cell, factor, *_ = path.name.split(".")
        if factor in found:
            found[factor][cell] = path.name
    return found


def configuration(targets: Mapping[str, list[str]], seed: int) -> TrainingConfig:
    """The plan's setting for other targets; filters begin as the matrices of these."""
    setting = next(s for s in read_comparison(PLAN).settings if SETTING.items() <= s.levels.items())
    matrices = [matrix for target in targets for matrix in MATRICES[target]]
    changes = {
        "motif_filters": matrices,
        "windows": {"stride": 200},
        "fit": {"epochs": 3, "seed": seed},
    }
    entries = {**merged(setting.entries, changes), "targets": dict(targets), "motifs": {}}
    return TrainingConfig.from_entries(entries)


def scores_of(bins: Bins, config: TrainingConfig, data: argparse.Namespace, name: str) -> list[NDArray]:
    """Log-odds (bin, target) of test bins by the model of each seed, which is trained if it is not there.

    All train on the same bins: they differ in their first weights, the order, the shifts and dropout.
    """
    found = []
    for seed in SEEDS:
        folder = data.output / f"{name}.seed-{seed}"
        path = folder / "scores.npy"
        if not path.exists():
            seeded = replace(config, fit=replace(config.fit, seed=seed))
            model = train(seeded, data.fasta, data.peaks, folder, verbose=0, bins=bins[:2])
            on_logits = keras.Model(model.input, model.get_layer("logit").output)
            codes = bins[2].codes(Genome(data.fasta), config.length)
            with whole_file(path) as new, open(new, "wb") as file:
                np.save(file, predict_codes(on_logits, codes))
            keras.backend.clear_session()
        found.append(np.load(path))
    return found


def kept_bins(targets: Mapping[str, list[str]], data: argparse.Namespace, name: str) -> Bins:
    """Bins to train on, to validate with, and to test on; made once."""
    paths = [data.output / f"{name}.{split}.npz" for split in ("training", "validation", "test")]
    if not all(path.exists() for path in paths):
        config, genome = configuration(targets, SEEDS[0]), Genome(data.fasta)
        made = [*bins_of_run(config, genome, data.peaks), held_out_bins(config, genome, data.peaks, "test")]
        for bins, path in zip(made, paths, strict=True):
            bins.save(path)
    training, validation, test = map(LabelledBins.load, paths)
    return training, validation, test


def at_most(bins: LabelledBins, n: int) -> LabelledBins:
    """So many of the bins, drawn at random."""
    rows = np.random.default_rng(0).choice(len(bins), min(n, len(bins)), replace=False)
    return bins.select(np.sort(rows))


def motif_scores(bins: Bins, config: TrainingConfig, genome: Genome) -> dict[str, NDArray]:
    """Score (bin) of each target's matrix, that which is best in validation, on the test bins."""
    length = config.windows.bin_length + 2 * FLANK
    codes = [each.codes(genome, length) for each in bins[1:]]
    found = {}
    for column, target in enumerate(config.target_names):
        odds, labels = [jaspar_log_odds(matrix) for matrix in MATRICES[target]], bins[1].labels[:, [column]]
        if len(odds) > 1:
            odds.sort(key=lambda one: -mean_auprc(labels, best_motif_score(codes[0], one)[:, None]))
        found[target] = best_motif_score(codes[1], odds[0])
    return found


def auprc(bins: LabelledBins, column: int, scores: list[NDArray]) -> tuple[float, NDArray]:
    """AUPRC, the mean over seeds, and the same in resamples of 100-kb blocks (resample)."""
    labels = bins.labels[:, column]
    known = labels >= 0
    blocks = blocks_of(bins.chrom, bins.start)
    weights = with_both_classes(labels[known] == 1, block_weights(blocks, N_RESAMPLES, 0)[:, known])
    weights = np.vstack([np.ones_like(weights[:1]), weights])
    values = [ranking_metrics(labels[known] == 1, score[known], weights)["auprc"] for score in scores]
    mean = np.mean(values, axis=0)
    return float(mean[0]), mean[1:]


def rows(cell: str, data: argparse.Namespace) -> Iterator[list[str]]:
    """Rows of the table for one cell type that is left out."""
    files, genome = peak_files(data.peaks), Genome(data.fasta)
    itself = {factor: [by_cell[cell]] for factor, by_cell in files.items() if cell in by_cell}
    others = {f: [file for other, file in files[f].items() if other != cell] for f in itself}
    config = configuration(itself, SEEDS[0])
    bins = {
        name: kept_bins(targets, data, f"{cell}.{name}")
        for name, targets in (("itself", itself), ("others", others))
    }
    n = min(len(each[0]) for each in bins.values())
    scores = {}
    for name, targets in (("itself", itself), ("others", others)):
        training, *held_out = bins[name]
        scores[name] = scores_of(
            (at_most(training, n), *held_out), configuration(targets, SEEDS[0]), data, f"{cell}.{name}"
        )
    motifs = motif_scores(bins["itself"], config, genome)
    test = bins["itself"][2]
    for column, factor in enumerate(itself):
        found: dict[str, Any] = {
            name: auprc(test, column, [seed[:, column] for seed in by_seed])
            for name, by_seed in scores.items()
        }
        found["motif"] = auprc(test, column, [motifs[factor]])
        value = {name: f"{each[0]:.3f}" for name, each in found.items()}
        n_bound = (test.labels[:, column] == 1).sum()
        first = [cell, factor, str(len(others[factor])), f"{n_bound:,}"]
        gains = [difference(found["others"], found[name]) for name in ("itself", "motif")]
        yield [*first, value["itself"], value["others"], gains[0], value["motif"], gains[1]]


def difference(one: tuple[float, NDArray], other: tuple[float, NDArray]) -> str:
    """One AUPRC minus another, with its interval over the same resamples."""
    found = with_interval(one[0] - other[0], one[1] - other[1])
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def main() -> None:
    """Train, test and tabulate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fasta", required=True)
    parser.add_argument("--peaks", required=True, type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.add_argument("--cells", nargs="+", default=CELLS)
    data = parser.parse_args()
    data.output.mkdir(parents=True, exist_ok=True)
    title = ["left out", "factor", "others", "bound bins", "trained on it", "on others", "difference"]
    lines = [[*title, "motif", "others over motif"], ["---"] * 9]
    for cell in data.cells:
        lines += rows(cell, data)
        with whole_file(data.output / "cells.md") as path:
            path.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
    print("".join(f"| {' | '.join(line)} |\n" for line in lines))


if __name__ == "__main__":
    main()
