"""Runs on a Dask cluster of which a worker is killed in the middle, against the bytes of one process.

    python benchmarks/killed_workers.py --rounds 20

Each round runs `kipoi tfbind occlusion ... --scheduler local:2`, waits until a shard is begun, and kills one
of the two workers with SIGKILL at a random moment after that.
"""

from __future__ import annotations

import argparse
import filecmp
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

LENGTH, N_WINDOWS, STEP = 40, 300, 7
MODEL = f"""
import time
import numpy as np
from kipoi.model import BaseModel

WEIGHTS = np.random.default_rng(7).normal(size=({LENGTH}, 4))

class Additive(BaseModel):
    def predict_on_batch(self, x):
        time.sleep(0.02)
        return np.einsum("nlb,lb->n", x, WEIGHTS)
"""
DESCRIPTION = f"""
defined_as: model.Additive
args: {{}}
default_dataloader: .
info: {{authors: [{{name: somebody}}], doc: additive}}
schema:
  inputs:
    shape: ({LENGTH}, 4)
    doc: one-hot
  targets:
    shape: (1, )
    doc: sum
    column_labels: [y]
"""


def make_inputs(folder: Path) -> None:
    """A slow model, a genome, and windows of it."""
    (folder / "model").mkdir()
    (folder / "model" / "model.py").write_text(MODEL)
    (folder / "model" / "model.yaml").write_text(DESCRIPTION)
    bases = "".join(random.Random(0).choices("ACGT", k=LENGTH + N_WINDOWS * STEP))
    (folder / "genome.fa").write_text(f">1\n{bases}\n")
    windows = (f"1\t{i * STEP}\t{i * STEP + LENGTH}\twindow {i}\n" for i in range(N_WINDOWS))
    (folder / "windows.bed").write_text("".join(windows))


def command(output: str, *more: str) -> list[str]:
    program = str(Path(sys.executable).with_name("kipoi-tfbind"))
    inputs = ["--fasta", "genome.fa", "--intervals", "windows.bed", "--width", "10", "--source", "dir"]
    return [program, "occlusion", "model", *inputs, "-o", output, *more]


def killed_run(folder: Path, output: str, rng: random.Random) -> tuple[bool, str]:
    """Run on two workers and kill one; whether that was in the middle of the run, and what was said."""
    shards = folder / f"{output}.shards"
    with subprocess.Popen(
        command(output, "--scheduler", "local:2"), cwd=folder, stderr=subprocess.PIPE, text=True
    ) as run:
        while run.poll() is None and not any(shards.glob("*.partial")):
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2))
        is_running = shards.is_dir()
        # Beside the workers there is a process that watches over what they share.
        workers = [
            child
            for child in psutil.Process(run.pid).children()
            if any("spawn_main" in part for part in child.cmdline())
        ]
        if workers:
            rng.choice(workers).send_signal(signal.SIGKILL)
        _, said = run.communicate(timeout=600)
    return bool(workers) and is_running and run.returncode == 0, said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    rng = random.Random(options.seed)
    same = 0
    try:
        make_inputs(folder)
        subprocess.run(command("whole.nc"), cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for number in range(options.rounds):
            (folder / "shared.nc").unlink(missing_ok=True)
            was_killed, said = killed_run(folder, "shared.nc", rng)
            is_same = was_killed and filecmp.cmp(folder / "shared.nc", folder / "whole.nc", shallow=False)
            same += is_same
            print(f"round {number + 1}: {'the same bytes' if is_same else f'failed: {said}'}", flush=True)
    finally:
        shutil.rmtree(folder)
    print(f"{same} of {options.rounds} runs whose worker was killed have the bytes of one process")
    sys.exit(same < options.rounds)


if __name__ == "__main__":
    main()
