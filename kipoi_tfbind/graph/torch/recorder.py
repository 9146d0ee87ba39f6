"""A record of a PyTorch function, operation by operation, while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.torch.call import Running, Slot


@dataclass
class RecordedCall:
    """One operation that ran."""

    operation: Any
    arguments: Any
    inputs: list[Ref]
    shapes: list[tuple[int, ...]]
    constant: torch.Tensor | None
    layer: str


class Recorder(TorchDispatchMode):
    """Writes down each operation with where its tensors came from."""

    def __init__(self, inputs: list[torch.Tensor]):
        super().__init__()
        self.calls: list[RecordedCall] = []
        self.inputs = inputs
        self.outputs: list[torch.Tensor] = []
        self.layers: list[str] = []
        # Of the tensors that there still are: a large model's values together take too much memory.
        self._refs = WeakTensorKeyDictionary()
        # The tensors that share a storage, and those of them that another has since overwritten.
        self._sharing: dict[int, list[Any]] = {}
        self._overwritten = WeakTensorKeyDictionary()
        for tensor in inputs:
            self._record(RecordedCall("input", None, [], [tuple(tensor.shape)], None, ""), [tensor])

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        slots: list[Ref] = []

        def take(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor):
                return leaf
            slots.append(self.ref(leaf))
            return Slot(len(slots) - 1)

        operation = out_of_place(function)
        if operation is torch.ops.aten._local_scalar_dense.default:
            self._refuse_value(args[0])
        arguments = tree_map(take, (args, kwargs))
        result = _called(function, args, kwargs)
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if not outputs:
            return result
        layer = self.layers[-1] if self.layers else Running.layer
        call = RecordedCall(operation, arguments, slots, [tuple(t.shape) for t in outputs], None, layer)
        if operation is not function and torch.Tag.inplace_view not in function.tags:
            self._overwrite(args[0])
        self._record(call, outputs)
        return result

    def ref(self, tensor: torch.Tensor) -> Ref:
        """Where a tensor came from; one that no operation made is a constant."""
        if tensor in self._overwritten:
            raise UnsupportedModelError(
                "model: it overwrites part of a tensor in place and reads the tensor afterwards, which "
                "cannot be traced; write to a copy"
            )
        if tensor not in self._refs:
            constant = tensor.detach()
            layer = self.layers[-1] if self.layers else Running.layer
            self._record(RecordedCall("constant", None, [], [tuple(tensor.shape)], constant, layer), [tensor])
        return self._refs[tensor]

    def _record(self, call: RecordedCall, outputs: list[torch.Tensor]) -> None:
        self.calls.append(call)
        for i, tensor in enumerate(outputs):
            self._refs[tensor] = (len(self.calls) - 1, i)
            self._overwritten.pop(tensor, None)
            if tensor.layout == torch.strided:
                place = tensor.untyped_storage().data_ptr()
                others = [other for other in self._sharing.get(place, []) if other() is not None]
                self._sharing[place] = [*others, TensorWeakRef(tensor)]

    def _overwrite(self, tensor: torch.Tensor) -> None:
        for reference in self._sharing.get(tensor.untyped_storage().data_ptr(), []):
            other = reference()
            if other is not None and other is not tensor and _overlap(tensor, other):
                self._overwritten[other] = True

    def _refuse_value(self, tensor: torch.Tensor) -> None:
        """Refuse a model that looks at a value which depends on the input."""
        pending, seen = [self.ref(tensor)[0]], set()
        while pending:
            call = pending.pop()
            if self.calls[call].operation == "input":
                raise UnsupportedModelError(
                    "model: what it does depends on the values of its input (a Python `if` or `.item()`), "
                    "which cannot be traced; use a method that only predicts, such as in-silico mutagenesis"
                )
            pending += [node for node, _ in self.calls[call].inputs if node not in seen]
            seen.update(pending)


def _called(function: Any, args: Any, kwargs: Any) -> Any:
    if function is torch.ops.aten.convolution.default:
        # While a model is traced the fused kernels are off, which hide what a recurrent layer computes; those
        # of a convolution hide nothing, and are many times faster.
        with torch.backends.mkldnn.flags(enabled=True):
            return function(*args, **kwargs)
    try:
        return function(*args, **kwargs)
    except RuntimeError:
        # TorchScript puts a number where it had a tensor that holds one; not every operation takes that.
        tensors = [
            torch.scalar_tensor(arg) if isinstance(arg, int | float) and str(spec.type) == "Tensor" else arg
            for arg, spec in zip(args, function._schema.arguments, strict=False)
        ]
        if all(tensor is arg for tensor, arg in zip(tensors, args, strict=True)):
            raise
        return function(*tensors, **kwargs)


def _overlap(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one storage have an element in common."""
    return np.intersect1d(_places(one), _places(other)).size > 0


def _places(tensor: torch.Tensor) -> NDArray[np.int64]:
    """Where in its storage each element of a tensor lies."""
    places = np.array(tensor.storage_offset())
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        places = np.add.outer(places, stride * np.arange(size))
    return places


@contextmanager
def named_layers(recorder: Recorder) -> Iterator[None]:
    """Have the recorder know which module is running, without a hook on any of the model's own."""
    names: dict[int, str] = {}

    def enter(module: torch.nn.Module, _: Any) -> None:
        if not recorder.layers:
            names.update({id(part): name for name, part in module.named_modules()})
        recorder.layers.append(names.get(id(module)) or type(module).__name__)

    def leave(module: torch.nn.Module, *_: Any) -> None:
        recorder.layers.pop()

    hooks = torch.nn.modules.module
    handles = [
        hooks.register_module_forward_pre_hook(enter),
        hooks.register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def out_of_place(function: Any) -> Any:
    """The operation that returns what `function` would write into its first argument; itself if it does not.

    Raises
    ------
    AttributeError
        There is none.
    """
    if not function._schema.is_mutable:
        return function
    namespace, name = function._schema.name.split("::")
    if not name.endswith("_"):
        return function
    candidates = getattr(getattr(torch.ops, namespace), name[:-1])
    types = [str(argument.type) for argument in function._schema.arguments]
    for overload in candidates.overloads():
        candidate = getattr(candidates, overload)
        if [str(argument.type) for argument in candidate._schema.arguments] == types:
            return candidate
    raise AttributeError(f"{function} has no form that leaves its argument alone")
