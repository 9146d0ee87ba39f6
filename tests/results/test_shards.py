"""Shards: joined, they are the bytes of one run; what does not belong together is refused by name."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.shards import Shard, in_blocks
from tests.results.test_append import method, split
from tests.results.test_append import sequences as labelled
from tests.results.test_stream import WEIGHTS, model_of, sequences

N = 205


def ism(path: Path, shard: str | None = None, *, n: int = N, model: Any = None, **options: Any) -> None:
    model = model_of(WEIGHTS) if model is None else model
    options = {"positions": [2, 7], "path": "full"} | options
    tfb.stream(tfb.in_silico_mutagenesis, model, sequences(n), path, shard=shard, **options)


def shards(folder: Path, of: int, **options: Any) -> list[Path]:
    paths = [folder / f"{number}.nc" for number in range(1, of + 1)]
    for number, path in enumerate(paths, start=1):
        ism(path, f"{number}/{of}", **options)
    return paths


# One block more than there is for some, and far more shards than blocks.
@pytest.mark.parametrize("of", [1, 2, 3, 7, 20])
def test_shards_joined_are_the_bytes_of_one_run(tmp_path: Path, of: int) -> None:
    ism(tmp_path / "whole.nc")
    parts = shards(tmp_path, of)
    assert tfb.merge_shards(reversed(parts), tmp_path / "joined.nc") == N
    assert (tmp_path / "joined.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    sizes = [tfb.open_result(part).sizes.get("sequence", 0) for part in parts]
    assert sum(sizes) == N
    assert max(sizes) - min(sizes) <= 32


def test_bytes_depend_on_neither_the_hour_nor_the_pieces_nor_an_interruption(tmp_path: Path) -> None:
    ism(tmp_path / "whole.nc")
    time.sleep(1.1)  # HDF5 has times of whole seconds
    everything = sequences(N)
    uneven = [everything.isel(sequence=slice(a, b)) for a, b in ((0, 50), (50, 51), (51, 160), (160, N))]
    tfb.stream(
        tfb.in_silico_mutagenesis,
        model_of(WEIGHTS),
        uneven,
        tmp_path / "other.nc",
        at_once=70,
        positions=[2, 7],
        path="full",
    )
    assert (tmp_path / "other.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_compressed_variables_and_text_of_any_width_are_the_same_bytes(tmp_path: Path) -> None:
    """One_hot and contribution are compressed, in chunks that no piece ends with."""
    for name, size in (("a.nc", 3), ("b.nc", 23)):
        for chunk in split(labelled(), size):
            tfb.append_result(method(chunk), tmp_path / name)
        tfb.finish_result(tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


KILLED = """
import inspect, os, signal, sys
sys.path.insert(0, {tests!r})
import kipoi_tfbind as tfb
from test_stream import WEIGHTS, model_of, sequences

calls = 0

def in_silico_mutagenesis(model, part, **options):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return tfb.in_silico_mutagenesis(model, part, **options)

