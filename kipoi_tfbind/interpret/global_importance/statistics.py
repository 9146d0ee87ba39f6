"""Statistics of paired differences: the effect of a pattern on predictions for the same backgrounds.

Arrays only. Each background is its own control: the difference between its prediction with a pattern and
without is one observation, and the backgrounds are the sample. A test that takes the two sets of predictions
for independent samples would count the spread between backgrounds, which the pairing removes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from kipoi_tfbind.dna.random import checked_seed
from kipoi_tfbind.errors import InputError

# Bounds of what is in memory at once: numbers of a table of resamples, and series tested together.
_TABLE = 1 << 22
_SERIES = 1024
# A mean this many units in the last place of the predictions is made by their rounding.
_ROUNDING = 8
# Means of resamples that differ by less than this, relative to the largest deviation, are the same.
_TIE = 1e-12


class PairedStatistics(NamedTuple):
    """Statistics of series of paired differences; each an array (...) of float64, NaN for an empty series.

    Attributes
    ----------
    mean, standard_error
        Of the differences.
    low, high
        Confidence interval of the mean by Student's t.
    bootstrap_low, bootstrap_high
        Confidence interval by the bias-corrected and accelerated bootstrap.
    p_value
        Two-sided, of the paired t-test against 0.
    permutation_p_value
        Two-sided, of the sign-flip test: no difference is one whose sign could as well be the other.
    n
        Number of differences that are not missing.
    """

    mean: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bootstrap_low: NDArray[np.float64]
    bootstrap_high: NDArray[np.float64]
    p_value: NDArray[np.float64]
    permutation_p_value: NDArray[np.float64]
    n: NDArray[np.int64]


def paired_statistics(
    differences: ArrayLike,
    *,
    axis: int = 0,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
    rounding: ArrayLike = 0.0,
) -> PairedStatistics:
    """Mean, intervals and tests of series of paired differences.

    The bootstrap is Efron's BCa (1987, doi:10.1080/01621459.1987.10478410): second-order correct for the
    skewed differences that motifs make. All series share their resamples, which makes it a matrix product.
    The sign-flip test is Fisher's: of all 2**n flips where these are no more than `n_resamples`, else of as
    many random ones, and then the smallest possible p is 1 / (n_resamples + 1).

    Parameters
    ----------
    differences
        One series along `axis`, or many; NaN is a missing difference.
    axis
        Axis of the observations.
    confidence
        Of the intervals, between 0 and 1.
    n_resamples
        Number of bootstrap resamples, and of sign flips.
    seed
        Of the resamples and flips.
    rounding
        Size, for each series or for all, of a mean that the rounding of predictions can make: no larger one
        is taken for an effect (its p-values are 1).

    Returns
    -------
    PairedStatistics
        Each with the shape of `differences` without `axis`.

    Raises
    ------
    InputError
        Fewer than two observations, or a confidence that is not between 0 and 1.

    Examples
    --------
    >>> found = paired_statistics([[1.0, 3.0, 2.0, 2.5, 1.5]], axis=1)
    >>> found.mean, found.low.round(3), found.high.round(3), found.p_value.round(4)
    (array([2.]), array([1.018]), array([2.982]), array([0.0048]))
    """
    values = np.moveaxis(np.asarray(differences, dtype=np.float64), axis, 0)
    n, *shape = values.shape
    _check(n, confidence, n_resamples)
    checked_seed(seed)
    series = values.reshape(n, -1)
    floor = np.broadcast_to(np.asarray(rounding, dtype=np.float64), tuple(shape)).reshape(-1)
    columns = [np.full(series.shape[1], np.nan) for _ in PairedStatistics._fields]
    for chosen, known in _complete(series):
        complete = series[np.ix_(known, chosen)]
        found = _complete_statistics(complete, confidence, n_resamples, seed, floor[chosen])
        for column, part in zip(columns, found, strict=True):
            column[chosen] = part
    shaped = dict(zip(PairedStatistics._fields, (column.reshape(shape) for column in columns), strict=True))
    return PairedStatistics(**shaped | {"n": np.nan_to_num(shaped["n"]).astype(np.int64)})


def benjamini_hochberg(p_values: ArrayLike, *, axis: int = 0) -> NDArray[np.float64]:
    """False-discovery rate at which each hypothesis would be rejected (Benjamini and Hochberg 1995).

    Parameters
    ----------
    p_values
        NaN is no hypothesis, and does not count as one.
    axis
        Axis of the hypotheses that are corrected together.

    Returns
    -------
    q_values
        Of the same shape; NaN where the p-value is.

    Examples
    --------
    >>> benjamini_hochberg([0.01, np.nan, 0.02, 0.9]).round(3)
    array([0.03,  nan, 0.03, 0.9 ])
    """
    p = np.moveaxis(np.array(p_values, dtype=np.float64), axis, 0)
    columns = p.reshape(len(p), -1) if p.size else p.reshape(len(p), 0)
    corrected = np.full_like(columns, np.nan)
    for column in range(columns.shape[1]):
        known = ~np.isnan(columns[:, column])
        if known.any():
            corrected[known, column] = stats.false_discovery_control(columns[known, column])
    return np.moveaxis(corrected.reshape(p.shape), 0, axis)


def half_width(standard_deviation: ArrayLike, n: int, *, confidence: float = 0.95) -> NDArray[np.float64]:
    """Half-width of the t interval of a mean of `n` differences with this standard deviation.

    Examples
    --------
    >>> half_width(2.0, 100).round(3)
    np.float64(0.397)
    """
    _check(n, confidence, 1)
    quantile = stats.t.ppf((1 + confidence) / 2, n - 1)
    return quantile * np.asarray(standard_deviation, dtype=np.float64) / np.sqrt(n)


def sample_size(standard_deviation: float, width: float, *, confidence: float = 0.95) -> int:
    """Number of backgrounds whose t interval has at most this half-width.

    Parameters
    ----------
    standard_deviation
        Of the differences over backgrounds, from a first run with few.
    width
        Half-width that is wanted, in the unit of the differences.
    confidence
        Of the interval.

    Raises
    ------
    InputError
        A half-width that is not positive, or a standard deviation that is negative or no number.

    Examples
    --------
    >>> sample_size(2.0, 0.1)
    1540
    """
    if not width > 0 or not np.isfinite(width):
        raise InputError(f"width: expected a positive half-width, got {width}")
    if not 0 <= standard_deviation < np.inf:
        raise InputError(f"standard_deviation: expected a number from 0 on, got {standard_deviation}")
    low, high = 1, 2
    while half_width(standard_deviation, high, confidence=confidence) > width:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = half_width(standard_deviation, middle, confidence=confidence) <= width
        low, high = (low, middle) if enough else (middle, high)
    return high


def rounding_of(predictions: NDArray, *, axis: int) -> NDArray[np.float64]:
    """Size of a mean difference that the rounding of these predictions can make, for each series.

    Examples
    --------
    >>> rounding_of(np.array([[1.0, -2.0]], dtype=np.float32), axis=1) < 2e-6
    array([ True])
    """
    largest = np.abs(predictions).max(axis=axis)
    return _ROUNDING * np.finfo(predictions.dtype).eps * largest.astype(np.float64)


def _check(n: int, confidence: float, n_resamples: int) -> None:
    if n < 2:
        raise InputError(f"backgrounds: expected at least 2 for an interval, got {n}")
    if not 0 < confidence < 1:
        raise InputError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence}")
    if n_resamples < 1:
        raise InputError(f"n_resamples: expected at least 1, got {n_resamples}")


def _complete(series: NDArray) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Series with the same observations, and which these are; two at least, else nothing can be said."""
    missing = np.isnan(series)
    groups, of = np.unique(missing, axis=1, return_inverse=True) if missing.any() else (missing[:, :1], None)
    for group in range(groups.shape[1]):
        known = np.flatnonzero(~groups[:, group])
        chosen = np.arange(series.shape[1]) if of is None else np.flatnonzero(of.reshape(-1) == group)
        if len(known) > 1:
            for first in range(0, len(chosen), _SERIES):
                yield chosen[first : first + _SERIES], known


