"""Loops of TensorFlow as one node: a step that takes slices of arrays, keeps states, and gives slices.

Recurrent layers are such loops. Any other loop is unrolled (`trace.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kipoi_tfbind.graph.graph import Node, Ref, Scan
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.tensorflow.operations import layer_of

# A loop of more steps is not counted.
MAX_STEPS = 100_000


class Stacked(list[Any]):
    """A list of tensors that are the slices of one, and are made when they are asked for."""

    def __init__(self, stacked: Ref, length: int, dtype: tf.DType) -> None:
        super().__init__([None] * length)
        self.stacked, self.dtype = stacked, dtype


class StepList(list[Any]):
    """A list of tensors in a loop's step: the slice that it takes, if any, and the one that it gives.

    What is given goes to the number of the step or, where the last one alone is kept, to the place `at`.
    """

    def __init__(self, taken: Ref | None, given: Ref | None = None, at: int | None = None) -> None:
        super().__init__()
        self.taken, self.given, self.at = taken, given, at


def as_scan(tracer: Any, operation: tf.Operation, inputs: list[Any]) -> list[Any] | None:
    """The results of a loop, which becomes one node of the tracer; None where it is not of that form."""
    body = tracer.body_of(operation.get_attr("body").name, operation.outputs)
    step = _Step(tracer, operation, inputs, body)
    roles = step.roles
    if roles is None:
        return None
    n_steps = _count(tracer, operation, inputs, roles)
    lists = [inputs[i] for i in (*roles["taken"], *roles["given"]) if step.place(i) is None]
    if not n_steps or any(len(items) != n_steps for items in lists):
        return None
    graph = step.graph()
    macs, elements = _cost_of_step(graph)
    scan = Scan(
        body=graph,
        n_steps=n_steps,
        n_taken=len(roles["taken"]),
        n_given=len(roles["given"]),
        n_states=len(roles["state"]),
        all_macs=n_steps * macs,
        elements=n_steps * elements,
    )
    refs = [inputs[i].stacked for i in roles["taken"]]
    refs += [inputs[i] for i in (*roles["state"], *step.shared_inputs)]
    n_outputs = scan.n_given + scan.n_states
    found = tracer.add(Node("While", scan, tuple(refs), None, layer_of(operation), n_outputs))
    results = list(inputs)
    for i, ref in zip(roles["given"], found[: scan.n_given], strict=True):
        results[i] = Stacked(ref, n_steps, step.dtype_given(i))
        place = step.place(i)
        if place is not None:
            last = tracer.items(results[i])[-1]
            results[i] = [*inputs[i][:place], last, *inputs[i][place + 1 :]]
    for i, ref in zip(roles["state"], found[scan.n_given :], strict=True):
        results[i] = ref
    for i in roles["counter"]:
        results[i] = tracer.add_known(tracer.known[inputs[i]] + n_steps)
    return results


class _Step:
    """One step of a loop, traced by itself, with the role of each of the loop's variables."""

    def __init__(self, tracer: Any, operation: tf.Operation, inputs: list[Any], body: Any) -> None:
        self._operation, self._inputs, self._body = operation, inputs, body
        self._unchanged = {i for i, tensor in enumerate(body.outputs) if _source(tensor) is body.inputs[i]}
        self._inner = tracer.inner()
        self._placeholders: dict[int, Ref] = {}
        self._values = [self._value(tracer, i) for i in range(len(inputs))]
        self.roles = self._roles(tracer) if None not in self._values else None

    def _value(self, tracer: Any, i: int) -> Any:
        """What stands for a variable of the loop while its step is traced; None where nothing can."""
        value, tensor = self._inputs[i], self._operation.inputs[i]
        if isinstance(value, list) and i not in self._unchanged:
            return StepList(None)
        if isinstance(value, list):
            if not isinstance(value, Stacked):
                return None
            shape = _element_shape(self._body, self._body.inputs[i])
            return StepList(self._placeholder(i, shape, value.dtype))
        node = tracer.nodes[value[0]]
        if i in self._unchanged and node.kind == "constant":
            return self._inner.add_known(node.call)
        ref = self._placeholder(i, self._body.inputs[i].shape, tensor.dtype)
        if i in self._unchanged and value in tracer.known:
            self._inner.known[ref] = tracer.known[value]
        return ref

    def _placeholder(self, i: int, shape: Any, dtype: tf.DType) -> Ref:
        (ref,) = self._inner.add(Node("Placeholder", Operation("input"), call=tf.TensorSpec(shape, dtype)))
        self._placeholders[i] = ref
        return ref

    def _roles(self, tracer: Any) -> dict[str, list[int]] | None:
        """The numbers of the variables of each role; None where one has another."""
        names = [tensor.name for tensor in self._body.inputs]
        inner = self._inner
        roles: dict[str, list[int]] = {role: [] for role in ("taken", "given", "state", "counter", "shared")}
        counters = {i for i, name in enumerate(names) if self._counts(tracer, i)}
        inner.step_number = {self._placeholders[i] for i in counters if tracer.known[self._inputs[i]] == 0}
        inner.add_all(self._body, dict(zip(names, self._values, strict=True)))
        self._outputs = [inner.value_of(self._body, tensor) for tensor in self._body.outputs]
        for i, (value, output) in enumerate(zip(self._values, self._outputs, strict=True)):
            if isinstance(value, StepList) and i not in self._unchanged:
                if not isinstance(output, StepList) or output.given is None:
                    return None
                roles["given"].append(i)
            elif isinstance(value, StepList):
                roles["taken"].append(i)
            elif i in self._unchanged:
                roles["shared"].append(i)
            elif i in counters:
                roles["counter"].append(i)
            elif isinstance(output, tuple):
                roles["state"].append(i)
            else:
                return None
        self.roles = roles
        live = {inner.nodes[i].kind for i in self.graph().live_nodes()}
        used = {self._placeholders[i][0] for i in counters} & set(self.graph().live_nodes())
        return None if used or live & {"loop", "branch"} else roles

    def _counts(self, tracer: Any, i: int) -> bool:
        """Whether a variable is one more after each step."""
        tensor = _source(self._body.outputs[i])
        if isinstance(self._inputs[i], list) or tensor.op.type not in ("Add", "AddV2"):
            return False
        sources = [_source(operand) for operand in tensor.op.inputs]
        others = [operand for operand in sources if operand is not self._body.inputs[i]]
        ones = len(others) == 1 and np.array_equal(tf.get_static_value(others[0]), 1)
        return bool(ones and len(sources) == 2 and np.ndim(tracer.known.get(self._inputs[i], [])) == 0)

    @property
    def shared_inputs(self) -> list[int]:
        """The variables that all steps share and that are no constants."""
        return [i for i in (self.roles or {})["shared"] if i in self._placeholders]

    def graph(self) -> TensorFlowGraph:
        """From slices, states and what is shared to slices and states."""
        roles = self.roles or {}
        sources = [*roles["taken"], *roles["state"], *self.shared_inputs]
        given = [self._outputs[i].given for i in roles["given"]]
        return TensorFlowGraph(
            tuple(self._inner.nodes),
            tuple(self._placeholders[i][0] for i in sources),
            (*given, *(self._outputs[i] for i in roles["state"])),
        )

    def place(self, i: int) -> int | None:
        """The one place in a list that each step gives its slice to."""
        return self._outputs[i].at if isinstance(self._outputs[i], StepList) else None

    def dtype_given(self, i: int) -> tf.DType:
        """The type of the slices that a variable is given."""
        return self._inner.dtype_of(self._outputs[i].given)


