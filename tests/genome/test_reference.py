"""kipoi_tfbind.genome.reference against slices of the text that the FASTA was written from."""

import gzip
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kipoi_tfbind.genome.reference
from kipoi_tfbind.dna.one_hot import decode_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome

LETTERS = np.frombuffer(b"ACGTacgtNnRy", dtype=np.uint8)
PLAIN = str.maketrans("RYry", "NNNN")


def random_contig(length: int, seed: int) -> str:
    return LETTERS[np.random.default_rng(seed).integers(0, len(LETTERS), length)].tobytes().decode()


CONTIGS = {"chr1": random_contig(200_000, 1), "2": random_contig(777, 2), "MT": random_contig(61, 3)}


def write_fasta(path: Path, contigs: dict[str, str], width: int = 60) -> Path:
    lines = []
    for name, text in contigs.items():
        lines += [f">{name} description", *(text[i : i + width] for i in range(0, len(text), width))]
    path.write_text("\n".join(lines) + "\n")
    return path


def slow_window(contigs: dict[str, str], name: str, start: int, length: int) -> str:
    text = contigs[name].upper().translate(PLAIN)
    return "".join(text[i] if 0 <= i < len(text) else "N" for i in range(start, start + length))


@pytest.fixture(scope="module", params=["plain", "bgzip", "many"])
def genome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Genome:
    path = write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", CONTIGS)
    if request.param == "bgzip":
        pysam.tabix_compress(str(path), f"{path}.gz")
        path = Path(f"{path}.gz")
    genome = Genome(path)
    if request.param == "many":
        genome._many_bases = 1
    return genome


@pytest.mark.parametrize("end_of_line", ["\n", "\r\n"])
def test_many_windows_of_a_plain_fasta(tmp_path: Path, end_of_line: str) -> None:
    path = write_fasta(tmp_path / "genome.fa", CONTIGS, width=71)
    path.write_bytes(path.read_bytes().replace(b"\n", end_of_line.encode()))
    starts = np.random.default_rng(0).integers(-2000, 201_000, 1100)
    many, few = Genome(path), Genome(path)
    found = many.windows("chr1", starts, 1000)
    assert many._plain is not None
    expected = [few.windows("chr1", [start], 1000)[0] for start in starts]
    assert few._plain is None
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(many)).windows("1", starts, 1000), expected)


def test_many_windows_of_a_faulty_fasta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Genome, "_many_bases", 1)
    path = write_fasta(tmp_path / "genome.fa", {"1": "ACGT" * 50, "2": "ACGT" * 50})
    whole = path.read_text()
    Genome(path)
    path.write_text(whole[:-20])
    with pytest.raises(InputError, match="2 is not all there; the file ends early"):
        Genome(path).windows("2", [0], 10)
    path.write_text(whole.replace("ACGT", "AC!T", 1))
    with pytest.raises(InputError, match="1:3 is '!'"):
        Genome(path).windows(["2", "1"], [0, 1], 10)


def test_lengths(genome: Genome) -> None:
    assert genome.lengths == {name: len(text) for name, text in CONTIGS.items()}


@settings(max_examples=100, deadline=None)
@given(data=st.data(), length=st.integers(1, 300))
def test_windows_equal_slices_of_the_text(genome: Genome, data: st.DataObject, length: int) -> None:
    contig = st.sampled_from(list(CONTIGS))
    asked = data.draw(st.lists(st.tuples(contig, st.floats(0, 1)), min_size=1, max_size=12))
    names = [name for name, _ in asked]
    # From wholly before the contig to wholly behind it.
    starts = [int((len(CONTIGS[name]) + 2 * length) * where) - length for name, where in asked]
    expected = [slow_window(CONTIGS, *one, length) for one in zip(names, starts, strict=True)]
    assert decode_codes(genome.windows(names, starts, length)) == expected


