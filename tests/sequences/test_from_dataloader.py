"""Sequences from the batches of dataloaders, as other groups write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from kipoi.data import Dataset
from kipoi.metadata import GenomicRanges

from kipoi_tfbind import read_sequences
from kipoi_tfbind.dataloaders import IntervalWindows
from kipoi_tfbind.dna.one_hot import decode_one_hot, one_hot
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.layout import Layout
from kipoi_tfbind.sequences.from_dataloader import sequences_from_dataloader

CONTIG = "".join(np.random.default_rng(0).choice(list("ACGT"), size=500))
LENGTH = 20
STARTS = [10, 100, 250, 251, 480]
TEXTS = [CONTIG[start : start + LENGTH] for start in STARTS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "genome.fa").write_text(f">chr20\n{CONTIG}\n")
    lines = [f"chr20\t{start}\t{start + LENGTH}\n" for start in STARTS]
    (tmp_path / "sites.bed").write_text("".join(lines))
    strands = ["+", "-", "+", "-", "."]
    stranded = [f"{line[:-1]}\tsite\t0\t{strand}\n" for line, strand in zip(lines, strands, strict=True)]
    (tmp_path / "stranded.bed").write_text("".join(stranded))
    return tmp_path


def test_our_own_dataloader_gives_what_read_sequences_gives(folder: Path) -> None:
    files = folder / "stranded.bed", folder / "genome.fa"
    batches = list(sequences_from_dataloader(IntervalWindows(*files, length=LENGTH), batch_size=2))
    assert [batch.sizes["sequence"] for batch in batches] == [2, 2, 1]
    found = xr.concat(batches, "sequence", data_vars="minimal", coords="minimal")
    expected = read_sequences(files[1], files[0], length=LENGTH)
    # Kipoi has no word for an unknown strand that was read forward.
    forward = expected["strand"].where(expected["strand"] != "*", "+")
    xr.testing.assert_equal(found, expected.assign_coords(strand=forward))
    assert found["one_hot"].dtype == np.float32


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        (Layout.parse("L,4"), {}),
        (Layout.parse("4,L"), {"alphabet_axis": 0}),
        (Layout.parse("1,4,L"), {"alphabet_axis": 1, "dummy_axis": 0}),
        (Layout.parse("L,4", alphabet="TGCA"), {"alphabet": "TGCA"}),
    ],
)
def test_kipoiseqs_one_hot_dataloader(folder: Path, layout: Layout, options: dict[str, Any]) -> None:
    from kipoiseq.dataloaders import SeqIntervalDl

    loader = SeqIntervalDl(str(folder / "sites.bed"), str(folder / "genome.fa"), **options)
    (found,) = sequences_from_dataloader(loader, layout=layout)
    assert decode_one_hot(found["one_hot"].values) == TEXTS
    assert found["chrom"].values.tolist() == ["chr20"] * 5
    assert found["start"].values.tolist() == STARTS
    assert found["end"].values.tolist() == [start + LENGTH for start in STARTS]
    assert found["id"].values.tolist() == list("01234")


def test_kipoiseqs_text_dataloader(folder: Path) -> None:
    from kipoiseq.dataloaders import StringSeqIntervalDl

    loader = StringSeqIntervalDl(str(folder / "sites.bed"), str(folder / "genome.fa"))
    (found,) = sequences_from_dataloader(loader, layout="string")
    assert decode_one_hot(found["one_hot"].values) == TEXTS


class Loader(Dataset):
    """Sequence and other inputs, as a hand-written dataloader.py of another group has them."""

    def __init__(self, form: str, ranges: Any = None, neutral: float = 0.0) -> None:
        self.form, self.ranges = form, ranges
        self.array = one_hot(["ACGN", "TTTT", "NNCA"])
        self.array[~self.array.any(axis=-1)] = neutral

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> dict[str, Any]:
        dna = self.array[i].T
        age, grid = np.float32(i), np.full((2, 5), i)
        inputs = {
            "dict": {"age": age, "dna": dna, "grid": grid},
            "list": [grid, dna, age],
            "one": {"dna": dna},
            "array": dna,
        }
        sample = {"inputs": inputs[self.form]}
        if self.ranges is not None:
            sample["metadata"] = self.ranges(i)
        return sample


@pytest.mark.parametrize("neutral", [0, 0.25, -1])
@pytest.mark.parametrize(
    ("form", "sequence_input", "age", "grid"),
    [("dict", "dna", "auxiliary_age", "auxiliary_grid"), ("list", 1, "auxiliary_2", "auxiliary_0")],
)
def test_other_inputs_become_variables(
    form: str, sequence_input: str | int, age: str, grid: str, neutral: float
) -> None:
    loader = Loader(form, neutral=neutral)
    first, second = sequences_from_dataloader(
        loader, layout="4,L", sequence_input=sequence_input, batch_size=2
    )
    assert decode_one_hot(first["one_hot"].values) == ["ACGN", "TTTT"]
    assert decode_one_hot(second["one_hot"].values) == ["NNCA"]
    assert set(first.data_vars) == {"one_hot", age, grid}
    assert (first[age].dims, first[age].values.tolist()) == (("sequence",), [0, 1])
    assert first[grid].dims == ("sequence", f"{grid}_1", f"{grid}_2")
    assert second[grid].values.tolist() == [[[2] * 5] * 2]
    # No metadata: running numbers over all batches, and no places.
    assert [*first["id"].values, *second["id"].values] == ["0", "1", "2"]
    assert "chrom" not in first.coords


@pytest.mark.parametrize("names", [("grid", "age"), ("grid",)])
def test_the_inputs_of_a_list_have_the_names_of_the_models(names: tuple[str, ...]) -> None:
    first, _ = sequences_from_dataloader(
        Loader("list"), layout="4,L", sequence_input=1, auxiliary=names, batch_size=2
    )
    grid, age = names if len(names) == 2 else ("0", "2")
    assert first[f"auxiliary_{age}"].values.tolist() == [0, 1]
    assert first[f"auxiliary_{grid}"].ndim == 3


@pytest.mark.parametrize("form", ["one", "array"])
def test_a_single_input_needs_no_name(form: str) -> None:
    (found,) = sequences_from_dataloader(Loader(form), layout="4,L")
    assert list(found.data_vars) == ["one_hot"]


def ranges_of(i: int) -> GenomicRanges:
    return GenomicRanges("chr1", 7 * i, 7 * i + 4, f"site{i}", "+-*"[i])


@pytest.mark.parametrize(
    "ranges",
    [
        lambda i: {"ranges": ranges_of(i)},
        lambda i: {"ranges": ranges_of(i).to_dict()},
        lambda i: {"other": {"note": "x"}, "where": ranges_of(i)},
    ],
)
def test_genomic_ranges_become_coordinates(ranges: Any) -> None:
    (found,) = sequences_from_dataloader(Loader("array", ranges), layout="4,L")
    assert found["chrom"].values.tolist() == ["chr1"] * 3
    assert found["start"].values.tolist() == [0, 7, 14]
    assert found["end"].values.tolist() == [4, 11, 18]
    assert found["id"].values.tolist() == ["site0", "site1", "site2"]
    assert found["strand"].values.tolist() == ["+", "-", "+"]


def test_ranges_of_another_length_are_no_places(capsys: pytest.CaptureFixture[str]) -> None:
    loader = Loader("array", lambda i: {"ranges": GenomicRanges("chr1", 7 * i, 7 * i + 9, f"site{i}")})
    first, _ = sequences_from_dataloader(loader, layout="4,L", batch_size=2)
    assert set(first.coords) == {"id", "position", "base"}
    assert first["id"].values.tolist() == ["site0", "site1"]
    error = capsys.readouterr().err
    assert error.count("its genomic ranges are of another length than its sequences (9 and 4 bases") == 1


@pytest.mark.parametrize(
    ("form", "options", "problem"),
    [
        (
            "dict",
            {"sequence_input": "seq"},
            "batches have the inputs age, dna, grid, and the model takes 'seq'",
        ),
        ("dict", {}, "batches have the inputs age, dna, grid, and the model takes one array"),
        ("array", {"layout": "L,4"}, r"laid out as L,4, got a batch of float32 of shape \(3, 4, 5\)"),
        ("array", {"layout": "1,4,L"}, r"laid out as 1,4,L, got a batch of float32 of shape \(3, 4, 5\)"),
        ("array", {"layout": "L*4"}, r"laid out as L\*4, got a batch of float32 of shape \(3, 4, 5\)"),
        ("array", {"layout": "string"}, r"laid out as string, got a batch of float32 of shape \(3, 4, 5\)"),
    ],
)
def test_batches_of_another_form_are_refused(form: str, options: dict[str, Any], problem: str) -> None:
    loader = Loader(form)
    loader.array = one_hot(["ACGTA"] * 3)
    with pytest.raises(InputError, match=problem):
        next(sequences_from_dataloader(loader, **({"layout": "4,L"} | options)))


def test_batches_without_inputs_are_refused() -> None:
    class Bare:
        def batch_iter(self, batch_size: int) -> Iterator[Any]:
            yield np.zeros((1, 2, 4))

    with pytest.raises(InputError, match="expected batches with the key 'inputs', got ndarray"):
        next(sequences_from_dataloader(Bare()))


class Batches:
    """Batches as a loader that is none of Kipoi's classes hands them out."""

    def __init__(self, *batches: dict[str, Any]) -> None:
        self.batches = batches

    def batch_iter(self, batch_size: int) -> Iterator[dict[str, Any]]:
        yield from self.batches