in_silico_mutagenesis.__signature__ = inspect.signature(tfb.in_silico_mutagenesis)
tfb.stream(
    in_silico_mutagenesis, model_of(WEIGHTS), sequences({n}), {path!r}, shard="1/2", at_once=32,
    positions=[2, 7], path="full",
)
"""


def test_a_killed_shard_goes_on_and_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ism(tmp_path / "whole.nc")
    parts = shards(tmp_path, 2)
    parts[0].unlink()
    code = KILLED.format(tests=str(Path(__file__).parent), call=3, n=N, path=str(parts[0]))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == -9, ran.stderr
    with pytest.raises(InputError, match=r"1\.nc: is not finished"):
        tfb.merge_shards(parts, tmp_path / "joined.nc")
    with pytest.raises(InputError, match="shard was 1/2, is now 1/3"):
        ism(parts[0], "1/3")
    with pytest.raises(InputError, match="shard was 1/2, is now None"):
        ism(parts[0])
    capsys.readouterr()
    ism(parts[0], "1/2")
    assert "going on after the 64 sequences" in capsys.readouterr().err
    tfb.merge_shards(parts, tmp_path / "joined.nc")
    # What the killed process had imported is among the versions.
    joined, whole = (tfb.open_result(tmp_path / name) for name in ("joined.nc", "whole.nc"))
    xr.testing.assert_identical(joined.assign_attrs(versions=""), whole.assign_attrs(versions=""))


def test_what_does_not_belong_together_is_refused_by_name(tmp_path: Path) -> None:
    parts = shards(tmp_path, 3)
    out = tmp_path / "joined.nc"
    cases: list[tuple[list[Path], str]] = [
        (parts[:2], r"shards: missing, of the run that .*1\.nc is of: 3/3; .* --shard 3/3"),
        ([*parts, parts[1]], r"2\.nc: is shard 2/3, as .*2\.nc is; give each once"),
        ([parts[0], parts[1], tmp_path / "4.nc"], r"4\.nc: no such file"),
    ]
    other = tmp_path / "other.nc"
    for options, problem in (
        (
            {"positions": [2, 6]},
            r"other\.nc: is shard 3/3 of another run than .*1\.nc \(.*positions was \[2, 7\]",
        ),
        ({"n": N + 1}, rf"other\.nc: .* number of records was {N}, is now {N + 1}"),
        ({"model": tfb.as_sequence_model([model_of(WEIGHTS)] * 2)}, r"other\.nc: .* \(model was"),
    ):
        ism(other, "3/3", **options)
        with pytest.raises(InputError, match=problem):
            tfb.merge_shards([*parts[:2], other], out)
    # The same number of other sequences.
    reverse = sequences(N).isel(sequence=slice(None, None, -1))
    options = {"positions": [2, 7], "path": "full"}
    tfb.stream(tfb.in_silico_mutagenesis, model_of(WEIGHTS), reverse, other, shard="3/3", **options)
    cases.append(([*parts[:2], other], r"other\.nc: .* \(input was [0-9a-f]{16}, is now [0-9a-f]{16}\)"))
    ism(tmp_path / "fourth.nc", "3/4")
    cases.append(([*parts[:2], tmp_path / "fourth.nc"], r"fourth\.nc: is shard 3/4, but .*1\.nc is 1/3"))
    ism(tmp_path / "whole.nc")
    cases.append(([tmp_path / "whole.nc"], r"whole\.nc: is no shard of a result"))
    (tmp_path / "text.nc").write_text("no result")
    cases.append(([tmp_path / "text.nc"], r"text\.nc: not a result"))
    for given, problem in cases:
        with pytest.raises(InputError, match=problem):
            tfb.merge_shards(given, out)
    assert not out.exists()


def test_shards_that_are_none() -> None:
    for text in ("0/3", "4/3", "1", "a/b", "1/0", ""):
        with pytest.raises(InputError, match="--shard: expected K/N such as 1/8"):
            Shard.parse(text)
    assert Shard.parse(" 2/3 ") == Shard(2, 3)


def test_every_block_has_one_shard() -> None:
    for of in (1, 4, 9):
        ranges = sorted(r for number in range(1, of + 1) for r in Shard(number, of).ranges(100, 7))
        assert [start for start, _ in ranges] == list(range(0, 100, 7))
        assert [end for _, end in ranges] == [*range(7, 100, 7), 100]


def test_blocks_are_of_one_size_whatever_the_batches_are() -> None:
    everything = sequences(23)
    for sizes in ((23,), (1, 22), (7, 7, 7, 2), (0, 5, 18)):
        ends = np.cumsum(sizes)
        batches = [everything.isel(sequence=slice(e - n, e)) for n, e in zip(sizes, ends, strict=True)]
        blocks = list(in_blocks(batches, 5))
        assert [block.sizes["sequence"] for block in blocks] == [5, 5, 5, 5, 3]
        xr.testing.assert_identical(xr.concat(blocks, "sequence"), everything)


def test_kmers(tmp_path: Path) -> None:
    backgrounds = tfb.make_backgrounds("uniform", 10, length=12)
    options: dict[str, Any] = {"k": 3, "at_once": 5, "n_resamples": 50}
    tfb.stream_kmer_importance(model_of(WEIGHTS), backgrounds, tmp_path / "whole.nc", **options)
    parts = [tmp_path / f"{number}.nc" for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        tfb.stream_kmer_importance(model_of(WEIGHTS), backgrounds, part, shard=f"{number}/3", **options)
    assert "rank" not in tfb.open_result(parts[0])
    assert tfb.merge_shards(parts, tmp_path / "joined.nc") == 64
    assert (tmp_path / "joined.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    assert sorted(tfb.open_result(tmp_path / "joined.nc")["rank"].values.ravel()) == list(range(1, 65))
    others = tfb.make_backgrounds("uniform", 10, length=12, seed=1)
    tfb.stream_kmer_importance(model_of(WEIGHTS), others, parts[2], shard="3/3", **options)
    with pytest.raises(InputError, match=r"3\.nc: is shard 3/3 of another run .*background_hash was"):
        tfb.merge_shards(parts, tmp_path / "joined.nc")