def _complete_statistics(
    series: NDArray, confidence: float, n_resamples: int, seed: int, rounding: NDArray
) -> tuple[NDArray, ...]:
    """The statistics of `PairedStatistics`, of series (observation, series) without gaps."""
    n = len(series)
    mean = series.mean(axis=0)
    error = series.std(axis=0, ddof=1) / np.sqrt(n)
    # The rounding of a mean of equal numbers is no spread.
    error[np.ptp(series, axis=0) == 0] = 0
    reach = stats.t.ppf((1 + confidence) / 2, n - 1) * error
    none = np.abs(mean) <= rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(mean) / error, n - 1)
    p[none] = 1
    flips = np.where(none, 1.0, _sign_flips(series, mean, n_resamples, seed))
    bootstrap = _bca(series, mean, confidence, n_resamples, seed)
    return mean, error, mean - reach, mean + reach, *bootstrap, p, flips, np.full(len(mean), n)


def _sign_flips(series: NDArray, mean: NDArray, n_resamples: int, seed: int) -> NDArray:
    n = len(series)
    exact = n < 40 and 2**n <= n_resamples
    # Sums in another order differ in their last digits, and are as extreme as the observed one.
    least = np.abs(mean) * (1 - 1e-10)
    extreme = np.zeros(len(mean))
    if exact:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, np.newaxis] >> np.arange(n)) & 1)
        return (np.abs(signs @ series / n) >= least).mean(axis=0)
    rng = np.random.default_rng([seed, 1])
    for rows in _rows(n_resamples, n):
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(rows, n))
        extreme += (np.abs(signs @ series / n) >= least).sum(axis=0)
    return (extreme + 1) / (n_resamples + 1)


