"""Architectures that Keras 1 and 2 wrote, read into one form: a graph of Keras 2 layers.

Keras described a `Sequential` model by a list of layers (a list of branches and a `Merge` first, in
Keras 1), and any other model by layers with `inbound_nodes`. Here everything becomes the latter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from kipoi_tfbind.errors import UnsupportedModelError, WeightsError
from kipoi_tfbind.repairs.legacy_keras import keras1
from kipoi_tfbind.repairs.legacy_keras.keras1 import Config

MODEL_CLASSES = {"Functional", "Model", "Sequential"}
_KERAS_1_MARKS = {"Merge", "TimeDistributedDense", "Highway", "MaxoutDense"}
_KERAS_1_ARGUMENTS = {
    "border_mode",
    "inner_activation",
    "input_dtype",
    "nb_filter",
    "pool_length",
    "W_regularizer",
}


@dataclass(frozen=True)
class SavedArchitecture:
    """An architecture that an earlier Keras wrote.

    Attributes
    ----------
    path
        The file that it is from.
    keras_version
        The Keras that wrote it: "1.2.2", "2.2.4-tf"; "1" or "2" where the file does not say.
    backend
        "tensorflow", "theano" or "cntk"; None where the file does not say, as no file of Keras 1 does.
    config
        The model as a graph: `name`, `layers` (each with `class_name`, `name`, `config`, `inbound_nodes`),
        `input_layers` and `output_layers`.
    original
        The description as it is in the file: `class_name` and `config`.
    """

    path: Path
    keras_version: str
    backend: str | None
    config: Config
    original: Config


def is_legacy_architecture(path: Path) -> bool:
    """Tell whether a JSON file describes a model in the words of Keras 1 or 2.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "model.json"
    >>> _ = path.write_text('{"class_name": "Sequential", "config": [], "keras_version": "1.2.2"}')
    >>> is_legacy_architecture(path)
    True
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    if not isinstance(saved, dict) or "class_name" not in saved:
        return False
    version = saved.get("keras_version")
    # Keras 3 names the module of every object, and no version.
    return int(str(version).split(".")[0]) < 3 if version else "module" not in saved


def is_legacy_model_file(path: Path) -> bool:
    """Tell whether a file is a whole model in the HDF5 format of Keras 1 and 2, written by one of them."""
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        version = _text(file.attrs.get("keras_version")) or "1"
        return "model_config" in file.attrs and int(version.split(".")[0]) < 3


def read_architecture(path: Path) -> SavedArchitecture:
    """Read the architecture from a JSON file, or from the HDF5 file of a whole model.

    Raises
    ------
    UnsupportedModelError
        A layer or a model of a kind that has no counterpart in today's Keras.
    """
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            saved = json.loads(_text(file.attrs["model_config"]) or "")
            version, backend = (_text(file.attrs.get(name)) for name in ("keras_version", "backend"))
    else:
        saved = json.loads(path.read_text(encoding="utf-8"))
        version, backend = saved.get("keras_version"), saved.get("backend")
    if not isinstance(saved, dict) or "class_name" not in saved or "config" not in saved:
        raise WeightsError(f"{path}: expected the class_name and config of a Keras model, found neither")
    original = {"class_name": saved["class_name"], "config": saved["config"]}
    if version is None:
        version = "1" if _looks_like_keras_1(original) else "2"
    config = _Reader(keras_1=version.startswith("1")).model(original)
    return SavedArchitecture(path, version, backend, config, original)


def _text(attribute: Any) -> str | None:
    """An attribute of an HDF5 file: bytes or text, depending on the h5py that wrote it."""
    return attribute.decode("utf-8") if isinstance(attribute, bytes) else attribute


def _looks_like_keras_1(saved: Any) -> bool:
    if isinstance(saved, list):
        return any(map(_looks_like_keras_1, saved))
    if not isinstance(saved, dict):
        return False
    if saved.get("class_name") in _KERAS_1_MARKS or _KERAS_1_ARGUMENTS & saved.keys():
        return True
    return any(_looks_like_keras_1(value) for value in saved.values())


