"""Logos of both alleles of a variant, aligned over what changes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.logo import draw_letter

_INCHES_PER_COLUMN = 0.13


def plot_variant_effects(result: xr.Dataset, *, allele: int = 0, ax: Axes | None = None) -> Axes:
    r"""Draw the contributions to the prediction for both alleles of a variant, the change shaded.

    Parameters
    ----------
    result
        From `explain_variants`.
    allele
        Index of the allele.
    ax
        Axes to draw on; new ones by default. The reference allele is above the line, the alternative below.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result is of another method, or has no such allele.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> from kipoi_tfbind.interpret.variants.explain import explain_variants
    >>> from kipoi_tfbind.interpret.variants.top import ScoredAllele
    >>> path = getfixture("tmp_path") / "a.fa"
    >>> _ = path.write_text(">20\nAACCGGTTAACC\n")
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["G"], length=8)
    >>> allele = ScoredAllele("20", 6, "rs1", "G", "T", "G", -1.0)
    >>> found = explain_variants(model, [allele], path, method="ism", flank=2, motifs=False)
    >>> plot_variant_effects(found).get_title(loc="left")
    'rs1   20:6 G>T   G -1'
    """
    if result.attrs.get("method") != "explain_variants":
        raise InputError(
            f"result: expected one of explain_variants (kipoi tfbind variants --explain), got "
            f"{result.attrs.get('method', 'no method')}"
        )
    if not -result.sizes["allele"] <= allele < result.sizes["allele"]:
        raise InputError(f"allele: expected a number below {result.sizes['allele']}, got {allele}")
    view = result.isel(allele=allele)
    flank, size = int(result.attrs["flank"]), int(view["change_size"])
    columns = 2 * flank + size
    values = view["contribution"].values[:, :columns]
    if ax is None:
        _, ax = plt.subplots(figsize=(max(columns * _INCHES_PER_COLUMN, 4), 3))
    low, high = float(min(values.min(), 0)), float(max(values.max(), 0))
    step = 1.15 * (high - low) or 1.0
    visible = np.abs(values).max() / 500
    for side, base_line in ((0, step), (1, 0.0)):
        for column in range(columns):
            letter, height = str(view["letter"].values[side, column]), float(values[side, column])
            if letter in "ACGT" and abs(height) > visible:
                extent = sorted((base_line, base_line + height))
                draw_letter(ax, letter, column - flank, extent, flip=height < 0)
        ax.axhline(base_line, color="black", linewidth=0.6)
    ax.axvspan(-0.5, size - 0.5, color="0.9", zorder=0)
    ax.set_xlim(-flank - 0.5, flank + size - 0.5)
    ax.set_ylim(low - 0.04 * step, step + high + 0.04 * step)
    ax.set_yticks([0, step], ["ALT", "REF"])
    ax.set_xlabel("bases from the change", fontsize=8)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(title_of(view), loc="left", fontsize=9)
    return ax


def title_of(view: xr.Dataset) -> str:
    """Title of the picture of one allele: its place, its effect, and the motif that changes."""
    ref, alt = (_short(str(view[side].item())) for side in ("ref", "alt"))
    name = str(view["variant_id"].item())
    words = [name] if name != "." else []
    words.append(f"{view['chrom'].item()}:{view['pos'].item()} {ref}>{alt}")
    words.append(f"{view['explained_target'].item()} {float(view['effect']):.3g}")
    if "motif" in view and str(view["motif"].item()):
        words.append(
            f"{view['motif'].item()} {view['motif_change'].item()} "
            f"({float(view['motif_ref_score']):.2f} to {float(view['motif_alt_score']):.2f})"
        )
    return "   ".join(words)


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{allele[:12]}... ({len(allele)})"
