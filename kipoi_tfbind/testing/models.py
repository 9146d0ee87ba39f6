"""Models whose effects, epistasis and contributions are known in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, encode_bases, one_hot_codes, reverse_complement
from kipoi_tfbind.errors import InputError

Pairs = Sequence[tuple[int, int]] | NDArray[np.integer]


class MultilinearModel(ABC):
    """A model whose terms have at most one factor from each position.

    Attributes
    ----------
    name
        Its name in results.
    target_names
        Name of each output.
    """

    name: str
    target_names: tuple[str, ...]

    @abstractmethod
    def __call__(self, one_hot: NDArray) -> NDArray[np.float64]:
        """Prediction (sequence, target) for one-hot rows, or profiles, (sequence, position, base)."""

    @abstractmethod
    def gradient(self, one_hot: NDArray) -> NDArray[np.float64]:
        """First derivatives (sequence, position, base, target)."""

    @abstractmethod
    def mixed_derivative(self, one_hot: NDArray, pairs: Pairs) -> NDArray[np.float64]:
        """Second derivatives (sequence, pair, base_a, base_b, target) by a base at each of two positions."""

    def expected_mutation_effect(self, one_hot: NDArray) -> NDArray[np.float64]:
        """Effects (sequence, position, base, target): 0 at the base that is there, NaN at N."""
        x = np.asarray(one_hot, dtype=np.float64)
        slope = self.gradient(x)
        effect = slope - np.einsum("nlc,nlct->nlt", x, slope)[:, :, np.newaxis]
        effect[~x.any(axis=-1)] = np.nan
        return effect

    def expected_epistasis(self, one_hot: NDArray, pairs: Pairs) -> NDArray[np.float64]:
        """Epistasis (sequence, pair, base_a, base_b, target): 0 at a base that is there, NaN at N.

        Parameters
        ----------
        one_hot
            (sequence, position, base).
        pairs
            (pair, 2), 0-based positions, the lower first.
        """
        x = np.asarray(one_hot, dtype=np.float64)
        positions = checked_pairs(pairs, x.shape[1])
        first, second = x[:, positions[:, 0]], x[:, positions[:, 1]]
        mixed = self.mixed_derivative(x, positions)
        mixed = mixed - np.einsum("npc,npcbt->npbt", first, mixed)[:, :, np.newaxis]
        mixed = mixed - np.einsum("npc,npact->npat", second, mixed)[:, :, :, np.newaxis]
        mixed[~(first.any(axis=-1) & second.any(axis=-1))] = np.nan
        return mixed


class _AtMostBilinear(MultilinearModel):
    def expected_hypothetical_contribution(
        self, one_hot: NDArray, references: NDArray
    ) -> NDArray[np.float64]:
        """Hypothetical contributions (sequence, position, base, target), the mean over the references.

        The multipliers are the derivatives halfway between sequence and reference. For terms of at most two
        factors these are integrated gradients exactly, and Shapley values; DeepLIFT gives them too where its
        rule for a product shares the change evenly between both factors.

        Parameters
        ----------
        one_hot
            (sequence, position, base).
        references
            (sequence, reference, position, base).
        """
        x = np.asarray(one_hot, dtype=np.float64)
        means = []
        for sequence, own in zip(x, np.asarray(references, dtype=np.float64), strict=True):
            multipliers = self.gradient((sequence + own) / 2)
            means.append(
                (multipliers - np.einsum("rlc,rlct->rlt", own, multipliers)[:, :, np.newaxis]).mean(0)
            )
        return np.stack(means)


@dataclass(frozen=True, eq=False)
class LinearModel(_AtMostBilinear):
    """The sum of a weight for each base at each position: no epistasis.

    Attributes
    ----------
    weights
        float64 (position, base, target).
    """

    weights: NDArray[np.float64]
    name: str = "linear"

    @property
    def target_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Name of each output: "0", "1", ..."""
        return _numbered(self.weights.shape[-1])

    def __call__(self, one_hot: NDArray) -> NDArray[np.float64]:
        """Prediction (sequence, target)."""
        return np.einsum("nlb,lbt->nt", np.asarray(one_hot, dtype=np.float64), self.weights)

    def gradient(self, one_hot: NDArray) -> NDArray[np.float64]:
        """First derivatives (sequence, position, base, target)."""
        return np.tile(self.weights, (len(one_hot), 1, 1, 1))

    def mixed_derivative(self, one_hot: NDArray, pairs: Pairs) -> NDArray[np.float64]:
        """Second derivatives (sequence, pair, base_a, base_b, target)."""
        n_pairs = len(checked_pairs(pairs, len(self.weights)))
        return np.zeros((len(one_hot), n_pairs, len(BASES), len(BASES), self.weights.shape[-1]))


