"""Models of Keras 1 and 2 against what those versions predicted themselves, and against tf_keras."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from kipoi_tfbind.errors import UnsupportedModelError, WeightsError
from kipoi_tfbind.repairs import legacy_keras
from kipoi_tfbind.repairs.legacy_keras import keras1, layers, weights
from kipoi_tfbind.repairs.legacy_keras.layers import keras_2_hard_sigmoid

SAVED = Path(__file__).parent / "legacy_keras"
FILES = sorted(path for path in SAVED.glob("keras_*/*.h5") if path.stem not in ("python_code",))
# Values up to about 2 in float32, whose sums the backends order otherwise: a few units of 2**-23.
TOLERANCE = 1e-6


def architecture_of(path: Path) -> Path | None:
    return None if path.name.endswith(".whole.h5") else path.with_suffix(".json")


def stored_arrays(path: Path, letter: str) -> list[np.ndarray]:
    """Inputs ("x") or predictions ("y") that were stored with a model."""
    arrays = np.load(path.with_name(path.name.split(".")[0] + ".npz"))
    return [arrays[f"{letter}{i}"] for i in range(len(arrays)) if f"{letter}{i}" in arrays]


def predictions(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    outputs = model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
    return [np.asarray(output) for output in (outputs if isinstance(outputs, list) else [outputs])]


def load(path: Path, **options: Any) -> Any:
    return legacy_keras.load_legacy_model(path, architecture_of(path), **options)


def assert_predicts_as_stored(model: Any, path: Path) -> None:
    found, expected = predictions(model, stored_arrays(path, "x")), stored_arrays(path, "y")
    assert len(found) == len(expected)
    for array, stored in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, stored, rtol=0, atol=TOLERANCE)
        assert np.ptp(stored) > 100 * TOLERANCE


class TestSavedByOldKeras:
    """Files and predictions of Keras 1.2.2 and Keras 2.2.4 themselves: see legacy_keras/README.md."""

    @pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}-{path.name}" for path in FILES])
    def test_predictions(self, path, capsys):
        architecture = architecture_of(path)
        assert (
            legacy_keras.is_legacy_architecture(architecture)
            if architecture
            else legacy_keras.is_legacy_model_file(path)
        )
        model = load(path, backend="theano")
        assert type(model).__module__.startswith("keras.")
        version = "1.2.2" if path.parent.name == "keras_1" else "2.2.4"
        assert capsys.readouterr().err == (
            f"kipoi_tfbind: {architecture or path}: model of Keras {version}, "
            f"converted to Keras {keras.__version__}\n"
        )
        assert_predicts_as_stored(model, path)

    def test_files_name_their_backend_since_keras_2(self, capsys):
        path = SAVED / "keras_2" / "sequential.h5"
        assert_predicts_as_stored(load(path), path)
        assert "assumed" not in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["shared_branches.h5", "whole.whole.h5", "channels_first.h5"])
    def test_tensorflow_is_assumed_of_keras_1(self, name, tmp_path, capsys):
        """Theano convolves with the kernel turned round: turned round once more it is TensorFlow's."""
        path = SAVED / "keras_1" / name
        for source in path.parent.glob(f"{name.split('.')[0]}.*"):
            shutil.copy(source, tmp_path)
        copy = tmp_path / name
        unturned = predictions(load(copy), stored_arrays(copy, "x"))
        expected = stored_arrays(copy, "y")
        assert max(np.abs(a - b).max() for a, b in zip(unturned, expected, strict=True)) > 100 * TOLERANCE
        assert "its files name no backend: TensorFlow is assumed" in capsys.readouterr().err

        with h5py.File(copy, "r+") as file:
            for kernel in kernels(file):
                window = (0, 1) if name != "channels_first.h5" else (2, 3)
                kernel[...] = np.flip(kernel[...], window)
        assert_predicts_as_stored(load(copy), copy)

    def test_kernels_from_before_keras_1_1(self, tmp_path):
        path = SAVED / "keras_1" / "nested.h5"
        for source in path.parent.glob("nested.*"):
            shutil.copy(source, tmp_path)
        copy = tmp_path / path.name
        with h5py.File(copy, "r+") as file:
            (kernel,) = kernels(file)
            name, older = kernel.name, kernel[...].transpose(3, 2, 0, 1)
            assert older.shape == (4, 4, 3, 1)
            del file[name]
            file[name] = older
        assert_predicts_as_stored(load(copy, backend="theano"), copy)

    def test_weights_of_other_names_go_by_order(self, tmp_path):
        path = SAVED / "keras_2" / "sequential.h5"
        for source in path.parent.glob("sequential.*"):
            shutil.copy(source, tmp_path)
        copy = tmp_path / path.name
        with h5py.File(copy, "r+") as file:
            names = [f"other_{i}" for i in range(len(file.attrs["layer_names"]))]
            for new, old in zip(names, file.attrs["layer_names"], strict=True):
                file.move(old, new)
            # A long list of names is stored in parts.
            del file.attrs["layer_names"]
            file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]
        assert_predicts_as_stored(load(copy), copy)

    def test_a_converted_model_can_be_saved(self, tmp_path):
        path = SAVED / "keras_2" / "sequential.h5"
        load(path).save(tmp_path / "converted.keras")
        assert_predicts_as_stored(keras.models.load_model(tmp_path / "converted.keras"), path)

    def test_python_code_is_not_run(self):
        path = SAVED / "keras_1" / "python_code.h5"
        with pytest.raises(
            UnsupportedModelError, match=r"python_code.json: layer 'lambda_1' \(Lambda\): it holds compiled"
        ):
            load(path)


