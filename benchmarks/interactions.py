"""Which method finds planted pairs of positions: AUROC, with intervals over sequences.

Sequences are simulated as DFIM's authors do (Greenside et al. 2018): two motifs, present alone or together,
and a label that depends on both at a spacing. A small network learns it; each method then scores the pairs of
positions of sequences with both motifs. A pair is planted where its two positions lie in the two motifs;
pairs within one motif, which interact as well, count neither way. Run:

    python benchmarks/interactions.py [--network relu|softplus|attention] [--sequences 20] [--seed 0]
        [--only METHOD] [--keep FILE]

It says the processor's time of each method. One can be run alone, on a network that is kept in a file.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.models.layer import coverage
from kipoi_tfbind.testing import planted_pairs

MOTIFS = ("GATAAG", "CACGTG")
LENGTH = 50
SPACING = (4, 10)


class Network(nn.Module):
    """Two convolutions, so that a filter of the second sees both motifs, and dense layers."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(4, 24, 8, padding=4), activation, nn.MaxPool1d(2)),
            *(nn.Conv1d(24, 24, 13, padding=6), activation, nn.AdaptiveMaxPool1d(1), nn.Flatten()),
            *(nn.Linear(24, 16), activation, nn.Linear(16, 1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (sequence, 1)."""
        return self.layers(x)


class Attends(nn.Module):
    """A convolution, attention of four heads between its positions, and dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.motifs = nn.Sequential(nn.Conv1d(4, 32, 8, padding=4), nn.ReLU(), nn.MaxPool1d(2))
        self.place = nn.Parameter(0.1 * torch.randn(1, (LENGTH + 1) // 2, 32))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (sequence, 1)."""
        x = self.motifs(x).transpose(1, 2) + self.place
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(x).amax(dim=1)


def network_of(kind: str) -> nn.Module:
    """An untrained network by its name on the command line."""
    return Attends() if kind == "attention" else Network(nn.ReLU() if kind == "relu" else nn.Softplus())


def by_attention(maps: xr.Dataset) -> xr.Dataset:
    """Attention between two bases as an interaction: mean of both ways, of the head where it is largest."""
    edges = [[maps[f"{side}_field_{end}"].values for end in ("start", "end")] for side in ("query", "key")]
    by_query, by_key = (coverage(start, end, LENGTH) for start, end in edges)
    weights = maps["attention"].values
    between = np.einsum("pq,nhqk,rk->nhpr", by_query, weights, by_key, optimize=True)
    a, b = np.triu_indices(LENGTH, k=1)
    largest = ((between + between.swapaxes(2, 3)) / 2).max(axis=1)[:, a, b]
    return xr.Dataset(
        {"interaction": (("sequence", "pair", "target"), largest[..., np.newaxis])},
        coords={"position_a": ("pair", a), "position_b": ("pair", b)},
    )


def train(network: nn.Module, one_hot: NDArray, label: NDArray, epochs: int, seed: int) -> float:
    """Fit a network; return its AUROC on the last fifth of the sequences."""
    torch.manual_seed(seed)
    x = torch.tensor(one_hot.transpose(0, 2, 1).copy(), dtype=torch.float32)
    y = torch.tensor(label[:, np.newaxis], dtype=torch.float32)
    n = len(x) * 4 // 5
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(n).split(64):
            loss = nn.functional.binary_cross_entropy_with_logits(network(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return auroc(network(x[n:]).numpy()[:, 0], label[n:])


def auroc(score: NDArray, is_positive: NDArray) -> float:
    """Area under the ROC curve."""
    rank = stats.rankdata(score)
    n, m = int(is_positive.sum()), int((1 - is_positive).sum())
    return float((rank[is_positive == 1].sum() - n * (n + 1) / 2) / (n * m))


def methods_of(model: Any, precise: Any, sequences: xr.Dataset, *, has_attention: bool) -> dict[str, Any]:
    """Functions that give results with interactions, by method."""
    kept: list[xr.Dataset] = []

    def second_order(summary: str) -> xr.Dataset:
        if not kept:
            kept.append(tfb.second_order_mutagenesis(model, sequences))
        return tfb.epistasis_interaction(kept[0], summary=summary)

    def hessians(references: str) -> xr.Dataset:
        # A path through attention takes many more gradients than one through kinks alone.
        options = {"n_steps": 2, "tolerance": 0.1} if has_attention else {"n_steps": 32, "tolerance": 1e-3}
        return tfb.integrated_hessians(precise, sequences, references=references, n_references=2, **options)

    def shapley() -> xr.Dataset:
        segments = [(at, at + 1) for at in range(LENGTH)]
        return tfb.shapley_interactions(model, sequences, segments=segments, n_references=2, n_samples=16)

    def surrogate() -> xr.Dataset:
        return tfb.surrogate(
            model, sequences, n_mutants=5000, mutation_rate=0.15, pairwise=True, batch_size=1024
        )

    shuffles = (
        {} if has_attention else {"integrated Hessians, shuffles": lambda: hessians("dinucleotide_shuffle")}
    )
    return {
        "second-order ISM, mean": lambda: second_order("mean"),
        "second-order ISM, largest": lambda: second_order("largest"),
        "DFIM": lambda: tfb.deep_feature_interaction(model, sequences, n_references=5),
        **shuffles,
        "integrated Hessians, uniform": lambda: hessians("uniform"),
        "Shapley interactions": shapley,
        "surrogate with pairs": surrogate,
        "attention": lambda: by_attention(tfb.attention_maps(model, sequences, n_paired=0)),
    }


def areas_of(result: xr.Dataset, sites: NDArray) -> list[float]:
    """AUROC of each sequence: pairs across the motifs against all others but those within a motif."""
    areas = []
    a, b = result["position_a"].values, result["position_b"].values
    for row, own in enumerate(sites):
        inside = [[(at >= s) & (at < s + len(m)) for s, m in zip(own, MOTIFS, strict=True)] for at in (a, b)]
        planted = (inside[0][0] & inside[1][1]) | (inside[0][1] & inside[1][0])
        counted = ~(inside[0][0] & inside[1][0]) & ~(inside[0][1] & inside[1][1])
        strength = np.abs(result["interaction"].values[row, :, 0])
        areas.append(auroc(strength[counted], planted[counted].astype(int)))
    return areas


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=["relu", "softplus", "attention"], default="relu")
    parser.add_argument("--sequences", type=int, default=20, help="Sequences with both motifs to score.")
    parser.add_argument("--training", type=int, default=12000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="Beginning of a method's name; may be repeated.")
    parser.add_argument("--keep", help="File of the trained network: read where it is there, else written.")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    simulated = planted_pairs(options.training, LENGTH, motifs=MOTIFS, spacing=SPACING, seed=options.seed)
    network = network_of(options.network)
    one_hot, label = simulated["one_hot"].values, simulated["label"].values
    if options.keep and Path(options.keep).exists():
        network.load_state_dict(torch.load(options.keep))
    else:
        score = train(network, one_hot, label, options.epochs, options.seed)
        print(f"network ({options.network}): AUROC {score:.3f} on sequences that it was not trained on")
        if options.keep:
            torch.save(network.state_dict(), options.keep)
    network.eval()
    model = tfb.as_sequence_model(network, length=LENGTH, targets=["both"])
    precise = tfb.as_sequence_model(network, length=LENGTH, targets=["both"], double_precision=True)
    both = np.flatnonzero(label == 1)[-options.sequences :]
    chosen = simulated.isel(sequence=both)
    sequences = chosen.drop_vars(["site", "label"])
    print(f"{'method':30} AUROC  95% interval ({len(both)} sequences)", flush=True)
    methods = methods_of(model, precise, sequences, has_attention=options.network == "attention")
    for name, compute in methods.items():
        if options.only and not name.startswith(tuple(options.only)):
            continue
        start = time.process_time()
        try:
            areas = areas_of(compute(), chosen["site"].values)
        except UnsupportedModelError as error:
            print(f"{name:30} {error}", flush=True)
            continue
        low, high = stats.bootstrap((areas,), np.mean, rng=0).confidence_interval
        seconds = time.process_time() - start
        print(f"{name:30} {np.mean(areas):.3f}  {low:.3f} to {high:.3f}  ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
