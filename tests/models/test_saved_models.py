"""SavedModels with several inputs, and models whose graph cannot be followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import kipoi_tfbind as tfb
from kipoi_tfbind.cli import main
from kipoi_tfbind.testing import random_sequences
from tests import foreign_models as foreign

SEQUENCES = random_sequences(2, foreign.LENGTH, seed=3)
X = SEQUENCES["one_hot"].values
AGE = foreign.AUXILIARY
EXPECTED = foreign.auxiliary_probabilities(X)


class TwoInputs(tf.Module):
    """Its signature lists the inputs by name: `age` before `zequence`, which is its first argument."""

    def __init__(self, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        self.kernel = tf.Variable(foreign.KERNEL)
        self.dtype = dtype

    def run(self, zequence: Any, age: Any) -> Any:
        found = tf.nn.relu(tf.nn.conv1d(zequence, self.kernel, 1, "VALID") + foreign.BIAS)
        found = tf.reshape(
            found[:, : foreign.POSITIONS * foreign.POOL],
            (-1, foreign.POSITIONS, foreign.POOL, foreign.FILTERS),
        )
        logit = tf.einsum("npf,pft->nt", tf.reduce_max(found, axis=2), foreign.HEAD) + foreign.HEAD_BIAS
        return tf.sigmoid(logit + tf.cast(age, tf.float32) @ foreign.AUXILIARY_HEAD)


def saved(folder: Path, *, callable_: bool, age: tf.DType = tf.float32) -> Any:
    module = TwoInputs()
    specs = [
        tf.TensorSpec((None, foreign.LENGTH, 4), tf.float32, name="zequence"),
        tf.TensorSpec((None, 3), age, name="age"),
    ]
    function = tf.function(module.run, input_signature=specs)
    if callable_:
        module.__call__ = function
    module.function = function
    tf.saved_model.save(module, str(folder), signatures=function.get_concrete_function())
    return tf.saved_model.load(str(folder))


@pytest.mark.parametrize("callable_", [True, False], ids=["callable", "signature"])
def test_two_inputs(tmp_path: Path, callable_: bool) -> None:
    loaded = saved(tmp_path, callable_=callable_)
    model = tfb.as_sequence_model(loaded, length=foreign.LENGTH, auxiliary={"age": AGE.tolist()})
    assert model.output == "logit"
    np.testing.assert_allclose(foreign.sigmoid(model.predict(X)), EXPECTED, rtol=1e-5)
    tfb.gradients(model, SEQUENCES)
    # Integers of JSON go into an input of floating-point numbers, too.
    whole = tfb.as_sequence_model(loaded, length=foreign.LENGTH, auxiliary={"age": [1, 2, 3]})
    expected = foreign.auxiliary_probabilities(X, np.array([1, 2, 3]))
    np.testing.assert_allclose(foreign.sigmoid(whole.predict(X)), expected, rtol=1e-5)


def test_an_input_of_integers_and_one_of_another_name(tmp_path: Path) -> None:
    loaded = saved(tmp_path, callable_=False, age=tf.int32)
    model = tfb.as_sequence_model(loaded, length=foreign.LENGTH, auxiliary={"years": [1.0, 2.0, 3.0]})
    expected = foreign.auxiliary_probabilities(X, np.array([1, 2, 3]))
    np.testing.assert_allclose(foreign.sigmoid(model.predict(X)), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_an_entry_from_the_command_line(tmp_path: Path, kind: str) -> None:
    """`--auxiliary` is JSON; an entry with a list of inputs has them in its own order, by name."""
    saved(tmp_path / "entry" / "saved", callable_=False)
    inputs = {"zequence": {"shape": [foreign.LENGTH, 4]}, "age": {"shape": [3]}}
    entry = {
        "defined_as": "kipoi.model.TensorFlow2Model",
        "args": {"savedmodel_path": "saved"},
        "default_dataloader": ".",
        "info": {"authors": [{"name": "Nobody"}], "doc": "two inputs"},
        "schema": {
            "inputs": [{"name": name, "doc": name, **field} for name, field in inputs.items()]
            if kind == "list"
            else {name: {"doc": name, **field} for name, field in inputs.items()},
            "targets": {"shape": [2], "doc": "bound", "column_labels": ["A", "B"]},
        },
    }
    (tmp_path / "entry" / "model.yaml").write_text(_with_text_shapes(entry))
    (tmp_path / "s.fa").write_text("".join(f">{i}\n{s}\n" for i, s in enumerate(_strings())))
    arguments = ["ism", str(tmp_path / "entry"), "--source=dir", "--sequences", str(tmp_path / "s.fa")]
    arguments += ["--sequence-input", "zequence", "--auxiliary", json.dumps({"age": AGE.tolist()})]
    arguments += ["--start", "20", "--end", "22", "-o", str(tmp_path / "ism.nc")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = tfb.open_result(tmp_path / "ism.nc")
    np.testing.assert_allclose(foreign.sigmoid(found["prediction"].values), EXPECTED, rtol=1e-5)
    import kipoi

    kipoi_model = kipoi.get_model(str(tmp_path / "entry"), source="dir", with_dataloader=False)
    age = np.tile(AGE.astype(np.float64), (2, 1))
    batch: Any = [X, age] if kind == "list" else {"zequence": X, "age": age}
    np.testing.assert_allclose(kipoi_model.predict_on_batch(batch), EXPECTED, rtol=1e-5)


def _with_text_shapes(entry: Any) -> str:
    """JSON, which is YAML, with the shapes as Kipoi wants them: text."""

    def spelled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: str(tuple(v)) if k == "shape" else spelled(v) for k, v in value.items()}
        return [spelled(item) for item in value] if isinstance(value, list) else value

    return json.dumps(spelled(entry))


def _strings() -> list[str]:
    from kipoi_tfbind.dna.one_hot import decode_one_hot

    return decode_one_hot(X)


def test_a_graph_that_cannot_be_followed_still_predicts(capsys: pytest.CaptureFixture[str]) -> None:
    weights = np.random.default_rng(2).normal(size=(foreign.LENGTH, 4)).astype(np.float32)

    class Eager(tf.Module):
        """Leaves TensorFlow half-way, as wrappers of older code do."""

        def __call__(self, x: Any) -> Any:
            return tf.constant((x.numpy() * weights).sum(axis=(1, 2)))[:, tf.newaxis]

    model = tfb.as_sequence_model(Eager(), length=foreign.LENGTH, targets=["y"])
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 1
    assert "it gives predictions only" in notes[0]
    assert "use a method" not in notes[0]
    expected = (X * weights).sum(axis=(1, 2))
    np.testing.assert_allclose(model.predict(X)[:, 0], expected, rtol=1e-5)
    assert tfb.in_silico_mutagenesis(model, SEQUENCES, end=2).attrs["path"] == "full"
    with pytest.raises(tfb.errors.UnsupportedModelError, match="gradients"):
        tfb.gradients(model, SEQUENCES)
