"""Predictions on backgrounds: their distance from those on real sequences, and a choice by them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.errors import BackgroundWarning, InputError
from kipoi_tfbind.interpret._batches import batch_of
from kipoi_tfbind.interpret._method import predict_all, provenance, wrapped_for
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.results.view import find

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


def central_backgrounds(
    model: Any,
    backgrounds: xr.Dataset,
    *,
    low: float = 0.1,
    high: float = 0.9,
    target: str | int = 0,
    batch_size: int = 256,
) -> xr.Dataset:
    """Keep the backgrounds whose prediction is between two quantiles: those without a site by chance.

    The null filter of ResidualBind (Koo et al. 2021, doi:10.1371/journal.pcbi.1008925). Everything that the
    backgrounds preserve is preserved of those that are kept; their predictions are not any more a sample of
    all backgrounds, so that the unedited prediction has less spread.

    Parameters
    ----------
    model
        A `SequenceModel`, or what `as_sequence_model` takes.
    backgrounds
        Dataset with ``one_hot``.
    low, high
        Quantiles of the predictions, from 0 to 1.
    target
        Index of the target, or its name.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        The backgrounds that are kept, in their order.

    Raises
    ------
    InputError
        Quantiles that are none, or no such target.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> backgrounds = make_backgrounds("uniform", 100, length=20)
    >>> kept = central_backgrounds(model, backgrounds)
    >>> np.unique(kept["one_hot"].sel(base="G").sum("position"))
    array([3., 4., 5., 6., 7., 8.], dtype=float32)
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"low, high: expected 0 <= low < high <= 1, got {low} and {high}")
    prediction = predictions_of(model, backgrounds, batch_size)[1]
    index = find(prediction.to_dataset(name="prediction"), "target", "target", target)
    values = prediction.isel(target=index).values
    ends = np.quantile(values, [low, high])
    kept = backgrounds.isel(sequence=(ends[0] <= values) & (values <= ends[1]))
    name = str(prediction["target"].values[index])
    return kept.assign_attrs(background_filter=f"{name} between its quantiles {low:g} and {high:g}")


def predictions_of(model: Any, sequences: xr.Dataset, batch_size: int) -> tuple[SequenceModel, xr.DataArray]:
    """Return the model, wrapped, and its predictions (sequence, target)."""
    model = wrapped_for(sequences, model)
    batch = batch_of(sequences, model)
    values = predict_all(model, batch, batch_size=batch_size, description="backgrounds")
    return model, xr.DataArray(
        values, dims=("sequence", "target"), coords={"target": list(model.target_names)}
    )
