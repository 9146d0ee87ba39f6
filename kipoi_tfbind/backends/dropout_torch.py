"""Dropout of PyTorch modules as masks that are further inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kipoi_tfbind.backends.dropout import Drop
from kipoi_tfbind.backends.torch import evaluation_mode
from kipoi_tfbind.errors import UnsupportedModelError

_OF_UNITS = (functional.dropout,)
_OF_CHANNELS = (functional.dropout1d, functional.dropout2d, functional.dropout3d)
_NOT_DRAWN = (functional.alpha_dropout, functional.feature_alpha_dropout)
# The dropout of these is within one function of PyTorch, which knows of no mask.
_BY_THEMSELVES = (torch.nn.MultiheadAttention, torch.nn.RNNBase)


def check_dropout_of_module(module: torch.nn.Module, name: str) -> None:
    """Check that no part of a module drops units by itself.

    Raises
    ------
    UnsupportedModelError
        A recurrent layer or an attention does.
    """
    for part_name, part in module.named_modules():
        if isinstance(part, _BY_THEMSELVES) and part.dropout > 0:
            raise UnsupportedModelError(
                f"model {name}: {type(part).__name__} {part_name} drops units by itself, and which ones "
                "cannot be drawn for each sequence; the spread of an ensemble of models needs no dropout"
            )


def find_drops(
    module: torch.nn.Module, run: Callable[[Sequence[torch.Tensor]], Any], inputs: Sequence[NDArray]
) -> list[Drop]:
    """Calls of dropout, be it by layers or functions, when a module is run on some inputs."""
    found: list[Drop] = []

    def recorded(x: torch.Tensor, shape: tuple[int, ...], rate: float) -> torch.Tensor:
        found.append(Drop(shape, rate))
        return x

    parameter = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    tensors = [torch.as_tensor(np.array(array), device=parameter.device) for array in inputs]
    with evaluation_mode(module), torch.no_grad(), _Dropping(recorded):
        run([t.to(parameter.dtype) if t.is_floating_point() else t for t in tensors])
    return found


class MaskedModule(torch.nn.Module):
    """A module of the inputs of another one, and of a mask for each of its calls of dropout.

    Parameters
    ----------
    module
        The other one.
    function
        Inputs and masks -> outputs.
    """

    def __init__(self, module: torch.nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self._function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Outputs of the other module."""
        return self._function(*tensors)


def with_masks(run: Callable[[Sequence[torch.Tensor]], Any], n_inputs: int) -> Callable[..., Any]:
    """A function that runs a module, of its inputs and of a mask for each call of dropout."""

    def function(*tensors: torch.Tensor) -> Any:
        masks = iter(tensors[n_inputs:])
        with _Dropping(lambda x, shape, rate: x * next(masks).to(x.dtype)):
            return run(list(tensors[:n_inputs]))

    return function


class _Dropping(TorchFunctionMode):
    """Has dropout of a rate above 0 do what a function says, whatever the mode of the module."""

    def __init__(self, drop: Callable[[torch.Tensor, tuple[int, ...], float], torch.Tensor]) -> None:
        super().__init__()
        self._drop = drop

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of PyTorch, or what stands for it."""
        kwargs = kwargs or {}
        if func not in (*_OF_UNITS, *_OF_CHANNELS, *_NOT_DRAWN):
            return func(*args, **kwargs)
        x, rate = _arguments(*args, **kwargs)
        if rate <= 0:
            return x
        if func in _NOT_DRAWN:
            raise UnsupportedModelError(
                f"model: {func.__name__} cannot be drawn for each sequence; the spread of an ensemble of "
                "models needs no dropout"
            )
        shape = tuple(x.shape[1:])
        if func in _OF_CHANNELS:
            shape = (*shape[:1], *(1 for _ in shape[1:]))
        return self._drop(x, shape, float(rate))


def _arguments(
    input: torch.Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> tuple[torch.Tensor, float]:
    return input, p
