"""Every SNV of intervals against a loop over a string."""

from pathlib import Path

import pysam
import pysam.bcftools

from kipoi_tfbind.genome.all_snvs import AllSnvs
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret.variants.write import write_variant_effects
from tests.genome.test_changes import CONTIG
from tests.interpret.variants.test_variant_effects import model_of_numpy


def test_every_snv_once_sorted_and_indexed(tmp_path: Path) -> None:
    text = CONTIG[:500] + "NNN" + CONTIG[503:]
    (tmp_path / "a.fa").write_text(f">7\n{CONTIG}\n>20\n{text}\n")
    (tmp_path / "a.bed").write_text("chr20\t495\t510\nchr20\t100\t140\n7\t3\t5\nchr20\t120\t150\n")
    genome = Genome(tmp_path / "a.fa")
    out = tmp_path / "out.vcf.gz"
    done = write_variant_effects(
        model_of_numpy(),
        AllSnvs(genome, tmp_path / "a.bed"),
        genome,
        [out],
        scores=["signal_difference"],
    )
    places = [("7", i, CONTIG) for i in range(3, 5)]
    places += [("20", i, text) for i in [*range(100, 150), *range(495, 510)] if text[i] != "N"]
    expected = [
        f"{name} {i + 1} {whole[i]} {','.join(b for b in 'ACGT' if b != whole[i])}"
        for name, i, whole in places
    ]
    assert str(pysam.bcftools.query("-f", "%CHROM %POS %REF %ALT\\n", str(out))).splitlines() == expected
    assert done.tallies["alleles"] == 3 * len(expected)
    one = str(pysam.bcftools.query("-r", "20:131", "-f", "%TFB_DIFF_a\\n", str(out)))
    assert len(one.strip().split(",")) == 3
