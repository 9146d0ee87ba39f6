"""Variant effects against haplotypes written as strings, on every spelling, and on either strand."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import as_sequence_model, load_model, variant_effects
from kipoi_tfbind.dna.one_hot import one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import find_changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import fill_offsets
from tests.foreign_models import FOREIGN_MODELS
from tests.foreign_models import LENGTH as LENGTH_OF_OTHERS
from tests.genome.test_changes import CONTIG, haplotype, random_records, reverse_complement, spelled_anew

ZOO = Path(__file__).parents[3] / "model_zoo" / "TFBind"
EXAMPLES = ZOO / "example_data"
FASTA = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
NA12878 = EXAMPLES / "NA12878.chr20_1Mb.vcf.gz"
HEADER = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LENGTH = 64
FILTERS = np.random.default_rng(2).normal(size=(6, 4, 3))


def pooled_motifs(sequences: NDArray) -> NDArray[np.float64]:
    """Convolution, maximum over a grid of 8 bases, and a sum: it depends on where the grid lies."""
    windows = np.lib.stride_tricks.sliding_window_view(sequences, 6, axis=1)
    scores = np.einsum("nlbk,kbt->nlt", windows.astype(np.float64), FILTERS)
    n = scores.shape[1] // 8 * 8
    return scores[:, :n].reshape(len(scores), -1, 8, 3).max(axis=2).sum(axis=1)


def model_of_numpy(length: int = LENGTH) -> Any:
    return as_sequence_model(pooled_motifs, targets=["a", "b", "c"], length=length)


def write_vcf(path: Path, records: list[tuple[int, str, str]], chrom: str = "20") -> Path:
    lines = [f"{chrom}\t{pos}\tr{i}\t{ref}\t{alt}\t.\t.\t.\n" for i, (pos, ref, alt) in enumerate(records)]
    path.write_text(HEADER + "".join(lines))
    return path


def write_fasta(path: Path, text: str = CONTIG) -> Path:
    path.write_text(f">20\n{text}\n")
    return path


@pytest.fixture(scope="module")
def ctcf() -> Any:
    return load_model(str(ZOO / "CTCF-single"), source="dir")


@pytest.fixture(scope="module")
def na12878(ctcf: Any) -> dict[str, xr.Dataset]:
    return {
        anchors: variant_effects(ctcf, NA12878, FASTA, indel_anchors=anchors)
        for anchors in ("left", "right", "both")
    }


def expected_effect(record: tuple[int, str, str], start: int, offsets: list[int], shifts: int) -> NDArray:
    """Mean alt - ref over windows of a haplotype that is written as a string."""
    whole = haplotype(*record)
    effects = []
    for shift in range(-shifts, shifts + 1):
        s = start + shift
        for offset in offsets:
            alt = whole[s + offset : s + offset + LENGTH]
            both = one_hot([CONTIG[s : s + LENGTH], alt])
            ref_prediction, alt_prediction = pooled_motifs(both)
            effects.append(alt_prediction - ref_prediction)
    return np.array(effects)


@pytest.mark.parametrize("anchors", ["left", "right", "both"])
@pytest.mark.parametrize("shifts", [0, 2])
def test_scores_are_those_of_haplotypes_written_as_strings(tmp_path: Path, anchors: Any, shifts: int) -> None:
    records = random_records(200, seed=1)
    fasta = write_fasta(tmp_path / "a.fa")
    found = variant_effects(
        model_of_numpy(),
        write_vcf(tmp_path / "a.vcf", records),
        fasta,
        indel_anchors=anchors,
        shifts=shifts,
    )
    pos, ref, alt = zip(*records, strict=True)
    changes = find_changes(Genome(fasta), ["20"], np.zeros(len(pos), int), np.array(pos), ref, alt)
    starts = changes.window_starts(LENGTH)
    assert (found["status"] == "ok").sum() > 150
    for i in np.flatnonzero(found["status"].values == "ok"):
        offsets = fill_offsets(int(changes.shift[i]), anchors)
        expected = expected_effect(records[i], int(starts[i]), offsets, shifts)
        np.testing.assert_allclose(found["signal_difference"][i], expected.mean(axis=0), rtol=0, atol=1e-12)
        spread = np.abs(expected - expected.mean(axis=0)).max(axis=0)
        np.testing.assert_allclose(found["window_spread"][i], spread, rtol=0, atol=1e-12)


def bits(result: xr.Dataset) -> NDArray:
    names = ("ref_prediction", "alt_prediction", "logit_difference", "window_spread")
    return np.concatenate([np.asarray(result[name]) for name in names], axis=1).view(np.uint64)


@pytest.mark.parametrize("which", ["numpy", "zoo"])
def test_no_bit_differs_between_spellings(tmp_path: Path, which: str, ctcf: Any) -> None:
    n = 10_000 if which == "numpy" else 2_000
    model, margin = (model_of_numpy(), 200) if which == "numpy" else (ctcf, 400)
    rng = np.random.default_rng(3)
    records = random_records(n, seed=11, margin=margin)
    anew = [spelled_anew(record, rng) for record in records]
    fasta = write_fasta(tmp_path / "a.fa")
    one = variant_effects(model, write_vcf(tmp_path / "a.vcf", records), fasta)
    other = variant_effects(model, write_vcf(tmp_path / "b.vcf", anew), fasta)
    assert (one["status"].values == other["status"].values).all()
    assert (one["status"] == "ok").mean() > 0.9
    ok = one["status"].values == "ok"
    assert (bits(one)[ok] == bits(other)[ok]).all()


@pytest.mark.parametrize("double_precision", [False, True])
def test_the_reverse_complement_of_the_genome_has_the_same_scores(
    tmp_path: Path, double_precision: bool
) -> None:
    model = load_model(str(ZOO / "CTCF-single"), source="dir", double_precision=double_precision)
    records = random_records(400, seed=12, margin=400)
    backward = [
        (len(CONTIG) - (pos - 1 + len(ref)) + 1, reverse_complement(ref), reverse_complement(alt))
        for pos, ref, alt in records
    ]
    one = variant_effects(
        model, write_vcf(tmp_path / "a.vcf", records), write_fasta(tmp_path / "a.fa"), shifts=1
    )
    mirrored = write_fasta(tmp_path / "b.fa", reverse_complement(CONTIG))
    other = variant_effects(model, write_vcf(tmp_path / "b.vcf", backward), mirrored, shifts=1)
    # The model's logits are of the order of 10, which float32 has to about 1e-6.
    limit = 1e-6 if double_precision else 1e-5
    for name in ("logit_difference", "ref_prediction", "window_spread"):
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=limit)


def keys(found: xr.Dataset) -> list[tuple[int, str, str]]:
    """What tells the alleles of a file with one contig apart."""
    return list(zip(found["pos"].values.tolist(), found["ref"].values, found["alt"].values, strict=True))


def test_fills_and_moved_windows_have_the_sign_of_the_mean(
    tmp_path: Path, na12878: dict[str, xr.Dataset], ctcf: Any
) -> None:
    both = na12878["both"]
    shift = np.char.str_len(both["alt"].values) - np.char.str_len(both["ref"].values)
    effect, spread = both["logit_difference"].values[:, 0], both["window_spread"].values[:, 0]
    clear = (shift != 0) & (np.abs(effect) > spread)
    left, right = (na12878[side]["logit_difference"].values[:, 0] for side in ("left", "right"))
    agree = (np.sign(left) == np.sign(effect)) & (np.sign(right) == np.sign(effect))
    assert clear.sum() > 50
    assert agree[clear].mean() >= 0.95
    assert (both["window_spread"].values[shift == 0] == 0).all()
    # By the definition of the spread the fills agree; windows that are moved by a base need not.
    indels = tmp_path / "indels.vcf"
    with (
        pysam.VariantFile(str(NA12878)) as file,
        pysam.VariantFile(str(indels), "w", header=file.header) as out,
    ):
        for record in file:
            if any(len(alt) != len(record.ref or "") for alt in record.alts or ()):
                out.write(record)
    moved = variant_effects(ctcf, indels, FASTA, shifts=1)
    effects = dict(zip(keys(moved), moved["logit_difference"].values[:, 0], strict=True))
    again = np.array([effects[key] for key, is_clear in zip(keys(both), clear, strict=True) if is_clear])
    assert (np.sign(again) == np.sign(effect[clear])).mean() >= 0.9


def test_every_allele_of_a_genome_is_scored(na12878: dict[str, xr.Dataset]) -> None:
    with pysam.VariantFile(str(NA12878)) as file:
        expected = [(r.pos, str(r.ref), alt) for r in file for alt in r.alts or (".",)]
    found = na12878["both"]
    got = zip(found["pos"].values, found["ref"].values, found["alt"].values, strict=True)
    assert [(int(p), str(r), str(a)) for p, r, a in got] == expected
    # The last windows reach over the end of the example's contig.
    assert set(found["status"].values) <= {"ok", "padded"}
    assert np.isfinite(found["logit_difference"].values).all()


def test_substitutions_by_their_edits_are_those_of_whole_windows(ctcf: Any) -> None:
    full, incremental = (variant_effects(ctcf, NA12878, FASTA, path=path) for path in ("full", "incremental"))
    effect = full["logit_difference"].values
    difference = np.abs(incremental["logit_difference"].values - effect)
    # Rounding of float32, of logits up to 10.
    assert 0 < difference.max() < 2e-5
    assert np.abs(effect).max() > 1


def test_scores_of_an_ensemble(tmp_path: Path) -> None:
    def second(sequences: NDArray) -> NDArray:
        return -0.5 * pooled_motifs(sequences)

    records = random_records(60, seed=4)
    source, fasta = write_vcf(tmp_path / "a.vcf", records), write_fasta(tmp_path / "a.fa")
    one = model_of_numpy()
    two = as_sequence_model(second, targets=["a", "b", "c"], length=LENGTH)
    found = variant_effects(as_sequence_model([one, two]), source, fasta)
    alone = variant_effects(one, source, fasta)["signal_difference"].values
    np.testing.assert_allclose(found["signal_difference"], alone / 4, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["member_sd"], np.abs(alone) * 0.75, rtol=0, atol=1e-12)
    moved = np.abs(alone) > 1e-9
    assert (found["agreeing"].values[moved] == 1).all()


def test_scores_have_their_formulas(tmp_path: Path) -> None:
    records = random_records(50, seed=4)
    source, fasta = write_vcf(tmp_path / "a.vcf", records), write_fasta(tmp_path / "a.fa")

    def probability(sequences: NDArray) -> NDArray:
        return 1 / (1 + np.exp(-pooled_motifs(sequences) / 20))

    model = as_sequence_model(probability, targets=["a", "b", "c"], length=LENGTH, output="probability")
    found = variant_effects(model, source, fasta, indel_anchors="left")
    ok = found.isel(allele=np.flatnonzero(found["status"].values == "ok"))
    p, q = ok["ref_prediction"].values, ok["alt_prediction"].values
    np.testing.assert_allclose(ok["logit_difference"], np.log(q / (1 - q)) - np.log(p / (1 - p)), atol=1e-9)
    np.testing.assert_allclose(ok["signal_difference"], q - p, atol=1e-12)
    np.testing.assert_allclose(ok["log2_fold_change"], np.log2(q / p), atol=1e-9)
    from scipy.spatial.distance import jensenshannon

    np.testing.assert_allclose(ok["jensen_shannon"], jensenshannon(p, q, base=2, axis=1), atol=1e-7)
    effect = ok["logit_difference"].values
    best = np.abs(effect).argmax(axis=1)
    np.testing.assert_array_equal(ok["largest"], effect[np.arange(len(effect)), best])
    assert ok["largest_target"].values.tolist() == [["a", "b", "c"][i] for i in best]


@pytest.mark.parametrize("name", ["keras_1_json", "torch", "strings"])
def test_models_of_others(tmp_path: Path, name: str) -> None:
    entry = FOREIGN_MODELS[name]
    folder = tmp_path / "entry"
    folder.mkdir()
    model = load_model(entry.build(folder), source="dir")
    records = random_records(20, seed=5)
    source, fasta = write_vcf(tmp_path / "a.vcf", records), write_fasta(tmp_path / "a.fa")
    length = LENGTH_OF_OTHERS
    found = variant_effects(
        model, source, fasta, length=None if model.length else length, indel_anchors="left"
    )
    pos, ref, alt = zip(*records, strict=True)
    changes = find_changes(Genome(fasta), ["20"], np.zeros(len(pos), int), np.array(pos), ref, alt)
    starts = changes.window_starts(length)
    ok = np.flatnonzero(found["status"].values == "ok")
    assert len(ok) > 5
    for i in ok:
        s = int(starts[i])
        windows = one_hot([CONTIG[s : s + length], haplotype(*records[i])[s : s + length]])
        ref_expected, alt_expected = entry.expected(windows)
        np.testing.assert_allclose(
            found["signal_difference"][i], alt_expected - ref_expected, rtol=0, atol=1e-5
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 30}, "takes windows of 64 bases, not 30"),
        ({"indel_anchors": "middle"}, "expected 'left', 'right' or 'both'"),
        ({"shifts": -1}, "shifts: expected"),
        ({"path": "fast"}, "path: expected"),
        ({"path": "incremental"}, "cannot be traced"),
        ({"on_ref_mismatch": "warn"}, "expected 'skip' or 'error'"),
    ],
)
def test_options_that_are_none(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    source = write_vcf(tmp_path / "a.vcf", random_records(2, seed=5))
    with pytest.raises(InputError, match=message):
        variant_effects(model_of_numpy(), source, write_fasta(tmp_path / "a.fa"), **options)


def test_a_genome_of_another_assembly(tmp_path: Path) -> None:
    other = write_fasta(tmp_path / "b.fa", CONTIG[1:] + "A")
    source = write_vcf(tmp_path / "a.vcf", random_records(100, seed=5))
    with pytest.raises(InputError, match=r"a\.vcf: line \d+: REF is .* of different assemblies"):
        variant_effects(model_of_numpy(), source, other)


def test_compressed_input_is_read(tmp_path: Path) -> None:
    source = write_vcf(tmp_path / "a.vcf", random_records(9, seed=5))
    packed = tmp_path / "a.vcf.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    fasta = write_fasta(tmp_path / "a.fa")
    one, other = (variant_effects(model_of_numpy(), path, fasta) for path in (source, packed))
    xr.testing.assert_equal(one, other)


def test_the_mean_of_both_strands_by_edits(ctcf: Any, tmp_path: Path) -> None:
    records = [
        record for record in random_records(60, seed=8, margin=400) if len(record[1]) == len(record[2])
    ]
    source, fasta = write_vcf(tmp_path / "a.vcf", records), write_fasta(tmp_path / "a.fa")
    both = ctcf.average_strands()
    full, edits = (variant_effects(both, source, fasta, path=path) for path in ("full", "incremental"))
    np.testing.assert_allclose(edits["logit_difference"], full["logit_difference"], rtol=0, atol=2e-5)
