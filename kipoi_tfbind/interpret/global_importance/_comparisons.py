"""Differences between the effects of patterns on the same backgrounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError

# Names of other patterns, whose effects are added up; or with a factor for each.
Comparison = Sequence[str] | Mapping[str, float]
# Row of a pattern -> rows and factors of those that it is compared with.
Factors = dict[int, dict[int, float]]


def mean_over_backgrounds(effect: NDArray) -> NDArray[np.float64]:
    """Mean over the backgrounds (pattern, target) of the effects that are known; NaN where none is."""
    known = ~np.isnan(effect)
    total = np.where(known, effect, 0).sum(axis=1, dtype=np.float64)
    n = known.sum(axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def mean_difference(effect: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Mean difference (pattern, target); NaN for patterns that are not compared."""
    found = np.full((len(effect), effect.shape[2]), np.nan)
    if factors:
        found[list(factors)] = mean_over_backgrounds(compared(effect, factors))
    return found


def factors_of(names: Sequence[str], comparisons: Mapping[str, Comparison]) -> Factors:
    """Row of each pattern that is compared -> row and factor of those that it is compared with."""
    index = {name: row for row, name in enumerate(names)}
    factors: Factors = {}
    for name, others in comparisons.items():
        if isinstance(others, str):
            others = [others]
        terms = others if isinstance(others, Mapping) else {other: others.count(other) for other in others}
        unknown = [each for each in (name, *terms) if each not in index]
        if unknown:
            there = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise InputError(f"comparisons: no pattern has the name {unknown[0]!r}; there are {there}")
        factors[index[name]] = {index[other]: float(factor) for other, factor in terms.items()}
    return factors


def compared(effect: NDArray, factors: Factors) -> NDArray[np.float64]:
    """Effect of each pattern that is compared, minus those of the others (comparison, background, target)."""
    rows = list(factors)
    difference = effect[rows].astype(np.float64)
    for at, row in enumerate(rows):
        for other, factor in factors[row].items():
            difference[at] -= factor * effect[other]
    return difference


def text_of(comparison: Comparison) -> str:
    """Comparison of a pattern, as a sum."""
    if isinstance(comparison, str):
        return comparison
    if isinstance(comparison, Mapping):
        signed = [(factor, name) for name, factor in comparison.items()]
        words = [
            f"{'-' if f < 0 else '+'} {'' if abs(f) == 1 else f'{abs(f):g} '}{name}" for f, name in signed
        ]
        return " ".join(words).removeprefix("+ ")
    return " + ".join(comparison)
