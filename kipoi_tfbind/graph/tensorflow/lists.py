"""Lists of tensors as the nodes that pack and unpack them, and operations in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kipoi_tfbind.graph.graph import Node, Ref
from kipoi_tfbind.graph.operations import Operation
from kipoi_tfbind.graph.tensorflow.operations import Call


def sorted_operations(graph: tf.Graph) -> list[tf.Operation]:
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