def kernels(file: Any) -> list[Any]:
    """Kernels of convolutions in a file of Keras 1."""
    found = []
    file.visititems(lambda name, item: found.append(item) if getattr(item, "ndim", 0) == 4 else None)
    return found


def test_what_is_left_to_keras_3(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    (tmp_path / "model.json").write_text(model.to_json())
    model.save(tmp_path / "model.h5")
    assert not legacy_keras.is_legacy_architecture(tmp_path / "model.json")
    assert not legacy_keras.is_legacy_model_file(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    assert not legacy_keras.is_legacy_model_file(tmp_path / "model.keras")
    assert not legacy_keras.is_tf_keras_archive(tmp_path / "model.keras")
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert not legacy_keras.is_legacy_architecture(tmp_path / "other.json")


@pytest.fixture(scope="module")
def tf_keras():
    return pytest.importorskip("tf_keras")


@pytest.fixture
def save(tmp_path):
    def save(model: Any, *, whole: bool) -> tuple[Path, Path | None]:
        """Save a model of tf_keras as Keras 2 did; return weights and architecture."""
        if whole:
            model.save(tmp_path / "model.h5")
            return tmp_path / "model.h5", None
        (tmp_path / "model.json").write_text(model.to_json())
        model.save_weights(tmp_path / "weights.h5")
        return tmp_path / "weights.h5", tmp_path / "model.json"

    return save


def random_weights(model: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    model.set_weights([np.abs(rng.normal(0, 0.5, weight.shape)) for weight in model.get_weights()])
    return model


def one_dimensional(tk: Any) -> Any:
    kl = tk.layers
    x = tk.Input((24, 4), name="seq")
    hidden = kl.Conv1D(6, 3, padding="causal", activation="swish")(x)
    hidden = kl.SeparableConv1D(5, 3, depth_multiplier=2, activation="gelu")(hidden)
    hidden = kl.LayerNormalization()(hidden)
    hidden = kl.BatchNormalization(axis=-1)(hidden)
    hidden = kl.Conv1DTranspose(4, 3, strides=2)(hidden)
    hidden = kl.Conv1D(4, 3, groups=2, dilation_rate=2)(hidden)
    hidden = kl.Bidirectional(kl.GRU(3, return_sequences=True))(hidden)
    hidden = kl.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True)(hidden)
    pooled = [kl.GlobalMaxPooling1D()(hidden), kl.GlobalAveragePooling1D()(hidden)]
    both = kl.Dot(axes=-1, normalize=True)(pooled)
    return tk.Model(x, kl.Dense(2, activation="softmax")(kl.Concatenate()([*pooled, both])))


def two_dimensional(tk: Any) -> Any:
    kl = tk.layers
    return tk.Sequential(
        [
            kl.Conv2D(4, (3, 2), input_shape=(12, 4, 1), activation="relu"),
            kl.DepthwiseConv2D((2, 1), depth_multiplier=2, padding="same"),
            kl.Conv2DTranspose(3, (2, 2), strides=2, padding="same"),
            kl.UpSampling2D((1, 2), interpolation="nearest"),
            kl.ZeroPadding2D(1),
            kl.Cropping2D(((0, 1), (1, 0))),
            kl.AveragePooling2D(2, padding="same"),
            kl.SpatialDropout2D(0.1),
            kl.GlobalAveragePooling2D(),
            kl.Dense(1, activation="softsign"),
        ]
    )


def nested_twice(tk: Any) -> Any:
    kl = tk.layers
    inner = tk.Sequential([kl.Conv1D(3, 3, input_shape=(24, 4)), kl.BatchNormalization(), kl.Flatten()])
    a, b = tk.Input((24, 4), name="a"), tk.Input((24, 4), name="b")
    outer_input = tk.Input((24, 4))
    outer = tk.Model(outer_input, kl.Dense(3)(inner(outer_input)))
    return tk.Model({"a": a, "b": b}, {"sum": kl.Add()([outer(a), outer(b)]), "a": kl.Dense(2)(outer(a))})


class TestAgainstTfKeras:
    """tf_keras is Keras 2.21: it writes what `tf.keras` wrote, and knows what it computed."""

    @pytest.mark.parametrize("whole", [True, False], ids=["whole", "json"])
    @pytest.mark.parametrize("build", [one_dimensional, two_dimensional])
    def test_layers(self, tf_keras, save, build, whole):
        model = random_weights(build(tf_keras))
        x = np.random.default_rng(1).random((3, *model.input_shape[1:]), dtype=np.float32)
        loaded = legacy_keras.load_legacy_model(*save(model, whole=whole))
        assert type(loaded).__module__.startswith("keras.")
        expected = model.predict_on_batch(x)
        np.testing.assert_allclose(loaded.predict_on_batch(x), expected, rtol=1e-5, atol=TOLERANCE)

    @pytest.mark.parametrize("class_name", sorted({*layers._ARGUMENTS} - {"CuDNNGRU", "CuDNNLSTM"}))
    def test_every_layer_as_it_is_described(self, tf_keras, class_name):
        """Whatever a layer's description has by default is known."""
        needed: dict[str, Any] = {
            "Activation": ["relu"],
            "Bidirectional": [tf_keras.layers.LSTM(2)],
            "Dot": [-1],
            "Embedding": [5, 2],
            "GaussianNoise": [0.1],
            "Permute": [(2, 1)],
            "RepeatVector": [2],
            "Reshape": [(3, 4)],
        }
        needed |= {name: [2] for name in ("Dense", "GRU", "LSTM", "SimpleRNN")}
        needed |= {name: [0.1] for name in layers._ARGUMENTS if name.endswith(("Dropout", "Dropout1D"))}
        needed |= {name: [0.1] for name in ("SpatialDropout2D", "SpatialDropout3D")}
        needed |= {name: [2, 3] for name in layers._ARGUMENTS if "Conv" in name}
        needed |= {"DepthwiseConv1D": [3], "DepthwiseConv2D": [3]}
        old = getattr(tf_keras.layers, class_name)(*needed.get(class_name, []))
        entry = {
            "class_name": class_name,
            "name": old.name,
            "config": json.loads(json.dumps(old.get_config(), default=float)),
        }
        if class_name == "Bidirectional":
            entry["config"]["layer"]["name"] = "inner"
        new = layers.LayerMaker({})(entry)
        assert new.name == old.name
        expected = {"ThresholdedReLU": "ReLU"}.get(class_name, class_name)
        assert type(new).__name__ == expected

    def test_nested_models_and_dicts(self, tf_keras, save):
        model = random_weights(nested_twice(tf_keras))
        rng = np.random.default_rng(1)
        x = {name: rng.random((3, 24, 4), dtype=np.float32) for name in "ab"}
        loaded = legacy_keras.load_legacy_model(*save(model, whole=True))
        found, expected = loaded.predict_on_batch(x), model.predict_on_batch(x)
        assert found.keys() == expected.keys() == {"sum", "a"}
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)

    def test_the_hard_sigmoid_that_keras_3_changed(self, tf_keras, save):
        """Keras 3 reads the file, and computes something else."""
        kl = tf_keras.layers
        model = random_weights(
            tf_keras.Sequential([kl.Dense(2, activation="hard_sigmoid", input_shape=(3,))])
        )
        x = np.array([[1.0, -2.0, 0.5]], dtype=np.float32)
        path, _ = save(model, whole=True)
        expected = np.clip(0.2 * (x @ model.get_weights()[0] + model.get_weights()[1]) + 0.5, 0, 1)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=TOLERANCE)
        np.testing.assert_allclose(
            legacy_keras.load_legacy_model(path).predict_on_batch(x), expected, atol=TOLERANCE
        )
        by_keras_3 = keras.models.load_model(path, compile=False).predict_on_batch(x)
        assert np.abs(by_keras_3 - expected).max() > 0.01

    def test_custom_objects(self, tf_keras, save):
        class Scale(keras.layers.Layer):
            def build(self, input_shape):
                self.factor = self.add_weight(shape=(input_shape[-1],), name="factor")

            def call(self, x):
                return x * self.factor

        class OldScale(tf_keras.layers.Layer):  # type: ignore[name-defined]
            def build(self, input_shape):
                self.factor = self.add_weight("factor", (input_shape[-1],))

            def call(self, x):
                return x * self.factor

        def squared(x):
            return x * x

        kl = tf_keras.layers
        model = tf_keras.Sequential([OldScale(input_shape=(3,)), kl.Dense(2, activation=squared)])
        model = random_weights(model)
        x = np.array([[1.0, -2.0, 0.5]], dtype=np.float32)
        files = save(model, whole=False)
        loaded = legacy_keras.load_legacy_model(
            *files, custom_objects={"OldScale": Scale, "squared": squared}
        )
        np.testing.assert_allclose(loaded.predict_on_batch(x), model.predict_on_batch(x), rtol=1e-5)
        with pytest.raises(
            UnsupportedModelError, match=r"layer '.*' \(OldScale\): no layer of this name is known"
        ):
            legacy_keras.load_legacy_model(*files)
        with pytest.raises(UnsupportedModelError, match="no activation named 'squared' is known"):
            legacy_keras.load_legacy_model(*files, custom_objects={"OldScale": Scale})


