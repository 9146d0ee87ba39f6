"""PyTorch functions as graphs: every ATen operation that runs is written down, whatever code called it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.torch.call import BatchInteger
from kipoi_tfbind.graph.torch.graph import TorchGraph
from kipoi_tfbind.graph.torch.operations import describe
from kipoi_tfbind.graph.torch.recorder import RecordedCall, Recorder, named_layers

# Two sizes of a batch tell how each integer depends on it, the third checks that.
_BATCH_SIZES = (2, 3, 5)


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
    with torch.no_grad():
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


def _recorded(run: Callable[..., Any], tensors: list[torch.Tensor]) -> Recorder:
    # Functionalisation turns most writes in place into operations; the recorder sees to the rest.
    recorder: list[Recorder] = []

    def inner(*functional: torch.Tensor) -> Any:
        outputs = run(list(functional))
        if isinstance(outputs, dict):
            outputs = list(outputs.values())
        return tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,)

    with Recorder(tensors) as mode, named_layers(mode):
        recorder.append(mode)
        outputs = torch.func.functionalize(inner)(*tensors)
        mode.outputs = list(outputs)
    return recorder[0]


def _merged(recorders: list[Recorder], n_inputs: int) -> TorchGraph:
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

    nodes: list[Node] = []
    all_shapes: list[Any] = []
    if len({len(calls) for calls in live}) > 1:
        _refuse_other_operations()
    for numbers in zip(*live, strict=True):
        calls = [recorder.calls[number] for recorder, number in zip(recorders, numbers, strict=True)]
        call = calls[0]
        if any(c.operation != call.operation for c in calls):
            _refuse_other_operations()
        inputs = renumbered([c.inputs for c in calls])
        if call.operation == "constant":
            nodes.append(_constant(calls))
        shapes = _with_batch_integers([tuple(c.shapes) for c in calls], call)
        all_shapes.append(shapes)
        if call.operation == "input":
            nodes.append(Node("input", Operation("input"), call=recorders[0].inputs[numbers[0]].dtype))
        elif call.operation != "constant":
            arguments = _with_batch_integers([c.arguments for c in calls], call)
            operands = [all_shapes[node][output] for node, output in inputs]
            nodes.append(describe(call.operation, arguments, inputs, call.layer, shapes, operands))
    refs = renumbered(outputs)
    taken = {ref for node in nodes for ref in node.inputs} | set(refs)
    for i, node in enumerate(nodes):
        if node.kind == "max_pool" and (i, 1) not in taken:
            nodes[i] = replace(node, n_outputs=1)  # Without the positions of the maxima.
    return TorchGraph(tuple(nodes), tuple(range(n_inputs)), refs)


def _refuse_other_operations() -> Any:
    raise UnsupportedModelError(
        "model: it runs other operations with another number of sequences in the batch, which cannot be "
        "traced; use a method that only predicts, such as in-silico mutagenesis"
    )


def _live(recorder: Recorder, outputs: list[Ref], n_inputs: int) -> list[int]:
    """The calls that the outputs depend on, and the inputs."""
    live = set(range(n_inputs))
    pending = [node for node, _ in outputs]
    while pending:
        node = pending.pop()
        live.add(node)
        pending += [source for source, _ in recorder.calls[node].inputs if source not in live]
    return sorted(live)


def _constant(calls: list[RecordedCall]) -> Node:
    values = [call.constant for call in calls if call.constant is not None]
    value = values[0]
    if not all(v is value or _equal(v, value) for v in values):
        raise UnsupportedModelError(
            f"model: layer {calls[0].layer or 'without a name'} makes a constant that depends on the number "
            f"of sequences in the batch, or is random; it cannot be traced"
        )
    return Node("constant", Operation("constant"), (), value, calls[0].layer)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same, NaN in the same places too: a weight may have become NaN."""
    if one.shape != other.shape:
        return False
    same = (one == other) | ((one != one) & (other != other))
    return bool(same.all())


def _with_batch_integers(arguments: list[Any], call: RecordedCall) -> Any:
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


def _refuse_batch_dependence(call: RecordedCall) -> Any:
    raise UnsupportedModelError(
        f"model: operation {call.operation} of layer {call.layer or 'without a name'} depends on the number "
        f"of sequences in the batch in a way that cannot be traced"
    )


def _check_replay(graph: TorchGraph, recorder: Recorder) -> None:
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
