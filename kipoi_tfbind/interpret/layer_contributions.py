"""Contributions of the units of a deeper layer: DeepSHAP on the graph from that layer on."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._layers import of_layer
from kipoi_tfbind.interpret._method import Variables, check_positive, run_method, wrapped_for
from kipoi_tfbind.interpret.interaction import incompleteness
from kipoi_tfbind.models.layer import Layer, any_layer
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references


def layer_contributions(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    layer: str | None = None,
    references: str | ArrayLike = "dinucleotide_shuffle",
    n_references: int = 20,
    seed: int = 0,
    tolerance: float = 1e-3,
    batch_size: int = 256,
) -> xr.Dataset:
    """Contributions of the units of a layer, which add up to the difference from the references.

    DeepLIFT's multipliers (Shrikumar et al. 2017, arXiv:1704.02685) are those of the model from the layer on:
    the contribution of a unit u is the mean over the references r of m_u (h_u(x) - h_u(r)), where h_u is its
    activation. They sum to f(x) - mean f(r), as those of the bases do. That needs a layer that all of the
    sequence's effect passes through: one branch of several, such as a convolution that a shortcut passes by,
    has a share that is no difference of predictions, and is refused.

    Parameters
    ----------
    model
        The model, one that can be traced. Of an ensemble, the mean over its members is of units of the same
        number: their positions are the same in all members, while the channels of one have nothing to do with
        those of another unless they were trained from the same start; the sum over the channels of a position
        always means something.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    layer
        Name of a layer, or the end of it, whose last values are meant. By default the last convolution that
        all passes through, behind its normalisation and activation.
    references, n_references
        As `deep_shap`: sequences, whose activations in the layer the units' are compared with.
    seed
        Of references that are drawn; the draws also depend on the sequence, and on nothing else.
    tolerance
        How far, relative to the difference, contributions may be from adding up before it is warned.
    batch_size
        Number of references that are run at once.

    Returns
    -------
    xr.Dataset
        ``unit_contribution`` (sequence, unit, target), ``unit_activation`` (sequence, unit), with the
        coordinates ``unit_position``, ``unit_channel``, and the part of the sequence that a unit sees,
        ``unit_field_start`` to ``unit_field_end``; ``mean_reference_prediction`` and ``completeness_error``
        (sequence, target); ``prediction`` and ``one_hot``.

    Raises
    ------
    InputError
        No layer of that name, or one that something passes by; the message has those there are. An ensemble
        whose members' layers have not the same shape and positions; references that do not fit.
    UnsupportedModelError
        The model cannot be traced, is an average of strands, or has an operation behind the layer for which
        there is no exact rule.

    Warns
    -----
    CompletenessWarning
        Contributions do not add up within the tolerance; the message names the worst.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> convolution = torch.nn.Conv1d(4, 1, 2, bias=False)
    >>> parts = convolution, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3, 1)
    >>> module = torch.nn.Sequential(*parts)
    >>> for weight in module.parameters():
    ...     weight.data[:] = 1
    >>> model = as_sequence_model(module, length=4)
    >>> result = layer_contributions(model, encode_sequences(["ACNN"]), layer="1", references="zeros")
    >>> result["unit_contribution"].values[0, :, 0], result["unit_field_end"].values
    (array([2., 1., 0.], dtype=float32), array([2, 3, 4]))
    """
    sequences = as_sequences(sequences)
    check_positive("tolerance", tolerance)
    whole_number("n_references", n_references, least=1)
    whole_number("seed", seed)
    model = wrapped_for(sequences, model)
    model.require("multipliers")
    chosen = of_layer(model, sequences, lambda m, batch: any_layer(m, batch.one_hot, batch.auxiliary, layer))

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        own = chosen.of(member)
        _check_same_units(member, own, chosen.first)
        n, n_targets = prediction.shape
        size = int(np.prod(own.shape, dtype=int))
        contribution = np.zeros((n, size, n_targets))
        activation = np.zeros((n, size), prediction.dtype)
        background = np.zeros((n, n_targets))
        drawn = make_references(batch.one_hot, references, n_references, seed=seed)
        step = max(1, batch_size // max(drawn.shape[1], 1))
        for indices, padded in in_batches(n, batch_size=step, description="contributions of units"):
            some, kept = batch.rows(padded), len(indices)
            values, at_references, multipliers, of_references = own.multipliers(
                some.one_hot, drawn[padded], some.auxiliary
            )
            difference = values[:, np.newaxis].astype(np.float64) - at_references
            product = (multipliers * difference[..., np.newaxis]).mean(axis=1)
            contribution[indices] = own.positions_first(product).reshape(-1, size, n_targets)[:kept]
            activation[indices] = own.positions_first(values).reshape(-1, size)[:kept]
            background[indices] = of_references.mean(axis=1, dtype=np.float64)[:kept]
        error = contribution.sum(axis=1) - (prediction.astype(np.float64) - background)
        incompleteness("layer_contributions", error, prediction - background, member.target_names, tolerance)
        dtype = prediction.dtype
        return {
            "unit_contribution": (("sequence", "unit", "target"), contribution.astype(dtype)),
            "unit_activation": (("sequence", "unit"), activation),
            "mean_reference_prediction": (("sequence", "target"), background.astype(dtype)),
            "completeness_error": (("sequence", "target"), error.astype(dtype)),
        }

    settings: dict[str, int | float | str] = {
        "layer": chosen.first.name,
        "references": references if isinstance(references, str) else "given",
        "tolerance": tolerance,
    }
    if isinstance(references, str):
        settings |= {"n_references": n_references, "seed": seed}
    return run_method(
        "layer_contributions",
        model,
        sequences,
        compute,
        settings=settings,
        batch_size=batch_size,
        coordinates=unit_coordinates(chosen.first),
    )


def _check_same_units(member: SequenceModel, own: Layer, first: Layer) -> None:
    """Check that a member's units are as many as those of the first, at the same positions."""
    same = own.shape == first.shape and own.axis == first.axis
    if not same or not np.array_equal(own.fields(), first.fields()):
        raise InputError(
            f"layer: {own.name} of member {member.name} has the shape {own.shape}, and {first.name} of the "
            f"first {first.shape}, or they see other positions: expected the same, for their mean; name "
            "another layer, or give one member (model.members)"
        )


def unit_coordinates(layer: Layer) -> dict[str, tuple[str, NDArray]]:
    """Position, channel and receptive field of each unit: all channels of the first position, and so on."""
    size = int(np.prod(layer.shape, dtype=int))
    start, end = layer.fields()
    n = len(start) if layer.axis else 1
    position = np.repeat(np.arange(n), size // n)
    return {
        "unit_position": ("unit", position if layer.axis else position - 1),
        "unit_channel": ("unit", np.tile(np.arange(size // n), n)),
        "unit_field_start": ("unit", start[position]),
        "unit_field_end": ("unit", end[position]),
    }
