"""A model is found in its folder by itself, and nothing that can only be a path is looked for elsewhere."""

from __future__ import annotations

from pathlib import Path

import kipoi.sources
import pytest

from kipoi_tfbind import load_model
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.find_entry import find_source
from tests.conftest import KipoiCommand

ZOO = Path(__file__).parents[2] / "model_zoo" / "TFBind"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("the zoo is asked for over the network")

    monkeypatch.setattr(kipoi.sources.GitSource, "pull_source", refuse)


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.yml").write_text("args: {}")
    return folder


def test_a_folder_with_a_model(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_source(str(entry)) == "dir"
    monkeypatch.chdir(entry.parent)
    assert find_source("mine") == find_source("./mine/") == "dir"
    monkeypatch.chdir(entry)
    assert find_source(".") == "dir"


def test_a_model_of_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_source(str(ZOO / "CTCF")) == find_source(str(ZOO / "HepG2" / "variants")) == "dir"
    monkeypatch.chdir(ZOO)
    assert find_source("CTCF/variants") == "dir"
    monkeypatch.chdir(ZOO.parent)
    assert load_model("TFBind/CTCF-single").target_names == ("CTCF",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (str(ZOO), r"a group of models; give one of them, .*/TFBind/NAME: CTCF, CTCF-single, CTCF"),
        (str(ZOO / "CTFC"), r"the group in .*/TFBind has no CTFC; did you mean CTCF\? it has CTCF"),
        (str(ZOO / "cards" / "x"), r"has no cards/x; it has CTCF"),
        (
            str(Path(__file__).parent),
            r"a folder without a model.yaml; expected .* or a SavedModel",
        ),
        (__file__, r"a file of no known kind; .* a file \(.keras, .h5, "),
        ("./nowhere", r"no such folder; expected the folder of a model.yaml"),
        ("~/nowhere", r"no such folder"),
        ("nowhere.keras", r"no such file; check the path"),
    ],
)
def test_a_path_without_a_model(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_source(name)


def test_a_file_of_a_model_needs_no_source(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_text("")
    with pytest.raises(InputError, match="it is a model itself: leave out --source"):
        find_source(str(tmp_path / "net.keras"), "dir")


def test_a_name_that_a_zoo_does_not_have(kipoi_cli: KipoiCommand, tmp_path: Path) -> None:
    """The zoo of this home is a local folder, which is there and empty."""
    output = tmp_path / "x.nc"
    process = kipoi_cli(
        "tfbind", "ism", "No/Such", "--sequences", "x.fa", "-o", output, cwd=tmp_path, check=False
    )
    assert process.returncode == 1
    lines = process.stderr.splitlines()
    assert lines[-1].startswith("error: model 'No/Such', source 'kipoi': model No/Such doesn't exist; ")


def test_a_zoo_that_could_not_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = kipoi.sources.GitSource("https://nowhere.invalid/models.git", str(tmp_path / "models"))
    monkeypatch.setattr(kipoi.sources.GitSource, "pull_source", lambda self: None)
    monkeypatch.setitem(kipoi.config.model_sources(), "kipoi", source)
    with pytest.raises(InputError, match=r"it could not be fetched to .*/models/, and no folder here"):
        find_source("DeepSEA/predict")
