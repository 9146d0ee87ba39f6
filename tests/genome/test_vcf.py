"""kipoi_tfbind.genome.vcf: what is read from VCF and BCF, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pysam.bcftools
import pytest

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.vcf import SKIP_REASONS, count_reasons, read_alleles, write_skipped

META = '##fileformat=VCFv4.3\n##contig=<ID=20,length=63025520>\n##ALT=<ID=DEL,Description="Deletion">\n'
HEADER = META + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def vcf(tmp_path: Path, *records: str, header: str = HEADER, name: str = "a.vcf") -> Path:
    """Records as 'chrom pos id ref alt'."""
    path = tmp_path / name
    lines = ["\t".join([*record.split(" "), ".", ".", "."]) + "\n" for record in records]
    path.write_text(header + "".join(lines))
    return path


def as_bcf(path: Path, target: Path) -> None:
    pysam.bcftools.view("-Ob", "-o", str(target), str(path), catch_stdout=False)


RECORDS = ["20 5 rs1 A C", "20 7 . ac A,ACT,<DEL>", "X 9 . G *,g,T", "20 11 . T .", "20 12 n N A,R"]


def check_records(alleles: object) -> None:
    rows = zip(
        *(getattr(alleles, name).tolist() for name in ("contig", "pos", "id", "alt", "reason")), strict=True
    )
    assert list(rows) == [
        (0, 5, "rs1", "C", ""),
        (0, 7, ".", "A", ""),
        (0, 7, ".", "ACT", ""),
        (0, 7, ".", "<DEL>", "symbolic_allele"),
        (1, 9, ".", "*", "spanning_deletion"),
        (1, 9, ".", "g", "same_as_ref"),
        (1, 9, ".", "T", ""),
        (0, 11, ".", ".", "no_alternate_allele"),
        (0, 12, "n", "A", "ambiguous_base"),
        (0, 12, "n", "R", "ambiguous_base"),
    ]


@pytest.mark.parametrize("pack", ["plain", "gzip", "bgzip"])
def test_one_entry_for_each_alternative_allele(tmp_path: Path, pack: str) -> None:
    path = vcf(tmp_path, *RECORDS)
    if pack == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif pack == "bgzip":
        pysam.tabix_compress(str(path), str(path := tmp_path / "b.vcf.gz"))
    alleles = read_alleles(path)
    check_records(alleles)
    assert alleles.contigs == ("20", "X")
    assert alleles.unit == "line"
    assert alleles.line.tolist() == [5, 6, 6, 6, 7, 7, 7, 8, 9, 9]


def test_bcf_is_read_like_vcf(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    header = HEADER.replace("##ALT", "##contig=<ID=X,length=1000>\n##ALT")
    as_bcf(vcf(tmp_path, *RECORDS, header=header), tmp_path / "a.bcf")
    alleles = read_alleles(tmp_path / "a.bcf")
    check_records(alleles)
    assert capfd.readouterr().err == ""
    assert alleles.unit == "record"
    assert alleles.line.tolist() == [1, 2, 2, 2, 3, 3, 3, 4, 5, 5]


@pytest.mark.parametrize(
    ("alt", "reason"),
    [
        ("<DUP:TANDEM>", "symbolic_allele"),
        ("<*>", "symbolic_allele"),
        ("<NON_REF>", "symbolic_allele"),
        ("A[20:100[", "breakend"),
        ("]20:100]A", "breakend"),
        ("A.", "breakend"),
        (".A", "breakend"),
        ("*", "spanning_deletion"),
        ("AN", "ambiguous_base"),
        ("t", ""),
    ],
)
def test_alleles_that_cannot_be_scored_have_their_reason(tmp_path: Path, alt: str, reason: str) -> None:
    alleles = read_alleles(vcf(tmp_path, f"20 5 . A {alt}"))
    assert alleles.reason.tolist() == [reason]
    assert reason in SKIP_REASONS or reason == ""


def test_more_records_than_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kipoi_tfbind.genome.vcf._ROWS_PER_BLOCK", 7)
    alleles = read_alleles(vcf(tmp_path, *(f"20 {i} id{i} A C" for i in range(1, 31))))
    assert alleles.pos.tolist() == list(range(1, 31))
    assert alleles.id.tolist() == [f"id{i}" for i in range(1, 31)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (HEADER, "no variants in this file"),
        ("chr20\t100\t200\n", "line 1: expected the header line '#CHROM.*is this a VCF"),
        (META + "20\t5\t.\tA\tC\t.\t.\t.\n", "line 4: expected the header line"),
        ("#CHROM POS ID REF ALT\n20 5 . A C\n", "line 2: expected the header line.*tabs"),
        (HEADER + "20\t5\t.\tA\tC\t.\t.\t.\n20\t6\t.\tA", "line 6: expected 8 columns.*got 4; .*cut short"),
        (HEADER + "20\t5\t.\tA\tC\t.\t.\t.\t0/1\n", "line 5: expected 8 columns.*got 9"),
        (HEADER + "20\tfive\t.\tA\tC\t.\t.\t.\n", "line 5: POS: expected an integer, got 'five'"),
        (HEADER + "20\t100000000000000000000\t.\tA\tC\t.\t.\t.\n", "line 5: POS: .*got '10000"),
        (HEADER + "20\t5\t.\t-\tC\t.\t.\t.\n", "line 5: REF: expected bases, got '-'"),
        (HEADER + "20\t5\t.\tA\t-\t.\t.\t.\n", "line 5: ALT: .*got '-'.*base before"),
        (HEADER + "20\t5\t.\tA\tC,\t.\t.\t.\n", "line 5: ALT: .*got ''"),
        (HEADER + "20\t5\t.\tA\tQ\t.\t.\t.\n", "line 5: ALT: .*got 'Q'"),
    ],
)
def test_what_is_no_vcf(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.vcf"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"a\.vcf: {message}|a\.vcf: .*{message}") as caught:
        read_alleles(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", ["gzip", "bgzip", "bcf"])
@pytest.mark.parametrize("share", [0.4, 0.98])
def test_truncated(tmp_path: Path, pack: str, share: float) -> None:
    bases = np.random.default_rng(0).choice(list("ACGT"), (20_000, 8))
    path = vcf(tmp_path, *(f"20 {i + 1} . {''.join(row)} A" for i, row in enumerate(bases)))
    if pack == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif pack == "bgzip":
        pysam.tabix_compress(str(path), str(path := tmp_path / "b.vcf.gz"))
    else:
        as_bcf(path, path := tmp_path / "b.bcf")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=f"{path.name}: truncated"):
        read_alleles(path)


def test_the_table_of_skipped_alleles(tmp_path: Path) -> None:
    alleles = read_alleles(vcf(tmp_path, *RECORDS))
    target = tmp_path / "skipped.tsv"
    write_skipped(target, alleles, np.full(len(alleles), ""))  # from an earlier run
    write_skipped(target, alleles, alleles.reason)
    rows = [line.split("\t") for line in target.read_text().splitlines()]
    assert rows[0] == ["chrom", "pos", "id", "ref", "alt", "reason", "line"]
    assert rows[1:3] == [
        ["20", "7", ".", "ac", "<DEL>", "symbolic_allele", "6"],
        ["X", "9", ".", "G", "*", "spanning_deletion", "7"],
    ]
    assert len(rows) == 1 + sum(count_reasons(alleles.reason).values()) == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vcf", "skipped.tsv"]
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    alleles = read_alleles(vcf(tmp_path, *RECORDS))
    with pytest.raises(InputError, match=r"absent/skipped\.tsv: cannot write"):
        write_skipped(tmp_path / "absent" / "skipped.tsv", alleles, alleles.reason)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: cannot write"):
        write_skipped(tmp_path / "folder", alleles, alleles.reason)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vcf", "folder"]
