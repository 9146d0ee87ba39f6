"""IntervalWindows against slices of the FASTA's text, and through Kipoi's commands."""

from pathlib import Path

import h5py
import kipoi
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kipoi.data import Dataset
from kipoi.metadata import GenomicRanges
from kipoi.specs import DataLoaderImport

from kipoi_tfbind.dataloaders import IntervalWindows
from kipoi_tfbind.dna.one_hot import decode_one_hot
from kipoi_tfbind.errors import InputError

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "model_zoo" / "TFBind" / "example_data"
FOLDER = ROOT / "dataloaders" / "intervals"
FASTA = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz"
PEAKS = EXAMPLES / "CTCF.HepG2.narrowPeak.gz"
SITES = EXAMPLES / "ctcf_sites.bed"

CONTIGS = {
    name: np.random.default_rng(seed).choice(list("ACGTacgtN"), size).tobytes().decode("utf-32-le")
    for seed, (name, size) in enumerate({"1": 3000, "chr2": 500}.items())
}
PAIR = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def slow_window(name: str, start: int, length: int, strand: str) -> str:
    text = CONTIGS[name].upper()
    window = "".join(text[i] if 0 <= i < len(text) else "N" for i in range(start, start + length))
    return "".join(PAIR[base] for base in reversed(window)) if strand == "-" else window


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in CONTIGS.items()))
    return path


def bed(folder: Path, text: str, name: str = "a.bed") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@st.composite
def beds(draw: st.DrawFn) -> list[tuple[str, int, int, str]]:
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        name = draw(st.sampled_from(["chr1", "1", "chr2", "2"]))
        size = 3000 if name.endswith("1") else 500
        start = draw(st.integers(0, size))
        rows.append((name, start, draw(st.integers(start, size)), draw(st.sampled_from("+-."))))
    return rows


@settings(max_examples=60, deadline=None)
@given(rows=beds(), length=st.integers(1, 500), batch_size=st.integers(1, 40), use_strand=st.booleans())
def test_windows_equal_slices_of_the_text(
    fasta: Path, rows: list[tuple[str, int, int, str]], length: int, batch_size: int, use_strand: bool
) -> None:
    text = "".join(f"{name}\t{start}\t{end}\tn{i}\t0\t{s}\n" for i, (name, start, end, s) in enumerate(rows))
    loader = IntervalWindows(str(bed(fasta.parent, text)), str(fasta), length=length, use_strand=use_strand)
    data = merge(loader.batch_iter(batch_size=batch_size))
    assert len(loader) == len(rows)
    ranges = data["metadata"]["ranges"]
    for i, (name, start, end, strand) in enumerate(rows):
        first = (start + end) // 2 - length // 2
        own = {"1": "1", "2": "chr2"}[name.removeprefix("chr")]
        expected = slow_window(own, first, length, strand if use_strand else "+")
        assert decode_one_hot(data["inputs"][i : i + 1]) == [expected]
        shown = [ranges[key][i] for key in ("chr", "start", "end", "id", "strand")]
        # Without use_strand the forward strand is read, and that is what it says.
        read = {".": "*", "-": "-" if use_strand else "+"}.get(strand, strand)
        assert shown == [name, first, first + length, f"n{i}", read]


def merge(batches: object) -> dict:
    merged: dict = {}
    for batch in batches:  # type: ignore[attr-defined]
        append(merged, batch)
    return concatenated(merged)


def append(merged: dict, batch: dict) -> None:
    for key, value in batch.items():
        if isinstance(value, np.ndarray):
            merged.setdefault(key, []).append(value)
        else:
            append(merged.setdefault(key, {}), value)


def concatenated(merged: dict) -> dict:
    return {k: np.concatenate(v) if isinstance(v, list) else concatenated(v) for k, v in merged.items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[key], b[key]) if isinstance(a[key], np.ndarray) else same(a[key], b[key])
        for key in a
    )


