"""Predictions of edited sequences, by the path that `_paths` chooses; every method that mutates asks here.

An edit is a sequence, some positions in it, and the bases that go there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, codes_of
from kipoi_tfbind.errors import VerificationError
from kipoi_tfbind.graph.incremental.plan import SHARING_SETUP
from kipoi_tfbind.interpret._batches import Batch, check_batch_size
from kipoi_tfbind.interpret._paths import EditPath, Incremental
from kipoi_tfbind.memory import memory_budget
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import progress

# Edits whose places are looked at together, and memory for what is kept of the sequences that they are of.
_BLOCK = 1 << 17
_CACHE_BYTES = 256 << 20
_MAX_SEQUENCES = 32
# Each width of edits is compiled anew: few widths are told apart.
_WIDTHS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
_N_VERIFIED = 64


class Edits(NamedTuple):
    """Edits of sequences.

    Attributes
    ----------
    sequence
        Index of each edit's sequence (edit).
    positions
        0-based positions (edit, k).
    bases
        Codes of the new bases, 0 to 3, or 4 for N (edit, k).
    """

    sequence: NDArray[np.intp]
    positions: NDArray[np.intp]
    bases: NDArray[np.intp]


EditsOf = Callable[[NDArray[np.intp]], Edits]


def predict_edits(
    path: EditPath,
    batch: Batch,
    n: int,
    edits_of: EditsOf,
    *,
    per_sequence: float,
    batch_size: int,
    description: str,
    sharing: int = SHARING_SETUP,
    verify: bool = False,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predict `n` edited sequences, in constant memory and in an order of its own.

    Parameters
    ----------
    path
        The model with its paths.
    batch
        The sequences that are edited.
    n
        Number of edits.
    edits_of
        Numbers of edits -> the edits.
    per_sequence
        Number of edits of each sequence, for the choice of the path.
    batch_size
        Number of edited sequences that are predicted at once.
    description
        Text of the progress bar.
    sharing
        Number of sequences that share the setup, for the choice of the path: by default few, so that it does
        not depend on the number of sequences.
    verify
        Hold a random part of the edits against full predictions.

    Yields
    ------
    numbers, prediction
        Numbers of some edits, and the predictions (edit, target).

    Raises
    ------
    InputError
        `batch_size` is not positive.
    VerificationError
        The two ways to predict do not agree.
    """
    check_batch_size(batch_size)
    model, codes = path.model, codes_of(batch.one_hot)
    step = max(min(batch_size, n), 1)
    with progress(description, n) as bar:
        block = _block_size(n, edits_of)
        for start in range(0, n, block):
            numbers = np.arange(start, min(start + block, n))
            edits = edits_of(numbers)
            widths = _widths(edits, batch.one_hot.shape[1])
            for width in np.unique(widths):
                chosen = np.flatnonzero(widths == width)
                way = path.of(int(width), per_sequence, sharing)
                some = Edits(*(field[chosen] for field in edits))
                if way is None:
                    found = _full(model, batch, some, step)
                else:
                    found = _incremental(model, batch, codes, some, int(width), way, step)
                    if verify and start == 0:
                        _verify(model, batch, codes, some, int(width), way, step)
                for which, prediction in found:
                    bar.update(len(which))
                    yield numbers[chosen[which]], prediction


