"""Global importance analysis: the effect of patterns, over many backgrounds, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import xarray as xr

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret.global_importance._analyse import Design, analyse
from kipoi_tfbind.interpret.global_importance._comparisons import Comparison
from kipoi_tfbind.interpret.global_importance._insertions import Pattern
from kipoi_tfbind.interpret.global_importance.settings import Options, Settings
from kipoi_tfbind.models.sequence_model import SequenceModel


def global_importance_analysis(
    model: SequenceModel | Any,
    backgrounds: xr.Dataset,
    patterns: Mapping[str, Pattern],
    *,
    comparisons: Mapping[str, Comparison] | None = None,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Effect of embedding patterns in backgrounds (Koo et al. 2021, doi:10.1371/journal.pcbi.1008925).

    The effect of pattern p in background z is f(z with p embedded) - f(z); the importance of p is its mean
    over the backgrounds. Both predictions are for the same background, so that the effects are paired
    differences: their intervals and tests are those of one sample, and the backgrounds' own spread is not in
    them. A comparison is paired too: importance(p, q) - importance(p) - importance(q) is the mean over the
    backgrounds of what p and q do together beyond what they do alone.

    Intervals and tests are about the mean over all backgrounds of that kind; not about other kinds, and not
    about the model's own error.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    backgrounds
        Dataset with ``one_hot`` (sequence, position, base), from `make_backgrounds` or any other; at least
        two.
    patterns
        Name -> [(motif, offset), ...]: what is embedded together, and the 0-based position of the first base
        of each. A motif is what `kipoi_tfbind.parse_motif` takes. N in a motif leaves the background
        as it is; what is not a single sequence is drawn anew for each background, from the seed and the
        background itself.
    comparisons
        Name of a pattern -> names of others, or {name: factor}: its ``difference`` is its effect minus the
        sum of theirs.
    on_conflict
        Patterns that overlap themselves, or reach out of the background, are an error: "refuse". "clip" cuts
        off what has no place; the coordinate ``note`` says what.
    confidence
        Of the intervals.
    n_resamples
        Number of bootstrap resamples and of sign flips.
    seed
        Of the draws from motifs, of the resamples and of the flips.
    path
        "incremental": compute only what a pattern changes, which is exact; "full": predict every sequence as
        a whole; "auto": what is expected to be faster.
    verify
        Hold a random part of the incremental predictions against full ones.
    batch_size
        Number of sequences that are predicted at once. Memory grows with patterns × backgrounds × targets,
        4 bytes for each, not with the sequences.

    Returns
    -------
    xr.Dataset
        ``pattern_effect`` (pattern, background, target), ``unedited_prediction`` (background, target), and by
        (pattern, target): ``importance``, ``standard_error``, ``importance_low`` and ``importance_high``
        (Student's t), ``importance_bootstrap_low`` and ``..._high`` (BCa), ``p_value`` (paired t-test),
        ``permutation_p_value`` (sign flips), ``q_value`` (Benjamini and Hochberg over the patterns, of
        ``p_value``), ``rank``, ``n_backgrounds``; ``difference`` with the same, NaN where a pattern has no
        comparison. Of an ensemble the effects are means over its members.

    Raises
    ------
    InputError
        No pattern, one that does not fit, a comparison with a pattern that there is not, or fewer than two
        backgrounds.
    VerificationError
        The incremental predictions are not those of whole sequences.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, make_backgrounds
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> backgrounds = make_backgrounds("uniform", 500, length=20)
    >>> patterns = {"one": [("GG", 4)], "other": [("GAG", 9)], "both": [("GG", 4), ("GAG", 9)]}
    >>> result = global_importance_analysis(
    ...     model, backgrounds, patterns, comparisons={"both": ["one", "other"]}
    ... ).sel(target="number of G")
    >>> result["importance"].values.round(2)  # the bases that are replaced hold one G in four
    array([1.49, 1.23, 2.72])
    >>> result["difference"].sel(pattern="both").item()
    0.0
    """
    if not isinstance(patterns, Mapping):
        raise InputError(f"patterns: expected a mapping such as {{'both': [('GATA', 3)]}}, got {patterns!r}")
    design = Design("effect", dict(patterns), dict(comparisons or {}))
    return analyse(model, backgrounds, design, Settings(**options))
