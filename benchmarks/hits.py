"""Instances of planted motifs: average precision of `find_hits`, FIMO and Fi-NeMo on the same contributions.

    python benchmarks/hits.py

200 sequences of 400 bp with 600 sites of five JASPAR motifs. In the first data every good match of a motif
contributes, whatever its origin, in the second only the planted ones. FIMO is memelite's (p <= 0.002), of
overlapping matches the best stays. Fi-NeMo (finemo, PyPI; an environment with it) gets the motifs' mean
contributions and several penalties (lambda); its own default is 0.7. Of its hits' coefficient, similarity and
importance the column counts that ranks them best.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

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
LAMBDAS = (0.7, 0.5, 0.3, 0.2, 0.1, 0.05)


def finemo_calls(data: planted.Planted, motifs: dict, penalty: float) -> pd.DataFrame:
    """Hits of Fi-NeMo with its scores."""
    from finemo.hitcaller import fit_contribs

    width = max(map(len, motifs.values()))
    cwms, masks, names, reverse = [], [], [], []
    for name, motif in motifs.items():
        mean = motif.matrix * np.log2((motif.matrix + 0.01) / 1.04 / 0.25)
        for strand, matrix in (("+", mean), ("-", mean[::-1, ::-1])):
            padded, mask = np.zeros((4, width), np.float32), np.zeros(width, np.float32)
            padded[:, : len(matrix)], mask[: len(matrix)] = matrix.T, 1
            cwms.append(padded / np.sqrt((padded**2).sum()))
            masks.append(mask)
            names.append(name)
            reverse.append(strand)
    one_hot = data.result["one_hot"].values.transpose(0, 2, 1)
    scores = data.result["contribution"].values[..., 0].sum(axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        hits, _ = fit_contribs(
            np.stack(cwms),
            scores.astype(np.float32),
            one_hot.astype(np.int8),
            np.stack(masks),
            use_hypothetical=False,
            lambdas=np.full(len(cwms), penalty, dtype=np.float32),
            batch_size=50,
        )
    motif = hits["motif_id"].to_numpy()
    start = hits["hit_start"].to_numpy()
    calls = {
        "sequence": hits["peak_id"].to_numpy(),
        "start": start,
        "end": start + np.array([len(motifs[names[i]]) for i in motif], dtype=int),
        "motif": np.array(names)[motif],
        "strand": np.array(reverse)[motif],
    }
    scores = {name: hits[f"hit_{name}"].to_numpy() for name in ("coefficient", "similarity", "importance")}
    return pd.DataFrame(calls | scores)


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
    motifs = {name: parse_motif(matrix_id, name=name) for name, matrix_id in found_hits.IDS.items()}
    every = planted.plant(motifs, noise=0.1)
    for label, data in (
        ("every match", every),
        ("planted ones only", found_hits.planted_in_context(every, motifs)),
    ):
        own = average_precision(table(find_hits(data.result, data.null, motifs, fdr=1)), data.sites)[0]
        fimo = average_precision(found_hits.fimo_calls(data.result, motifs), data.sites)[0]
        print(f"{label} contribute: find_hits {own:.3f}, FIMO {fimo:.3f}", flush=True)
        try:
            for penalty in LAMBDAS:
                calls = finemo_calls(data, motifs, penalty)
                found = {
                    name + end: average_precision(kept(calls.assign(score=calls[name])), data.sites)[0]
                    for name in ("coefficient", "similarity", "importance")
                    for end, kept in (("", lambda c: c), (", best of overlapping", apart))
                }
                best = max(found, key=lambda name: found[name])
                print(
                    f"  Fi-NeMo, lambda {penalty:g}: {found[best]:.3f} ({best}; {len(calls)} hits)",
                    flush=True,
                )
        except ImportError:
            print("  finemo is not installed")


if __name__ == "__main__":
    main()
