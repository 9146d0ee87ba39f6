"""Sequence Datasets against slices of the text that the FASTA was written from."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kipoi_tfbind import encode_sequences, read_sequences
from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.sequences.read import iterate_fasta, iterate_intervals, read_fasta_sequences

CONTIG = "".join(np.random.default_rng(0).choice(list("ACGTacgtN"), size=500))
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(">20\n" + "\n".join(CONTIG[i : i + 60] for i in range(0, 500, 60)) + "\n")
    return path


def bed(folder: Path, *lines: str) -> Path:
    path = folder / "intervals.bed"
    path.write_text("".join(line.replace(" ", "\t") + "\n" for line in lines))
    return path


def test_intervals_of_one_length_are_read_as_they_are(fasta: Path) -> None:
    path = bed(fasta.parent, "chr20 10 30 first 0 +", "chr20 100 120 second 0 -", "20 480 500")
    sequences = read_sequences(fasta, path)
    reverse = CONTIG[100:120].upper()[::-1].translate(COMPLEMENT)
    expected = [CONTIG[10:30].upper(), reverse, CONTIG[480:500].upper()]
    assert sequences["one_hot"].dims == ("sequence", "position", "base")
    assert sequences["one_hot"].dtype == np.float32
    assert decode_one_hot(sequences["one_hot"].values) == expected
    assert sequences["id"].values.tolist() == ["first", "second", "20:481-500"]
    assert sequences["chrom"].values.tolist() == ["chr20", "chr20", "20"]
    assert sequences["start"].values.tolist() == [10, 100, 480]
    assert sequences["end"].values.tolist() == [30, 120, 500]
    assert sequences["strand"].values.tolist() == ["+", "-", "*"]
    assert sequences["position"].values.tolist() == list(range(20))
    assert sequences["base"].values.tolist() == list("ACGT")


def test_windows_are_centred_and_filled_up_with_n(fasta: Path) -> None:
    path = bed(fasta.parent, "20 200 300 a", "20 0 4 b", "20 490 500 c")
    sequences = read_sequences(fasta, path, length=30)
    assert sequences["start"].values.tolist() == [235, -13, 480]
    assert sequences["end"].values.tolist() == [265, 17, 510]
    text = CONTIG.upper()
    assert decode_one_hot(sequences["one_hot"].values) == [
        text[235:265],
        "N" * 13 + text[:17],
        text[480:] + "N" * 10,
    ]


def test_windows_are_centred_on_the_summits_of_a_narrowpeak(fasta: Path) -> None:
    path = bed(fasta.parent, "chr20 200 300 a 0 . 9.9 -1 5.5 70")
    sequences = read_sequences(fasta, path, length=10)
    assert sequences["start"].values.tolist() == [265]
    assert decode_one_hot(sequences["one_hot"].values) == [CONTIG[265:275].upper()]
    assert read_sequences(fasta, path, length=10, center="midpoint")["start"].values.tolist() == [245]


def test_intervals_of_several_lengths_need_a_length(fasta: Path) -> None:
    path = bed(fasta.parent, "# a comment", "20 0 10", "20 0 10", "20 5 16")
    with pytest.raises(InputError, match=r"line 4: an interval of 11 bases, where line 2 has one of 10; set"):
        read_sequences(fasta, path)


def test_intervals_beyond_the_contig_are_refused(fasta: Path) -> None:
    path = bed(fasta.parent, "20 0 10", "20 495 505")
    with pytest.raises(
        InputError, match=r"line 2: the interval ends at 505, the contig at 500 in .*genome.fa; give"
    ):
        read_sequences(fasta, path, length=6)
    with pytest.raises(InputError, match="no contig 'chrX'"):
        read_sequences(fasta, bed(fasta.parent, "chrX 0 10"))


def test_sequences_from_strings() -> None:
    sequences = encode_sequences(["acgN", "RTTT"], ids=["x", "y"])
    assert decode_one_hot(sequences["one_hot"].values) == ["ACGN", "NTTT"]
    assert sequences["id"].values.tolist() == ["x", "y"]
    assert encode_sequences(["A", "C"])["id"].values.tolist() == ["0", "1"]


def test_bad_strings_are_refused() -> None:
    for nothing in ([], [""]):
        with pytest.raises(InputError, match="at least one sequence with at least one base"):
            encode_sequences(nothing)
    with pytest.raises(InputError, match="ids: expected one for each of 2 sequences, got 1"):
        encode_sequences(["A", "C"], ids=["x"])
    with pytest.raises(InputError, match="sequence 1 has 2 bases and sequence 0 has 3"):
        encode_sequences(["ACG", "AC"])
    with pytest.raises(InputError, match="sequence 0, position 1"):
        encode_sequences(["A-G"])


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("length", [None, 6, 21])
def test_intervals_in_chunks_are_those_read_at_once(fasta: Path, chunk: int, length: int | None) -> None:
    path = bed(fasta.parent, "20 10 30 a 0 +", "20 100 120 b 0 -", "20 480 500", "20 0 20 d", "20 3 23 e 0 -")
    whole = read_sequences(fasta, path, length=length)
    pieces = list(iterate_intervals(fasta, path, length=length, chunk=chunk))
    assert [piece.sizes["sequence"] for piece in pieces[:-1]] == [chunk] * (len(pieces) - 1)
    xr.testing.assert_identical(xr.concat(pieces, "sequence", data_vars="minimal", coords="minimal"), whole)


def test_what_is_wrong_with_a_genome_is_told_before_the_first_chunk(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">20\n" + "A" * 90 + "-" + "A" * 9 + "\n")
    good, bad = "20 0 10", "20 85 95"
    with pytest.raises(InputError, match=r"20:91 is '-'"):
        next(iterate_intervals(tmp_path / "genome.fa", bed(tmp_path, good, bad), chunk=1))
    next(iterate_intervals(tmp_path / "genome.fa", bed(tmp_path, good, good), chunk=1))


def write_fasta(path: Path, *records: str) -> Path:
    text = "".join(f">record{i} of several\n{record}\n" for i, record in enumerate(records))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["sites.fa", "sites.fa.gz"])
def test_records_of_a_fasta(tmp_path: Path, name: str) -> None:
    path = write_fasta(tmp_path / name, "ACG\nTN", "ttt\r\nRA", "GGGGG")
    whole = read_fasta_sequences(path)
    assert decode_one_hot(whole["one_hot"].values) == ["ACGTN", "TTTNA", "GGGGG"]
    assert whole["id"].values.tolist() == ["record0", "record1", "record2"]
    assert set(whole.coords) == {"id", "position", "base"}
    pieces = list(iterate_fasta(path, chunk=2))
    assert [piece.sizes["sequence"] for piece in pieces] == [2, 1]
    xr.testing.assert_identical(xr.concat(pieces, "sequence", data_vars="minimal", coords="minimal"), whole)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_records_are_cut_as_windows_around_their_middles_are(
    tmp_path: Path, length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    records = ["ACGTA", "CCATGT", "GGCATCGG"]
    path = write_fasta(tmp_path / "sites.fa", *records)
    cut = decode_one_hot(read_fasta_sequences(path, length=length)["one_hot"].values)
    assert f"of records longer than {length} bases, the central {length} are taken" in capsys.readouterr().err
    # The same records as contigs, and windows around the intervals that span them.
    (tmp_path / "genome.fa").write_bytes(path.read_bytes())
    intervals = bed(tmp_path, *(f"record{i} 0 {len(record)}" for i, record in enumerate(records)))
    windows = read_sequences(tmp_path / "genome.fa", intervals, length=length)
    assert cut == decode_one_hot(windows["one_hot"].values)


@pytest.mark.parametrize(
    ("records", "length", "problem"),
    [
        (["ACGT", "ACGT", "ACG"], None, r"record 'record2' has 3 bases, where record 'record0' has 4"),
        (["ACGT", "ACGT", "ACGTA"], None, r"record 'record2' has 5 bases, where record 'record0' has 4"),
        (["ACGT", "ACGT", "AC"], 3, r"record 'record2' has 2 bases, where 3 are wanted"),
        (["ACGT", "ACGT", "AC-T"], None, r"record 'record2', position 3: '-' is no nucleotide"),
        (["ACGT", "ACGT", "ACÄT"], None, r"record 'record2', position 3: 'Ä' is no nucleotide"),
        (["ACGT", "ACGT", ""], None, r"record 'record2' has no bases"),
    ],
)
def test_bad_records_are_told_before_the_first_chunk(
    tmp_path: Path, records: list[str], length: int | None, problem: str
) -> None:
    path = write_fasta(tmp_path / "sites.fa", *records)
    with pytest.raises(InputError, match=problem):
        next(iterate_fasta(path, length=length, chunk=1))


def test_files_that_are_no_fasta_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sites.fa"
    with pytest.raises(InputError, match=r"sites.fa: cannot read this file"):
        read_fasta_sequences(path)
    path.write_text("")
    with pytest.raises(InputError, match=r"sites.fa: the file is empty"):
        read_fasta_sequences(path)
    path.write_text("ACGT\nACGT\n")
    with pytest.raises(InputError, match=r"sites.fa: .*expected FASTA"):
        read_fasta_sequences(path)
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), size=50_000))
    whole = gzip.compress(f">a\n{letters}\n".encode())
    (tmp_path / "sites.fa.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"sites.fa.gz: truncated or corrupted"):
        read_fasta_sequences(tmp_path / "sites.fa.gz")
    # The first record would go unnoticed, or the qualities be read as bases.
    path.write_text("ACGT\n>second\nACGT\n")
    with pytest.raises(InputError, match=r"sites.fa: expected FASTA, which begins with '>', got 'ACGT'"):
        read_fasta_sequences(path)
    path.write_text("@read\nACGT\n+\nIIII\n")
    with pytest.raises(InputError, match=r"sites.fa: expected FASTA, which begins with '>', got '@read'"):
        read_fasta_sequences(path)
