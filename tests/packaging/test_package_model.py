"""From a saved model to an entry that Kipoi's own commands test and run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from kipoi_tfbind import EntryText, SavedModel, in_silico_mutagenesis, load_model, package_model
from kipoi_tfbind.cli import main
from kipoi_tfbind.dna.random import random_sequences
from kipoi_tfbind.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from tests.conftest import KipoiCommand

EXAMPLES = Path(__file__).parents[2] / "model_zoo" / "TFBind" / "example_data"
FASTA, SITES = EXAMPLES / "chr20.hg19.1-1Mb.fa.gz", EXAMPLES / "ctcf_sites.bed"
TEXT = EntryText("net", ("A. Author",))
MODULE = """import torch


class Net(torch.nn.Module):
    def __init__(self, filters):
        super().__init__()
        self.convolution = torch.nn.Conv1d(4, filters, 7)
        self.dense = torch.nn.Linear(filters, 2)

    def forward(self, x):
        return self.dense(self.convolution(x).relu().amax(-1))
"""


class Doubled(keras.layers.Layer):
    """A layer that is not registered."""

    def call(self, x: Any) -> Any:
        return 2 * x


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    keras.utils.set_random_seed(0)
    x = keras.Input((60, 4))
    pooled = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(6, 7, activation="relu")(x))
    keras.Model(x, keras.layers.Dense(2, "sigmoid")(pooled)).save(folder / "net.keras")
    heads = {name: keras.layers.Dense(1, name=name)(pooled) for name in ("left", "right")}
    keras.Model(x, heads).save(folder / "heads.keras")
    other = keras.Input((3,))
    joined = keras.layers.Concatenate()([pooled, other])
    keras.Model([x, other], keras.layers.Dense(1)(joined)).save(folder / "two_inputs.keras")
    doubled = Doubled()(pooled)
    keras.Model(x, keras.layers.Dense(1)(doubled)).save(folder / "own_layer.keras")
    (folder / "net.py").write_text(MODULE)
    scope: dict[str, Any] = {}
    exec(MODULE, scope)
    torch.manual_seed(0)
    module = scope["Net"](5)
    torch.save(module.state_dict(), folder / "weights.pt")
    torch.save(torch.nn.Sequential(torch.nn.Conv1d(4, 2, 7)), folder / "pickle.pt")
    torch.jit.trace(module, torch.zeros(1, 4, 60)).save(folder / "traced.pt")
    return folder


def package_by_command(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, ["package", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.slow
def test_keras_from_a_file_to_predictions_of_kipoi(
    files: Path, tmp_path: Path, kipoi_cli: KipoiCommand
) -> None:
    entry = tmp_path / "net"
    kipoi_cli(
        *("tfbind", "package", files / "net.keras", "-o", entry, "--author", "A. Author"),
        *("--targets", "CTCF,MAX", "--fasta", FASTA, "--intervals", SITES, "--license", "MIT"),
    )
    model = keras.models.load_model(files / "net.keras")
    shutil.copy(files / "net.keras", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "net.keras"]

    # As it stands anywhere else, on other files.
    moved = entry.rename(tmp_path / "moved")
    bed = tmp_path / "site.bed"
    bed.write_text("chr20\t400000\t400060\n")
    arguments = f'{{"intervals_file": "{bed}", "fasta_file": "{FASTA}"}}'
    predictions = tmp_path / "predictions.tsv"
    kipoi_cli("test", moved, "--source=dir")
    kipoi_cli("predict", moved, "--source=dir", "-o", predictions, "--dataloader_args", arguments)
    row = pd.read_csv(predictions, sep="\t").iloc[0]

    from kipoi_tfbind import IntervalWindows

    window = next(IntervalWindows(bed, FASTA, length=60).batch_iter())["inputs"]
    np.testing.assert_allclose([row["preds/0"], row["preds/1"]], model(window)[0], rtol=1e-5)

    loaded = load_model(str(moved))
    assert (loaded.length, loaded.target_names, loaded.output) == (60, ("CTCF", "MAX"), "logit")
    card = (moved / "README.md").read_text()
    assert "chr20.hg19.1-1Mb.fa.gz" in card
    assert "2: CTCF, MAX" in card
    names = (moved / "example" / "windows.bed").read_text().split()[::3]
    assert all(name.startswith("chr20_") for name in names)


@pytest.mark.parametrize("kind", ["weights", "traced"])
def test_pytorch(files: Path, tmp_path: Path, kind: str) -> None:
    entry = tmp_path / "net"
    saved: Any = files / "traced.pt"
    if kind == "weights":
        saved = SavedModel(files / "weights.pt", files / "net.py", "Net", {"filters": 5})
    package_model(saved, entry, TEXT, length=60, targets=["a", "b"])
    description = yaml.safe_load((entry / "model.yaml").read_text())
    assert description["schema"]["inputs"]["shape"] == "(4, 60)"
    model = load_model(str(entry))
    assert model.target_names == ("a", "b")
    module = torch.jit.load(files / "traced.pt")
    one_hot = random_sequences(3, 60, seed=1)
    expected = module(torch.as_tensor(one_hot).swapaxes(1, 2)).detach().numpy()
    # float32 sums of some 30 numbers.
    np.testing.assert_allclose(model.predict(one_hot), expected, atol=1e-6)
    result = in_silico_mutagenesis(model, one_hot)
    assert result["mutation_effect"].shape == (3, 60, 4, 2)


def test_outputs_by_name(files: Path, tmp_path: Path) -> None:
    entry = package_model(files / "heads.keras", tmp_path / "heads", TEXT)
    assert load_model(str(entry)).target_names == ("left", "right")


def test_what_is_refused(files: Path, tmp_path: Path) -> None:
    entry = tmp_path / "net"
    (files / "text.txt").write_text("")
    for saved, options, words in (
        ("none.keras", {}, "no such file"),
        ("text.txt", {}, "expected a file of a Keras model"),
        ("weights.pt", {"length": 60}, "--code net.py --class Net"),
        ("pickle.pt", {"length": 60}, "--code net.py --class Net"),
        ("traced.pt", {}, "--length 1000"),
        ("net.keras", {"length": 50}, "60"),
        ("net.keras", {"targets": ["a"]}, "targets"),
        ("net.keras", {"fasta": FASTA}, "both or neither"),
        ("net.keras", {"fasta": FASTA, "intervals": "none.bed"}, "none.bed: no such file"),
        ("net.keras", {"n_examples": 0}, "at least 1"),
        ("own_layer.keras", {}, r"has 'Doubled', .*--code layers.py.* OBJECTS = {'Doubled': Doubled}"),
        ("two_inputs.keras", {}, "auxiliary|input"),
    ):
        with pytest.raises((InputError, UnsupportedModelError), match=words):
            package_model(files / saved, entry, TEXT, **options)
    with pytest.raises(InputError, match="the name of its class"):
        package_model(SavedModel(files / "weights.pt", files / "net.py"), entry, TEXT, length=60)
    wrong = SavedModel(files / "weights.pt", files / "net.py", "Net", {"filters": 7})
    with pytest.raises(InputError, match="not the weights of this module"):
        package_model(wrong, entry, TEXT, length=60)
    torch.save({"epoch": 3, "model_state_dict": {}}, files / "checkpoint.pt")
    nested = SavedModel(files / "checkpoint.pt", files / "net.py", "Net", {"filters": 5})
    with pytest.raises(InputError, match=r"keep the weights alone: .*\['model_state_dict'\]"):
        package_model(nested, entry, TEXT, length=60)
    with pytest.raises(InputError, match="at least one"):
        package_model(files / "net.keras", entry, EntryText("net", ()))
    with pytest.raises(InputError, match="make it first"):
        package_model(files / "net.keras", tmp_path / "no" / "net", TEXT)
    assert not list(tmp_path.iterdir())
    entry.mkdir()
    with pytest.raises(InputError, match="already there"):
        package_model(files / "net.keras", entry, TEXT)


def test_an_entry_that_fails_its_test_is_not_left(files: Path, tmp_path: Path) -> None:
    code = tmp_path / "net.py"
    # Another answer at every call: what is expected is not what comes.
    code.write_text(MODULE.replace("return self", "return torch.rand(()) + self"))
    saved = SavedModel(files / "weights.pt", code, "Net", {"filters": 5})
    with pytest.raises(InputError, match="`kipoi test` fails"):
        package_model(saved, tmp_path / "net", TEXT, length=60)
    assert [path.name for path in tmp_path.iterdir()] == ["net.py"]


def test_the_command_says_what_it_needs(files: Path, tmp_path: Path) -> None:
    result = package_by_command(files / "net.keras", "-o", tmp_path / "net")
    assert result.exit_code == 2
    assert "--author is needed" in result.output
    (tmp_path / "run").mkdir()
    result = package_by_command(tmp_path / "run", "--name", "x")
    assert "--group is needed" in result.output
