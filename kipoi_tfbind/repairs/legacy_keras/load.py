"""Load a model that Keras 1 or Keras 2 saved: converted to today's Keras, else with the package tf_keras."""

from __future__ import annotations

import importlib
import importlib.util
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.repairs.legacy_keras.architecture import SavedArchitecture, read_architecture
from kipoi_tfbind.repairs.legacy_keras.keras1 import Config
from kipoi_tfbind.repairs.weight_files import named_as, pickle_allowed, require_pickle_allowed

INSTALL_TF_KERAS = "pip install tf_keras"


def load_legacy_model(
    weights: Path,
    architecture: Path | None = None,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    backend: str | None = None,
    image_dim_ordering: str | None = None,
) -> Any:
    """Load a model that Keras 1 or Keras 2 saved, for prediction.

    The architecture is rebuilt with today's layers, each with what the old one computed: Keras 3
    changed the hard sigmoid and the default order of a GRU, for instance. A layer that has no
    counterpart makes the whole model be loaded by the package tf_keras, if that is installed. Which
    of the two it was is said in a notice.

    Parameters
    ----------
    weights
        HDF5 file of weights in the format of Keras 1 and 2, or of a whole model.
    architecture
        JSON file; None for a whole model.
    custom_objects
        Layer classes and activation functions by the names that the architecture has for them.
    backend
        Framework that computed the model: "tensorflow", "theano" or "cntk", where the files do not say. Files
        of Keras 1 do not, and TensorFlow is assumed; Theano turns the kernels of convolutions round.
    image_dim_ordering
        "tf" or "th": where a layer that does not say has its channels, last or first.

    Returns
    -------
    model
        A functional `keras.Model`, or one of tf_keras. What only training needs (initialisers,
        regularisers, the optimiser) is not in it.

    Raises
    ------
    UnsupportedModelError
        A layer has no counterpart, and tf_keras is not installed or fails too.
    WeightsError
        The weights are not those of the architecture.
    """
    path = architecture or weights
    try:
        saved = read_architecture(path)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{path}: {error}") from error
    custom_objects = dict(custom_objects or {})
    try:
        model, written_by = _convert(saved, weights, custom_objects, backend, image_dim_ordering)
    except UnsupportedModelError as error:
        model = _load_with_tf_keras(saved, weights, custom_objects, backend, error)
        return model
    keras_version = importlib.import_module("keras").__version__
    assumed = "" if written_by else "; its files name no backend: TensorFlow is assumed"
    notice(f"{path}: model of Keras {saved.keras_version}, converted to Keras {keras_version}{assumed}")
    return model


def _convert(
    saved: SavedArchitecture,
    weights: Path,
    custom_objects: dict[str, Any],
    backend: str | None,
    image_dim_ordering: str | None,
) -> tuple[Any, str | None]:
    """Rebuild the model with today's Keras; return also the backend that wrote it, if that is known."""
    from kipoi_tfbind.repairs.legacy_keras.build import build_model
    from kipoi_tfbind.repairs.legacy_keras.layers import LayerMaker
    from kipoi_tfbind.repairs.legacy_keras.weights import is_legacy_weights_file, load_weights

    data_format = "channels_first" if image_dim_ordering == "th" else "channels_last"
    ran_on = backend or saved.backend
    model, layers = build_model(saved.config, LayerMaker(custom_objects, data_format, ran_on == "theano"))
    if not is_legacy_weights_file(weights):
        raise UnsupportedModelError(
            f"{weights}: expected weights by layer_names, as Keras 1 and 2 wrote them"
        )
    return model, load_weights(weights, layers, ran_on)


