"""The YAML file of a training run: what it may say, and what it is told when it may not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.config import FitConfig, Region, TrainingConfig, WindowsConfig

REPOSITORY = Path(__file__).parents[2]


def minimal() -> dict[str, Any]:
    return {
        "architecture": "motif_cnn",
        "hyperparameters": {"length": 400},
        "targets": {"CTCF": "ctcf.narrowPeak.gz", "MAX": ["a.bed", "b.bed"]},
        "validation": ["chr20:1,000-2,000"],
        "test": ["chr20:3000-4000", "chr21:0-4000"],
    }


def write(path: Path, entries: Any) -> Path:
    path.write_text(yaml.safe_dump(entries))
    return path


def test_minimal_file_gets_the_defaults(tmp_path: Path) -> None:
    config = TrainingConfig.from_yaml(write(tmp_path / "run.yaml", minimal()))
    assert config.windows == WindowsConfig()
    assert config.fit == FitConfig()
    assert config.targets == {"CTCF": ("ctcf.narrowPeak.gz",), "MAX": ("a.bed", "b.bed")}
    assert config.target_names == ["CTCF", "MAX"]
    assert config.length == 400
    assert config.validation == (Region("chr20", 1000, 2000),)
    assert config.test == (Region("chr20", 3000, 4000), Region("chr21", 0, 4000))
    assert config.contigs == ()
    assert config.motifs == {}
    assert (config.title, config.trained_on) == ("", "")


def test_one_region_or_contig_needs_no_list(tmp_path: Path) -> None:
    entries = minimal() | {"validation": "chr20:1-2", "contigs": "chr20"}
    config = TrainingConfig.from_yaml(write(tmp_path / "run.yaml", entries))
    assert config.validation == (Region("chr20", 1, 2),)
    assert config.contigs == ("chr20",)


def test_to_yaml_is_read_back_as_it_was(tmp_path: Path) -> None:
    entries = minimal() | {
        "title": "Binding: of two factors",
        "trained_on": "peaks #1",
        "contigs": ["chr20", "chr21"],
        "hyperparameters": {"length": 600, "dilation_rates": [1, 2]},
        "windows": {"stride": 50, "random": 2},
        "fit": {"learning_rate": 0.01, "seed": 7},
        "motifs": {"CTCF": "MA0139.1"},
        "motif_filters": ["MA0139.1"],
        "target_weights": {"MAX": 2.5},
        "regularise": {"motif_anchor": math.inf},
    }
    config = TrainingConfig.from_yaml(write(tmp_path / "run.yaml", entries))
    again = tmp_path / "again.yaml"
    again.write_text(config.to_yaml())
    assert TrainingConfig.from_yaml(again) == config
    assert TrainingConfig.from_yaml(again).to_yaml() == config.to_yaml()
    # Nothing is left to a default that a later version could change.
    assert set(yaml.safe_load(again.read_text())["fit"]) == set(FitConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    "name", ["HepG2-single", "HepG2-ensemble.member-1", "HepG2-ensemble.member-2", "CTCF-single"]
)
def test_configurations_of_the_zoo_are_read(name: str) -> None:
    config = TrainingConfig.from_yaml(REPOSITORY / "model_zoo" / "TFBind" / "training" / f"{name}.yaml")
    assert config.title
    assert config.trained_on


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("chr20:0-6,000,000", Region("chr20", 0, 6_000_000)),
        ("20:5-6", Region("20", 5, 6)),
        ("HLA-A*01:01:3-4", Region("HLA-A*01:01", 3, 4)),
    ],
)
def test_region_is_parsed(text: str, region: Region) -> None:
    assert Region.parse(text) == region
    assert Region.parse(str(region)) == region


@pytest.mark.parametrize("text", ["chr20", "chr20:5", "chr20:-5-10", "chr20:a-b", "chr20:,-,", ":1-2", ""])
def test_region_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected CONTIG:START-END, 0-based and half-open"):
        Region.parse(text)


@pytest.mark.parametrize("text", ["chr20:5-5", "chr20:6-5"])
def test_empty_region_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="start must lie before the end"):
        Region.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Region("a", 0, 10), Region("a", 9, 20), True),
        (Region("a", 0, 10), Region("a", 10, 20), False),
        (Region("a", 5, 6), Region("a", 0, 20), True),
        (Region("a", 0, 10), Region("b", 0, 10), False),
    ],
)
def test_overlap_of_regions(one: Region, other: Region, expected: bool) -> None:
    assert one.overlaps(other) is expected
    assert other.overlaps(one) is expected


@pytest.mark.parametrize("key", ["architecture", "hyperparameters", "targets", "validation", "test"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_missing_entry_is_named(tmp_path: Path, key: str, how: str) -> None:
    entries = minimal()
    if how == "absent":
        del entries[key]
    else:
        entries[key] = None
    assert_refused(tmp_path, entries, f"the entry {key!r} is missing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 5}, "unknown settings ['epochs']; known: ['architecture', "),
        ({"fit": {"epoch": 5}}, "fit: unknown settings ['epoch']; known: ['epochs', "),
        ({"windows": {"bins": 5}}, "windows: unknown settings ['bins']; known: ['bin_length', "),
        ({"windows": 200}, "windows: expected a mapping of settings, got 200"),
        ({"targets": ["a.bed"]}, "targets: expected a mapping of settings, got ['a.bed']"),
        ({"targets": {"A": 5}}, "targets: A: expected a text or a list of texts, got 5"),
        ({"targets": {"A,B": "a.bed"}}, "letters, digits and _ . + - only, got 'A,B'"),
        ({"targets": {False: "a.bed"}}, "_ . + - only, got False"),
        ({"hyperparameters": "length"}, "hyperparameters: expected a mapping of settings, got 'length'"),
        ({"hyperparameters": {"filters": 4}}, "at least bin_length (200) bp, got None"),
        ({"hyperparameters": {"length": 199}}, "at least bin_length (200) bp, got 199"),
        ({"hyperparameters": {"length": "400"}}, "at least bin_length (200) bp, got '400'"),
        ({"validation": ["chr20"]}, "region 'chr20': expected CONTIG:START-END"),
        ({"validation": [20]}, "validation: expected a text or a list of texts, got [20]"),
        ({"test": ["chr20:1999-2500"]}, "regions chr20:1000-2000 and chr20:1999-2500 overlap"),
        ({"motifs": {"CTFC": "MA0139.1"}}, "motifs: ['CTFC'] are no targets; targets: ['CTCF', 'MAX']"),
        ({"target_weights": {"B": 1}}, "target_weights: ['B'] are no targets; targets: ['CTCF', 'MAX']"),
        ({"target_weights": {"MAX": 0}}, "target_weights: MAX: expected a number above 0, got 0"),
        ({"target_weights": {"MAX": "2"}}, "target_weights: MAX: expected a number, got '2'"),
        ({"fit": {"balance": 2}}, "fit: balance: expected a number from 0 to 1, got 2"),
        (
            {"regularise": {"motif_anchor": 0.1}},
            "motif_anchor: no filter starts as a motif; give motif_filters",
        ),
        ({"fit": {"epochs": 0}}, "fit: epochs: expected a whole number of at least 1, got 0"),
        ({"fit": {"epochs": 1.5}}, "fit: epochs: expected a whole number, got 1.5"),
        ({"fit": {"seed": 2**64}}, "fit: seed: expected a whole number from 0 to 4294967295, got 1844"),
        ({"fit": {"seed": True}}, "fit: seed: expected a whole number, got True"),
        ({"fit": {"learning_rate": "1e-3"}}, "expected a number, got '1e-3'; write it with a point"),
        ({"windows": {"stride": 0}}, "windows: stride: expected a whole number of at least 1, got 0"),
        ({"windows": {"min_overlap": 0}}, "windows: min_overlap: expected a number from 0.01 to 1, got 0"),
        ({"windows": {"max_n": 5}}, "windows: max_n: expected a number from 0 to 1, got 5"),
    ],
)
def test_unusable_entry_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert_refused(tmp_path, minimal() | changes, message)


def test_exponent_without_a_point_is_a_text_to_yaml(tmp_path: Path) -> None:
    path = write(tmp_path / "run.yaml", minimal())
    path.write_text(path.read_text() + "fit: {weight_decay: 1e-3}\n")
    with pytest.raises(InputError, match=r"weight_decay.*1\.0e-3"):
        TrainingConfig.from_yaml(path)


@pytest.mark.parametrize("entries", [None, ["architecture"], "motif_cnn"])
def test_file_without_settings_is_refused(tmp_path: Path, entries: Any) -> None:
    assert_refused(tmp_path, entries, "the file: expected a mapping of settings")


@pytest.mark.parametrize("content", [b"targets: [", b"a: b: c", b"\xff\xfe\x00"])
def test_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.yaml: not valid YAML: ") as error:
        TrainingConfig.from_yaml(path)
    assert "\n" not in str(error.value)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml: cannot read .*No such file"):
        TrainingConfig.from_yaml(tmp_path / "no.yaml")
    with pytest.raises(InputError, match=r"cannot read .*Is a directory"):
        TrainingConfig.from_yaml(tmp_path)


def assert_refused(folder: Path, entries: Any, message: str) -> None:
    """The file is refused in one line that names it and ends as expected."""
    path = write(folder / "run.yaml", entries)
    with pytest.raises(InputError) as error:
        TrainingConfig.from_yaml(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
