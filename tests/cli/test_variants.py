"""``kipoi tfbind variants`` as a user gives it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest
from click.testing import CliRunner

from kipoi_tfbind.cli import main

ZOO = Path(__file__).parents[2] / "model_zoo" / "TFBind"
FASTA = ZOO / "example_data" / "chr20.hg19.1-1Mb.fa.gz"
VCF = ZOO / "example_data" / "variants.vcf.gz"


def test_the_examples(kipoi_cli, tmp_path: Path) -> None:
    done = kipoi_cli(
        "tfbind", "variants", ZOO / "CTCF-single", "--source", "dir", "--vcf", VCF, "--fasta", FASTA,
        "-o", "out.vcf.gz", "-o", "out.tsv", cwd=tmp_path,
    )  # fmt: skip
    assert "44 of 47 alleles are scored; not scored: 1 breakend, 1 spanning_deletion" in done.stderr
    table = pd.read_csv(tmp_path / "out.tsv", sep="\t", na_values=".")
    effect = table["logit_difference:CTCF"]
    name = table["variant_id"]
    assert effect[name.str.startswith("ctcf_break")].median() < -1
    assert abs(effect[name.str.startswith("control")]).max() < abs(effect.min())
    text = pysam.bcftools.query("-f", "%TFB_DLOGIT_CTCF\\n", str(tmp_path / "out.vcf.gz"))
    values = [float(v) for v in str(text).replace(",", "\n").split() if v != "."]
    np.testing.assert_allclose(values, effect[table["status"].isin(["ok", "padded"])], rtol=1e-5)
    # The very lines of the input.
    with pysam.BGZFile(str(tmp_path / "out.vcf.gz"), "rb", None) as file:
        assert b"\tctcf_break_1\tC\tG\t.\t.\tTFB_REF_CTCF=" in file.read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "absent/out.vcf"], "there is no folder absent"),
        (["-o", "out.vcf", "-o", "./out.vcf"], "is given twice as an output"),
        (["-o", "out.vcf", "--scores", "best"], "scores: expected some of ref_prediction"),
        (["-o", "out.vcf", "--region", "chr20:5-9"], "got --vcf, --region; `bcftools view -r` takes"),
        (["-o", "out.vcf", "--all-snvs"], "expected --vcf alone, or --all-snvs with"),
    ],
)
def test_bad_options_end_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--source", "dir", "--vcf", str(VCF), "--fasta", str(FASTA), *arguments]
    done = CliRunner().invoke(main, ["variants", str(ZOO / "CTCF-single"), *given])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_snv_of_a_region(tmp_path: Path) -> None:
    (tmp_path / "region.bed").write_text("chr20\t189781\t189784\n")
    tables = []
    for places in (["--region", "20:189,782-189,784"], ["--intervals", str(tmp_path / "region.bed")]):
        output = tmp_path / f"{places[0]}.tsv"
        given = [*places, "--source", "dir", "--all-snvs", "--fasta", str(FASTA), "-o", str(output)]
        done = CliRunner().invoke(main, ["variants", str(ZOO / "CTCF-single"), *given])
        assert done.exit_code == 0, done.output
        assert "9 of 9 alleles are scored" in done.stderr
        tables.append(pd.read_table(output, comment="#"))
    assert tables[0]["pos"].tolist() == [189782] * 3 + [189783] * 3 + [189784] * 3
    pd.testing.assert_frame_equal(tables[0], tables[1])
