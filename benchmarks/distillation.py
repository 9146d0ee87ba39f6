"""How much of the gain of an ensemble a student keeps, with an interval over blocks of the genome.

    python benchmarks/distillation.py ensemble student --fasta 20.fa.gz --peaks peaks [--split validation]

ENSEMBLE and STUDENT are folders that `kipoi tfbind ensemble` and `distill` wrote. The gain is that in mean
AUPRC over a single member, averaged over the members of the ensemble's most frequent architecture; the share
is the gain of the student divided by that of the ensemble.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.kipoi_model import mixture_of
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.fidelity import mixed
from kipoi_tfbind.training.metrics import (
    block_weights,
    blocks_of,
    ranking_metrics,
    with_both_classes,
    with_interval,
)
from kipoi_tfbind.training.student import load_ensemble, on_members
from kipoi_tfbind.training.windows import held_out_bins


def mean_auprcs(labels: NDArray[np.int8], scores: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Mean over targets of the AUPRC (weighting) of scores (bin, target)."""
    each = []
    for label, score in zip(labels.T, scores.T, strict=True):
        known = label >= 0
        each.append(ranking_metrics(label[known] == 1, score[known], weights[:, known])["auprc"])
    return np.mean(each, axis=0)


def share_of_gain(
    labels: NDArray[np.int8], members: NDArray, ensemble: NDArray, student: NDArray, blocks: NDArray, n: int
) -> dict[str, dict[str, float]]:
    """Mean AUPRC of one member, ensemble and student, and the share of the gain, each with its interval."""
    drawn = block_weights(blocks, n, seed=0)
    for label in labels.T:
        if not len(drawn := with_both_classes(label == 1, drawn)):
            raise SystemExit("no resample has bound bins of all targets: too few blocks, or too few bins")
    weights = np.concatenate([np.ones((1, len(labels)), drawn.dtype), drawn])
    one = np.mean([mean_auprcs(labels, member, weights) for member in members], axis=0)
    whole, found = (mean_auprcs(labels, scores, weights) for scores in (ensemble, student))
    rows = {
        "one member": one,
        "ensemble": whole,
        "student": found,
        "student - one member": found - one,
        "ensemble - student": whole - found,
        "share of the gain": (found - one) / (whole - one),
    }
    return {name: with_interval(values[0], values[1:]) for name, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ensemble", type=Path)
    parser.add_argument("student", type=Path)
    parser.add_argument("--fasta", required=True)
    parser.add_argument("--peaks", required=True)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--resamples", type=int, default=150)
    args = parser.parse_args()
    config = TrainingConfig.from_yaml(args.ensemble / "config.yaml")
    genome = Genome(args.fasta)
    bins = held_out_bins(config, genome, args.peaks, args.split)
    codes = bins.codes(genome, config.length)
    teacher = load_ensemble(args.ensemble)
    members, heads = (
        predict_codes(on_members(model), codes).reshape(len(codes), -1, model.output_shape[1]).swapaxes(0, 1)
        for model in (teacher, keras.models.load_model(args.student / "model.keras", compile=False))
    )
    mixture = mixture_of(teacher)
    names = [member["architecture"] for member in json.loads((args.ensemble / "members.json").read_text())]
    (commonest, _), *_ = Counter(names).most_common()
    single = members[[name == commonest for name in names]]
    both = mixed(members, *mixture), mixed(heads, *mixture)
    found = share_of_gain(bins.labels, single, *both, blocks_of(bins.chrom, bins.start), args.resamples)
    for name, value in found.items():
        print(f"{name:20s} {value['value']:.4f} ({value['low']:.4f} to {value['high']:.4f})")


if __name__ == "__main__":
    main()
