"""The input gradient of a convolution along positions, faster than a framework's own where that is possible.

A convolution of a few channels (the four bases) to many is a matrix product, shifted and added. Below max
pooling, the cotangents of a channel are zero but at one position of each window. The position depends on the
pair of sequence and reference and not on the target: for many targets, the product with the rows of the
kernel that lie at those positions takes one multiplication where the convolution takes a window's worth.
"""

from __future__ import annotations

from typing import Any

from kipoi_tfbind.graph.deeplift.array_ops import Arrays, Convolution, Factored, Windows
from kipoi_tfbind.graph.deeplift.fourier_gradient import best_pieces, fourier

# Up to so many input channels a framework's own gradient leaves most of the processor's lanes empty.
_FEW_CHANNELS = 8


def has_few_channels(convolution: Convolution) -> bool:
    """Whether `few_channels` is the faster way."""
    _, n_in, n_out = convolution.kernel.shape
    return n_in <= min(_FEW_CHANNELS, n_out)


def few_channels(xp: Arrays, convolution: Convolution, cotangent: Any) -> Any:
    """Input gradient for a cotangent (row, output position, channel) or (row, channel, output position)."""
    width, n_in, n_out = convolution.kernel.shape
    axes = (0, 2, 1)
    kernel = xp.reshape(xp.transpose(convolution.kernel, (1, 0, 2)), (1, n_in * width, n_out))
    rows, length = xp.sizes(cotangent)[0], xp.sizes(cotangent)[1 if convolution.channels_last else 2]
    if convolution.channels_last:
        cotangent = xp.transpose(cotangent, axes)
    taps = xp.reshape(xp.matmul(kernel, cotangent), (rows, n_in, width, length))
    # Each tap is to be one dilation further than the last: so are the rows of the same numbers, with as many
    # zeros between them, when they are read in rows that are as much shorter.
    span = length + width * convolution.dilation
    flat = xp.reshape(xp.pad(taps, span - length, -1), (rows, n_in, width * span))
    flat = flat[:, :, : width * (span - convolution.dilation)]
    shifted = xp.reshape(flat, (rows, n_in, width, span - convolution.dilation))
    total = xp.reshape(xp.sum(shifted, 2), (rows, n_in, span - convolution.dilation))
    total = _at_input(xp, convolution, total, 2)
    return xp.transpose(total, axes) if convolution.channels_last else total


def is_routed(convolution: Convolution, cotangent: Factored, shape: tuple[int, ...]) -> bool:
    """Whether a cotangent comes from windows along the positions of a convolution's output.

    `shape` is (channel, position) or (position, channel) as the convolution has them.
    """
    windows = cotangent.windows
    if windows is None or windows.size == 1:
        return False
    before, after = (1, shape[1]) if convolution.channels_last else (shape[0], 1)
    length = shape[0] if convolution.channels_last else shape[1]
    return (windows.before, windows.length, windows.after) == (before, length, after)


def cost_of_routed(convolution: Convolution, windows: Windows, n_targets: Any) -> Any:
    """What `routed` takes for each row, in multiplications of a convolution.

    Measured: fetching a number of the kernel takes as long as 7 multiplications, and one multiplication of
    the smaller products 1.2 times as long as one of the convolution.
    """
    width, n_in, n_out = convolution.kernel.shape
    span = (width - 1) * convolution.dilation + windows.size
    return float(windows.n * span * n_in * n_out) * (1.2 + 7 / n_targets)


def cost_of_convolution(convolution: Convolution, length: int) -> float:
    """What `at_all_positions` takes for each row of `length` output positions, in multiplications."""
    width, n_in, n_out = convolution.kernel.shape
    direct = float(length * width * n_in * n_out)
    pieces = None if has_few_channels(convolution) else best_pieces(convolution, length)
    return direct if pieces is None else min(direct, pieces.cost)


def by_spectrum(xp: Arrays, convolution: Convolution, cotangent: Any) -> Any | None:
    """Input gradient by way of the spectrum; None where the convolution itself is faster."""
    width, n_in, n_out = convolution.kernel.shape
    length = xp.sizes(cotangent)[1 if convolution.channels_last else 2]
    pieces = best_pieces(convolution, length)
    if pieces is None or pieces.cost >= length * width * n_in * n_out:
        return None
    if not convolution.channels_last:
        cotangent = xp.transpose(cotangent, (0, 2, 1))
    total = _at_input(xp, convolution, fourier(xp, convolution, pieces, cotangent), 1)
    return total if convolution.channels_last else xp.transpose(total, (0, 2, 1))


