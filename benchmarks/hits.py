"""Instances of planted motifs: average precision of `find_hits`, FIMO and Fi-NeMo on the same contributions.

    python -m venv finemo && finemo/bin/pip install finemo==0.41
    python benchmarks/hits.py --finemo finemo/bin/finemo

200 sequences of 400 bp with 600 sites of five JASPAR motifs. In the first data every good match of a motif
contributes, whatever its origin, in the second only the planted ones; each with three sizes of the noise of
single bases (a base of a motif contributes up to 0.2). FIMO is memelite's (p <= 0.002), of overlapping
matches the best stays. Fi-NeMo is run by its own commands, with all its defaults (projected contributions and
patterns, trimmed at 0.3 of their maximum, lambda 0.7) and with smaller lambdas; of its scores the one counts
that ranks its hits best, with or without the best of overlapping ones.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd

from kipoi_tfbind.interpret._motif_scan import Matches, best_apart
from kipoi_tfbind.interpret.find_hits import find_hits
from kipoi_tfbind.motifs.read import parse_motif


def of_tests(name: str) -> ModuleType:
    """A module of the tests, which are no package."""
    path = Path(__file__).parents[1].joinpath(*name.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


planted, found_hits = (of_tests(f"tests.{name}") for name in ("planted", "interpret.test_find_hits"))
average_precision, table = found_hits.average_precision, found_hits.table
RANKED_BY = ("coefficient", "coefficient_global", "similarity", "importance")
LAMBDAS = (0.7, 0.5, 0.3, 0.2)
NOISES = (0.02, 0.05, 0.1)


def write_for_finemo(data: planted.Planted, motifs: dict, folder: Path) -> None:
    """Sequences, contributions and patterns in the files that Fi-NeMo reads, as TF-MoDISco writes them.

    A pattern's scores are what the data were made with: the log odds of a base times its frequency.
    """
    one_hot = data.result["one_hot"].values.transpose(0, 2, 1)
    np.savez(folder / "ohe.npz", one_hot.astype(np.int8))
    hypothetical = data.result["contribution"].values[..., 0].sum(axis=-1)[:, np.newaxis] * one_hot
    np.savez(folder / "scores.npz", hypothetical.astype(np.float32))
    width = max(map(len, motifs.values()))
    with h5py.File(folder / "patterns.h5", "w") as file:
        for i, motif in enumerate(motifs.values()):
            odds = np.log2((motif.matrix + 0.01) / 1.04 / 0.25)
            pattern = file.create_group(f"pos_patterns/pattern_{i}")
            for name, matrix in {
                "sequence": motif.matrix,
                "contrib_scores": motif.matrix * odds,
                "hypothetical_contribs": odds,
            }.items():
                before = (width - len(matrix)) // 2
                padding = ((before, width - len(matrix) - before), (0, 0))
                pattern[name] = np.pad(matrix, padding).astype(np.float32)


def finemo_calls(program: str, folder: Path, motifs: dict, penalty: float) -> pd.DataFrame:
    """Hits of Fi-NeMo with its scores, by its own commands."""
    run = functools.partial(subprocess.run, check=True, cwd=folder, capture_output=True)
    if not (folder / "regions.npz").exists():
        sizes = ["-w", str(np.load(folder / "ohe.npz")["arr_0"].shape[2])]
        files = ["-s", "ohe.npz", "-a", "scores.npz", "-o", "regions.npz"]
        run([program, "extract-regions-modisco-fmt", *files, *sizes])
    files = ["-r", "regions.npz", "-m", "patterns.h5", "-o", f"out{penalty}"]
    run([program, "call-hits", *files, "-l", str(penalty), "-b", "200"])
    hits = pd.read_csv(folder / f"out{penalty}" / "hits.tsv", sep="\t")
    names = {f"pos_patterns.pattern_{i}": name for i, name in enumerate(motifs)}
    shifts = pd.Series(starts_of_patterns(motifs))
    hits["motif"] = hits["motif_name"].map(names)
    widths = hits["motif"].map({name: len(motif) for name, motif in motifs.items()})
    width = max(map(len, motifs.values()))
    before = hits["motif"].map(shifts)
    after = width - widths - before
    # Of the whole motif, also where Fi-NeMo has cut its ends.
    hits["start"] = hits["start_untrimmed"] + np.where(hits["strand"] == "+", before, after)
    hits["end"] = hits["start"] + widths
    kept = hits.rename(columns={"peak_id": "sequence"} | {f"hit_{name}": name for name in RANKED_BY})
    return kept[["sequence", "start", "end", "motif", "strand", *RANKED_BY]]


def starts_of_patterns(motifs: dict) -> dict[str, int]:
    """Columns before each motif in its pattern."""
    width = max(map(len, motifs.values()))
    return {name: (width - len(motif)) // 2 for name, motif in motifs.items()}


def apart(calls: pd.DataFrame) -> pd.DataFrame:
    """The best of overlapping calls, as in `find_hits`."""
    numbers = (np.zeros(len(calls)) for _ in range(3))
    matches = Matches(
        calls["sequence"].to_numpy(),
        calls["start"].to_numpy(),
        calls["end"].to_numpy(),
        pd.factorize(calls["motif"])[0],
        (calls["strand"] == "-").to_numpy(),
        *numbers,
    )
    return calls.iloc[best_apart(matches, calls["score"].to_numpy(dtype=float), 0.25)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--finemo", help="the command of an environment with finemo")
    parser.add_argument("--noise", type=float, nargs="+", default=NOISES)
    parser.add_argument("--lambdas", type=float, nargs="+", default=LAMBDAS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    motifs = {name: parse_motif(matrix_id, name=name) for name, matrix_id in found_hits.IDS.items()}
    for noise in arguments.noise:
        every = planted.plant(motifs, noise=noise, seed=arguments.seed)
        for label, data in (
            ("every match", every),
            ("planted ones only", found_hits.planted_in_context(every, motifs, noise=noise)),
        ):
            own = average_precision(table(find_hits(data.result, data.null, motifs, fdr=1)), data.sites)[0]
            fimo = average_precision(found_hits.fimo_calls(data.result, motifs), data.sites)[0]
            print(f"noise {noise:g}, {label} contribute: find_hits {own:.3f}, FIMO {fimo:.3f}", flush=True)
            if arguments.finemo is None:
                continue
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write_for_finemo(data, motifs, folder)
                for penalty in arguments.lambdas:
                    calls = finemo_calls(arguments.finemo, folder, motifs, penalty)
                    print(f"  Fi-NeMo, lambda {penalty:g}: {best_of(calls, data.sites)}", flush=True)


def best_of(calls: pd.DataFrame, sites: list) -> str:
    """The best average precision of Fi-NeMo's hits, whichever of its scores ranks them."""
    found = {
        name + end: average_precision(kept(calls.assign(score=calls[name])), sites)[0]
        for name in RANKED_BY
        for end, kept in (("", lambda c: c), (", best of overlapping", apart))
    }
    best = max(found, key=lambda name: found[name])
    wrong = average_precision(calls.assign(score=calls[RANKED_BY[0]]), sites)[1]
    return f"{found[best]:.3f} (by {best}; {len(calls)} hits, {wrong:.0%} of them at no planted site)"


if __name__ == "__main__":
    main()
