"""The models whose maps sanity checks compare, and the correlations of some sequences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind.backends.randomise import randomised, weighted_layers
from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.dna.shuffle import shuffle_batch
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret.agreement import position_maps
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences


@dataclass(frozen=True)
class Checks:
    """The models of sanity checks, each made once.

    Attributes
    ----------
    whole
        The model as it is.
    twins
        The model with one, two, ... of the layers randomised.
    relabelled
        One that was trained on shuffled labels, or None.
    layers
        Names of the layers, in the order in which they are randomised.
    n_layers
        Number of layers of the model that have weights.
    seed
        Of the permutations and the shuffles.
    """

    whole: SequenceModel
    twins: tuple[SequenceModel, ...]
    relabelled: SequenceModel | None
    layers: tuple[str, ...]
    n_layers: int
    seed: int
    _method: Callable[..., xr.Dataset]
    _options: Mapping[str, Any]

    def of(self, sequences: xr.Dataset) -> xr.Dataset:
        """Correlations of some sequences, with their labels."""
        sequences = as_sequences(sequences)
        result = self._run(self.whole, sequences)
        found = position_maps(result)
        maps = [found, *(position_maps(self._run(twin, sequences)) for twin in self.twins)]
        forgetting = [correlation_of_magnitudes(found, each) for each in maps]
        shuffled = position_maps(self._run(self.whole, _shuffled(sequences, self.seed)))
        by_shuffle = correlation_of_magnitudes(found, shuffled)
        by_labels = np.full_like(by_shuffle, np.nan)
        if self.relabelled is not None:
            by_labels = correlation_of_magnitudes(found, position_maps(self._run(self.relabelled, sequences)))
        keep = {str(name): c.variable for name, c in result.coords.items() if c.dims == ("sequence",)}
        return xr.Dataset(
            {
                "one_hot": sequences["one_hot"].variable,
                "randomised_correlation": (("sequence", "layer", "target"), np.stack(forgetting, axis=1)),
                "shuffled_correlation": (("sequence", "target"), by_shuffle),
                "relabelled_correlation": (("sequence", "target"), by_labels),
            },
            coords={
                **keep,
                "position": np.arange(sequences.sizes["position"]),
                "base": list(BASES),
                "layer": ["none", *self.layers],
                "target": list(self.whole.target_names),
            },
        )

    def provenance(self, **settings: Any) -> dict[str, Any]:
        """Attributes of a result."""
        other = {} if self.relabelled is None else {"relabelled": self.relabelled.name}
        checked = self._method.__name__
        known = provenance("sanity_checks", self.whole, checked=checked, seed=self.seed, **settings)
        return known | {"n_layers": self.n_layers, "batch_size": self._options["batch_size"]} | other

    def _run(self, model: SequenceModel, sequences: xr.Dataset) -> xr.Dataset:
        return self._method(model, sequences, **self._options)


def prepare(
    model: Any,
    method: Callable[..., xr.Dataset],
    options: Mapping[str, Any],
    *,
    relabelled: Any = None,
    wrapping: Mapping[str, Any] | None = None,
    layers: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seed: int = 0,
) -> Checks:
    """Make the models of sanity checks.

    Parameters
    ----------
    model, method, relabelled, wrapping, layers, seed
        As of `kipoi_tfbind.sanity_checks`.
    options
        All arguments of the method but the model and the sequences.
    targets
        Names of those to check; all by default.

    Raises
    ------
    InputError, UnsupportedModelError
        As `kipoi_tfbind.sanity_checks`.
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

    def wrapped(some_model: Any) -> SequenceModel:
        made = as_sequence_model(some_model, **(wrapping or {}))
        return made if targets is None else made.select_targets(targets)

    whole = wrapped(model)
    other = None if relabelled is None else wrapped(relabelled)
    if other is not None and other.target_names != whole.target_names:
        raise InputError(
            f"relabelled: expected the model's targets {', '.join(whole.target_names)}, got "
            f"{', '.join(other.target_names)}"
        )
    steps = (_with_bare(model, randomised(bare, chosen[:n], seed=seed)) for n in range(1, len(chosen) + 1))
    twins = tuple(map(wrapped, steps))
    return Checks(whole, twins, other, tuple(chosen), len(names), seed, method, options)


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


def _shuffled(sequences: xr.Dataset, seed: int) -> xr.Dataset:
    """A dinucleotide shuffle of each sequence, in its place."""
    shuffled = sequences.copy()
    draws = shuffle_batch(sequences["one_hot"].values, 1, seed=seed)[:, 0]
    shuffled["one_hot"] = sequences["one_hot"].dims, draws.astype(sequences["one_hot"].dtype)
    return shuffled


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