class TestFallBackOnTfKeras:
    """A model with a layer that today's Keras does not have is loaded by tf_keras, and that is said."""

    def check(self, model, files, capsys, reason):
        x = np.random.default_rng(1).random((3, *model.input_shape[1:]), dtype=np.float32)
        loaded = legacy_keras.load_legacy_model(*files)
        assert type(loaded).__module__.startswith("tf_keras.")
        np.testing.assert_allclose(loaded.predict_on_batch(x), model.predict_on_batch(x), rtol=1e-6)
        (line,) = capsys.readouterr().err.splitlines()
        assert "loaded with tf_keras" in line
        assert reason in line

    def test_a_layer(self, tf_keras, save, capsys):
        kl = tf_keras.layers
        layers = [kl.LocallyConnected1D(3, 4, input_shape=(12, 4)), kl.Flatten(), kl.Dense(1)]
        model = random_weights(tf_keras.Sequential(layers))
        self.check(model, save(model, whole=False), capsys, "(LocallyConnected1D): no layer of this name")

    def test_an_operation(self, tf_keras, save, capsys):
        x = tf_keras.Input((12, 4))
        model = random_weights(tf_keras.Model(x, tf_keras.layers.Dense(1)(x * 2.0 + 1.0)))
        self.check(model, save(model, whole=True), capsys, "(TFOpLambda)")

    def test_weights_in_the_later_format(self, tf_keras, tmp_path, capsys):
        model = random_weights(tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))]))
        (tmp_path / "model.json").write_text(model.to_json())
        model.save_weights(tmp_path / "model.weights.h5")
        # As Kipoi stores a download: without a suffix.
        (tmp_path / "model.weights.h5").rename(tmp_path / "0cc175b9c0f1b6a831c399e269772661")
        files = tmp_path / "0cc175b9c0f1b6a831c399e269772661", tmp_path / "model.json"
        self.check(model, files, capsys, "expected weights by layer_names")

    def test_keras_1_on_tensorflow(self, tmp_path, capsys):
        layer = {
            "name": "local",
            "nb_filter": 2,
            "filter_length": 3,
            "batch_input_shape": [None, 5, 4],
            "activation": "relu",
            "border_mode": "valid",
            "subsample_length": 1,
            "bias": True,
        }
        config = [{"class_name": "LocallyConnected1D", "config": layer}]
        saved = {"class_name": "Sequential", "config": config, "keras_version": "1.2.2"}
        (tmp_path / "model.json").write_text(json.dumps(saved))
        rng = np.random.default_rng(0)
        kernel, bias = rng.normal(size=(3, 12, 2)).astype("f4"), rng.normal(size=(3, 2)).astype("f4")
        write_weights(tmp_path / "w.h5", {"local": [kernel, bias]})
        pytest.importorskip("tf_keras")
        model = legacy_keras.load_legacy_model(tmp_path / "w.h5", tmp_path / "model.json")
        x = rng.normal(size=(2, 5, 4)).astype("f4")
        windows = np.stack([x[:, i : i + 3].reshape(2, 12) for i in range(3)], axis=1)
        expected = np.maximum(np.einsum("npw,pwf->npf", windows, kernel) + bias, 0)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-5, atol=TOLERANCE)

    def test_an_archive_of_keras_2(self, tf_keras, tmp_path, capsys):
        model = random_weights(tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))]))
        model.save(tmp_path / "model.keras")
        assert legacy_keras.is_tf_keras_archive(tmp_path / "model.keras")
        loaded = legacy_keras.load_tf_keras_archive(tmp_path / "model.keras")
        x = np.ones((1, 3), dtype=np.float32)
        np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))
        assert "archive of Keras 2, loaded with tf_keras" in capsys.readouterr().err

    def test_tf_keras_is_not_installed(self, monkeypatch, tmp_path):
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *a: None if name == "tf_keras" else find_spec(name, *a)
        )
        with pytest.raises(
            UnsupportedModelError, match=r"\(Unknown\): no layer .*; the package tf_keras may load it: pip"
        ):
            load_layers(tmp_path, "2.2.4", [("Unknown", {"name": "u", "batch_input_shape": [None, 3]})], {})


