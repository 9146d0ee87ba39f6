"""Shards of variants: joined, every kind of file has the bytes of one run."""

from __future__ import annotations

import filecmp
from pathlib import Path
from typing import Any

import pytest

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.all_snvs import AllSnvs
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret.variants import write as writing
from kipoi_tfbind.interpret.variants.evaluate import VariantOptions
from tests.genome.test_changes import CONTIG
from tests.interpret.variants.test_variant_effects import model_of_numpy, write_fasta
from tests.interpret.variants.test_write import odd_vcf

KINDS = (".vcf", ".vcf.gz", ".tsv", ".tsv.gz", ".parquet", ".nc")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BLOCK", 10)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("fasta") / "a.fa")


def write(
    source: Any, fasta: Path, folder: Path, stem: str, kinds: tuple[str, ...] = KINDS, **more: Any
) -> Any:
    outputs = [folder / f"{stem}{kind}" for kind in kinds]
    return tfb.write_variant_effects(model_of_numpy(), source, fasta, outputs, **more)


def join(folder: Path, of: int, kind: str) -> Path:
    joined = folder / f"joined{kind}"
    tfb.merge_shards([folder / f"{number}{kind}" for number in range(of, 0, -1)], joined)
    return joined


# 63 lines: 7 blocks.
@pytest.mark.parametrize("of", [1, 3, 9])
def test_a_vcf(tmp_path: Path, fasta: Path, of: int) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    done = write(source, fasta, tmp_path, "whole")
    parts = [write(source, fasta, tmp_path, str(k), shard=f"{k}/{of}") for k in range(1, of + 1)]
    assert sum(part.tallies["scored"] for part in parts) == done.tallies["scored"]
    for kind in KINDS:
        assert filecmp.cmp(join(tmp_path, of, kind), tmp_path / f"whole{kind}", shallow=False), kind
    assert filecmp.cmp(tmp_path / "joined.vcf.gz.tbi", tmp_path / "whole.vcf.gz.tbi", shallow=False)


def test_scores_of_all_alleles_are_made_when_shards_are_joined(tmp_path: Path, fasta: Path) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    nulls = writing.NullOptions(20)
    write(source, fasta, tmp_path, "whole", nulls=nulls)
    for number in (1, 2):
        write(source, fasta, tmp_path, str(number), nulls=nulls, shard=f"{number}/2")
    for kind in KINDS:
        assert filecmp.cmp(join(tmp_path, 2, kind), tmp_path / f"whole{kind}", shallow=False), kind
    assert tfb.open_result(tmp_path / "joined.nc")["effect_q_value"].notnull().any()
    assert tfb.open_result(tmp_path / "1.nc")["effect_q_value"].isnull().all()


def test_every_snv_of_intervals(tmp_path: Path, fasta: Path) -> None:
    (tmp_path / "a.bed").write_text(f"20\t100\t125\n20\t300\t307\n20\t{len(CONTIG) - 4}\t{len(CONTIG)}\n")
    kinds = (".vcf.gz", ".parquet")

    def snvs() -> AllSnvs:
        return AllSnvs(Genome(fasta), tmp_path / "a.bed")

    write(snvs(), fasta, tmp_path, "whole", kinds)
    for number in (1, 2):
        write(snvs(), fasta, tmp_path, str(number), kinds, shard=f"{number}/2")
    for kind in kinds:
        assert filecmp.cmp(join(tmp_path, 2, kind), tmp_path / f"whole{kind}", shallow=False), kind


def test_a_shard_that_is_interrupted_goes_on(
    tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    write(source, fasta, tmp_path, "whole", (".vcf.gz",))
    write(source, fasta, tmp_path, "1", (".vcf.gz",), shard="1/2")
    append, calls = writing.VariantFiles.append, 0

    def failing(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        append(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(writing.VariantFiles, "append", failing)
        with pytest.raises(KeyboardInterrupt):
            write(source, fasta, tmp_path, "2", (".vcf.gz",), shard="2/2")
    with pytest.raises(InputError, match=r"2\.vcf\.gz: is not finished"):
        join(tmp_path, 2, ".vcf.gz")
    with pytest.raises(InputError, match=r"an interrupted run of other options .*\(shard\)"):
        write(source, fasta, tmp_path, "2", (".vcf.gz",), shard="2/3")
    write(source, fasta, tmp_path, "2", (".vcf.gz",), shard="2/2")
    assert filecmp.cmp(join(tmp_path, 2, ".vcf.gz"), tmp_path / "whole.vcf.gz", shallow=False)


def test_what_does_not_belong_together_is_refused_by_name(tmp_path: Path, fasta: Path) -> None:
    source = odd_vcf(tmp_path / "in.vcf")
    kinds = (".tsv",)
    for number in (1, 2):
        write(source, fasta, tmp_path, str(number), kinds, shard=f"{number}/2")
    first, second = tmp_path / "1.tsv", tmp_path / "2.tsv"
    out = tmp_path / "joined.tsv"
    with pytest.raises(InputError, match=r"shards: missing, .*: 2/2"):
        tfb.merge_shards([first], out)
    with pytest.raises(InputError, match=r"1\.tsv: is of another kind than .*joined\.vcf"):
        tfb.merge_shards([first, second], tmp_path / "joined.vcf")
    write(source, fasta, tmp_path, "other", kinds, shard="2/2", options=VariantOptions(shifts=1))
    with pytest.raises(InputError, match=r"other\.tsv: is shard 2/2 of another run .*shifts was 0, is now 1"):
        tfb.merge_shards([first, tmp_path / "other.tsv"], out)
    lines = source.read_text().splitlines(keepends=True)
    (tmp_path / "in.vcf").write_text("".join([*lines[:-1], lines[-1].replace("DP=1", "DP=2")]))
    write(source, fasta, tmp_path, "other", kinds, shard="2/2")
    with pytest.raises(InputError, match=r"other\.tsv: .*\(input was"):
        tfb.merge_shards([first, tmp_path / "other.tsv"], out)
    (tmp_path / "2.tsv.shard").unlink()
    with pytest.raises(InputError, match=r"2\.tsv\.shard: no such file"):
        tfb.merge_shards([first, second], out)
    write(source, fasta, tmp_path, "whole", kinds)
    with pytest.raises(InputError, match=r"whole\.tsv\.shard: no such file"):
        tfb.merge_shards([tmp_path / "whole.tsv"], out)
    assert not out.exists()
    with pytest.raises(InputError, match="--shard: the strongest alleles"):
        write(source, fasta, tmp_path, "1", kinds, shard="1/2", top=3)
    with pytest.raises(InputError, match="--shard: haplotypes"):
        write(source, fasta, tmp_path, "1", kinds, shard="1/2", sample="S1")
