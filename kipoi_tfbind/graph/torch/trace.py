"""PyTorch functions as graphs: every ATen operation that runs is written down, whatever code called it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.torch.graph import BatchInteger, Slot, TorchGraph
from kipoi_tfbind.graph.torch.kinds import describe, out_of_place

# Two sizes of a batch tell how each integer depends on it, the third checks that.
_BATCH_SIZES = (2, 3, 5)


@dataclass
class _Call:
    """One operation that ran."""

    operation: Any
    arguments: Any
    inputs: list[Ref]
    shapes: list[tuple[int, ...]]
    constant: torch.Tensor | None
    layer: str


def trace_torch(function: Callable[..., Any], examples: Sequence[torch.Tensor]) -> TorchGraph:
    """Turn a PyTorch function into a graph of ATen operations.

    The function is run at three batch sizes, which tell the operations' integers that depend on it. It need
    not be a module: `torch.nn.functional`, reused modules and TorchScript modules are just operations. The
    weights are shared with the model, not copied.

    Parameters
    ----------
    function
        From a list of tensors to a list of tensors or to one tensor; or a module, which is called with the
        tensors as its arguments, in evaluation mode, and is in its own mode again afterwards.
    examples
        One tensor for each input, the batch first, with any number of sequences.

    Returns
    -------
    TorchGraph

    Raises
    ------
    UnsupportedModelError
        What the model does depends on the values of its input or on the size of the batch, or it cannot be
        traced for another reason.

    Examples
    --------
    >>> import torch
    >>> graph = trace_torch(lambda x: [torch.sigmoid(x[0].sum(dim=2))], [torch.ones(1, 4, 3)])
    >>> graph.output_activation(0)
    'sigmoid'
    >>> graph.without_output_activations().as_function()([torch.ones(7, 4, 3)])[0].shape
    torch.Size([7, 4])
    """
    with ExitStack() as stack:
        run = function
        if isinstance(function, torch.nn.Module):
            stack.enter_context(_evaluation_mode(function))
            module = function
            run = lambda tensors: module(*tensors)  # noqa: E731
        stack.enter_context(_plain_operations())
        try:
            recorders = [_recorded(run, [_rows(t, n) for t in examples]) for n in _BATCH_SIZES]
        except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError) as error:
            if isinstance(error, UnsupportedModelError):
                raise
            problem = " ".join(str(error).split())
            raise UnsupportedModelError(
                f"model: PyTorch cannot trace it ({type(error).__name__}: {problem[:300]}); use a method "
                f"that only predicts, such as in-silico mutagenesis"
            ) from error
        graph = _merged(recorders, len(examples))
        _check_replay(graph, recorders[-1])
    return graph


def _rows(example: torch.Tensor, n: int) -> torch.Tensor:
    """`n` rows that differ wherever the example has rows that differ."""
    return example.detach()[torch.arange(n, device=example.device) % len(example)].clone()


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def _plain_operations() -> Iterator[None]:
    """No fused kernels for recurrent layers and attention, which would hide what they compute."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(torch.jit.optimized_execution(False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


class _Recorder(TorchDispatchMode):
    """Writes down each operation with where its tensors came from."""

    def __init__(self, inputs: list[torch.Tensor]):
        super().__init__()
        self.calls: list[_Call] = []
        self.inputs = inputs
        self.outputs: list[torch.Tensor] = []
        self.layers: list[str] = []
        # By id; the tensors are kept so that no id is given twice.
        self._refs: dict[int, Ref] = {}
        self._kept: list[Any] = []
        # The tensors that share a storage, and those of them that another has since overwritten.
        self._sharing: dict[int, list[torch.Tensor]] = {}
        self._overwritten: set[int] = set()
        for tensor in inputs:
            self._record(_Call("input", None, [], [tuple(tensor.shape)], None, ""), [tensor])

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
        layer = self.layers[-1] if self.layers else ""
        call = _Call(operation, arguments, slots, [tuple(t.shape) for t in outputs], None, layer)
        if operation is not function and torch.Tag.inplace_view not in function.tags:
            self._overwrite(args[0])
        self._record(call, outputs)
        return result

    def ref(self, tensor: torch.Tensor) -> Ref:
        """Where a tensor came from; one that no operation made is a constant."""
        if id(tensor) in self._overwritten:
            raise UnsupportedModelError(
                "model: it overwrites part of a tensor in place and reads the tensor afterwards, which "
                "cannot be traced; write to a copy"
            )
        if id(tensor) not in self._refs:
            constant = tensor.detach()
            layer = self.layers[-1] if self.layers else ""
            self._record(_Call("constant", None, [], [tuple(tensor.shape)], constant, layer), [tensor])
        return self._refs[id(tensor)]

    def _record(self, call: _Call, outputs: list[torch.Tensor]) -> None:
        self.calls.append(call)
        for i, tensor in enumerate(outputs):
            self._refs[id(tensor)] = (len(self.calls) - 1, i)
            self._overwritten.discard(id(tensor))
            self._kept.append(tensor)
            if tensor.layout == torch.strided:
                self._sharing.setdefault(tensor.untyped_storage().data_ptr(), []).append(tensor)

    def _overwrite(self, tensor: torch.Tensor) -> None:
        for other in self._sharing.get(tensor.untyped_storage().data_ptr(), []):
            if other is not tensor and _overlap(tensor, other):
                self._overwritten.add(id(other))

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