ARRAY = one_hot(["ACGN", "TTTT"])


@pytest.mark.parametrize(
    "texts",
    [
        np.array(["acgn", "TTTT"]),
        np.array([["acgn"], ["TTTT"]], dtype=object),
        np.array([b"acgn", b"TTTT"]),
        np.array([b"acgn", b"TTTT"], dtype=object),
    ],
)
def test_text_may_be_bytes(texts: np.ndarray) -> None:
    (found,) = sequences_from_dataloader(Batches({"inputs": texts}), layout="string")
    assert decode_one_hot(found["one_hot"].values) == ["ACGN", "TTTT"]


@pytest.mark.parametrize("kind", [int, float, str])
def test_places_may_be_floats_or_text(kind: type) -> None:
    ranges = {
        "chr": np.array([b"chr1", b"2"], dtype=object),
        "start": np.array([kind(0), kind(5)]),
        "end": np.array([kind(4), kind(9)]),
    }
    (found,) = sequences_from_dataloader(Batches({"inputs": ARRAY, "metadata": {"ranges": ranges}}))
    assert found["start"].dtype == found["end"].dtype == np.int64
    assert (found["start"].values.tolist(), found["end"].values.tolist()) == ([0, 5], [4, 9])
    assert found["chrom"].values.tolist() == ["chr1", "2"]


