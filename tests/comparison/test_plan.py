"""Plans of comparisons: what is combined, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kipoi_tfbind.comparison.plan import read_comparison
from kipoi_tfbind.errors import InputError

REPOSITORY = Path(__file__).parents[2]


def plan() -> dict[str, Any]:
    return {
        "title": "A comparison",
        "seeds": [1, 2],
        "base": {
            "architecture": "motif_cnn",
            "hyperparameters": {"length": 200, "filters": 8},
            "targets": {"A": "a.bed"},
            "validation": "c:0-1000",
            "test": "c:2000-3000",
            "fit": {"epochs": 2},
        },
        "factors": {
            "activation": {"exponential": {}, "relu": {"hyperparameters": {"activation": "relu"}}},
            "training": {
                "plain": None,
                "noise": {"augment": {"noise": 0.1}},
                "mixup": {"augment": {"mixup": 1}},
            },
        },
        "grid": [{"training": ["plain", "noise"]}, {"activation": ["exponential", "relu"]}],
    }


def write(folder: Path, entries: Any) -> Path:
    (folder / "plan.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    return folder / "plan.yaml"


def test_settings_are_the_combinations_of_the_grid_once_each(tmp_path: Path) -> None:
    found = read_comparison(write(tmp_path, plan()))
    assert [setting.name for setting in found.settings] == [
        "exponential_plain",
        "exponential_noise",
        "relu_plain",
    ]
    assert [(setting.name, seed) for setting, seed in found.runs()] == [
        ("exponential_plain", 1),
        ("exponential_noise", 1),
        ("exponential_plain", 2),
        ("exponential_noise", 2),
        ("relu_plain", 1),
        ("relu_plain", 2),
    ]
    relu = found.settings[2].config(7)
    assert relu.hyperparameters == {"length": 200, "filters": 8, "activation": "relu"}
    assert (relu.fit.epochs, relu.fit.seed) == (2, 7)
    assert found.settings[1].config(1).augment.noise == 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "the entry 'seeds' is missing"),
        ({"seeds": ["one"]}, "seeds: expected a list of whole numbers, got ['one']"),
        ({"rows": 1}, "unknown entries ['rows']"),
        ({"grid": [{"depth": 3}]}, "grid: ['depth'] are no factors; factors: ['activation', 'training']"),
        ({"grid": [{"training": "dropout"}]}, "grid: training has no levels ['dropout']; levels: ['plain', "),
        ({"grid": {"training": "plain"}}, "grid: expected a list of mappings"),
        (
            {"factors": {"a": {"b/c": {}}}},
            "factors: a: a level is letters, digits and _ . + - only, got 'b/c'",
        ),
        (
            {"factors": {"a": {"b": 1}}, "grid": [{}]},
            "factors: a: b: expected entries that it changes, got 1",
        ),
        (
            {"factors": {"a": {"b": {"fit": {"epochs": 0}}}}, "grid": [{}]},
            "b: fit: epochs: expected a whole number",
        ),
    ],
)
def test_unusable_plan_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, plan() | changes)
    with pytest.raises(InputError) as error:
        read_comparison(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_the_comparison_of_the_repository_is_read() -> None:
    found = read_comparison(REPOSITORY / "benchmarks" / "architectures.yaml")
    assert len({setting.name for setting in found.settings}) == len(found.settings) > 5
    assert len(found.seeds) >= 3
