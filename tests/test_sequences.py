"""Sequence Datasets against slices of the text that the FASTA was written from."""

from pathlib import Path

import numpy as np
import pytest

from kipoi_tfbind import encode_sequences, read_sequences
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.one_hot import decode_one_hot

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
    assert sequences["id"].values.tolist() == ["first", "second", "20:480-500"]
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
