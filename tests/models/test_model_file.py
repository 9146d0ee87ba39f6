"""A model that is a file or folder itself has the numbers of the object that was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError, TFBindError
from kipoi_tfbind.testing import random_sequences
from tests import same_weights

LENGTH = same_weights.LENGTH
SEQUENCES = random_sequences(3, LENGTH, seed=8)
ONE_HOT = SEQUENCES["one_hot"].values


def keras_3(path: Path) -> None:
    same_weights.keras_network().save(path)


def saved_model(path: Path) -> None:
    same_weights.keras_network().export(path, verbose=False)


def scripted(path: Path) -> None:
    torch.jit.script(same_weights.torch_network().eval()).save(path)


def whole(path: Path) -> None:
    torch.save(same_weights.torch_network(), path)


def exported(path: Path) -> None:
    batch = {0: torch.export.Dim("batch")}
    example = (torch.zeros(3, 4, LENGTH),)
    torch.export.save(
        torch.export.export(same_weights.torch_network().eval(), example, dynamic_shapes=(batch,)), path
    )


def estimator(path: Path) -> None:
    import joblib  # type: ignore[import-untyped]
    from sklearn.linear_model import LinearRegression

    x = random_sequences(300, LENGTH, seed=9)["one_hot"].values
    joblib.dump(LinearRegression().fit(x.reshape(300, -1), same_weights.logits(x)), path)


# Name, how it is written, whether it is a pickle, and its output.
KINDS: list[tuple[str, Callable[[Path], None], bool, str]] = [
    ("model.keras", keras_3, False, "logit"),
    ("model.h5", keras_3, False, "logit"),
    ("saved", saved_model, False, "logit"),
    ("scripted.pt", scripted, False, "logit"),
    ("whole.pth", whole, True, "logit"),
    ("exported.pt2", exported, False, "logit"),
    ("estimator.joblib", estimator, True, "raw"),
]


@pytest.mark.parametrize(("name", "write", "pickled", "output"), KINDS, ids=[kind[0] for kind in KINDS])
def test_it_is_loaded_and_explained(
    name: str, write: Callable[[Path], None], pickled: bool, output: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path)
    if pickled:
        with pytest.raises(InputError, match=rf"{name}: a .*pickle.*, which runs the code .* --allow-pickle"):
            tfb.load_model(str(path))
    model = tfb.load_model(str(path), allow_pickle=pickled)
    result = tfb.in_silico_mutagenesis(model, SEQUENCES, end=3)
    if output == "logit":
        np.testing.assert_allclose(result["prediction"], same_weights.logits(ONE_HOT), rtol=1e-5, atol=1e-5)
    assert model.output == output
    assert (result.attrs["model"], result.attrs["model_source"]) == (name, "file")
    assert len(result.attrs["model_hash"]) == 16

    fasta, out = tmp_path / "a.fa", tmp_path / "out.nc"
    letters = np.array(list("ACGT"))[ONE_HOT.argmax(axis=-1)]
    fasta.write_text("".join(f">{i}\n{''.join(row)}\n" for i, row in enumerate(letters)))
    options: list[Any] = ["--end", "3", "--length", LENGTH, "-o", out]
    command = ["ism", path, "--sequences", fasta, *options, *(["--allow-pickle"] if pickled else [])]
    ran = CliRunner().invoke(main, list(map(str, command)))
    assert ran.exit_code == 0, ran.output
    np.testing.assert_allclose(
        tfb.open_result(out)["mutation_effect"], result["mutation_effect"], rtol=0, atol=1e-6
    )


def test_an_ensemble_of_files(tmp_path: Path) -> None:
    keras_3(tmp_path / "one.keras")
    keras_3(tmp_path / "two.h5")
    fasta = tmp_path / "a.fa"
    fasta.write_text(f">a\n{'ACGT' * (LENGTH // 4)}\n")
    command = [
        "ism",
        tmp_path / "one.keras",
        tmp_path / "two.h5",
        "--sequences",
        fasta,
        "-o",
        tmp_path / "o.nc",
    ]
    ran = CliRunner().invoke(main, list(map(str, command)))
    assert ran.exit_code == 0, ran.output
    assert tfb.open_result(tmp_path / "o.nc").attrs["model"] == "ensemble of 2: one.keras, two.h5"


def test_a_saved_model_tells_its_length(tmp_path: Path) -> None:
    saved_model(tmp_path / "saved")
    assert tfb.load_model(str(tmp_path / "saved")).length == LENGTH


def test_what_is_no_model(tmp_path: Path) -> None:
    network = same_weights.torch_network()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(
        TFBindError, match=r"weights.pt: expected a whole module or TorchScript, got OrderedDict"
    ):
        tfb.load_model(str(tmp_path / "weights.pt"))
    same_weights.keras_network().save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(TFBindError, match=r"w.weights.h5: weights without their architecture"):
        tfb.load_model(str(tmp_path / "w.weights.h5"))
    (tmp_path / "broken.pt2").write_bytes(b"nonsense")
    with pytest.raises(TFBindError, match=r"broken.pt2': cannot be loaded: "):
        tfb.load_model(str(tmp_path / "broken.pt2"))


def test_a_file_has_no_dataloader(tmp_path: Path) -> None:
    keras_3(tmp_path / "model.keras")
    command = ["ism", tmp_path / "model.keras", "--dataloader_args", "a=b", "-o", tmp_path / "o.nc"]
    ran = CliRunner().invoke(main, list(map(str, command)))
    assert ran.exit_code == 1
    assert "model.keras: a file has no dataloader; give the sequences (--sequences)" in ran.stderr
