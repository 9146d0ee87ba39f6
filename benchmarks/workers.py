"""DeepSHAP of 200 sequences by one process, and by one and two workers of a Dask cluster, one thread each.

    python benchmarks/workers.py --rounds 3
    python benchmarks/workers.py --rounds 1 --references 20 --sequences 8    # what is the start?

The times are those of the whole commands: the start of the cluster, loading and tracing the model on each
worker, and joining are in them, some ten seconds, and are paid off only by a run of minutes. Rounds
alternate, and the load of the machine is printed: two workers need two cores that nothing else uses.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"
PROGRAM = str(Path(sys.executable).with_name("kipoi-tfbind"))
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def run(folder: Path, model: str, n_references: int, output: str, *more: str) -> float:
    """Seconds of a command."""
    arguments = ["deepshap", str(ZOO / model), "--source", "dir", "--sequences", "sequences.fa"]
    arguments += ["--n-references", str(n_references), "--threads", "1", "-o", output, *more]
    start = time.perf_counter()
    subprocess.run(
        [PROGRAM, *arguments], cwd=folder, env=os.environ | ONE_THREAD, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--model", default="HepG2", help="of the zoo")
    parser.add_argument("--references", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = random.Random(0)
        records = (f">s{i}\n{''.join(rng.choices('ACGT', k=1000))}\n" for i in range(options.sequences))
        (folder / "sequences.fa").write_text("".join(records))
        seconds: dict[str, list[float]] = {"one process": [], "one worker": [], "two workers": []}
        for number in range(options.rounds):
            for kind, more in (
                ("one process", []),
                ("one worker", ["local:1"]),
                ("two workers", ["local:2"]),
            ):
                scheduler = ["--scheduler", *more] if more else []
                output = f"{kind.replace(' ', '_')}.nc"
                seconds[kind].append(run(folder, options.model, options.references, output, *scheduler))
                load = os.getloadavg()[0]
                print(f"round {number + 1}, {kind}: {seconds[kind][-1]:.1f} s; load {load:.1f}", flush=True)
        for kind in ("one_worker.nc", "two_workers.nc"):
            print(
                f"{kind}: {filecmp.cmp(folder / kind, folder / 'one_process.nc', shallow=False)} (same bytes)"
            )
        ratios = [one / two for one, two in zip(seconds["one worker"], seconds["two workers"], strict=True)]
        print(f"two workers against one: {statistics.median(ratios):.2f} times as fast (median of rounds)")


if __name__ == "__main__":
    main()