def _source(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor that another one is, through identities."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _element_shape(body: Any, variable: tf.Tensor) -> Any:
    """The shape of the items that a step gets of a list."""
    for operation in body.get_operations():
        if operation.type == "TensorListGetItem" and _source(operation.inputs[0]) is variable:
            return operation.outputs[0].shape
    return None


def _count(
    tracer: Any, operation: tf.Operation, inputs: list[Any], roles: dict[str, list[int]]
) -> int | None:
    """The number of steps; None where it depends on more than the number of the step."""
    condition = operation.get_attr("cond").name
    first = {i: tracer.known[inputs[i]] for i in roles["counter"]}

    def goes_on(n: int) -> bool | None:
        values = list(inputs)
        for i, value in first.items():
            values[i] = tracer.add_known(value + n)
        (ref,) = tracer.call(condition, values, operation.outputs)
        return bool(np.all(tracer.known[ref])) if ref in tracer.known else None

    with tracer.undone():
        return _first_not(goes_on)


def _first_not(holds: Callable[[int], bool | None]) -> int | None:
    """The first number for which a condition that ends once does not hold."""
    high = 1
    while high < MAX_STEPS:
        found = holds(high)
        if found is None:
            return None
        if not found:
            break
        high *= 2
    else:
        return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high if holds(low) else 0


def _cost_of_step(graph: TensorFlowGraph) -> tuple[int, int]:
    """Multiply-accumulates of a step for one sequence, and the elements that it makes."""
    macs = elements = 0
    varying = graph.varying()
    with tf.Graph().as_default():
        tensors = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in graph.signature()]
        live = graph.live_nodes()
        values = graph.run(tensors, {(i, j) for i in live for j in range(graph.nodes[i].n_outputs)})
    for i in sorted(varying - set(graph.inputs)):
        node = graph.nodes[i]
        operands = [_sizes(values[ref])[1:] for ref in node.inputs if ref[0] in varying]
        kernels = [_sizes(values[ref]) for ref in node.inputs[1:] if ref[0] not in varying]
        out = _sizes(values[i, 0])[1:]
        macs += node.operation.macs(operands, kernels[0] if kernels else None, out)
        elements += int(np.prod(out)) if node.kind not in ("identity", "reshape") else 0
    return macs, elements


def _sizes(value: tf.Tensor) -> tuple[int, ...]:
    return tuple(n or 1 for n in value.shape.as_list()) if value.shape.rank else ()
