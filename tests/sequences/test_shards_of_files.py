"""Shards of sequences from files: each reads its own only, and joined they are the bytes of one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.sequences import genome_windows, read

N, LENGTH, OF = 205, 20, 3
Make = Callable[[], Any]


def number_of_g(model: object, sequences: xr.Dataset) -> xr.Dataset:
    """A method that costs nothing."""
    g = sequences["one_hot"].values[:, :, 2].sum(axis=1, keepdims=True)
    result = sequences.assign(prediction=(("sequence", "target"), g))
    return schema.annotate(result.assign_coords(target=["y"]).assign_attrs(method="number_of_g"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    bases = ["".join(rng.choice(list("ACGTN"), 3000)) for _ in range(2)]
    (tmp_path / "genome.fa").write_text(
        "".join(f">{name}\n{text}\n" for name, text in zip("12", bases, strict=True))
    )
    starts = rng.integers(0, 3000 - LENGTH, N)
    rows = [
        f"chr{1 + i % 2}\t{start}\t{start + LENGTH}\tpeak{i}\t0\t{'+-.'[i % 3]}"
        for i, start in enumerate(starts)
    ]
    (tmp_path / "peaks.bed").write_text("\n".join(rows) + "\n")
    (tmp_path / "sites.fa").write_text(
        "".join(f">s{i}\n{bases[0][s : s + 25]}\n" for i, s in enumerate(starts))
    )
    return tmp_path


KINDS = ["windows", "sites", "few windows of a large FASTA"]
OTHERS = ["strand", "name", "place", "order", "base"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Sequences from files of that kind."""
    if kind == "sites":
        return lambda: tfb.iterate_fasta(folder / "sites.fa", length=LENGTH)
    if kind != "windows":
        monkeypatch.setattr(genome_windows, "_BYTES_OF_A_WINDOW", 0)
    return lambda: tfb.iterate_intervals(folder / "genome.fa", folder / "peaks.bed")


def run(make: Make, path: Path, shard: str | None = None) -> Path:
    model = tfb.as_sequence_model(lambda one_hot: one_hot[:, 0, :1], targets=["y"], length=LENGTH)
    tfb.stream(number_of_g, model, make(), path, shard=shard)
    return path


def shards(make: Make, folder: Path) -> list[Path]:
    return [run(make, folder / f"{number}.nc", f"{number}/{OF}") for number in range(1, OF + 1)]


def test_joined_they_are_the_bytes_of_one_run(make: Make, folder: Path) -> None:
    """Of shards of which two have no block."""
    whole = run(make, folder / "whole.nc")
    parts = [run(make, folder / f"{number}.nc", f"{number}/9") for number in range(1, 10)]
    tfb.merge_shards(parts, folder / "joined.nc")
    assert (folder / "joined.nc").read_bytes() == whole.read_bytes()


def test_a_shard_reads_its_own_windows_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []
    windows = Genome.windows

    def counted(self: Genome, contigs: Any, starts: Any, length: int) -> Any:
        numbers.append(len(starts))
        return windows(self, contigs, starts, length)

    monkeypatch.setattr(Genome, "windows", counted)
    run(lambda: tfb.iterate_intervals(folder / "genome.fa", folder / "peaks.bed"), folder / "a.nc", f"3/{OF}")
    assert sum(numbers) == 2 * 32  # blocks 3 and 6 of 7


def test_a_shard_encodes_its_own_records_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = tfb.encode_sequences

    def counted(sequences: list[str], *, ids: list[str]) -> xr.Dataset:
        encoded.extend(ids)
        return encode(sequences, ids=ids)

    monkeypatch.setattr(read, "encode_sequences", counted)
    run(lambda: tfb.iterate_fasta(folder / "sites.fa", length=LENGTH), folder / "a.nc", f"1/{OF}")
    assert encoded == [f"s{i}" for block in (0, 3, 6) for i in range(32 * block, min(32 * block + 32, N))]


def other_record(folder: Path, what: str) -> None:
    lines = (folder / "sites.fa").read_text().splitlines()
    if what == "order":
        lines = lines[2:] + lines[:2]
    elif what == "base":
        lines[1] = with_other_base(lines[1], 10)
    else:
        lines[0] = ">other"
    (folder / "sites.fa").write_text("\n".join(lines) + "\n")


def other_interval(folder: Path, what: str) -> None:
    rows = [row.split("\t") for row in (folder / "peaks.bed").read_text().splitlines()]
    if what == "base":
        lines = (folder / "genome.fa").read_text().splitlines()
        lines[1] = with_other_base(lines[1], int(rows[0][1]) + 5)
        (folder / "genome.fa").write_text("\n".join(lines) + "\n")
        return
    if what == "strand":
        rows[0][5] = "-"
    elif what == "name":
        rows[0][3] = "other"
    elif what == "place":
        rows[0][1:3] = [str(int(column) + 1) for column in rows[0][1:3]]
    else:
        rows = rows[1:] + rows[:1]
    (folder / "peaks.bed").write_text("".join("\t".join(row) + "\n" for row in rows))


def with_other_base(text: str, position: int) -> str:
    return text[:position] + ("A" if text[position] != "A" else "C") + text[position + 1 :]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (kind, what)
        for kind in KINDS
        for what in OTHERS
        if kind != "sites" or what in ("name", "order", "base")
    ],
    indirect=["kind"],
)
def test_a_shard_of_another_input_is_refused(what: str, kind: str, make: Make, folder: Path) -> None:
    """Here what differs is in the first block, which the third shard does not compute."""
    first, second, _ = shards(make, folder)
    (other_record if kind == "sites" else other_interval)(folder, what)
    third = run(make, folder / "other.nc", f"3/{OF}")
    with pytest.raises(InputError, match=r"other\.nc: is shard 3/3 of another run .*\(input was"):
        tfb.merge_shards([first, second, third], folder / "joined.nc")


def test_what_was_handed_out_is_no_more_read_by_number(folder: Path) -> None:
    sequences = tfb.iterate_fasta(folder / "sites.fa", chunk=10)
    assert sequences.numbered is not None
    next(sequences)
    assert sequences.numbered is None
