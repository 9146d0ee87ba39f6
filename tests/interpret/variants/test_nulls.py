"""Null variants and what is said of an effect among them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pysam
import pysam.bcftools
import pytest
from scipy import stats

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.intervals import read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret.variants.null_statistics import NullEffects, q_values
from kipoi_tfbind.interpret.variants.nulls import NullVariants, classes_of
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer
from kipoi_tfbind.interpret.variants.strata import Strata
from kipoi_tfbind.interpret.variants.write import NullOptions, write_variant_effects
from tests.genome.test_changes import CONTIG
from tests.interpret.variants.test_variant_effects import LENGTH, model_of_numpy, write_fasta
from tests.interpret.variants.test_write import odd_vcf, restored


@pytest.mark.parametrize("degrees", [4, 30])
def test_p_values_of_effects_from_the_same_distribution_are_uniform(degrees: int) -> None:
    """Strata of other scales, which share the shape of their tails."""
    rng = np.random.default_rng(1)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ref = rng.normal(size=(n, 1))
        return rng.random(n), ref, rng.standard_t(degrees, (n, 1)) * np.exp(ref)

    inside = []
    for _ in range(30):
        strata = Strata(*drawn(10_000))
        p = strata.compare(*drawn(10_000))["effect_p_value"]
        inside.append([np.mean(p <= level) for level in (0.05, 1e-4)])
    five_percent, tail = np.mean(inside, axis=0)
    assert 0.045 < five_percent < 0.055
    assert 0.5e-4 < tail < 2e-4


def test_p_values_are_never_0_nor_above_1() -> None:
    nulls = NullEffects.of(np.random.default_rng(0).normal(size=30))
    p, fit = nulls.p_values(np.array([0.0, 1e9, -1e9, np.nan]))
    assert p[0] == 1
    assert p[1] == p[2] == 1 / 31
    assert np.isnan(p[3])
    assert np.isnan(fit).all()
    with_tail = NullEffects.of(np.random.default_rng(0).normal(size=3000))
    p, fit = with_tail.p_values(np.array([30.0]))
    assert 0 < p[0] < 1e-6
    assert 0 <= fit[0] <= 1


def test_an_empirical_p_value_by_hand() -> None:
    nulls = NullEffects.of(np.array([-3.0, -1.0, 0.5, 2.0]))
    p, _ = nulls.p_values(np.array([2.0, -2.5, 4.0]))
    np.testing.assert_allclose(p, [3 / 5, 2 / 5, 1 / 5])
    np.testing.assert_allclose(nulls.quantiles(np.array([2.0, 0.0])), [3.5 / 4, 2 / 4])


def test_q_values_are_those_of_scipy() -> None:
    p = np.random.default_rng(0).random((50, 2))
    np.testing.assert_allclose(q_values(p)[:, 1], stats.false_discovery_control(p[:, 1]))


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    return Genome(write_fasta(tmp_path_factory.mktemp("genome") / "a.fa"))


@pytest.mark.parametrize("name", ["C>T", "C>T CpG", "T>A", "deletion 1", "insertion 3", "substitution of 2"])
def test_nulls_are_of_their_class_and_place(tmp_path: Path, genome: Genome, name: str) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("20\t500\t2500\n20\t3000\t3400\n")
    scorer = AlleleScorer(model_of_numpy(), genome, LENGTH)
    nulls = NullVariants(scorer, read_intervals(bed), 60)
    changes = nulls.draw(name)
    assert len(changes) == 60
    assert set(classes_of(genome, changes)) == {name}
    assert ((changes.high >= 480) & (changes.low <= 3420)).all()
    again, other = nulls.draw(name), nulls.draw(name, stream=1)
    assert (again.start == changes.start).all()
    assert (other.start != changes.start).any()
    if name.startswith("C"):
        for start in changes.start.tolist():
            around = CONTIG[start - 1 : start + 2]
            is_cpg = around[1:] == "CG" or around[:2] == "CG"
            assert is_cpg == name.endswith("CpG")


def test_regions_that_are_too_small(tmp_path: Path, genome: Genome) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("20\t0\t20\n")
    nulls = NullVariants(AlleleScorer(model_of_numpy(), genome, 400), read_intervals(bed), 20)
    with pytest.raises(InputError, match="substitution of 9"):
        nulls.draw("substitution of 9999")


@pytest.mark.parametrize("regions", [True, False])
def test_files_with_p_and_q(tmp_path: Path, genome: Genome, regions: bool) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("20\t100\t3900\n")
    source = odd_vcf(tmp_path / "in.vcf")
    outputs = [tmp_path / f"out.{suffix}" for suffix in ("vcf.gz", "tsv", "parquet", "vcf")]
    options = NullOptions(40, bed if regions else None, bed, seed=3)
    write_variant_effects(
        model_of_numpy(), source, genome, outputs, nulls=options, scores=["signal_difference"]
    )
    table = pd.read_parquet(outputs[2])
    p, q = (table[[f"effect_{x}_value:{t}" for t in "abc"]].to_numpy() for x in "pq")
    np.testing.assert_allclose(q, q_values(p))
    ok = table["status"].isin(["ok", "padded"])
    assert ((p[ok] > 0) & (p[ok] <= 1)).all()
    assert np.isnan(p[~ok]).all()
    assert (table.loc[ok, "n_nulls:a"] == 40).all()
    assert table.loc[ok, "ref_quantile:b"].between(0, 1).all()
    text = pd.read_csv(outputs[1], sep="\t", na_values=".", dtype={"chrom": str})
    np.testing.assert_allclose(text["effect_q_value:b"], q[:, 1], rtol=1e-5)
    for out in (outputs[0], outputs[3]):
        assert restored(out) == source.read_bytes()
        found = str(pysam.bcftools.query("-f", "%TFB_Q_c\\n", str(out))).replace(",", "\n").split()
        values = [float(v) for v in found if v != "."]
        np.testing.assert_allclose(values, q[ok, 2], rtol=1e-5)


def test_q_values_on_standard_output(tmp_path: Path, genome: Genome) -> None:
    bed, out, stdout = tmp_path / "a.bed", tmp_path / "a.vcf", tmp_path / "stdout.vcf"
    bed.write_text("20\t100\t3900\n")
    source, options = odd_vcf(tmp_path / "in.vcf"), NullOptions(40, bed)
    some: dict[str, Any] = {"nulls": options, "scores": ["signal_difference"]}
    write_variant_effects(model_of_numpy(), source, genome, [out], **some)
    with pytest.MonkeyPatch.context() as patch, stdout.open("wb") as file:
        patch.setattr("sys.stdout", SimpleNamespace(buffer=file))
        write_variant_effects(model_of_numpy(), source, genome, ["-"], **some)
    assert stdout.read_bytes() == out.read_bytes()
    assert b"TFB_Q_c=" in stdout.read_bytes()
