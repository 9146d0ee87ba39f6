"""Records of FASTA files, as people and programs write them, well and badly."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest

from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.fasta import read_records
from kipoi_tfbind.sequences.read import iterate_fasta

RNG = np.random.default_rng(0)
LONG = "".join(RNG.choice(list("ACGTacgtN"), size=100_000))


def bgzip(data: bytes, folder: Path) -> bytes:
    (folder / "plain").write_bytes(data)
    pysam.tabix_compress(str(folder / "plain"), str(folder / "packed"), force=True)
    return (folder / "packed").read_bytes()


PACKED: dict[str, Callable[[bytes, Path], bytes]] = {
    "plain": lambda data, _: data,
    "gzip": lambda data, _: gzip.compress(data),
    "bgzip": bgzip,
    # As `cat a.fa.gz b.fa.gz` makes it: the second part is easily lost.
    "two_gzip_members": lambda data, _: gzip.compress(data[:20]) + gzip.compress(data[20:]),
}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_records_are_read_as_they_were_written(
    tmp_path: Path, packed: str, line_end: str, last: bool
) -> None:
    wrapped = line_end.join(LONG[i : i + 61] for i in range(0, len(LONG), 61))
    lines = [">first site chr1:5-9", "ACgtN", "", "RYk ", ">long", wrapped, "> third", "t"]
    text = line_end.join(lines) + (line_end if last else "")
    path = tmp_path / "sites.fa"
    path.write_bytes(PACKED[packed](text.encode(), tmp_path))
    expected = [("first", "ACgtNRYk"), ("long", LONG), ("third", "t")]
    assert list(read_records(path)) == expected


def test_records_are_those_that_htslib_reads(tmp_path: Path) -> None:
    """Of a well-formed file, an independent reader has the same."""
    path = tmp_path / "sites.fa"
    sizes = RNG.integers(1, 200, size=50)
    with open(path, "w") as file:
        for i, size in enumerate(sizes):
            text = "".join(RNG.choice(list("ACGTNacgtnRYSWKMBDHVU"), size=size))
            file.write(
                f">site_{i}|x\tnote\n" + "\n".join(text[j : j + 60] for j in range(0, size, 60)) + "\n"
            )
    with pysam.FastxFile(str(path)) as records:
        expected = [(record.name, record.sequence) for record in records]
    assert list(read_records(path)) == expected
    assert len(expected) == 50


def test_lower_case_and_ambiguous_letters_in_sequences(tmp_path: Path) -> None:
    path = tmp_path / "sites.fa"
    path.write_text(">a\nacgtnRU\n")
    (sequences,) = iterate_fasta(path)
    assert decode_one_hot(sequences["one_hot"].values) == ["ACGTNNN"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "no record in this file; expected FASTA"),
        (gzip.compress(b"", mtime=0), "no record in this file; expected FASTA"),
        (b"ACGT\n>a\nACGT\n", "expected FASTA, which begins with '>', got 'ACGT'"),
        (b"chr20\t0\t100\n", r"expected FASTA, which begins with '>', got 'chr20\\t0\\t100'"),
        (b"@read\nACGT\n+\nIIII\n", "expected FASTA, which begins with '>', got '@read'"),
        (b"\x00\xff\xfe>\n", "not a text file"),
        (b">a\nAC\n>b\n>c\nAC\n", "record 'b' has no bases; remove it"),
        (b">a\nAC\n>\nAC\n", "line 3: a record without a name"),
        (b">a\nACG\n>b\nACG\nT*\n", r"record 'b', position 5: '\*' is no nucleotide"),
        (b">a\nAC-T\n", "record 'a', position 3: '-' is no nucleotide"),
        (b">a\nACGT ACGT\n", "record 'a', position 5: ' ' is no nucleotide"),
        (b">a\nMEEPQSDPSV\n", "record 'a', position 2: 'E' is no nucleotide"),
        # What htslib's reader takes for FASTQ, and the end of a sequence that it cuts at a NUL byte.
        (b">a\nACGT\n+\nIIII\n", r"record 'a', position 5: '\+' is no nucleotide"),
        (b">a\nACGT\n@b\nACGT\n", "record 'a', position 5: '@' is no nucleotide"),
        (b">a\nAC\0T\n", r"record 'a', position 3: '\\x00' is no nucleotide"),
    ],
)
def test_what_is_no_fasta_of_dna_is_refused_in_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "sites.fa"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"sites\.fa: .*{problem}") as caught:
        list(read_records(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packed", ["gzip", "bgzip"])
@pytest.mark.parametrize("missing", [1, 4, 28, 5000])
def test_a_truncated_file_is_refused(tmp_path: Path, packed: str, missing: int) -> None:
    """Also one of which only the trailer is missing, and no base."""
    whole = PACKED[packed](f">a\n{LONG}\n".encode(), tmp_path)
    path = tmp_path / "sites.fa.gz"
    path.write_bytes(whole)
    assert len(list(read_records(path))) == 1
    path.write_bytes(whole[:-missing])
    with pytest.raises(InputError, match=r"sites\.fa\.gz: truncated"):
        list(read_records(path))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.fa: cannot read this file \(No such file"):
        list(read_records(tmp_path / "none.fa"))
    with pytest.raises(InputError, match=r"cannot read this file \(Is a directory\)"):
        list(read_records(tmp_path))


def test_a_good_record_is_not_held_back_by_a_bad_one(tmp_path: Path) -> None:
    """Records come one at a time: memory is that of the longest."""
    path = tmp_path / "sites.fa"
    path.write_text(">a\nACGT\n>b\nAC-T\n")
    records = read_records(path)
    assert next(records) == ("a", "ACGT")
    with pytest.raises(InputError, match="record 'b'"):
        next(records)