def _bca(
    series: NDArray, mean: NDArray, confidence: float, n_resamples: int, seed: int
) -> tuple[NDArray, NDArray]:
    """Both ends of the BCa interval of each mean."""
    n = len(series)
    deviation = series - mean
    rng = np.random.default_rng([seed, 2])
    parts = [
        rng.multinomial(n, np.full(n, 1 / n), size=rows) @ deviation / n for rows in _rows(n_resamples, n)
    ]
    resampled = np.sort(np.concatenate(parts), axis=0)
    # A resample that is the sample itself has the same mean, but for the rounding of a sum in another order.
    tie = _TIE * np.abs(deviation).max(axis=0)
    below = ((resampled < -tie).sum(axis=0) + (resampled <= tie).sum(axis=0)) / (2 * n_resamples)
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        bias = stats.norm.ppf(below)
        acceleration = (deviation**3).sum(axis=0) / (6 * (deviation**2).sum(axis=0) ** 1.5)
        ends = []
        for level in ((1 - confidence) / 2, (1 + confidence) / 2):
            z = bias + stats.norm.ppf(level)
            ends.append(_quantiles(resampled, stats.norm.cdf(bias + z / (1 - acceleration * z))))
    flat = np.ptp(series, axis=0) == 0
    return np.where(flat, mean, mean + ends[0]), np.where(flat, mean, mean + ends[1])


def _quantiles(ordered: NDArray, levels: NDArray) -> NDArray:
    """Quantile of each sorted column (row, column) at a level of its own, linear between the rows."""
    place = np.nan_to_num(levels, nan=0.5) * (len(ordered) - 1)
    lower = np.floor(place).astype(np.intp)
    upper = np.minimum(lower + 1, len(ordered) - 1)
    column = np.arange(ordered.shape[1])
    return ordered[lower, column] + (place - lower) * (ordered[upper, column] - ordered[lower, column])


def _rows(n_resamples: int, n: int) -> Iterator[int]:
    """Sizes of parts of a table of resamples that fit in memory."""
    step = max(1, _TABLE // n)
    for first in range(0, n_resamples, step):
        yield min(step, n_resamples - first)
