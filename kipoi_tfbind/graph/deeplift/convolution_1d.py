"""A convolution along positions, for its input gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.operations import Convolution, Operation


class Convolution1D(NamedTuple):
    """A convolution along positions, in steps of 1: output[l] = sum_k input[l + k * dilation - padding] W[k].

    `kernel` is (width, input channel, channel); `length` counts the input's positions.
    """

    kernel: Any
    padding: int
    dilation: int
    length: int
    channels_last: bool


def along_positions(ops: ArrayOps, operation: Operation, x: Any, kernel: Any) -> Convolution1D | None:
    """A convolution as one along its only axis with more than one position; None where it has more."""
    known, taps = _sizes(ops, x), _sizes(ops, kernel)
    if known is None or taps is None:
        return None
    if (
        not isinstance(operation, Convolution)
        or operation.transposed
        or operation.depthwise
        or operation.groups != 1
        or set(operation.strides) != {1}
    ):
        return None
    *widths, n_in, n_out = (taps[axis] for axis in operation.order)
    lengths = known[1:-1] if operation.channels_last else known[2:]
    long = [i for i, sizes in enumerate(zip(lengths, widths, strict=True)) if sizes != (1, 1)]
    if len(long) > 1:
        return None
    (i,) = long or (len(lengths) - 1,)
    if any(padding not in (None, (0, 0)) for k, padding in enumerate(operation.padding) if k != i):
        return None
    padding = operation.before(i, lengths[i], widths[i])
    kernel = ops.reshape(ops.transpose(kernel, operation.order), (widths[i], n_in, n_out))
    return Convolution1D(kernel, padding, operation.dilations[i], lengths[i], operation.channels_last)


def _sizes(ops: ArrayOps, x: Any) -> tuple[int, ...] | None:
    """The shape of an array, with 1 for the batch; None if it is not known."""
    known = ops.known_shape(x)
    if not known or None in known[1:]:
        return None
    return tuple(n or 1 for n in known)
