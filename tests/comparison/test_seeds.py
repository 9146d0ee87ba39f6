"""Agreement of maps across seeds: of models whose maps are known, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind import as_sequence_model
from kipoi_tfbind.architectures import motif_cnn
from kipoi_tfbind.comparison.seeds import add_seeds_agreement, agreement_of_models
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.card_tables import agreement_table
from kipoi_tfbind.training.config import Region, TrainingConfig, WindowsConfig
from tests.planted_genome import write_planted_genome

LENGTH = 30


def linear(weights: NDArray[np.float32]) -> Any:
    """A model of two targets, linear in its input, so that its maps follow from its weights."""
    sequence = keras.Input((LENGTH, 4))
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(sequence, dense(keras.layers.Flatten()(sequence)))
    dense.kernel.assign(ops.convert_to_tensor(weights.reshape(-1, 2)))
    return as_sequence_model(model, targets=["A", "B"])


def test_maps_of_the_same_shape_agree_and_unrelated_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, LENGTH, 4, 2)).astype(np.float32)
    one[..., 1] = 3 * two[..., 1]  # the second target: the same but for its scale
    codes = rng.integers(4, size=(60, LENGTH)).astype(np.uint8)
    labels = np.ones((60, 2), np.int8)
    labels[5:, 0] = 0
    found = agreement_of_models({"one": linear(one), "two": linear(two)}, codes, labels, n_windows=8)
    assert {name: found[name]["n_windows"] for name in found} == {"A": 5, "B": 8}
    assert found["B"]["cosine"]["value"] == pytest.approx(1, abs=1e-5)
    assert found["B"]["top_overlap"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    unrelated = found["A"]["cosine"]
    assert abs(unrelated["value"]) < 0.5
    assert unrelated["low"] < unrelated["value"] < unrelated["high"]
    metrics: dict[str, Any] = {"maps": {"n_models": 2, "n_windows": 8, "top": 20}, "targets": {}}
    metrics["targets"] = {name: {"agreement": each} for name, each in found.items()}
    assert "| B | 8 | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) |" in agreement_table(metrics)
    assert agreement_table({"targets": {}}) == ""


def test_a_run_that_was_not_evaluated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics\.json: no such file; evaluate the run first"):
        add_seeds_agreement(tmp_path, [], "genome.fa", tmp_path)


@pytest.mark.needs_bedtools
def test_agreement_is_added_to_what_evaluate_wrote(tmp_path: Path) -> None:
    write_planted_genome(tmp_path)
    small: dict[str, Any] = {"filters": 4, "second_filters": 4, "hidden_units": 4, "length": 200}
    config = TrainingConfig(
        architecture="motif_cnn",
        hyperparameters=small,
        targets={"factor": ("peaks.bed",)},
        validation=(Region("c", 0, 20_000),),
        test=(Region("c", 20_000, 40_000),),
        windows=WindowsConfig(bin_length=100, stride=25),
    )
    runs = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(runs):
        folder.mkdir()
        keras.utils.set_random_seed(seed)
        motif_cnn(**small).save(folder / "model.keras")
        (folder / "config.yaml").write_text(config.to_yaml())
        (folder / "metrics.json").write_text('{"split": "test", "targets": {"factor": {}}}')
    genome = tmp_path / "genome.fa"
    found = add_seeds_agreement(runs[0], runs, genome, tmp_path, n_windows=3)
    assert found == json.loads((runs[0] / "metrics.json").read_text())
    assert found["maps"] == {"n_models": 2, "n_windows": 3, "top": 20}
    assert found["targets"]["factor"]["agreement"]["n_windows"] == 3
    with pytest.raises(InputError, match="at least two models to compare, got 1"):
        add_seeds_agreement(runs[0], runs[:1], genome, tmp_path)
    other = replace(config, targets={"another": ("peaks.bed",)})
    (runs[1] / "config.yaml").write_text(other.to_yaml())
    with pytest.raises(InputError, match="two: other targets or another window"):
        add_seeds_agreement(runs[0], runs, genome, tmp_path)
