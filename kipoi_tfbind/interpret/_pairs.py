"""Predictions of pairs of substitutions: of each sequence's single ones first, and then of what pairs add."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.errors import VerificationError
from kipoi_tfbind.interpret._batches import Batch, check_batch_size
from kipoi_tfbind.interpret._edits import Edits, edited, verification_limit
from kipoi_tfbind.memory import memory_budget
from kipoi_tfbind.models.evaluator import EditEngine
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import progress

# Pairs whose positions are between two of these distances are predicted together: what they share is what
# those that are nearest share.
_DISTANCES = (1, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
# Many cheap pairs share a batch: up to this many times as many as whole sequences would.
_MOST = 64
_N_VERIFIED = 64


def predict_pairs(
    model: SequenceModel,
    batch: Batch,
    engine: EditEngine,
    sequence: int,
    edits: tuple[NDArray[np.intp], NDArray[np.intp]],
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    batch_size: int,
    verify: bool = False,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predict pairs of substitutions in one sequence.

    Parameters
    ----------
    model
        The model.
    batch
        The sequences.
    engine
        From `EditPath.of_pairs`.
    sequence
        Index of the sequence.
    edits
        Position, and code of the new base, of each single substitution.
    pairs
        Numbers of the two substitutions of each pair, which are at different positions.
    batch_size
        Number of whole sequences that would be predicted at once.
    verify
        Hold some pairs of each distance against full predictions.

    Yields
    ------
    numbers, prediction
        Numbers of some pairs, and their predictions (pair, target).

    Raises
    ------
    VerificationError
        The two ways to predict do not agree.
    """
    check_batch_size(batch_size)
    positions, new = edits
    one = batch.rows(np.array([sequence]))
    distance = np.abs(positions[pairs[1]] - positions[pairs[0]])
    near = np.searchsorted(_DISTANCES, distance, side="right")
    # First of all a pair that changes nothing: its prediction is to be that of `model.predict`, to the bit.
    order = np.argsort(near, kind="stable")
    unchanged = positions[[pairs[0][order[0]], pairs[1][order[0]]]]
    own = codes_of(one.one_hot)[0, unchanged]
    found = engine.pairs(
        one.one_hot, one.auxiliary, np.append(positions, unchanged), np.append(new, own).astype(np.intp)
    )
    nothing = np.array([len(positions), len(positions) + 1])
    shift: NDArray | None = None
    naive = engine.plan(1).full_work
    memory = engine.pair_cost(len(positions))
    room = max(memory_budget() - memory.prepared_bytes, 0) // max(memory.bytes_each, 1)
    with progress("double mutants", len(distance), unit="pair") as bar:
        for group in np.unique(near):
            chosen = np.flatnonzero(near == group)
            cost = found.measure(pairs[0][chosen], pairs[1][chosen])
            if shift is None:
                expected = model.predict(one.one_hot, one.auxiliary)
                shift = expected - found.predict(nothing[:1], nothing[1:])[:, list(model.columns)]
            step = batch_size * int(np.clip(naive / max(4 * cost, 1), 1, _MOST))
            step = max(min(step, len(chosen), room), 1)
            for at in range(0, len(chosen), step):
                which = chosen[at : at + step]
                filled = np.concatenate([which, np.repeat(which[-1:], step - len(which))])
                prediction = found.predict(pairs[0][filled], pairs[1][filled])
                prediction = prediction[: len(which), list(model.columns)] + shift
                model.check_finite(prediction, "prediction")
                if verify and at == 0:
                    _verify(model, one, edits, pairs, which, prediction)
                bar.update(len(which))
                yield which, prediction


def _verify(
    model: SequenceModel,
    one: Batch,
    edits: tuple[NDArray[np.intp], NDArray[np.intp]],
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    which: NDArray[np.intp],
    prediction: NDArray,
) -> None:
    """Compare some predictions with those of whole sequences."""
    rows = np.random.default_rng(0).permutation(len(which))[:_N_VERIFIED]
    both = np.stack([pairs[0][which[rows]], pairs[1][which[rows]]], axis=1)
    whole = edited(one, Edits(np.zeros(len(rows), np.intp), edits[0][both], edits[1][both]))
    expected = model.predict(whole.one_hot, whole.auxiliary)
    effect = np.abs(expected - model.predict(one.one_hot, one.auxiliary)).max()
    difference = float(np.abs(expected - prediction[rows]).max())
    limit = verification_limit(float(effect), expected)
    if difference > limit:
        raise VerificationError(
            f"model {model.name}: of {len(rows)} double mutants, an incremental and a full prediction differ "
            f"by {difference:.3g}, expected at most {limit:.3g}; use path='full' (--path full), and please "
            f"report the model's architecture"
        )
