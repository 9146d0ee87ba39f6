"""Deep feature interaction maps: how a substitution changes what the other positions contribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch, in_batches
from kipoi_tfbind.interpret._method import Variables, choose_positions, run_method, wrapped_for
from kipoi_tfbind.interpret._paths import Path, check_path
from kipoi_tfbind.interpret.in_silico_mutagenesis import SUBSTITUTIONS
from kipoi_tfbind.interpret.interaction import pair_coordinates
from kipoi_tfbind.models.mutants import MutantEngine, mutant_engine
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references


def deep_feature_interaction(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    references: str | ArrayLike = "dinucleotide_shuffle",
    n_references: int = 10,
    start: int = 0,
    end: int | None = None,
    positions: Sequence[int] | None = None,
    seed: int = 0,
    path: Path = "auto",
    batch_size: int = 256,
) -> xr.Dataset:
    """Interactions of pairs of positions by how they change each other's contributions (DFIM).

    Each substitution at a position is made, and the DeepSHAP contributions of the mutant are taken from those
    of the sequence, against the same references (Greenside et al. 2018, doi:10.1093/bioinformatics/bty575).
    The change at position j, mean over the three substitutions at position i, is how far i's base supports
    what j's base contributes. The interaction of a pair is the sum of both directions: so it is the epistasis
    itself, mean over the substitutions and the references, where the model is a sum of pairs, of which
    DeepSHAP gives half to either base.

    As defined it costs DeepSHAP for 3 n mutants of n positions. A mutant's multipliers differ from the
    sequence's by the rules' factors in the affected regions, and by what comes back from behind them: of a
    model whose first operations can be followed, only these are computed, with the same result (`path`).

    Parameters
    ----------
    model
        The model, with DeepLIFT multipliers.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    references, n_references
        As `deep_shap`.
    start, end
        Positions to pair, 0-based, `end` not included; None is the end of the sequence.
    positions
        The positions to pair instead, 0-based, at least two, in any order.
    seed
        Of references that are drawn; the draws also depend on the sequence, and on nothing else.
    path
        "incremental": compute only what a substitution changes of the multipliers of the model's first
        operations (linear maps, activations and max pools), which is exact; "full": DeepSHAP
        of each mutant; "auto": the first, where the model begins so and mutants are many. The result says
        which it was.
    batch_size
        Number of references that are run at once, of one or several mutants.

    Returns
    -------
    xr.Dataset
        ``interaction`` (sequence, pair, target) with the coordinates ``position_a`` < ``position_b``;
        ``contribution_change`` (sequence, pair, direction, target), the two that it is the sum of: of b when
        a is substituted, and of a when b is; ``prediction`` and ``one_hot``. NaN where a position of the
        pair is N.

    Raises
    ------
    InputError
        Positions or references that do not fit; the incremental path of a model that begins with nothing that
        it can follow.
    UnsupportedModelError
        The model cannot be traced, or has an operation for which there is no exact rule.

    Examples
    --------
    >>> import torch
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> class Both(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x[:, 0, 0] * x[:, 2, 2])[:, None]
    >>> model = as_sequence_model(Both(), length=3)
    >>> result = deep_feature_interaction(model, encode_sequences(["AAG"]), references="zeros")
    >>> result["interaction"].values[0, :, 0]
    array([0., 1., 0.])
    """
    sequences = as_sequences(sequences)
    chosen = choose_positions(start, end, positions, sequences.sizes["position"])
    if len(chosen) < 2:
        raise InputError(f"positions: expected at least two different ones to pair, got {len(chosen)}")
    whole_number("n_references", n_references, least=1)
    whole_number("seed", seed)
    model = wrapped_for(sequences, model)
    model.require("multipliers")
    paths = _Paths(path, len(chosen))
    first, second = np.triu_indices(len(chosen), k=1)

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        engine = paths.engine(member, batch, references, n_references)
        change = _changes(member, batch, chosen, references, n_references, seed, batch_size, engine)
        both = np.stack([change[:, first, second], change[:, second, first]], axis=2)
        return {
            "interaction": (("sequence", "pair", "target"), both.sum(axis=2)),
            "contribution_change": (("sequence", "pair", "direction", "target"), both),
        }

    settings: dict[str, int | float | str] = {
        "references": references if isinstance(references, str) else "given",
        "start": int(chosen[0]),
        "end": int(chosen[-1]) + 1,
        "n_positions": len(chosen),
    }
    if isinstance(references, str):
        settings |= {"n_references": n_references, "seed": seed}
    return run_method(
        "deep_feature_interaction",
        model,
        sequences,
        compute,
        settings=lambda: settings | {"path": paths.taken},
        batch_size=batch_size,
        positions=chosen,
        coordinates=pair_coordinates(chosen) | {"direction": ["a to b", "b to a"]},
    )


# With fewer pairs of mutant and reference, preparing the incremental path takes longer than it saves.
_FEW = 300


class _Paths:
    """The path that is taken, by what is asked for and by what the models are."""

    def __init__(self, path: Path, n_positions: int) -> None:
        check_path(path)
        self._path, self._n_mutants = path, SUBSTITUTIONS * n_positions
        self._taken: set[str] = set()

    @property
    def taken(self) -> str:
        """Which it was; of an ensemble, perhaps both."""
        return "mixed" if len(self._taken) > 1 else next(iter(self._taken), "full")

    def engine(
        self, model: SequenceModel, batch: Batch, references: str | ArrayLike, n_references: int
    ) -> MutantEngine | None:
        """The engine of the incremental path, if that is taken."""
        n = n_references
        if not isinstance(references, str):
            *_, n, _, _ = (1, 1, 1, *np.shape(references))
        few = self._n_mutants * n < _FEW
        engine = None
        if self._path == "incremental" or (self._path == "auto" and not few):
            engine = mutant_engine(model, batch.one_hot, batch.auxiliary)
        if engine is None and self._path == "incremental":
            raise InputError(
                f"path: model {model.name} does not begin with convolutions and activations that are known, "
                "or its graph is not known; use path='full' (--path full)"
            )
        self._taken.add("full" if engine is None else "incremental")
        return engine


def _changes(
    model: SequenceModel,
    batch: Batch,
    positions: NDArray[np.intp],
    references: str | ArrayLike,
    n_references: int,
    seed: int,
    batch_size: int,
    engine: MutantEngine | None,
) -> NDArray[np.float64]:
    """Change of contributions (sequence, substituted position, position, target), mean over substitutions."""
    n, n_positions = len(batch), len(positions)
    changes = np.full((n, n_positions, n_positions, len(model.target_names)), np.nan)
    given = None if isinstance(references, str) else make_references(batch.one_hot, references)
    codes = codes_of(batch.one_hot)
    for row in range(n):
        one = batch.rows(np.array([row]))
        # Of the sequence itself: a mutant against shuffles of its own would differ by them, too.
        kind = references if given is None else given[[row]]
        own = make_references(one.one_hot, kind, n_references, seed=seed)[0]
        known = np.flatnonzero(codes[row, positions] != N_CODE)
        if engine is not None:
            some, auxiliary = positions[known], one.auxiliary
            found = -engine.changes(one.one_hot, own, auxiliary, some, some)
            # A pair has two positions.
            found[np.arange(len(known)), np.arange(len(known))] = np.nan
            changes[row][np.ix_(known, known)] = found
            continue
        mutants = np.repeat(codes[[row]], 1 + SUBSTITUTIONS * len(known), axis=0)
        for at, index in enumerate(known):
            place, here = positions[index], codes[row, positions[index]]
            rows = 1 + SUBSTITUTIONS * at + np.arange(SUBSTITUTIONS)
            mutants[rows, place] = (here + 1 + np.arange(SUBSTITUTIONS)) % len(BASES)
        contribution = _contributions(model, one, mutants, own, positions, batch_size)
        by_position = contribution[1:].reshape(len(known), SUBSTITUTIONS, n_positions, -1)
        changes[row][np.ix_(known, known)] = (contribution[0] - by_position.mean(axis=1))[:, known]
    return changes


def _contributions(
    model: SequenceModel,
    one: Batch,
    codes: NDArray[np.uint8],
    references: NDArray,
    positions: NDArray[np.intp],
    batch_size: int,
) -> NDArray[np.float64]:
    """DeepSHAP contributions (mutant, position, target), all against the same references."""
    found = np.empty((len(codes), len(positions), len(model.target_names)))
    eye = np.eye(N_CODE + 1, N_CODE, dtype=one.one_hot.dtype)
    step = max(1, batch_size // len(references))
    for indices, padded in in_batches(len(codes), batch_size=step, description="DeepSHAP of mutants"):
        one_hot = eye[codes[padded]]
        same = one.rows(np.zeros(len(padded), np.intp))
        own = np.broadcast_to(references, (len(padded), *references.shape))
        multipliers, _, _ = model.multipliers(one_hot, own, same.auxiliary)
        difference = one_hot[:, np.newaxis, positions].astype(np.float64) - own[:, :, positions]
        contribution = np.einsum("nrpbt,nrpb->npt", multipliers[:, :, positions], difference)
        found[indices] = contribution[: len(indices)] / len(references)
    return found
