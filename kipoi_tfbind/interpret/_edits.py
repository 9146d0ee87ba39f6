"""Predictions of edited sequences: what every method that mutates asks for, and where it is made fast.

An edit is a sequence, some positions in it, and the bases that go there. Where the model's graph is known,
only what the edits reach is computed (`kipoi_tfbind.graph.incremental`), if that is expected to be faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm import tqdm

from kipoi_tfbind.dna.one_hot import N_CODE, codes_of
from kipoi_tfbind.errors import InputError, VerificationError
from kipoi_tfbind.interpret._batches import Batch, batch_of, check_batch_size
from kipoi_tfbind.models.evaluator import EditEngine
from kipoi_tfbind.models.sequence_model import SequenceModel

if TYPE_CHECKING:
    from kipoi_tfbind.graph.incremental.engine import Plan

Path = Literal["auto", "incremental", "full"]

# Edits whose places are looked at together, and memory for what is kept of the sequences that they are of.
_BLOCK = 1 << 17
_TABLE_BYTES = 256 << 20
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


@dataclass(frozen=True)
class Incremental:
    """How edits of one width are predicted from what they reach.

    Attributes
    ----------
    engine
        What predicts them.
    plan
        What that costs.
    """

    engine: EditEngine
    plan: Plan

    @property
    def settings(self) -> dict[str, str | int]:
        """Attributes of a result."""
        return {
            "path": "incremental",
            "multiply_accumulates": self.plan.products,
            "multiply_accumulates_of_full": self.plan.naive_products,
        }


def choose_path(
    model: SequenceModel, batch: Batch, width: int, per_sequence: float, path: Path = "auto"
) -> Incremental | None:
    """How to predict edits of a width: None for each edited sequence as a whole.

    Parameters
    ----------
    model
        The model.
    batch
        The sequences that are edited.
    width
        Positions from an edit's first to its last.
    per_sequence
        How many edits of each sequence there will be.
    path
        "incremental" or "full"; "auto" for the one that is expected to be faster.

    Raises
    ------
    InputError
        `path` is none of these, or "incremental" for a model that cannot be traced.
    """
    engine = engine_for(model, batch, path)
    if engine is None:
        return None
    plan = engine.plan(width)
    if path == "auto" and not plan.worthwhile(per_sequence):
        return None
    return Incremental(engine, plan)


def engine_for(model: SequenceModel, batch: Batch, path: Path) -> EditEngine | None:
    """What may predict edits from what they reach; None for a path or a model without.

    Raises
    ------
    InputError
        As `choose_path`.
    """
    if path not in get_args(Path):
        raise InputError(f"path: expected {', '.join(get_args(Path))}, got {path!r}")
    if path == "full" or not len(batch):
        return None
    one = batch.rows(np.array([0]))
    engine = model.edits(one.one_hot, one.auxiliary)
    if engine is None and path == "incremental":
        raise InputError(
            f"path: model {model.name} gives predictions only, and cannot be followed step by step; use "
            f"'auto' or 'full'"
        )
    return engine


def path_settings(
    model: SequenceModel, sequences: xr.Dataset, width: int, per_sequence: float, path: Path
) -> dict[str, str | int]:
    """How a result's edits are predicted, as its attributes; "mixed" where an ensemble's members differ."""
    paths = [
        choose_path(member, batch_of(sequences, member), width, per_sequence, path)
        for member in model.members or (model,)
    ]
    found: list[dict[str, str | int]] = [{"path": "full"} if p is None else p.settings for p in paths]
    return found[0] if all(settings == found[0] for settings in found) else {"path": "mixed"}


def predict_edits(
    model: SequenceModel,
    batch: Batch,
    n: int,
    edits_of: EditsOf,
    *,
    per_sequence: float,
    batch_size: int,
    description: str,
    path: Path = "auto",
    verify: bool = False,
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Predict `n` edited sequences, in constant memory and in an order of its own.

    Parameters
    ----------
    model
        The model.
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
        What the progress bar says.
    path
        As in `choose_path`.
    verify
        Hold a random part of the edits against full predictions.

    Yields
    ------
    numbers, prediction
        Numbers of some edits, and the predictions (edit, target).

    Raises
    ------
    InputError
        `batch_size` is not positive, or as `choose_path`.
    VerificationError
        The two ways to predict do not agree.
    """
    check_batch_size(batch_size)
    codes = codes_of(batch.one_hot)
    paths: dict[int, Incremental | None] = {}
    step = max(min(batch_size, n), 1)
    with tqdm(total=n, desc=description, unit="seq", disable=None, leave=False, delay=1) as progress:
        block = _block_size(n, edits_of)
        for start in range(0, n, block):
            numbers = np.arange(start, min(start + block, n))
            edits = edits_of(numbers)
            widths = _widths(edits, batch.one_hot.shape[1])
            for width in np.unique(widths):
                chosen = np.flatnonzero(widths == width)
                if width not in paths:
                    paths[width] = choose_path(model, batch, int(width), per_sequence, path)
                some = Edits(*(field[chosen] for field in edits))
                way = paths[width]
                if way is None:
                    found = _full(model, batch, some, step)
                else:
                    found = _incremental(model, batch, codes, some, int(width), way, step)
                    if verify and start == 0:
                        _verify(model, batch, codes, some, int(width), way, step)
                for which, prediction in found:
                    progress.update(len(which))
                    yield numbers[chosen[which]], prediction


def _block_size(n: int, edits_of: EditsOf) -> int:
    """How many edits are looked at together: fewer where each has many positions."""
    per_edit = edits_of(np.array([0])).positions.shape[1] if n else 1
    return max(_BLOCK // max(per_edit // 4, 1), 1)


def _widths(edits: Edits, length: int) -> NDArray[np.intp]:
    """How many positions each edit spans, rounded up to one of few widths."""
    spans = edits.positions.max(axis=1) - edits.positions.min(axis=1) + 1
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
    bytes_each = max(way.plan.table_elements * batch.one_hot.dtype.itemsize, 1)
    sequences = np.unique(edits.sequence)
    n_at_once = min(max(_TABLE_BYTES // bytes_each, 1), _MAX_SEQUENCES, len(sequences))
    first = np.minimum(edits.positions.min(axis=1), codes.shape[1] - width)
    for start in range(0, len(sequences), n_at_once):
        # Always as many, so that nothing is compiled anew.
        group = sequences[np.minimum(np.arange(start, start + n_at_once), len(sequences) - 1)]
        own = batch.rows(group)
        references = engine.cached_activations(own.one_hot, own.auxiliary, width)
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
            prediction = engine.predict(
                references, place[filled], at[filled], stretch[filled].astype(np.intp)
            )
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