def one_position(xp: Arrays, convolution: Convolution, factor: Any, windows: Windows) -> tuple[Any, Any, Any]:
    """For each window and channel (row, window, channel) its factor and where in the window it is.

    And whether that is all, which it is not where several positions have the maximum.
    """
    n_rows = xp.sizes(factor)[0]
    n_used = windows.n * windows.size
    n_out = convolution.kernel.shape[2]
    if convolution.channels_last:
        shape, axis = (n_rows, windows.n, windows.size, n_out), 2
        factor = xp.reshape(factor, (n_rows, windows.length, n_out))[:, :n_used]
    else:
        shape, axis = (n_rows, n_out, windows.n, windows.size), 3
        factor = xp.reshape(factor, (n_rows, n_out, windows.length))[:, :, :n_used]
    factor = xp.reshape(factor, shape)
    there = factor != 0
    count = xp.count(there, axis, factor)
    places = xp.reshape(xp.range(windows.size, factor), (windows.size, *[1] * (3 - axis)))
    place = xp.sum(xp.where(there, places, xp.zeros_like(factor)), axis)
    found = [xp.reshape(v, (n_rows, *_without(shape, axis))) for v in (xp.sum(factor, axis), place)]
    if not convolution.channels_last:
        found = [xp.transpose(v, (0, 2, 1)) for v in found]
    return found[0], found[1], xp.all(count <= 1)


def _without(shape: tuple[Any, ...], axis: int) -> tuple[Any, ...]:
    return tuple(size for i, size in enumerate(shape) if i not in (0, axis))


def routed(
    xp: Arrays,
    convolution: Convolution,
    values: Any,
    factor: Any,
    place: Any,
    windows: Windows,
    n_targets: Any,
) -> Any:
    """Input gradient where each window of each channel has its cotangent at one position.

    Parameters
    ----------
    values
        Cotangents of the windows, (target * row, ...).
    factor, place
        (row, window, channel).
    """
    width, n_in, n_out = convolution.kernel.shape
    n_rows, size, n = xp.sizes(factor)[0], windows.size, windows.n
    span = (width - 1) * convolution.dilation + size
    # The products of a window reach so many windows further.
    n_reached = -(-span // size)
    table = _shifted_kernels(xp, convolution, size, n_reached * size)
    index = xp.integers(place) + xp.integers(xp.range(n_out, factor)) * size
    shape = (n, n_out) if convolution.channels_last else (n_out, n)
    values = xp.reshape(values, (n_targets, n_rows, *shape))

    def of_row(row: Any) -> Any:
        own = xp.transpose(values[:, row], (1, 0, 2) if convolution.channels_last else (2, 0, 1))
        own = own * xp.reshape(factor[row], (n, 1, n_out))
        products = xp.gathered_matmul(own, index[row], table)
        products = xp.reshape(products, (n, n_targets, n_reached, size * n_in))
        total = xp.add_shifted([products[:, :, k] for k in range(n_reached)])
        total = xp.reshape(total, (n + n_reached - 1, n_targets, size, n_in))
        total = xp.transpose(total, (1, 0, 2, 3))
        total = xp.reshape(total, (n_targets, (n + n_reached - 1) * size, n_in))
        total = _at_input(xp, convolution, total, 1)
        return total if convolution.channels_last else xp.transpose(total, (0, 2, 1))

    result = xp.transpose(xp.each_row(of_row, n_rows, factor), (1, 0, 2, 3))
    return xp.reshape(result, (n_targets * n_rows, *xp.sizes(result)[2:]))


def _shifted_kernels(xp: Arrays, convolution: Convolution, size: int, span: int) -> Any:
    """Row c * size + s: the kernel of channel c from position s on, (row, span * input channel)."""
    width, n_in, n_out = convolution.kernel.shape
    kernel = xp.transpose(convolution.kernel, (2, 0, 1))
    if convolution.dilation > 1:
        kernel = xp.reshape(kernel, (n_out, width, 1, n_in))
        kernel = xp.pad(kernel, convolution.dilation - 1, 2)
        kernel = xp.reshape(kernel, (n_out, width * convolution.dilation, n_in))
        kernel = kernel[:, : (width - 1) * convolution.dilation + 1]
    reach = (width - 1) * convolution.dilation + 1
    shifted = [
        xp.reshape(xp.pad(kernel, span - reach - s, 1, s), (n_out, 1, span * n_in)) for s in range(size)
    ]
    return xp.reshape(xp.concat(shifted, 1), (n_out * size, span * n_in))


def _at_input(xp: Arrays, convolution: Convolution, total: Any, axis: int) -> Any:
    """The input's positions from all that the kernel reaches, the first at -padding."""
    start, stop = convolution.padding, convolution.padding + convolution.length
    n_reached = xp.sizes(total)[axis]
    if n_reached < stop:
        total = xp.pad(total, stop - n_reached, axis)
    return total[:, start:stop] if axis == 1 else total[:, :, start:stop]