def write_weights(path: Path, layers: dict[str, list[np.ndarray]], **attributes: str) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"w{i}".encode() for i in range(len(arrays))]
            for i, array in enumerate(arrays):
                group[f"w{i}"] = array


def load_layers(
    folder: Path,
    version: str,
    layers: list[tuple[str, dict[str, Any]]],
    arrays: dict[str, Any],
    **options: Any,
) -> Any:
    """Load a Sequential model of these layers and weights."""
    config: Any = [{"class_name": class_name, "config": config} for class_name, config in layers]
    saved = {"class_name": "Sequential", "config": config, "keras_version": version}
    (folder / "model.json").write_text(json.dumps(saved))
    write_weights(folder / "weights.h5", arrays, keras_version=version)
    return legacy_keras.load_legacy_model(folder / "weights.h5", folder / "model.json", **options)


def conv(**more: Any) -> tuple[str, dict[str, Any]]:
    config = {"name": "c", "batch_input_shape": [None, 9, 4], "nb_filter": 2, "filter_length": 4}
    return "Convolution1D", {**config, "border_mode": "same", **more}


class TestRefusals:
    """What cannot be converted is named: the file, the layer and what it is about it."""

    @pytest.mark.parametrize(
        ("layer", "message"),
        [
            (
                ("Highway", {"name": "h", "batch_input_shape": [None, 3]}),
                r"layer 'h' \(Highway\): a layer that Keras 2 removed",
            ),
            (
                ("Deconvolution2D", {"name": "d", "batch_input_shape": [None, 3, 3, 1]}),
                r"'d' \(Deconvolution2D\): a transposed convolution",
            ),
            (
                ("BatchNormalization", {"name": "b", "mode": 1, "batch_input_shape": [None, 3]}),
                "'b' .*: mode 1 ",
            ),
            (
                ("Merge", {"name": "m", "mode": "cos", "layers": []}),
                "expected a merge mode of ave, .* got 'cos'",
            ),
            (
                ("Merge", {"name": "m", "mode": "x", "mode_type": "lambda", "layers": []}),
                "got a Python function",
            ),
            (
                ("Dense", {"name": "d", "output_dim": 2}),
                r"'d' \(Dense\): the model's first layer does not say the shape",
            ),
            (conv(border_mode="full"), r"model.json: layer 'c' \(Convolution1D\)|'c' \(Conv1D\): .*full"),
        ],
    )
    def test_of_keras_1(self, layer, message, tmp_path):
        with pytest.raises(UnsupportedModelError, match=f"{tmp_path}/model.json: .*{message}"):
            load_layers(tmp_path, "1.2.2", [layer], {}, backend="theano")

    @pytest.mark.parametrize(
        ("class_name", "config", "message"),
        [
            ("LSTM", {"units": 2, "stateful": True}, "the argument stateful=True has no counterpart"),
            ("LSTM", {"units": 2, "time_major": True}, "the argument time_major=True has no counterpart"),
            ("Conv1D", {"filters": 2, "kernel_size": 0}, "kernel_size"),
            ("BatchNormalization", {"axis": [1, 2]}, r"expected one axis to normalise, got \[1, 2\]"),
            ("Dense", {"units": 2, "activation": "magic"}, "no activation named 'magic' is known"),
            ("SeparableConv1D", {"filters": 2, "kernel_size": 3}, "direction of its kernels under Theano"),
        ],
    )
    def test_of_keras_2(self, class_name, config, message, tmp_path):
        config = {"name": "layer", "batch_input_shape": [None, 9, 4], **config}
        with pytest.raises(UnsupportedModelError, match=rf"layer 'layer' \({class_name}\): .*{message}"):
            load_layers(tmp_path, "2.2.4", [(class_name, config)], {}, backend="theano")

    @pytest.mark.parametrize("change", [{}, {"filter_length": 3, "subsample_length": 2}])
    def test_windows_of_theano(self, change, tmp_path):
        with pytest.raises(UnsupportedModelError, match="Theano aligns a padded"):
            load_layers(tmp_path, "1.2.2", [conv(**change)], {}, backend="theano")

    def test_a_model_of_python_code(self, tmp_path):
        saved = {"class_name": "MyModel", "config": {"n": 3}, "keras_version": "2.9.0"}
        (tmp_path / "model.json").write_text(json.dumps(saved))
        write_weights(tmp_path / "w.h5", {})
        with pytest.raises(UnsupportedModelError, match=r"MyModel: expected .* built by Python code"):
            legacy_keras.load_legacy_model(tmp_path / "w.h5", tmp_path / "model.json")

    def test_calls_with_arguments(self, tmp_path):
        nodes: list[Any] = [[["i", 0, 0, {"y": 2}]]]
        dense = {
            "class_name": "Dense",
            "name": "d",
            "config": {"name": "d", "units": 1},
            "inbound_nodes": nodes,
        }
        shape = {"batch_input_shape": [None, 3]}
        layers = [{"class_name": "InputLayer", "name": "i", "config": shape, "inbound_nodes": []}, dense]
        config = {
            "name": "m",
            "layers": layers,
            "input_layers": [["i", 0, 0]],
            "output_layers": [["d", 0, 0]],
        }
        saved = {"class_name": "Model", "config": config, "keras_version": "2.2.4", "backend": "theano"}
        (tmp_path / "model.json").write_text(json.dumps(saved))
        write_weights(tmp_path / "w.h5", {})
        with pytest.raises(UnsupportedModelError, match=r"'d' \(Dense\): it is called with the arguments y"):
            legacy_keras.load_legacy_model(tmp_path / "w.h5", tmp_path / "model.json")
        nodes[:] = [[["elsewhere", 0, 0]]]
        (tmp_path / "model.json").write_text(json.dumps(saved))
        with pytest.raises(UnsupportedModelError, match="its inputs are outputs of no layer"):
            legacy_keras.load_legacy_model(tmp_path / "w.h5", tmp_path / "model.json")

    def test_weights_of_another_model(self, tmp_path):
        dense = ("Dense", {"name": "d", "units": 2, "batch_input_shape": [None, 3]})
        kernel, bias = np.zeros((3, 2)), np.zeros(2)
        with pytest.raises(
            WeightsError, match=r"weights.h5: expected weights of 1 layers \(d\), got those of 2 \(d, e\)"
        ):
            load_layers(tmp_path, "2.2.4", [dense], {"d": [kernel, bias], "e": [bias]})
        with pytest.raises(WeightsError, match="layer 'd': expected 2 arrays, got 1"):
            load_layers(tmp_path, "2.2.4", [dense], {"d": [kernel]})
        with pytest.raises(
            WeightsError, match=r"layer 'd': .* shapes \[\(3, 2\), \(2,\)\], got \[\(2, 3\), \(2,\)\]"
        ):
            load_layers(tmp_path, "2.2.4", [dense], {"d": [kernel.T, bias]})
        with h5py.File(tmp_path / "old.h5", "w") as file:
            file.attrs["nb_layers"], file.attrs["layer_names"] = 1, []
        with pytest.raises(WeightsError, match="weights of Keras 0"):
            legacy_keras.load_legacy_model(tmp_path / "old.h5", tmp_path / "model.json")