@pytest.mark.parametrize("start", [[0.5, 5.0], [np.nan, 5], ["x", "5"]])
def test_places_that_are_no_whole_numbers_are_refused(start: list[Any]) -> None:
    ranges = {"chr": np.array(["1", "1"]), "start": np.array(start), "end": np.array([4, 9])}
    loader = Batches({"inputs": ARRAY, "metadata": {"ranges": ranges}})
    with pytest.raises(InputError, match="expected whole numbers as the start of its genomic ranges, got"):
        next(sequences_from_dataloader(loader))


@pytest.mark.parametrize("metadata", [None, [1, 2], {"note": np.array(["x", "y"])}, {"ranges": {"chr": "1"}}])
def test_metadata_without_ranges_gives_running_numbers(metadata: Any) -> None:
    batch = {"inputs": ARRAY, "metadata": metadata}
    batches = list(sequences_from_dataloader(Batches(batch, batch)))
    assert [name for found in batches for name in found["id"].values] == ["0", "1", "2", "3"]
    assert all(set(found.coords) == {"id", "position", "base"} for found in batches)


@pytest.mark.parametrize("other", [np.zeros((3, 2)), np.float32(1)])
def test_another_input_has_a_row_for_each_sequence(other: Any) -> None:
    loader = Batches({"inputs": {"dna": ARRAY, "age": other}})
    with pytest.raises(InputError, match="expected a row of the input age for each of 2 sequences, got"):
        next(sequences_from_dataloader(loader, sequence_input="dna"))


def test_flattened_sequences() -> None:
    (found,) = sequences_from_dataloader(Batches({"inputs": ARRAY.reshape(2, -1)}), layout="L*4")
    assert decode_one_hot(found["one_hot"].values) == ["ACGN", "TTTT"]
    swapped = ARRAY.transpose(0, 2, 1).reshape(2, -1).astype(np.int8)
    (found,) = sequences_from_dataloader(Batches({"inputs": swapped}), layout="4*L")
    assert decode_one_hot(found["one_hot"].values) == ["ACGN", "TTTT"]
    assert found["one_hot"].dtype == np.float32
