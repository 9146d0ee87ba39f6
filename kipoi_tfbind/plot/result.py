"""The picture of a result: which one, and of which part of a long sequence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.plot.agreement import plot_agreement
from kipoi_tfbind.plot.attention import plot_attention
from kipoi_tfbind.plot.cooperativity import plot_cooperativity
from kipoi_tfbind.plot.design import plot_design
from kipoi_tfbind.plot.distribution_shift import plot_distribution_shift
from kipoi_tfbind.plot.epistasis import plot_epistasis
from kipoi_tfbind.plot.importance_curve import plot_importance_curve
from kipoi_tfbind.plot.interaction import plot_interaction
from kipoi_tfbind.plot.layer_contributions import plot_layer_contributions
from kipoi_tfbind.plot.logo import plot_logo
from kipoi_tfbind.plot.mutation_map import plot_mutation_map
from kipoi_tfbind.plot.occlusion import plot_occlusion
from kipoi_tfbind.plot.pattern_importance import plot_importance
from kipoi_tfbind.plot.samples import plot_samples
from kipoi_tfbind.plot.sanity_checks import plot_sanity_checks
from kipoi_tfbind.plot.surrogate import plot_surrogate
from kipoi_tfbind.plot.variant_effects import plot_variant_effects
from kipoi_tfbind.results.position_scores import base_scores, scores_of, source_of
from kipoi_tfbind.results.view import select, select_target

_PLOTS: dict[str, Callable[..., Axes]] = {
    "logo": plot_logo,
    "map": plot_mutation_map,
    "epistasis": plot_epistasis,
    "occlusion": plot_occlusion,
    "interaction": plot_interaction,
    "surrogate": plot_surrogate,
    "samples": plot_samples,
    "design": plot_design,
    "attention": plot_attention,
    "units": plot_layer_contributions,
}
# Of results that are not about sequences.
_PATTERN_PLOTS: dict[str, Callable[..., Axes]] = {
    "importance": plot_importance,
    "curve": plot_importance_curve,
    "cooperativity": plot_cooperativity,
    "shift": plot_distribution_shift,
    "agreement": plot_agreement,
    "sanity": plot_sanity_checks,
}
_VARIANTS = "variants"
KINDS = (*_PLOTS, *_PATTERN_PLOTS, _VARIANTS)
# Method of a result -> the picture that shows most of it.
_KIND_OF = {
    "in_silico_mutagenesis": "map",
    "second_order_mutagenesis": "epistasis",
    "deep_shap": "logo",
    "gradients": "logo",
    "sampled_shapley": "logo",
    "grad_cam": "logo",
    "occlusion": "occlusion",
    "attention_maps": "attention",
    "layer_contributions": "units",
    "distribution_shift": "shift",
    "integrated_hessians": "interaction",
    "deep_feature_interaction": "interaction",
    "shapley_interactions": "interaction",
    "surrogate": "surrogate",
    "maximum_entropy_samples": "samples",
    "design": "design",
    "agreement": "agreement",
    "sanity_checks": "sanity",
    "explain_variants": _VARIANTS,
}
_KIND_OF_EXPERIMENT = {
    "position": "curve",
    "spacing": "curve",
    "number": "curve",
    "cooperativity": "cooperativity",
}
# Letters of a wider plot are too small to read on a page; a profile has no letters.
_WIDEST = 150
_WIDTH = 100
_NEARLY = 0.85  # of the best window's strength
# Kinds that show scores of positions, and those that show effects of patterns.
_OF_POSITIONS = ("logo", "map", "epistasis", "occlusion")
_OF_PATTERNS = ("importance", "curve", "cooperativity")
_ANY_WIDTH = {"occlusion", "interaction", "surrogate", "samples", "design", "attention", "units"}


def plot_result(
    result: xr.Dataset,
    *,
    kind: str | None = None,
    sequence: int | str = 0,
    target: int | str | None = None,
    start: int | None = None,
    end: int | None = None,
    whole: bool = False,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw a result, as suits the method that it is from.

    Mutagenesis becomes a mutation map, second-order mutagenesis an epistasis map, contributions a logo,
    and occlusion a profile; global importance analysis becomes effects with intervals, curves or a heat map,
    as its experiment is. Of more than 150 positions, a picture with letters shows the 100 around the
    strongest effects, unless a range or `whole` is given; its title says where they lie.

    Parameters
    ----------
    result
        Result of a method.
    kind
        Another picture: "logo", "map", "epistasis" or "occlusion"; of global importance analysis
        "importance", "curve" or "cooperativity".
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    start, end
        Positions in the sequence to show, 0-based, `end` not included.
    whole
        Show all positions, however many.
    ax
        Axes to draw on; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        The result has no such sequence, target or positions; no such picture can be made of it.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences, in_silico_mutagenesis
    >>> model = as_sequence_model(lambda one_hot: one_hot[:, :, 2].sum(axis=1), targets=["number of G"])
    >>> result = in_silico_mutagenesis(model, encode_sequences(["AGGA"]))
    >>> plot_result(result).get_ylabel()
    'Substituted\nbase'
    >>> plot_result(result, kind="logo").get_ylabel()
    '− mean effect\nof substitution\n(output)'
    """
    kind = kind_of(result) if kind is None else kind
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if kind == _VARIANTS:
        if not isinstance(sequence, int):
            raise InputError(f"sequence: expected the number of an allele, got {sequence!r}")
        return plot_variant_effects(result, allele=sequence, ax=ax)
    if kind in _PATTERN_PLOTS:
        if (sequence, start, end) != (0, None, None):
            raise InputError("sequence, start, end: this result is about patterns, and has none to choose")
        if kind in _OF_PATTERNS:
            _require_numbers(select_target(result, target, "importance")["importance"].values, "importance")
        return _PATTERN_PLOTS[kind](result, target=target, ax=ax)
    if kind in _OF_POSITIONS:
        view = select(result, source_of(result), sequence=sequence, target=target)
        _require_numbers(base_scores(view), source_of(result))
    if start is None and end is None and not whole and kind not in _ANY_WIDTH:
        start, end = strongest_window(result, sequence=sequence, target=target)
    return _PLOTS[kind](result, sequence=sequence, target=target, start=start, end=end, ax=ax)


