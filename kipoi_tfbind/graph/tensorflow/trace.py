"""TensorFlow functions as graphs: function calls inlined, variables frozen, loops unrolled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from kipoi_tfbind.errors import UnsupportedModelError
from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.tensorflow.graph import TensorFlowGraph
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

    def __init__(self, graph: tf.Graph):
        self.nodes: list[Node] = []
        # Tensors of the outermost graph by the value that they are here.
        self.sources: dict[Ref, tf.Tensor] = {}
        self._outermost = graph
        self._library = {f.signature.name: f for f in graph.as_graph_def().library.function}
        self._bodies: dict[Any, Any] = {}
        self._known: dict[Ref, Any] = {}
        # Of each graph that is being traced, by tensor name: a Ref, or a list of Refs for a TensorList.
        self._values: dict[int, dict[str, Any]] = {}

    def add_inputs(self, signature: Sequence[tf.TensorSpec]) -> list[Ref]:
        return [self._add(Node("Placeholder", Operation("input"), call=spec))[0] for spec in signature]

    def value_of(self, graph: tf.Graph, tensor: tf.Tensor) -> Any:
        return self._values[id(graph)][tensor.name]

    def add_all(self, graph: tf.Graph, values: dict[str, Any]) -> None:
        """Add all nodes of `graph`, of which `values` gives the inputs, by tensor name."""
        self._values[id(graph)] = values
        for operation in _sorted_operations(graph):
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
            return self._call(operation.get_attr("f").name, inputs, operation.inputs)
        if kind in _LOOPS:
            return self._unrolled(operation, inputs) or self._opaque(operation, inputs, "loop")
        if kind in _BRANCHES:
            taken = self._known.get(inputs[0]) if isinstance(inputs[0], tuple) else None
            if taken is None:
                return self._opaque(operation, inputs, "branch")
            branch = "then_branch" if np.all(taken) else "else_branch"
            return self._call(operation.get_attr(branch).name, inputs[1:], operation.inputs[1:])
        if kind.startswith("TensorList"):
            return self._tensor_list(operation, inputs) or self._opaque(operation, inputs, "loop")
        if any(isinstance(value, list) for value in inputs):
            # A list of tensors passed on as it is.
            return [inputs[0]] if kind == "Identity" else self._opaque(operation, inputs, "loop")
        outputs = self._add(describe(operation, tuple(inputs), [self._known.get(ref) for ref in inputs]))
        self._fold(operation, inputs, outputs)
        return outputs

    def _add(self, node: Node) -> list[Ref]:
        self.nodes.append(node)
        return [(len(self.nodes) - 1, i) for i in range(node.n_outputs)]

    def _opaque(self, operation: tf.Operation, inputs: list[Any], kind: str) -> list[Ref]:
        """A loop or branch that depends on values which only come at run time."""
        flat = [ref for value in inputs for ref in (value if isinstance(value, list) else [value])]
        refs = tuple(ref for ref in flat if ref is not None)
        return self._add(
            Node(operation.type, Operation(kind), refs, None, layer_of(operation), len(operation.outputs))
        )

    def _fold(self, operation: tf.Operation, inputs: list[Ref], outputs: list[Ref]) -> None:
        """Note the value of a small constant."""
        size = operation.outputs[0].shape.num_elements()
        small = size is not None and size <= _SMALL
        value = tf.get_static_value(operation.outputs[0]) if small else None
        if value is None and operation.type in _FOLDED and all(ref in self._known for ref in inputs):
            value = _FOLDED[operation.type](*(self._known[ref] for ref in inputs))
        if value is not None and np.size(value) <= _SMALL:
            self._known[outputs[0]] = value

    def _body(self, name: str, like: Sequence[tf.Tensor]) -> Any:
        """The graph of a function for tensors of such shapes."""
        key = name, tuple(str(tensor.shape) for tensor in like)
        if key not in self._bodies:
            with self._outermost.as_default():
                shapes = [tensor.shape for tensor in like]
                self._bodies[key] = function_def_to_graph(self._library[name], input_shapes=shapes)
        return self._bodies[key]

    def _call(self, name: str, inputs: list[Any], like: Sequence[tf.Tensor]) -> list[Any]:
        body = self._body(name, like)
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
            (go_on,) = self._call(condition, values, operation.outputs)
            if not isinstance(go_on, tuple) or go_on not in self._known:
                break
            if not np.all(self._known[go_on]):
                return values
            values = self._call(body, values, operation.outputs)
        del self.nodes[n_before:]
        self._known = {ref: value for ref, value in self._known.items() if ref[0] < n_before}
        return None

    def _tensor_list(self, operation: tf.Operation, inputs: list[Any]) -> list[Any] | None:
        """A list of tensors as a Python list of values; None where its length or an index is not known."""
        known = [self._known.get(value) if isinstance(value, tuple) else None for value in inputs]
        match operation.type:
            case "TensorListFromTensor":
                length = (
                    operation.inputs[0].shape[:1].as_list()[0] if operation.inputs[0].shape.rank else None
                )
                if length is None:
                    return None
                dtype = operation.inputs[0].dtype
                return [self._add(unpack(inputs[0], length, dtype, layer_of(operation)))]
            case "TensorListReserve" if known[1] is not None:
                return [[None] * int(known[1])]
            case "TensorListGetItem" if isinstance(inputs[0], list) and known[1] is not None:
                item = inputs[0][int(known[1])]
                return None if item is None else [item]
            case "TensorListSetItem" if isinstance(inputs[0], list) and known[1] is not None:
                items = list(inputs[0])
                items[int(known[1])] = inputs[2]
                return [items]
            case "TensorListLength" if isinstance(inputs[0], list):
                return None
            case "TensorListStack" if isinstance(inputs[0], list) and None not in inputs[0]:
                layer = layer_of(operation)
                return self._add(pack(inputs[0], operation.outputs[0].dtype, layer))
        return None


def _sorted_operations(graph: tf.Graph) -> list[tf.Operation]:
    """The operations of a graph, each after those whose outputs it takes."""
    done: set[str] = set()
    ordered = []
    for operation in graph.get_operations():
        pending = [operation]
        while pending:
            current = pending[-1]
            waiting = [t.op for t in current.inputs if t.op.name not in done]
            pending += waiting
            if not waiting:
                pending.pop()
                if current.name not in done:
                    done.add(current.name)
                    ordered.append(current)
    return ordered


def pack(items: Sequence[Ref], dtype: tf.DType, layer: str) -> Node:
    """Tensors stacked along a new first axis."""
    attrs = {"N": _int(len(items)), "T": _type(dtype), "axis": _int(0)}
    return Node("Pack", Operation("stack"), tuple(items), Call(attrs, (dtype,)), layer)


def unpack(value: Ref, length: int, dtype: tf.DType, layer: str) -> Node:
    """The slices of a tensor along its first axis."""
    attrs = {"num": _int(length), "T": _type(dtype), "axis": _int(0)}
    call = Call(attrs, (dtype,) * length)
    return Node("Unpack", Operation("unstack"), (value,), call, layer, length)


def _int(value: int) -> Any:
    return tf.compat.v1.AttrValue(i=value)


def _type(dtype: tf.DType) -> Any:
    return tf.compat.v1.AttrValue(type=dtype.as_datatype_enum)
