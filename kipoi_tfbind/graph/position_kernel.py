"""A convolution as it acts along the positions of a sequence."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PositionKernel:
    """out[o] = sum over t of in[o * stride + t * dilation - before] @ kernel[t].

    Attributes
    ----------
    kernel
        (tap, channels in, channels out); the channels are all axes but batch and positions, flattened.
    """

    kernel: NDArray = field(repr=False)
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def span(self) -> int:
        """Positions from the first tap to the last."""
        return (len(self.kernel) - 1) * self.dilation + 1

    @cached_property
    def taps(self) -> NDArray:
        """The kernel from its last tap to its first: what a position gives to outputs from left to right."""
        return np.ascontiguousarray(self.kernel[::-1])

    @cached_property
    def by_channel(self) -> NDArray:
        """The taps as one matrix (channel in, tap * channel out)."""
        return np.ascontiguousarray(self.taps.transpose(1, 0, 2)).reshape(self.kernel.shape[1], -1)

    def of_substitutions(self, encodings: NDArray) -> NDArray:
        """Changes of the outputs where one of the base encodings (code, channel) replaces another.

        Returns
        -------
        rows
            (old code * new code * span, channel out), old codes slowest, and a last row of zeros.
        """
        differences = (encodings[np.newaxis] - encodings[:, np.newaxis]).reshape(-1, encodings.shape[1])
        rows = np.zeros((len(differences), self.span, self.kernel.shape[2]), self.kernel.dtype)
        rows[:, :: self.dilation] = np.einsum("pc,kco->pko", differences, self.taps)
        rows = rows.reshape(-1, rows.shape[2])
        return np.concatenate([rows, np.zeros_like(rows[:1])])