class TestTranslation:
    def test_version_is_guessed_by_the_words(self, tmp_path):
        layers = [conv(border_mode="valid")]
        config = [{"class_name": class_name, "config": config} for class_name, config in layers]
        (tmp_path / "model.json").write_text(json.dumps({"class_name": "Sequential", "config": config}))
        assert legacy_keras.is_legacy_architecture(tmp_path / "model.json")
        kernel = np.random.default_rng(0).normal(size=(4, 1, 4, 2)).astype("f4")
        write_weights(tmp_path / "w.h5", {"c": [kernel, np.zeros(2)]})
        model = legacy_keras.load_legacy_model(tmp_path / "w.h5", tmp_path / "model.json")
        x = np.random.default_rng(1).normal(size=(2, 9, 4)).astype("f4")
        expected = np.stack(
            [np.einsum("nwb,wbf->nf", x[:, i : i + 4], kernel[:, 0]) for i in range(6)], axis=1
        )
        np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-5, atol=TOLERANCE)

    def test_custom_layers_keep_their_words(self):
        config = {"name": "mine", "nb_filter": 3, "p": 1}
        assert keras1.translate("MyLayer", config) == ("MyLayer", config)

    @pytest.mark.parametrize("reversed_order", [False, True])
    def test_gru_order_is_that_of_the_file(self, reversed_order, tmp_path):
        """Keras 3 applies the reset gate after the product by default; files of Keras 2 may not say."""
        rng = np.random.default_rng(0)
        shapes = (4, 6), (2, 6), ((2, 6) if reversed_order else (6,))
        kernel, recurrent, bias = (rng.normal(size=shape).astype("f4") for shape in shapes)
        config = {
            "name": "g",
            "units": 2,
            "recurrent_activation": "sigmoid",
            "batch_input_shape": [None, 5, 4],
        }
        if reversed_order:
            config["reset_after"] = True
        model = load_layers(tmp_path, "2.2.4", [("GRU", config)], {"g": [kernel, recurrent, bias]})
        x = rng.normal(size=(3, 5, 4)).astype("f4")
        expected = numpy_gru(x, kernel, recurrent, bias, reversed_order)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=TOLERANCE)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def numpy_gru(x, kernel, recurrent, bias, reset_after):
    units = recurrent.shape[0]
    state = np.zeros((len(x), units))
    inner_bias, outer_bias = bias if reset_after else (bias, np.zeros(3 * units))
    for step in range(x.shape[1]):
        given = x[:, step] @ kernel + inner_bias
        z, r = (
            sigmoid(given[:, part] + state @ recurrent[:, part] + outer_bias[part])
            for part in (slice(0, units), slice(units, 2 * units))
        )
        last = slice(2 * units, None)
        if reset_after:
            change = np.tanh(given[:, last] + r * (state @ recurrent[:, last] + outer_bias[last]))
        else:
            change = np.tanh(given[:, last] + (r * state) @ recurrent[:, last])
        state = z * state + (1 - z) * change
    return state


