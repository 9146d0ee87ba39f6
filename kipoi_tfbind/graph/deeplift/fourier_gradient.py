"""The input gradient of a wide convolution by way of its spectrum, for several targets.

In pieces of some tens of positions a convolution is a product at each frequency: a kernel of 11 positions
takes a third of the multiplications. The transforms of so few positions are matrix products as well; their
rounding is no larger than that of the convolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Convolution

# The layouts between the products take time as well. Measured.
_OVERHEAD = 1.3


class Pieces(NamedTuple):
    """`n` pieces of `size` positions of the input; `cost` is in multiplications for each row."""

    n: int
    size: int
    cost: float


def best_pieces(convolution: Convolution, length: int) -> Pieces | None:
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


def fourier(xp: Arrays, convolution: Convolution, pieces: Pieces, cotangent: Any) -> Any:
    """Gradient at all positions that the kernel reaches, from (row, output position, channel)."""
    width, n_in, n_out = convolution.kernel.shape
    n, size, span = pieces.n, pieces.size, pieces.size + width - 1
    n_frequencies = span // 2 + 1
    rows, length, _ = xp.sizes(cotangent)
    padded = xp.pad(cotangent, n * size - length, 1, width - 1)
    frames = [xp.reshape(padded[:, k * size : k * size + span], (rows, 1, span, n_out)) for k in range(n)]
    joined = xp.reshape(xp.concat(frames, 1), (rows * n, span, n_out))

    forward = xp.constant(_waves(n_frequencies, span, span), cotangent)
    spectrum = xp.reshape(xp.matmul(forward, joined), (rows * n, 2, n_frequencies, n_out))
    spectrum = xp.reshape(xp.transpose(spectrum, (2, 0, 1, 3)), (n_frequencies, rows * n, 2 * n_out))
    products = xp.matmul(spectrum, _spectrum_of_kernel(xp, convolution, n_frequencies, span))
    products = xp.reshape(products, (n_frequencies, rows * n, 2, n_in))
    products = xp.reshape(xp.transpose(products, (1, 2, 0, 3)), (rows * n, 2 * n_frequencies, n_in))

    # The first positions of a piece have come round from its end.
    weight = np.full(n_frequencies, 2.0)
    weight[[0, -1]] = 1
    backward = (_waves(n_frequencies, span, span) * np.tile(weight, 2)[:, np.newaxis] / span).T[width - 1 :]
    return xp.reshape(xp.matmul(xp.constant(backward, cotangent), products), (rows, n * size, n_in))


def _waves(n_frequencies: int, n: int, span: int) -> np.ndarray[Any, Any]:
    """Real and imaginary parts, one below the other, of the waves (2 * frequency, position)."""
    angles = 2 * np.pi * np.outer(np.arange(n_frequencies), np.arange(n)) / span
    return np.concatenate([np.cos(angles), -np.sin(angles)])


def _spectrum_of_kernel(xp: Arrays, convolution: Convolution, n_frequencies: int, span: int) -> Any:
    """The complex product as a real one: (frequency, 2 * channel, 2 * input channel)."""
    width, n_in, n_out = convolution.kernel.shape
    kernel = xp.reshape(xp.transpose(convolution.kernel, (0, 2, 1)), (width, n_out * n_in))
    waves = xp.constant(_waves(n_frequencies, width, span), kernel)
    parts = xp.reshape(xp.matmul(waves, kernel), (2, n_frequencies, n_out, n_in))
    real, imaginary = parts[0], parts[1]
    of_real = xp.concat([real, imaginary], 2)
    of_imaginary = xp.concat([-imaginary, real], 2)
    return xp.concat([of_real, of_imaginary], 1)