def _require_numbers(values: NDArray, name: str) -> None:
    if not np.isfinite(values).any():
        raise InputError(
            f"{name}: is missing (NaN) everywhere, so that there is nothing to draw; is the sequence all N, "
            "or is there no background with the pattern?"
        )


def kind_of(result: xr.Dataset) -> str:
    """Return the kind of picture that suits a result's method.

    Raises
    ------
    InputError
        The result does not say its method, or is of one without a picture.
    """
    method = result.attrs.get("method")
    if method == "global_importance_analysis":
        return _kind_of_experiment(result)
    if method not in _KIND_OF:
        raise InputError(
            f"dataset: expected the result of one of {', '.join(_KIND_OF)}, global_importance_analysis, got "
            f"{f'one of {method}' if method else 'one without the attribute method'}; name a kind of plot"
        )
    return _KIND_OF[method]


def _kind_of_experiment(result: xr.Dataset) -> str:
    experiment = str(result.attrs.get("experiment", ""))
    is_gc_scan = experiment == "context" and not np.isnan(result["gc"].values[1:]).any()
    return "curve" if is_gc_scan else _KIND_OF_EXPERIMENT.get(experiment, "importance")


def strongest_window(
    result: xr.Dataset,
    *,
    sequence: int | str = 0,
    target: int | str | None = None,
    widest: int = _WIDEST,
    width: int = _WIDTH,
) -> tuple[int, int]:
    """Return the range of positions around the strongest effects of a long sequence.

    Parameters
    ----------
    result
        Result of a method.
    sequence
        Index of the sequence, or its id.
    target
        Index of the target, or its name; by default the strongest (`strongest_target`).
    widest
        Most positions that are shown as they are.
    width
        Number of positions to show of more than that.

    Returns
    -------
    start, end
        Positions in the sequence, 0-based, `end` not included: all of the result's where they are at
        most `widest`, else a range with `width` of them, the strongest near their middle. It begins at a
        multiple of a quarter of `width`, so that results of several methods show the same range.
    """
    view = select(result, source_of(result), sequence=sequence, target=target)
    positions = view["position"].values
    if len(positions) <= widest:
        return int(positions[0]), int(positions[-1]) + 1
    strength = np.nan_to_num(np.abs(scores_of(view).values))
    # A rectangle would be content with the strongest at its edge; a bump has them in the middle.
    bump = np.convolve(strength, np.hanning(width + 2)[1:-1], mode="same")
    # Windows in steps, and of those that are nearly as good the one nearest to the middle of the sequence:
    # two methods, which rarely have the very same maximum, then show the same positions.
    last = len(positions) - width
    on_grid = positions[: last + 1] % (width // 4) == 0
    firsts = np.union1d(np.flatnonzero(on_grid), [0, last])
    score = bump[firsts + width // 2]
    good = firsts[score >= _NEARLY * score.max()]
    first = int(good[np.abs(good - last / 2).argmin()])
    return int(positions[first]), int(positions[first + width - 1]) + 1