def _load_with_tf_keras(
    saved: SavedArchitecture,
    weights: Path,
    custom_objects: dict[str, Any],
    backend: str | None,
    problem: UnsupportedModelError,
) -> Any:
    """Load the model with the Keras 2 that goes on as tf_keras, because of a problem with converting it."""
    from kipoi_tfbind.repairs.legacy_keras.weights import is_legacy_weights_file, load_weights

    message = f"{saved.path}: {problem}"
    if (backend or saved.backend) == "theano":
        raise UnsupportedModelError(f"{message}; load it where it was trained, and save it anew") from problem
    if _holds_python_code(saved.config):
        raise UnsupportedModelError(
            f"{message}; put its function into a layer of custom_objects"
        ) from problem
    tf_keras = import_tf_keras(message)
    try:
        # Keras 2 reads the original; of Keras 1 it knows the weights, but not the words.
        described = saved.original
        if saved.keras_version.startswith("1"):
            described = {"class_name": "Functional", "config": saved.config}
        model = tf_keras.models.model_from_json(json.dumps(described), custom_objects=custom_objects)
        if is_legacy_weights_file(weights):
            load_weights(weights, _layers_of(saved.config, model), backend)
        else:
            with named_as(weights, ".weights.h5") as named:
                model.load_weights(str(named))
    except UnsupportedModelError:
        raise
    except Exception as error:  # another library's code, with its own choice of exceptions
        # Only of what it refuses does tf_keras speak in words for a user.
        reason = f": {' '.join(str(error).split())}" if isinstance(error, ValueError) else ""
        raise UnsupportedModelError(
            f"{message}; tf_keras {tf_keras.__version__} fails too{reason}"
        ) from error
    version = tf_keras.__version__
    notice(f"{saved.path}: model of Keras {saved.keras_version}, loaded with tf_keras {version}: {problem}")
    return model


def is_tf_keras_archive(path: Path) -> bool:
    """Tell whether a file is a ``.keras`` archive that Keras 2 wrote, of version 2.12 or later."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        if "metadata.json" not in archive.namelist():
            return False
        version = json.loads(archive.read("metadata.json")).get("keras_version", "3")
    return int(str(version).split(".")[0]) < 3


def load_tf_keras_archive(path: Path, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Load a ``.keras`` archive of Keras 2 with tf_keras: its weights are not where Keras 3 has them.

    Raises
    ------
    UnsupportedModelError
        tf_keras is not installed, or fails.
    """
    tf_keras = import_tf_keras(f"{path}: an archive of Keras 2, which today's Keras cannot read")
    try:
        with named_as(path, ".keras") as named:
            model = tf_keras.models.load_model(
                str(named),
                custom_objects=dict(custom_objects or {}),
                compile=False,
                safe_mode=not pickle_allowed(),
            )
    except Exception as error:  # another library's code, with its own choice of exceptions
        if "safe_mode" in str(error):
            require_pickle_allowed(path, "a model with a Lambda layer of compiled Python code")
        reason = " ".join(str(error).split())
        raise UnsupportedModelError(
            f"{path}: tf_keras {tf_keras.__version__} cannot load it: {reason}"
        ) from error
    notice(f"{path}: archive of Keras 2, loaded with tf_keras {tf_keras.__version__}")
    return model


def import_tf_keras(message: str) -> ModuleType:
    """Import tf_keras.

    Raises
    ------
    UnsupportedModelError
        It is not installed; the message begins with `message`.
    """
    if importlib.util.find_spec("tf_keras") is None:
        raise UnsupportedModelError(f"{message}; the package tf_keras may load it: {INSTALL_TF_KERAS}")
    return importlib.import_module("tf_keras")


def _holds_python_code(config: Config) -> bool:
    return any(
        entry["class_name"] == "Lambda"
        or (entry["class_name"] == "Functional" and _holds_python_code(entry["config"]))
        or (entry["config"].get("layer") or {}).get("class_name") == "Lambda"
        for entry in config["layers"]
    )


def _layers_of(config: Config, model: Any) -> list[Any]:
    """Pair the layers of a model that tf_keras has built with their descriptions."""
    from kipoi_tfbind.repairs.legacy_keras.build import BuiltLayer

    layers = []
    for entry in config["layers"]:
        if entry["class_name"] == "InputLayer":
            continue
        layer = model.get_layer(entry["name"])
        children = _layers_of(entry["config"], layer) if entry["class_name"] == "Functional" else None
        layers.append(BuiltLayer(entry, layer, children))
    return layers
