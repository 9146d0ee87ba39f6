"""Least squares with intervals that hold for a model that is not the one that is fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

_CONFIDENCE = 0.95
_FOLDS = 5


class Fit(NamedTuple):
    """Parameters and the ends of their intervals, (parameter, target); the first is the intercept."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def predict(self, design: NDArray) -> NDArray[np.float64]:
        """Response (row, target) to regressors (row, parameter but the intercept)."""
        return self.value[0] + design @ np.nan_to_num(self.value[1:])


def fit_least_squares(design: NDArray, response: NDArray) -> Fit:
    """Ordinary least squares, with 95% intervals from HC3 standard errors (MacKinnon and White 1985).

    Parameters
    ----------
    design
        Regressors (row, parameter); a column of zeros has the parameter NaN.
    response
        (row, target).

    Examples
    --------
    >>> x = np.arange(4.0)[:, np.newaxis]
    >>> fit = fit_least_squares(x, 1 + 2 * x)
    >>> fit.value.ravel().round(6)
    array([1., 2.])
    """
    known = np.concatenate([[True], design.any(axis=0)])
    columns = np.concatenate([np.ones((len(design), 1)), design], axis=1)[:, known]
    # By QR: the normal equations would have the square of the condition number.
    q, r = linalg.qr(columns, mode="economic")
    rank = int((np.abs(np.diag(r)) > 1e-9 * np.abs(np.diag(r)).max()).sum())
    n, k = columns.shape
    shape = (len(known), response.shape[1])
    value, low, high = (np.full(shape, np.nan) for _ in Fit._fields)
    if rank < k:
        # Some substitutions were never seen apart from others: the smallest parameters, and no interval.
        value[known] = linalg.lstsq(columns, response)[0]
        return Fit(value, low, high)
    estimate = linalg.solve_triangular(r, q.T @ response)
    residual = response - columns @ estimate
    leverage = np.minimum((q**2).sum(axis=1), 1 - 1e-12)
    influence = linalg.solve_triangular(r, q.T)
    error = np.sqrt(influence**2 @ (residual / (1 - leverage)[:, np.newaxis]) ** 2)
    reach = stats.t.ppf((1 + _CONFIDENCE) / 2, max(n - k, 1)) * error
    value[known], low[known], high[known] = estimate, estimate - reach, estimate + reach
    return Fit(value, low, high)


def fit_sparse(design: NDArray, response: NDArray) -> Fit:
    """Parameters that the lasso chooses on one half of the rows, fitted to the other half.

    The choice does not see the rows of the fit, whose intervals so hold (Wasserman and Roeder 2009,
    doi:10.1214/08-AOS646). Parameters that are not chosen are 0, without an interval.
    """
    from sklearn.linear_model import LassoCV

    shape = (design.shape[1] + 1, response.shape[1])
    value, (low, high) = np.zeros(shape), np.full((2, *shape), np.nan)
    choose, rest = design[::2], design[1::2]
    for target in range(shape[1]):
        chosen = np.zeros(design.shape[1], bool)
        own = response[::2, target]
        if np.ptp(own) > 0:
            chosen = LassoCV(cv=_FOLDS, max_iter=5000, tol=1e-3).fit(choose, own).coef_ != 0
            chosen &= rest.any(axis=0)
        # No more parameters than rows to fit them to: those of the largest correlation.
        most = len(rest) // 2
        if chosen.sum() > most:
            strength = np.abs((choose - choose.mean(axis=0)).T @ (own - own.mean()))
            chosen &= strength >= np.sort(strength[chosen])[-most]
        fit = fit_least_squares(rest[:, chosen], response[1::2, [target]])
        rows = np.concatenate([[True], chosen])
        value[rows, target], low[rows, target], high[rows, target] = (part[:, 0] for part in fit)
    return Fit(value, low, high)


def r_squared(observed: NDArray, predicted: NDArray) -> NDArray[np.float64]:
    """Share of the variance (target) that a prediction (row, target) explains; NaN where there is none.

    Examples
    --------
    >>> r_squared(np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]]))
    array([0.5])
    """
    total = ((observed - observed.mean(axis=0)) ** 2).sum(axis=0)
    left = ((observed - predicted) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, 1 - left / total, np.nan)
