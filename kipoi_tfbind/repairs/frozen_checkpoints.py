"""A checkpoint of TensorFlow 1 as a function of TensorFlow 2, with its variables as constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def frozen_function(model: Any) -> Callable[[Any], Any]:
    """Computation of a Kipoi `TensorFlowModel`, as a function of TensorFlow's tensors.

    Parameters
    ----------
    model
        The model, with its graph, its session and the tensors that go in and come out.

    Returns
    -------
    Callable
        From its inputs, in the form that the entry has them (one, a list or a dict), to its targets likewise.
    """
    import tensorflow as tf

    targets = model.target_ops
    flat_targets = tf.nest.flatten(targets)
    names = [tensor.op.name for tensor in flat_targets]
    with model.graph.as_default():
        graph_def = tf.compat.v1.graph_util.convert_variables_to_constants(
            model.sess, model.graph.as_graph_def(), names
        )

    def function(inputs: Any) -> Any:
        fed = {tensor.name: value for tensor, value in _pairs(model.input_ops, inputs)}
        fed |= {t.name: tf.constant(value, t.dtype) for t, value in model.const_feed_dict.items()}
        wanted = [tensor.name for tensor in flat_targets]
        found = tf.graph_util.import_graph_def(graph_def, input_map=fed, return_elements=wanted, name="")
        return tf.nest.pack_sequence_as(targets, found)

    return tf.function(function, autograph=False)


def _pairs(tensors: Any, inputs: Any) -> list[tuple[Any, Any]]:
    """Each input tensor of the graph with what it is given."""
    if isinstance(tensors, Mapping):
        return [(tensor, inputs[name]) for name, tensor in tensors.items()]
    if isinstance(tensors, Sequence):
        return list(zip(tensors, inputs, strict=True))
    return [(tensors, inputs)]


def input_types(model: Any, names: Sequence[str]) -> list[Any]:
    """Type of each input, in the entry's order."""
    tensors = model.input_ops
    if isinstance(tensors, Mapping):
        return [tensors[name].dtype for name in names]
    return [tensor.dtype for tensor in (tensors if isinstance(tensors, Sequence) else [tensors])]


def weights_of(model: Any) -> list[Any]:
    """Values of the variables, in the order of the graph."""
    import tensorflow as tf

    with model.graph.as_default():
        variables = tf.compat.v1.global_variables()
    return list(model.sess.run(variables))
