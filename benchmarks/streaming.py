"""Memory and speed of a genome-scale run: many sequences through the real commands, FASTA to result file.

Packages a convolutional Keras network of 1,000 bp as a Kipoi entry in a temporary folder, writes random
sequences, and runs ``kipoi-tfbind`` in a process of its own for each method. The peak is the largest resident
set of that process, TensorFlow included.

    python benchmarks/streaming.py [--sequences 1000 10000] [--methods gradients deepshap]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

LENGTH = 1000
ENTRY = f"""
defined_as: kipoi.model.KerasModel
args: {{weights: model.keras}}
default_dataloader: .
info: {{authors: [{{name: benchmark}}], doc: convolutional network}}
schema:
  inputs: {{name: sequence, shape: "({LENGTH}, 4)", doc: one-hot DNA}}
  targets: {{name: bound, shape: "(1,)", doc: binding}}
"""

# Runs a command and says what it took, its children included.
MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
ran = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
if ran.returncode:
    sys.exit(ran.stderr)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--methods", nargs="+", default=["gradients", "deepshap"])
    arguments = parser.parse_args()
    print(f"{LENGTH:,} bp, one target, default options; peak memory of the whole process.\n")
    print("| method | sequences | seconds | sequences/s | peak memory | result |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_entry(folder / "model")
        for n in arguments.sequences:
            write_sequences(folder / "sequences.fa", n)
            for method in arguments.methods:
                print(measure(folder, method, n), flush=True)


def make_entry(folder: Path) -> None:
    """Write a Kipoi entry of a convolutional network."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((LENGTH, 4)),
            layers.Conv1D(64, 19, activation="relu"),
            layers.MaxPooling1D(8),
            layers.Conv1D(64, 7, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    folder.mkdir()
    model.save(folder / "model.keras")
    (folder / "model.yaml").write_text(ENTRY)


def write_sequences(path: Path, n: int) -> None:
    """Write `n` random sequences as FASTA."""
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        for number in range(n):
            text = rng.choice(np.frombuffer(b"ACGT", dtype=np.uint8), size=LENGTH).tobytes().decode()
            file.write(f">{number}\n{text}\n")


def measure(folder: Path, method: str, n: int) -> str:
    """Run one command; a row of the table."""
    output = folder / f"{method}.nc"
    command = [str(Path(sys.executable).with_name("kipoi-tfbind")), method, str(folder / "model")]
    command += ["--source", "dir", "--sequences", str(folder / "sequences.fa"), "-o", str(output)]
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(ran.stderr)
    seconds, kilobytes = map(float, ran.stdout.split())
    size, peak = output.stat().st_size / 1e6, kilobytes * 1024 / 1e9
    return f"| {method} | {n:,} | {seconds:.0f} | {n / seconds:.0f} | {peak:.2f} GB | {size:.0f} MB |"


if __name__ == "__main__":
    main()
