"""Which of a model's outputs are targets: one head of several, one position of a profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.models.description import OutputField


def chosen_columns(
    outputs: Sequence[OutputField],
    names: Sequence[str],
    head: str | None = None,
    position: int | Literal["centre"] | None = None,
) -> tuple[int, ...]:
    """Columns of the outputs laid out side by side that are to be targets.

    Parameters
    ----------
    outputs
        The outputs, with their shapes settled.
    names
        Name of each column.
    head
        Name, key or number of one of the outputs.
    position
        0-based position along the longest axis of each output, or "centre", position n // 2.

    Raises
    ------
    InputError
        There is no such output or position, or no output has positions.

    Examples
    --------
    >>> outputs = [OutputField(("counts",), (2,)), OutputField(("profile",), (5, 2))]
    >>> chosen_columns(outputs, "abcdefghijkl", head="profile", position="centre")
    (6, 7)
    """
    starts = np.cumsum([0, *(math.prod(map(int, output.shape)) for output in outputs)])  # type: ignore[arg-type]
    own_names = [_name(output, number) for number, output in enumerate(outputs)]
    wanted = range(len(outputs))
    if head is not None:
        wanted = [i for i, own in enumerate(own_names) if head in (own, str(i))]  # type: ignore[assignment]
        if not wanted:
            if len(outputs) == 1:
                raise InputError(
                    f"head: no output {head!r}; this model has one output only; leave head out (--head)"
                )
            raise InputError(f"head: no output {head!r}; this model has {', '.join(own_names)}")
    columns: list[int] = []
    for i in wanted:
        indices = np.arange(starts[i], starts[i + 1])
        if position is not None:
            indices = _at_position(indices.reshape(outputs[i].shape), own_names[i], position)  # type: ignore[arg-type]
        columns += indices.ravel().tolist()
    if not columns:
        raise InputError("output_position: no output of this model has positions; choose targets by name")
    return tuple(columns)


def _name(output: OutputField, number: int) -> str:
    return output.name or "/".join(map(str, output.path)) or str(number)


def _at_position(indices: NDArray[np.intp], name: str, position: int | Literal["centre"]) -> NDArray[np.intp]:
    """Those at one position of an output; none of an output that has one number for each target."""
    if indices.ndim < 2:
        return indices[:0]
    axis = int(np.argmax(indices.shape))
    n = indices.shape[axis]
    at = n // 2 if position == "centre" else position
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < n:
        raise InputError(
            f"output_position: expected 'centre' or a position of output {name} from 0 to {n - 1}, "
            f"got {position!r}"
        )
    return np.take(indices, [at], axis=axis)
