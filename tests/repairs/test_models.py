"""Kipoi's model classes on entries of other groups; each repair against the failure that it is for."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import joblib  # type: ignore[import-untyped]
import keras
import kipoi
import kipoi.model
import numpy as np
import pandas as pd
import pytest

from kipoi_tfbind.errors import InputError, UnsupportedModelError, WeightsError
from kipoi_tfbind.repairs.weight_files import ALLOW_PICKLE, allowing_pickle
from tests import foreign_models as foreign
from tests.foreign_models import FOREIGN_MODELS

# float32 against float64: probabilities to a few units of 2**-24, logits of up to 5 before them.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Folder of each entry, written when it is first asked for."""
    written: dict[str, Path] = {}

    def entry(name: str) -> Path:
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name)
            for package in FOREIGN_MODELS[name].frameworks:
                pytest.importorskip(package)
            FOREIGN_MODELS[name].build(written[name])
        return written[name]

    return entry


@pytest.fixture
def copy_of(entries, tmp_path):
    """A copy of an entry, to be changed."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(entries(name), tmp_path / name))

    return copy


@pytest.fixture(scope="module")
def unrepaired() -> ModuleType:
    """Kipoi's model classes as they are without the hook."""
    path = Path(kipoi.model.__file__)
    spec = importlib.util.spec_from_file_location("kipoi.model_without_repairs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_hot(n: int = 5, length: int = foreign.LENGTH, seed: int = 0) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(0, 4, (n, length))]


def get_model(folder: Path, **options: Any) -> Any:
    return kipoi.get_model(str(folder), source="dir", with_dataloader=False, **options)


def flat(outputs: Any) -> np.ndarray:
    """All outputs side by side: (sequence, target)."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    arrays = outputs if isinstance(outputs, list) else [outputs]
    assert all(isinstance(array, np.ndarray) for array in arrays)
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def assert_computes_network(model: Any, batch: Any = None) -> None:
    x = one_hot()
    found = flat(model.predict_on_batch(x if batch is None else batch(x)))
    np.testing.assert_allclose(found, foreign.probabilities(x), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FOREIGN_MODELS)
def test_every_entry_loads_and_predicts(name, entries):
    entry = FOREIGN_MODELS[name]
    with allowing_pickle(entry.pickled):
        model = get_model(entries(name))
    x = one_hot(length=entry.length or 47)
    outputs = model.predict_on_batch(entry.batch(x))
    expected = entry.expected(x)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(flat(outputs), expected, rtol=1e-6, atol=TOLERANCE)


@pytest.mark.parametrize(
    "name", ["keras_1_channels_first", "torch_basset", "dict_inputs", "list_inputs", "sklearn", "strings"]
)
def test_dataloaders_hand_out_what_the_entry_says(name, entries):
    folder, entry = entries(name), FOREIGN_MODELS[name]
    model = kipoi.get_model(str(folder), source="dir")
    files = folder / "example_files"
    loader = model.default_dataloader(str(files / "intervals.bed"), str(files / "genome.fa"))
    batch = next(loader.batch_iter(4))["inputs"]
    genome = (files / "genome.fa").read_text().splitlines()[1]
    windows = [genome[start : start + foreign.LENGTH] for start in (0, 37, 200, 433)]
    x = np.array(
        [[[base == other for other in "ACGT"] for base in window] for window in windows], dtype=np.float32
    )
    expected = entry.batch(x)
    for key in (
        expected
        if isinstance(expected, dict)
        else range(len(expected))
        if isinstance(expected, list)
        else [...]
    ):
        found = np.asarray(batch[key])
        assert found.shape == expected[key].shape
        np.testing.assert_array_equal(found, expected[key])
    np.testing.assert_allclose(
        flat(model.predict_on_batch(batch)), entry.expected(x), rtol=1e-6, atol=TOLERANCE
    )


class TestKeras:
    @pytest.mark.parametrize("name", ["keras_1_json", "keras_1_channels_first", "keras_2_image"])
    def test_old_architectures(self, name, entries, unrepaired, monkeypatch):
        monkeypatch.chdir(entries(name))
        arguments = get_model(entries(name)).args
        with pytest.raises((TypeError, ValueError, AttributeError)):
            unrepaired.KerasModel(**arguments)

    def test_attributes_are_those_of_kipoi(self, entries, unrepaired):
        ours = get_model(entries("keras_1_json"))
        kipois = unrepaired.KerasModel(str(entries("keras_3") / "model.keras"))
        assert vars(kipois).keys() <= vars(ours).keys()
        assert (ours.weights, ours.arch, ours.backend) == ("weights.h5", "model.json", "tensorflow")
        assert isinstance(ours, kipoi.model.KerasModel)

    def test_downloads_without_suffix(self, copy_of, unrepaired, monkeypatch):
        folder = copy_of("keras_3")
        content = (folder / "model.keras").read_bytes()
        path = folder / "0cc175b9c0f1b6a831c399e269772661"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="File format not supported"):
            unrepaired.KerasModel(str(path))
        assert_computes_network(kipoi.model.KerasModel(str(path)))

    def test_downloads_by_url(self, copy_of, tmp_path):
        """The whole way through Kipoi: a url and a checksum in model.yaml."""
        folder = copy_of("keras_2_h5")
        stored = tmp_path / "elsewhere.h5"
        (folder / "model.h5").rename(stored)
        from hashlib import md5

        url = {"url": stored.as_uri(), "md5": md5(stored.read_bytes()).hexdigest()}
        text = (folder / "model.yaml").read_text()
        assert "weights: model.h5" in text
        (folder / "model.yaml").write_text(text.replace("weights: model.h5", f"weights: {json.dumps(url)}"))
        assert_computes_network(get_model(folder))

    @pytest.mark.parametrize("name", ["weights.h5", "w.weights.h5", "0cc175b9c0f1b6a831c399e269772661"])
    def test_json_and_weights_of_keras_3(self, name, tmp_path, unrepaired):
        network = foreign.keras_network()
        (tmp_path / "model.json").write_text(network.to_json())
        network.save_weights(tmp_path / "w.weights.h5")
        (tmp_path / "w.weights.h5").rename(tmp_path / name)
        arguments = str(tmp_path / name), str(tmp_path / "model.json")
        if name == "w.weights.h5":
            assert_computes_network(unrepaired.KerasModel(*arguments))
        else:
            with pytest.raises((ValueError, KeyError)):
                unrepaired.KerasModel(*arguments)
        assert_computes_network(kipoi.model.KerasModel(*arguments))

    def test_whole_h5_of_keras_3(self, tmp_path):
        foreign.keras_network().save(tmp_path / "model.h5")
        assert_computes_network(kipoi.model.KerasModel(str(tmp_path / "model.h5")))

    def test_a_backend_that_is_no_more(self, entries, tmp_path):
        """`backend: theano` is put into the environment, and no Keras can be imported any more."""
        program = (
            "import sys, kipoi.model\n"
            "model = kipoi.model.KerasModel(sys.argv[1], backend='theano')\n"
            "print(model.backend, model.model.count_params())"
        )
        path = str(entries("keras_3") / "model.keras")
        process = run_python("-c", program, path)
        assert process.returncode == 0, process.stderr
        n_weights = sum(a.size for a in (foreign.KERNEL, foreign.BIAS, foreign.HEAD, foreign.HEAD_BIAS))
        assert process.stdout.split()[-2:] == ["theano", str(n_weights)]
        process = run_python("-S", "-c", program_without_hook(program), path)
        assert process.returncode != 0
        assert "theano" in process.stderr.splitlines()[-1]

    def test_an_ordering_of_axes_that_is_no_more(self, entries, unrepaired):
        arguments = {"weights": str(entries("keras_3") / "model.keras"), "image_dim_ordering": "th"}
        with pytest.raises(RuntimeError, match="only tf dim ordering"):
            unrepaired.KerasModel(**arguments)
        assert_computes_network(kipoi.model.KerasModel(**arguments))

    @pytest.mark.parametrize("name", ["objects.py", "0cc175b9c0f1b6a831c399e269772661"])
    def test_custom_objects(self, name, tmp_path, unrepaired):
        code = (
            "import keras\n\n"
            "class Double(keras.layers.Layer):\n    def call(self, x):\n        return 2 * x\n\n"
            "OBJECTS = {'Double': Double}\n"
        )
        (tmp_path / name).write_text(code)
        config = {"name": "d", "batch_input_shape": [None, 3]}
        saved = {
            "class_name": "Sequential",
            "config": [{"class_name": "Double", "config": config}],
            "keras_version": "2.0.4",
        }
        (tmp_path / "model.json").write_text(json.dumps(saved))
        with h5py.File(tmp_path / "w.h5", "w") as file:
            file.attrs["layer_names"] = [b"d"]
            file.create_group("d").attrs["weight_names"] = np.array([], dtype="S1")
        arguments = [str(tmp_path / file) for file in ("w.h5", "model.json", name)]
        model = kipoi.model.KerasModel(*arguments)
        np.testing.assert_array_equal(model.predict_on_batch(np.ones((1, 3))), [[2, 2, 2]])
        (tmp_path / name).write_text("from keras.engine.topology import Layer\n")
        with pytest.raises(
            UnsupportedModelError, match=r"objects do not run on today's Keras \(ModuleNotFoundError"
        ):
            kipoi.model.KerasModel(*arguments)

    def test_names_that_keras_3_does_not_take(self, tmp_path):
        """Keras 1 allowed them, and the entries' dataloaders have them as keys."""
        layers: list[dict[str, Any]] = [
            {
                "class_name": "InputLayer",
                "name": name,
                "config": {"batch_input_shape": [None, 2], "name": name},
                "inbound_nodes": [],
            }
            for name in ("data/a", "data b")
        ]
        merge: dict[str, Any] = {
            "class_name": "Merge",
            "name": "m",
            "config": {"name": "m", "mode": "concat", "concat_axis": -1},
        }
        merge["inbound_nodes"] = [[["data b", 0, 0], ["data/a", 0, 0]]]
        config = {
            "name": "the model",
            "layers": [*layers, merge],
            "input_layers": [["data/a", 0, 0], ["data b", 0, 0]],
            "output_layers": [["m", 0, 0]],
        }
        saved = {"class_name": "Model", "config": config, "keras_version": "1.2.2"}
        (tmp_path / "model.json").write_text(json.dumps(saved))
        with h5py.File(tmp_path / "w.h5", "w") as file:
            file.attrs["layer_names"] = np.array([], dtype="S1")
        model = kipoi.model.KerasModel(str(tmp_path / "w.h5"), str(tmp_path / "model.json"))
        batch = {"data/a": np.array([[1.0, 2.0]]), "data b": np.array([[3.0, 4.0]])}
        np.testing.assert_array_equal(model.predict_on_batch(batch), [[3, 4, 1, 2]])
        np.testing.assert_array_equal(model.predict_on_batch(list(batch.values())), [[3, 4, 1, 2]])


class TestTorch:
    torch = property(lambda self: pytest.importorskip("torch"))

    def test_numbers_of_another_type(self, entries, unrepaired, monkeypatch):
        monkeypatch.chdir(entries("torch"))
        model = get_model(entries("torch"))
        assert_computes_network(model, lambda x: foreign.channels_first(x).astype(np.float64))
        without = unrepaired.PyTorchModel(**model.args)
        with pytest.raises(RuntimeError, match="double"):
            without.predict_on_batch(foreign.channels_first(one_hot()).astype(np.float64))
        model.model.double()
        found = model.predict_on_batch(foreign.channels_first(one_hot()))
        assert found.dtype == np.float64

    def test_whole_numbers_stay(self, tmp_path):
        torch = self.torch
        code = "class Net(torch.nn.Embedding):\n    def __init__(self):\n        super().__init__(5, 2)\n"
        code = f"import torch\n\n\n{code}"
        (tmp_path / "net.py").write_text(code)
        torch.save({"weight": torch.arange(10.0).reshape(5, 2)}, tmp_path / "w.pt")
        model = kipoi.model.PyTorchModel(str(tmp_path / "w.pt"), "Net", module_file=str(tmp_path / "net.py"))
        np.testing.assert_array_equal(model.predict_on_batch(np.array([[4, 0]])), [[[8, 9], [0, 1]]])

    def test_weights_from_a_gpu(self, copy_of, unrepaired, monkeypatch):
        """Without a GPU, PyTorch does not put them elsewhere unless it is told where."""
        torch = self.torch
        folder = copy_of("torch")
        state = torch.load(folder / "weights.pt")
        with monkeypatch.context() as patch:
            patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
            torch.save(state, folder / "weights.pt")
        monkeypatch.chdir(folder)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        model = get_model(folder)
        assert_computes_network(model, foreign.channels_first)
        with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
            unrepaired.PyTorchModel(**model.args)

    def test_a_pickle_is_refused(self, entries, unrepaired, monkeypatch):
        folder = entries("torch_pickle")
        monkeypatch.delenv(ALLOW_PICKLE, raising=False)
        with pytest.raises(pickle.UnpicklingError):
            unrepaired.OldPyTorchModel(weights=str(folder / "model.pt"))
        with pytest.raises(InputError) as caught:
            get_model(folder)
        assert str(caught.value) == (
            f"{folder / 'model.pt'}: a whole pickled model, which runs the code that is in it when it "
            f"is loaded; if you trust its source, allow it: --allow-pickle, allow_pickle=True "
            f"or {ALLOW_PICKLE}=1"
        )

    def test_a_pickle_that_is_refused_runs_nothing(self, tmp_path, monkeypatch):
        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "run"),)

        self.torch.save({"weight": Trap()}, tmp_path / "w.pt")
        monkeypatch.delenv(ALLOW_PICKLE, raising=False)
        with pytest.raises(InputError, match="whole pickled model"):
            kipoi.model.OldPyTorchModel(weights=str(tmp_path / "w.pt"))
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("value", ["1", "0", ""])
    def test_a_pickle_that_is_allowed(self, value, entries, monkeypatch):
        monkeypatch.setenv(ALLOW_PICKLE, value)
        if value == "1":
            assert_computes_network(get_model(entries("torch_pickle")), foreign.channels_first)
        else:
            with pytest.raises(InputError):
                get_model(entries("torch_pickle"))

    def test_a_pickled_module_in_the_place_of_weights(self, copy_of, entries):
        folder = copy_of("torch")
        shutil.copy(entries("torch_pickle") / "model.pt", folder / "weights.pt")
        with pytest.raises(InputError, match="whole pickled model"):
            get_model(folder)
        with allowing_pickle():
            assert_computes_network(get_model(folder), foreign.channels_first)

    def test_torchscript(self, entries, copy_of, unrepaired):
        path = entries("torchscript") / "model.pt"
        with pytest.raises((pickle.UnpicklingError, RuntimeError)):
            unrepaired.OldPyTorchModel(weights=str(path))
        folder = copy_of("torch")
        shutil.copy(path, folder / "weights.pt")
        assert_computes_network(get_model(folder), foreign.channels_first)

    def test_a_function_that_builds_the_module(self, entries):
        folder = entries("torch")
        arguments = str(folder / "binding_network.py"), "Network", str(folder / "weights.pt")
        assert_computes_network(kipoi.model.OldPyTorchModel(*arguments), foreign.channels_first)
        with allowing_pickle():
            model = kipoi.model.OldPyTorchModel(*arguments[:2], str(entries("torchscript") / "model.pt"))
        assert_computes_network(model, foreign.channels_first)

    def test_weights_of_another_module(self, copy_of, entries):
        torch = self.torch
        folder = copy_of("torch")
        torch.save({"other": torch.zeros(3)}, folder / "weights.pt")
        with pytest.raises(
            WeightsError, match=r"weights.pt: not the weights of this module: Error\(s\) in loading"
        ):
            get_model(folder)
        torch.save(torch.zeros(3), folder / "weights.pt")
        with pytest.raises(WeightsError, match="expected a state dict or a module, got Tensor"):
            get_model(folder)
        with pytest.raises(
            InputError, match=r"expected a whole module or TorchScript, got .*weights alone .*tfbind package"
        ):
            kipoi.model.OldPyTorchModel(weights=str(entries("torch") / "weights.pt"))


