"""kipoi_tfbind.genome.intervals and text_files: what is read from BED and narrowPeak, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.intervals import Center, read_intervals

NARROWPEAK = "chr20\t100\t200\t.\t0\t.\t5.5\t-1\t3\t{summit}\n"


def bed(tmp_path: Path, text: str, name: str = "a.bed") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_bed3(tmp_path: Path) -> None:
    intervals = read_intervals(bed(tmp_path, "chr1\t0\t10\nchr2\t7\t7\nchr1\t5\t8\n"))
    assert intervals.contigs == ("chr1", "chr2")
    assert intervals.contig.tolist() == [0, 1, 0]
    assert intervals.start.tolist() == [0, 7, 5]
    assert intervals.end.tolist() == [10, 7, 8]
    assert intervals.center.tolist() == [5, 7, 6]
    assert intervals.strand.tolist() == ["*", "*", "*"]
    assert intervals.name.tolist() == ["chr1:1-10", "chr2:8-7", "chr1:6-8"]
    assert intervals.targets is None


def test_what_is_no_interval_is_passed_over_and_lines_are_counted(tmp_path: Path) -> None:
    text = "\ufeff# comment\r\nbrowser position chr1\r\ntrack name=x\r\n\r\nchr1\t1\t3\r\n  \r\n"
    text += "chr1 4  8 name 0 -\r\n"
    intervals = read_intervals(bed(tmp_path, text))
    assert intervals.line.tolist() == [5, 7]
    assert intervals.end.tolist() == [3, 8]
    assert intervals.name.tolist() == ["chr1:2-3", "name"]
    assert intervals.strand.tolist() == ["*", "-"]


def test_names_with_spaces_in_a_file_with_tabs(tmp_path: Path) -> None:
    intervals = read_intervals(bed(tmp_path, "chr1\t1\t3\tmy peak 7\t0\t+\n"))
    assert intervals.name.tolist() == ["my peak 7"]
    assert intervals.strand.tolist() == ["+"]


@pytest.mark.parametrize(
    ("center", "expected"), [("auto", [130, 150]), ("midpoint", [150, 150])], ids=["auto", "midpoint"]
)
def test_center_of_a_narrowpeak(tmp_path: Path, center: str, expected: list[int]) -> None:
    path = bed(tmp_path, NARROWPEAK.format(summit=30) + NARROWPEAK.format(summit=-1))
    assert read_intervals(path, center=center).center.tolist() == expected  # type: ignore[arg-type]


def test_a_bed12_has_no_summit_in_column_10(tmp_path: Path) -> None:
    line = "chr1\t100\t200\tgene\t0\t+\t100\t200\t0\t2\t10,20\t0,80\n"
    assert read_intervals(bed(tmp_path, line)).center.tolist() == [150]


def test_a_summit_that_has_to_be_there(tmp_path: Path) -> None:
    path = bed(tmp_path, NARROWPEAK.format(summit=99) + NARROWPEAK.format(summit=-1))
    with pytest.raises(InputError, match=r"a\.bed: line 2: column 10 \(summit\).*0 to 99.*got '-1'"):
        read_intervals(path, center="summit")


@pytest.mark.parametrize("center", ["auto", "summit"])
def test_summits_just_outside_of_their_intervals(
    tmp_path: Path, center: Center, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in 14 of 109 files of ENCODE: the nearest base of the interval, and one notice."""
    lines = [NARROWPEAK.format(summit=summit) for summit in (100, *[30] * 18, 500)]
    found = read_intervals(bed(tmp_path, "".join(lines)), center=center)
    assert found.center.tolist() == [199, *[130] * 18, 199]
    notices = capsys.readouterr().err.splitlines()
    assert len(notices) == 1
    assert "2 of 20 summits lie outside" in notices[0]
    assert "line 1: offset 100 in an interval of 100 bp" in notices[0]


