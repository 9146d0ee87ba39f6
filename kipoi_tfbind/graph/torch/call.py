"""Calls of ATen operations, with integers that depend on the number of sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class Running:
    """Layer of the node of a graph that is being run: a graph that is traced again keeps its layers."""

    layer = ""


@dataclass(frozen=True)
class Slot:
    """Where an operation takes one of its tensors."""

    index: int


@dataclass(frozen=True)
class BatchInteger:
    """An integer that depends on the batch size: ``slope * batch_size + offset``."""

    slope: int
    offset: int


@dataclass(frozen=True)
class Call:
    """An ATen operation with its arguments, and the shapes of its outputs.

    Attributes
    ----------
    function
        The operation.
    arguments
        Positional and named arguments, with a `Slot` for each tensor.
    shapes
        Shape of each output, with a `BatchInteger` where it depends on the batch.
    """

    function: Any
    arguments: tuple[Any, dict[str, Any]]
    shapes: tuple[tuple[Any, ...], ...]


def filled(arguments: Any, values: Sequence[Any], batch_size: Any) -> Any:
    """The arguments of a call with the tensors for their slots, and the integers for a batch size.

    PyTorch's own `tree_map` does the same, and takes longer than most operations of a recurrent layer.
    """
    kind = type(arguments)
    if kind is Slot:
        return values[arguments.index]
    if kind is BatchInteger:
        return arguments.slope * batch_size + arguments.offset
    if kind is tuple or kind is list:
        return kind([filled(item, values, batch_size) for item in arguments])
    if kind is dict:
        return {key: filled(item, values, batch_size) for key, item in arguments.items()}
    return arguments


def rows_of(shape: tuple[Any, ...]) -> int | None:
    """How many rows each sequence has; None where the first axis is not the batch."""
    return shape[0].slope if shape and isinstance(shape[0], BatchInteger) and not shape[0].offset else None


def batch_leads(shape: tuple[Any, ...]) -> bool:
    """Whether the first axis, and no other, depends on the batch size."""
    return rows_of(shape) is not None and all(isinstance(size, int) for size in shape[1:])


def row_size(shape: tuple[Any, ...]) -> int:
    """Numbers for each sequence in an array of this shape; 1 where the batch does not lead."""
    rows = rows_of(shape)
    return 1 if rows is None or not batch_leads(shape) else rows * math.prod(shape[1:])
