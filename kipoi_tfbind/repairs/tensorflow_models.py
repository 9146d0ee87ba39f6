"""Repairs of Kipoi's TensorFlow classes: SavedModels of every Keras, and checkpoints of TensorFlow 1.

A method does what Kipoi's own does, and something else only where that fails. TensorFlow is imported
when a model is loaded, not before.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.repairs.saved_models import names_in_signature, serving_signature
from kipoi_tfbind.repairs.weight_files import refuse_code, require_weights


def call_every_saved_model(model: ModuleType) -> None:
    """Let ``TensorFlow2Model`` predict with what ``export()`` wrote, with float64 and with several outputs.

    Keras 3 exports a function ``serve``, and the object itself cannot be called; the functions that Keras 2
    saved take the type of number that they were traced with, and no other; outputs in a list or a dict
    came back as tensors, which Kipoi cannot write.
    """
    saved_model = model.TensorFlow2Model
    load = saved_model.__init__

    @functools.wraps(load)
    def __init__(self: Any, savedmodel_path: str) -> None:
        require_weights(savedmodel_path)
        load(self, savedmodel_path)

    @functools.wraps(saved_model.predict_on_batch)
    def predict_on_batch(self: Any, x: Any) -> Any:
        import tensorflow as tf

        function = saved_function(self.reconstructed_model, _input_names(self))
        try:
            outputs = function(x)
        except (TypeError, ValueError) as error:
            narrowed = tf.nest.map_structure(_narrowed, x)
            try:
                outputs = function(narrowed)
            except (TypeError, ValueError):
                raise error from None
        return tf.nest.map_structure(lambda part: part.numpy() if tf.is_tensor(part) else part, outputs)

    saved_model.__init__, saved_model.predict_on_batch = __init__, predict_on_batch


def _narrowed(array: Any) -> Any:
    return array.astype("float32") if str(getattr(array, "dtype", "")) == "float64" else array


def _input_names(model: Any) -> list[str]:
    """Names of the inputs of a model whose schema has a list of them."""
    inputs = getattr(getattr(model, "schema", None), "inputs", None)
    return [str(getattr(part, "name", None)) for part in inputs] if isinstance(inputs, list) else []


def saved_function(loaded: Any, names: Sequence[str]) -> Callable[[Any], Any]:
    """The function of a SavedModel that predicts; `names` are those of its inputs, in the entry's order."""
    if callable(loaded):
        return loaded
    if callable(getattr(loaded, "serve", None)):
        return loaded.serve
    return functools.partial(_call_signature, serving_signature(loaded), names)


def _call_signature(signature: Any, names: Sequence[str], x: Any) -> Any:
    """Call a signature, which takes its inputs by name, and hand out a single output without its name."""
    import tensorflow as tf

    inputs = signature.structured_input_signature[1]
    if not isinstance(x, dict):
        arrays = x if isinstance(x, list) else [x]
        own = [*names, *map(str, range(len(names), len(arrays)))][: len(arrays)]
        x = dict(
            zip(names_in_signature(inputs, own, [array.shape[1:] for array in arrays]), arrays, strict=True)
        )
    # It takes the type of number that it was traced with, and no other.
    outputs = signature(**{name: tf.convert_to_tensor(x[name], spec.dtype) for name, spec in inputs.items()})
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def keep_eager_mode(model: ModuleType) -> None:
    """Let ``TensorFlowModel`` load a checkpoint of TensorFlow 1 without switching TensorFlow 2 off.

    Kipoi calls ``disable_v2_behavior()``, after which no other model of the process works: Keras 3
    fails in it. A graph with a session of its own needs no switch.
    """
    graph_model = model.TensorFlowModel

    @functools.wraps(graph_model.__init__)
    def __init__(
        self: Any,
        input_nodes: Any,
        target_nodes: Any,
        checkpoint_path: str,
        const_feed_dict_pkl: str | None = None,
    ) -> None:
        import tensorflow.compat.v1 as tf

        require_weights(f"{checkpoint_path}.meta")
        self.input_nodes, self.target_nodes = input_nodes, target_nodes
        self.checkpoint_path, self.const_feed_dict_pkl = checkpoint_path, const_feed_dict_pkl
        self.graph = tf.Graph()
        self.sess = tf.Session(graph=self.graph)
        with self.graph.as_default():
            tf.train.import_meta_graph(f"{checkpoint_path}.meta").restore(self.sess, checkpoint_path)
        self.input_ops = _nodes(model, self.graph, "input_nodes", input_nodes)
        self.target_ops = _nodes(model, self.graph, "target_nodes", target_nodes)
        if const_feed_dict_pkl:
            refuse_code(const_feed_dict_pkl, "a pickle")
        constants = model.read_pickle(const_feed_dict_pkl) if const_feed_dict_pkl else {}
        self.const_feed_dict = {
            self.graph.get_operation_by_name(name).outputs[0]: value for name, value in constants.items()
        }

    gradient, output_gradient = graph_model.input_grad, graph_model.get_grad_tens

    @functools.wraps(output_gradient)
    def get_grad_tens(forward_values: Any, *args: Any, **kwargs: Any) -> Any:
        return output_gradient(forward_values, *args, **kwargs).astype(forward_values.dtype)

    @functools.wraps(gradient)
    def input_grad(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.graph.as_default():
            return gradient(self, *args, **kwargs)

    graph_model.__init__, graph_model.input_grad = __init__, input_grad
    graph_model.get_grad_tens = staticmethod(get_grad_tens)


def _nodes(model: ModuleType, graph: Any, argument: str, names: Any) -> Any:
    """The outputs of the nodes that a model.yaml names.

    Raises
    ------
    InputError
        The graph has no such node; the message lists some that it has.
    """
    try:
        return model.get_op_outputs(graph, names)
    except (KeyError, ValueError) as error:
        known = [operation.name for operation in graph.get_operations()]
        near = difflib.get_close_matches(str(names), known, n=3)
        placeholders = [each.name for each in graph.get_operations() if each.type == "Placeholder"]
        raise InputError(
            f"{argument}: the graph of this checkpoint has no node {names!r}; near it: "
            f"{', '.join(near) or 'none'}; its inputs: {', '.join(placeholders) or 'none'}"
        ) from error
