"""Attention maps: which positions each head looks at, beside what mutations say of the same positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from kipoi_tfbind import schema
from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._layers import of_layer
from kipoi_tfbind.interpret._method import Variables, run_method, wrapped_for
from kipoi_tfbind.interpret.in_silico_mutagenesis import in_silico_mutagenesis
from kipoi_tfbind.interpret.second_order_mutagenesis import second_order_mutagenesis
from kipoi_tfbind.models.attention import AttentionHeads, attention_heads
from kipoi_tfbind.models.layer import coverage
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

_SUBSTITUTIONS, _PAIRS = 3, 9


def attention_maps(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    layer: str | None = None,
    n_paired: int = 12,
    batch_size: int = 256,
) -> xr.Dataset:
    """Weights of every head of a model's attention, with their correlation with ISM and second-order ISM.

    A weight is how much a position (the query) takes from another (the key); those of a query sum to 1
    (Vaswani et al. 2017, arXiv:1706.03762). They say where information may flow, not whether the prediction
    rests on it (Jain and Wallace 2019, arXiv:1902.10186), so what mutations say stands beside them: the rank
    correlation, over the bases, of the attention that a base is given with the mean size of its three
    effects; and, over pairs of bases, of the attention between the two, mean of both ways, with the mean size
    of their epistasis. A base has the mean of the positions whose receptive field it lies in. Attention is
    found in the model's operations, whether Keras' MultiHeadAttention, PyTorch's MultiheadAttention or
    scaled_dot_product_attention made it.

    Parameters
    ----------
    model
        The model, one that can be traced and has attention.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    layer
        Name of one attention layer, or the end of it; all of them by default.
    n_paired
        Positions of the largest effects of each sequence, over the targets, whose pairs are mutated: 9 n
        (n - 1) / 2 predictions; 0 for none, which leaves ``epistasis_correlation`` NaN.
    batch_size
        Number of sequences that are run at once.

    Returns
    -------
    xr.Dataset
        ``attention`` (sequence, head, query, key), ``attention_received`` (sequence, head, position);
        ``ism_correlation`` and ``epistasis_correlation`` (sequence, head, target). Coordinates: ``head``,
        its layer and number; the part of the sequence that a query or key stands at,
        ``query_field_start`` to ``query_field_end`` and those of keys, -1 where it is not known (NaN in the
        variables by base). Behind an earlier attention, that is where the position stood before it.

    Raises
    ------
    InputError
        No attention layer of that name; attentions of different sizes, of which one is to be named.
    UnsupportedModelError
        The model cannot be traced, has no attention, or is an average of strands.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> class Attends(torch.nn.Module):
    ...     def forward(self, x):
    ...         x = x.transpose(1, 2)
    ...         return torch.nn.functional.scaled_dot_product_attention(x, x, x, scale=9)[:, 0, :1]
    >>> result = attention_maps(as_sequence_model(Attends(), length=4), encode_sequences(["ACGA"]))
    >>> result["attention"].values[0, 0, 0].round(3)
    array([0.5, 0. , 0. , 0.5], dtype=float32)
    """
    sequences = as_sequences(sequences)
    whole_number("n_paired", n_paired)
    model = wrapped_for(sequences, model)
    model.require("multipliers")
    chosen = of_layer(
        model, sequences, lambda m, batch: attention_heads(m, batch.one_hot, batch.auxiliary, layer)
    )

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        heads: AttentionHeads = chosen.of(member)
        weights = np.zeros(
            (len(batch), len(heads.names), len(heads.queries[0]), len(heads.keys[0])), prediction.dtype
        )
        for indices, padded in in_batches(len(batch), batch_size=batch_size, description="attention"):
            some = batch.rows(padded)
            weights[indices] = heads.weights(some.one_hot, some.auxiliary)[: len(indices)]
        by_query, by_key = (coverage(*edges, batch.one_hot.shape[1]) for edges in (heads.queries, heads.keys))
        received = np.einsum("pk,nhk->nhp", by_key, weights.mean(axis=2))
        effect = _sizes_of_effects(member, batch, batch_size)
        epistasis = np.full((*weights.shape[:2], prediction.shape[1]), np.nan)
        for row in range(len(batch)) if n_paired > 1 else ():
            between = np.einsum("pq,hqk,rk->hpr", by_query, weights[row], by_key)
            size, a, b = _sizes_of_epistasis(member, batch, row, effect[row], n_paired, batch_size)
            pairs = (between[:, a, b] + between[:, b, a]) / 2
            epistasis[row] = _correlations(pairs, size)
        return {
            "attention": (("sequence", "head", "query", "key"), weights),
            "attention_received": (("sequence", "head", "position"), received.astype(prediction.dtype)),
            "ism_correlation": (
                ("sequence", "head", "target"),
                np.stack([_correlations(r, e) for r, e in zip(received, effect, strict=True)])
                if len(batch)
                else np.zeros_like(epistasis),
            ),
            "epistasis_correlation": (("sequence", "head", "target"), epistasis),
        }

    heads: AttentionHeads = chosen.first
    return run_method(
        "attention_maps",
        model,
        sequences,
        compute,
        settings={"layer": layer or "all", "n_paired": n_paired},
        batch_size=batch_size,
        coordinates={
            "head": list(heads.names),
            "query_field_start": ("query", heads.queries[0]),
            "query_field_end": ("query", heads.queries[1]),
            "key_field_start": ("key", heads.keys[0]),
            "key_field_end": ("key", heads.keys[1]),
        },
    )


def _sizes_of_effects(model: SequenceModel, batch: Batch, batch_size: int) -> NDArray[np.float64]:
    """Mean size of the three effects (sequence, position, target); NaN at N."""
    result = in_silico_mutagenesis(model, _dataset(batch), batch_size=batch_size)
    effect = np.abs(result["mutation_effect"].values.astype(np.float64)).sum(axis=2) / _SUBSTITUTIONS
    known = batch.one_hot.sum(axis=2, keepdims=True) > 0
    return np.where(known, effect, np.nan)


def _sizes_of_epistasis(
    model: SequenceModel, batch: Batch, row: int, effect: NDArray, n: int, batch_size: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Mean size of the epistasis (pair, target) of the positions of the largest effects, and the pairs."""
    largest = np.nan_to_num(effect, nan=-1).max(axis=1)
    positions = np.argsort(-largest, kind="stable")[:n]
    some = _dataset(batch.rows(np.array([row])))
    result = second_order_mutagenesis(model, some, positions=positions.tolist(), batch_size=batch_size)
    epistasis = result["epistasis"].transpose("sequence", "pair", "target", "base_a", "base_b").values[0]
    size = np.abs(epistasis.astype(np.float64)).sum(axis=(-2, -1)) / _PAIRS
    return size, result["position_a"].values, result["position_b"].values


def _dataset(batch: Batch) -> xr.Dataset:
    """The sequences of a batch as a method takes them."""
    auxiliary = {
        f"{schema.AUXILIARY}{name}": (("sequence", *(f"{name}_{i}" for i in range(1, values.ndim))), values)
        for name, values in batch.auxiliary.items()
    }
    return xr.Dataset({"one_hot": (("sequence", "position", "base"), batch.one_hot), **auxiliary})


def _correlations(attention: NDArray, size: NDArray) -> NDArray[np.float64]:
    """Spearman's correlation (head, target) of attention (head, place) with sizes (place, target)."""
    found = np.full((len(attention), size.shape[1]), np.nan)
    for head, target in np.ndindex(found.shape):
        pair = np.stack([attention[head], size[:, target]])
        pair = pair[:, np.isfinite(pair).all(axis=0)]
        if pair.shape[1] > 2 and (np.ptp(pair, axis=1) > 0).all():
            found[head, target] = stats.spearmanr(*pair).statistic
    return found
