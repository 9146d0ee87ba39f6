"""Sanity checks of a map: whether it changes when the model forgets, and when the sequence is another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.backends.randomise import randomised, weighted_layers
from kipoi_tfbind.dna.shuffle import shuffle_batch
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret.agreement import position_maps, with_means
from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

# Two maps that share less than a quarter of the variance of their ranks are taken for different ones.
_ALIKE = 0.5
_CORRELATIONS = ("randomised_correlation", "shuffled_correlation", "relabelled_correlation")


def sanity_checks(
    model: Any,
    sequences: xr.Dataset | Iterable[xr.Dataset],
    *,
    relabelled: Any = None,
    method: Callable[..., xr.Dataset] = deep_shap,
    options: Mapping[str, Any] | None = None,
    wrapping: Mapping[str, Any] | None = None,
    layers: Sequence[str] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int = 256,
) -> xr.Dataset:
    """Ask whether a method's map depends on what the model has learned (Adebayo et al. 2018).

    Three checks. The weights of the layers are permuted, from the output down, one layer more at each step,
    and the map of each sequence is held against that of the whole model (arXiv:1810.03292): one that stays
    the same is of the sequence or of the architecture, not of what was learned. The map by a model of the
    same kind that was trained on shuffled labels, if there is one: the same map is not about the labels.
    And the map of a dinucleotide shuffle of each sequence, by the whole model: where it is the same, position
    by position, the map is not about the sequence. Maps are compared by the rank correlation of their
    magnitudes: a sign that turns is no other map.

    Parameters
    ----------
    model
        A Keras model, a PyTorch module, or a Kipoi model of one of them, not wrapped yet: its weights are
        copied, and it is left as it is.
    sequences
        Dataset with ``one_hot`` (sequence, position, base), or an iterable of such, as `iterate_fasta` gives:
        then the maps of one of them are in memory at once.
    relabelled
        A model of the same kind, trained as the model was on labels that were shuffled among the sequences,
        with the same targets; None for none.
    method
        Function of a model and sequences whose result has a score for each position.
    options
        Further arguments of it.
    wrapping
        Arguments of `as_sequence_model` for each of the models.
    layers
        Names of layers with weights, from the output to the input, as steps; all of them by default.
    confidence
        Of the intervals, between 0 and 1: by the BCa bootstrap over the sequences.
    seed
        Of the permutations, the shuffles and the bootstrap.
    batch_size
        Number of sequences that the model is given at once.

    Returns
    -------
    xr.Dataset
        ``randomised_correlation`` (sequence, layer, target) with the coordinate ``layer``, the last one that
        was permuted, "none" first; ``shuffled_correlation`` and ``relabelled_correlation`` (sequence,
        target), the latter NaN without such a model; of each the mean over the sequences and the ends of its
        interval (NaN of one sequence); ``verdict`` (target), in words.

    Raises
    ------
    InputError
        A model that is wrapped, a list of models, or a layer that the model has not.
    UnsupportedModelError
        Its weights cannot be copied, or the method cannot be used with it.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import encode_sequences
    >>> from torch.nn import AdaptiveMaxPool1d, Conv1d, Flatten, Linear, ReLU
    >>> body = Conv1d(4, 8, 5), ReLU(), AdaptiveMaxPool1d(1), Flatten()
    >>> network = torch.nn.Sequential(*body, Linear(8, 1))
    >>> result = sanity_checks(network, encode_sequences(["ACGTTGCATGCCAAGTTA"]), wrapping={"length": 18})
    >>> result["layer"].values.tolist(), float(result["randomised_correlation"][0, 0, 0])
    (['none', '4', '0'], 1.0)
    """
    bare = _bare(model)
    names = weighted_layers(bare)
    chosen = names if layers is None else list(layers)
    if unknown := [name for name in chosen if name not in names]:
        raise InputError(
            f"layers: the model has no layer {unknown[0]!r} with weights; it has {', '.join(names)}"
        )
    if not chosen:
        raise InputError("layers: expected at least one layer with weights, got none")
    settings = dict(wrapping or {})

    def run(some_model: SequenceModel, some: xr.Dataset) -> xr.Dataset:
        return method(some_model, some, batch_size=batch_size, **(options or {}))

    whole = as_sequence_model(model, **settings)
    other = None if relabelled is None else as_sequence_model(relabelled, **settings)
    if other is not None and other.target_names != whole.target_names:
        raise InputError(
            f"relabelled: expected the model's targets {', '.join(whole.target_names)}, got "
            f"{', '.join(other.target_names)}"
        )
    steps = [_with_bare(model, randomised(bare, chosen[:n], seed=seed)) for n in range(1, len(chosen) + 1)]
    twins = [as_sequence_model(twin, **settings) for twin in steps]

    def check(piece: xr.Dataset) -> xr.Dataset:
        """Correlations of some sequences."""
        piece = as_sequences(piece)
        result = run(whole, piece)
        found = position_maps(result)
        maps = [found, *(position_maps(run(twin, piece)) for twin in twins)]
        forgetting = [correlation_of_magnitudes(found, each) for each in maps]
        by_shuffle = correlation_of_magnitudes(found, position_maps(run(whole, _shuffled(piece, seed))))
        by_labels = np.full_like(by_shuffle, np.nan)
        if other is not None:
            by_labels = correlation_of_magnitudes(found, position_maps(run(other, piece)))
        keep = {str(name): c.variable for name, c in result.coords.items() if c.dims == ("sequence",)}
        return xr.Dataset(
            {
                "randomised_correlation": (("sequence", "layer", "target"), np.stack(forgetting, axis=1)),
                "shuffled_correlation": (("sequence", "target"), by_shuffle),
                "relabelled_correlation": (("sequence", "target"), by_labels),
            },
            coords={**keep, "layer": ["none", *chosen], "target": list(whole.target_names)},
        )

    checked = [check(piece) for piece in ([sequences] if isinstance(sequences, xr.Dataset) else sequences)]
    if not checked:
        raise InputError("sequences: expected at least one, got none")
    dataset = xr.concat(checked, "sequence").assign_attrs(
        provenance("sanity_checks", whole, checked=method.__name__, seed=seed, confidence=confidence)
        | {"n_layers": len(names), "batch_size": batch_size}
        | ({} if other is None else {"relabelled": other.name})
    )
    dataset = with_means(dataset, _CORRELATIONS, confidence, seed)
    dataset["verdict"] = "target", [_verdict(dataset.isel(target=i)) for i in range(len(whole.target_names))]
    return schema.annotate(dataset)


def _shuffled(sequences: xr.Dataset, seed: int) -> xr.Dataset:
    """A dinucleotide shuffle of each sequence, in its place."""
    shuffled = sequences.copy()
    draws = shuffle_batch(sequences["one_hot"].values, 1, seed=seed)[:, 0]
    shuffled["one_hot"] = sequences["one_hot"].dims, draws.astype(sequences["one_hot"].dtype)
    return shuffled


def correlation_of_magnitudes(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Spearman's correlation (sequence, target) of the magnitudes of maps (sequence, position, target).

    NaN where a map has no contribution, or nothing but equal ones.

    Examples
    --------
    >>> a = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    >>> correlation_of_magnitudes(a, -a), correlation_of_magnitudes(a, 0 * a)
    (array([[1.]]), array([[nan]]))
    """
    found = np.full((a.shape[0], a.shape[2]), np.nan)
    for sequence, target in np.ndindex(found.shape):
        pair = np.abs([each[sequence, :, target] for each in (a, b)])
        pair = pair[:, np.isfinite(pair).all(axis=0)]
        if pair.shape[1] > 2 and (np.ptp(pair, axis=1) > 0).all():
            found[sequence, target] = np.clip(stats.spearmanr(*pair).statistic, -1, 1)
    return found


