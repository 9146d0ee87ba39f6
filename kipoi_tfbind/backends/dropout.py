"""Monte Carlo dropout: the units that training drops, dropped again by masks that are inputs of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.backends.base import Backend
from kipoi_tfbind.memory import memory_budget

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Drop:
    """One call of a layer of dropout.

    Attributes
    ----------
    shape
        Of its mask, without the batch.
    rate
        Share of the units that it drops.
    """

    shape: tuple[int, ...]
    rate: float


def draw_masks(drops: Sequence[Drop], seeds: NDArray[np.uint64], draw: int) -> list[NDArray[np.float32]]:
    """Masks (sequence, *shape): 0 for a unit that is dropped, 1 / (1 - rate) for one that is kept.

    Parameters
    ----------
    drops
        Calls of layers of dropout, each with draws of its own.
    seeds
        (sequence, word), as `content_seeds` gives them.
    draw
        Number of the draw.

    Examples
    --------
    >>> mask = draw_masks([Drop((1000,), 0.2)], np.zeros((1, 4), np.uint64), 0)[0]
    >>> np.unique(mask).tolist(), bool(abs((mask == 0).mean() - 0.2) < 0.05)
    ([0.0, 1.25], True)
    """
    words = seeds.tolist()
    masks = []
    for number, drop in enumerate(drops):
        mask = np.zeros((len(words), *drop.shape), dtype=np.float32)
        for row, of_sequence in enumerate(words):
            kept = np.random.default_rng([draw, number, *of_sequence]).random(drop.shape) >= drop.rate
            mask[row][kept] = 1 / (1 - drop.rate) if drop.rate < 1 else 0
        masks.append(mask)
    return masks


def moments(draws: Iterable[NDArray]) -> tuple[NDArray, NDArray]:
    """Mean of arrays and their standard deviation, with their number less 1: in float64, one at a time.

    Examples
    --------
    >>> moments(np.array([[1.0], [3.0]]))
    (array([2.]), array([1.41421356]))
    """
    first = total = squares = np.zeros(())
    n = 0
    for n, draw in enumerate(draws, start=1):
        # Differences from the first one: sums of squares of the draws themselves would cancel.
        first = draw.astype(np.float64) if n == 1 else first
        step = draw - first
        total, squares = total + step, squares + step**2
    variance = (squares - total**2 / n) / (n - 1)
    return first + total / n, np.sqrt(np.maximum(variance, 0))


@dataclass
class DropoutBackend:
    """A model whose layers of dropout multiply by masks.

    Attributes
    ----------
    backend
        The model; its last inputs are the masks.
    find_drops
        Inputs -> the calls of layers of dropout, in the order of the masks.
    """

    backend: Backend
    find_drops: Callable[[Sequence[NDArray]], list[Drop]]
    _found: dict[Shapes, list[Drop]] = field(default_factory=dict, repr=False)

    def predict(self, inputs: Sequence[NDArray], seeds: NDArray[np.uint64], draw: int) -> NDArray:
        """All outputs (sequence, column) of one draw, which seeds (sequence, word) and its number tell."""
        shapes = tuple(array.shape[1:] for array in inputs)
        if shapes not in self._found:
            self._found[shapes] = self.find_drops([array[:2] for array in inputs])
        drops = self._found[shapes]
        # Masks of a deep model are as large as its activations, which the model makes beside them.
        bytes_each = 8 * sum(int(np.prod(drop.shape)) for drop in drops)
        step = max(1, memory_budget() // (2 * bytes_each or 1))
        parts = []
        for start in range(0, max(1, len(seeds)), step):
            rows = slice(start, start + step)
            masks = draw_masks(drops, seeds[rows], draw)
            parts.append(self.backend.predict([*(array[rows] for array in inputs), *masks]))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]
