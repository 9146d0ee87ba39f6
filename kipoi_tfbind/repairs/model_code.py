"""The code that a model brings along: ``model.py`` and ``dataloader.py`` of several models in one process."""

from __future__ import annotations

import functools
import os
import sys
from types import ModuleType
from typing import Any


def keep_models_apart(model: ModuleType) -> None:
    """Let each model have its own ``model.py``, also where Python looks for modules in the current folder.

    Kipoi imports it, and ``dataloader.py``, by its bare name from the model's folder. In a notebook and with
    ``python -c`` Python then remembers it, and the next model silently gets the code of the one before.
    """
    get_model = model.get_model
    folders: set[str] = set()

    @functools.wraps(get_model)
    def get_model_with_own_code(model_name: Any, source: Any = "kipoi", *args: Any, **kwargs: Any) -> Any:
        folder = _folder_of(model, model_name, source)
        if folder is not None:
            _forget_modules(folders - {folder}, folder)
        loaded = get_model(model_name, source, *args, **kwargs)
        folders.add(os.path.realpath(loaded.source_dir))
        return loaded

    model.get_model = get_model_with_own_code  # type: ignore[attr-defined]


def _folder_of(model: ModuleType, name: Any, source: Any) -> str | None:
    """Folder of a model, before it is loaded; None where the source or the model is unknown."""
    try:
        if isinstance(source, str):
            source = model.kipoi.config.get_source(source)
        return os.path.realpath(source.get_model_dir(name))
    except Exception:  # Kipoi raises its own error for the same reason when it loads the model
        return None


def _forget_modules(folders: set[str], folder: str) -> None:
    """Forget modules that were imported from `folders` and that are in `folder` too."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not file or os.path.dirname(os.path.realpath(file)) not in folders:
            continue
        if os.path.exists(os.path.join(folder, f"{name}.py")):
            del sys.modules[name]
