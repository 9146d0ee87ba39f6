"""Repairs of Kipoi's ``KerasModel``, so that it loads the files of Keras 1, 2 and 3."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import UnsupportedModelError, WeightsError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.repairs.weight_files import named_as, require_pickle_allowed, require_weights

# Backends that Keras 3 does not have: to name one of them makes `import keras` fail.
_ABANDONED_BACKENDS = ("cntk", "theano")

_LAMBDA = "a model with a Lambda layer of compiled Python code"


def load_every_keras_file(model: ModuleType) -> None:
    """Let ``KerasModel`` load what Keras 1, 2 and 3 saved, under whatever name.

    Keras 3 goes by the suffix of a name, which Kipoi's downloads lack; it does not know the
    architectures of Keras 1 and most of Keras 2, and of some that it reads it computes something else.
    """
    keras_model = model.KerasModel
    load, predict = keras_model.__init__, keras_model.predict_on_batch

    @functools.wraps(load)
    def __init__(
        self: Any,
        weights: str,
        arch: str | None = None,
        custom_objects: str | None = None,
        backend: str | None = None,
        image_dim_ordering: str | None = None,
    ) -> None:
        path = require_weights(weights)
        architecture = require_weights(arch) if arch else None
        with ExitStack() as stack:
            objects = _named_as_module(custom_objects, stack)
            old = _load_old_keras(path, architecture, objects, backend, image_dim_ordering)
            if old is None:
                named = stack.enter_context(named_as(path, _keras_suffix(path, architecture)))
                today = None if backend in _ABANDONED_BACKENDS else backend
                try:
                    load(self, str(named), arch, objects, today, None)
                except ImportError:
                    _objects(objects)  # which says what of them is missing
                    raise
                except ValueError as error:
                    if "safe_mode" not in str(error):
                        raise
                    require_pickle_allowed(architecture or path, _LAMBDA)
                    old = _load_with_code(named, architecture, objects), _objects(objects)
            if old is not None:
                self.model, self.custom_objects = old
                self.arch, self.gradient_functions, self.activation_functions = arch, {}, {}
        self.weights, self.backend, self.image_dim_ordering = weights, backend, image_dim_ordering

    @functools.wraps(predict)
    def predict_on_batch(self: Any, x: Any) -> Any:
        if isinstance(x, dict):
            x = _with_todays_names(self.model, x)
        return predict(self, x)

    keras_model.__init__, keras_model.predict_on_batch = __init__, predict_on_batch


def _load_with_code(weights: Path, architecture: Path | None, custom_objects: str | None) -> Any:
    """Load a model of Keras 3 with the code of its Lambda layers."""
    import keras

    objects = _objects(custom_objects)
    if architecture is None:
        return keras.models.load_model(weights, custom_objects=objects, safe_mode=False)
    described = json.loads(architecture.read_text(encoding="utf-8"))
    model = keras.saving.deserialize_keras_object(described, custom_objects=objects, safe_mode=False)
    model.load_weights(weights)
    return model


def _with_todays_names(model: Any, x: dict[str, Any]) -> dict[str, Any]:
    """Inputs by the names that they have in the model: today's Keras does not take every character."""
    from kipoi_tfbind.repairs.legacy_keras.architecture import valid_name

    names = {tensor.name for tensor in getattr(model, "inputs", None) or ()}
    return {valid_name(key) if valid_name(key) in names - {key} else key: value for key, value in x.items()}


def _named_as_module(custom_objects: str | None, stack: ExitStack) -> str | None:
    """Path of the file of custom objects, under a name that ends in .py: Kipoi insists on that."""
    if custom_objects is None:
        return None
    if not os.path.exists(custom_objects):
        # Kipoi goes on without a word, and the model fails for layers that it does not know.
        notice(f"{os.path.abspath(custom_objects)}: no such file of custom_objects; it is left out")
        return None
    return str(stack.enter_context(named_as(Path(custom_objects), ".py")))


def _keras_suffix(path: Path, architecture: Path | None) -> str:
    """Suffix by which Keras 3 knows the format that a file has; "" where it is none of Keras'."""
    import h5py

    if zipfile.is_zipfile(path):
        return ".keras"
    if not h5py.is_hdf5(path):
        return ""
    if architecture is None:
        return ".h5"
    with h5py.File(path) as file:
        by_layers = "layer_names" in file.attrs or "model_weights" in file
    return ".h5" if by_layers else ".weights.h5"


def _load_old_keras(
    weights: Path,
    architecture: Path | None,
    custom_objects: str | None,
    backend: str | None,
    image_dim_ordering: str | None,
) -> tuple[Any, dict[str, Any]] | None:
    """Load a model of Keras 1 or 2, with its custom objects; None for one that Keras 3 is to load."""
    from kipoi_tfbind.repairs import legacy_keras

    if architecture is None and legacy_keras.is_tf_keras_archive(weights):
        return legacy_keras.load_tf_keras_archive(weights, _objects(custom_objects)), _objects(custom_objects)
    if architecture is None and not legacy_keras.is_legacy_model_file(weights):
        _require_model_file(weights)
        return None
    if architecture is not None and not legacy_keras.is_legacy_architecture(architecture):
        _require_architecture(architecture)
        return None
    objects = _objects(custom_objects)
    loaded = legacy_keras.load_legacy_model(
        weights, architecture, custom_objects=objects, backend=backend, image_dim_ordering=image_dim_ordering
    )
    return loaded, objects


def _require_model_file(path: Path) -> None:
    """Check that a file has an architecture beside its weights.

    Raises
    ------
    WeightsError
        It has not, or is no file of Keras.
    """
    import h5py

    if zipfile.is_zipfile(path) or path.is_dir():
        return
    if not h5py.is_hdf5(path):
        raise WeightsError(f"{path}: no file of Keras, which are HDF5 (.h5) or zip archives (.keras)")
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise WeightsError(
                f"{path}: weights without their architecture; name its JSON file (arch) in the model.yaml, "
                "or save the whole model"
            )


def _require_architecture(path: Path) -> None:
    """Check that a file is an architecture that Keras 3 wrote.

    Raises
    ------
    UnsupportedModelError
        Keras 0 wrote it.
    WeightsError
        It is none.
    """
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: expected the architecture of a Keras model as JSON ({error})") from None
    if isinstance(described, dict) and "class_name" in described:
        return
    if isinstance(described, dict) and "layers" in described:
        raise UnsupportedModelError(
            f"{path}: an architecture of Keras 0, whose layers have no class_name; read it with Keras 1 and "
            "save it anew"
        )
    raise WeightsError(f"{path}: expected the class_name and config of a Keras model, found neither")


def _objects(path: str | None) -> dict[str, Any]:
    """The custom layers and functions that a Python file defines."""
    if path is None:
        return {}
    from kipoi_utils import load_module

    from kipoi_tfbind.repairs.legacy_keras.concise_layers import concise_importable

    try:
        with concise_importable():
            # None where the package that the file imports has entered its layers in Keras itself.
            return dict(load_module(path).OBJECTS or {})
    except UnsupportedModelError:
        raise
    except Exception as error:  # the code is somebody else's, and so is the choice of exception
        package = (getattr(error, "name", None) or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and importlib.util.find_spec(package) is None:
            raise UnsupportedModelError(
                f"{path}: the custom objects need the package {package}, which is not installed"
            ) from error
        reason = " ".join(str(error).split())
        raise UnsupportedModelError(
            f"{path}: the custom objects do not run on today's Keras ({type(error).__name__}: {reason}); "
            "change the file, for instance to `from keras import layers, ops`"
        ) from error
