"""Which members of an ensemble a student keeps, and how it begins in place of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Directions in which members differ by less than this share (of squares) are rounding of their log-odds.
_ROUNDING = 1e-10


def closest_members(logits: NDArray, counts: NDArray, weights: NDArray, n: int) -> tuple[int, ...]:
    """Members whose log-odds, combined anew for each target, come closest to those of the whole ensemble.

    One after the other: each time the member that leaves least of the mixture's variance unexplained,
    summed over the targets. No label is looked at.

    Parameters
    ----------
    logits
        Log-odds (window, member, target) of windows that the members were not trained on.
    counts
        (window, target): how much a difference counts.
    weights
        Of the mixture, (member, target).
    n
        How many.

    Returns
    -------
    tuple of int
        Their numbers, from 1.

    Examples
    --------
    Of four members two are copies, so that one is enough:

    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(100, 3, 1))[:, [0, 1, 1, 2]] * [[1], [2], [2], [0.1]]
    >>> closest_members(logits, np.ones((100, 1)), np.full((4, 1), 0.25), 2)
    (1, 2)
    """
    products = _products(logits, counts)
    n_members = len(weights)
    kept: list[int] = []

    def unexplained(members: list[int]) -> float:
        away = _residual(products, members)[:, :n_members, :n_members]
        return float(np.einsum("mt,tmn,nt->", weights, away, weights))

    for _ in range(n):
        others = [member for member in range(n_members) if member not in kept]
        kept.append(min(others, key=lambda member: unexplained([*kept, member])))
    return tuple(sorted(member + 1 for member in kept))


def shares_of_kept(logits: NDArray, counts: NDArray, keep: Sequence[int]) -> NDArray[np.float64]:
    """Each member's log-odds as a combination of those of the kept ones, by weighted least squares.

    Parameters
    ----------
    logits, counts
        As in :func:`closest_members`.
    keep
        Numbers of the kept members, from 1.

    Returns
    -------
    ndarray
        (member, kept + 1, target): of each kept member its share, and a constant. A kept member is itself.

    Examples
    --------
    The second member is half of the first, plus 1:

    >>> first = np.linspace(-8, 2, 20)
    >>> logits = np.stack([first, 0.5 * first + 1], axis=1)[:, :, None]
    >>> shares_of_kept(logits, np.ones((20, 1)), [1])[:, :, 0].round(6)
    array([[1. , 0. ],
           [0.5, 1. ]])
    """
    products = _products(logits, counts)
    n_members = logits.shape[1]
    members = [number - 1 for number in keep]
    shares = _combination(products, members)[:, :, :n_members].transpose(2, 1, 0)
    shares[members] = np.eye(len(members), len(members) + 1)[:, :, None]
    return shares


def _products(logits: NDArray, counts: NDArray) -> NDArray[np.float64]:
    """Weighted means of products (target, column, column) of the members' log-odds and, last, of 1."""
    constant = np.ones((len(logits), 1, logits.shape[2]))
    columns = np.concatenate([logits, constant], axis=1, dtype=np.float64)
    counted = columns * (counts / counts.sum(axis=0))[:, None]
    return columns.transpose(2, 1, 0) @ counted.transpose(2, 0, 1)


def _combination(products: NDArray, members: Sequence[int]) -> NDArray[np.float64]:
    """Least-squares coefficients (target, member or constant, column) of all columns."""
    columns = [*members, products.shape[1] - 1]
    inverse = np.linalg.pinv(products[:, columns][:, :, columns], rcond=_ROUNDING, hermitian=True)
    return inverse @ products[:, columns]


def _residual(products: NDArray, members: Sequence[int]) -> NDArray[np.float64]:
    """Products (target, column, column) of what a combination of the members leaves of all columns."""
    columns = [*members, products.shape[1] - 1]
    return products - products[:, :, columns] @ _combination(products, members)