@pytest.mark.parametrize(("gap", "span"), [(0, 64), (10, 1000), (10**9, 10**9)])
def test_merging_reads_does_not_change_the_windows(
    genome: Genome, monkeypatch: pytest.MonkeyPatch, gap: int, span: int
) -> None:
    starts = np.random.default_rng(0).integers(-50, len(CONTIGS["chr1"]) + 50, 300)
    expected = [slow_window(CONTIGS, "chr1", start, 40) for start in starts]
    monkeypatch.setattr(kipoi_tfbind.genome.reference, "_MAX_GAP", gap)
    monkeypatch.setattr(kipoi_tfbind.genome.reference, "_MAX_SPAN", span)
    assert decode_codes(genome.windows("chr1", starts, 40)) == expected


@pytest.mark.parametrize(
    ("asked", "own"),
    [
        ("chr1", "chr1"),
        ("1", "chr1"),
        ("Chr2", "2"),
        ("chr2", "2"),
        ("chrM", "MT"),
        ("M", "MT"),
        ("chrMT", "MT"),
    ],
)
def test_contig_naming_styles(genome: Genome, asked: str, own: str) -> None:
    assert genome.contig(asked) == own
    assert decode_codes(genome.windows(asked, [3], 9)) == [slow_window(CONTIGS, own, 3, 9)]


def test_both_styles_in_one_fasta_are_two_contigs(tmp_path: Path) -> None:
    genome = Genome(write_fasta(tmp_path / "a.fa", {"chr1": "AAAA", "1": "CCCC", "chrM": "G", "MT": "T"}))
    assert decode_codes(genome.windows(["1", "chr1"], [0, 0], 4)) == ["CCCC", "AAAA"]
    with pytest.raises(InputError, match="no contig 'M'"):
        genome.contig("M")


def test_an_unknown_contig_is_refused(genome: Genome) -> None:
    with pytest.raises(InputError, match=r"genome\.fa.*no contig 'chr3'.*chr1, 2, MT"):
        genome.windows(["chr1", "chr3"], [0, 0], 10)


def test_no_windows(genome: Genome) -> None:
    assert genome.windows([], [], 10).shape == (0, 10)


def test_bad_arguments(genome: Genome) -> None:
    with pytest.raises(InputError, match="length"):
        genome.windows("chr1", [0], 0)
    with pytest.raises(InputError, match="contigs"):
        genome.windows(["chr1"], [0, 1], 10)


def test_the_index_is_written_beside_the_fasta_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_fasta(tmp_path / "a.fa", CONTIGS)
    with caplog.at_level(logging.INFO):
        Genome(path)
    assert "Indexed" in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fa", "a.fa.fai"]
    pysam.faidx("--fai-idx", str(tmp_path / "by_samtools.fai"), str(path))
    assert (tmp_path / "a.fa.fai").read_text() == (tmp_path / "by_samtools.fai").read_text()


