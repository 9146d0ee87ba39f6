"""DeepLIFT multipliers of PyTorch modules by shap's own rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from kipoi_tfbind.backends.torch import TorchBackend, evaluation_mode
from kipoi_tfbind.errors import UnsupportedModelError

_ACTIVATIONS = frozenset(
    {
        torch.sigmoid,
        torch.Tensor.sigmoid,
        torch.special.expit,
        torch.nn.functional.sigmoid,
        torch.softmax,
        torch.Tensor.softmax,
        torch.special.softmax,
        torch.nn.functional.softmax,
    }
)


class TorchExplainer:
    """shap's explainer on the module itself, which is left as it was.

    Parameters
    ----------
    backend
        The model; its logits are explained where they are what it gives.
    inputs
        Arrays of the shapes that will come.

    Attributes
    ----------
    prediction
        Outputs of the model as shap sees them.

    Raises
    ------
    UnsupportedModelError
        The sigmoid or softmax at the module's end cannot be left out.
    """

    def __init__(self, backend: TorchBackend, inputs: Sequence[NDArray]) -> None:
        self._backend = backend
        self._dtype = next((p.dtype for p in backend.module.parameters() if p.is_floating_point()), None)
        self._device = next((p.device for p in backend.module.parameters()), None)
        tensors = self._tensors(inputs)
        self._model = _WithoutActivations(backend, frozenset())
        with evaluation_mode(backend.module), torch.no_grad():
            if backend.output == "logit":
                self._model = _WithoutActivations(backend, _last_activations(backend, tensors))
            self.prediction: NDArray = self._model(*tensors).cpu().numpy()

    def multipliers(self, rows: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """Multipliers (row, *axes, column) of rows against those as many places further on.

        Parameters
        ----------
        rows
            For each input (2 * row, *axes): the sequences, and then what each is compared with.
        """
        import shap
        from shap.explainers._deep.deep_pytorch import add_interim_values, deeplift_grad

        tensors = self._tensors(rows)
        few = [tensor[-1:] for tensor in tensors]
        with left_as_it_was(self._backend.module), torch.enable_grad():
            # shap runs the model on these once, for an expected value that is not used.
            explainer = shap.DeepExplainer(self._model, few if len(few) > 1 else few[0]).explainer
            explainer.add_handles(explainer.model, add_interim_values, deeplift_grad)
            found = [explainer.gradient(column, tensors)[wrt] for column in columns]
        return np.stack(found, axis=-1)[len(rows[wrt]) // 2 :]

    def _tensors(self, arrays: Sequence[NDArray]) -> list[torch.Tensor]:
        return [
            torch.as_tensor(
                np.array(array, order="C"),
                dtype=self._dtype if array.dtype.kind == "f" else None,
                device=self._device,
            )
            for array in arrays
        ]


class _WithoutActivations(torch.nn.Module):
    """The outputs side by side, without some calls of sigmoid and softmax, by their numbers."""

    def __init__(self, backend: TorchBackend, left_out: frozenset[int]) -> None:
        super().__init__()
        self.inner = backend.module
        self._backend, self._left_out = backend, left_out

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        with _Activations(self._left_out):
            outputs = self._backend.module_outputs(tensors)
        return self._backend.joined(outputs, len(tensors[0]))


class _Activations(TorchFunctionMode):
    """Counts the calls of sigmoid and softmax, leaves some out, and keeps what the others gave."""

    def __init__(self, left_out: frozenset[int] = frozenset()) -> None:
        super().__init__()
        self._left_out = left_out
        self.results: list[torch.Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in _ACTIVATIONS:
            return func(*args, **kwargs)
        if len(self.results) in self._left_out:
            result = (args[0] if args else kwargs["input"]).clone()
        else:
            result = func(*args, **kwargs)
        self.results.append(result)
        return result


def _last_activations(backend: TorchBackend, tensors: Sequence[torch.Tensor]) -> frozenset[int]:
    """Numbers of the calls of sigmoid and softmax that gave the outputs."""
    with _Activations() as calls:
        outputs = backend.module_outputs(tensors)
    numbers = []
    for output in outputs:
        flat = output.reshape(-1)
        same = [
            number
            for number, result in enumerate(calls.results)
            if result.numel() == flat.numel() and torch.equal(result.reshape(-1).to(flat.dtype), flat)
        ]
        if not same:
            raise UnsupportedModelError("the sigmoid or softmax at the module's end is no call of its own")
        numbers.append(same[-1])
    return frozenset(numbers)


@contextmanager
def left_as_it_was(module: torch.nn.Module) -> Iterator[None]:
    """Put hooks, attributes, modes and gradients of a module back, also after an error.

    shap sets hooks and attributes on every layer, leaves some of them there, and clears the gradients.
    """
    parts = [*module.modules()]
    own = [dict(part.__dict__) for part in parts]
    tables = [(table, table.copy()) for o in own for table in o.values() if isinstance(table, dict)]
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    try:
        yield
    finally:
        for table, contents in tables:
            table.clear()
            table.update(contents)
        for part, contents in zip(parts, own, strict=True):
            part.__dict__.clear()
            part.__dict__.update(contents)
        for parameter, gradient in gradients:
            parameter.grad = gradient
