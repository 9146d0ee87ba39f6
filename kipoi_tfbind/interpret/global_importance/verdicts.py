"""Verdicts on interactions, and numbers of backgrounds for intervals of a width."""

from __future__ import annotations

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.interpret.global_importance.statistics import sample_size


def interaction_verdicts(result: xr.Dataset) -> xr.DataArray:
    """Say whether patterns add up with what they are compared with.

    Parameters
    ----------
    result
        Of an experiment with comparisons: number, spacing, cooperativity; or one target of it.

    Returns
    -------
    xr.DataArray
        Text, with the dimensions of the difference: "additive" where its interval includes 0; where it
        does not, "synergistic" if the pattern does more, in the direction of what it is compared with,
        "saturating" if it does less, and "opposing" if it goes the other way; empty without a comparison.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds, number_importance
    >>> from kipoi_tfbind.testing import motif_counter
    >>> counter = motif_counter("GATAAG")
    >>> model = as_sequence_model(lambda one_hot: np.minimum(counter(one_hot), 1), targets=["any"])
    >>> result = number_importance(model, make_backgrounds("uniform", 90, length=60), "GATAAG", max_copies=2)
    >>> interaction_verdicts(result).isel(target=0).values.tolist()
    ['', '', 'additive', 'saturating']
    """
    if "difference" not in result:
        schema.require(result, "difference")
    expected = (result["importance"] - result["difference"]).values
    importance = result["importance"].values
    low, high = result["difference_low"].values, result["difference_high"].values
    sure = ((low > 0) | (high < 0)) & ~(result["difference_p_value"].values >= 1)
    beyond = np.sign(result["difference"].values) == np.sign(expected)
    turned = np.sign(importance) == -np.sign(expected)
    words = np.select(
        [np.isnan(low), ~sure, beyond, turned], ["", "additive", "synergistic", "opposing"], "saturating"
    )
    return result["importance"].copy(data=words).rename("interaction").assign_attrs({})


def needed_backgrounds(result: xr.Dataset, half_width: float) -> xr.DataArray:
    """Say how many backgrounds give an interval of the importance with this half-width.

    Parameters
    ----------
    result
        Of any experiment, with few backgrounds.
    half_width
        Half-width of the intervals that is wanted, in the unit of the output.

    Returns
    -------
    xr.DataArray
        Number of backgrounds (pattern, target), from the spread over those of the result, at its confidence.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds, motif_importance
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = motif_importance(model, make_backgrounds("uniform", 100, length=20), ["GGG"])
    >>> needed_backgrounds(result, 0.05).values
    array([[1008]])
    """
    schema.require(result, "standard_error", "n_backgrounds")
    deviation = (result["standard_error"] * np.sqrt(result["n_backgrounds"])).values
    confidence = float(result.attrs.get("confidence", 0.95))
    found = [sample_size(value, half_width, confidence=confidence) for value in deviation.ravel()]
    return (
        result["standard_error"]
        .copy(data=np.array(found).reshape(deviation.shape))
        .rename("n")
        .assign_attrs({})
    )
