"""Models that are a file or folder of their own, without a model.yaml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kipoi_tfbind.repairs.weight_files import refuse_code


@dataclass(frozen=True)
class ModelFile:
    """A model and the file that it was loaded from.

    Attributes
    ----------
    model
        The model in its framework.
    path
        Its file or folder.
    default_dataloader
        There is none.
    """

    model: Any
    path: Path
    default_dataloader: None = None


def is_model_file(name: str) -> bool:
    """Whether a path is a file of a kind that holds a whole model, or the folder of a SavedModel.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "model.keras").write_text(""), (folder / "model.txt").write_text("")
    >>> is_model_file(f"{folder}/model.keras"), is_model_file(f"{folder}/model.txt"), is_model_file("none.pt")
    (True, False, False)
    """
    path = Path(name)
    return (path.is_file() and path.suffix in _LOADERS) or (path / "saved_model.pb").is_file()


def load_model_file(name: str) -> ModelFile:
    """Load a file of a model, or the folder of a SavedModel.

    Raises
    ------
    InputError
        The file runs code when it is loaded, and that is not allowed; or it holds no model.
    WeightsError, UnsupportedModelError
        It is damaged, or of a framework that cannot read it any more.
    """
    path = Path(name)
    load = _saved_model if path.is_dir() else _LOADERS[path.suffix]
    return ModelFile(load(path), path)


def _keras(path: Path) -> Any:
    import kipoi.model

    return kipoi.model.KerasModel(str(path)).model


def _saved_model(path: Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(path))


def _torch(path: Path) -> Any:
    from kipoi_tfbind.repairs.torch_models import whole_module

    return whole_module(str(path))


def _exported_program(path: Path) -> Any:
    import torch

    return torch.export.load(path)


def _pickled(path: Path) -> Any:
    import joblib  # type: ignore[import-untyped]

    refuse_code(path, "a pickle")
    return joblib.load(path)


_LOADERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys((".keras", ".h5", ".hdf5"), _keras),
    **dict.fromkeys((".pt", ".pth"), _torch),
    ".pt2": _exported_program,
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _pickled),
}
SUFFIXES = tuple(_LOADERS)
