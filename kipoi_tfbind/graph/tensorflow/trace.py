"""TensorFlow functions as graphs: calls inlined, variables frozen, a loop as one node or unrolled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
from kipoi_tfbind.graph.tensorflow.lists import pack, sorted_operations, unpack
from kipoi_tfbind.graph.tensorflow.loops import Stacked, StepList, as_scan
from kipoi_tfbind.graph.tensorflow.operations import Call, describe, layer_of

# Past this, an unrolled loop takes minutes to compile.
MAX_UNROLLED_STEPS = 5000
# Constants up to this size are known while tracing: axes, paddings, a loop's counter.
_SMALL = 64

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_BRANCHES = frozenset({"If", "StatelessIf"})

# What is computed while tracing, so that a loop's number of steps becomes known.
_FOLDED: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Identity": lambda x: x,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "LogicalAnd": np.logical_and,
    "LogicalNot": np.logical_not,
    "LogicalOr": np.logical_or,
    "Max": lambda x, axes: np.max(x, axis=tuple(np.atleast_1d(axes)) if np.ndim(x) else None),
    "Maximum": np.maximum,
    "Min": lambda x, axes: np.min(x, axis=tuple(np.atleast_1d(axes)) if np.ndim(x) else None),
    "Minimum": np.minimum,
    "Mul": np.multiply,
    "Sub": np.subtract,
}


def trace_tensorflow(
    function: Callable[[list[tf.Tensor]], Any], specs: Sequence[tf.TensorSpec]
) -> TensorFlowGraph:
    """Turn a TensorFlow function into a graph of operations.

    Keras models, SavedModels and plain functions are all traced alike. The variables become constants:
    weights that are trained further later do not change the graph, and the model itself is not changed.

    Parameters
    ----------
    function
        From a list of tensors to a list of tensors, or to one tensor.
    specs
        Shape and type of each input, with None for the batch, which comes first. A recurrent layer can only
        be unrolled where the length is given.

    Returns
    -------
    TensorFlowGraph

    Raises
    ------
    UnsupportedModelError
        The function cannot be traced.

    Examples
    --------
    >>> import tensorflow as tf
    >>> graph = trace_tensorflow(lambda x: [tf.sigmoid(x[0][:, :2])], [tf.TensorSpec((None, 4))])
    >>> graph.output_activation(0)
    'sigmoid'
    >>> graph.without_output_activations().as_function()([tf.ones((1, 4))])[0].numpy()
    array([[1., 1.]], dtype=float32)
    """

    def flat(*tensors: tf.Tensor) -> list[tf.Tensor]:
        outputs = function(list(tensors))
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        # Apart from each other and from the inputs, also where the function returns one twice.
        return [tf.identity(tf.convert_to_tensor(output)) for output in outputs]

    names = [f"input_{i}" for i in range(len(specs))]
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name) for spec, name in zip(specs, names, strict=True)]
    try:
        concrete = tf.function(flat, input_signature=signature, autograph=False).get_concrete_function()
    except (TypeError, ValueError, NotImplementedError, AttributeError, tf.errors.OpError) as error:
        problem = " ".join(str(error).split())
        raise UnsupportedModelError(
            f"model: TensorFlow cannot trace it ({type(error).__name__}: {problem[:300]}); use a method that "
            f"only predicts, such as in-silico mutagenesis"
        ) from error
    try:
        frozen = _frozen(concrete)
    except ValueError as error:
        raise UnsupportedModelError(
            f"model: its variables cannot be frozen; does it change them, as a layer in training mode does? "
            f"({' '.join(str(error).split())[:200]})"
        ) from error
    tracer = _Tracer(frozen.graph)
    inputs = tracer.add_inputs(signature)
    tracer.add_all(
        frozen.graph, {tensor.name: ref for tensor, ref in zip(frozen.inputs, inputs, strict=True)}
    )
    outputs = tuple(tracer.value_of(frozen.graph, tensor) for tensor in frozen.outputs)
    return TensorFlowGraph(
        nodes=tuple(tracer.nodes),
        inputs=tuple(range(len(specs))),
        outputs=outputs,
        frozen=frozen,
        sources=tracer.sources,
    )


def _frozen(concrete: Any) -> Any:
    """The function with its variables as constants; what TensorFlow logs of it is no news to the user."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    finally:
        logger.setLevel(level)


