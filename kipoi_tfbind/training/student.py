"""The student that an ensemble is distilled into: layers of some members, a head for each, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.kipoi_model import mixture_of
from kipoi_tfbind.layers import RevCompBatchNormalization
from kipoi_tfbind.training.ensemble import mixed_probability

# Log-odds of the ensemble at which a difference counts half: far below, no factor is near to binding.
_HALF = -5.0
# Share of the single members in the loss, beside their mixture.
_MEMBERS = 0.2


def load_ensemble(folder: Path) -> keras.Model:
    """The model of an ensemble's run.

    Raises
    ------
    InputError
        There is none.
    """
    path = folder / "model.keras"
    if not path.exists() or not (folder / "members.json").exists():
        raise InputError(f"{folder}: no ensemble here; make one with `kipoi tfbind ensemble`")
    model = keras.models.load_model(path, compile=False)
    if not any(layer.name == "member_logits" for layer in model.layers):
        raise InputError(f"{path}: no layer 'member_logits'; make it with `kipoi tfbind ensemble`")
    return model


def on_members(model: keras.Model) -> keras.Model:
    """An ensemble or a student up to the log-odds (sequence, member times target) of its members."""
    return keras.Model(model.input, model.get_layer("member_logits").output)


def student_of(ensemble: keras.Model, keep: Sequence[int], shares: NDArray) -> keras.Model:
    """Untrained student of an ensemble: the layers of some members, a head for each member.

    It begins as the ensemble in which each other member is a combination of the kept ones.

    Parameters
    ----------
    ensemble
        Of :func:`kipoi_tfbind.training.ensemble.mix_models`.
    keep
        Numbers of members, from 1.
    shares
        (member, kept + 1, target), as :func:`kipoi_tfbind.training.kept_members.shares_of_kept` has them.
    """
    weights, bias = mixture_of(ensemble)
    n_members, n_targets = weights.shape
    sequence = keras.Input(ensemble.input_shape[1:], name="sequence")
    features, heads = [], []
    for number in keep:
        member = _without_noise(ensemble.get_layer(f"member_{number}"))
        head = member.get_layer("logit")
        body = keras.Model(member.input, head.input, name=f"features_{number}")
        middle = [layer.cropping for layer in ensemble.layers if layer.name == f"middle_{number}"]
        window = keras.layers.Cropping1D(middle[0], name=f"middle_{number}")(sequence) if middle else sequence
        features.append(body(window))
        heads.append(head.get_weights())
    joined = keras.layers.Concatenate(name="features")(features) if len(features) > 1 else features[0]
    member_logits = keras.layers.Dense(n_members * n_targets, name="member_logits")
    probability = mixed_probability(member_logits(joined), weights, bias)
    student = keras.Model(sequence, probability, name="distilled")
    member_logits.set_weights(_first_heads(heads, shares))
    return student


def _first_heads(heads: Sequence[Sequence[NDArray]], shares: NDArray) -> list[NDArray]:
    """Kernel (feature, member times target) and bias of all heads, from those of the kept members."""
    kernel = np.concatenate(
        [head[0][:, None] * shares[:, place] for place, head in enumerate(heads)]
    )  # (feature, member, target)
    bias = sum(head[1] * shares[:, place] for place, head in enumerate(heads)) + shares[:, -1]
    return [kernel.reshape(len(kernel), -1), np.ravel(bias)]


def importance(logits: Any) -> Any:
    """How much a difference counts by the ensemble's log-odds z: 1 / (1 + exp(-(z + 5))), at least 0.02."""
    return 0.02 + 0.98 * ops.sigmoid(logits - _HALF)


class DistillationLoss(keras.losses.Loss):
    """Mean square of differences of log-odds, of the mixture and, with a share of 0.2, of the single heads.

    A difference counts by the ensemble's log-odds (:func:`importance`): what of two unbound windows is the
    less bound is of little use to anyone.

    Parameters
    ----------
    weights, bias
        Of the mixture, (member, target) and (target).
    """

    def __init__(self, weights: NDArray, bias: NDArray):
        super().__init__(reduction=None, name="distillation")
        self.weights, self.bias = weights.astype(np.float32), bias.astype(np.float32)

    def call(self, teacher: Any, student: Any) -> Any:
        """Loss of a batch of log-odds (window, member times target), a scalar."""
        shape = (-1, *self.weights.shape)
        teacher, student = ops.reshape(ops.cast(teacher, student.dtype), shape), ops.reshape(student, shape)
        away = student - teacher
        counts = importance(ops.sum(teacher * self.weights, axis=1) + self.bias)
        mixture = ops.square(ops.sum(away * self.weights, axis=1))
        return ops.mean(counts * (mixture + _MEMBERS * ops.mean(ops.square(away), axis=1)))


def _without_noise(member: keras.Model) -> keras.Model:
    """A copy of a member that drops nothing and normalises, in training too, as it does in prediction."""
    quiet = keras.models.clone_model(member)
    quiet.set_weights(member.get_weights())
    for layer in quiet._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        if isinstance(layer, (keras.layers.BatchNormalization, RevCompBatchNormalization)):
            layer.trainable = False
    return quiet
