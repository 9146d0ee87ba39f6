"""Design: few substitutions that raise or lower predictions, one after the other, each with its effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._method import Variables, choose_positions, run_method, wrapped_for
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.interpret.in_silico_mutagenesis import mutation_effects
from kipoi_tfbind.memory import check_fits
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

_NONE = -1
_GC = (1, 2)

_BYTES_EACH_SUCCESSOR = 64


def design(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    objective: Mapping[str, float] | None = None,
    n_edits: int = 10,
    beam_width: int = 1,
    fixed: Sequence[int] = (),
    gc_range: tuple[float, float] = (0.0, 1.0),
    start: int = 0,
    end: int | None = None,
    path: Path = "auto",
    batch_size: int = 256,
) -> xr.Dataset:
    """Substitute bases, the best first, to raise or lower the predictions of each sequence.

    At each step every allowed substitution is predicted, as in ISM, and the one that raises the objective
    most is made; the search ends where none raises it (greedy, as the in-silico evolution of Vaishnav et al.
    2022, doi:10.1038/s41586-022-04506-6). With a beam, the best few sequences of each step are gone on with,
    and the best one that was seen is the result. A position is substituted once at most. An ensemble is
    designed for as one model: the mean of its members.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    objective
        Target -> weight; the sum of weight times prediction is raised. A negative weight lowers a target. By
        default the sum of all targets.
    n_edits
        Most substitutions of a sequence.
    beam_width
        Number of sequences that are gone on with; 1 is the greedy search.
    fixed
        Positions that are left as they are, 0-based.
    gc_range
        Least and largest share of G and C in the whole sequence. Of a sequence that is outside, only
        substitutions are allowed that do not take it further away.
    start, end
        Positions that may be substituted, 0-based, `end` not included; None is the end of the sequence.
    path
        As `in_silico_mutagenesis`.
    batch_size
        Number of mutants that are predicted at once.

    Returns
    -------
    xr.Dataset
        The log: ``step_prediction`` (sequence, step, target) after each step, the first of which (0) is the
        sequence as it is; ``step_position`` and ``step_base`` (sequence, step), 0-based, the base as its
        index in ACGT, -1 where there was none; ``step_effect`` (sequence, step, target), what the step
        changed; ``step_objective`` (sequence, step). After the last step they are NaN or -1.
        ``designed_one_hot`` (sequence, position, base), ``prediction`` and ``one_hot`` (of the sequence as it
        was).

    Raises
    ------
    InputError
        An objective with a target that the model has not, or another option that is none.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1) + 3 * x[:, 1, 2], targets=["G"])
    >>> result = design(model, encode_sequences(["ACT"]), n_edits=2)
    >>> result["step_position"].values, result["step_base"].values, result["step_prediction"].values[..., 0]
    (array([[-1,  1,  0]]), array([[-1,  2,  2]]), array([[0., 4., 5.]], dtype=float32))
    """
    sequences = as_sequences(sequences)
    allowed = choose_positions(start, end, None, sequences.sizes["position"])
    allowed = np.setdiff1d(allowed, np.asarray(fixed, dtype=np.intp))
    model = wrapped_for(sequences, model)
    weights = _weights(model, objective)
    _check_options(n_edits, beam_width, fixed, gc_range, allowed, sequences.sizes["position"])
    # Edits are chosen for the mean of an ensemble: each member would choose others.
    single, paths = replace(model, members=()), Paths(path)

    def compute(member: SequenceModel, batch: Batch, reference: NDArray) -> Variables:
        search = _Search(paths.of(member, batch), allowed, weights, gc_range, beam_width, batch_size)
        found = search.run(batch, reference, n_edits)
        return _log(found, batch, reference, n_edits, weights)

    settings: dict[str, int | float | str] = {
        "objective": " ".join(
            f"{w:+g} {name}" for name, w in zip(model.target_names, weights, strict=True) if w
        ),
        "n_edits": n_edits,
        "beam_width": beam_width,
        "fixed": ",".join(map(str, sorted(fixed))) or "none",
        "gc_range": f"{gc_range[0]:g} to {gc_range[1]:g}",
        "start": start,
        "end": sequences.sizes["position"] if end is None else end,
    }
    return run_method(
        "design",
        single,
        sequences,
        compute,
        settings=lambda: {**settings, **paths.settings()},
        batch_size=batch_size,
    )


def _weights(model: SequenceModel, objective: Mapping[str, float] | None) -> NDArray[np.float64]:
    if objective is None:
        return np.ones(len(model.target_names))
    for name in objective:
        if name not in model.target_names:
            raise InputError(
                f"objective: model {model.name} has no target {name!r}; its targets are "
                f"{', '.join(model.target_names)}"
            )
    weights = np.array([float(objective.get(name, 0)) for name in model.target_names])
    if not weights.any() or not np.isfinite(weights).all():
        raise InputError(f"objective: expected a weight that is not 0, all of them finite, got {objective}")
    return weights


def _check_options(
    n_edits: int,
    beam_width: int,
    fixed: Sequence[int],
    gc_range: tuple[float, float],
    allowed: NDArray[np.intp],
    length: int,
) -> None:
    for name, value in (("n_edits", n_edits), ("beam_width", beam_width)):
        whole_number(name, value, least=1)
    outside = [position for position in fixed if not 0 <= position < length]
    if outside:
        raise InputError(
            f"fixed: {outside[0]} is not in the sequences, whose positions are 0 to {length - 1}"
        )
    if not 0 <= gc_range[0] <= gc_range[1] <= 1:
        raise InputError(f"gc_range: expected two shares from 0 to 1, the lower first, got {gc_range}")
    # Each state of the beam has so many successors; a beam that is wider than all of them is not filled.
    successors = 3 * len(allowed)
    widest = min(float(beam_width), float(successors) ** min(n_edits - 1, 8))
    n_bytes = _BYTES_EACH_SUCCESSOR * widest * successors
    check_fits("beam_width", f"{widest:,.0f} states by {successors:,} successors", n_bytes, "take fewer")
    check_fits("n_edits", f"{n_edits:,} edits", _BYTES_EACH_SUCCESSOR * float(n_edits), "take fewer")
    if not len(allowed):
        raise InputError("fixed: all positions of the range are fixed, and none is left to be substituted")


@dataclass(frozen=True)
class _State:
    """A sequence on the way: its base codes, and the steps (position, base, prediction) that led there."""

    sequence: int
    codes: NDArray[np.uint8]
    prediction: NDArray
    steps: tuple[tuple[int, int, NDArray], ...] = ()


@dataclass(frozen=True)
class _Search:
    path: EditPath
    allowed: NDArray[np.intp]
    weights: NDArray[np.float64]
    gc_range: tuple[float, float]
    beam_width: int
    batch_size: int

    def run(self, batch: Batch, reference: NDArray, n_edits: int) -> list[_State]:
        """The best sequence that is found for each."""
        codes = codes_of(batch.one_hot)
        best = [_State(i, codes[i], reference[i]) for i in range(len(batch))]
        beam = list(best)
        for _ in range(n_edits):
            beam = self._step(batch, beam)
            if not beam:
                break
            for state in beam:
                if self._value(state.prediction) > self._value(best[state.sequence].prediction):
                    best[state.sequence] = state
        return best

    def _value(self, prediction: NDArray) -> float:
        return float(prediction.astype(np.float64) @ self.weights)

    def _step(self, batch: Batch, beam: list[_State]) -> list[_State]:
        """The best few of all sequences that are one substitution away and better."""
        rows = batch.rows(np.array([state.sequence for state in beam]))
        one_hot = np.eye(N_CODE + 1, N_CODE, dtype=batch.one_hot.dtype)[np.stack([s.codes for s in beam])]
        prediction = np.stack([state.prediction for state in beam])
        effect = mutation_effects(
            self.path,
            rows.replaced(one_hot),
            self.allowed,
            prediction,
            verify=False,
            batch_size=self.batch_size,
        )
        gain = np.nan_to_num(effect.astype(np.float64) @ self.weights)
        children: dict[int, list[tuple[float, int, int, int]]] = {}
        for number, state in enumerate(beam):
            own = np.where(self._is_allowed(state), gain[number], 0)
            flat = own.ravel()
            # Stable: of equal ones the first position, and the first base.
            for at in np.argsort(-flat, kind="stable")[: self.beam_width]:
                if flat[at] > 0:
                    index, base = divmod(int(at), len(BASES))
                    value = self._value(state.prediction) + float(flat[at])
                    children.setdefault(state.sequence, []).append((-value, number, index, base))
        return [
            self._child(beam[number], index, base, effect[number, index, base])
            for sequence in sorted(children)
            for _, number, index, base in self._distinct(beam, sorted(children[sequence]))
        ]

    def _distinct(
        self, beam: list[_State], ranked: list[tuple[float, int, int, int]]
    ) -> list[tuple[float, int, int, int]]:
        """The first of them that are different sequences: two edits in either order are the same one."""
        seen: dict[bytes, tuple[float, int, int, int]] = {}
        for child in ranked:
            codes = beam[child[1]].codes.copy()
            codes[self.allowed[child[2]]] = child[3]
            seen.setdefault(codes.tobytes(), child)
        return list(seen.values())[: self.beam_width]

    def _child(self, state: _State, index: int, base: int, effect: NDArray) -> _State:
        codes, position = state.codes.copy(), int(self.allowed[index])
        codes[position] = base
        prediction = state.prediction + effect
        return _State(state.sequence, codes, prediction, (*state.steps, (position, base, prediction)))

    def _is_allowed(self, state: _State) -> NDArray[np.bool_]:
        """Which substitutions (allowed position, base) may be made."""
        fresh = ~np.isin(self.allowed, [position for position, _, _ in state.steps])
        is_gc = np.isin(np.arange(len(BASES)), _GC)
        now = np.isin(state.codes, _GC)
        count = now.sum() + is_gc[np.newaxis] - now[self.allowed, np.newaxis].astype(np.int64)
        share = np.array([now.sum(), *count.ravel()]) / len(state.codes)
        away = np.maximum(np.maximum(self.gc_range[0] - share, share - self.gc_range[1]), 0)
        near = (away[1:] <= 0) | (away[1:] < away[0]) | ((away[1:] == away[0]) & (share[1:] == share[0]))
        return near.reshape(count.shape) & fresh[:, np.newaxis]


def _log(
    states: list[_State], batch: Batch, reference: NDArray, n_edits: int, weights: NDArray[np.float64]
) -> Variables:
    n, n_targets = reference.shape
    prediction = np.full((n, n_edits + 1, n_targets), np.nan, dtype=reference.dtype)
    position, base = np.full((2, n, n_edits + 1), _NONE)
    designed = batch.one_hot.copy()
    for row, state in enumerate(states):
        prediction[row, 0] = reference[row]
        for step, (at, new, value) in enumerate(state.steps, start=1):
            position[row, step], base[row, step], prediction[row, step] = at, new, value
        designed[row] = np.eye(N_CODE + 1, N_CODE, dtype=designed.dtype)[state.codes]
    effect = np.diff(prediction, axis=1, prepend=prediction[:, :1])
    by_step = ("sequence", "step")
    return {
        "step_prediction": ((*by_step, "target"), prediction),
        "step_effect": ((*by_step, "target"), effect),
        "step_objective": (by_step, (prediction.astype(np.float64) @ weights).astype(reference.dtype)),
        "step_position": (by_step, position),
        "step_base": (by_step, base),
        "designed_one_hot": (("sequence", "position", "base"), designed),
    }