def test_no_index_and_a_folder_that_cannot_be_written() -> None:
    """Root may write everywhere, so that the reader runs as nobody."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_fasta(Path(folder) / "a.fa", {"chr1": "ACGT"})
        os.chmod(path, 0o444)
        os.chmod(folder, 0o555)
        code = (
            "import os, sys\n"
            "from kipoi_tfbind.errors import InputError\n"
            "from kipoi_tfbind.genome.reference import Genome\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "try: Genome(sys.argv[1])\n"
            "except InputError as error: print(error)\n"
        )
        process = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
        )
        os.chmod(folder, 0o755)
    assert process.stdout.count("\n") == 1
    assert f"{path}: not indexed" in process.stdout
    assert f"samtools faidx {path}" in process.stdout


def test_an_index_that_is_there_is_enough_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "a.fa", CONTIGS)
    Genome(path)
    before = os.stat(f"{path}.fai").st_mtime_ns
    Genome(path)
    assert os.stat(f"{path}.fai").st_mtime_ns == before


def read_in_child(genome: Genome, start: int) -> list[str]:
    return decode_codes(genome.windows("chr1", np.arange(start, start + 5000, 50), 40))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_both_kinds(genome: Genome, method: str) -> None:
    """A handle shared by forked processes would share its file position too."""
    tasks = [(genome, "chr1", np.arange(start, start + 5000, 50), 40) for start in range(0, 190_000, 10_000)]
    genome.windows("chr1", [0], 10)
    with multiprocessing.get_context(method).Pool(3) as pool:
        result = pool.starmap(Genome.windows, tasks, chunksize=1)
    for windows, (_, name, starts, length) in zip(result, tasks, strict=True):
        assert decode_codes(windows) == [slow_window(CONTIGS, name, int(start), length) for start in starts]


def test_pickle(genome: Genome) -> None:
    again = pickle.loads(pickle.dumps(genome))
    np.testing.assert_array_equal(again.windows("2", [5], 50), genome.windows("2", [5], 50))


def test_threads(genome: Genome) -> None:
    expected = {start: read_in_child(genome, start) for start in (0, 60_000, 120_000)}
    wrong: list[int] = []

    def check(start: int) -> None:
        for _ in range(10):
            if read_in_child(genome, start) != expected[start]:
                wrong.append(start)

    threads = [threading.Thread(target=check, args=(start,)) for start in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def bgzip(data: bytes, path: Path) -> bytes:
    path.with_suffix("").write_bytes(data)
    pysam.tabix_compress(str(path.with_suffix("")), str(path), force=True)
    return path.read_bytes()


TEXT = b">chr1\n" + b"ACGTTGCA\n" * 40_000


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("absent.fa", None, "No such file"),
        ("empty.fa", b"", "empty"),
        ("plain.fa.gz", gzip.compress(b">a\nACGT\n", mtime=0), r"gzip.*bgzip.*or unpack it: gunzip"),
        ("ragged.fa", b">a\nACGT\nAC\nACGT\n", "cannot be indexed"),
        ("headless.fa", b"ACGT\n", "cannot be indexed"),
        ("binary.fa", bytes(range(128, 256)), "cannot be indexed"),
    ],
)
def test_a_file_that_is_no_indexed_fasta(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name}.*{message}") as caught:
        Genome(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_fasta(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        Genome(tmp_path)


def test_truncated_and_corrupted_bgzip(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.fa.gz"
    data = bgzip(TEXT, path)
    Genome(path)  # writes the index
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="truncated"):
        Genome(path)
    corrupted = bytearray(data)
    corrupted[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    path.write_bytes(corrupted)
    with pytest.raises(InputError, match=r"a\.fa\.gz: chr1:1-320000 cannot be read"):
        Genome(path).check_windows("chr1", np.arange(0, 320_000, 1000), 1000)
    assert capfd.readouterr().err == ""


def test_a_fasta_that_became_shorter_than_its_index(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "a.fa", {"chr1": "ACGT" * 1000})
    Genome(path)
    write_fasta(path, {"chr1": "ACGT" * 500})
    with pytest.raises(InputError, match=r"a\.fa: chr1:3501-3600"):
        Genome(path).windows("chr1", [3500], 100)


def test_a_fasta_that_is_newer_than_its_index_is_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_fasta(tmp_path / "a.fa", {"chr1": "ACGT"})
    Genome(path)
    os.utime(f"{path}.fai", (0, 0))
    Genome(path)
    assert "older than its FASTA" in capsys.readouterr().err


def test_a_letter_that_is_no_nucleotide_is_named(tmp_path: Path) -> None:
    text = "ACGT" * 100
    path = write_fasta(tmp_path / "a.fa", {"chr1": text[:250] + "E" + text[251:]})
    genome = Genome(path)
    assert genome.windows("chr1", [0], 250).max() < 4
    for read in (genome.windows, genome.check_windows):
        with pytest.raises(InputError, match=r"a\.fa: chr1:251 is 'E'; expected A, C, G, T"):
            read("chr1", [-20, 200], 100)