def test_windows_are_centred_on_the_summits() -> None:
    """Column 10 of the file, read here with nothing but split."""
    import gzip

    with gzip.open(PEAKS, "rt") as file:
        rows = [line.split("\t") for line in file]
    summits = [int(row[1]) + int(row[9]) for row in rows]
    ranges = merge(IntervalWindows(PEAKS, FASTA, length=101).batch_iter())["metadata"]["ranges"]
    assert (ranges["start"] + 50).tolist() == summits
    midpoints = [(int(row[1]) + int(row[2])) // 2 for row in rows]
    ranges = merge(IntervalWindows(PEAKS, FASTA, length=100, center="midpoint").batch_iter())["metadata"][
        "ranges"
    ]
    assert (ranges["start"] + 50).tolist() == midpoints


def test_sites_on_either_strand_read_like_the_ctcf_motif() -> None:
    loader = IntervalWindows(SITES, FASTA, length=19, target_columns=[7])
    data = merge(loader.batch_iter())
    is_site = data["targets"][:, 0] == 1
    assert is_site.sum() == 11
    at_core = data["inputs"][:, 4, 1]  # the C of the motif that matters most
    assert at_core[is_site].all()
    plain = merge(IntervalWindows(SITES, FASTA, length=19, use_strand=False).batch_iter())
    assert not plain["inputs"][is_site, 4, 1].all()


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 52, 100])
def test_batches_keep_the_order_whatever_their_size_and_the_workers(
    monkeypatch: pytest.MonkeyPatch, num_workers: int, batch_size: int
) -> None:
    monkeypatch.setattr("kipoi_tfbind.dataloaders.base._BLOCK_BASES", 2000)
    loader = IntervalWindows(PEAKS, FASTA, length=100)
    samples = [loader[i] for i in range(len(loader))]
    batches = list(loader.batch_iter(batch_size=batch_size, num_workers=num_workers))
    assert [len(batch["inputs"]) for batch in batches][:-1] == [batch_size] * (len(batches) - 1)
    data = merge(batches)
    np.testing.assert_array_equal(data["inputs"], np.stack([sample["inputs"] for sample in samples]))
    for key, values in data["metadata"]["ranges"].items():
        assert values.tolist() == [sample["metadata"]["ranges"][key] for sample in samples]


def test_more_windows_than_are_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = merge(IntervalWindows(PEAKS, FASTA, length=300).batch_iter(5))
    monkeypatch.setattr("kipoi_tfbind.genome.window_reader._KEEP_BASES", 1000)
    read_again = IntervalWindows(PEAKS, FASTA, length=300)
    assert same(merge(read_again.batch_iter(5)), kept)
    assert same(merge(read_again.batch_iter(5, num_workers=2)), kept)


def test_the_other_ways_in_that_kipoi_has() -> None:
    loader = IntervalWindows(SITES, FASTA, length=50, target_columns=[7])
    assert isinstance(loader, Dataset)
    data = merge(loader.batch_iter(batch_size=4))
    assert same(loader.load_all(batch_size=5), data)
    inputs = np.concatenate(list(loader.batch_predict_iter(batch_size=4)))
    np.testing.assert_array_equal(inputs, data["inputs"])
    once = list(loader.batch_train_iter(cycle=False, batch_size=4))
    assert [len(x) for x, _ in once] == [4, 4, 4, 4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([y for _, y in once]), data["targets"])
    endless = loader.batch_train_iter(batch_size=22)
    for _ in range(3):
        np.testing.assert_array_equal(next(endless)[0], data["inputs"])
    ranges = GenomicRanges.from_dict(next(loader.batch_iter())["metadata"]["ranges"])
    assert (ranges.chr[0], ranges.start[0], ranges.strand[0]) == ("chr20", 118553 + 9 - 25, "-")
    assert len(list(loader)) == len(loader) == 22
    np.testing.assert_array_equal(loader[-1]["inputs"], loader[21]["inputs"])
    with pytest.raises(IndexError):
        loader[22]