def _recorded(run: Callable[..., Any], tensors: list[torch.Tensor]) -> _Recorder:
    # Functionalisation turns most writes in place into operations; the recorder sees to the rest.
    recorder: list[_Recorder] = []

    def inner(*functional: torch.Tensor) -> Any:
        outputs = run(list(functional))
        if isinstance(outputs, dict):
            outputs = list(outputs.values())
        return tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,)

    with _Recorder(tensors) as mode, _named_layers(mode):
        recorder.append(mode)
        outputs = torch.func.functionalize(inner)(*tensors)
        mode.outputs = list(outputs)
    return recorder[0]


@contextmanager
def _named_layers(recorder: _Recorder) -> Iterator[None]:
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


def _merged(recorders: list[_Recorder], n_inputs: int) -> TorchGraph:
    """One graph from the three runs, with the integers that depend on the batch as such."""
    outputs = [[recorder.ref(tensor) for tensor in recorder.outputs] for recorder in recorders]
    live = [_live(recorder, refs, n_inputs) for recorder, refs in zip(recorders, outputs, strict=True)]
    # What no output depends on may differ.
    places = [{call: i for i, call in enumerate(calls)} for calls in live]

    def renumbered(refs: list[list[Ref]]) -> tuple[Ref, ...]:
        first, *others = (
            tuple((place[node], output) for node, output in run)
            for place, run in zip(places, refs, strict=True)
        )
        return first if all(other == first for other in others) else _refuse_other_operations()

    nodes = []
    if len({len(calls) for calls in live}) > 1:
        _refuse_other_operations()
    for numbers in zip(*live, strict=True):
        calls = [recorder.calls[number] for recorder, number in zip(recorders, numbers, strict=True)]
        call = calls[0]
        if any(c.operation != call.operation for c in calls):
            _refuse_other_operations()
        inputs = renumbered([c.inputs for c in calls])
        if call.operation == "input":
            dtype = recorders[0].inputs[numbers[0]].dtype
            nodes.append(Node("input", "input", attributes={"dtype": dtype}))
        elif call.operation == "constant":
            nodes.append(_constant(calls))
        else:
            arguments = _with_batch_integers([c.arguments for c in calls], call)
            shapes = _with_batch_integers([tuple(c.shapes) for c in calls], call)
            nodes.append(describe(call.operation, arguments, inputs, call.layer, shapes))
    return TorchGraph(tuple(nodes), tuple(range(n_inputs)), renumbered(outputs))


def _refuse_other_operations() -> Any:
    raise UnsupportedModelError(
        "model: it runs other operations with another number of sequences in the batch, which cannot be "
        "traced; use a method that only predicts, such as in-silico mutagenesis"
    )


def _live(recorder: _Recorder, outputs: list[Ref], n_inputs: int) -> list[int]:
    """The calls that the outputs depend on, and the inputs."""
    live = set(range(n_inputs))
    pending = [node for node, _ in outputs]
    while pending:
        node = pending.pop()
        live.add(node)
        pending += [source for source, _ in recorder.calls[node].inputs if source not in live]
    return sorted(live)


def _constant(calls: list[_Call]) -> Node:
    values = [call.constant for call in calls if call.constant is not None]
    value = values[0]
    if not all(v is value or _equal(v, value) for v in values):
        raise UnsupportedModelError(
            f"model: layer {calls[0].layer or 'without a name'} makes a constant that depends on the number "
            f"of sequences in the batch, or is random; it cannot be traced"
        )
    return Node("constant", "constant", (), {"value": value}, calls[0].layer)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same, NaN in the same places too: a weight may have become NaN."""
    if one.shape != other.shape:
        return False
    same = (one == other) | ((one != one) & (other != other))
    return bool(same.all())


def _with_batch_integers(arguments: list[Any], call: _Call) -> Any:
    """One operation's arguments in each run as one: integers that differ are affine in its batch size."""
    first = arguments[0]
    if isinstance(first, list | tuple):
        if any(len(a) != len(first) for a in arguments):
            return _refuse_batch_dependence(call)
        return type(first)(_with_batch_integers(list(items), call) for items in zip(*arguments, strict=True))
    if isinstance(first, dict):
        return {key: _with_batch_integers([a[key] for a in arguments], call) for key in first}
    if all(type(a) is type(first) and a == first for a in arguments):
        return first
    if not all(isinstance(a, int) for a in arguments):
        return _refuse_batch_dependence(call)
    slope, offset = arguments[1] - arguments[0], 3 * arguments[0] - 2 * arguments[1]
    if arguments[2] != slope * _BATCH_SIZES[2] + offset:
        return _refuse_batch_dependence(call)
    return BatchInteger(slope, offset)


def _refuse_batch_dependence(call: _Call) -> Any:
    raise UnsupportedModelError(
        f"model: operation {call.operation} of layer {call.layer or 'without a name'} depends on the number "
        f"of sequences in the batch in a way that cannot be traced"
    )


def _check_replay(graph: TorchGraph, recorder: _Recorder) -> None:
    """Make sure that the graph gives what the model gave."""
    replayed = graph.as_function()(recorder.inputs)
    for mine, its in zip(replayed, recorder.outputs, strict=True):
        finite = its[its.isfinite()]
        scale = float(finite.abs().max()) if finite.numel() else 0.0
        if mine.shape != its.shape or not torch.allclose(
            mine, its, rtol=1e-4, atol=1e-4 * scale, equal_nan=True
        ):
            raise UnsupportedModelError(
                "model: its operations, run again one by one, do not give its own output; is it random in "
                "evaluation mode, or does it keep a state from one call to the next?"
            )