class _Tracer:
    """Collects the nodes of a graph of TensorFlow and of the functions that it calls."""

    def __init__(self, graph: tf.Graph, library: dict[str, Any] | None = None):
        self.nodes: list[Node] = []
        # Tensors of the outermost graph by the value that they are here.
        self.sources: dict[Ref, tf.Tensor] = {}
        self._outermost = graph
        if library is None:
            library = {f.signature.name: f for f in graph.as_graph_def().library.function}
        self._library = library
        self._bodies: dict[Any, Any] = {}
        self.known: dict[Ref, Any] = {}
        # In a loop's step: the values that are its number.
        self.step_number: set[Ref] = set()
        # Of each graph that is being traced, by tensor name: a Ref, or a list of Refs for a TensorList.
        self._values: dict[int, dict[str, Any]] = {}

    def add_inputs(self, signature: Sequence[tf.TensorSpec]) -> list[Ref]:
        return [self.add(Node("Placeholder", Operation("input"), call=spec))[0] for spec in signature]

    def value_of(self, graph: tf.Graph, tensor: tf.Tensor) -> Any:
        return self._values[id(graph)][tensor.name]

    def add_all(self, graph: tf.Graph, values: dict[str, Any]) -> None:
        """Add all nodes of `graph`, of which `values` gives the inputs, by tensor name."""
        self._values[id(graph)] = values
        for operation in sorted_operations(graph):
            if not operation.outputs or operation.outputs[0].name in values:
                continue
            inputs = [values[tensor.name] for tensor in operation.inputs]
            for tensor, value in zip(operation.outputs, self._outputs(operation, inputs), strict=True):
                values[tensor.name] = value
                if graph is self._outermost and not isinstance(value, list):
                    self.sources.setdefault(value, tensor)

    def _outputs(self, operation: tf.Operation, inputs: list[Any]) -> Sequence[Any]:
        kind = operation.type
        if kind in _CALLS:
            return self.call(operation.get_attr("f").name, inputs, operation.inputs)
        if kind in _LOOPS:
            scanned = as_scan(self, operation, inputs)
            return scanned or self._unrolled(operation, inputs) or self._opaque(operation, inputs, "loop")
        if kind in _BRANCHES:
            taken = self.known.get(inputs[0]) if isinstance(inputs[0], tuple) else None
            if taken is None:
                return self._opaque(operation, inputs, "branch")
            branch = "then_branch" if np.all(taken) else "else_branch"
            return self.call(operation.get_attr(branch).name, inputs[1:], operation.inputs[1:])
        if kind.startswith("TensorList"):
            return self._tensor_list(operation, inputs) or self._opaque(operation, inputs, "loop")
        if any(isinstance(value, list) for value in inputs):
            # A list of tensors passed on as it is.
            return [inputs[0]] if kind == "Identity" else self._opaque(operation, inputs, "loop")
        outputs = self.add(describe(operation, tuple(inputs), [self.known.get(ref) for ref in inputs]))
        self._fold(operation, inputs, outputs)
        return outputs

    def add(self, node: Node) -> list[Ref]:
        self.nodes.append(node)
        return [(len(self.nodes) - 1, i) for i in range(node.n_outputs)]

    def add_known(self, value: Any) -> Ref:
        """A constant whose value is known while tracing, if it is a small one."""
        (ref,) = self.add(Node("Const", Operation("constant"), (), np.asarray(value)))
        if np.size(value) <= _SMALL:
            self.known[ref] = value
        return ref

    def inner(self) -> _Tracer:
        """A tracer of a graph of its own, with the same functions to call."""
        return _Tracer(self._outermost, self._library)

    def dtype_of(self, ref: Ref) -> tf.DType:
        """The type of a value."""
        call = self.nodes[ref[0]].call
        return call.dtypes[ref[1]] if isinstance(call, Call) else tf.as_dtype(call.dtype)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take away what is added within."""
        n_before = len(self.nodes)
        try:
            yield
        finally:
            del self.nodes[n_before:]
            self.known = {ref: value for ref, value in self.known.items() if ref[0] < n_before}

    def _opaque(self, operation: tf.Operation, inputs: list[Any], kind: str) -> list[Ref]:
        """A loop or branch that depends on values which only come at run time."""
        flat = [
            ref for value in inputs for ref in (self.items(value) if isinstance(value, list) else [value])
        ]
        refs = tuple(ref for ref in flat if ref is not None)
        return self.add(
            Node(operation.type, Operation(kind), refs, None, layer_of(operation), len(operation.outputs))
        )

    def _fold(self, operation: tf.Operation, inputs: list[Ref], outputs: list[Ref]) -> None:
        """Note the value of a small constant."""
        size = operation.outputs[0].shape.num_elements()
        small = size is not None and size <= _SMALL
        value = tf.get_static_value(operation.outputs[0]) if small else None
        if value is None and operation.type in _FOLDED and all(ref in self.known for ref in inputs):
            value = _FOLDED[operation.type](*(self.known[ref] for ref in inputs))
        if value is not None and np.size(value) <= _SMALL:
            self.known[outputs[0]] = value

    def body_of(self, name: str, like: Sequence[tf.Tensor]) -> Any:
        """The graph of a function for tensors of such shapes."""
        key = name, tuple(str(tensor.shape) for tensor in like)
        if key not in self._bodies:
            with self._outermost.as_default():
                shapes = [tensor.shape for tensor in like]
                self._bodies[key] = function_def_to_graph(self._library[name], input_shapes=shapes)
        return self._bodies[key]

    def call(self, name: str, inputs: list[Any], like: Sequence[tf.Tensor]) -> list[Any]:
        body = self.body_of(name, like)
        values = dict(zip((tensor.name for tensor in body.inputs), inputs, strict=True))
        # A function may be called within itself (a loop in a loop's body does so with one body's graph).
        outer = self._values.get(id(body))
        self.add_all(body, values)
        outputs = [values[tensor.name] for tensor in body.outputs]
        if outer is not None:
            self._values[id(body)] = outer
        return outputs

    def _unrolled(self, operation: tf.Operation, inputs: list[Any]) -> list[Any] | None:
        """The loop's results with each step's operations in line; None where the steps are not known."""
        condition, body = operation.get_attr("cond").name, operation.get_attr("body").name
        n_before = len(self.nodes)
        values = inputs
        for _ in range(MAX_UNROLLED_STEPS):
            (go_on,) = self.call(condition, values, operation.outputs)
            if not isinstance(go_on, tuple) or go_on not in self.known:
                break
            if not np.all(self.known[go_on]):
                return values
            values = self.call(body, values, operation.outputs)
        del self.nodes[n_before:]
        self.known = {ref: value for ref, value in self.known.items() if ref[0] < n_before}
        return None

    def _tensor_list(self, operation: tf.Operation, inputs: list[Any]) -> list[Any] | None:
        """A list of tensors as a Python list of values; None where its length or an index is not known."""
        if isinstance(inputs[0], StepList):
            return self._slice_of_step(operation, inputs)
        known = [self.known.get(value) if isinstance(value, tuple) else None for value in inputs]
        match operation.type:
            case "TensorListFromTensor":
                length = (
                    operation.inputs[0].shape[:1].as_list()[0] if operation.inputs[0].shape.rank else None
                )
                if length is None:
                    return None
                dtype = operation.inputs[0].dtype
                return [Stacked(inputs[0], length, dtype)]
            case "TensorListReserve" if known[1] is not None:
                return [[None] * int(known[1])]
            case "TensorListGetItem" if isinstance(inputs[0], list) and known[1] is not None:
                item = self.items(inputs[0])[int(known[1])]
                return None if item is None else [item]
            case "TensorListSetItem" if isinstance(inputs[0], list) and known[1] is not None:
                items = list(self.items(inputs[0]))
                items[int(known[1])] = inputs[2]
                return [items]
            case "TensorListLength" if isinstance(inputs[0], list):
                return None
            case "TensorListStack" if isinstance(inputs[0], Stacked):
                return [inputs[0].stacked]
            case "TensorListStack" if isinstance(inputs[0], list) and None not in inputs[0]:
                layer = layer_of(operation)
                return self.add(pack(inputs[0], operation.outputs[0].dtype, layer))
        return None

    def items(self, items: list[Any]) -> list[Any]:
        """The items of a list, as values of their own."""
        if isinstance(items, Stacked) and items and items[0] is None:
            layer = self.nodes[items.stacked[0]].layer
            items[:] = self.add(unpack(items.stacked, len(items), items.dtype, layer))
        return items

    def _slice_of_step(self, operation: tf.Operation, inputs: list[Any]) -> list[Any] | None:
        """What a loop's step takes of a list, or gives it; None where that is not the slice of its number."""
        if operation.type not in ("TensorListGetItem", "TensorListSetItem"):
            return None
        taken, at = inputs[0].taken, self.known.get(inputs[1])
        own = self._source(inputs[1]) in self.step_number
        if operation.type == "TensorListGetItem":
            return [taken] if own and taken is not None else None
        if inputs[0].given is not None:
            return None
        if own:
            return [StepList(taken, inputs[2])]
        return None if at is None else [StepList(taken, inputs[2], int(at))]

    def _source(self, ref: Ref) -> Ref:
        while self.nodes[ref[0]].name == "Identity":
            ref = self.nodes[ref[0]].inputs[0]
        return ref
