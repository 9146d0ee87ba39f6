"""The definitions of effects, one mutant at a time: slow, obvious, and for any model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.testing.models import Pairs, checked_pairs


def mutation_effect_by_loop(
    function: Callable[[NDArray], ArrayLike], one_hot: NDArray
) -> NDArray[np.float64]:
    """Effect of every substitution by its definition, f(x with b at i) - f(x), one mutant at a time.

    Parameters
    ----------
    function
        One-hot (sequence, position, base) -> (sequence, target), or (sequence,) for one target.
    one_hot
        (sequence, position, base).

    Returns
    -------
    effect
        float64 (sequence, position, base, target): 0 at the base that is there, NaN at N.

    Examples
    --------
    >>> from kipoi_tfbind.testing import linear_model
    >>> model = linear_model(4)
    >>> x = np.eye(4)[np.newaxis]
    >>> bool((mutation_effect_by_loop(model, x) == model.expected_mutation_effect(x)).all())
    True
    """
    n, length, n_bases = one_hot.shape
    reference = [_predict_one(function, x) for x in one_hot]
    effect = np.full((n, length, n_bases, len(reference[0])), np.nan)
    for sequence, position in np.argwhere(one_hot.any(axis=-1)):
        for base in range(n_bases):
            mutant = _with_bases(one_hot[sequence], {position: base})
            effect[sequence, position, base] = _predict_one(function, mutant) - reference[sequence]
    return effect


def epistasis_by_loop(
    function: Callable[[NDArray], ArrayLike], one_hot: NDArray, pairs: Pairs
) -> NDArray[np.float64]:
    """Epistasis by its definition, f(x_ia,jb) - f(x_ia) - f(x_jb) + f(x), one mutant at a time.

    Parameters
    ----------
    function
        One-hot (sequence, position, base) -> (sequence, target), or (sequence,) for one target.
    one_hot
        (sequence, position, base).
    pairs
        (pair, 2), 0-based positions, the lower first.

    Returns
    -------
    epistasis
        float64 (sequence, pair, base_a, base_b, target): NaN where either position has N.

    Examples
    --------
    >>> from kipoi_tfbind.testing import bilinear_model
    >>> model = bilinear_model(4)
    >>> x = np.eye(4)[np.newaxis]
    >>> expected = model.expected_epistasis(x, [(0, 2), (1, 2)])
    >>> bool((epistasis_by_loop(model, x, [(0, 2), (1, 2)]) == expected).all())
    True
    """
    n, length, n_bases = one_hot.shape
    positions = checked_pairs(pairs, length)
    n_targets = len(_predict_one(function, one_hot[0]))
    epistasis = np.full((n, len(positions), n_bases, n_bases, n_targets), np.nan)
    for sequence, x in enumerate(one_hot):
        for pair, (i, j) in enumerate(positions):
            if not (x[i].any() and x[j].any()):
                continue
            for a, b in np.ndindex(n_bases, n_bases):
                mutants: tuple[dict[int, int], ...] = ({i: a, j: b}, {i: a}, {j: b}, {})
                both, first, second, none = (
                    _predict_one(function, _with_bases(x, bases)) for bases in mutants
                )
                epistasis[sequence, pair, a, b] = both - first - second + none
    return epistasis


def _with_bases(x: NDArray, bases: dict[int, int]) -> NDArray:
    """Copy of one sequence (position, base) with these bases at these positions."""
    mutant = x.copy()
    for position, base in bases.items():
        mutant[position] = 0
        mutant[position, base] = 1
    return mutant


def _predict_one(function: Callable[[NDArray], ArrayLike], x: NDArray) -> NDArray[np.float64]:
    return np.asarray(function(x[np.newaxis]), dtype=np.float64).reshape(-1)
