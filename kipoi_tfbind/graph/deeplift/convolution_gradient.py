"""The input gradient of a convolution along positions, faster than a framework's own where that is possible.

A convolution of a few channels (the four bases) to many is a matrix product, shifted and added. Below max
pooling, the cotangents of a channel are zero but at one position of each window. The position depends on the
pair of sequence and reference and not on the target: for many targets, the product with the rows of the
kernel that lie at those positions takes one multiplication where the convolution takes a window's worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kipoi_tfbind.graph.array_ops import ArrayOps
from kipoi_tfbind.graph.deeplift.convolution_1d import Convolution1D
from kipoi_tfbind.graph.deeplift.fourier_gradient import best_pieces, fourier
from kipoi_tfbind.graph.vjp import VJP, Factored, Windows

# Up to so many input channels a framework's own gradient leaves most of the processor's lanes empty.
_FEW_CHANNELS = 8


@dataclass(frozen=True)
class ConvolutionGradient:
    """The gradient of a convolution for its input, for one or several targets.

    Attributes
    ----------
    ops
        The framework's arrays.
    x
        The input, of which only the shape counts.
    along_positions
        The convolution as one along positions; None where it is another one.
    native
        The framework's own gradient, from a cotangent and the number of targets.
    """

    ops: ArrayOps
    x: Any
    along_positions: Convolution1D | None
    native: Callable[[Any, Any], Any]

    def vjp(self) -> VJP:
        """The gradient as a vector-Jacobian product."""
        return VJP(
            lambda cotangents: [self.at(cotangents[0])],
            lambda cotangents, n_targets: [self.of_targets(cotangents[0], n_targets)],
            None if self.along_positions is None else self.of_factored,
        )

    def at(self, cotangent: Any, n_targets: Any = 1) -> Any:
        """The gradient for a cotangent with `n_targets` times the rows of the input."""
        convolution = self.along_positions
        if convolution is not None and has_few_channels(convolution):
            return self._as_input(few_channels(self.ops, convolution, self._as_line(convolution, cotangent)))
        return self.native(cotangent, n_targets)

    def of_targets(self, cotangent: Any, n_targets: Any) -> Any:
        """The same for several targets, which share what is made of the kernel."""
        convolution = self.along_positions
        if convolution is not None and not has_few_channels(convolution):
            found = by_spectrum(self.ops, convolution, self._as_line(convolution, cotangent))
            if found is not None:
                return self._as_input(found)
        return self.at(cotangent, n_targets)

    def of_factored(self, cotangent: Factored, n_targets: Any) -> Any:
        """The gradient for a cotangent that comes from max pooling; None if it does not, or for no gain."""
        convolution, windows, ops = self.along_positions, cotangent.windows, self.ops
        if convolution is None or windows is None or not is_routed(ops, convolution, cotangent):
            return None
        direct = cost_of_convolution(convolution, windows.length)
        worthwhile = cost_of_routed(convolution, windows, n_targets) < direct
        if worthwhile is False:
            return None
        factor, place, complete = one_position(ops, convolution, cotangent.factor, windows)
        values = cotangent.values
        return ops.cond(
            complete & worthwhile,
            lambda: self._as_input(routed(ops, convolution, values, factor, place, windows, n_targets)),
            lambda: self.of_targets(cotangent.multiplied_out(ops, n_targets), n_targets),
        )

    def _as_line(self, convolution: Convolution1D, cotangent: Any) -> Any:
        """Without the axes of one position."""
        _, *sizes = self.ops.shape(cotangent)
        spatial = sizes[:-1] if convolution.channels_last else sizes[1:]
        length = next((n for n in spatial if not isinstance(n, int) or n != 1), 1)
        n_out = convolution.kernel.shape[2]
        shape = (length, n_out) if convolution.channels_last else (n_out, length)
        return self.ops.reshape(cotangent, (-1, *shape))

    def _as_input(self, gradient: Any) -> Any:
        return self.ops.reshape(gradient, (-1, *self.ops.shape(self.x)[1:]))


def has_few_channels(convolution: Convolution1D) -> bool:
    """Whether `few_channels` is the faster way."""
    _, n_in, n_out = convolution.kernel.shape
    return n_in <= min(_FEW_CHANNELS, n_out)


def few_channels(ops: ArrayOps, convolution: Convolution1D, cotangent: Any) -> Any:
    """Input gradient for a cotangent (row, output position, channel) or (row, channel, output position)."""
    width, n_in, n_out = convolution.kernel.shape
    axes = (0, 2, 1)
    kernel = ops.reshape(ops.transpose(convolution.kernel, (1, 0, 2)), (1, n_in * width, n_out))
    rows, length = ops.shape(cotangent)[0], ops.shape(cotangent)[1 if convolution.channels_last else 2]
    if convolution.channels_last:
        cotangent = ops.transpose(cotangent, axes)
    taps = ops.reshape(ops.matmul(kernel, cotangent), (rows, n_in, width, length))
    # Each tap is to be one dilation further than the last: so are the rows of the same numbers, with as many
    # zeros between them, when they are read in rows that are as much shorter.
    span = length + width * convolution.dilation
    flat = ops.reshape(ops.pad(taps, 0, span - length, -1), (rows, n_in, width * span))
    flat = flat[:, :, : width * (span - convolution.dilation)]
    shifted = ops.reshape(flat, (rows, n_in, width, span - convolution.dilation))
    total = ops.reshape(ops.sum(shifted, 2), (rows, n_in, span - convolution.dilation))
    total = _at_input(ops, convolution, total, 2)
    return ops.transpose(total, axes) if convolution.channels_last else total


def is_routed(ops: ArrayOps, convolution: Convolution1D, cotangent: Factored) -> bool:
    """Whether a cotangent comes from windows along the positions of a convolution's output."""
    windows, n_out = cotangent.windows, convolution.kernel.shape[2]
    if windows is None or windows.size == 1:
        return False
    before, after = (1, n_out) if convolution.channels_last else (n_out, 1)
    length = ops.row_size(cotangent.factor) // n_out
    return (windows.before, windows.length, windows.after) == (before, length, after)


