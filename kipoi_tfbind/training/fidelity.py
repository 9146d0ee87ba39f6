"""How much of an ensemble its student keeps: log-odds, spread, and conformal intervals that use both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind.kipoi_model import spread
from kipoi_tfbind.training.conformal import LEVEL

_SECTION = """
## What it keeps of the ensemble

On {n_bins:,} test bins. *log-odds*: Pearson correlation with the ensemble's; *spread*: Spearman correlation
of the standard deviation over heads with that over the ensemble's members. The ensemble's log-odds are
expected within z ± *width* (spread + *offset*), z and spread being this model's (split conformal, fitted in
validation); *±*: median of that; *covers*: share of test bins where they are, meant to be {level:.0%}. Means
over the targets: log-odds {log_odds:.3f}, spread {spread:.2f}, covers {coverage:.3f}.

| target | log-odds | spread | width | offset | ± | covers |
|---|---|---|---|---|---|---|
{rows}
"""


def fidelity(
    validation: tuple[NDArray, NDArray],
    test: tuple[NDArray, NDArray],
    mixture: tuple[NDArray, NDArray],
    targets: Sequence[str],
    level: float = LEVEL,
) -> dict[str, Any]:
    """Compare a student with its ensemble on held-out bins, and fit intervals for what the ensemble says.

    The ensemble's log-odds are expected within z ± width (spread + offset), z and spread being the
    student's and offset the median of its spread (1, if that is 0): split conformal prediction with a
    normalised score (Papadopoulos et al. 2008, doi:10.1007/978-3-540-87572-3_50). The width is fitted on
    validation bins; `coverage` is the share of test bins in their intervals.

    Parameters
    ----------
    validation, test
        Log-odds of the ensemble's members and of the student's heads, each (member, bin, target).
    mixture
        Weights (member, target) and bias (target).
    targets
        Their names.
    level
        Share to cover.

    Returns
    -------
    dict
        `level`, `n_bins` (of the test), and `targets` -> target -> `log_odds` (Pearson correlation),
        `spread` (Spearman correlation), `width`, `offset`, `half_width` (median of the test bins) and
        `coverage`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> members = rng.normal(size=(2, 20_000, 1))
    >>> parts = [(part, part + 0.1 * rng.normal(size=part.shape)) for part in np.split(members, 2, axis=1)]
    >>> found = fidelity(*parts, (np.full((2, 1), 0.5), np.zeros(1)), ["CTCF"])["targets"]["CTCF"]
    >>> found["log_odds"] > 0.98, 0.87 < found["coverage"] < 0.93
    (True, True)
    """
    fitted = [(mixed(logits, *mixture), spread(logits, mixture[0])) for logits in validation]
    tested = [(mixed(logits, *mixture), spread(logits, mixture[0])) for logits in test]
    result: dict[str, Any] = {"level": level, "n_bins": test[0].shape[1], "targets": {}}
    for column, target in enumerate(targets):
        (z, _), (found, apart) = ((a[:, column], b[:, column]) for a, b in fitted)
        offset = float(np.median(apart)) or 1.0  # of a mixture of one member
        width = _last_covered(np.abs(z - found) / (apart + offset), level)
        (z, true_spread), (found, apart) = ((a[:, column], b[:, column]) for a, b in tested)
        half = width * (apart + offset)
        result["targets"][target] = {
            "log_odds": float(np.corrcoef(z, found)[0, 1]),
            "spread": float(stats.spearmanr(true_spread, apart).statistic),
            "width": width,
            "offset": offset,
            "half_width": float(np.median(half)),
            "coverage": float((np.abs(z - found) <= half).mean()),
        }
    return result


def fidelity_section(found: Mapping[str, Any] | None) -> str:
    """Section of a card on what :func:`fidelity` found; empty where nothing was compared."""
    if found is None:
        return ""
    keys = ("log_odds", "spread", "width", "offset", "half_width", "coverage")
    targets = found["targets"]
    means = {key: float(np.mean([each[key] for each in targets.values()])) for key in keys}
    rows = "\n".join(
        f"| {target} | {' | '.join(f'{each[key]:.3f}' for key in keys)} |" for target, each in targets.items()
    )
    return _SECTION.format(n_bins=found["n_bins"], level=found["level"], rows=rows, **means)


def mixed(members: NDArray, weights: NDArray, bias: NDArray) -> NDArray:
    """Log-odds (bin, target) of a mixture of members (member, bin, target)."""
    return np.einsum("mnt,mt->nt", members, weights) + bias


def _last_covered(scores: NDArray, level: float) -> float:
    """The ceil((n + 1) level)-th of n scores in their order; the largest, where that is beyond it."""
    last = min(len(scores), int(np.ceil((len(scores) + 1) * level - 1e-9)))
    return float(np.sort(scores)[last - 1])
