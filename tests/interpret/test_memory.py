"""The memory budget: bytes known before anything runs, smaller steps, other paths, refusals."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import kipoi_tfbind as tfb
from kipoi_tfbind import memory
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import batch_of
from kipoi_tfbind.interpret._paths import EditPath
from kipoi_tfbind.testing import random_sequences

LENGTH = 600


class Dilated(nn.Module):
    """Residual blocks whose receptive field is the whole sequence, and the profile's middle."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(4, channels, 1)
        self.blocks = nn.ModuleList(
            nn.Conv1d(channels, channels, 11, dilation=d, padding="same") for d in (1, 4, 10, 25)
        )
        self.last = nn.Conv1d(channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.last(x)[:, :, LENGTH // 2]


@pytest.fixture(scope="module")
def model() -> tfb.SequenceModel:
    return tfb.as_sequence_model(Dilated(), length=LENGTH)


@pytest.fixture(scope="module")
def sequences() -> Any:
    return random_sequences(2, LENGTH, seed=1)


@pytest.fixture(autouse=True)
def reset() -> Iterator[None]:
    yield
    memory.set_memory_budget(None)


def test_the_budget_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    free = memory.memory_budget()
    assert free >= 256 << 20
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    (tmp_path / "memory.current").write_text("0\n")
    assert memory.memory_budget() == min(1 << 29, free)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.memory_budget() > 1 << 29
    monkeypatch.setenv(memory.VARIABLE, "3G")
    assert memory.memory_budget() == 3 << 30
    memory.set_memory_budget("200M")
    assert memory.memory_budget() == 200 << 20
    with pytest.raises(InputError, match="memory: expected a number of bytes such as 4G or 500M, got 'much'"):
        memory.set_memory_budget("much")


def test_results_do_not_depend_on_the_budget(model: tfb.SequenceModel, sequences: Any) -> None:
    def run() -> list[np.ndarray]:
        positions = [280, 290, 300, 320]
        single = tfb.in_silico_mutagenesis(model, sequences, positions=positions, path="incremental")
        pairs = tfb.second_order_mutagenesis(model, sequences, positions=positions, path="incremental")
        shap = tfb.deep_shap(model, sequences, n_references=6)
        return [single["mutation_effect"].values, pairs["epistasis"].values, shap["contribution"].values]

    whole = run()
    memory.set_memory_budget("3M")
    for found, expected in zip(run(), whole, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * scale)


def test_a_path_that_does_not_fit_is_not_taken(model: tfb.SequenceModel, sequences: Any) -> None:
    batch = batch_of(sequences, model)
    assert EditPath(model, batch).of(1, 3 * LENGTH) is not None
    assert EditPath(model, batch).of_pairs(30, 10_000) is not None
    memory.set_memory_budget("100K")
    assert EditPath(model, batch).of(1, 3 * LENGTH) is None
    assert EditPath(model, batch).of_pairs(30, 10_000) is None
    assert EditPath(model, batch, "incremental").of(1, 3 * LENGTH) is not None


def test_pairs_take_the_memory_that_was_said(model: tfb.SequenceModel, sequences: Any) -> None:
    """The estimate is an upper bound, and not a hundred times too large."""
    batch = batch_of(sequences, model)
    engine = EditPath(model, batch, "incremental").of_pairs(24, 1000)
    assert engine is not None
    cost = engine.pair_cost(24)
    positions, new = np.repeat(np.arange(296, 304), 3), np.tile([0, 1, 2], 8)
    one = batch.rows(np.array([0]))
    usage = _Allocated()
    with usage:
        pairs = engine.pairs(one.one_hot, one.auxiliary, positions, new)
        first, second = np.zeros(50, np.intp), np.full(50, 20)
        pairs.measure(first, second)
        pairs.predict(first, second)
    said = cost.prepared_bytes + 50 * cost.bytes_each
    assert said / 30 < usage.peak < 2 * said


class _Allocated(torch.utils._python_dispatch.TorchDispatchMode):
    """Largest number of bytes of PyTorch's storages that are alive at once."""

    def __enter__(self) -> Any:
        self.alive: dict[int, int] = {}
        self.peak = 0
        return super().__enter__()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        import weakref

        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage.data_ptr()
                if key not in self.alive:
                    self.alive[key] = storage.nbytes()
                    weakref.finalize(tensor, self.alive.pop, key, None)
        self.peak = max(self.peak, sum(self.alive.values()))
        return result


@pytest.mark.parametrize("verb", ["predict", "gradient"])
def test_batches_are_of_what_fits(model: tfb.SequenceModel, verb: str) -> None:
    """Known before anything runs, and an upper bound that is not ten times too large."""
    one_hot = random_sequences(24, LENGTH, seed=2)["one_hot"].values
    arguments = () if verb == "predict" else ({}, model.columns)
    run = getattr(model.evaluator, verb) if arguments else model.predict
    whole = run(one_hot, *arguments)
    backend = model.evaluator.backend  # type: ignore[attr-defined]
    inputs = model.evaluator.inputs(one_hot[:2], {})  # type: ignore[attr-defined]
    said = backend.bytes_per_row(inputs, backward=verb == "gradient")
    memory.set_memory_budget(5 * said)
    rows, usage = [], _Allocated()
    own = getattr(backend, verb)

    def watched(inputs: Any, *more: Any) -> Any:
        rows.append(len(inputs[0]))
        return own(inputs, *more)

    with pytest.MonkeyPatch.context() as patch, usage:
        patch.setattr(backend, verb, watched)
        found = run(one_hot, *arguments)
    assert rows == [5, 5, 5, 5, 4]
    # What it keeps for the user is beside the budget.
    assert said / 2 < usage.peak < 5 * said + whole.nbytes
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


def test_the_setup_counts_for_few_edits() -> None:
    """A TensorFlow model is compiled for its edits, which takes seconds: not for a handful of them."""
    import keras

    inputs = keras.Input((2000, 4))
    x = inputs
    for _ in range(6):
        x = keras.layers.Conv1D(32, 11, padding="same", activation="relu")(x)
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(x[:, 990:1010]))
    model = tfb.as_sequence_model(keras.Model(inputs, outputs))
    path = EditPath(model, batch_of(random_sequences(1, 2000), model))
    assert path.of(1, 12) is None
    assert path.of(1, 6000) is not None


def test_what_cannot_fit_is_refused_with_its_bytes(model: tfb.SequenceModel, sequences: Any) -> None:
    tracemalloc.start()
    with pytest.raises(
        InputError, match=r"n_references: .*1,000,000,000 references take \d+ TB, and arrays may"
    ):
        tfb.deep_shap(model, sequences, n_references=10**9)
    with pytest.raises(InputError, match=r"1,000,000,000 references for 1 sequences take 9.6 TB"):
        tfb.sampled_shapley(model, sequences, n_references=10**9)
    assert tracemalloc.get_traced_memory()[1] < 1 << 28
    tracemalloc.stop()


def test_memory_is_an_option_of_the_commands() -> None:
    result = CliRunner().invoke(main, ["ism", "no model", "--memory", "lots", "-o", "x.nc"])
    assert result.exit_code == 1
    assert "memory: expected a number of bytes such as 4G or 500M, got 'lots'" in result.output
