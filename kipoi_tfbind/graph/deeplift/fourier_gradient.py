"""The input gradient of a wide convolution by way of its spectrum, for several targets.

In pieces of some tens of positions a convolution is a product at each frequency: a kernel of 11 positions
takes a third of the multiplications. The transforms of so few positions are matrix products as well; their
rounding is no larger than that of the convolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.deeplift.convolution_1d import Convolution1D

# The layouts between the products take time as well. Measured.
_OVERHEAD = 1.3


class Pieces(NamedTuple):
    """`n` pieces of `size` positions of the input; `cost` is in multiplications for each row."""

    n: int
    size: int
    cost: float


def best_pieces(convolution: Convolution1D, length: int) -> Pieces | None:
    """The pieces that take the fewest multiplications, for `length` positions of the output."""
    width, n_in, n_out = convolution.kernel.shape
    if convolution.dilation > 1 or width < 3:
        return None
    reached = length + width - 1
    candidates = []
    for n in range(1, max(2, reached // width)):
        size = -(-reached // n)
        # An even number of positions goes into a piece.
        size += (size + width - 1) % 2
        span = size + width - 1
        products = 4 * (span // 2 + 1) * n_in * n_out
        transforms = span * (span * n_out + size * n_in)
        candidates.append(Pieces(n, size, _OVERHEAD * n * (products + transforms)))
    return min(candidates, key=lambda pieces: pieces.cost)


def fourier(ops: ArrayOps, convolution: Convolution1D, pieces: Pieces, cotangent: Any) -> Any:
    """Gradient at all positions that the kernel reaches, from (row, output position, channel)."""
    width, n_in, n_out = convolution.kernel.shape
    n, size, span = pieces.n, pieces.size, pieces.size + width - 1
    n_frequencies = span // 2 + 1
    rows, length, _ = ops.shape(cotangent)
    padded = ops.pad(cotangent, width - 1, n * size - length, 1)
    frames = [ops.reshape(padded[:, k * size : k * size + span], (rows, 1, span, n_out)) for k in range(n)]
    joined = ops.reshape(ops.concat(frames, 1), (rows * n, span, n_out))

    forward = ops.constant(_waves(n_frequencies, span, span), cotangent)
    spectrum = ops.reshape(ops.matmul(forward, joined), (rows * n, 2, n_frequencies, n_out))
    spectrum = ops.reshape(ops.transpose(spectrum, (2, 0, 1, 3)), (n_frequencies, rows * n, 2 * n_out))
    products = ops.matmul(spectrum, _spectrum_of_kernel(ops, convolution, n_frequencies, span))
    products = ops.reshape(products, (n_frequencies, rows * n, 2, n_in))
    products = ops.reshape(ops.transpose(products, (1, 2, 0, 3)), (rows * n, 2 * n_frequencies, n_in))

    # The first positions of a piece have come round from its end.
    weight = np.full(n_frequencies, 2.0)
    weight[[0, -1]] = 1
    backward = (_waves(n_frequencies, span, span) * np.tile(weight, 2)[:, np.newaxis] / span).T[width - 1 :]
    return ops.reshape(ops.matmul(ops.constant(backward, cotangent), products), (rows, n * size, n_in))


def _waves(n_frequencies: int, n: int, span: int) -> np.ndarray[Any, Any]:
    """Real and imaginary parts, one below the other, of the waves (2 * frequency, position)."""
    angles = 2 * np.pi * np.outer(np.arange(n_frequencies), np.arange(n)) / span
    return np.concatenate([np.cos(angles), -np.sin(angles)])


def _spectrum_of_kernel(ops: ArrayOps, convolution: Convolution1D, n_frequencies: int, span: int) -> Any:
    """The complex product as a real one: (frequency, 2 * channel, 2 * input channel)."""
    width, n_in, n_out = convolution.kernel.shape
    kernel = ops.reshape(ops.transpose(convolution.kernel, (0, 2, 1)), (width, n_out * n_in))
    waves = ops.constant(_waves(n_frequencies, width, span), kernel)
    parts = ops.reshape(ops.matmul(waves, kernel), (2, n_frequencies, n_out, n_in))
    real, imaginary = parts[0], parts[1]
    of_real = ops.concat([real, imaginary], 2)
    of_imaginary = ops.concat([-imaginary, real], 2)
    return ops.concat([of_real, of_imaginary], 1)