def test_column_10_that_is_no_summit(tmp_path: Path) -> None:
    lines = [NARROWPEAK.format(summit=summit) for summit in (1000, 2000, *[30] * 17)]
    with pytest.raises(
        InputError, match=r"2 of 19 summits lie outside .*center='midpoint'; --center midpoint"
    ):
        read_intervals(bed(tmp_path, "".join(lines)))


def test_target_columns(tmp_path: Path) -> None:
    path = bed(tmp_path, "chr1\t1\t3\t1\t0.5\nchr1\t1\t3\tNA\t-2e3\n")
    targets = read_intervals(path, target_columns=[5, 4]).targets
    assert targets is not None
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, np.array([[0.5, 1], [-2000, np.nan]], dtype=np.float32))


@pytest.mark.parametrize("pack", ["gzip", "bgzip"])
def test_compressed(tmp_path: Path, pack: str) -> None:
    text = "chr1\t1\t3\n" * 5
    if pack == "gzip":
        path = tmp_path / "a.bed.gz"
        path.write_bytes(gzip.compress(text.encode()))
    else:
        pysam.tabix_compress(str(bed(tmp_path, text)), str(path := tmp_path / "a.bed.gz"))
    assert len(read_intervals(path)) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\n", "line 1: expected at least 3 columns .* is this a BED or narrowPeak file"),
        ("chrom\tstart\tend\n", r"line 1: column 2 \(start\): .*integer, got 'start'.*begin it with '#'"),
        ("chr1\t1\t2\nchr1\t1\t2.5\n", r"line 2: column 3 \(end\): expected an integer, got '2\.5'"),
        ("chr1\t1\t2\nchr1\t1_0\t20\n", r"line 2: column 2 \(start\).*got '1_0'"),
        ("chr1\t1\t2\n\nchr1\t9\t2\n", "line 3: expected 0 <= start <= end .*got 9 and 2"),
        ("chr1\t-1\t2\n", "line 1: expected 0 <= start"),
        ("chr1\t1\t2\tn\t0\tx\n", r"line 1: column 6 \(strand\).*got 'x'"),
        ("chr1\t1\t100000000000000000000\n", "line 1: expected positions in a genome, got 1 and 1000"),
        (f"chr1\t1\t2{'0' * 5000}\n", "line 1: expected positions in a genome, got 1 and 2000"),
        ("", "empty"),
        ("# only a comment\n\n", "no intervals"),
    ],
)  # fmt: skip
def test_lines_that_are_no_intervals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"a\.bed: .*{message}|a\.bed: {message}") as caught:
        read_intervals(bed(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [([6], "line 1: target column 6: got only 5"), ([4], "target column 4: expected a number, got 'x'"),
     ([3], "target_columns"), ("4", "target_columns"), ([4.5], "target_columns")],
)  # fmt: skip
def test_bad_target_columns(tmp_path: Path, columns: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_intervals(bed(tmp_path, "chr1\t1\t2\tx\t1\n"), target_columns=columns)


def test_bad_center(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="center"):
        read_intervals(bed(tmp_path, "chr1\t1\t2\n"), center="middle")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="line 1: center='summit' needs"):
        read_intervals(bed(tmp_path, "chr1\t1\t2\n"), center="summit")


@pytest.mark.parametrize("pack", ["gzip", "bgzip"])
@pytest.mark.parametrize("share", [0.3, 0.95])
def test_truncated(tmp_path: Path, pack: str, share: float) -> None:
    rows = "".join(f"chr1\t{i * i % 99991}\t{i * i % 99991 + 10}\n" for i in range(20_000))
    path = tmp_path / "a.bed.gz"
    if pack == "gzip":
        data = gzip.compress(rows.encode())
    else:
        pysam.tabix_compress(str(bed(tmp_path, rows)), str(path))
        data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"a\.bed\.gz: truncated"):
        read_intervals(path)


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bam"
    path.write_bytes(bytes(range(128, 255)) * 10)
    with pytest.raises(InputError, match=r"a\.bam: not a text file"):
        read_intervals(path)
    with pytest.raises(InputError, match="No such file"):
        read_intervals(tmp_path / "absent.bed")
