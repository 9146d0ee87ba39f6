"""First-layer filters set from known motifs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.training.baselines import jaspar_log_odds

_LOG_2 = np.log(2)


def motif_filter(log_odds: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Filter whose response to a sequence is the motif's log-likelihood ratio minus a constant.

    Each position is centred on its mean over bases, which shifts every response alike (the batch
    normalisation that follows takes up the shift) and makes an N count as an average base. A motif that is
    narrower than the filter lies in its middle; of a wider one, the stretch with most information is kept.

    Parameters
    ----------
    log_odds
        (position of the motif, base), natural logarithms.
    width
        Width of the filter.

    Returns
    -------
    kernel
        (position, base), in nats.

    Examples
    --------
    >>> motif_filter(np.array([[2.0, 0, 0, 0], [0, 0, 0, 4.0]]), 4).tolist()
    [[0.0, 0.0, 0.0, 0.0], [1.5, -0.5, -0.5, -0.5], [-1.0, -1.0, -1.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
    """
    if len(log_odds) > width:
        information = (np.exp(log_odds) / 4 * log_odds).sum(axis=1)
        start = int(np.convolve(information, np.ones(width), mode="valid").argmax())
        log_odds = log_odds[start : start + width]
    kernel = np.zeros((width, 4))
    offset = (width - len(log_odds)) // 2
    kernel[offset : offset + len(log_odds)] = log_odds - log_odds.mean(axis=1, keepdims=True)
    return kernel


def set_motif_filters(kernel: NDArray, matrix_ids: Sequence[str], both_orientations: bool = False) -> NDArray:
    """Copy of a first-layer kernel whose first filters are JASPAR motifs.

    A layer that is not tied to its reverse complement sees a motif on one strand only, unless it has both.

    Parameters
    ----------
    kernel
        (width, 4, filter), as it was drawn; filters beyond the motifs stay so.
    matrix_ids
        JASPAR ids with their versions, at most as many as there are filters.
    both_orientations
        Let each motif be followed by its reverse complement.

    Raises
    ------
    InputError
        There are more motifs than filters, or JASPAR has no such matrix.
    """
    each = 2 if both_orientations else 1
    if each * len(matrix_ids) > kernel.shape[-1]:
        orientations = " in both orientations" if both_orientations else ""
        raise InputError(
            f"motif_filters: {len(matrix_ids)} motifs{orientations} for {kernel.shape[-1]} filters"
        )
    kernel = np.array(kernel)
    for index, matrix_id in enumerate(matrix_ids):
        filter_ = motif_filter(jaspar_log_odds(matrix_id) * _LOG_2, len(kernel))
        kernel[:, :, each * index] = filter_
        if both_orientations:
            kernel[:, :, each * index + 1] = filter_[::-1, ::-1]
    return kernel