def _block_size(n: int, edits_of: EditsOf) -> int:
    """How many edits are looked at together: fewer where each has many positions."""
    per_edit = edits_of(np.array([0])).positions.shape[1] if n else 1
    return max(_BLOCK // max(per_edit // 4, 1), 1)


def _widths(edits: Edits, length: int) -> NDArray[np.intp]:
    """Number of positions that each edit spans, rounded up."""
    return rounded_widths(edits.positions.max(axis=1) - edits.positions.min(axis=1) + 1, length)


def rounded_widths(spans: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Widths of edits rounded up to the few that are told apart, or the sequences' length.

    Examples
    --------
    >>> rounded_widths(np.array([1, 7, 900]), 1000)
    array([   1,    8, 1000])
    """
    widths = np.array([*(width for width in _WIDTHS if width < length), length])
    return widths[np.searchsorted(widths, spans)]


def edited(batch: Batch, edits: Edits) -> Batch:
    """The edited sequences as a whole."""
    found = batch.rows(edits.sequence)
    rows = np.arange(len(edits.sequence))[:, np.newaxis]
    found.one_hot[rows, edits.positions] = np.eye(N_CODE + 1, N_CODE, dtype=found.one_hot.dtype)[edits.bases]
    return found


def _full(
    model: SequenceModel, batch: Batch, edits: Edits, step: int
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predictions of whole sequences."""
    for which, padded in _steps(np.arange(len(edits.sequence)), step):
        whole = edited(batch, Edits(*(field[padded] for field in edits)))
        yield which, model.predict(whole.one_hot, whole.auxiliary)[: len(which)]


def _steps(chosen: NDArray[np.intp], step: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """A few at a time, and the same filled up with the last: nothing is compiled for another number."""
    for at in range(0, len(chosen), step):
        which = chosen[at : at + step]
        yield which, np.concatenate([which, np.repeat(which[-1:], step - len(which))])


def _incremental(
    model: SequenceModel,
    batch: Batch,
    codes: NDArray[np.uint8],
    edits: Edits,
    width: int,
    way: Incremental,
    step: int,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predictions from what the edits reach, for few sequences at a time.

    They are shifted, by the rounding of one float32 pass, so that an edit that changes nothing has the very
    prediction of `model.predict`, which effects are differences from.
    """
    engine = way.engine
    plan, budget = way.plan, memory_budget()
    sequences = np.unique(edits.sequence)
    n_cached = min(_CACHE_BYTES, budget // 4) // max(plan.cached_bytes, 1)
    n_at_once = min(max(n_cached, 1), _MAX_SEQUENCES, len(sequences))
    room = max(budget - n_at_once * plan.cached_bytes, 0) // max(plan.bytes_each, 1)
    step = max(min(step, room), 1)
    first = np.minimum(edits.positions.min(axis=1), codes.shape[1] - width)
    for start in range(0, len(sequences), n_at_once):
        # Always as many, so that nothing is compiled anew.
        group = sequences[np.minimum(np.arange(start, start + n_at_once), len(sequences) - 1)]
        own = batch.rows(group)
        cached = engine.cached_activations(own.one_hot, own.auxiliary, width)
        chosen = np.flatnonzero((edits.sequence >= group[0]) & (edits.sequence <= group[-1]))
        # Neighbours together: they reach the same positions.
        chosen = chosen[np.argsort(first[chosen], kind="stable")]
        some = Edits(*(field[chosen] for field in edits))
        # Before the edits, the sequences as they are.
        place = np.concatenate([np.arange(n_at_once), np.searchsorted(group, some.sequence)])
        at = np.concatenate([np.zeros(n_at_once, np.intp), first[chosen]])
        stretch = np.concatenate([codes[group, :width], _stretches(codes, some, first[chosen], width)])
        expected, got = model.predict(own.one_hot, own.auxiliary), []
        for which, filled in _steps(np.arange(len(place)), step):
            prediction = engine.predict(cached, place[filled], at[filled], stretch[filled].astype(np.intp))
            prediction = prediction[: len(which), list(model.columns)]
            model.check_finite(prediction, "prediction")
            n_own = int(np.clip(n_at_once - which[0], 0, len(which)))
            got.append(prediction[:n_own])
            if n_own < len(which):
                shift = expected - np.concatenate(got)
                later = which[n_own:]
                yield chosen[later - n_at_once], prediction[n_own:] + shift[place[later]]


def _stretches(
    codes: NDArray[np.uint8], edits: Edits, first: NDArray[np.intp], width: int
) -> NDArray[np.uint8]:
    """Codes (edit, width) from the first position of each edit on: the new ones, and those in between."""
    rows = np.arange(len(first))[:, np.newaxis]
    stretch = codes[edits.sequence[:, np.newaxis], first[:, np.newaxis] + np.arange(width)]
    stretch[rows, edits.positions - first[:, np.newaxis]] = edits.bases
    return stretch


def _verify(
    model: SequenceModel,
    batch: Batch,
    codes: NDArray[np.uint8],
    edits: Edits,
    width: int,
    way: Incremental,
    step: int,
) -> None:
    """Compare some edits with full predictions."""
    n = len(edits.sequence)
    chosen = np.sort(np.random.default_rng(0).choice(n, min(_N_VERIFIED, n), replace=False))
    some = Edits(*(field[chosen] for field in edits))
    whole = edited(batch, some)
    expected = model.predict(whole.one_hot, whole.auxiliary)
    own = batch.rows(some.sequence)
    effect = np.abs(expected - model.predict(own.one_hot, own.auxiliary)).max()
    got = np.empty_like(expected)
    for which, prediction in _incremental(model, batch, codes, some, width, way, min(step, len(chosen))):
        got[which] = prediction
    difference = float(np.abs(got - expected).max())
    limit = verification_limit(float(effect), expected)
    if difference > limit:
        raise VerificationError(
            f"model {model.name}: of {len(chosen)} edited sequences, an incremental and a full prediction "
            f"differ by {difference:.3g}, expected at most {limit:.3g}; use path='full' (--path full), and "
            f"please report the model's architecture"
        )


def verification_limit(effect: float, prediction: NDArray) -> float:
    """How far incremental and full predictions may be apart: by the rounding of full ones.

    That is 1e-4 of the largest effect in float32, 1e-9 in float64. A full pass adds many terms, whose
    rounding may be that of larger numbers than the prediction: 256 roundings of the prediction are allowed.
    """
    precise = prediction.dtype == np.float64
    rounding = float(np.finfo(prediction.dtype).eps * np.abs(prediction).max(initial=0))
    return (1e-9 if precise else 1e-4) * effect + 256 * rounding
