"""Shards of the importance of filters: joined, they are the bytes of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import kipoi_tfbind as tfb
from kipoi_tfbind.errors import InputError

LENGTH, N = 20, 75


@pytest.fixture(scope="module")
def model() -> tfb.SequenceModel:
    torch.manual_seed(0)
    parts = torch.nn.Conv1d(4, 5, 6), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(75, 2)
    return tfb.as_sequence_model(torch.nn.Sequential(*parts), length=LENGTH, targets=["a", "b"])


def sequences(seed: int = 0) -> xr.Dataset:
    rows = np.random.default_rng(seed).choice(list("ACGT"), size=(N, LENGTH))
    return tfb.encode_sequences(["".join(row) for row in rows])


def write(
    model: tfb.SequenceModel, path: Path, shard: str | None = None, seed: int = 0, **options: Any
) -> None:
    found = tfb.filter_motifs(model, sequences(seed), batch_size=10, shard=shard, **options)
    if shard is None or shard.startswith("1/"):
        # As `match_filters` does, which compiles for long.
        n = found.sizes["motif"]
        found = found.assign(match_name=(("motif", "rank"), [["known"]] * n)).assign_attrs(database="known")
    tfb.save_result(found, path)


@pytest.mark.parametrize("of", [1, 3, 10])
def test_joined_they_are_the_bytes_of_one_run(model: tfb.SequenceModel, tmp_path: Path, of: int) -> None:
    write(model, tmp_path / "whole.nc")
    parts = [tmp_path / f"{number}.nc" for number in range(1, of + 1)]
    for number, part in enumerate(parts, start=1):
        write(model, part, f"{number}/{of}")
    assert sum(tfb.open_result(part).sizes["sequence"] for part in parts) == N
    assert tfb.merge_shards(parts[::-1], tmp_path / "joined.nc") == N
    assert (tmp_path / "joined.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_other_options_and_sequences_are_refused_by_name(model: tfb.SequenceModel, tmp_path: Path) -> None:
    first, second = tmp_path / "1.nc", tmp_path / "2.nc"
    write(model, first, "1/2")
    with pytest.raises(InputError, match=r"missing.*2/2"):
        tfb.merge_shards([first], tmp_path / "joined.nc")
    write(model, second, "2/2", threshold=0.6)
    with pytest.raises(InputError, match=r"2\.nc: .*threshold was 0.5, is now 0.6"):
        tfb.merge_shards([first, second], tmp_path / "joined.nc")
    write(model, second, "2/2", seed=1)
    with pytest.raises(InputError, match=r"2\.nc: .*input was"):
        tfb.merge_shards([first, second], tmp_path / "joined.nc")
