"""DeepLIFT as four packages have it, side by side, as a Markdown table.

    python benchmarks/agreement.py

One small network with the same weights, sequences and references for all: this package, shap (its
DeepExplainer, by ``engine="shap"``), Captum (DeepLift) and tangermeme. Compared are hypothetical
contributions of all four bases, which TF-MoDISco reads. docs/agreement.md has the table. Captum and
tangermeme are to be installed in an environment of their own beside this package, or in a folder on
PYTHONPATH:

    pip install --no-deps --target others "captum==0.9.*" "tangermeme==1.6.*"
    PYTHONPATH=others python benchmarks/agreement.py
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind.testing import random_sequences

LENGTH, N_SEQUENCES, N_REFERENCES, FILTERS, WIDTH = 100, 8, 10, 32, 11


def networks() -> dict[str, nn.Module]:
    """The networks that are compared: with ReLU, which all treat alike, and with a max pool after it."""
    torch.manual_seed(0)
    conv, dense = nn.Conv1d(4, FILTERS, WIDTH), nn.Linear(FILTERS * 90, 1)
    pooled, wide = nn.Linear(FILTERS * 22, 1), nn.Linear(FILTERS, 1)
    sparse = nn.Conv1d(4, FILTERS, WIDTH)
    sparse.load_state_dict(conv.state_dict() | {"bias": conv.state_dict()["bias"] - 0.6})
    return {
        "convolution, ReLU, dense": nn.Sequential(conv, nn.ReLU(), nn.Flatten(), dense),
        "the same with a sigmoid": nn.Sequential(conv, nn.Sigmoid(), nn.Flatten(), dense),
        "convolution, ReLU, max pool of 4, dense": nn.Sequential(
            conv, nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), pooled
        ),
        "the same with few active units (ties of zeros)": nn.Sequential(
            sparse, nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), pooled
        ),
        "convolution, ReLU, overlapping max pool of 8 at every 4th, dense": nn.Sequential(
            conv, nn.ReLU(), nn.MaxPool1d(8, 4), nn.Flatten(), nn.Linear(FILTERS * 21, 1)
        ),
        "two layers of convolution, ReLU and max pool of 4, dense": nn.Sequential(
            *(conv, nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(FILTERS, FILTERS, 5), nn.ReLU(), nn.MaxPool1d(4)),
            *(nn.Flatten(), nn.Linear(FILTERS * 4, 1)),
        ),
        "convolution, ReLU, max pool of all, dense": nn.Sequential(
            conv, nn.ReLU(), nn.MaxPool1d(90), nn.Flatten(), wide
        ),
    }


def hypothetical(multipliers: NDArray, references: NDArray) -> NDArray:
    """Mean over references of what each base would contribute in the place of the reference's.

    `multipliers` and `references` are (sequence, reference, position, base).
    """
    offset = (multipliers * references).sum(axis=-1, keepdims=True)
    return (multipliers - offset).mean(axis=1)


def ours(network: nn.Module, sequences: Any, references: NDArray, engine: str = "exact") -> NDArray:
    model = tfb.as_sequence_model(network, length=LENGTH, output="probability")
    found = tfb.deep_shap(model, sequences, references=references, engine=engine, tolerance=1e6)
    return found["hypothetical_contribution"].values[..., 0]


def captum(network: nn.Module, sequences: Any, references: NDArray) -> NDArray:
    from captum.attr import DeepLift

    x = np.repeat(sequences["one_hot"].values[:, np.newaxis], references.shape[1], axis=1)
    rows = [torch.from_numpy(a.reshape(-1, LENGTH, 4).swapaxes(1, 2).copy()) for a in (x, references)]
    found = DeepLift(network, multiply_by_inputs=False).attribute(rows[0], rows[1], target=0)
    multipliers = found.detach().numpy().swapaxes(1, 2).reshape(references.shape)
    return hypothetical(multipliers, references)


def tangermeme(network: nn.Module, sequences: Any, references: NDArray) -> NDArray:
    from tangermeme.deep_lift_shap import deep_lift_shap

    x = torch.from_numpy(sequences["one_hot"].values.swapaxes(1, 2).copy())
    given = torch.from_numpy(references.swapaxes(2, 3).copy())
    options: dict[str, Any] = {"hypothetical": True, "device": "cpu", "warning_threshold": 1e6}
    found = deep_lift_shap(network, x, references=given, **options)
    return found.numpy().swapaxes(1, 2)


def completeness(network: nn.Module, found: NDArray, sequences: Any, references: NDArray) -> float:
    """Largest difference between a sum of contributions and what it explains, in terms of the largest."""
    x = sequences["one_hot"].values
    with torch.no_grad():
        y = network(torch.from_numpy(x.swapaxes(1, 2).copy())).numpy()[:, 0]
        rows = torch.from_numpy(references.reshape(-1, LENGTH, 4).swapaxes(1, 2).copy())
        of_references = network(rows).numpy().reshape(references.shape[:2]).mean(axis=1)
    explained = y - of_references
    return float(np.abs((found * x).sum(axis=(1, 2)) - explained).max() / np.abs(explained).max())


def repeats() -> Any:
    """Sequences of short repeats, in which units of a pool tie."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ACGT"), size)) for size in (1, 2, 2, 3, 4, 5, 6, 7)]
    return tfb.encode_sequences([(word * LENGTH)[:LENGTH] for word in words])


def main() -> None:
    """Print a table for each kind of sequences and references."""
    warnings.simplefilter("ignore")
    others: dict[str, Callable[..., NDArray]] = {
        "shap": lambda *arguments: ours(*arguments, engine="shap"),
        "Captum": captum,
        "tangermeme": tangermeme,
    }
    random = random_sequences(N_SEQUENCES, LENGTH, seed=0)
    for title, sequences, kind in (
        ("Random sequences, dinucleotide shuffles", random, "dinucleotide_shuffle"),
        ("Random sequences, references of zeros", random, "zeros"),
        ("Short repeats, references of zeros", repeats(), "zeros"),
    ):
        references = np.array(tfb.make_references(sequences["one_hot"].values, kind, N_REFERENCES))
        print(f"\n{title}:\n")
        print("| network | package | completeness error | largest difference from ours | correlation |")
        print("|---|---|---|---|---|")
        for name, network in networks().items():
            own = ours(network.eval(), sequences, references)
            error = completeness(network, own, sequences, references)
            print(f"| {name} | kipoi_tfbind | {error:.0e} | | |")
            for package, explain in others.items():
                print(f"| | {package} | {compared(network, explain, own, sequences, references)} |")


def compared(network: nn.Module, explain: Any, own: NDArray, sequences: Any, references: NDArray) -> str:
    """Columns of the table for another package; what it raises, where it fails."""
    try:
        found = explain(network, sequences, references)
    except Exception as problem:  # whatever another package raises is what is to be reported
        return f"fails: {type(problem).__name__} | | "
    error = completeness(network, found, sequences, references)
    difference = np.abs(found - own).max() / np.abs(own).max()
    correlation = np.corrcoef(found.ravel(), own.ravel())[0, 1]
    return f"{error:.0e} | {difference:.0e} | {correlation:.3f}"


if __name__ == "__main__":
    main()
