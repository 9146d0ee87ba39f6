"""Vector-Jacobian products of operations, for one or several targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kipoi_tfbind.graph.array_ops import ArrayOps


class Windows(NamedTuple):
    """Windows of `size` that lie side by side along one axis of each sequence's (before, length, after)."""

    before: int
    length: int
    after: int
    size: int

    @property
    def n(self) -> int:
        """Number of windows; what is left at the end belongs to none."""
        return self.length // self.size


def windows_of_axes(shape: Sequence[int], sizes: Sequence[int]) -> Windows | None:
    """Windows with a size along each axis of a sequence's array, if they are so along one stretch of axes.

    Examples
    --------
    >>> windows_of_axes((1, 100, 8), (1, 4, 1))
    Windows(before=1, length=100, after=8, size=4)
    >>> windows_of_axes((5, 6, 8), (5, 6, 1))
    Windows(before=1, length=30, after=8, size=30)
    >>> windows_of_axes((6, 6), (2, 3)) is None
    True
    """
    pooled = [axis for axis, size in enumerate(sizes) if size > 1]
    if not pooled:
        pooled = [0]
    first, last = pooled[0], pooled[-1]
    # A window over several axes is one stretch only if it takes all of each axis after the first.
    if any(sizes[axis] != shape[axis] for axis in range(first + 1, last + 1)):
        return None
    inner = math.prod(shape[first + 1 : last + 1])
    return Windows(
        before=math.prod(shape[:first]),
        length=shape[first] * inner,
        after=math.prod(shape[last + 1 :]),
        size=sizes[first] * inner,
    )


@dataclass(frozen=True)
class Factored:
    """Cotangents of several targets that have not been multiplied out: `values` times one `factor`.

    Attributes
    ----------
    values
        (target * row, ...): one for each window, or for each element where there are no windows.
    factor
        (row, ...), the same for all targets.
    windows
        Where the values go.
    n_pairs
        Number of pairs of sequence and reference; a row is one of them, or a part of one.
    """

    values: Any
    factor: Any
    windows: Windows | None
    n_pairs: Any

    def multiplied_out(self, ops: ArrayOps, n_targets: Any) -> Any:
        """The values times the factor: (target * row, ...)."""
        factor, windows, n_pairs = self.factor, self.windows, self.n_pairs
        rows, *shape = ops.shape(factor)
        if windows is None:
            values = ops.reshape(self.values, (n_targets, n_pairs, -1))
            product = values * ops.reshape(factor, (n_pairs, -1))
            return ops.reshape(product, (n_targets * rows, *shape))
        before, n, size, after = windows.before, windows.n, windows.size, windows.after
        factor = ops.reshape(factor, (n_pairs, before, windows.length, after))[:, :, : n * size]
        values = ops.reshape(self.values, (n_targets, n_pairs, before, n, 1, after))
        product = values * ops.reshape(factor, (n_pairs, before, n, size, after))
        if n * size < windows.length:
            product = ops.reshape(product, (n_targets * n_pairs, before, n * size, after))
            product = ops.pad(product, 0, windows.length - n * size, 2)
        return ops.reshape(product, (n_targets * rows, *shape))


@dataclass(frozen=True)
class VJP:
    """The vector-Jacobian product of an operation at its inputs.

    Attributes
    ----------
    run
        From a cotangent of each output (None for an output that nothing depends on) to one of each wanted
        input.
    of_targets
        The same for several targets at once, whose rows stand one after the other along the first axis:
        from cotangents and the number of targets. None where it has to be one after the other.
    of_factored
        From one factored cotangent and the number of targets to a cotangent, or None where that is no gain.
    diagonal
        Whether it is one factor for each element, so that it goes through a `Factored` as its factor does.
    windows
        Whether it is diagonal after the values have been spread over windows.
    """

    run: Callable[[Sequence[Any]], list[Any]]
    of_targets: Callable[[Sequence[Any], Any], list[Any]] | None = None
    of_factored: Callable[[Factored, Any], Any] | None = None
    diagonal: bool = False
    windows: Windows | None = None

    def __call__(self, cotangents: Sequence[Any]) -> list[Any]:
        """As `run`."""
        return self.run(cotangents)

    @property
    def takes_targets(self) -> bool:
        """Whether it can do several targets at once."""
        return self.of_targets is not None or self.diagonal
