"""Variant scores beside a saturation mutagenesis MPRA, as a Markdown table.

    python benchmarks/mpra.py kircher2019_saturation_mpra.tsv.gz [--model HepG2] [--deletions]

The table has the columns Chrom Pos Ref Alt Barcodes DNA RNA Coefficient pValue Element Release (Kircher et
al. 2019, doi:10.1038/s41467-019-11526-w); "-" as Alt is a deletion of one base. The sequence of an element
is rebuilt from Pos and Ref, and N is put around it. Correlations are between the measured coefficient, log2
of RNA over DNA, and the difference of logits: the mean over the targets, chosen beforehand; and the target,
and the JASPAR motif of the model's factors, whose correlation is largest, chosen in hindsight, which
flatters both. Intervals are 95%, of a bootstrap over the positions of the element. --deletions compares the
ways to fill the window of a deletion.
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
from kipoi_tfbind.dna.one_hot import encode_bases
from kipoi_tfbind.motifs.collect import jaspar_motifs
from kipoi_tfbind.motifs.motif import Motif
from kipoi_tfbind.motifs.sites import find_sites

ZOO = Path(__file__).parents[1] / "model_zoo" / "TFBind"
ELEMENTS = ("F9", "LDLR", "LDLR.2", "PKLR-24h", "PKLR-48h", "SORT1", "SORT1.2", "SORT1-flip", "HNF4A")
FLANK = 1000
LEAST_BARCODES = 10


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
    """Best score over each substitution, alternative minus reference."""

    def best(text: str) -> float:
        sites = find_sites(encode_bases([text]), motif, threshold=0)[0]
        return max((site.score for site in sites), default=0.0)

    found = []
    for offset, alt in zip(rows.offset, rows.Alt, strict=True):
        left = max(offset - len(motif) + 1, 0)
        around = sequence[left : offset + len(motif)]
        changed = around[: offset - left] + alt + around[offset - left + 1 :]
        found.append(best(changed) - best(around))
    return np.array(found)


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


def substitutions(model: Any, table: pd.DataFrame, folder: Path) -> None:
    names = {target.upper() for target in model.target_names}
    motifs = {key: m for key, m in jaspar_motifs().items() if m.name.upper() in names}
    print(
        "| element | SNVs | Pearson, mean of targets | Spearman | best target, Pearson "
        "| best motif, Pearson |"
    )
    print("|---|---|---|---|---|---|")
    for name in ELEMENTS:
        sequence, rows = read_element(table, name)
        rows = rows[rows.Alt != "-"].reset_index(drop=True)
        effects = effects_of(model, folder, sequence, rows, "both")
        measured, positions = rows.Coefficient.to_numpy(), rows.offset.to_numpy()
        mean = effects.mean(axis=1)
        by_target = [stats.pearsonr(effects[:, i], measured)[0] for i in range(effects.shape[1])]
        best = int(np.argmax(by_target))
        scores = {key: motif_differences(motif, sequence, rows) for key, motif in motifs.items()}
        by_motif = {key: stats.pearsonr(s, measured)[0] for key, s in scores.items() if s.any()}
        key = max(by_motif, key=lambda each: by_motif[each])
        print(
            f"| {name} | {len(rows)} | {interval(mean, measured, positions, stats.pearsonr)} "
            f"| {interval(mean, measured, positions, stats.spearmanr)} "
            f"| {model.target_names[best]} {interval(effects[:, best], measured, positions, stats.pearsonr)} "
            f"| {motifs[key].name} {interval(scores[key], measured, positions, stats.pearsonr)} |",
            flush=True,
        )


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
    parser.add_argument("--model", default="HepG2")
    parser.add_argument("--deletions", action="store_true")
    args = parser.parse_args()
    with gzip.open(args.table, "rt") as file:
        table = pd.read_csv(file, sep="\t", na_values=["NA"], dtype={"Chrom": str})
    model = tfb.load_model(str(ZOO / args.model), source="dir")
    print(f"{args.model}, weights {model.fingerprint}\n")
    with tempfile.TemporaryDirectory() as folder:
        (deletions if args.deletions else substitutions)(model, table, Path(folder))


if __name__ == "__main__":
    main()
