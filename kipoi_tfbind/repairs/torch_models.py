"""Repairs of Kipoi's PyTorch classes, so that they load and run on today's PyTorch."""

from __future__ import annotations

import functools
import io
import itertools
import os
import pickle
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError, WeightsError
from kipoi_tfbind.repairs.weight_files import require_pickle_allowed, require_weights


def load_every_torch_file(model: ModuleType) -> None:
    """Let the PyTorch classes load weights from a GPU and TorchScript, and say what a pickle does.

    Today's PyTorch refuses to unpickle a whole module unless it is told that the file is trusted.
    """
    torch_model, old_torch_model = model.PyTorchModel, model.OldPyTorchModel
    load, load_old, as_variable = torch_model.__init__, old_torch_model.__init__, torch_model._torch_var

    @functools.wraps(load)
    def __init__(self: Any, weights: str, *args: Any, **kwargs: Any) -> None:
        weights = str(require_weights(weights))
        try:
            load(self, weights, *args, **kwargs)
        except (pickle.UnpicklingError, RuntimeError, TypeError) as error:
            load(self, _state_dict(weights, error), *args, **kwargs)

    @functools.wraps(load_old)
    def __init_old__(
        self: Any, file: Any = None, build_fn: Any = None, weights: Any = None, auto_use_cuda: bool = True
    ) -> None:
        if weights is not None:
            weights = str(require_weights(weights))
        if build_fn is None and weights is not None:
            module = whole_module(weights)
            load_old(self, build_fn=lambda: module, auto_use_cuda=auto_use_cuda)
            return
        try:
            load_old(self, file, build_fn, weights, auto_use_cuda)
        except (pickle.UnpicklingError, RuntimeError, TypeError) as error:
            if weights is None:
                raise
            load_old(self, file, build_fn, _state_dict(weights, error), auto_use_cuda)

    @functools.wraps(as_variable)
    def _torch_var(self: Any, input: Any, requires_grad: bool = False) -> Any:
        dtype = _dtype_of(self.model)
        if input.is_floating_point() and dtype is not None:
            input = input.to(dtype)
        return as_variable(self, input, requires_grad)

    torch_model.__init__, old_torch_model.__init__ = __init__, __init_old__
    torch_model._torch_var = _torch_var


def _dtype_of(module: Any) -> Any:
    """Type of a module's floating-point parameters; None where it has none."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)


@contextmanager
def _own_folder_importable() -> Iterator[None]:
    """Let a pickle find the modules beside a model.yaml: Kipoi makes its folder the current one."""
    folder = os.getcwd()
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _state_dict(path: str, problem: Exception) -> io.BytesIO:
    """Read a state dict that ``torch.load`` failed to read, in the form in which it reads it.

    Raises
    ------
    InputError
        The file is a pickle, and that is not allowed.
    WeightsError
        The file holds no state dict, or not that of this module.
    """
    import torch

    if "loading state_dict" in str(problem):
        reason = " ".join(str(problem).split())
        raise WeightsError(f"{path}: not the weights of this module: {reason}") from problem
    loaded = _load_torch_file(path)
    if hasattr(loaded, "state_dict"):
        loaded = loaded.state_dict()
    if not isinstance(loaded, dict):
        raise WeightsError(
            f"{path}: expected a state dict or a module, got {type(loaded).__name__}"
        ) from problem
    buffer = io.BytesIO()
    torch.save(dict(loaded), buffer)
    buffer.seek(0)
    return buffer


def whole_module(path: str) -> Any:
    """Load a file that holds a module: TorchScript, or a pickle where that is allowed."""
    loaded = _load_torch_file(path)
    if not callable(getattr(loaded, "eval", None)):
        raise InputError(
            f"{path}: expected a whole module or TorchScript, got {type(loaded).__name__}; weights alone "
            "need the class of their module: `kipoi tfbind package` makes an entry of both (--code, "
            "--class), or name it in a model.yaml (module_class, module_obj)"
        )
    return loaded


def _load_torch_file(path: str) -> Any:
    """Load any file of PyTorch onto the GPU if there is one, else the CPU."""
    import torch

    device = None if torch.cuda.is_available() else "cpu"
    if _is_torchscript(path):
        return torch.jit.load(path, map_location=device)
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        require_pickle_allowed(path)
        with _own_folder_importable():
            return torch.load(path, map_location=device, weights_only=False)


def _is_torchscript(path: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
