"""Second-order in-silico mutagenesis: what two substitutions do together beyond what each does alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind import schema
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, Path, predict_edits
from kipoi_tfbind.interpret._method import Variables, choose_positions, run_method
from kipoi_tfbind.interpret.in_silico_mutagenesis import SUBSTITUTIONS, mutation_effects
from kipoi_tfbind.model import SequenceModel
from kipoi_tfbind.one_hot import BASES, N_CODE, codes_of

_DOUBLE_SUBSTITUTIONS = SUBSTITUTIONS**2


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
    all i < j. It is 0 for every additive model, and where one of the two bases is the one that is there;
    it is missing (NaN) where the sequence has N. The number of predictions is 9 n (n - 1) / 2 for n
    positions: 179,100 for 200.

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
        "incremental": compute only what a substitution changes, which is exact; "full": predict every mutant
        as a whole; "auto": what is expected to be faster. The result says which it was.
    verify
        Hold a random part of the incremental predictions against full ones.
    batch_size
        Number of mutants that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``reference_prediction`` (sequence, target), ``mutation_effect`` (sequence, position, base, target)
        of the single substitutions, ``epistasis`` (sequence, pair, base_a, base_b, target) with the
        coordinates ``position_a`` < ``position_b`` (pair), and ``one_hot``.

    Raises
    ------
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
    schema.require(sequences, "one_hot")
    chosen = choose_positions(start, end, positions, sequences.sizes["position"])
    if len(chosen) < 2:
        raise InputError(f"positions: expected at least two different ones to pair, got {len(chosen)}")
    first, second = np.triu_indices(len(chosen), k=1)

    def compute(member: SequenceModel, batch: Batch, reference: NDArray) -> Variables:
        single = mutation_effects(
            member, batch, chosen, reference, path=path, verify=verify, batch_size=batch_size
        )
        epistasis = _epistasis(member, batch, chosen, (first, second), reference, single, batch_size)
        return {
            "mutation_effect": (("sequence", "position", "base", "target"), single),
            "epistasis": (("sequence", "pair", "base_a", "base_b", "target"), epistasis),
        }

    return run_method(
        "second_order_mutagenesis",
        model,
        sequences,
        compute,
        settings={"start": int(chosen[0]), "end": int(chosen[-1]) + 1, "n_positions": len(chosen)},
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
    model: SequenceModel,
    batch: Batch,
    positions: NDArray[np.intp],
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    reference: NDArray,
    single: NDArray,
    batch_size: int,
) -> NDArray:
    """Epistasis (sequence, pair, base_a, base_b, target); `pairs` are indices into `positions`."""
    first, second = pairs
    codes = codes_of(batch.one_hot[:, positions])
    known = (codes[:, first] != N_CODE) & (codes[:, second] != N_CODE)
    shape = (*known.shape, len(BASES), len(BASES), reference.shape[1])
    epistasis = np.zeros(shape, dtype=reference.dtype)
    epistasis[~known] = np.nan
    known_pairs = np.flatnonzero(known)

    def places(mutants: NDArray[np.intp]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Sequence, pair, and the two new bases of each double mutant: nine for each pair without N."""
        number, substitutions = np.divmod(mutants, _DOUBLE_SUBSTITUTIONS)
        sequence, pair = np.divmod(known_pairs[number], known.shape[1])
        shift_a, shift_b = np.divmod(substitutions, SUBSTITUTIONS)
        base_a = (codes[sequence, first[pair]] + 1 + shift_a) % len(BASES)
        return sequence, pair, base_a, (codes[sequence, second[pair]] + 1 + shift_b) % len(BASES)

    def edits_of(mutants: NDArray[np.intp]) -> Edits:
        sequence, pair, base_a, base_b = places(mutants)
        where = np.stack([positions[first[pair]], positions[second[pair]]], axis=1)
        return Edits(sequence, where, np.stack([base_a, base_b], axis=1))

    n = _DOUBLE_SUBSTITUTIONS * len(known_pairs)
    for mutants, prediction in predict_edits(
        model,
        batch,
        n,
        edits_of,
        per_sequence=_DOUBLE_SUBSTITUTIONS * len(first),
        path="full",
        batch_size=batch_size,
        description="double mutants",
    ):
        sequence, pair, base_a, base_b = places(mutants)
        alone = single[sequence, first[pair], base_a] + single[sequence, second[pair], base_b]
        epistasis[sequence, pair, base_a, base_b] = prediction - reference[sequence] - alone
    return epistasis
