"""Second-order in-silico mutagenesis: what two substitutions do together beyond what each does alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._method import Variables, choose_positions, run_method
from kipoi_tfbind.interpret._pairs import predict_pairs
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.interpret.in_silico_mutagenesis import SUBSTITUTIONS, mutation_effects
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import notice
from kipoi_tfbind.sequences.read import as_sequences

_DOUBLE_SUBSTITUTIONS = SUBSTITUTIONS**2
_MANY = 100_000


def second_order_mutagenesis(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    start: int = 0,
    end: int | None = None,
    positions: Sequence[int] | None = None,
    path: Path = "auto",
    verify: bool = False,
    batch_size: int = 256,
) -> xr.Dataset:
    """Epistasis of every pair of substitutions (Koo et al. 2018, doi:10.1101/418459).

    epistasis(i, a, j, b) = f(x with a at i and b at j) - f(x with a at i) - f(x with b at j) + f(x), for
    all i < j. It is 0 for every additive model, and where one of the two bases is the observed one;
    it is missing (NaN) where the sequence has N. There are 9 n (n - 1) / 2 double mutants of n positions,
    179,100 for 200; where the model's graph is known, substitutions that do not meet before its last layers
    cost next to nothing.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    start, end
        Positions to mutate, 0-based, `end` not included; None is the end of the sequence.
    positions
        The positions to mutate instead, 0-based, at least two, in any order.
    path
        "incremental": follow each single substitution through the model, and of a pair only what the two do
        together, which is exact; "full": predict every double mutant as a whole; "auto": what is expected to
        be faster. The result says which it was.
    verify
        Hold some pairs of every distance against full predictions.
    batch_size
        Number of mutants that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``prediction`` (sequence, target), ``mutation_effect`` (sequence, position, base, target)
        of the single substitutions, ``epistasis`` (sequence, pair, base_a, base_b, target) with the
        coordinates ``position_a`` < ``position_b`` (pair), and ``one_hot``.

    Raises
    ------
    VerificationError
        The incremental predictions are not those of whole mutants.
    InputError
        Positions outside the sequence, fewer than two of them, or both `positions` and a range.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> def both_g(one_hot):
    ...     return one_hot[:, 0, 2] * one_hot[:, 2, 2]
    >>> model = as_sequence_model(both_g, targets=["G.G"])
    >>> result = second_order_mutagenesis(model, encode_sequences(["ACT"]))
    >>> pair = result.isel(sequence=0, target=0, pair=1)
    >>> int(pair["position_a"]), int(pair["position_b"]), float(pair["epistasis"].sel(base_a="G", base_b="G"))
    (0, 2, 1.0)
    """
    sequences = as_sequences(sequences)
    chosen = choose_positions(start, end, positions, sequences.sizes["position"])
    if len(chosen) < 2:
        raise InputError(f"positions: expected at least two different ones to pair, got {len(chosen)}")
    first, second = np.triu_indices(len(chosen), k=1)
    paths = Paths(path)

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        own = paths.of(member, batch)
        single = mutation_effects(own, batch, chosen, prediction, verify=verify, batch_size=batch_size)
        epistasis = _epistasis(
            own,
            batch,
            chosen,
            (first, second),
            prediction,
            single,
            verify=verify,
            batch_size=batch_size,
        )
        return {
            "mutation_effect": (("sequence", "position", "base", "target"), single),
            "epistasis": (("sequence", "pair", "base_a", "base_b", "target"), epistasis),
        }

    return run_method(
        "second_order_mutagenesis",
        model,
        sequences,
        compute,
        settings=lambda: {
            "start": int(chosen[0]),
            "end": int(chosen[-1]) + 1,
            "n_positions": len(chosen),
            **paths.settings(),
        },
        batch_size=batch_size,
        positions=chosen,
        coordinates={
            "position_a": ("pair", chosen[first]),
            "position_b": ("pair", chosen[second]),
            "base_a": list(BASES),
            "base_b": list(BASES),
        },
    )


def _epistasis(
    path: EditPath,
    batch: Batch,
    positions: NDArray[np.intp],
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    prediction: NDArray,
    single: NDArray,
    *,
    verify: bool,
    batch_size: int,
) -> NDArray:
    """Epistasis (sequence, pair, base_a, base_b, target); `pairs` are indices into `positions`."""
    first, second = pairs
    codes = codes_of(batch.one_hot[:, positions])
    known = (codes[:, first] != N_CODE) & (codes[:, second] != N_CODE)
    shape = (*known.shape, len(BASES), len(BASES), prediction.shape[1])
    epistasis = np.zeros(shape, dtype=prediction.dtype)
    epistasis[~known] = np.nan
    double = _DoubleMutants(codes, positions, first, second, known)
    for mutants, found in _predictions(path, batch, double, verify, batch_size):
        sequence, pair, base_a, base_b = double.places(mutants)
        alone = single[sequence, first[pair], base_a] + single[sequence, second[pair], base_b]
        epistasis[sequence, pair, base_a, base_b] = found - prediction[sequence] - alone
    return epistasis


@dataclass(frozen=True)
class _DoubleMutants:
    """The double mutants by number: nine for each pair of positions without N.

    Attributes
    ----------
    codes
        Base codes (sequence, position).
    positions
        The positions of the sequences that these are.
    first, second
        Indices of the positions of each pair.
    known
        Which pairs of which sequences have no N (sequence, pair).
    """

    codes: NDArray[np.uint8]
    positions: NDArray[np.intp]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    known: NDArray[np.bool_]

    @cached_property
    def known_pairs(self) -> NDArray[np.intp]:
        """Number of each pair without N, over all sequences."""
        return np.flatnonzero(self.known)

    def __len__(self) -> int:
        return _DOUBLE_SUBSTITUTIONS * len(self.known_pairs)

    def places(self, mutants: NDArray[np.intp]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Sequence, pair, and the two new bases of each double mutant."""
        number, substitutions = np.divmod(mutants, _DOUBLE_SUBSTITUTIONS)
        sequence, pair = np.divmod(self.known_pairs[number], self.known.shape[1])
        shift_a, shift_b = np.divmod(substitutions, SUBSTITUTIONS)
        base_a = (self.codes[sequence, self.first[pair]] + 1 + shift_a) % len(BASES)
        return sequence, pair, base_a, (self.codes[sequence, self.second[pair]] + 1 + shift_b) % len(BASES)

    def edits_of(self, mutants: NDArray[np.intp]) -> Edits:
        """The mutants as edits."""
        sequence, pair, base_a, base_b = self.places(mutants)
        where = np.stack([self.positions[self.first[pair]], self.positions[self.second[pair]]], axis=1)
        return Edits(sequence, where, np.stack([base_a, base_b], axis=1))

    def of_sequence(self, sequence: int) -> NDArray[np.intp]:
        """Numbers of one sequence's double mutants."""
        at = np.searchsorted(
            self.known_pairs, [sequence * self.known.shape[1], (sequence + 1) * self.known.shape[1]]
        )
        return np.arange(_DOUBLE_SUBSTITUTIONS * at[0], _DOUBLE_SUBSTITUTIONS * at[1])


