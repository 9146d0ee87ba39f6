"""How far a model's predictions on backgrounds are from those on real sequences."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.errors import BackgroundWarning
from kipoi_tfbind.sequences.backgrounds import predictions_of

_CENTRAL = 0.95
_MOST_OUTSIDE = 0.5


def distribution_shift(
    model: Any, backgrounds: xr.Dataset, sequences: xr.Dataset, *, batch_size: int = 256
) -> xr.Dataset:
    """Compare a model's predictions on backgrounds with those on real sequences.

    Where the backgrounds are unlike all that the model has seen, what a pattern does there may not be what it
    does in a genome. The warning comes for targets whose predictions on more than half of the backgrounds are
    outside the central 95% of those on the real sequences. Real sequences that are not bound are the fair
    comparison: a background has no site, and is not to look like a peak.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    backgrounds, sequences
        Datasets with ``one_hot``.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``background_sample`` (background, target) and ``real_sample`` (sequence, target), the predictions;
        ``share_outside`` (target), the share of backgrounds outside the central 95% of the real ones;
        ``ks_statistic`` and ``ks_p_value`` (target) of the two-sample test of Kolmogorov and Smirnov.

    Warns
    -----
    BackgroundWarning
        The background is far outside.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> one, other = (make_backgrounds("uniform", 200, length=20, seed=seed) for seed in (0, 1))
    >>> float(distribution_shift(model, one, other)["share_outside"].sel(target="number of G")) < 0.1
    True
    """
    from kipoi_tfbind.interpret._method import provenance

    wrapped, fake = predictions_of(model, backgrounds, batch_size)
    _, real = predictions_of(wrapped, sequences, batch_size)
    tests = [stats.ks_2samp(f, r) for f, r in zip(fake.values.T, real.values.T, strict=True)]
    low, high = np.quantile(real.values, [(1 - _CENTRAL) / 2, (1 + _CENTRAL) / 2], axis=0)
    outside = ((fake.values < low) | (fake.values > high)).mean(axis=0)
    names = list(wrapped.target_names)
    for name, share, sample in zip(names, outside, fake.values.T, strict=True):
        if share > _MOST_OUTSIDE:
            column = names.index(name)
            warnings.warn(
                f"{name}: {share:.0%} of the backgrounds are predicted outside the central {_CENTRAL:.0%} of "
                f"the real sequences ({low[column]:.3g} to {high[column]:.3g}; the median background "
                f"{np.median(sample):.3g}); what a pattern does there may not be what it does in a genome",
                BackgroundWarning,
                stacklevel=2,
            )
    kind = str(backgrounds.attrs.get("background", "given"))
    result = xr.Dataset(
        {
            "background_sample": (("background", "target"), fake.values),
            "real_sample": (("sequence", "target"), real.values),
            "share_outside": ("target", outside),
            "ks_statistic": ("target", [float(test.statistic) for test in tests]),
            "ks_p_value": ("target", [float(test.pvalue) for test in tests]),
        },
        coords={"target": names},
        attrs=provenance("distribution_shift", wrapped, background=kind, batch_size=batch_size),
    )
    return schema.annotate(result)
