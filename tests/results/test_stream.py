"""Streaming from Python: killed and gone on with, other options, other models, any batches."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError

LENGTH = 12
WEIGHTS = np.random.default_rng(0).normal(size=(LENGTH, 4))


def model_of(weights: np.ndarray) -> tfb.SequenceModel:
    return tfb.as_sequence_model(lambda x: np.einsum("nlb,lb->n", x, weights), targets=["y"], length=LENGTH)


def sequences(n: int = 11) -> xr.Dataset:
    codes = np.random.default_rng(1).integers(0, 4, size=(n, LENGTH))
    return tfb.encode_sequences(
        ["".join("ACGT"[code] for code in row) for row in codes], ids=[f"site {row}" for row in range(n)]
    )


def batches(*sizes: int) -> Iterator[xr.Dataset]:
    first, everything = 0, sequences(sum(sizes))
    for size in sizes:
        yield everything.isel(sequence=slice(first, first + size))
        first += size


def ism_that_fails_at(call: int) -> Any:
    """The method, which raises when it is called for the time of this number."""
    calls = 0

    def in_silico_mutagenesis(model: Any, part: xr.Dataset, **options: Any) -> xr.Dataset:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return tfb.in_silico_mutagenesis(model, part, **options)

    return in_silico_mutagenesis


def test_a_stream_is_the_result_of_all_at_once(tmp_path: Path) -> None:
    whole = tfb.in_silico_mutagenesis(model_of(WEIGHTS), sequences(), positions=[2, 7], path="full")
    for sizes, at_once in (((11,), None), ((4, 7), 3), ((1, 10), 100), ((5, 6), 5)):
        path = tmp_path / "ism.nc"
        n = tfb.stream(
            tfb.in_silico_mutagenesis,
            model_of(WEIGHTS),
            batches(*sizes),
            path,
            at_once=at_once,
            positions=[2, 7],
            path="full",
        )
        assert n == 11
        xr.testing.assert_identical(tfb.open_result(path), whole)
    tfb.stream(tfb.in_silico_mutagenesis, model_of(WEIGHTS), sequences(), path, positions=[2, 7], path="full")
    xr.testing.assert_identical(tfb.open_result(path), whole)
    assert os.listdir(tmp_path) == ["ism.nc"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import kipoi_tfbind as tfb
from test_stream import WEIGHTS, model_of, sequences

calls = 0

def in_silico_mutagenesis(model, part, **options):
    global calls
    calls += 1
    if calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return tfb.in_silico_mutagenesis(model, part, **options)

tfb.stream(in_silico_mutagenesis, model_of(WEIGHTS), sequences(), {path!r}, at_once=2, path="full")
"""


def test_killed_and_gone_on_with_it_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ism.nc"
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == -9, ran.stderr
    assert not path.exists()
    assert tfb.finished_sequences(path) == 6
    seen: list[int] = []

    def in_silico_mutagenesis(model: Any, part: xr.Dataset, **options: Any) -> xr.Dataset:
        seen.append(part.sizes["sequence"])
        return tfb.in_silico_mutagenesis(model, part, **options)

    tfb.stream(in_silico_mutagenesis, model_of(WEIGHTS), sequences(), path, at_once=3, path="full")
    assert seen == [3, 2]
    assert "going on after the 6 sequences" in capsys.readouterr().err
    whole = tfb.in_silico_mutagenesis(model_of(WEIGHTS), sequences(), path="full")
    found = tfb.open_result(path)
    # What the killed process had imported is among the versions.
    assert str(found.attrs["versions"]).startswith("kipoi_tfbind ")
    xr.testing.assert_identical(found.assign_attrs(versions=whole.attrs["versions"]), whole)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"end": 6}, "end was None, is now 6"),
        ({"positions": np.arange(3)}, r"positions was None, is now array \(3,\) [0-9a-f]{16}"),
        ({"path": "auto"}, "path was full, is now auto"),
    ],
)
def test_other_options_are_another_run(tmp_path: Path, changed: dict[str, Any], problem: str) -> None:
    path, model = tmp_path / "ism.nc", model_of(WEIGHTS)
    method = ism_that_fails_at(3)
    method.__signature__ = inspect.signature(tfb.in_silico_mutagenesis)
    with pytest.raises(KeyboardInterrupt):
        tfb.stream(method, model, sequences(), path, at_once=4, path="full")
    with pytest.raises(InputError, match=problem):
        tfb.stream(tfb.in_silico_mutagenesis, model, sequences(), path, **{"path": "full", **changed})
    # Nothing of the unfinished run is lost; the batch size and the check may differ.
    assert tfb.finished_sequences(path) == 8
    tfb.stream(tfb.in_silico_mutagenesis, model, sequences(), path, path="full", batch_size=5, verify=True)
    assert tfb.open_result(path).sizes["sequence"] == 11


def test_another_model_is_another_run_also_where_it_is_not_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "ism.nc"
    with pytest.raises(KeyboardInterrupt):
        tfb.stream(ism_that_fails_at(2), model_of(WEIGHTS), sequences(), path, at_once=4)
    with pytest.raises(InputError, match=r"is of another run \(model was"):
        tfb.stream(ism_that_fails_at(9), tfb.as_sequence_model([model_of(WEIGHTS)] * 2), sequences(), path)

    def bare(x: np.ndarray) -> np.ndarray:
        return x[:, :, 2].sum(axis=1)

    with pytest.raises(InputError, match="does not fit what is already in"):
        tfb.stream(ism_that_fails_at(9), bare, sequences(), path)


def test_mistakes(tmp_path: Path) -> None:
    model, path = model_of(WEIGHTS), tmp_path / "ism.nc"
    with pytest.raises(TypeError, match="positionz"):
        tfb.stream(tfb.in_silico_mutagenesis, model, sequences(), path, positionz=[1])
    with pytest.raises(InputError, match="at_once: expected at least 1, got 0"):
        tfb.stream(tfb.in_silico_mutagenesis, model, sequences(), path, at_once=0)
    with pytest.raises(InputError, match="no sequence to write"):
        tfb.stream(tfb.in_silico_mutagenesis, model, [], path)
    with pytest.raises(InputError, match="there is no folder"):
        tfb.stream(tfb.in_silico_mutagenesis, model, sequences(), tmp_path / "nowhere" / "ism.nc")
    assert os.listdir(tmp_path) == []
