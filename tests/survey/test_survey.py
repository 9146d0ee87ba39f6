"""Surveys of folders of real entries, good and bad, by the command."""

from __future__ import annotations

import json
import time
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

from kipoi.model import BaseModel


class Dies(BaseModel):
    def predict_on_batch(self, x):
        os.kill(os.getpid(), signal.{})
"""


def write_entries(folder: Path) -> None:
    for name in ("keras_3", "sklearn"):
        (folder / name).mkdir(parents=True)
        FOREIGN_MODELS[name].build(folder / name)
    description = yaml.safe_load((folder / "sklearn" / "model.yaml").read_text())
    description |= {"defined_as": "model.Dies", "args": {}}
    description["schema"]["inputs"]["shape"] = "(60, 4)"
    (folder / "broken").mkdir()
    (folder / "broken" / "model.yaml").write_text("type: [")
    (folder / "dies").mkdir()
    (folder / "dies" / "model.yaml").write_text(yaml.safe_dump(description))
    (folder / "dies" / "model.py").write_text(DIES.format("SIGKILL"))


def test_a_broken_entry_stops_nothing(tmp_path: Path) -> None:
    write_entries(tmp_path / "zoo")
    arguments = ["survey", str(tmp_path / "zoo"), "-o", str(tmp_path / "survey")]
    arguments += ["--method", "predict", "--method", "ism"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    records = {
        path.stem: json.loads(path.read_text()) for path in (tmp_path / "survey" / "records").glob("*.json")
    }
    assert set(records) == {"keras_3", "sklearn", "broken", "dies"}
    assert {name: found["runs"] for name, found in records["keras_3"]["methods"].items()} == {
        "predict": True,
        "ism": True,
    }
    assert records["keras_3"]["n_targets"] == 2
    assert "allow" in records["sklearn"]["problem"]
    assert "SIGKILL" in json.dumps(records["dies"])
    assert "problem" in records["broken"]
    page = (tmp_path / "survey" / "index.html").read_text()
    assert "SIGKILL" in page
    table = (tmp_path / "survey" / "survey.tsv").read_text().splitlines()
    assert len(table) == 5

    # What has a record is not tried again, what has half a record is.
    before = (tmp_path / "survey" / "records" / "keras_3.json").stat().st_mtime_ns
    record = tmp_path / "survey" / "records" / "broken.json"
    record.write_text(json.dumps({"state": "loading", "methods": {}}))
    started = time.monotonic()
    again = survey_source(str(tmp_path / "zoo"), tmp_path / "survey", methods=["predict", "ism"])
    assert (tmp_path / "survey" / "records" / "keras_3.json").stat().st_mtime_ns == before
    assert json.loads(record.read_text())["state"] == "done"
    assert list(again["model"]) == sorted(records)
    assert time.monotonic() - started < 600


def test_a_model_that_hangs_is_given_up(tmp_path: Path) -> None:
    write_entries(tmp_path / "zoo")
    table = survey_source(str(tmp_path / "zoo"), tmp_path / "survey", models=["keras_3"], timeout=0.2)
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