class TestTensorFlow:
    def test_exported_by_keras_3(self, entries, unrepaired):
        model = unrepaired.TensorFlow2Model(str(entries("exported") / "exported"))
        with pytest.raises(TypeError, match="not callable"):
            model.predict_on_batch(one_hot())

    @pytest.mark.parametrize("name", ["saved_model", "exported"])
    def test_float64(self, name, entries):
        assert_computes_network(get_model(entries(name)), lambda x: x.astype(np.float64))

    def test_saved_by_keras_2(self, tmp_path, unrepaired):
        tf_keras = pytest.importorskip("tf_keras")
        a, b = tf_keras.Input((4,), name="a"), tf_keras.Input((3,), name="b")
        outputs = [tf_keras.layers.Dense(1)(a), tf_keras.layers.Dense(2)(b)]
        network = tf_keras.Model([a, b], outputs)
        network.save(tmp_path, save_format="tf")
        batch = [np.ones((2, 4)), np.ones((2, 3))]
        with pytest.raises(ValueError, match="Could not find matching concrete function"):
            unrepaired.TensorFlow2Model(str(tmp_path)).predict_on_batch(batch)
        found = kipoi.model.TensorFlow2Model(str(tmp_path)).predict_on_batch(batch)
        for array, expected in zip(found, network.predict_on_batch(batch), strict=True):
            np.testing.assert_allclose(array, expected, rtol=1e-6)
        with pytest.raises(ValueError, match="Could not find matching concrete function"):
            kipoi.model.TensorFlow2Model(str(tmp_path)).predict_on_batch(batch[:1])

    def test_signatures_and_several_outputs(self, tmp_path, unrepaired):
        import tensorflow as tf

        class Sums(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
            def sums(self, x):
                return {"sum": tf.reduce_sum(x, 1)}

            @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
            def __call__(self, x):
                return [tf.reduce_sum(x, 1), {"max": tf.reduce_max(x, 1)}]

        module = Sums()
        x = np.arange(8.0).reshape(2, 4)
        tf.saved_model.save(module, str(tmp_path / "called"))
        total, largest = kipoi.model.TensorFlow2Model(str(tmp_path / "called")).predict_on_batch(x)
        assert (total.tolist(), largest["max"].tolist()) == ([6, 22], [3, 7])
        outputs = unrepaired.TensorFlow2Model(str(tmp_path / "called")).predict_on_batch(x.astype("f4"))
        assert not isinstance(outputs[0], np.ndarray)

        class Signed(tf.Module):
            pass

        signed = Signed()
        signed.sums = module.sums
        tf.saved_model.save(signed, str(tmp_path / "signed"), signatures=module.sums)
        model = kipoi.model.TensorFlow2Model(str(tmp_path / "signed"))
        for batch in (x, [x], {"x": x}):
            assert model.predict_on_batch(batch).tolist() == [6, 22]
        tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
        with pytest.raises(UnsupportedModelError, match="its signatures are: none"):
            kipoi.model.TensorFlow2Model(str(tmp_path / "empty")).predict_on_batch(x)

    def test_a_checkpoint_leaves_tensorflow_2_on(self, entries):
        program = (
            "import sys, numpy as np, kipoi.model, tensorflow as tf, keras\n"
            "model = kipoi.model.TensorFlowModel('inputs', 'probabilities', sys.argv[1])\n"
            f"print(model.predict_on_batch(np.zeros((1, {foreign.LENGTH}, 4))).tolist())\n"
            "print(tf.executing_eagerly())\n"
            "keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]).predict_on_batch(np.zeros((1, 3)))"
        )
        path = str(entries("checkpoint") / "model.ckpt")
        process = run_python("-S", "-c", program_without_hook(program), path)
        assert process.returncode != 0, "Keras 3 fails once Kipoi has switched TensorFlow 2 off"
        assert process.stdout.splitlines()[-1] == "False"
        process = run_python("-c", program, path)
        assert process.returncode == 0, process.stderr
        lines = process.stdout.splitlines()
        np.testing.assert_allclose(
            json.loads(lines[-2]), foreign.probabilities(np.zeros((1, foreign.LENGTH, 4))), atol=TOLERANCE
        )
        assert lines[-1] == "True"

    def test_gradients_of_a_checkpoint(self, entries):
        model = get_model(entries("checkpoint"))
        x = one_hot(2)
        found = model.input_grad(x, filter_idx=1, layer="probabilities", final_layer=True)
        step = np.zeros_like(x, dtype=np.float64)
        step[:, 10, 2] = 1e-4
        change = foreign.probabilities(x + step) - foreign.probabilities(x - step)
        np.testing.assert_allclose(found[:, 10, 2], change[:, 1] / 2e-4, atol=1e-5)

    def test_constant_inputs_of_a_checkpoint(self, tmp_path):
        import tensorflow.compat.v1 as tf

        with tf.Graph().as_default(), tf.Session() as session:
            x, factor = (tf.placeholder(tf.float32, (None, 3), name=name) for name in ("x", "factor"))
            tf.multiply(x, factor * tf.Variable(2.0), name="product")
            session.run(tf.global_variables_initializer())
            tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        (tmp_path / "constants.pkl").write_bytes(pickle.dumps({"factor": np.full((1, 3), 5.0)}))
        model = kipoi.model.TensorFlowModel(
            {"x": "x"}, ["product"], str(tmp_path / "model.ckpt"), str(tmp_path / "constants.pkl")
        )
        (found,) = model.predict_on_batch({"x": np.ones((1, 3))})
        assert found.tolist() == [[10, 10, 10]]


class TestSklearn:
    def test_a_pickle_of_another_version(self, tmp_path, unrepaired):
        path = str(tmp_path / "model.pkl")
        Path(path).write_bytes(b"csklearn.linear_model.logistic\nLogisticRegression\n.")
        with pytest.raises(ModuleNotFoundError):
            unrepaired.SklearnModel(path)
        with pytest.raises(
            UnsupportedModelError, match=r"model.pkl: cannot be read with scikit-learn .*; install the"
        ):
            kipoi.model.SklearnModel(path)

    def test_a_method_that_is_not_there(self, tmp_path):
        path = str(tmp_path / "model.pkl")
        joblib.dump(object(), path)
        for method in ("predict_proba", "transform"):
            with pytest.raises(
                InputError, match=rf"predict_method: .* object in .*model.pkl has; got '{method}'"
            ):
                kipoi.model.SklearnModel(path, method)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("keras_3", "model.keras"),
            ("keras_1_json", "model.json"),
            ("torch", "weights.pt"),
            ("torchscript", "model.pt"),
            ("sklearn", "model.pkl"),
            ("checkpoint", "model.ckpt.meta"),
        ],
    )
    def test_missing_or_not_downloaded(self, name, file, copy_of):
        path = copy_of(name) / file
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3102\n")
        with pytest.raises(
            WeightsError, match=f"{path}: a placeholder of Git LFS, not the file; run `git lfs pull`"
        ):
            get_model(path.parent)
        path.unlink()
        with pytest.raises(WeightsError, match=f"{path}: no such file"):
            get_model(path.parent)


