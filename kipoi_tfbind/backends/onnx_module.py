"""An ONNX model as a module of PyTorch, whose graph is then traced as that of any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from kipoi_tfbind.backends.onnx_operations import OPERATIONS
from kipoi_tfbind.backends.threads import threads
from kipoi_tfbind.errors import UnsupportedOperationError

_STANDARD = ("", "ai.onnx")


def graph_inputs(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Name of each input of an ONNX model, and its shape without the batch axis; None for any size."""
    weights = {initializer.name for initializer in model.graph.initializer}
    return {
        value.name: tuple(dim.dim_value or None for dim in value.type.tensor_type.shape.dim)[1:]
        for value in model.graph.input
        if value.name not in weights
    }


class OnnxModule(torch.nn.Module):
    """The operations of an ONNX model, one after the other, by PyTorch's.

    Parameters
    ----------
    model
        The model, with its weights.

    Raises
    ------
    UnsupportedOperationError
        It has an operation that is not translated; the message names it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        missing = sorted(
            {n.op_type for n in model.graph.node if n.op_type not in OPERATIONS or n.domain not in _STANDARD}
            - {"Constant", "ConstantOfShape"}
        )
        if missing:
            raise UnsupportedOperationError(
                f"model: has operations of ONNX that are not translated, {', '.join(missing)}; it gives "
                "predictions only"
            )
        self._nodes = list(model.graph.node)
        self._attributes = [
            {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in self._nodes
        ]
        self.inputs = list(graph_inputs(model))
        self._outputs = [value.name for value in model.graph.output]
        # Weights are tensors; integers are shapes, axes and the like.
        self._constants: dict[str, Any] = {}
        self._weight_names: dict[str, str] = {}
        for initializer in model.graph.initializer:
            self._keep(initializer.name, numpy_helper.to_array(initializer))
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            if node.op_type == "Constant":
                self._keep(node.output[0], _constant(attributes))

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs: one tensor, or several by name."""
        values: dict[str, Any] = dict(zip(self.inputs, inputs, strict=True)) | dict(self._known())
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            if node.op_type == "Constant":
                continue
            operands = [values[name] if name else None for name in node.input]
            if node.op_type == "ConstantOfShape":
                found = _filled(operands[0], attributes)
            else:
                found = OPERATIONS[node.op_type](operands, attributes)
            results = found if isinstance(found, list) else [found]
            values |= dict(zip(node.output, results, strict=False))
        if len(self._outputs) == 1:
            return values[self._outputs[0]]
        return {name: values[name] for name in self._outputs}

    def _keep(self, name: str, array: Any) -> None:
        if array.dtype.kind == "f":
            buffer = f"weight_{len(self._weight_names)}"
            self.register_buffer(buffer, torch.from_numpy(np.array(array)))
            self._weight_names[name] = buffer
        else:
            self._constants[name] = array

    def _known(self) -> Iterator[tuple[str, Any]]:
        yield from self._constants.items()
        for name, buffer in self._weight_names.items():
            yield name, getattr(self, buffer)


def _constant(attributes: dict[str, Any]) -> Any:
    for kind in ("value_int", "value_ints"):
        if kind in attributes:
            return np.asarray(attributes[kind], dtype=np.int64)
    for kind in ("value_float", "value_floats"):
        if kind in attributes:
            return np.asarray(attributes[kind], dtype=np.float32)
    return numpy_helper.to_array(attributes["value"])


def _filled(shape: Any, attributes: dict[str, Any]) -> Any:
    value = numpy_helper.to_array(attributes["value"]) if "value" in attributes else np.zeros(1, np.float32)
    filled = np.full(tuple(np.asarray(shape)), value[0])
    return torch.from_numpy(filled) if filled.dtype.kind == "f" else filled


def session_function(model: onnx.ModelProto) -> Any:
    """Predictions of an ONNX model by onnxruntime: a function from its inputs, in order, to its outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads() or 0  # 0: as many as there are cores
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]

    def predict(*inputs: Any) -> Any:
        arrays = {name: np.asarray(array, np.float32) for name, array in zip(names, inputs, strict=True)}
        found = session.run(outputs, arrays)
        return found[0] if len(found) == 1 else dict(zip(outputs, found, strict=True))

    return predict
