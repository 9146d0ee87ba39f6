"""Cached activations of the unedited sequences: which there are, and how one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.graph import Ref
from kipoi_tfbind.graph.incremental.program import Program


@dataclass(frozen=True)
class Cached:
    """One value of the unedited sequences, in one form.

    Attributes
    ----------
    ref
        The value.
    form
        "rows": (sequence * position, ...); "before" and "after": running maxima
        (sequence * (position + 1), ...); "whole": the array as it is; "codes": base codes
        (sequence * position); "starts": where the regions of edits start (edit).
    axis
        Of the positions; 0 where they are one axis with the batch.
    """

    ref: Ref
    form: str
    axis: int = 0


def make_cached(ops: ArrayOps, program: Program, cached: Cached, value: Any) -> Any:
    """A value of some sequences in the form that is wanted."""
    if cached.form == "whole" or cached.axis == 0:
        return value
    length = program.shapes[cached.ref][cached.axis - 1]
    rows = ops.from_layout(value, cached.axis, length)
    if cached.form != "rows":
        rows = ops.running_maximum(rows, length, backward=cached.form == "after")
    return ops.flat(rows)


def empty_cached(program: Program, cached: Cached) -> NDArray:
    """An array of no rows that has the shape of a cached one."""
    shape = tuple(max(size, 0) for size in program.shapes[cached.ref])
    if cached.form == "codes":
        return np.empty(0, np.int64)
    if cached.form == "whole" or cached.axis == 0:
        return np.empty((0, *shape), np.float32)
    return np.empty((0, *shape[: cached.axis - 1], *shape[cached.axis :]), np.float32)
