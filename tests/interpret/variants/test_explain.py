"""Explanations of variants on models whose contributions are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kipoi_tfbind import as_sequence_model
from kipoi_tfbind.dna.one_hot import encode_bases
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.variants.explain import explain_variants
from kipoi_tfbind.interpret.variants.motif_changes import _best_scores, changed_motifs
from kipoi_tfbind.interpret.variants.top import ScoredAllele
from kipoi_tfbind.motifs.read import parse_motif
from kipoi_tfbind.motifs.sites import best_scores
from kipoi_tfbind.plot.variant_effects import plot_variant_effects
from tests.genome.test_changes import CONTIG
from tests.interpret.variants.test_variant_effects import write_fasta

WEIGHTS = np.array([0.5, -1.0, 2.0, 0.25])


def linear(x: NDArray) -> NDArray:
    return (x @ WEIGHTS).sum(axis=1)


def model_of(length: int = 80) -> Any:
    return as_sequence_model(linear, targets=["t"], length=length)


def expected(letter: str) -> float:
    if letter == "-":
        return 0.0
    own = WEIGHTS["ACGT".index(letter)]
    return float(own - (WEIGHTS.sum() - own) / 3)


def alleles() -> list[ScoredAllele]:
    return [
        ScoredAllele("20", 500, ".", CONTIG[499], "A" if CONTIG[499] != "A" else "C", "t", 1.0),
        ScoredAllele("20", 600, "rs2", CONTIG[599:604], CONTIG[599], "t", -2.0),
        ScoredAllele("20", 700, "rs3", CONTIG[699], f"{CONTIG[699]}GATAAG", "t", 0.5),
    ]


def test_both_alleles_are_aligned_over_the_change(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "a.fa")
    found = explain_variants(model_of(), alleles(), fasta, method="ism", flank=10, motifs=False)
    for i, allele in enumerate(alleles()):
        ref, alt = ("".join(side) for side in found["letter"].values[i])
        size = int(found["change_size"][i])
        width = 20 + size
        whole = CONTIG[: allele.pos - 1] + allele.alt + CONTIG[allele.pos - 1 + len(allele.ref) :]
        assert ref[:width].replace("-", "") in CONTIG
        assert alt[:width].replace("-", "") in whole
        assert ref[:10] == alt[:10]
        assert ref[10 + size : width] == alt[10 + size : width]
        assert ref[10 : 10 + size] != alt[10 : 10 + size]
        values = [[expected(letter) for letter in side] for side in (ref, alt)]
        np.testing.assert_allclose(found["contribution"].values[i], values, rtol=0, atol=1e-6)
    assert found["change_size"].values.tolist() == [1, 4, 6]


def test_the_motif_is_named() -> None:
    letters = np.array([[list("CCTTCCAGTT--TTCC"), list("CCTTGATAAGTTTTCC")]])
    motifs = {"M1": parse_motif("GATAAG", name="GATA1"), "M2": parse_motif("TTTT", name="T")}
    found = changed_motifs(letters, np.array([8]), 4, motifs)
    assert found["motif"].tolist() == ["GATA1"]
    assert found["motif_id"].tolist() == ["M1"]
    assert found["motif_change"].tolist() == ["gained"]
    assert found["motif_alt_score"][0] == 1


def test_jaspar_names_ctcf_at_a_site_that_breaks() -> None:
    site = "TGGCCACCAGGGGGCGCTA"  # the consensus of MA0139.1
    ref = "ACGTTGCA" * 5 + site + "TTGACATG" * 5
    position = ref.index(site) + 6  # an invariant C
    alt = ref[:position] + "A" + ref[position + 1 :]
    letters = np.array([[list(side[position - 40 : position + 41]) for side in (ref, alt)]])
    found = changed_motifs(letters, np.array([1]), 40)
    assert "CTCF" in str(found["motif"][0])
    assert found["motif_change"].tolist() == ["lost"]
    assert found["motif_ref_score"][0] > found["motif_alt_score"][0] + 0.02


def test_each_allele_is_scanned_over_its_own_change() -> None:
    """Against every site of either strand that touches the change, or spans where bases were deleted."""
    rng = np.random.default_rng(3)
    motifs = {f"M{i}": parse_motif(text) for i, text in enumerate(["GATAAG", "CAN", "TTTTCCAAGG", "ACG"])}
    flank, n = 9, 40
    sizes = rng.integers(1, 6, n)
    letters = rng.choice(list("ACGT"), (n, 2, 2 * flank + 5))
    for i, size in enumerate(sizes):
        shorter, kept = rng.integers(2), rng.integers(0, size)
        letters[i, shorter, flank + kept : flank + size] = "-"
        letters[i, :, 2 * flank + size :] = "-"
    best = _best_scores(letters, sizes, flank, list(motifs.values()))
    for i, m, side in np.ndindex(best.shape):
        motif = list(motifs.values())[m]
        row = letters[i, side]
        text = "".join(row).replace("-", "")
        length = int((row[flank : flank + sizes[i]] != "-").sum())
        touching = [
            best_scores(encode_bases([text[s : s + len(motif)]]), motif)[0]
            for s in range(len(text) - len(motif) + 1)
            if s < flank + max(length, 0) and s + len(motif) > flank
        ]
        assert best[i, m, side] == max(touching, default=0)


def test_the_picture(tmp_path: Path) -> None:
    found = explain_variants(
        model_of(), alleles(), write_fasta(tmp_path / "a.fa"), method="ism", flank=10, motifs=False
    )
    ax = plot_variant_effects(found, allele=1)
    assert ax.get_title(loc="left").startswith("rs2   20:600 ")
    assert len(ax.patches) > 20
    with pytest.raises(InputError, match="expected a number below 3"):
        plot_variant_effects(found, allele=3)
    with pytest.raises(InputError, match="explain_variants"):
        plot_variant_effects(found.assign_attrs(method="deep_shap"))


def test_what_cannot_be_explained(tmp_path: Path) -> None:
    fasta = write_fasta(tmp_path / "a.fa")
    with pytest.raises(InputError, match="at least one allele"):
        explain_variants(model_of(), [], fasta)
    with pytest.raises(InputError, match="expected deepshap or ism"):
        explain_variants(model_of(), alleles(), fasta, method="saliency")  # type: ignore[arg-type]
    wrong = alleles()[0]._replace(ref=alleles()[0].alt, alt=alleles()[0].ref)
    with pytest.raises(InputError, match=r"20:500 .*ref_alt_swapped"):
        explain_variants(model_of(), [wrong], fasta)
