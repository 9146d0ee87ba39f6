"""Motifs by filters, seqlets and hits, where the truth is known: a simulated genome with planted motifs.

python benchmarks/motifs.py simulate FOLDER    genome, peaks and training files, with and without ReLU
kipoi tfbind train FOLDER/exponential.yaml --fasta FOLDER/genome.fa --peaks FOLDER -o FOLDER/exponential
kipoi tfbind train FOLDER/relu.yaml --fasta FOLDER/genome.fa --peaks FOLDER -o FOLDER/relu
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
SPACING, SITES_OF_EACH, FREQUENCIES = 500, 800, (0.29, 0.21, 0.21, 0.29)


def simulate(folder: Path) -> None:
    """A random genome with one site of one motif every 500 bp, on either strand; a peak of 100 bp at each."""
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
        peaks[name].append(f"sim1\t{centre - 50}\t{centre + 50}\t.\t0\t.\t0\t0\t0\t50\n")
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
        "windows": {"bin_length": 100, "stride": 50, "gc_matched": 0.5, "random": 0.5},
        "fit": {"epochs": 8, "jitter": 20},
    }
    for activation in ("exponential", "relu"):
        own = {"length": 200, "filters": 32, "activation": activation}
        (folder / f"{activation}.yaml").write_text(yaml.safe_dump({**settings, "hyperparameters": own}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("simulate")
    one.add_argument("folder", type=Path)
    one.set_defaults(run=lambda arguments: simulate(arguments.folder))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
