"""Files of data that run code when they are loaded are refused, of every kind, unless they are allowed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from kipoi_tfbind import load_model
from kipoi_tfbind.cli import main
from kipoi_tfbind.errors import InputError

ZOO = Path(__file__).parents[2] / "model_zoo" / "TFBind"
LENGTH = 8
YAML = """
defined_as: {kind}
args: {args}
info: {{authors: [{{name: somebody}}], doc: a model}}
schema:
  inputs:
    shape: ({length}, 4)
    doc: one-hot
  targets:
    shape: (1, )
    doc: a number
"""


class Writes:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (
            f"open({str(self.path)!r}, 'w').close() or __import__('sklearn.dummy').dummy.DummyClassifier()",
        )


def entry(folder: Path, kind: str, args: dict[str, Any]) -> Path:
    (folder / "model.yaml").write_text(YAML.format(kind=kind, args=json.dumps(args), length=LENGTH))
    return folder


def sklearn_pickle(folder: Path, ran: Path) -> Path:
    (folder / "model.pkl").write_bytes(pickle.dumps(Writes(ran)))
    return entry(folder, "kipoi.model.SklearnModel", {"pkl_file": "model.pkl"})


def sklearn_joblib(folder: Path, ran: Path) -> Path:
    import joblib  # type: ignore[import-untyped]

    joblib.dump(Writes(ran), folder / "model.joblib", compress=3)
    return entry(folder, "kipoi.model.SklearnModel", {"pkl_file": "model.joblib"})


def tensorflow_1_constants(folder: Path, ran: Path) -> Path:
    import tensorflow.compat.v1 as tf

    graph = tf.Graph()
    with graph.as_default(), tf.Session(graph=graph) as session:
        x = tf.placeholder(tf.float32, (None, LENGTH, 4), name="x")
        weight = tf.get_variable("weight", (LENGTH * 4, 1), initializer=tf.ones_initializer())
        tf.identity(tf.matmul(tf.reshape(x, (-1, LENGTH * 4)), weight), name="y")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt"))

    class Constants:
        def __reduce__(self) -> tuple[Any, ...]:
            return eval, (f"open({str(ran)!r}, 'w').close() or {{}}",)

    (folder / "constants.pkl").write_bytes(pickle.dumps(Constants()))
    args = {
        "input_nodes": "x",
        "target_nodes": "y",
        "checkpoint_path": "model.ckpt",
        "const_feed_dict_pkl": "constants.pkl",
    }
    return entry(folder, "kipoi.model.TensorFlowModel", args)


def with_lambda(ran: Path) -> keras.Model:
    path = str(ran)
    layers = keras.layers
    # Code as it is compiled into the file: it has no names but builtins.
    function = eval(f"lambda x: (open({path!r}, 'w').close(), x)[1]")
    code = layers.Lambda(function, output_shape=(LENGTH, 4))
    return keras.Sequential([keras.Input((LENGTH, 4)), code, layers.Flatten(), layers.Dense(1)])


def keras_file(suffix: str) -> Callable[[Path, Path], Path]:
    def build(folder: Path, ran: Path) -> Path:
        with_lambda(ran).save(folder / f"model{suffix}")
        ran.unlink(missing_ok=True)  # to build the model is to run it
        return entry(folder, "kipoi.model.KerasModel", {"weights": f"model{suffix}"})

    return build


def keras_architecture(folder: Path, ran: Path) -> Path:
    model = with_lambda(ran)
    (folder / "model.json").write_text(model.to_json())
    model.save_weights(folder / "model.weights.h5")
    ran.unlink(missing_ok=True)
    args = {"weights": "model.weights.h5", "arch": "model.json"}
    return entry(folder, "kipoi.model.KerasModel", args)


def yaml_tag(folder: Path, ran: Path) -> Path:
    model(folder)
    text = (folder / "model.yaml").read_text()
    tag = f"!!python/object/apply:builtins.open [{str(ran)!r}, w]"
    (folder / "model.yaml").write_text(text.replace("doc: a model", f"doc: a model, name: {tag}"))
    return folder


def yaml_directive(folder: Path, ran: Path) -> Path:
    """The same tag under another name."""
    yaml_tag(folder, ran)
    text = (folder / "model.yaml").read_text().replace("!!python", "!e!2002:python")
    (folder / "model.yaml").write_text(f"%TAG !e! tag:yaml.org,\n---\n{text}")
    return folder


def template(folder: Path, ran: Path) -> Path:
    model(folder)
    text = (folder / "model.yaml").read_text()
    reach = f"{{{{ cycler.__init__.__globals__.os.mkdir({str(ran)!r}) }}}}"
    (folder / "model.yaml").unlink()
    (folder / "model-template.yaml").write_text(text.replace("a model", f"a model {reach}"))
    (folder / "models.tsv").write_text("model\tname\nCTCF\tctcf\n")
    return folder / "CTCF"


def model(folder: Path) -> None:
    (folder / "model.py").write_text(
        "from kipoi.model import BaseModel\n\nclass Sum(BaseModel):\n"
        "    def predict_on_batch(self, x):\n        return x.sum(axis=(1, 2))[:, None]\n"
    )
    entry(folder, "model.Sum", {})


KINDS: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "scikit-learn": (sklearn_pickle, r"model.pkl: a pickle, which runs the code"),
    "joblib": (sklearn_joblib, r"model.joblib: a pickle, which runs the code"),
    "TensorFlow 1": (tensorflow_1_constants, r"constants.pkl: a pickle, which runs the code"),
    ".keras": (
        keras_file(".keras"),
        r"model.keras: a model with a Lambda layer of compiled Python code",
    ),
    ".h5": (keras_file(".h5"), r"model.h5: a model with a Lambda layer of compiled Python code"),
    "JSON": (keras_architecture, r"model.json: a model with a Lambda layer of compiled Python code"),
    "YAML": (yaml_tag, r"model.yaml: a tag of YAML that makes Python objects \(object/apply:builtins.open\)"),
    "YAML with a directive": (yaml_directive, r"model.yaml: a tag of YAML that makes Python objects"),
    "template": (template, r"model-template.yaml: a template that reaches into Python \("),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_refused_and_runs_when_it_is_allowed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KIPOI_TFBIND_ALLOW_PICKLE", raising=False)
    build, message = KINDS[kind]
    ran = tmp_path / "ran"
    (tmp_path / "entry").mkdir()
    name = str(build(tmp_path / "entry", ran))
    with pytest.raises(InputError, match=rf"{message}.*allow it: --allow-pickle, allow_pickle=True or KIPOI"):
        load_model(name)
    assert not ran.exists()
    try:
        load_model(name, allow_pickle=True)
    except Exception:
        # What came of the file is no model, in some of these; that it ran is what it is about.
        assert kind not in (".keras", ".h5", "JSON", "TensorFlow 1")
    assert ran.exists()


def test_the_commands_refuse_it_in_one_line(tmp_path: Path) -> None:
    ran, fasta = tmp_path / "ran", tmp_path / "a.fa"
    (tmp_path / "entry").mkdir()
    name = sklearn_pickle(tmp_path / "entry", ran)
    fasta.write_text(f">a\n{'A' * LENGTH}\n")
    arguments = [str(name), "--sequences", str(fasta), "-o", str(tmp_path / "x.nc")]
    for command in (["ism"], ["sampled-shapley"], ["occlusion"]):
        result = CliRunner().invoke(main, [*command, *arguments])
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert "model.pkl: a pickle, which runs the code" in result.stderr
    assert not ran.exists()
    CliRunner().invoke(main, ["ism", *arguments, "--allow-pickle"])
    assert ran.exists()


def test_kipoi_itself_loads_what_it_always_did(tmp_path: Path) -> None:
    import kipoi

    ran = tmp_path / "ran"
    (tmp_path / "entry").mkdir()
    kipoi.get_model(str(sklearn_pickle(tmp_path / "entry", ran)), source="dir", with_dataloader=False)
    assert ran.exists()


def test_the_models_of_the_zoo_need_nothing() -> None:
    prediction = load_model(str(ZOO / "CTCF-single")).predict(np.eye(4)[np.zeros((1, 400), int)])
    assert np.isfinite(prediction).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("args: [", r"model.yaml: no YAML \(while parsing"),
        ("args: {}", r"its model.yaml in .* cannot be read as one of Kipoi's"),
        ("- 1\n- 2\n", r"its model.yaml in .* cannot be read as one of Kipoi's"),
    ],
)
def test_a_description_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_model(str(tmp_path))
