"""Motifs of a convolution layer: the bases under each filter's strong activations, and what it matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.dna.one_hot import BASES, codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, batch_of
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret._site_counts import Largest, count_bases, starts_of, strong_sites
from kipoi_tfbind.models.convolution_layer import ConvolutionLayer, convolution_layer, kernel_of
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.motifs.match import information
from kipoi_tfbind.results.files import OPTION
from kipoi_tfbind.results.shards import OwnBlocks, Shard, in_blocks

Sites = Literal["fraction", "quantile", "maximum"]
# Sequences, or what gives them anew, some at a time: they are gone through twice.
Source = xr.Dataset | Callable[[], Iterator[xr.Dataset]]
_OF_EXPONENTIAL, _OF_OTHERS, _QUANTILE = 0.2, 0.5, 0.9995


def filter_motifs(
    model: SequenceModel | Any,
    sequences: Source,
    *,
    layer: str | None = None,
    sites: Sites = "fraction",
    threshold: float | None = None,
    importance: bool = True,
    confidence: float = 0.95,
    shard: Shard | str | None = None,
    batch_size: int = 256,
) -> xr.Dataset:
    """Motifs that the filters of a convolution layer recognise, and the importance of each.

    The stretches of sequence under a filter's strong activations, aligned, make its motif. Which are strong
    is chosen in one of the three ways of the literature: above a fraction of the filter's largest activation
    (Kelley et al. 2016: a half), above a quantile of its activations, or the largest
    of each sequence. Beside it, of a layer that sees the sequence itself, the exact transform of the kernel
    (Ploenzke and Irizarry 2018, doi:10.1101/163220): the log-likelihood ratio of ``kernel_matrix`` against
    uniform bases is the convolution plus ``kernel_constant``. A filter's importance is how the prediction
    changes when its activations are set to 0. Filters that are tied as reverse complements are one motif.

    Parameters
    ----------
    model
        One model that can be traced, from `load_model`, or what `as_sequence_model` takes.
    sequences
        Dataset with ``one_hot``; or a function without arguments that gives an iterator of such, all of one
        length, which is called twice. Memory does not grow with their number.
    layer
        Name of the convolution layer, or the end of it; the first by default. A deeper layer's motif is as
        wide as its receptive field.
    sites
        "fraction", "quantile" or "maximum".
    threshold
        The fraction, by default 0.2 where the activation is exponential and else 0.5: what is half of the
        largest on the scale of the convolution is far less of its exponential. Or the quantile (to 0.8% of
        the activation), by default 0.9995. "maximum" has none.
    importance
        Whether to predict the sequences with each filter silenced.
    confidence
        Of the intervals of the importance, by Student's t on the differences of each sequence.
    shard
        Only a share of the importance, such as "2/8", every eighth batch: ``silencing_change`` (sequence,
        motif, target) in place of the mean. `merge_shards` joins the files of all shards.
    batch_size
        Number of sequences that are run at once.

    Returns
    -------
    xr.Dataset
        (motif, column, base): ``motif_count``, ``motif_matrix`` (frequencies) and ``kernel_matrix``; (motif,
        column): ``motif_information``; (motif): ``n_motif_sites``, ``largest_activation``,
        ``is_dead`` (never above 0, or always the same), ``rc_partner``, ``kernel_constant``; (motif, target):
        ``silencing_effect`` with ``silencing_effect_low`` and ``_high``.

    Raises
    ------
    InputError
        No layer of that name (the message has those there are), or numbers out of their ranges.
    UnsupportedModelError
        The model cannot be traced, or is an average of models or strands.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> parts = torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(18, 1)
    >>> model = as_sequence_model(torch.nn.Sequential(*parts), length=10, targets=["y"])
    >>> found = filter_motifs(model, encode_sequences(["CCTGATACCT", "TTGATCTGGC"]))
    >>> found["motif_matrix"].dims, found["motif"].values.tolist()
    (('motif', 'column', 'base'), ['filter 0', 'filter 1', 'filter 2'])
    """
    is_share = threshold is None or 0 < threshold < 1
    if sites not in get_args(Sites) or not is_share or not 0 < confidence < 1 or batch_size < 1:
        raise InputError(
            f"sites, threshold, confidence, batch_size: expected {', '.join(get_args(Sites))}, numbers "
            f"between 0 and 1 and a size, got {sites}, {threshold}, {confidence} and {batch_size}"
        )
    model = as_sequence_model(model)
    first = next(_batches(sequences, model, 1), None)
    if first is None:
        raise InputError("sequences: expected at least one, got none")
    length = first.one_hot.shape[1]
    found = convolution_layer(model, length, layer, first.auxiliary)
    if threshold is None:
        of_largest = _OF_EXPONENTIAL if found.is_exponential else _OF_OTHERS
        threshold = _QUANTILE if sites == "quantile" else of_largest
    largest = Largest(found.n_filters, with_counts=sites == "quantile")
    n = 0
    for batch in _batches(sequences, model, batch_size):
        largest.add(found.activations(batch.one_hot, batch.auxiliary))
        n += len(batch)
    # Tied filters are one, seen on both strands.
    tied = np.array([i if partner < 0 else partner for i, partner in enumerate(found.partner)])
    high = np.maximum(largest.high, largest.high[tied])
    least = {"fraction": threshold * high, "quantile": None, "maximum": None}[sites]
    if sites == "quantile":
        least = largest.quantile(threshold)
        least = np.maximum(least, least[tied])
    is_dead = ~((high > 0) & (high > np.minimum(largest.low, largest.low[tied])))
    kept = np.array([i for i, partner in enumerate(found.partner) if partner < 0 or i <= partner])
    counts = np.zeros((found.n_filters, found.size, len(BASES)), dtype=np.int64)
    n_sites = np.zeros(found.n_filters, dtype=np.int64)
    shard = Shard.parse(shard) if isinstance(shard, str) else shard
    changes = Changes(len(kept), len(model.target_names), keep=shard is not None)
    blocks = OwnBlocks(_datasets(sequences), batch_size, shard)
    for dataset, is_own in blocks.all():
        batch = batch_of(dataset, model)
        activations = found.activations(batch.one_hot, batch.auxiliary)
        start = starts_of(found, activations.shape[1], length)
        where = strong_sites(activations, start, least)
        counts += count_bases(codes_of(batch.one_hot), *where, (found.n_filters, found.size))
        n_sites += np.bincount(where[2], minlength=found.n_filters)
        if importance and is_own:
            changes.add(_silenced_changes(found, kept, model, batch))
    counts[is_dead], n_sites[is_dead] = 0, 0
    for i in kept:
        partner = found.partner[i]
        if partner > i:
            counts[i] += counts[partner, ::-1, ::-1]
            n_sites[i] += n_sites[partner]
    settings: dict[str, int | float | str] = {"layer": found.name, "sites": sites}
    if sites != "maximum":
        settings["threshold"] = threshold
    variables = _variables(found, kept, counts, n_sites, length)
    variables["largest_activation"] = ("motif",), high[kept]
    variables["is_dead"] = ("motif",), is_dead[kept].astype(np.int8)
    if importance:
        variables |= changes.variables(confidence) if shard is None else changes.kept_variables()
    result = xr.Dataset(
        variables,
        coords={
            "motif": [f"filter {i}" for i in kept],
            "column": np.arange(found.size),
            "base": list(BASES),
            "target": list(model.target_names),
        },
        attrs=provenance("filter_motifs", model, **settings, batch_size=batch_size),
    )
    result.attrs |= {"receptive_field": found.size, "stride": found.stride, "n_sequences": n}
    if shard is not None:
        result.attrs |= blocks.marks() | {f"{OPTION}confidence": confidence}
    return schema.annotate(result)


def _batches(sequences: Source, model: SequenceModel, batch_size: int) -> Iterator[Batch]:
    """All sequences, some at a time."""
    for dataset in in_blocks(_datasets(sequences), batch_size):
        yield batch_of(dataset, model)


def _datasets(sequences: Source) -> Iterator[xr.Dataset]:
    for dataset in [sequences] if isinstance(sequences, xr.Dataset) else sequences():
        schema.require(dataset, "one_hot")
        yield dataset


def _silenced_changes(
    layer: ConvolutionLayer, kept: NDArray[np.intp], model: SequenceModel, batch: Batch
) -> NDArray[np.float64]:
    """Change of the prediction (filter, sequence, target) when a filter, with its tied one, is silenced."""
    plain = layer.silenced(batch.one_hot, [], batch.auxiliary).astype(np.float64)
    found = []
    for i in kept:
        filters = {int(i), layer.partner[i]} - {-1}
        silenced = layer.silenced(batch.one_hot, sorted(filters), batch.auxiliary)
        found.append((silenced - plain)[:, list(model.columns)])
    return np.stack(found)


class Changes:
    """Means of differences and their intervals, from sums (Welford 1962); or the differences themselves."""

    def __init__(self, n_filters: int, n_targets: int, *, keep: bool = False) -> None:
        self.n, self._keep = 0, keep
        self._kept = [np.empty((0, n_filters, n_targets))]
        self.mean = np.zeros((n_filters, n_targets))
        self.squares = np.zeros((n_filters, n_targets))

    def add(self, changes: NDArray[np.float64]) -> None:
        """Add differences (filter, sequence, target)."""
        if self._keep:
            self._kept.append(np.moveaxis(changes, 1, 0))
            return
        for one in np.moveaxis(changes, 1, 0):
            self.n += 1
            step = one - self.mean
            self.mean += step / self.n
            self.squares += step * (one - self.mean)

    def variables(self, confidence: float) -> dict[str, tuple[tuple[str, ...], NDArray]]:
        """The mean change of each filter and target, with its interval."""
        half = np.full_like(self.mean, np.nan)
        if self.n > 1:
            quantile = stats.t.ppf(0.5 + confidence / 2, self.n - 1)
            half = quantile * np.sqrt(self.squares / (self.n - 1) / self.n)
        dims = ("motif", "target")
        return {
            "silencing_effect": (dims, self.mean),
            "silencing_effect_low": (dims, self.mean - half),
            "silencing_effect_high": (dims, self.mean + half),
        }

    def kept_variables(self) -> dict[str, tuple[tuple[str, ...], NDArray]]:
        """The differences, where they are kept."""
        return {"silencing_change": (("sequence", "motif", "target"), np.concatenate(self._kept))}


def _variables(
    layer: ConvolutionLayer, kept: NDArray[np.intp], counts: NDArray, n_sites: NDArray, length: int
) -> dict[str, tuple[tuple[str, ...], NDArray]]:
    """Counts, frequencies and information of each motif, and the transform of its kernel."""
    own = counts[kept].astype(np.float64)
    total = own.sum(axis=-1, keepdims=True)
    matrix = np.where(n_sites[kept, np.newaxis, np.newaxis] > 0, own / np.maximum(total, 1), np.nan)
    kernel_matrix, constant = np.full(own.shape, np.nan), np.full(len(kept), np.nan)
    kernel = kernel_of(layer, length)
    if kernel is not None:
        kernel_matrix, constant = kernel_transform(kernel[kept])
    by_base = ("motif", "column", "base")
    return {
        "motif_matrix": (by_base, matrix),
        "motif_count": (by_base, counts[kept]),
        "motif_information": (("motif", "column"), information(np.nan_to_num(matrix))),
        "n_motif_sites": (("motif",), n_sites[kept]),
        "rc_partner": (("motif",), np.array(layer.partner)[kept]),
        "kernel_matrix": (by_base, kernel_matrix),
        "kernel_constant": (("motif",), constant),
    }


def kernel_transform(kernel: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities whose log-likelihood ratio against uniform bases is a convolution plus a constant.

    Parameters
    ----------
    kernel
        (filter, column, base)

    Returns
    -------
    matrix, constant
        (filter, column, base) and (filter).

    Examples
    --------
    >>> matrix, constant = kernel_transform(np.array([[[1.0, 0, 0, 0], [0, 0, 0, 2.0]]]))
    >>> log_ratio = np.log(matrix[0, 0, 0] / 0.25) + np.log(matrix[0, 1, 3] / 0.25)
    >>> bool(np.isclose(log_ratio, 3.0 + constant[0]))
    True
    """
    largest = kernel.max(axis=-1, keepdims=True)
    weights = np.exp(kernel - largest)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / total, -(np.log(total / len(BASES)) + largest).sum(axis=(1, 2))
