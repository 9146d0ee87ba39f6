"""What may stand for a model, and what is said of the rest: names and objects at either door, layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.models.layout import Layout
from kipoi_tfbind.testing import random_sequences
from tests import same_weights

ONE_HOT = random_sequences(2, same_weights.LENGTH, seed=4)["one_hot"].values


def test_load_model_takes_a_model_at_hand(tmp_path: Path) -> None:
    module = same_weights.torch_network()
    model = tfb.load_model(module, length=same_weights.LENGTH)
    expected = same_weights.logits(ONE_HOT)
    np.testing.assert_allclose(model.predict(ONE_HOT), expected, rtol=1e-5, atol=1e-5)
    assert tfb.load_model(model) is model
    file = tmp_path / "model.pt"
    torch.jit.script(module.eval()).save(str(file))
    both = tfb.load_model([module, file], length=same_weights.LENGTH)
    assert len(both.members) == 2
    np.testing.assert_allclose(both.predict(ONE_HOT), expected, rtol=1e-5, atol=1e-5)


MISTAKES: list[tuple[Any, str]] = [
    (lambda: tfb.load_model(same_weights.logits, source="dir"), "source: is where a name is looked up, got"),
    (lambda: tfb.load_model(3), "model: expected the name of a file, got 3"),
    (lambda: tfb.as_sequence_model("a.keras"), "got the name 'a.keras'; load_model loads a file, a folder"),
    (lambda: tfb.as_sequence_model(Path("a.pt")), "got the name 'a.pt'; load_model"),
    (lambda: tfb.as_sequence_model(["a", "b"]), "got the name 'a'; load_model"),
    (lambda: tfb.deep_shap("a.keras", ["ACGT"]), "got the name 'a.keras'; load_model"),
    (
        lambda: tfb.as_sequence_model(same_weights.TorchNetwork),
        r"the class TorchNetwork; make one of it",
    ),
    (lambda: tfb.load_model(same_weights.TorchNetwork), "got the class TorchNetwork"),
    (lambda: tfb.load_model(same_weights.torch_network().state_dict()), r"got a OrderedDict; if it holds we"),
    (
        lambda: tfb.as_sequence_model(ONE_HOT),
        "expected a Kipoi, Keras, TensorFlow or PyTorch model, .* ndarr",
    ),
    (lambda: tfb.load_model([]), "at least one"),
]


@pytest.mark.parametrize(("call", "problem"), MISTAKES, ids=[str(n) for n in range(len(MISTAKES))])
def test_what_is_no_model(call: Any, problem: str) -> None:
    with pytest.raises((InputError, UnsupportedModelError), match=problem) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("NCL", "4,L"),
        ("NLC", "L,4"),
        ("(N, C, L)", "4,L"),
        ("BCHW", "4,1,L"),
        ("N,1,4,L", "1,4,L"),
        ("4L", "4,L"),
        ("channels_first", "4,L"),
        ("channels-last", "L,4"),
    ],
)
def test_layouts_of_other_habits_are_named(text: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"which is written '{meant}'$"):
        Layout.parse(text)
    Layout.parse(meant)


@pytest.mark.parametrize("text", ["L", "4,4", "N", "NCDHW", "", "L,3"])
def test_and_nothing_is_guessed(text: str) -> None:
    with pytest.raises(InputError, match=r"^layout: expected the axes") as error:
        Layout.parse(text)
    assert "which is written" not in str(error.value)


def test_a_head_of_a_model_that_has_one(tmp_path: Path) -> None:
    same_weights.keras_network().save(tmp_path / "model.keras")
    (tmp_path / "a.fa").write_text(">a\n" + "ACGT" * 15 + "\n")
    arguments = ["--sequences", str(tmp_path / "a.fa"), "--head", "x", "-o", str(tmp_path / "a.nc")]
    result = CliRunner().invoke(main, ["ism", str(tmp_path / "model.keras"), *arguments])
    assert result.exit_code == 1
    assert result.output == (
        "error: head: no output 'x'; this model has one output only; leave head out (--head)\n"
    )


def test_torchscript_says_its_error_and_not_its_code(tmp_path: Path) -> None:
    class Cropped(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 5000:-5000].reshape(len(x), 4, 101).sum(2)

    torch.jit.script(Cropped()).save(str(tmp_path / "model.pt"))
    problem = r"RuntimeError: shape .\[2, 4, 101\]. is invalid .*; say the length"
    with pytest.raises(InputError, match=problem) as error:
        tfb.load_model(tmp_path / "model.pt").target_names  # noqa: B018
    assert "__torch__" not in str(error.value)