def valid_name(name: str) -> str:
    """Return the name that a layer or model gets in today's Keras, which does not take every character.

    Examples
    --------
    >>> valid_name("data/genome_data_dir"), valid_name("LSTM layer 1"), valid_name("dense_1")
    ('data_genome_data_dir', 'LSTM_layer_1', 'dense_1')
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return name if name[:1].isalnum() else f"layer{name}"


def describe_layer(entry: Config) -> str:
    """Name and class of a layer, as messages have it."""
    name = entry.get("name") or (entry["config"].get("name") if isinstance(entry["config"], dict) else None)
    return f"layer {name!r} ({entry['class_name']})"


class _Reader:
    """Turns descriptions of models and layers into graphs of Keras 2 layers."""

    def __init__(self, keras_1: bool) -> None:
        self.keras_1 = keras_1

    def model(self, saved: Config, name: str | None = None) -> Config:
        """Return the graph of a model that is given by its class name and config."""
        config = saved["config"]
        if saved["class_name"] == "Sequential" or isinstance(config, list):
            return self._sequential(config, name)
        if not isinstance(config, dict) or not {"layers", "input_layers", "output_layers"} <= config.keys():
            raise UnsupportedModelError(
                f"{saved['class_name']}: expected a Sequential model or one with layers, input_layers and "
                "output_layers; it is built by Python code that this file does not hold"
            )
        layers = [self._layer(entry) for entry in config["layers"]]
        return {
            "name": config.get("name") or name or "model",
            "layers": layers,
            "input_layers": config["input_layers"],
            "output_layers": config["output_layers"],
        }

    def _layer(self, entry: Config) -> Config:
        """One layer with all that is nested in it."""
        class_name, config = entry["class_name"], entry["config"]
        name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
        nested = class_name in MODEL_CLASSES
        try:
            if nested:
                class_name, config = "Functional", self.model(entry, name)
            else:
                if self.keras_1:
                    class_name, config = keras1.translate(class_name, config)
                config = dict(config)
                for key in ("layer", "backward_layer"):
                    if isinstance(config.get(key), dict):
                        config[key] = self._layer(config[key])
        except UnsupportedModelError as error:
            raise UnsupportedModelError(
                str(error) if nested else f"{describe_layer(entry)}: {error}"
            ) from None
        name = name or config.get("name")
        # Where they are needed: how many arrays Keras 1 stored of a recurrent layer depends on it.
        consume_less = entry["config"].get("consume_less") if isinstance(entry["config"], dict) else None
        return {
            "class_name": class_name,
            "name": name,
            "config": config,
            "inbound_nodes": entry.get("inbound_nodes", []),
            "consume_less": consume_less,
        }

    def _sequential(self, config: Any, name: str | None) -> Config:
        """A list of layers, one after the other, as a graph."""
        if isinstance(config, dict):
            name = config.get("name") or name
            entries, shape = list(config.get("layers", [])), config.get("build_input_shape")
        else:
            entries, shape = list(config), None
        if not entries:
            raise UnsupportedModelError(f"model {name or 'sequential'!r}: it has no layers")
        graph: Config = {"name": name or "sequential", "layers": [], "input_layers": []}
        if entries[0]["class_name"] == "Merge" and "layers" in entries[0]["config"]:
            previous = self._merged_branches(entries.pop(0), graph)
        else:
            previous = self._input(entries, shape, graph)
        for entry in entries:
            layer = self._layer(entry)
            _connect(layer, [previous])
            graph["layers"].append(layer)
            previous = layer["name"]
        graph["output_layers"] = [[previous, 0, 0]]
        return graph

    def _input(self, entries: list[Config], shape: Any, graph: Config) -> str:
        """Put the input layer that a list of layers implies in front of it; return its name."""
        first = entries[0]
        if first["class_name"] == "InputLayer":
            layer = self._layer(entries.pop(0))
            layer["name"] = layer["name"] or f"{graph['name']}_input"
        else:
            name, shape, dtype = self._implied_input(first, shape)
            if shape is None:
                raise UnsupportedModelError(
                    f"{describe_layer(first)}: the model's first layer does not say the shape of its input"
                )
            config = {"batch_input_shape": shape, "dtype": dtype}
            layer = {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}
        graph["layers"].append(layer)
        graph["input_layers"].append([layer["name"], 0, 0])
        return layer["name"]

    def _implied_input(self, first: Config, shape: Any) -> tuple[str, Any, Any]:
        """Name, shape with the batch's axis, and type of the input that the first layer implies."""
        if first["class_name"] in MODEL_CLASSES:
            nested = self.model(first)
            inputs = [layer for layer in nested["layers"] if layer["class_name"] == "InputLayer"]
            if len(inputs) == 1:
                config = inputs[0]["config"]
                return inputs[0]["name"], config["batch_input_shape"], config.get("dtype")
        config = first["config"] if isinstance(first["config"], dict) else {}
        inner = config.get("layer", {}).get("config", {}) if isinstance(config.get("layer"), dict) else {}
        name = f"{config.get('name') or first['class_name'].lower()}_input"
        for described in (config, inner):
            if described.get("batch_input_shape"):
                dtype = described.get("input_dtype") or described.get("dtype")
                return name, described["batch_input_shape"], dtype
        return name, shape, None

    def _merged_branches(self, merge: Config, graph: Config) -> str:
        """Put the branches that a Merge layer begins with into the graph; return the Merge layer's name."""
        ends = []
        for branch in merge["config"]["layers"]:
            nested = self.model(branch if branch["class_name"] in MODEL_CLASSES else _single(branch))
            graph["layers"] += nested["layers"]
            graph["input_layers"] += nested["input_layers"]
            ends += nested["output_layers"]
        layer = self._layer(merge)
        layer["name"] = layer["name"] or "merge"
        layer["inbound_nodes"] = [ends]
        graph["layers"].append(layer)
        return layer["name"]


def _single(layer: Config) -> Config:
    return {"class_name": "Sequential", "config": [layer]}


def _connect(layer: Config, sources: list[str]) -> None:
    layer["inbound_nodes"] = [[[source, 0, 0] for source in sources]]


def inbound_tensors(call: Any) -> Iterator[tuple[str, int, int, Config]]:
    """Yield layer, call, output and keyword arguments of each tensor that one call of a layer takes.

    Raises
    ------
    UnsupportedModelError
        The call has another form than that of Keras 1 and 2.
    """
    if isinstance(call, dict) or not all(
        isinstance(tensor, list) and len(tensor) in (3, 4) for tensor in call
    ):
        raise UnsupportedModelError(f"expected tensors as [layer, call, output], found {call!r}")
    for tensor in call:
        name, node, output = tensor[:3]
        yield name, node, output, tensor[3] if len(tensor) == 4 else {}