def test_shuffle_and_drop_last() -> None:
    loader = IntervalWindows(SITES, FASTA, length=50)
    ids = merge(loader.batch_iter())["metadata"]["ranges"]["id"].tolist()

    def shuffled(seed: int) -> list[str]:
        np.random.seed(seed)  # noqa: NPY002
        return merge(loader.batch_iter(batch_size=5, shuffle=True))["metadata"]["ranges"]["id"].tolist()

    assert sorted(shuffled(0)) == sorted(ids)
    assert shuffled(0) == shuffled(0) != ids
    batches = list(loader.batch_iter(batch_size=5, drop_last=True))
    assert [len(batch["inputs"]) for batch in batches] == [5, 5, 5, 5]
    assert list(loader.batch_iter(batch_size=23, drop_last=True)) == []


def test_no_targets_unless_asked_for() -> None:
    assert "targets" not in next(IntervalWindows(SITES, FASTA).batch_iter())


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("chr1\t5\t9\nchr3\t5\t9\n", {}, r"a\.bed: line 2: .*genome\.fa: no contig 'chr3'; .* has 1, chr2;"),
        ("1\t5\t3001\n", {}, r"a\.bed: line 1: .* ends at 3001, the contig at 3000 in .*genome\.fa"),
        ("1\t5\t9\nchr2\t5\t9\n", {"length": 501}, r"a\.bed: line 2: a window of 501 bases .*500 bases"),
        ("1\t5\t9\n", {"length": 0}, "length: expected a positive integer, got 0"),
        ("1\t5\t9\n", {"length": "long"}, "length: expected a positive integer, got 'long'"),
        ("1\t5\t9\n", {"length": True}, "length: expected a positive integer"),
        ("1\t5\n", {}, r"a\.bed: line 1: expected at least 3 columns"),
        ("", {}, r"a\.bed: the file is empty"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_at_construction(
    fasta: Path, tmp_path: Path, text: str, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        IntervalWindows(bed(tmp_path, text), fasta, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [1 << 27, 0])
def test_a_bad_letter_in_the_last_window_is_found_at_construction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.setattr("kipoi_tfbind.genome.window_reader._KEEP_BASES", keep)
    text = "ACGT" * 250
    path = bed(tmp_path, f">1\n{text[:990]}!{text[991:]}\n", "bad.fa")
    intervals = bed(tmp_path, "1\t5\t9\n1\t985\t986\n")
    with pytest.raises(InputError, match=r"bad\.fa: 1:991 is '!'"):
        IntervalWindows(intervals, path, length=20)
    assert len(IntervalWindows(intervals, path, length=10)) == 2


def test_batch_size_has_to_be_positive() -> None:
    with pytest.raises(InputError, match="batch_size"):
        IntervalWindows(SITES, FASTA).batch_iter(batch_size=0)


class TestDescription:
    def test_the_folder_describes_the_class_of_the_package(self) -> None:
        described = yaml.safe_load((FOLDER / "dataloader.yaml").read_text())
        args = {name: arg["doc"] for name, arg in described["args"].items()}
        assert args == {name: arg.doc for name, arg in IntervalWindows.args.items()}

    def test_two_models_with_other_defaults_keep_their_own(self) -> None:
        """Kipoi writes default_args as examples into `args`, which it shares between classes."""
        path = "kipoi_tfbind.dataloaders.IntervalWindows"
        first = DataLoaderImport(defined_as=path, default_args={"length": 10, "fasta_file": "first.fa"}).get()
        second = DataLoaderImport(
            defined_as=path, default_args={"length": 20, "fasta_file": "second.fa"}
        ).get()
        assert first.args["fasta_file"].example == "first.fa"
        assert second.args["fasta_file"].example == "second.fa"
        assert IntervalWindows.args["fasta_file"].example == "example_data/chr20.hg19.1-1Mb.fa.gz"
        assert [len(cls(SITES, FASTA)[0]["inputs"]) for cls in (first, second, IntervalWindows)] == [
            10,
            20,
            1000,
        ]

    def test_the_output_fits_the_schema(self) -> None:
        assert IntervalWindows.get_output_schema().targets is None
        assert IntervalWindows.get_output_schema().compatible_with_batch(
            next(IntervalWindows(SITES, FASTA, length=10).batch_iter())
        )
        with_targets = DataLoaderImport(
            defined_as="kipoi_tfbind.dataloaders.IntervalWindows", default_args={"target_columns": [7]}
        ).get()
        batch = next(with_targets(SITES, FASTA).batch_iter())
        assert with_targets.get_output_schema().compatible_with_batch(batch)

    def test_the_examples_run(self) -> None:
        factory = kipoi.get_dataloader_factory(str(FOLDER), source="dir")
        assert len(factory.init_example()) == 52


class TestKipoiCommands:
    def preproc(self, kipoi_cli, tmp_path: Path, arguments: list[str], *options: str):
        return kipoi_cli(
            "preproc", FOLDER, "--source=dir", "-m", "-o", "x.h5", *options, "--dataloader_args", *arguments,
            cwd=tmp_path, check=False,
        )  # fmt: skip

    @pytest.mark.parametrize("workers", [0, 2])
    def test_preproc(self, kipoi_cli, tmp_path: Path, workers: int) -> None:
        arguments = [f"intervals_file={PEAKS}", f"fasta_file={FASTA}", "length=200"]
        process = self.preproc(kipoi_cli, tmp_path, arguments, f"-n={workers}")
        assert process.returncode == 0, process.stderr
        assert "not compatible" not in process.stdout + process.stderr
        expected = merge(IntervalWindows(PEAKS, FASTA, length=200).batch_iter())
        with h5py.File(tmp_path / "x.h5") as file:
            np.testing.assert_array_equal(file["inputs"][:], expected["inputs"])
            ranges = expected["metadata"]["ranges"]
            np.testing.assert_array_equal(file["metadata/ranges/start"][:], ranges["start"])
            assert file["metadata/ranges/id"].asstr()[:].tolist() == ranges["id"].tolist()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("chr20\t100\t200\nchr20\t5\tx\n", "a.bed: line 2: column 3 (end): expected an integer, got 'x'"),
            ("", "a.bed: the file is empty"),
            ("chr20\t100\t200\nchr21\t5\t9\n", "a.bed: line 2: "),
        ],
    )
    def test_bad_input_ends_in_one_line_and_no_output(
        self, kipoi_cli, tmp_path: Path, text: str, message: str
    ) -> None:
        arguments = [f"intervals_file={bed(tmp_path, text)}", f"fasta_file={FASTA}"]
        process = self.preproc(kipoi_cli, tmp_path, arguments)
        assert process.returncode != 0
        assert message in process.stderr.splitlines()[-1]
        assert "Traceback" not in process.stderr
        assert not (tmp_path / "x.h5").exists()

    def test_a_missing_fasta_ends_in_one_line_and_no_output(self, kipoi_cli, tmp_path: Path) -> None:
        process = self.preproc(kipoi_cli, tmp_path, [f"intervals_file={PEAKS}", "fasta_file=absent.fa"])
        assert process.returncode != 0
        assert (
            "absent.fa: cannot read this file (No such file or directory)" in process.stderr.splitlines()[-1]
        )
        assert not (tmp_path / "x.h5").exists()


def test_layout_and_type_of_the_numbers(tmp_path: Path) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("chr20\t400000\t400100\nchr20\t500000\t500100\n")
    plain = next(IntervalWindows(bed, FASTA, length=100).batch_iter())["inputs"]
    turned = IntervalWindows(bed, FASTA, length=100, layout="1,4,L", dtype="uint8")
    inputs = next(turned.batch_iter())["inputs"]
    assert inputs.dtype == np.uint8
    np.testing.assert_array_equal(inputs, plain.swapaxes(1, 2)[:, np.newaxis])
    for layout in ("L", "4,L,L"):
        with pytest.raises(InputError, match="layout"):
            IntervalWindows(bed, FASTA, length=100, layout=layout)
    with pytest.raises(InputError, match="dtype"):
        IntervalWindows(bed, FASTA, length=100, dtype="int64")