class TestCuDNN:
    """Kernels for cuDNN are stored gate by gate as (unit, input), in the place of (input, unit)."""

    def test_gru(self, tmp_path):
        rng = np.random.default_rng(0)
        gates = [rng.normal(size=(4, 2)) for _ in range(3)]
        recurrent = [rng.normal(size=(2, 2)) for _ in range(3)]
        bias = rng.normal(size=(2, 6))
        stored = [
            np.concatenate([gate.T.reshape(4, 2) for gate in gates], axis=1),
            np.concatenate([gate.T for gate in recurrent], axis=1),
            bias.ravel(),
        ]
        config = {"name": "g", "units": 2, "batch_input_shape": [None, 5, 4]}
        model = load_layers(tmp_path, "2.2.4", [("CuDNNGRU", config)], {"g": stored})
        x = rng.normal(size=(3, 5, 4)).astype("f4")
        expected = numpy_gru(x, np.concatenate(gates, 1), np.concatenate(recurrent, 1), bias, True)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=TOLERANCE)

    def test_lstm(self, tmp_path):
        rng = np.random.default_rng(0)
        gates = [rng.normal(size=(4, 2)) for _ in range(4)]
        recurrent = [rng.normal(size=(2, 2)) for _ in range(4)]
        bias = rng.normal(size=(2, 8))
        stored = [
            np.concatenate([gate.T.reshape(4, 2) for gate in gates], axis=1),
            np.concatenate([gate.T for gate in recurrent], axis=1),
            bias.ravel(),
        ]
        config = {"name": "l", "units": 2, "batch_input_shape": [None, 5, 4]}
        model = load_layers(tmp_path, "2.2.4", [("CuDNNLSTM", config)], {"l": stored})
        x = rng.normal(size=(3, 5, 4)).astype("f4")
        state = cell = np.zeros((3, 2))
        for step in range(5):
            i, f, c, o = (
                x[:, step] @ gates[g] + state @ recurrent[g] + bias.sum(0)[2 * g : 2 * g + 2]
                for g in range(4)
            )
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
            state = sigmoid(o) * np.tanh(cell)
        np.testing.assert_allclose(model.predict_on_batch(x), state, atol=TOLERANCE)


def test_names_of_keras_1_weights_are_not_needed():
    """Three-dimensional convolutions are rare in genomics; their kernels are turned all the same."""
    kernel = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    (converted,) = weights.convert_arrays("Conv3D", {"data_format": "channels_first"}, [kernel], keras_1=True)
    assert converted.shape == (4, 5, 6, 3, 2)
    assert converted[1, 2, 3, 2, 1] == kernel[1, 2, 1, 2, 3]


def test_hard_sigmoid_is_serialisable():
    assert keras.saving.get_registered_object("kipoi_tfbind>keras_2_hard_sigmoid") is keras_2_hard_sigmoid