def _predictions(
    path: EditPath, batch: Batch, double: _DoubleMutants, verify: bool, batch_size: int
) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Numbers of double mutants and their predictions, by the path that was chosen."""
    model = path.model
    per_sequence = _DOUBLE_SUBSTITUTIONS * len(double.first)
    engine = path.of_pairs(SUBSTITUTIONS * len(double.positions), per_sequence)
    if engine is None:
        if len(double) > _MANY:
            notice(
                f"{len(double):,} double mutants, each predicted as a whole: what two substitutions reach in "
                f"model {model.name} is most of it, or is not known; a window (start, end) takes less"
            )
        yield from predict_edits(
            EditPath(model, batch, "full"),
            batch,
            len(double),
            double.edits_of,
            per_sequence=per_sequence,
            batch_size=batch_size,
            description="double mutants",
        )
        return
    for sequence in range(len(batch)):
        mutants = double.of_sequence(sequence)
        if not len(mutants):
            continue
        _, pair, base_a, base_b = double.places(mutants)
        # A single substitution by number: its position and base.
        numbers_a, numbers_b = (
            double.first[pair] * len(BASES) + base_a,
            double.second[pair] * len(BASES) + base_b,
        )
        edits, place = np.unique(np.concatenate([numbers_a, numbers_b]), return_inverse=True)
        sites = double.positions[edits // len(BASES)], edits % len(BASES)
        both = place[: len(mutants)], place[len(mutants) :]
        for which, prediction in predict_pairs(
            model, batch, engine, sequence, sites, both, batch_size=batch_size, verify=verify
        ):
            yield mutants[which], prediction
