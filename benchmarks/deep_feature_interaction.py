"""Time of a deep feature interaction map: by affected regions, against DeepSHAP of each mutant.

The naive cost grows with the number of positions that are substituted, and is taken from some of them. Run:

    python benchmarks/deep_feature_interaction.py [--width 200] [--references 10] [--models NAME ...]

Processor seconds on one thread; the two take turns, and the median of the rounds' ratios is what counts.
The last column is the least that it can be by multiply-accumulates: what passes a mutant's multipliers back
through its affected regions, of what runs a reference forward and back through the whole model.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.graph.deeplift.linear_maps import Taps
from kipoi_tfbind.graph.deeplift.prefix import Combined
from kipoi_tfbind.models.layer import example_inputs, program_of, traced
from kipoi_tfbind.models.mutants import mutant_engine
from kipoi_tfbind.testing import random_sequences

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"


class Exponential(nn.Module):
    """As the zoo's first layers have it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Exponential of each number."""
        return torch.exp(x)


def motif_cnn() -> tfb.SequenceModel:
    """The architecture of the zoo's CTCF-single in PyTorch."""
    body = nn.Sequential(
        *(nn.Conv1d(4, 64, 19, padding=9), nn.BatchNorm1d(64), Exponential(), nn.MaxPool1d(20)),
        *(nn.Conv1d(64, 64, 5, padding=2), nn.BatchNorm1d(64), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1280, 64), nn.ReLU(), nn.Linear(64, 1)),
    )
    return tfb.as_sequence_model(body, length=400)


def three_blocks() -> tfb.SequenceModel:
    """Three blocks of convolution, ReLU and max pool, as of Basset."""
    body = nn.Sequential(
        *(nn.Conv1d(4, 64, 19, padding=9), nn.ReLU(), nn.MaxPool1d(4)),
        *(nn.Conv1d(64, 64, 9, padding=4), nn.ReLU(), nn.MaxPool1d(4)),
        *(nn.Conv1d(64, 64, 5, padding=2), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 1)),
    )
    return tfb.as_sequence_model(body, length=600)


def of_zoo(name: str) -> tfb.SequenceModel:
    """The first target of a model of the zoo."""
    model = tfb.load_model(str(ZOO / name), source="dir")
    return model.select_targets(model.target_names[:1])


MODELS = {
    "motif CNN": motif_cnn,
    "three blocks": three_blocks,
    "CTCF-single (zoo)": lambda: of_zoo("CTCF-single"),
    "HepG2-single (zoo)": lambda: of_zoo("HepG2-single"),
    "HepG2 (zoo)": lambda: of_zoo("HepG2"),
}


def seconds(model: tfb.SequenceModel, width: int, n_references: int, path: str) -> float:
    """Processor seconds of the map of the middle, without those of a smaller one that compiles everything."""
    length = model.length or 400
    one = random_sequences(1, length, seed=1)
    middle = length // 2

    def run(n: int) -> float:
        start = time.process_time()
        half = n // 2
        tfb.deep_feature_interaction(
            model, one, n_references=n_references, start=middle - half, end=middle + half, path=path
        )
        return time.process_time() - start

    # As many as take the path that is asked for.
    run(12)
    return run(width)


def least_share(model: tfb.SequenceModel) -> float:
    """Multiply-accumulates of a mutant and reference in affected regions, of those of the whole model."""
    regional, whole = np.sum([macs(member) for member in model.members or [model]], axis=0)
    return float(regional / whole)


def macs(model: tfb.SequenceModel) -> tuple[int, int]:
    """Multiply-accumulates in affected regions, and of the whole model forward and back."""
    one_hot = random_sequences(1, model.length or 400, seed=1)["one_hot"].values
    probes = example_inputs(model, one_hot, {})
    program = program_of(model, traced(model, probes), probes)
    whole = 2 * sum(program.macs(i) for i in program.steps)
    engine = mutant_engine(model, one_hot, {})
    if engine is None:
        return whole, whole
    regional = 0
    for step in engine.prefix.steps:
        if isinstance(step, Combined) and step.after.ref not in engine.prefix.of_source:
            for source, linear in step.parts:
                width = engine.prefix.region(source).width
                if isinstance(linear, Taps):
                    regional += width * (linear.taps.size if linear.scale is None else source.channels)
                else:
                    regional += width * linear.matrix[0].size
    return regional, whole


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=200, help="Positions of the map.")
    parser.add_argument("--naive", type=int, default=20, help="Positions that the naive cost is taken from.")
    parser.add_argument("--references", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    about = f"{options.width} bp, {options.references} references"
    print(f"{'model':14} naive s  regions s  share (lowest to highest)  least   ({about})")
    for name in options.models:
        model, rounds = MODELS[name](), []
        for _ in range(options.rounds):
            naive = seconds(model, options.naive, options.references, "full")
            naive *= options.width / options.naive
            rounds.append((naive, seconds(model, options.width, options.references, "auto")))
        naive, found = np.median(rounds, axis=0)
        low, share, high = np.quantile([b / a for a, b in rounds], [0, 0.5, 1])
        of_macs = f"{least_share(model):5.1%}"
        shares = f"{share:5.1%} ({low:5.1%} to {high:5.1%})"
        print(f"{name:14} {naive:7.2f}  {found:9.2f}  {shares:26} {of_macs}", flush=True)


if __name__ == "__main__":
    main()
