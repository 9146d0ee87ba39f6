"""Which members a student keeps: against least squares of NumPy, and every choice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from kipoi_tfbind.training.kept_members import closest_members, shares_of_kept


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds (window, member, target) of five members that have much in common, counts, and weights."""
    rng = np.random.default_rng(0)
    common = rng.normal(-4, 2, (400, 1, 2))
    logits = common * rng.uniform(0.5, 1.5, (5, 1)) + rng.normal(size=(400, 5, 2)) + rng.normal(size=(5, 2))
    return logits, rng.uniform(0.02, 1, (400, 2)), rng.uniform(0, 0.4, (5, 2))


def left(logits: np.ndarray, counts: np.ndarray, weights: np.ndarray, keep: tuple[int, ...]) -> float:
    """Weighted mean square of the mixture that a fit to the kept members leaves, summed over targets."""
    total = 0.0
    for target in range(logits.shape[2]):
        members = logits[:, [number - 1 for number in keep], target]
        root = np.sqrt(counts[:, target] / counts[:, target].sum())[:, None]
        design = root * np.column_stack([members, np.ones(len(members))])
        mixture = root[:, 0] * (logits[:, :, target] @ weights[:, target])
        fit = np.linalg.lstsq(design, mixture)[0]
        total += float(((mixture - design @ fit) ** 2).sum())
    return total


def test_shares_are_those_of_weighted_least_squares(data: tuple[np.ndarray, ...]) -> None:
    logits, counts, _ = data
    found = shares_of_kept(logits, counts, [4, 2])
    assert found.shape == (5, 3, 2)
    for target in range(2):
        root = np.sqrt(counts[:, target])[:, None]
        design = np.column_stack([logits[:, [3, 1], target], np.ones(400)])
        expected = np.linalg.lstsq(root * design, root * logits[:, :, target])[0]
        # Products of squares lose half of float64's digits at worst.
        np.testing.assert_allclose(found[:, :, target], expected.T, atol=1e-8)
    np.testing.assert_array_equal(found[[3, 1], :, 0], [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_each_member_is_the_one_that_leaves_least(data: tuple[np.ndarray, ...], n: int) -> None:
    logits, counts, weights = data
    kept: tuple[int, ...] = ()
    for _ in range(n):
        others = [(*kept, number) for number in range(1, 6) if number not in kept]
        kept = min(others, key=lambda keep: left(logits, counts, weights, keep))
    assert closest_members(logits, counts, weights, n) == tuple(sorted(kept))
    assert len(set(kept)) == n


def test_the_first_is_the_best_of_all(data: tuple[np.ndarray, ...]) -> None:
    logits, counts, weights = data
    best = min(combinations(range(1, 6), 1), key=lambda keep: left(logits, counts, weights, keep))
    assert closest_members(logits, counts, weights, 1) == best


def test_copies_of_members_are_no_matter(data: tuple[np.ndarray, ...]) -> None:
    logits, counts, _ = data
    copied = np.concatenate([logits, logits[:, :1]], axis=1)
    found = shares_of_kept(copied, counts, [1, 6])
    told = np.einsum("mkt,wkt->wmt", found[:, :2], copied[:, [0, 5]]) + found[:, 2]
    alone = shares_of_kept(logits, counts, [1])
    expected = np.einsum("mt,wt->wmt", alone[:, 0], logits[:, 0]) + alone[:, 1]
    np.testing.assert_allclose(told[:, :5], expected, atol=1e-8)


def test_kept_members_of_little_weight_are_not_chosen_first(data: tuple[np.ndarray, ...]) -> None:
    logits, counts, _ = data
    independent = np.random.default_rng(1).normal(size=logits.shape)
    weights = np.array([[0.1], [0.1], [0.1], [1.0], [0.1]]).repeat(2, axis=1)
    assert closest_members(independent, counts, weights, 1) == (4,)
