"""Changes against bcftools norm, whole contigs rewritten by hand, and many spellings of one haplotype."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
import pytest

from kipoi_tfbind.dna.one_hot import decode_codes
from kipoi_tfbind.genome.assemblies import assembly_of
from kipoi_tfbind.genome.changes import Changes, find_changes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import (
    alternative_windows,
    fill_offsets,
    middle_offsets,
    reference_windows,
    unfit_for_length,
)

COMPLEMENT = str.maketrans("ACGT", "TGCA")
LENGTH = 60


def repetitive_contig(seed: int, size: int = 4000) -> str:
    """Random bases with many repeats of short units in them."""
    rng = np.random.default_rng(seed)
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        if rng.random() < 0.5:
            parts.append("".join(rng.choice(list("ACGT"), rng.integers(5, 30))))
        else:
            unit = "".join(rng.choice(list("ACGT"), rng.integers(1, 5)))
            parts.append(unit * int(rng.integers(2, 7)))
    return "".join(parts)[:size]


CONTIG = repetitive_contig(3)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    path = tmp_path_factory.mktemp("genome") / "a.fa"
    path.write_text(f">20\n{CONTIG}\n")
    return Genome(path)


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    path = tmp_path_factory.mktemp("mirrored") / "a.fa"
    path.write_text(f">20\n{reverse_complement(CONTIG)}\n")
    return Genome(path)


def reverse_complement(text: str) -> str:
    return text.translate(COMPLEMENT)[::-1]


def changes_of(genome: Genome, records: list[tuple[int, str, str]]) -> Changes:
    pos, ref, alt = zip(*records, strict=True)
    return find_changes(genome, ["20"], np.zeros(len(pos), dtype=int), np.array(pos), ref, alt)


def random_records(n: int, seed: int, *, margin: int = 200) -> list[tuple[int, str, str]]:
    """Records (pos, ref, alt): SNVs, MNVs, indels of either kind, deletions with insertions."""
    rng = np.random.default_rng(seed)
    records: list[tuple[int, str, str]] = []
    while len(records) < n:
        start = int(rng.integers(margin, len(CONTIG) - margin))
        ref = CONTIG[start : start + int(rng.choice([1, 1, 2, 3, 5, 9]))]
        kind = rng.choice(["snv", "deletion", "insertion", "duplication", "any"])
        if kind == "snv":
            ref, alt = ref[0], str(rng.choice([b for b in "ACGT" if b != ref[0]]))
        elif kind == "deletion":
            alt = ref[0]
        elif kind == "duplication":
            alt = ref + ref[1:]
        elif kind == "insertion":
            alt = ref[0] + "".join(rng.choice(list("ACGT"), rng.integers(1, 12))) + ref[1:]
        else:
            alt = "".join(rng.choice(list("ACGT"), rng.integers(1, 9)))
        if alt != ref:
            records.append((start + 1, ref, alt))
    return records


def haplotype(pos: int, ref: str, alt: str) -> str:
    assert CONTIG[pos - 1 : pos - 1 + len(ref)] == ref
    return CONTIG[: pos - 1] + alt + CONTIG[pos - 1 + len(ref) :]


def spelled_anew(record: tuple[int, str, str], rng: np.random.Generator) -> tuple[int, str, str]:
    """Another spelling of the same haplotype: padded, and an indel moved to anywhere in its repeat."""
    pos, ref, alt = record
    whole = haplotype(*record)
    shift = len(alt) - len(ref)
    start, end = pos - 1, pos - 1 + len(ref)
    if shift and rng.random() < 0.7:
        # Any stretch which, rewritten, gives the very haplotype.
        places = [
            s
            for s in range(max(start - 40, 1), start + 40)
            if s + max(-shift, 0) < len(CONTIG)
            and whole[:s] == CONTIG[:s]
            and whole[s + max(shift, 0) :] == CONTIG[s + max(-shift, 0) :]
        ]
        if places:
            start = int(rng.choice(places))
            end = start + max(-shift, 0)
    start -= int(rng.integers(0 if end > start and shift == 0 else 1, 6))
    end += int(rng.integers(0, 6))
    return start + 1, CONTIG[start:end], whole[start : end + shift]


def test_ten_thousand_spellings_have_one_change_and_one_window(genome: Genome) -> None:
    rng = np.random.default_rng(17)
    records = random_records(10_000, seed=5)
    anew = [spelled_anew(record, rng) for record in records]
    assert sum(a != b for a, b in zip(records, anew, strict=True)) > 9_000
    for one, other in zip(records[::97], anew[::97], strict=True):
        assert haplotype(*one) == haplotype(*other)
    first, second = changes_of(genome, records), changes_of(genome, anew)
    assert set(first.reason.tolist()) == set(second.reason.tolist()) == {""}
    for name in ("start", "ref_size", "low", "high", "rounds_up"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.alt == second.alt


def test_windows_are_those_of_the_haplotype_as_a_string(genome: Genome) -> None:
    records = random_records(1_000, seed=6)
    changes = changes_of(genome, records)
    starts = changes.window_starts(LENGTH)
    assert set(unfit_for_length(genome, changes, LENGTH).tolist()) <= {"", "allele_longer_than_window"}
    ref = decode_codes(reference_windows(genome, changes, starts, LENGTH))
    for which in (0, -1):
        offsets = np.array([fill_offsets(int(shift))[which] for shift in changes.shift])
        alt = decode_codes(alternative_windows(genome, changes, starts, LENGTH, offsets))
        for i, record in enumerate(records):
            s = int(starts[i])
            assert ref[i] == CONTIG[s : s + LENGTH]
            assert alt[i] == haplotype(*record)[s + offsets[i] : s + offsets[i] + LENGTH]


def test_left_aligned_as_bcftools_norm(genome: Genome, tmp_path: Path) -> None:
    records = sorted(random_records(2_000, seed=7))
    source = tmp_path / "a.vcf"
    source.write_text(
        f"##fileformat=VCFv4.3\n##contig=<ID=20,length={len(CONTIG)}>\n"
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"20\t{pos}\tr{i}\t{ref}\t{alt}\t.\t.\t.\n" for i, (pos, ref, alt) in enumerate(records))
    )
    lines = str(pysam.bcftools.norm("-f", genome.path, str(source))).splitlines()
    normal = {line.split("\t")[2]: line.split("\t") for line in lines if not line.startswith("#")}
    changes = changes_of(genome, records)
    for i in range(len(records)):
        _, pos, _, ref, alt = normal[f"r{i}"][:5]
        start, size = int(changes.start[i]), int(changes.ref_size[i])
        new = decode_codes(np.frombuffer(changes.alt[i], dtype=np.uint8)[np.newaxis])[0]
        if not size or not new:  # VCF writes the base before an insertion or deletion
            start, size, new = start - 1, size + 1, CONTIG[start - 1] + new
        assert (int(pos), ref, alt) == (start + 1, CONTIG[start : start + size], new)


def test_the_interval_is_all_places_where_the_change_can_be_written(genome: Genome) -> None:
    for pos, ref, alt in random_records(300, seed=8):
        shift = len(alt) - len(ref)
        changes = changes_of(genome, [(pos, ref, alt)])
        if changes.ref_size[0] and changes.alt[0]:
            continue
        whole, gone = haplotype(pos, ref, alt), max(-shift, 0)
        places = [
            s
            for s in range(pos - 60, pos + 60)
            if whole[:s] == CONTIG[:s] and whole[s + max(shift, 0) :] == CONTIG[s + gone :]
        ]
        assert (int(changes.low[0]), int(changes.high[0])) == (min(places), max(places) + gone)


@pytest.mark.parametrize("length", [60, 61])
def test_windows_of_the_reverse_complement_are_the_reverse_complements(
    genome: Genome, mirrored: Genome, length: int
) -> None:
    records = random_records(2_000, seed=9)
    backward = [
        (len(CONTIG) - (pos - 1 + len(ref)) + 1, reverse_complement(ref), reverse_complement(alt))
        for pos, ref, alt in records
    ]
    one, other = changes_of(genome, records), changes_of(mirrored, backward)
    starts, mirrored_starts = one.window_starts(length), other.window_starts(length)
    # A change that reads the same on both strands, flanks and all, has no middle to be told.
    np.testing.assert_array_equal(mirrored_starts, len(CONTIG) - starts - length)
    np.testing.assert_array_equal(one.shift, other.shift)
    np.testing.assert_array_equal(middle_offsets(other), one.shift - middle_offsets(one))
    fits = unfit_for_length(genome, one, length) == ""
    np.testing.assert_array_equal(fits, unfit_for_length(mirrored, other, length) == "")
    rows = np.flatnonzero(fits)
    one, other, starts, mirrored_starts = (
        one.rows(rows),
        other.rows(rows),
        starts[rows],
        mirrored_starts[rows],
    )
    for which in range(2):
        offsets = np.array([fill_offsets(int(shift))[-which] for shift in one.shift])
        forward = decode_codes(alternative_windows(genome, one, starts, length, offsets))
        back = decode_codes(
            alternative_windows(mirrored, other, mirrored_starts, length, one.shift - offsets)
        )
        assert list(map(reverse_complement, back)) == forward


def test_fills_are_as_many_left_as_right_of_the_middle() -> None:
    for shift in range(-40, 41):
        offsets = fill_offsets(shift)
        assert sorted(shift - offset for offset in offsets) == offsets
        assert {0, shift} <= set(offsets)
        assert len(offsets) <= 6


def test_what_cannot_be_a_change_says_why(genome: Genome) -> None:
    base = CONTIG[99]
    other = "A" if base != "A" else "C"
    third = next(b for b in "ACGT" if b not in (base, other))
    records = [
        (100, other, base),
        (100, other, third),
        (100, f"{other}{CONTIG[100]}", CONTIG[99:104]),
        (100, f"{other}{CONTIG[100]}", other),
        (len(CONTIG) + 1, "A", "C"),
    ]
    assert changes_of(genome, records).reason.tolist() == [
        "ref_alt_swapped",
        "ref_mismatch",
        "ref_alt_swapped",
        "ref_mismatch",
        "outside_contig",
    ]


def test_assemblies_are_told_by_their_lengths() -> None:
    assert assembly_of({"20": 63025520}) == "GRCh37/hg19"
    assert assembly_of({"chr20": 64444167, "chr1": 248956422}) == "GRCh38/hg38"
