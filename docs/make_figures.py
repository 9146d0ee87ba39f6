"""Make the pictures of the README; run in the repository's root: ``python docs/make_figures.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kipoi_tfbind as tfb
from kipoi_tfbind.dataloaders import VariantWindows
from kipoi_tfbind.dna.one_hot import decode_one_hot

GROUP = Path("model_zoo/TFBind")
EXAMPLES = GROUP / "example_data"
GENOME = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
# Of the variants of NA12878 on these bases, the one that weakens a bound site of CTCF most: POS, REF, ALT.
VARIANT = (773519, "A", "G")
FLANK = 25  # bases shown on either side of it


def broken_site(path: Path) -> None:
    """Draw the site that a variant of NA12878 weakens, with either allele."""
    model = tfb.load_model(str(GROUP / "CTCF-single"), source="dir")
    vcf = path.with_suffix(".vcf")
    vcf.write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"chr20\t{VARIANT[0]}\t.\t{VARIANT[1]}\t{VARIANT[2]}\t.\t.\t.\n"
    )
    windows = next(VariantWindows(vcf, GENOME, length=model.length).batch_iter())["inputs"]
    vcf.unlink()
    both = np.concatenate([windows["ref"], windows["alt"]])
    log_odds = model.predict(both)[:, 0]
    sequences = tfb.encode_sequences(decode_one_hot(both), ids=["reference", "alternative"])
    effects = tfb.in_silico_mutagenesis(model, sequences)

    centre = model.length // 2
    heights = -effects["mutation_effect"].sum("base").isel(target=0) / 3
    figure, axes = plt.subplots(2, 1, figsize=(9, 4.4), sharex=True, sharey=True, layout="constrained")
    for ax, allele, base, value in zip(axes, effects["id"].values, VARIANT[1:], log_odds, strict=True):
        tfb.plot_logo(effects, sequence=allele, start=centre - FLANK, end=centre + FLANK + 1, ax=ax)
        for text in ax.texts:
            text.remove()
        ax.axvspan(centre - 0.5, centre + 0.5, color="0.88", zorder=0)
        ax.set_title(f"{allele} allele {base}: log-odds of CTCF binding {value:+.2f}", loc="left")
        ax.set_xlabel("")
    axes[0].set_ylim(1.05 * float(heights.min()), 1.05 * float(heights.max()))
    first = VARIANT[0] - centre
    ticks = [tick for tick in range(centre - FLANK, centre + FLANK + 1) if (first + tick) % 10 == 0]
    axes[-1].set_xticks(ticks, [f"{first + tick:,}" for tick in ticks])
    axes[-1].set_xlabel("chr20 (hg19, 1-based); the variant is shaded")
    figure.savefig(path, dpi=150)


def ctcf_site(path: Path) -> None:
    """Draw the mutation map of the site that the demo shows."""
    with open(EXAMPLES / "ctcf_sites.bed") as file:
        lines = [line for line in file if "ctcf_site_2\t" in line]
    bed = path.with_suffix(".bed")
    bed.write_text("".join(lines))
    model = tfb.load_model(str(GROUP / "CTCF-single"), source="dir")
    effects = tfb.in_silico_mutagenesis(model, tfb.read_sequences(GENOME, bed, length=model.length))
    bed.unlink()
    tfb.save_plot(tfb.plot_mutation_map(effects, start=170, end=230), path)


def epistasis(path: Path) -> None:
    """Draw what pairs of substitutions do together in a CTCF site."""
    model = tfb.load_model(str(GROUP / "CTCF-single"), source="dir")
    sequences = tfb.read_sequences(GENOME, EXAMPLES / "ctcf_sites.bed", length=model.length)
    site = sequences.isel(sequence=sequences["id"].values == "ctcf_site_3")
    result = tfb.second_order_mutagenesis(model, site, start=186, end=218)
    tfb.save_plot(tfb.plot_epistasis(result), path, dpi=110)


# JASPAR's matrices, and FOXA1's consensus in another order: what a pattern does that is no motif.
MOTIFS = {
    "FOXA1": "MA0148.5",
    "HNF4A": "MA0114.5",
    "CEBPB": "MA0466.4",
    "CTCF": "MA0139.2",
    "scrambled": "TGTAACATCA",
}


def cooperativity(path: Path) -> None:
    """Draw what pairs of motifs do to the predicted binding of FOXA1, and where from FOXA1 HNF4A does it."""
    model = tfb.load_model(str(GROUP / "HepG2-single"), source="dir").select_targets(["FOXA1"])
    bed = path.with_suffix(".bed")
    length, last = model.length or 0, 1_000_000
    bed.write_text("".join(f"chr20\t{s}\t{s + length}\n" for s in range(60_000, last - length, 2000)))
    windows = tfb.read_sequences(GENOME, bed)
    bed.unlink()
    known = (windows["one_hot"].sum(("position", "base")) == length).values
    windows = windows.isel(sequence=known)
    backgrounds = tfb.make_backgrounds("dinucleotide_shuffle", 400, sequences=windows)
    shift = tfb.distribution_shift(model, backgrounds, windows)
    print(f"{float(shift['share_outside'][0]):.1%} of the backgrounds are outside the central 95%")

    pairs = tfb.cooperativity(model, backgrounds, MOTIFS, gaps=[10, 50])
    some = backgrounds.isel(sequence=slice(200))
    scan = tfb.spacing_importance(model, some, MOTIFS["FOXA1"], MOTIFS["HNF4A"], max_distance=60)
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.4), width_ratios=(1, 1.9), layout="constrained")
    tfb.plot_cooperativity(pairs, gap=10, ax=axes[0])
    tfb.plot_importance_curve(scan, ax=axes[1])
    figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    found = scan.isel(pattern=(scan["role"] == "pair").values, target=0)
    apart = found.isel(pattern=(np.abs(found["distance"]) >= 12).values)
    above = float((apart["difference_low"] > 0).mean())
    print(f"{apart.sizes['pattern']} spacings of 12 to 60 bp: {above:.1%} have an interval above 0")
    for gap in (10, 50):
        for a, b in (("FOXA1", "HNF4A"), ("HNF4A", "FOXA1"), ("FOXA1", "scrambled"), ("HNF4A", "scrambled")):
            found = pairs.sel(pattern=f"{a} {b} ++ gap {gap}", target="FOXA1")
            values = (float(found[f"difference{end}"]) for end in ("", "_low", "_high"))
            print(f"{a} {b}, {gap} bp between:", ", ".join(f"{value:+.2f}" for value in values))


if __name__ == "__main__":
    broken_site(Path("docs/broken_site.png"))
    ctcf_site(Path("docs/ctcf_site.png"))
    epistasis(Path("docs/epistasis.png"))
    cooperativity(Path("docs/cooperativity.png"))
