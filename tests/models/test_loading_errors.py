"""Models that cannot be loaded: one line that says why, and of which file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from kipoi_tfbind import as_sequence_model, load_model
from kipoi_tfbind.errors import TFBindError

LENGTH = 8
YAML = f"""
defined_as: {{kind}}
args: {{args}}
info: {{{{authors: [{{{{name: somebody}}}}], doc: a model}}}}
schema:
  inputs:
    shape: ({LENGTH}, 4)
    doc: one-hot
  targets:
    shape: (1, )
    doc: a number
"""
KERAS_0 = {
    "name": "Sequential",
    "layers": [{"name": "Convolution1D", "nb_filter": 3}, {"name": "Dense", "output_dim": 1}],
}


def network() -> keras.Model:
    return keras.Sequential([keras.Input((LENGTH, 4)), keras.layers.Flatten(), keras.layers.Dense(1)])


def tensorflow_1(folder: Path) -> None:
    import tensorflow.compat.v1 as tf

    graph = tf.Graph()
    with graph.as_default(), tf.Session(graph=graph) as session:
        x = tf.placeholder(tf.float32, (None, LENGTH, 4), name="sequence")
        weight = tf.get_variable("weight", (LENGTH * 4, 1))
        tf.identity(tf.matmul(tf.reshape(x, (-1, LENGTH * 4)), weight), name="output")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt"))


def refused(folder: Path, kind: str, args: dict[str, Any]) -> str:
    (folder / "model.yaml").write_text(YAML.format(kind=kind, args=json.dumps(args)))
    with pytest.raises(TFBindError) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


KERAS = "kipoi.model.KerasModel"


def test_files_of_keras(tmp_path: Path) -> None:
    network().save_weights(tmp_path / "w.weights.h5")
    both = {"weights": "w.weights.h5", "arch": "a.json"}
    (tmp_path / "a.json").write_text(json.dumps(KERAS_0))
    assert "a.json: an architecture of Keras 0, whose layers have no class_name" in refused(
        tmp_path, KERAS, both
    )
    (tmp_path / "a.json").write_text("{")
    message = "a.json: expected the architecture of a Keras model as JSON (Expecting property name"
    assert message in refused(tmp_path, KERAS, both)
    (tmp_path / "a.json").write_text("[]")
    assert "a.json: expected the class_name and config" in refused(tmp_path, KERAS, both)

    alone = "w.weights.h5: weights without their architecture; name its JSON file (arch)"
    assert alone in refused(tmp_path, KERAS, {"weights": "w.weights.h5"})
    with h5py.File(tmp_path / "old.h5", "w") as file:  # as Keras 1 and 2 wrote them
        file.attrs["layer_names"] = [b"dense"]
    assert "old.h5: weights without" in refused(tmp_path, KERAS, {"weights": "old.h5"})
    (tmp_path / "text.h5").write_text("weights")
    assert "text.h5: no file of Keras" in refused(tmp_path, KERAS, {"weights": "text.h5"})


def test_custom_objects_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network().save(tmp_path / "model.keras")
    args = {"weights": "model.keras", "custom_objects": "layers.py"}
    (tmp_path / "model.yaml").write_text(YAML.format(kind=KERAS, args=json.dumps(args)))
    load_model(str(tmp_path))
    assert "layers.py: no such file of custom_objects; it is left out" in capsys.readouterr().err
    (tmp_path / "layers.py").write_text("import no_such_package\nOBJECTS = {}\n")
    message = "layers.py: the custom objects need the package no_such_package, which is not installed"
    assert message in refused(tmp_path, KERAS, args)


def test_nodes_of_tensorflow_1(tmp_path: Path) -> None:
    tensorflow_1(tmp_path)
    args = {"input_nodes": "sequenz", "target_nodes": "output", "checkpoint_path": "model.ckpt"}
    message = refused(tmp_path, "kipoi.model.TensorFlowModel", args)
    assert message.startswith(
        "input_nodes: the graph of this checkpoint has no node 'sequenz'; near it: sequence;"
    )
    assert message.endswith("its inputs: sequence")


def test_a_pickle_of_a_package_that_is_not_installed(tmp_path: Path) -> None:
    from kipoi_tfbind.repairs.weight_files import allowing_pickle

    # The pickle of an object of no_such_package.models.Model.
    (tmp_path / "model.pkl").write_bytes(b"cno_such_package.models\nModel\n)R.")
    with allowing_pickle():
        message = refused(tmp_path, "kipoi.model.SklearnModel", {"pkl_file": "model.pkl"})
    assert message.endswith(
        "made with the package no_such_package, which is not installed: pip install no_such_package"
    )


@pytest.mark.parametrize(
    ("kind", "args", "code", "message"),
    [
        (
            KERAS,
            {"weigths": "x"},
            "",
            "cannot be loaded: TypeError: .* unexpected keyword argument 'weigths'",
        ),
        ("kipoi.model.NoSuch", {}, "", "cannot be loaded: ImportError: Unable to import kipoi.model.NoSuch"),
        ("model.M", {}, "import no_such", "cannot be loaded: ImportError: .* No module named 'no_such'"),
        (
            "model.M",
            {},
            "class M: pass",
            "cannot be loaded: ValueError: .* inherit from kipoi.model.BaseModel",
        ),
    ],
)
def test_what_kipoi_and_a_models_own_code_raise(
    tmp_path: Path, kind: str, args: dict[str, Any], code: str, message: str
) -> None:
    import re

    (tmp_path / "model.py").write_text(code)
    assert re.search(message, refused(tmp_path, kind, args))


def test_an_output_without_a_position() -> None:
    def cropped(one_hot: np.ndarray) -> np.ndarray:
        return one_hot[:, 600:-600, :1]

    with pytest.raises(TFBindError, match=r"cropped: its output for 1000 bases is empty; say the length"):
        _ = as_sequence_model(cropped).target_names
    assert len(as_sequence_model(cropped, length=1203).target_names) == 3


def test_no_names_for_targets() -> None:
    with pytest.raises(TFBindError, match="targets: expected the name of each output, got none"):
        as_sequence_model(lambda one_hot: one_hot.sum(axis=1), targets=())
