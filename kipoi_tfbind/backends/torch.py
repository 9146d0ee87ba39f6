"""PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import (
    Capability,
    InputStructure,
    OutputKind,
    Path,
    Transform,
    leaves,
    transformed_whole,
    with_output,
)
from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.engine import Incremental
from kipoi_tfbind.graph.layer_output import (
    ConvolutionOutput,
    LayerOutput,
    convolution_outputs,
    layer_outputs,
)
from kipoi_tfbind.graph.live_memory import bytes_per_row
from kipoi_tfbind.graph.torch.deep_lift import TorchDeepLift
from kipoi_tfbind.graph.torch.graph import TorchGraph
from kipoi_tfbind.graph.torch.incremental import TorchIncremental
from kipoi_tfbind.graph.torch.trace import trace_torch
from kipoi_tfbind.notices import notice

Shapes = tuple[tuple[int, ...], ...]
Model = Callable[[list[torch.Tensor]], list[torch.Tensor]]


class TorchBackend:
    """A PyTorch module, traced once in evaluation mode; the module's own mode is restored.

    A module that cannot be traced (its path depends on the values of its input) is called as it is: it has
    gradients, and neither logits nor multipliers.

    Parameters
    ----------
    module
        The model.
    examples
        Arrays that it takes, one for each input; they are only looked at for their shapes.
    structure
        The form of its inputs; those of a list or dict become arguments of `forward`.
    output
        "logit" to leave out a sigmoid or softmax at the end, where every output has one.
    transform
        Applied to each output tensor.
    order
        Paths of the outputs in the order that is wanted; by default the output's own.
    double_precision
        Compute in float64.
    """

    framework = "torch"

    def __init__(
        self,
        module: torch.nn.Module,
        examples: Sequence[NDArray],
        structure: InputStructure,
        *,
        output: OutputKind = "logit",
        transform: Transform | None = None,
        order: Sequence[Path] | None = None,
        double_precision: bool = False,
    ) -> None:
        self._module = module
        self._transform = transform
        self._wanted = output
        self._double_precision = double_precision
        self._paths: list[Path] = []
        self._whole = False
        # By the shapes of the inputs: a trace holds for one length of the sequence.
        self._models: dict[Shapes, Model] = {}
        self._traced: dict[Shapes, TorchGraph] = {}
        self._graphs: dict[Shapes, TorchGraph] = {}
        # Parts of the graphs from an inner value on, as of `head_of`.
        self.heads: dict[Any, Any] = {}
        self._deep_lift: dict[Any, TorchDeepLift] = {}
        self._incremental: dict[Any, Incremental] = {}
        self._row_bytes: dict[Any, int] = {}
        parameter = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
        self._own_dtype, self._device = parameter.dtype, parameter.device
        self._dtype = torch.float64 if double_precision else parameter.dtype
        call: Callable[[Sequence[torch.Tensor]], Any] = module_call(module, structure)

        def outputs(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            output = call(tensors)
            whole = transformed_whole(output, transform)
            self._whole = whole is not None
            found = leaves(whole if self._whole else output, order)
            self._paths = [path for path, _ in found]
            self._flat_already = [value.ndim for _, value in found] == [2] and transform is None
            return [value for _, value in found]

        self._outputs = outputs
        self.output: OutputKind = "raw"
        self.capabilities: frozenset[Capability] = frozenset({"predictions", "gradients", "multipliers"})
        tensors = self.tensors(examples)
        try:
            self._model(tensors)
        except UnsupportedModelError as error:
            if double_precision:
                raise
            reason = str(error).partition("; use a method")[0]
            notice(f"{reason}; its output is taken as it comes, and it has no DeepLIFT multipliers")
            self.capabilities = frozenset({"predictions", "gradients"})

    def output_shapes(self, inputs: Sequence[NDArray]) -> list[tuple[Path, tuple[int, ...]]]:
        """See the protocol."""
        with torch.no_grad():
            tensors = [self._reduced(tensor) for tensor in self._run(self.tensors(inputs))]
        return [(path, tuple(tensor.shape[1:])) for path, tensor in zip(self._paths, tensors, strict=True)]

    def predict(self, inputs: Sequence[NDArray]) -> NDArray:
        """See the protocol."""
        with torch.no_grad():
            return self._side_by_side(self.tensors(inputs)).cpu().numpy()

    def gradient(self, inputs: Sequence[NDArray], wrt: int, columns: Sequence[int]) -> NDArray:
        """See the protocol."""
        tensors = self.tensors(inputs)
        tensors[wrt].requires_grad_(True)
        with torch.enable_grad():
            prediction = self._side_by_side(tensors)
            gradients = [
                torch.autograd.grad(
                    prediction[:, column].sum(), tensors[wrt], retain_graph=True, materialize_grads=True
                )[0]
                for column in columns
            ]
        return torch.stack(gradients, dim=-1).cpu().numpy()

    def multipliers(
        self, inputs: Sequence[NDArray], references: NDArray, wrt: int, columns: Sequence[int]
    ) -> tuple[NDArray, NDArray, NDArray]:
        """See the protocol."""
        tensors = self.tensors(inputs)
        key = wrt, _shapes(tensors)
        if key not in self._deep_lift:
            self._deep_lift[key] = TorchDeepLift(self._graph(tensors), wrt)
        return self._deep_lift[key](inputs, references, columns)

    def incremental(
        self, inputs: Sequence[NDArray], wrt: int, axis: int, base_encodings: NDArray
    ) -> Incremental | None:
        """See the protocol."""
        if "multipliers" not in self.capabilities:
            return None
        tensors = self.tensors(inputs)
        key = wrt, _shapes(tensors)
        if key not in self._incremental:
            graph = self._graph(tensors)
            self._incremental[key] = TorchIncremental(graph, wrt, key[1], axis, base_encodings)
        return self._incremental[key]

    def layers(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[LayerOutput]:
        """See the protocol."""
        if "multipliers" not in self.capabilities:
            return []
        tensors = self.tensors(inputs)
        return layer_outputs(self._graph(tensors), wrt, axis, _shapes(tensors))

    def convolutions(self, inputs: Sequence[NDArray], wrt: int, axis: int) -> list[ConvolutionOutput]:
        """See the protocol."""
        if "multipliers" not in self.capabilities:
            return []
        tensors = self.tensors(inputs)
        return convolution_outputs(self._graph(tensors), wrt, axis, _shapes(tensors))

    def traced(self, inputs: Sequence[NDArray]) -> TorchGraph:
        """See the protocol."""
        if "multipliers" not in self.capabilities:
            raise UnsupportedModelError("model: cannot be traced, so that its layers are not known")
        return self._graph(self.tensors(inputs))

    def activations(self, inputs: Sequence[NDArray], ref: Ref) -> NDArray:
        """See the protocol."""
        tensors = self.tensors(inputs)
        with torch.no_grad():
            return self._graph(tensors).run(tensors, {ref}, len(tensors[0]))[ref].cpu().numpy()

    def predict_silenced(
        self, inputs: Sequence[NDArray], layer: LayerOutput, channels: Sequence[int]
    ) -> NDArray:
        """See the protocol."""
        tensors, mask = self.tensors(inputs), torch.as_tensor(layer.mask(channels))
        graph = self._graph(tensors)
        (output,) = graph.outputs
        with torch.no_grad():
            changes = {layer.ref: lambda x: x * mask.to(device=x.device, dtype=x.dtype)}
            return graph.run(tensors, {output}, len(tensors[0]), changes)[output].cpu().numpy()

    @property
    def module(self) -> torch.nn.Module:
        """The model itself."""
        return self._module

    def module_outputs(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs of the module itself instead of its trace: a sigmoid or softmax at its end is there."""
        return self._outputs(tensors)

    def joined(self, outputs: Sequence[torch.Tensor], rows: int) -> torch.Tensor:
        """The outputs, each after its transform and flattened, side by side (row, column)."""
        flat = [self._reduced(tensor).reshape(rows, -1) for tensor in outputs]
        return torch.cat(flat, dim=1) if len(flat) > 1 else flat[0]

    def weights(self) -> list[NDArray]:
        """See the protocol."""
        module: Any = self._module
        if hasattr(module, "trainable_variables"):
            # Of Keras: without the states of what it draws, which differ whenever the model is loaded.
            values = [weight.value for weight in module.weights]
        else:
            values = [*torch.nn.Module.state_dict(module).values()]
        return [value.detach().cpu().numpy() for value in values]

    def bytes_per_row(self, inputs: Sequence[NDArray], *, backward: bool) -> int:
        """See the protocol."""
        if "multipliers" not in self.capabilities:
            return 0
        shapes = tuple(array.shape[1:] for array in inputs)
        key = shapes, backward
        if key not in self._row_bytes:
            self._model(self.tensors(inputs))
            itemsize = self._dtype.itemsize
            self._row_bytes[key] = bytes_per_row(self._traced[shapes], shapes, itemsize, keeps_all=backward)
        return self._row_bytes[key]

    def tensors(self, inputs: Sequence[NDArray]) -> list[torch.Tensor]:
        """The inputs as tensors of the model's own types."""
        # A copy: PyTorch takes no negative strides, and must not write into the caller's array.
        arrays = [np.array(array, order="C") for array in inputs]
        return [
            torch.as_tensor(
                array, dtype=self._dtype if array.dtype.kind == "f" else None, device=self._device
            )
            for array in arrays
        ]

    def _run(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs, from the trace where there is one."""
        if "multipliers" in self.capabilities:
            return self._model(tensors)(tensors)
        with evaluation_mode(self._module):
            return self._outputs(tensors)

    def _model(self, tensors: list[torch.Tensor]) -> Model:
        """The traced model for inputs of these shapes."""
        shapes = _shapes(tensors)
        if shapes not in self._models:
            with evaluation_mode(self._module):
                own = [t.to(self._own_dtype) if t.is_floating_point() else t for t in tensors]
                try:
                    graph = trace_torch(self._outputs, own)
                except UnsupportedModelError:
                    # Of inputs that the module does not take at all, its own error says more.
                    with torch.no_grad():
                        self._outputs(own)
                    raise
            self.output, graph = with_output(graph, self._wanted)
            if self._double_precision:
                graph = graph.in_precision("float64")
            self._traced[shapes], self._models[shapes] = graph, graph.as_function()
        return self._models[shapes]

    def _graph(self, tensors: list[torch.Tensor]) -> TorchGraph:
        """The graph of all outputs side by side, for inputs of these shapes."""
        shapes = _shapes(tensors)
        self._model(tensors)
        if self._flat_already:
            return self._traced[shapes]
        if shapes not in self._graphs:
            self._graphs[shapes] = trace_torch(lambda tensors: [self._side_by_side(tensors)], tensors)
        return self._graphs[shapes]

    def _side_by_side(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.joined(self._run(list(tensors)), tensors[0].shape[0])

    def _reduced(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._whole:
            return tensor
        if callable(self._transform):
            return self._transform(tensor)
        axes = tuple(range(1, tensor.ndim - 1))
        if self._transform is None or not axes:
            return tensor
        reduce: Callable[..., torch.Tensor] = getattr(
            torch, {"max": "amax"}.get(self._transform, self._transform)
        )
        return reduce(tensor, dim=axes)


@contextmanager
def evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Switch dropout and the like off, and every submodule back to its own mode, also after an error."""
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode


def module_call(
    module: torch.nn.Module, structure: InputStructure
) -> Callable[[Sequence[torch.Tensor]], Any]:
    """Call a module with a list of tensors, as Kipoi does: a list becomes arguments, a dict keywords."""
    if structure.kind == "dict":
        return lambda tensors: module(**dict(zip(structure.names, structure.joined(tensors), strict=True)))
    return lambda tensors: module(*structure.joined(tensors))


def _shapes(tensors: Sequence[torch.Tensor]) -> Shapes:
    return tuple(tuple(tensor.shape[1:]) for tensor in tensors)
