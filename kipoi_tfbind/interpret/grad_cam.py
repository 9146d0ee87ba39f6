"""Grad-CAM: where a convolution layer sees what raises the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._layers import of_layer
from kipoi_tfbind.interpret._method import Variables, run_method, wrapped_for
from kipoi_tfbind.models.layer import Layer, convolution, coverage
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences


def grad_cam(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    layer: str | None = None,
    batch_size: int = 256,
) -> xr.Dataset:
    """Maps of a convolution layer's channels, weighted by their mean gradients (Grad-CAM).

    The weight of a channel for a target is the mean, over the layer's positions, of the target's gradient by
    the channel's activation; the map is the sum of the weighted activations where it is positive (Selvaraju
    et al. 2017, doi:10.1109/ICCV.2017.74). A base has the mean of the map over the layer's positions whose
    receptive field it lies in. The map is coarse, and does not add up to anything: it says where, not how
    much. Of a network with global pooling behind the layer it is the class activation map (Zhou et al. 2016).

    Parameters
    ----------
    model
        The model, one that can be traced and has a convolution.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    layer
        Name of a convolution layer, or the end of it; the last by default. Its values are those behind its
        normalisation and activation.
    batch_size
        Number of sequences that are run at once.

    Returns
    -------
    xr.Dataset
        ``grad_cam`` (sequence, position, target), NaN where no position of the layer sees a base;
        ``class_activation`` (sequence, layer_position, target), with its sign, and the coordinates
        ``layer_field_start`` and ``layer_field_end`` (layer_position); ``prediction`` and ``one_hot``.

    Raises
    ------
    InputError
        No convolution layer of that name; the message has those there are.
    UnsupportedModelError
        The model cannot be traced, has no convolution, or is an average of strands.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> parts = torch.nn.Conv1d(4, 1, 2, bias=False), torch.nn.Flatten(), torch.nn.Linear(3, 1)
    >>> module = torch.nn.Sequential(*parts)
    >>> for weight in module.parameters():
    ...     weight.data[:] = 1
    >>> result = grad_cam(as_sequence_model(module, length=4), encode_sequences(["ACNN"]))
    >>> result["grad_cam"].values[0, :, 0]
    array([2. , 1.5, 0.5, 0. ], dtype=float32)
    """
    sequences = as_sequences(sequences)
    model = wrapped_for(sequences, model)
    model.require("multipliers")
    chosen = of_layer(model, sequences, lambda member, batch: _layer(member, batch, layer))

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        own = chosen.of(member)
        activation = _class_activation(own, batch, len(member.target_names), batch_size)
        start, end = own.fields()
        map_ = np.einsum("pj,njt->npt", coverage(start, end, own.length), np.maximum(activation, 0))
        return {
            "grad_cam": (("sequence", "position", "target"), map_.astype(prediction.dtype)),
            "class_activation": (
                ("sequence", "layer_position", "target"),
                activation.astype(prediction.dtype),
            ),
        }

    start, end = chosen.first.fields()
    return run_method(
        "grad_cam",
        model,
        sequences,
        compute,
        settings={"layer": chosen.first.name},
        batch_size=batch_size,
        coordinates={
            "layer_field_start": ("layer_position", start),
            "layer_field_end": ("layer_position", end),
        },
    )


def _layer(member: SequenceModel, batch: Batch, name: str | None) -> Layer:
    return convolution(member, batch.one_hot, batch.auxiliary, name)


def _class_activation(layer: Layer, batch: Batch, n_targets: int, batch_size: int) -> NDArray[np.float64]:
    """Sum of the weighted channels (sequence, layer position, target)."""
    n = len(layer.fields()[0])
    found = np.zeros((len(batch), n, n_targets))
    for indices, padded in in_batches(len(batch), batch_size=batch_size, description="gradients"):
        some = batch.rows(padded)
        values, gradient = layer.gradient(some.one_hot, some.auxiliary)
        # All other axes are channels, or have length 1.
        values = layer.positions_first(values).reshape(len(values), n, -1)
        gradient = layer.positions_first(gradient).reshape(*values.shape, n_targets)
        weighted = np.einsum("njc,nct->njt", values.astype(np.float64), gradient.mean(axis=1))
        found[indices] = weighted[: len(indices)]
    return found
