"""Sanity checks of a map: whether it changes when the model forgets, and when the sequence is another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._sanity_models import prepare
from kipoi_tfbind.interpret.agreement import with_means
from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.results.files import OPTION, add_variables
from kipoi_tfbind.results.shards import Shard, concatenated
from kipoi_tfbind.results.stream import model_attributes, option_attributes, stream_blocks

# Two maps that share less than a quarter of the variance of their ranks are taken for different ones.
_ALIKE = 0.5
_CORRELATIONS = ("randomised_correlation", "shuffled_correlation", "relabelled_correlation")
# Sequences that are computed and written together: each has a map for every layer.
_BLOCK = 8


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
        ``one_hot``; ``randomised_correlation`` (sequence, layer, target) with the coordinate ``layer``, the
        last one that was permuted, "none" first; ``shuffled_correlation`` and ``relabelled_correlation``
        (sequence, target), the latter NaN without such a model; of each the mean over the sequences and the
        ends of its interval (NaN of one sequence); ``verdict`` (target), in words.

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
    run = {**(options or {}), "batch_size": batch_size}
    checks = prepare(model, method, run, relabelled=relabelled, wrapping=wrapping, layers=layers, seed=seed)
    batches = [sequences] if isinstance(sequences, xr.Dataset) else sequences
    checked = [checks.of(batch) for batch in batches]
    if not checked:
        raise InputError("sequences: expected at least one, got none")
    whole = concatenated(checked, "sequence").assign_attrs(checks.provenance(confidence=confidence))
    return schema.annotate(with_verdict(whole))


def stream_sanity_checks(
    model: Any,
    sequences: xr.Dataset | Iterable[xr.Dataset],
    path: str | os.PathLike[str],
    /,
    *,
    method: Callable[..., xr.Dataset] = deep_shap,
    options: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
    batch_size: int = 256,
    shard: Shard | str | None = None,
    restart: bool = False,
    **models: Any,
) -> int:
    """Compute `sanity_checks`, eight sequences at a time, into a result file; go on with an interrupted run.

    Parameters
    ----------
    model, sequences, method, options, confidence, batch_size
        As of `sanity_checks`.
    path
        File of the result, netCDF-4; a file of that name is replaced when the run is complete.
    shard
        Only a share of the sequences, such as "2/8"; `merge_shards` joins the files of all shards, and makes
        means, intervals and verdicts.
    restart
        Throw away what an interrupted run has written.
    **models
        ``relabelled``, ``wrapping``, ``layers`` and ``seed``, as of `sanity_checks`; ``targets``, names of
        those to check.

    Returns
    -------
    int
        Number of sequences in the file.

    Raises
    ------
    InputError
        As `sanity_checks`; the file cannot be written there, another process is writing it, or what an
        interrupted run has written is of another model, of other sequences or of other options.
    UnsupportedModelError
        As `sanity_checks`.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import encode_sequences, open_result
    >>> from torch.nn import AdaptiveMaxPool1d, Conv1d, Flatten, Linear, ReLU
    >>> body = Conv1d(4, 8, 5), ReLU(), AdaptiveMaxPool1d(1), Flatten()
    >>> network = torch.nn.Sequential(*body, Linear(8, 1))
    >>> sequences, path = encode_sequences(["ACGTTGCATGCCAAGTTA"] * 9), getfixture("tmp_path") / "sanity.nc"
    >>> stream_sanity_checks(network, sequences, path, wrapping={"length": 18}, layers=["4"])
    9
    >>> open_result(path)["mean_randomised_correlation"].sel(layer="none").values
    array([1.])
    """
    run = {**(options or {}), "batch_size": batch_size}
    checks = prepare(model, method, run, **models)
    other = checks.relabelled
    attributes = {
        **model_attributes("sanity_checks", checks.whole),
        **option_attributes(method, run),
        "checked": method.__name__,
        "seed": checks.seed,
        "confidence": confidence,
        f"{OPTION}layers": ", ".join(checks.layers),
        f"{OPTION}targets": str(models.get("targets")),
        f"{OPTION}relabelled": "none" if other is None else other.fingerprint,
    }

    def compute(part: xr.Dataset) -> xr.Dataset:
        return schema.annotate(checks.of(part).assign_attrs(checks.provenance(confidence=confidence)))

    return stream_blocks(
        compute,
        sequences,
        path,
        attributes,
        at_once=lambda length: _BLOCK,
        block=_BLOCK,
        complete=add_verdict,
        shard=shard,
        restart=restart,
    )


def with_verdict(dataset: xr.Dataset) -> xr.Dataset:
    """Correlations with what is known of all sequences: means, intervals, verdicts."""
    confidence, seed = float(dataset.attrs["confidence"]), int(dataset.attrs["seed"])
    dataset = with_means(dataset, _CORRELATIONS, confidence, seed)
    n_targets = dataset.sizes["target"]
    dataset["verdict"] = "target", [_verdict(dataset.isel(target=i)) for i in range(n_targets)]
    return dataset


def add_verdict(path: str | os.PathLike[str]) -> None:
    """Write into a result file what is known of all of its sequences."""
    with xr.open_dataset(path, engine="h5netcdf", cache=False) as result:
        held = result[list(_CORRELATIONS)].load()
    add_variables(schema.annotate(with_verdict(held)).drop_vars(list(_CORRELATIONS)), path)


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
