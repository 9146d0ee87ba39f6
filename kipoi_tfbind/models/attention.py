"""The attention of a model: weights of every head, and the bases that its positions stand at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError, UnsupportedModelError
from kipoi_tfbind.graph.attention import Attention, attentions
from kipoi_tfbind.graph.layer_output import match_name
from kipoi_tfbind.graph.receptive_field import ReceptiveField
from kipoi_tfbind.models.layer import adapted_of, clipped_fields, example_inputs, program_of, traced
from kipoi_tfbind.models.sequence_model import SequenceModel

Edges = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class AttentionHeads:
    """The heads of one or several attentions with equally many queries and keys.

    Attributes
    ----------
    names
        Layer and number of each head.
    queries, keys
        Start and end of the receptive field of each, within the sequence; -1 where it is not known.
    """

    names: tuple[str, ...]
    queries: Edges
    keys: Edges
    _model: SequenceModel = field(repr=False)
    _attentions: tuple[Attention, ...] = field(repr=False)

    def weights(self, one_hot: NDArray, auxiliary: Mapping[str, NDArray] | None = None) -> NDArray:
        """Weights (sequence, head, query, key)."""
        adapted = adapted_of(self._model)
        inputs = adapted.inputs(one_hot, auxiliary or {})
        n_queries, n_keys = len(self.queries[0]), len(self.keys[0])
        found = [adapted.backend.activations(inputs, each.ref) for each in self._attentions]
        # Heads may be an axis, or rows of the batch.
        return np.concatenate([w.reshape(len(one_hot), -1, n_queries, n_keys) for w in found], axis=1)


def attention_heads(
    model: SequenceModel,
    one_hot: NDArray,
    auxiliary: Mapping[str, NDArray] | None = None,
    name: str | None = None,
) -> AttentionHeads:
    """All heads of a model, or of one of its layers.

    Parameters
    ----------
    model
        One model that can be traced.
    one_hot, auxiliary
        Sequences like those that will come, as in `SequenceModel.predict`.
    name
        Name of the layer, or the end of it; all by default.

    Raises
    ------
    InputError
        No attention of that name, or several whose queries and keys are not equally many.
    UnsupportedModelError
        The model has no attention, cannot be traced, or is an average of models or strands.
    """
    probes = example_inputs(model, one_hot, auxiliary)
    program = program_of(model, traced(model, probes), probes)
    backend = adapted_of(model).backend
    found = attentions(program)
    if not found:
        raise UnsupportedModelError(
            f"model {model.name}: has no attention (a softmax of products of queries and keys); use "
            "second_order_mutagenesis, which asks any model which positions act together"
        )
    if name is not None:
        chosen = match_name([each.layer for each in found], name)
        found = [each for each in found if each.layer == chosen]
    sizes = {program.shapes[each.ref][-2:] for each in found}
    if len(sizes) > 1:
        raise InputError(
            f"layer: model {model.name} has attentions of different sizes; name one of "
            f"{', '.join(each.layer for each in found)}"
        )
    ((n_queries, n_keys),) = sizes
    length = one_hot.shape[1]
    names = []
    for each in found:
        n_heads = backend.activations(probes, each.ref).size // (len(probes[0]) * n_queries * n_keys)
        names += [f"{each.layer}/{head}" for head in range(n_heads)]
    return AttentionHeads(
        tuple(names),
        _edges(found[0].queries, n_queries, length),
        _edges(found[0].keys, n_keys, length),
        model,
        tuple(found),
    )


def _edges(seen: ReceptiveField | None, n: int, length: int) -> Edges:
    if seen is None:
        return np.full(n, -1, np.intp), np.full(n, -1, np.intp)
    return clipped_fields(seen, n, length)