class TestModelsApart:
    def test_two_models_with_a_model_py(self, tmp_path):
        """An interactive Python looks for modules in the current folder, and remembers them."""
        folders = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            foreign.build_custom(folder)
            code = (
                (folder / "model.py")
                .read_text()
                .replace("class Binding(BaseModel):", f"class Binding(BaseModel):\n    mine = '{name}'\n")
            )
            (folder / "model.py").write_text(code)
            folders.append(str(folder))
        program = (
            "import sys, kipoi\n"
            "folders = sys.argv[1:]\n"
            "models = [kipoi.get_model(f, source='dir', with_dataloader=False) for f in folders]\n"
            "print(*[model.mine for model in models])"
        )
        assert (
            run_python("-S", "-c", program_without_hook(program), *folders).stdout.splitlines()[-1]
            == "first first"
        )
        assert run_python("-c", program, *folders).stdout.splitlines()[-1] == "first second"


class TestCommand:
    """`kipoi predict` itself."""

    @pytest.mark.needs_bedtools
    def test_an_old_architecture(self, entries, kipoi_cli, tmp_path):
        folder = entries("keras_1_json")
        files = folder / "example_files"
        arguments = json.dumps(
            {"intervals_file": str(files / "intervals.bed"), "fasta_file": str(files / "genome.fa")}
        )
        process = kipoi_cli(
            "predict",
            folder,
            "--source=dir",
            "--dataloader_args",
            arguments,
            "-o",
            tmp_path / "x.tsv",
            cwd=tmp_path,
        )
        assert (
            f"{folder}/model.json: model of Keras 1.2.2, converted to Keras {keras.__version__}"
            in process.stderr
        )
        genome = (files / "genome.fa").read_text().splitlines()[1]
        windows = np.array([list(genome[start : start + foreign.LENGTH]) for start in (0, 37, 200, 433)])
        expected = foreign.probabilities((windows[..., None] == list("ACGT")).astype(np.float32))
        table = pd.read_csv(tmp_path / "x.tsv", sep="\t")
        np.testing.assert_allclose(table[["preds/0", "preds/1"]], expected, atol=TOLERANCE)

    def test_a_pickle(self, entries, kipoi_cli, tmp_path, monkeypatch):
        monkeypatch.delenv(ALLOW_PICKLE, raising=False)
        folder = entries("torch_pickle")
        process = kipoi_cli("predict", folder, "--source=dir", "-o", "x.tsv", cwd=tmp_path, check=False)
        assert process.returncode == 1
        assert process.stderr.splitlines()[-1].startswith(
            f"error: {folder}/model.pt: a whole pickled model, which runs"
        )


def program_without_hook(program: str) -> str:
    """A program that finds the packages although the site module, which reads .pth files, is not there."""
    paths = [str(distribution("kipoi").locate_file("")), str(Path(__file__).parents[2])]
    return f"import sys; sys.path += {paths!r}\n{program}"


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    # KerasModel sets it, also in this process.
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
