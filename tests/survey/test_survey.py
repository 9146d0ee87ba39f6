"""Surveys of folders of real entries, good and bad, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kipoi_tfbind import survey_source
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError
from tests.foreign_models import FOREIGN_MODELS

DIES = """import os
import signal

import numpy as np
from kipoi.model import BaseModel


class Dies(BaseModel):
    def predict_on_batch(self, x):
        if len(x) > 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return x.sum(axis=(1, 2))[:, np.newaxis]
"""


def write_entries(folder: Path) -> None:
    for name in ("list_inputs", "sklearn"):
        (folder / name).mkdir(parents=True)
        FOREIGN_MODELS[name].build(folder / name)
    description = yaml.safe_load((folder / "sklearn" / "model.yaml").read_text())
    description |= {"defined_as": "model.Dies", "args": {}}
    description["schema"]["inputs"]["shape"] = "(60, 4)"
    (folder / "broken").mkdir()
    (folder / "broken" / "model.yaml").write_text("type: [")
    description["schema"]["targets"] = {"shape": "(1,)", "doc": "y"}
    (folder / "dies").mkdir()
    (folder / "dies" / "model.yaml").write_text(yaml.safe_dump(description))
    (folder / "dies" / "model.py").write_text(DIES)


@pytest.mark.slow
def test_a_broken_entry_stops_nothing(tmp_path: Path) -> None:
    write_entries(tmp_path / "zoo")
    arguments = ["survey", str(tmp_path / "zoo"), "-o", str(tmp_path / "survey")]
    arguments += ["--method", "predict", "--method", "ism", "--method", "filters"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    records = {
        path.stem: json.loads(path.read_text()) for path in (tmp_path / "survey" / "records").glob("*.json")
    }
    assert set(records) == {"list_inputs", "sklearn", "broken", "dies"}
    # A sequence and another input, in a list that its own dataloader makes.
    known = records["list_inputs"]
    assert {name: found.get("why") for name, found in known["methods"].items()} == dict.fromkeys(
        ("predict", "ism", "filters")
    )
    assert (known["example"], known["auxiliary"], known["n_targets"]) == ("its own", ["chromatin"], 2)
    assert "allow" in records["sklearn"]["problem"]
    ended = {name: found.get("why", "") for name, found in records["dies"]["methods"].items()}
    assert ended["predict"] == ""
    assert "ended by SIGKILL" in ended["ism"]
    assert "cannot be traced" in ended["filters"]  # tried in another process
    assert "problem" in records["broken"]
    page = (tmp_path / "survey" / "index.html").read_text()
    assert "SIGKILL" in page
    table = (tmp_path / "survey" / "survey.tsv").read_text().splitlines()
    assert len(table) == 5

    # What has a record is not tried again, what has half a record is.
    before = (tmp_path / "survey" / "records" / "list_inputs.json").stat().st_mtime_ns
    record = tmp_path / "survey" / "records" / "broken.json"
    record.write_text(json.dumps({"state": "loading", "methods": {}}))
    again = survey_source(str(tmp_path / "zoo"), tmp_path / "survey", methods=["predict", "ism", "filters"])
    assert (tmp_path / "survey" / "records" / "list_inputs.json").stat().st_mtime_ns == before
    assert json.loads(record.read_text())["state"] == "done"
    assert list(again["model"]) == sorted(records)
    # Nor is one that lacks a method complete.
    survey_source(str(tmp_path / "zoo"), tmp_path / "survey", models=["list_inputs"], methods=["occlusion"])
    record = json.loads((tmp_path / "survey" / "records" / "list_inputs.json").read_text())
    assert {name: found["runs"] for name, found in record["methods"].items()} == dict.fromkeys(
        ("predict", "ism", "filters", "occlusion"), True
    )


def test_a_model_that_hangs_is_given_up(tmp_path: Path) -> None:
    write_entries(tmp_path / "zoo")
    table = survey_source(str(tmp_path / "zoo"), tmp_path / "survey", models=["list_inputs"], timeout=0.2)
    assert table["problem"].tolist() == ["starting: given up after 0.2 s"]


def test_what_is_refused(tmp_path: Path) -> None:
    write_entries(tmp_path / "zoo")
    for source, options, words in (
        ("nowhere", {}, "no such folder, and Kipoi's sources are"),
        (str(tmp_path), {"methods": ["imp"]}, "got imp"),
        (str(tmp_path / "zoo"), {"models": ["keras"]}, "has no 'keras'; it has broken"),
        (str(tmp_path / "zoo"), {"timeout": 0}, "some seconds"),
    ):
        with pytest.raises(InputError, match=words):
            survey_source(source, tmp_path / "survey", **options)
