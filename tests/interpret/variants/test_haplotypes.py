"""Alleles on their own haplotypes against whole haplotypes written as strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kipoi_tfbind.dna.one_hot import one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.variants import write as write_module
from kipoi_tfbind.interpret.variants.evaluate import VariantOptions
from kipoi_tfbind.interpret.variants.write import write_variant_effects
from tests.genome.test_changes import CONTIG
from tests.interpret.variants.test_variant_effects import LENGTH, model_of_numpy, pooled_motifs, write_fasta

HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tOTHER\tNA1\n"


def other_than(base: str) -> str:
    return next(b for b in "ACGT" if b != base)


def records() -> list[tuple[int, str, str, str]]:
    """Phased, unphased and homozygous SNVs and indels close to each other: pos, ref, alt, genotype."""
    rng = np.random.default_rng(8)
    found, pos = [], 300
    while pos < 3600:
        ref = CONTIG[pos - 1]
        kind = rng.choice(["snv", "snv", "insertion", "deletion"])
        alt = other_than(ref)
        if kind == "insertion":
            alt = ref + other_than(CONTIG[pos]) + "GA"
        elif kind == "deletion":
            ref, alt = CONTIG[pos - 1 : pos + 2], ref
        found.append((pos, ref, alt, str(rng.choice(["0|1", "1|0", "1|1", "0/1", "1/1", ".|.", "0|0"]))))
        pos += int(rng.integers(4, 40))
    return found


def on_haplotype(genotype: str, number: int) -> bool:
    return genotype in (("0|1", "1|1", "1/1") if number == 2 else ("1|0", "1|1", "1/1"))


def run(folder: Path, rows: list[tuple[int, str, str, str]], **more: Any) -> pd.DataFrame:
    source = folder / "in.vcf"
    lines = [f"20\t{p}\t.\t{r}\t{a}\t.\t.\t.\tGT:PS\t0/0:.\t{g}:1\n" for p, r, a, g in rows]
    source.write_text(HEADER + "".join(lines))
    out = folder / "out.parquet"
    options = VariantOptions(indel_anchors="left")
    write_variant_effects(
        model_of_numpy(), source, write_fasta(folder / "a.fa"), [out], sample="NA1", options=options, **more
    )
    return pd.read_parquet(out)


def f(text: str) -> np.ndarray:
    return pooled_motifs(one_hot([text]))[0]


def window(some: list[tuple[int, str, str]], focal: tuple[int, str, str], start: int) -> str:
    """A haplotype as a string, cut where the focal allele stays in its place."""
    whole, moved = CONTIG, 0
    for pos, ref, alt in sorted(some, reverse=True):
        assert whole[pos - 1 : pos - 1 + len(ref)] == ref
        whole = whole[: pos - 1] + alt + whole[pos - 1 + len(ref) :]
        if pos < focal[0]:
            moved += len(alt) - len(ref)
    return whole[start + moved : start + moved + LENGTH]


@pytest.mark.parametrize("block", [4096, 7])
def test_against_haplotypes_as_strings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(write_module, "BLOCK", block)
    rows = records()
    table = run(tmp_path, rows)
    n_shared = 0
    for number in (1, 2):
        for i, (pos, ref, alt, genotype) in enumerate(rows):
            found = table.loc[i, [f"haplotype_{number}_effect:{t}" for t in "abc"]].to_numpy(float)
            excess = table.loc[i, [f"haplotype_{number}_joint_minus_sum:{t}" for t in "abc"]].to_numpy(float)
            if not on_haplotype(genotype, number):
                assert np.isnan(found).all()
                continue
            start = int(table.window_start[i])
            if start < 0:
                continue
            # An indel is in the window with all of the bases that it replaces, left-aligned as it is here.
            others = [
                (p, r, a)
                for j, (p, r, a, g) in enumerate(rows)
                if j != i and on_haplotype(g, number) and inside(p, r, a, start)
            ]
            own = (pos, ref, alt)
            joint, without, reference = (f(window(some, own, start)) for some in ([*others, own], others, []))
            np.testing.assert_allclose(found, joint - without, rtol=0, atol=1e-12)
            alone = sum(f(window([each], own, start)) - reference for each in [*others, own])
            if others:
                np.testing.assert_allclose(excess, joint - reference - alone, rtol=0, atol=1e-12)
                n_shared += 1
            else:
                assert np.isnan(excess).all()
    assert n_shared > 30


def inside(pos: int, ref: str, alt: str, start: int) -> bool:
    prefix = 1 if len(ref) != len(alt) else 0
    first, last = pos - 1 + prefix, pos - 1 + len(ref)
    return start <= first - slide(pos, ref, alt) and last - slide(pos, ref, alt) <= start + LENGTH


def slide(pos: int, ref: str, alt: str) -> int:
    """By how many bases an indel can be written further left."""
    whole = CONTIG[: pos - 1] + alt + CONTIG[pos - 1 + len(ref) :]
    gone, more = max(len(ref) - len(alt), 0), max(len(alt) - len(ref), 0)
    if not gone + more:
        return 0
    s = pos
    while whole[: s - 1] == CONTIG[: s - 1] and whole[s - 1 + more :] == CONTIG[s - 1 + gone :]:
        s -= 1
    return pos - s


def test_alleles_side_by_side_are_the_joined_one(tmp_path: Path) -> None:
    """Two SNVs of one haplotype, next to each other, have the windows of the two-base substitution."""
    rows = [(500 + i, CONTIG[499 + i], other_than(CONTIG[499 + i]), "0|1") for i in range(2)]
    joined = (500, "".join(r for _, r, *_ in rows), "".join(a for _, _, a, _ in rows), "0|1")
    (tmp_path / "b").mkdir()
    split, whole = run(tmp_path, rows), run(tmp_path / "b", [joined])
    start = int(split.window_start[0])
    both = f(window([joined[:3]], joined[:3], start)) - f(CONTIG[start : start + LENGTH])
    alone = [f(window([row[:3]], row[:3], start)) - f(CONTIG[start : start + LENGTH]) for row in rows]
    found = split.loc[0, [f"haplotype_2_joint_minus_sum:{t}" for t in "abc"]].to_numpy(float)
    np.testing.assert_allclose(found, both - sum(alone), rtol=0, atol=1e-12)
    assert whole["haplotype_2_joint_minus_sum:a"].isna().all()


def test_other_phase_sets_are_not_joined(tmp_path: Path) -> None:
    rows = [(500 + 5 * i, CONTIG[499 + 5 * i], other_than(CONTIG[499 + 5 * i]), "0|1") for i in range(2)]
    source = tmp_path / "in.vcf"
    lines = [f"20\t{p}\t.\t{r}\t{a}\t.\t.\t.\tGT:PS\t.\t{g}:{p}\n" for p, r, a, g in rows]
    source.write_text(HEADER + "".join(lines))
    out = tmp_path / "out.parquet"
    write_variant_effects(model_of_numpy(), source, write_fasta(tmp_path / "a.fa"), [out], sample="NA1")
    assert pd.read_parquet(out)["haplotype_2_joint_minus_sum:a"].isna().all()


def test_a_sample_that_is_not_there(tmp_path: Path) -> None:
    source = tmp_path / "in.vcf"
    source.write_text(HEADER)
    with pytest.raises(InputError, match="no sample 'NA2'; it has OTHER, NA1"):
        write_variant_effects(
            model_of_numpy(), source, write_fasta(tmp_path / "a.fa"), [tmp_path / "o.vcf"], sample="NA2"
        )