def cost_of_routed(convolution: Convolution1D, windows: Windows, n_targets: Any) -> Any:
    """Cost of `routed` for each row, in multiplications of a convolution.

    Measured: fetching a number of the kernel takes as long as 7 multiplications, and one multiplication of
    the smaller products 1.2 times as long as one of the convolution.
    """
    width, n_in, n_out = convolution.kernel.shape
    span = (width - 1) * convolution.dilation + windows.size
    return float(windows.n * span * n_in * n_out) * (1.2 + 7 / n_targets)


def cost_of_convolution(convolution: Convolution1D, length: int) -> float:
    """Cost of the gradient for each row of `length` output positions, in multiplications."""
    width, n_in, n_out = convolution.kernel.shape
    direct = float(length * width * n_in * n_out)
    pieces = None if has_few_channels(convolution) else best_pieces(convolution, length)
    return direct if pieces is None else min(direct, pieces.cost)


def by_spectrum(ops: ArrayOps, convolution: Convolution1D, cotangent: Any) -> Any | None:
    """Input gradient by way of the spectrum; None where the convolution itself is faster."""
    width, n_in, n_out = convolution.kernel.shape
    length = ops.shape(cotangent)[1 if convolution.channels_last else 2]
    pieces = best_pieces(convolution, length)
    if pieces is None or pieces.cost >= length * width * n_in * n_out:
        return None
    if not convolution.channels_last:
        cotangent = ops.transpose(cotangent, (0, 2, 1))
    total = _at_input(ops, convolution, fourier(ops, convolution, pieces, cotangent), 1)
    return total if convolution.channels_last else ops.transpose(total, (0, 2, 1))