@dataclass(frozen=True, eq=False)
class BilinearModel(_AtMostBilinear):
    """A linear model, and a weight for each two bases at each two positions.

    Attributes
    ----------
    weights
        float64 (position, base, target).
    pair_weights
        float64 (position_a, base_a, position_b, base_b, target); 0 unless position_a < position_b.
    """

    weights: NDArray[np.float64]
    pair_weights: NDArray[np.float64]
    name: str = "bilinear"

    @property
    def target_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Name of each output: "0", "1", ..."""
        return _numbered(self.weights.shape[-1])

    def __call__(self, one_hot: NDArray) -> NDArray[np.float64]:
        """Prediction (sequence, target)."""
        x = np.asarray(one_hot, dtype=np.float64)
        linear = np.einsum("nlb,lbt->nt", x, self.weights)
        return linear + np.einsum("nia,niat->nt", x, np.tensordot(x, self.pair_weights, ((1, 2), (2, 3))))

    def gradient(self, one_hot: NDArray) -> NDArray[np.float64]:
        """First derivatives (sequence, position, base, target)."""
        x = np.asarray(one_hot, dtype=np.float64)
        both_orders = self.pair_weights + self.pair_weights.transpose(2, 3, 0, 1, 4)
        return self.weights + np.tensordot(x, both_orders, ((1, 2), (2, 3)))

    def mixed_derivative(self, one_hot: NDArray, pairs: Pairs) -> NDArray[np.float64]:
        """Second derivatives (sequence, pair, base_a, base_b, target)."""
        first, second = checked_pairs(pairs, len(self.weights)).T
        # The advanced indices are apart, so that NumPy puts the pair in front.
        return np.tile(self.pair_weights[first, :, second], (len(one_hot), 1, 1, 1, 1))


@dataclass(frozen=True, eq=False)
class MotifCounter(MultilinearModel):
    """The sum, over all places of a motif, of the product of the entries of its matrix at the bases there.

    Attributes
    ----------
    matrices
        Each (position, base). Of an exact motif the entries are 0 and 1, and the sum counts its matches.
    """

    matrices: tuple[NDArray[np.float64], ...]
    name: str = "motif counter"
    target_names: tuple[str, ...] = ("matches",)

    def __call__(self, one_hot: NDArray) -> NDArray[np.float64]:
        """Prediction (sequence, target)."""
        counts = [_entries(one_hot, matrix).prod(axis=-1).sum(axis=-1) for matrix in self.matrices]
        return np.sum(counts, axis=0)[:, np.newaxis]

    def gradient(self, one_hot: NDArray) -> NDArray[np.float64]:
        """First derivatives (sequence, position, base, target)."""
        slope = np.zeros(np.shape(one_hot), dtype=np.float64)
        for matrix in self.matrices:
            entries = _entries(one_hot, matrix)
            for offset, row in enumerate(matrix):
                rest = np.delete(entries, offset, axis=-1).prod(axis=-1)
                slope[:, offset : offset + rest.shape[1]] += rest[..., np.newaxis] * row
        return slope[..., np.newaxis]

    def mixed_derivative(self, one_hot: NDArray, pairs: Pairs) -> NDArray[np.float64]:
        """Second derivatives (sequence, pair, base_a, base_b, target)."""
        n, length, _ = np.shape(one_hot)
        positions = checked_pairs(pairs, length)
        mixed = np.zeros((n, len(positions), len(BASES), len(BASES)))
        for matrix in self.matrices:
            entries = _entries(one_hot, matrix)
            width = len(matrix)
            for pair, (first, second) in enumerate(positions):
                for place in range(max(0, second - width + 1), min(first, entries.shape[1] - 1) + 1):
                    a, b = first - place, second - place
                    rest = np.delete(entries[:, place], (a, b), axis=-1).prod(axis=-1)
                    mixed[:, pair] += rest[:, np.newaxis, np.newaxis] * np.outer(matrix[a], matrix[b])
        return mixed[..., np.newaxis]


def linear_model(length: int, n_targets: int = 1, seed: int = 0) -> LinearModel:
    """Make a linear model with random weights from -2 to 2, multiples of 1/64.

    Examples
    --------
    >>> model = linear_model(4, n_targets=2)
    >>> model.weights.shape, model(np.eye(4)[np.newaxis]).shape
    ((4, 4, 2), (1, 2))
    >>> model.expected_mutation_effect(np.eye(4)[np.newaxis])[0, 0, 0]
    array([0., 0.])
    """
    return LinearModel(_random_weights(np.random.default_rng(seed), length, len(BASES), n_targets))


def bilinear_model(length: int, n_targets: int = 1, seed: int = 0) -> BilinearModel:
    """Make a model of single bases and of all pairs, with random weights from -2 to 2, multiples of 1/64.

    Examples
    --------
    >>> model = bilinear_model(4)
    >>> x = np.eye(4)[np.newaxis]
    >>> weight = model.pair_weights[0, :, 2, :, 0]
    >>> expected = weight[1, 3] - weight[0, 3] - weight[1, 2] + weight[0, 2]
    >>> model.expected_epistasis(x, [(0, 2)])[0, 0, 1, 3, 0] == expected
    np.True_
    """
    rng = np.random.default_rng(seed)
    weights = _random_weights(rng, length, len(BASES), n_targets)
    pair_weights = _random_weights(rng, length, len(BASES), length, len(BASES), n_targets)
    position = np.arange(length)
    before = position[:, np.newaxis] < position
    return BilinearModel(weights, pair_weights * before[:, np.newaxis, :, np.newaxis, np.newaxis])


def rc_symmetric_model(length: int, n_targets: int = 1, seed: int = 0) -> BilinearModel:
    """Make a bilinear model that gives a sequence and its reverse complement the same prediction.

    Examples
    --------
    >>> model, x = rc_symmetric_model(4), np.eye(4)[[[0, 0, 1, 2]]]
    >>> bool(model(x) == model(reverse_complement(x)))
    True
    """
    model = bilinear_model(length, n_targets, seed)
    # The earlier of two positions is the later one on the other strand.
    other_strand = model.pair_weights[::-1, ::-1, ::-1, ::-1].transpose(2, 3, 0, 1, 4)
    weights = (model.weights + model.weights[::-1, ::-1]) / 2
    return BilinearModel(weights, (model.pair_weights + other_strand) / 2, name="rc symmetric")


def motif_counter(motif: str | ArrayLike, *, both_strands: bool = False) -> MotifCounter:
    """Make a model that counts a motif.

    Parameters
    ----------
    motif
        A, C, G, T, and N for any base; or a matrix (position, base), of probabilities say, which makes the
        count a smooth one.
    both_strands
        Count matches of the reverse complement too. A motif that is its own is counted twice.

    Returns
    -------
    MotifCounter
        For sequences of any length; N matches nothing.

    Raises
    ------
    InputError
        Another letter, or a matrix of another shape.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import one_hot
    >>> x = one_hot(["TGATTGATCATT"])
    >>> motif_counter("GAT")(x), motif_counter("TGATNN", both_strands=True)(x)
    (array([[2.]]), array([[3.]]))
    """
    if isinstance(motif, str):
        if not motif or set(motif) - set("ACGTN"):
            raise InputError(f"motif: expected letters A, C, G, T and N, got {motif!r}")
        codes = encode_bases([motif])[0]
        matrix = one_hot_codes(codes, np.float64)
        matrix[codes == N_CODE] = 1
    else:
        matrix = np.asarray(motif, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(BASES) or not len(matrix):
        raise InputError(f"motif: expected a matrix (position, 4), got shape {matrix.shape}")
    return MotifCounter((matrix, reverse_complement(matrix)) if both_strands else (matrix,))


def checked_pairs(pairs: Pairs, length: int) -> NDArray[np.intp]:
    """Pairs of positions (pair, 2), 0-based, the lower first; InputError where they are something else."""
    positions = np.asarray(pairs, dtype=np.intp)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise InputError(f"pairs: expected shape (pair, 2), got {positions.shape}")
    inside = (positions[:, 0] >= 0) & (positions[:, 0] < positions[:, 1]) & (positions[:, 1] < length)
    if not inside.all():
        first, second = positions[np.flatnonzero(~inside)[0]]
        raise InputError(
            f"pairs: expected two positions from 0 to {length - 1}, the lower first, got {first}, {second}"
        )
    return positions


def _entries(one_hot: NDArray, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entry of the matrix at the base there (sequence, place, position of the motif)."""
    x = np.asarray(one_hot, dtype=np.float64)
    if x.shape[1] < len(matrix):
        return np.zeros((len(x), 0, len(matrix)))
    return np.einsum("nsbk,kb->nsk", sliding_window_view(x, len(matrix), axis=1), matrix)


def _random_weights(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return rng.integers(-128, 128, size=shape, endpoint=True) / 64


def _numbered(n: int) -> tuple[str, ...]:
    return tuple(map(str, range(n)))
