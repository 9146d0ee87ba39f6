"""Make the pictures of the README; run in the repository's root: ``python docs/make_figures.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kipoi_tfbind as tfb
from kipoi_tfbind.dataloaders import VariantWindows
from kipoi_tfbind.one_hot import decode_one_hot

GROUP = Path("model_zoo/TFBind")
EXAMPLES = GROUP / "example_data"
GENOME = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
# Of the variants of NA12878 on these bases, the one that weakens a bound site of CTCF most: POS, REF, ALT.
VARIANT = (773519, "A", "G")
FLANK = 25  # bases shown on either side of it


def broken_site(path: Path) -> None:
    """Draw the site that a variant of NA12878 weakens, with either allele."""
    model = tfb.load_model(str(GROUP / "CTCF"), source="dir")
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
    model = tfb.load_model(str(GROUP / "CTCF"), source="dir")
    effects = tfb.in_silico_mutagenesis(model, tfb.read_sequences(GENOME, bed, length=model.length))
    bed.unlink()
    tfb.save_plot(tfb.plot_mutation_map(effects, start=170, end=230), path)


def epistasis(path: Path) -> None:
    """Draw what pairs of substitutions do together in a CTCF site."""
    model = tfb.load_model(str(GROUP / "CTCF"), source="dir")
    sequences = tfb.read_sequences(GENOME, EXAMPLES / "ctcf_sites.bed", length=model.length)
    site = sequences.isel(sequence=sequences["id"].values == "ctcf_site_3")
    result = tfb.second_order_mutagenesis(model, site, start=186, end=218)
    tfb.save_plot(tfb.plot_epistasis(result), path, dpi=110)


if __name__ == "__main__":
    broken_site(Path("docs/broken_site.png"))
    ctcf_site(Path("docs/ctcf_site.png"))
    epistasis(Path("docs/epistasis.png"))
