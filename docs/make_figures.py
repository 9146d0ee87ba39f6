"""Make the pictures of the README from the zoo and its example data: ``python docs/make_figures.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import kipoi_tfbind as tfb
from kipoi_tfbind.dataloaders import VariantWindows
from kipoi_tfbind.one_hot import decode_one_hot

ROOT = Path(__file__).parents[1]
GROUP = ROOT / "model_zoo" / "TFBind"
EXAMPLES = GROUP / "example_data"
GENOME = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
FLANK = 25  # bases shown on either side of a variant


def broken_site(path: Path) -> None:
    """Draw the site of the example VCF that a single-base change weakens most, with either allele."""
    model = tfb.load_model(str(GROUP / "CTCF"), source="dir")
    loader = VariantWindows(EXAMPLES / "variants.vcf.gz", GENOME, length=model.length)
    rows = next(loader.batch_iter(batch_size=len(loader)))
    windows, variant = rows["inputs"], rows["metadata"]["variant"]
    is_snv = np.char.str_len(variant["ref"].astype(str)) + np.char.str_len(variant["alt"].astype(str)) == 2
    log_odds = {allele: model.predict(windows[allele])[:, 0] for allele in ("ref", "alt")}
    worst = np.where(is_snv, log_odds["alt"] - log_odds["ref"], np.inf).argmin()

    sequences = decode_one_hot(np.stack([windows["ref"][worst], windows["alt"][worst]]))
    effects = tfb.in_silico_mutagenesis(model, tfb.encode_sequences(sequences, ids=["ref", "alt"]))
    centre = model.length // 2
    figure, axes = plt.subplots(2, 1, figsize=(9, 4.2), sharex=True, sharey=True, layout="constrained")
    for ax, allele in zip(axes, ("ref", "alt"), strict=True):
        tfb.plot_logo(effects, sequence=allele, start=centre - FLANK, end=centre + FLANK + 1, ax=ax)
        ax.axvspan(centre - 0.5, centre + 0.5, color="0.88", zorder=0)
        name = {"ref": "reference", "alt": "alternative"}[allele]
        base = variant[allele][worst]
        ax.set_title(
            f"{name} allele {base}: log-odds of CTCF binding {log_odds[allele][worst]:+.2f}", loc="left"
        )
        ax.set_xlabel("")
    first = int(variant["pos"][worst]) - centre
    ticks = np.arange(centre - FLANK + (-(first + centre - FLANK)) % 10, centre + FLANK + 1, 10)
    axes[-1].set_xticks(ticks, [f"{first + tick:,}" for tick in ticks])
    axes[-1].set_xlabel(f"{variant['chrom'][worst]} position (hg19, 1-based); the variant is shaded")
    figure.savefig(path, dpi=150)
    print(
        f"{variant['id'][worst]} {variant['chrom'][worst]}:{variant['pos'][worst]} "
        f"{variant['ref'][worst]}>{variant['alt'][worst]}",
        {k: round(float(v[worst]), 2) for k, v in log_odds.items()},
    )


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


if __name__ == "__main__":
    broken_site(ROOT / "docs" / "broken_site.png")
    ctcf_site(ROOT / "docs" / "ctcf_site.png")