def _verdict(one: xr.Dataset) -> str:
    """Verdict on the correlations of one target, in words."""
    checked = one.attrs["checked"]
    forgets = _judged(one.isel(layer=-1), "mean_randomised_correlation")
    differs = _judged(one, "mean_shuffled_correlation")
    n_steps, n_layers = one.sizes["layer"] - 1, one.attrs["n_layers"]
    layers = "all layers" if n_steps == n_layers else f"{n_steps} of {n_layers} layers"
    said = (
        f"{checked} {_WORDS[forgets[0]]} on what the model has learned: with {layers} randomised its "
        f"map keeps a rank correlation of {forgets[1]}; it {_WORDS[differs[0]]} on the sequence: "
        f"{differs[1]} with the map of a shuffle"
    )
    if "relabelled" not in one.attrs:
        return said
    labels = _judged(one, "mean_relabelled_correlation")
    return (
        f"{said}; it {_WORDS[labels[0]]} on the labels: {labels[1]} with the map after training on "
        "shuffled ones"
    )


_WORDS = {
    "pass": "depends",
    "fail": "does not depend",
    "unclear": "may or may not depend (too few sequences to tell)",
}


def _judged(one: xr.Dataset, name: str) -> tuple[str, str]:
    mean, low, high = (float(one[name + end]) for end in ("", "_low", "_high"))
    if np.isnan(mean):
        # Nothing is left of the map at all: it depended on what was lost.
        return "pass", "none (the map is empty)"
    if np.isnan(low):
        judged = "pass" if mean < _ALIKE else "fail"
        return judged, f"{mean:.2f} (one sequence, no interval)"
    judged = "pass" if high < _ALIKE else "fail" if low >= _ALIKE else "unclear"
    return judged, f"{mean:.2f} ({low:.2f} to {high:.2f})"


def _bare(model: Any) -> Any:
    """The framework's own model of what the user gave."""
    if isinstance(model, SequenceModel | list | tuple):
        raise InputError(
            "model: expected a Keras model, a PyTorch module or a Kipoi model, one of them and not wrapped, "
            f"whose weights can be copied, got {type(model).__name__}"
        )
    return model.model if hasattr(model, "predict_on_batch") and hasattr(model, "model") else model


def _with_bare(model: Any, twin: Any) -> Any:
    """The user's model, with another model of the framework in it."""
    if _bare(model) is model:
        return twin
    other = copy.copy(model)
    other.model = twin
    return other