def one_position(
    ops: ArrayOps, convolution: Convolution1D, factor: Any, windows: Windows
) -> tuple[Any, Any, Any]:
    """For each window and channel (row, window, channel) its factor and where in the window it is.

    And whether that is all, which it is not where several positions have the maximum.
    """
    n_rows = ops.shape(factor)[0]
    n_used = windows.n * windows.size
    n_out = convolution.kernel.shape[2]
    if convolution.channels_last:
        shape, axis = (n_rows, windows.n, windows.size, n_out), 2
        factor = ops.reshape(factor, (n_rows, windows.length, n_out))[:, :n_used]
    else:
        shape, axis = (n_rows, n_out, windows.n, windows.size), 3
        factor = ops.reshape(factor, (n_rows, n_out, windows.length))[:, :, :n_used]
    factor = ops.reshape(factor, shape)
    there = factor != 0
    count = ops.sum(ops.cast(there, factor), axis)
    places = ops.reshape(ops.cast(ops.arange(windows.size), factor), (windows.size, *[1] * (3 - axis)))
    place = ops.sum(ops.where(there, places, 0.0), axis)
    found = [ops.sum(factor, axis), place]
    if not convolution.channels_last:
        found = [ops.transpose(v, (0, 2, 1)) for v in found]
    return found[0], found[1], ops.all(count <= 1)


def routed(
    ops: ArrayOps,
    convolution: Convolution1D,
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
    n_rows, size, n = ops.shape(factor)[0], windows.size, windows.n
    span = (width - 1) * convolution.dilation + size
    # The products of a window reach so many windows further.
    n_reached = -(-span // size)
    table = _shifted_kernels(ops, convolution, size, n_reached * size)
    index = ops.indices(place) + ops.arange(n_out) * size
    shape = (n, n_out) if convolution.channels_last else (n_out, n)
    values = ops.reshape(values, (n_targets, n_rows, *shape))

    def of_row(row: Any) -> Any:
        own = ops.transpose(values[:, row], (1, 0, 2) if convolution.channels_last else (2, 0, 1))
        own = own * ops.reshape(factor[row], (n, 1, n_out))
        products = ops.gathered_matmul(own, index[row], table)
        products = ops.reshape(products, (n, n_targets, n_reached, size * n_in))
        total = ops.add_shifted([products[:, :, k] for k in range(n_reached)], 0)
        total = ops.reshape(total, (n + n_reached - 1, n_targets, size, n_in))
        total = ops.transpose(total, (1, 0, 2, 3))
        total = ops.reshape(total, (n_targets, (n + n_reached - 1) * size, n_in))
        total = _at_input(ops, convolution, total, 1)
        return total if convolution.channels_last else ops.transpose(total, (0, 2, 1))

    result = ops.transpose(ops.each_row(of_row, n_rows, factor), (1, 0, 2, 3))
    return ops.reshape(result, (n_targets * n_rows, *ops.shape(result)[2:]))


def _shifted_kernels(ops: ArrayOps, convolution: Convolution1D, size: int, span: int) -> Any:
    """Row c * size + s: the kernel of channel c from position s on, (row, span * input channel)."""
    width, n_in, n_out = convolution.kernel.shape
    kernel = ops.transpose(convolution.kernel, (2, 0, 1))
    if convolution.dilation > 1:
        kernel = ops.reshape(kernel, (n_out, width, 1, n_in))
        kernel = ops.pad(kernel, 0, convolution.dilation - 1, 2)
        kernel = ops.reshape(kernel, (n_out, width * convolution.dilation, n_in))
        kernel = kernel[:, : (width - 1) * convolution.dilation + 1]
    reach = (width - 1) * convolution.dilation + 1
    shifted = [
        ops.reshape(ops.pad(kernel, s, span - reach - s, 1), (n_out, 1, span * n_in)) for s in range(size)
    ]
    return ops.reshape(ops.concat(shifted, 1), (n_out * size, span * n_in))


def _at_input(ops: ArrayOps, convolution: Convolution1D, total: Any, axis: int) -> Any:
    """The input's positions from all that the kernel reaches, the first at -padding."""
    start, stop = convolution.padding, convolution.padding + convolution.length
    n_reached = ops.shape(total)[axis]
    if n_reached < stop:
        total = ops.pad(total, 0, stop - n_reached, axis)
    return total[:, start:stop] if axis == 1 else total[:, :, start:stop]
