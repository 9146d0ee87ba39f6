"""How far apart draws of a chain have to be for them to be as good as independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def autocorrelation_time(series: NDArray) -> float:
    """Integrated autocorrelation time of chains (chain, draw), in draws; NaN where none of them changes.

    1 + 2 times the sum of the autocorrelations, up to where sums of two in a row stop being positive (Geyer
    1992, doi:10.1214/ss/1177011137). They are of deviations from the mean of all chains: chains that do not
    agree with each other make it long. n draws are worth n divided by it.

    Examples
    --------
    >>> independent = np.random.default_rng(0).normal(size=(2, 2000))
    >>> round(autocorrelation_time(independent), 1)
    1.0
    >>> round(autocorrelation_time(independent.repeat(5, axis=1)), 1)
    5.0
    """
    values = np.asarray(series, dtype=np.float64)
    deviation = values - values.mean()
    n = values.shape[1]
    # By the Fourier transform of the series with as many zeros behind it.
    spectrum = np.abs(np.fft.rfft(deviation, 2 * n, axis=1)) ** 2
    covariance = np.fft.irfft(spectrum, axis=1)[:, :n].mean(axis=0) / n
    if covariance[0] <= 1e-20 * max(np.abs(values).max() ** 2, 1e-300):
        return float("nan")
    correlation = covariance / covariance[0]
    pairs = correlation[: n - n % 2].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    # Decreasing, as those of a reversible chain are.
    summed = np.minimum.accumulate(pairs[:stop]).sum()
    return float(min(max(2 * summed - 1, 1 / np.sqrt(n)), n))
