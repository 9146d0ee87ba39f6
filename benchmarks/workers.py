"""DeepSHAP of 200 sequences by one process, by one and two workers of a Dask cluster, and by two shards.

    python benchmarks/workers.py --rounds 3
    python benchmarks/workers.py --rounds 1 --references 20 --sequences 8    # what is the start?

Each process has one thread. Two shards are two processes started by hand: what the machine allows. The times
are those of the whole commands: the start of the cluster, loading and tracing the model on each
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


def command(model: str, n_references: int, output: str, *more: str) -> list[str]:
    """The command, as words."""
    arguments = ["deepshap", str(ZOO / model), "--source", "dir", "--sequences", "sequences.fa"]
    arguments += ["--n-references", str(n_references), "--threads", "1", "-o", output, *more]
    return [PROGRAM, *arguments]


def seconds_of(folder: Path, *commands: list[str]) -> float:
    """Seconds of commands that run at the same time."""
    start = time.perf_counter()
    running = [
        subprocess.Popen(each, cwd=folder, env=os.environ | ONE_THREAD, stdout=subprocess.DEVNULL)
        for each in commands
    ]
    codes = [each.wait() for each in running]
    if any(codes):
        sys.exit("a command failed")
    return time.perf_counter() - start


def run(folder: Path, kind: str, model: str, n_references: int, output: str) -> float:
    """Seconds of the whole run."""
    if kind != "two shards":
        more = {"one process": [], "one worker": ["--scheduler", "local:1"]}
        scheduler = more.get(kind, ["--scheduler", "local:2"])
        return seconds_of(folder, command(model, n_references, output, *scheduler))
    parts = [f"{k}.{output}" for k in (1, 2)]
    seconds = seconds_of(
        folder, *(command(model, n_references, parts[k], "--shard", f"{k + 1}/2") for k in (0, 1))
    )
    return seconds + seconds_of(folder, [PROGRAM, "merge", *parts, "-o", output])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--model", default="HepG2", help="of the zoo")
    parser.add_argument("--references", type=int, default=100)
    options = parser.parse_args()
    kinds = ("one process", "one worker", "two workers", "two shards")
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = random.Random(0)
        records = (f">s{i}\n{''.join(rng.choices('ACGT', k=1000))}\n" for i in range(options.sequences))
        (folder / "sequences.fa").write_text("".join(records))
        for number in range(options.rounds):
            for kind in kinds:
                output = f"{kind.replace(' ', '_')}.nc"
                seconds[kind].append(run(folder, kind, options.model, options.references, output))
                load = os.getloadavg()[0]
                print(f"round {number + 1}, {kind}: {seconds[kind][-1]:.1f} s; load {load:.1f}", flush=True)
        for kind in kinds[1:]:
            output = f"{kind.replace(' ', '_')}.nc"
            same = filecmp.cmp(folder / output, folder / "one_process.nc", shallow=False)
            print(f"{output}: {'the same bytes' if same else 'other bytes'} as one process")
    for first, second in (("one worker", "two workers"), ("one process", "two shards")):
        ratios = [one / two for one, two in zip(seconds[first], seconds[second], strict=True)]
        print(f"{second} against {first}: {statistics.median(ratios):.2f} times as fast (median of rounds)")


if __name__ == "__main__":
    main()
