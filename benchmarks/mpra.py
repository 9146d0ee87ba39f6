"""Variant scores beside a saturation mutagenesis MPRA, as Markdown tables.

    python benchmarks/mpra.py kircher2019_saturation_mpra.tsv.gz [--models HepG2 HepG2-single]
    python benchmarks/mpra.py kircher2019_saturation_mpra.tsv.gz --motifs
    python benchmarks/mpra.py kircher2019_saturation_mpra.tsv.gz --deletions

The table has the columns Chrom Pos Ref Alt Barcodes DNA RNA Coefficient pValue Element Release (Kircher et
al. 2019, doi:10.1038/s41467-019-11526-w); "-" as Alt is a deletion of one base. The sequence of an element
is rebuilt from Pos and Ref, and N is put around it. Correlations are between the measured coefficient, log2
of RNA over DNA, and the difference of logits (or of a motif's best scores over the base):

- of the mean over all targets, and of the motif whose score changes most at each variant: nothing is chosen;
- of the target, or the motif, whose correlation is largest: chosen in hindsight, which flatters it;
- of the target, or the motif, that is chosen on every other stretch of 20 bases, on the stretches between.

Intervals are 95%, of a bootstrap over the positions of the element. --motifs looks at all vertebrate motifs
of JASPAR. --deletions compares the ways to fill the window of a deletion.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from scipy import stats

import kipoi_tfbind as tfb
from kipoi_tfbind.dna.one_hot import N_CODE, encode_bases
from kipoi_tfbind.motifs.collect import JASPAR_RELEASE, jaspar_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.sites import best_scores

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"
ELEMENTS = ("F9", "LDLR", "LDLR.2", "PKLR-24h", "PKLR-48h", "SORT1", "SORT1.2", "SORT1-flip", "HNF4A")
FLANK = 1000
LEAST_BARCODES = 10
STRETCH = 20


def read_element(table: pd.DataFrame, name: str) -> tuple[str, pd.DataFrame]:
    """The sequence of an element, N where it is not known, and its variants with 0-based offsets."""
    rows = table[(table.Element == name) & (table.Release == "GRCh37")].dropna(subset=["Pos", "Coefficient"])
    rows = rows[rows.Barcodes >= LEAST_BARCODES].assign(Pos=lambda each: each.Pos.astype(int))
    first = rows.Pos.min()
    letters = ["N"] * int(rows.Pos.max() - first + 1)
    for pos, ref in zip(rows.Pos, rows.Ref, strict=True):
        letters[pos - first] = ref
    return "".join(letters), rows.assign(offset=rows.Pos - first).reset_index(drop=True)


def write_inputs(folder: Path, sequence: str, rows: pd.DataFrame) -> tuple[Path, Path]:
    text = "N" * FLANK + sequence + "N" * FLANK
    fasta, vcf = folder / "a.fa", folder / "a.vcf"
    for stale in folder.iterdir():
        stale.unlink()
    fasta.write_text(f">e\n{text}\n")
    with open(vcf, "w") as out:
        out.write("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for offset, ref, alt in zip(rows.offset, rows.Ref, rows.Alt, strict=True):
            pos = FLANK + offset + 1
            if alt == "-":
                before = text[pos - 2]
                pos, ref, alt = pos - 1, before + ref, before
            out.write(f"e\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n")
    return vcf, fasta


def effects_of(model: Any, folder: Path, sequence: str, rows: pd.DataFrame, anchors: str) -> np.ndarray:
    vcf, fasta = write_inputs(folder, sequence, rows)
    found = tfb.variant_effects(model, vcf, fasta, indel_anchors=anchors)  # type: ignore[arg-type]
    return found["alt_prediction"].values - found["ref_prediction"].values


def motif_differences(motif: Motif, sequence: str, rows: pd.DataFrame) -> np.ndarray:
    """Best score over each substitution, alternative minus reference; 0 where no site fits."""
    reach = len(motif) - 1
    codes = np.pad(encode_bases([sequence])[0], reach, constant_values=N_CODE)
    around = codes[rows.offset.to_numpy()[:, np.newaxis] + np.arange(2 * reach + 1)]
    changed = around.copy()
    changed[:, reach] = encode_bases(["".join(rows.Alt)])[0]
    before, after = (best_scores(each, motif) for each in (around, changed))
    return np.where(np.isfinite(before), after - np.where(np.isfinite(before), before, 0), 0)


def interval(x: np.ndarray, y: np.ndarray, positions: np.ndarray, statistic: Any) -> str:
    """A correlation and its 95% interval by a bootstrap over positions."""
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(positions == each) for each in np.unique(positions)]
    draws = []
    for _ in range(500):
        rows = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        draws.append(statistic(x[rows], y[rows])[0])
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return f"{statistic(x, y)[0]:.2f} ({low:.2f} to {high:.2f})"


def chosen_elsewhere(scores: np.ndarray, measured: np.ndarray, positions: np.ndarray) -> str:
    """Correlations of the column that is best on every other stretch of the element, on those between."""
    half = positions // STRETCH % 2 == 1
    found = []
    for here in (half, ~half):
        with np.errstate(invalid="ignore"):
            best = np.nanargmax([correlation(column, measured[~here]) for column in scores[~here].T])
        found.append(correlation(scores[here, best], measured[here]))
    return f"{found[0]:.2f}, {found[1]:.2f}"


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.pearsonr(x, y)[0]) if np.ptp(x) > 0 else float("nan")


def row_of(name: str, rows: pd.DataFrame, one: np.ndarray, many: np.ndarray, names: list[str]) -> str:
    """A row: a score that nothing was chosen for, and the best of many."""
    measured, positions = rows.Coefficient.to_numpy(), rows.offset.to_numpy()
    best = int(np.nanargmax([correlation(column, measured) for column in many.T]))
    cells = [
        name,
        f"{len(rows):,}",
        interval(one, measured, positions, stats.pearsonr),
        interval(one, measured, positions, stats.spearmanr),
        f"{names[best]} {interval(many[:, best], measured, positions, stats.pearsonr)}",
        chosen_elsewhere(many, measured, positions),
    ]
    return f"| {' | '.join(cells)} |"


def read_substitutions(table: pd.DataFrame, name: str) -> tuple[str, pd.DataFrame]:
    sequence, rows = read_element(table, name)
    return sequence, rows[rows.Alt != "-"].reset_index(drop=True)


def substitutions(model: Any, table: pd.DataFrame, folder: Path) -> None:
    print("| element | SNVs | mean of targets, Pearson | Spearman | best target | chosen elsewhere |")
    print("|---|---|---|---|---|---|")
    for name in ELEMENTS:
        sequence, rows = read_substitutions(table, name)
        effects = effects_of(model, folder, sequence, rows, "both")
        print(row_of(name, rows, effects.mean(axis=1), effects, list(model.target_names)), flush=True)


def motifs(table: pd.DataFrame) -> None:
    known = jaspar_motifs()
    print(f"{len(known)} motifs of vertebrates, {JASPAR_RELEASE}\n")
    print("| element | SNVs | largest change, Pearson | Spearman | best motif | chosen elsewhere |")
    print("|---|---|---|---|---|---|")
    for name in ELEMENTS:
        sequence, rows = read_substitutions(table, name)
        scores = np.stack([motif_differences(each, sequence, rows) for each in known.values()], axis=1)
        largest = scores[np.arange(len(rows)), np.abs(scores).argmax(axis=1)]
        print(row_of(name, rows, largest, scores, [each.name for each in known.values()]), flush=True)


def deletions(model: Any, table: pd.DataFrame, folder: Path) -> None:
    print("| element | deletions of 1 bp | left | right | both |")
    print("|---|---|---|---|---|")
    for name in ELEMENTS:
        sequence, rows = read_element(table, name)
        rows = rows[(rows.Alt == "-") & (rows.offset > 0)].reset_index(drop=True)
        cells = []
        for anchors in ("left", "right", "both"):
            mean = effects_of(model, folder, sequence, rows, anchors).mean(axis=1)
            cells.append(interval(mean, rows.Coefficient.to_numpy(), rows.offset.to_numpy(), stats.pearsonr))
        print(f"| {name} | {len(rows)} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table")
    parser.add_argument("--models", nargs="+", default=["HepG2-single", "HepG2", "HepG2-ensemble"])
    parser.add_argument("--motifs", action="store_true")
    parser.add_argument("--deletions", action="store_true")
    args = parser.parse_args()
    with gzip.open(args.table, "rt") as file:
        table = pd.read_csv(file, sep="\t", na_values=["NA"], dtype={"Chrom": str})
    if args.motifs:
        motifs(table)
        return
    for name in args.models:
        model = tfb.load_model(str(ZOO / name), source="dir")
        print(f"{name}, weights {model.fingerprint}\n")
        with tempfile.TemporaryDirectory() as folder:
            (deletions if args.deletions else substitutions)(model, table, Path(folder))
        print()


if __name__ == "__main__":
    main()
