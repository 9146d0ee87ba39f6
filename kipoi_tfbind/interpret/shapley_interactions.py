"""Shapley values and Shapley interactions of a few segments of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._method import Variables, run_method, wrapped_for
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences
from kipoi_tfbind.sequences.references import make_references

# All 2**12 coalitions are predicted; of more players some, at random.
EXACT = 12
_DEFAULT_SEGMENTS = 10


def shapley_interactions(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    segments: Sequence[tuple[int, int]] | None = None,
    references: ArrayLike | str = "dinucleotide_shuffle",
    n_references: int = 5,
    n_samples: int = 100,
    seed: int = 0,
    path: Path = "auto",
    batch_size: int = 256,
) -> xr.Dataset:
    """Shapley values of segments, and the Shapley interaction index of every two of them.

    The segments are the players: one that is out has the bases of a reference, and what is in no segment
    stays as it is. The interaction of two (Grabisch and Roubens 1999, doi:10.1007/s001820050125) is what both
    do beyond each alone, f(S+a+b) - f(S+a) - f(S+b) + f(S), mean over the sets S of the others: over all
    sizes of S alike, and all sets of a size alike. Up to 12 segments it is exact, from all 2**n sets; of
    more, sets are drawn, and standard errors say how far the mean may be from the exact one.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    segments
        Start and end of each, 0-based, half-open, at least two that do not overlap; by default ten of about
        the same length that make up the sequence.
    references
        As `deep_shap`, of DNA: shuffles, or an array.
    n_references
        Number of references for each sequence, of a kind that is drawn; results are means over them.
    n_samples
        Sets drawn for each pair and reference, where there are more than 12 segments.
    seed
        Of the references and of the sets; both also depend on the sequence, and on nothing else.
    path
        As `in_silico_mutagenesis`.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``interaction`` (sequence, pair, target) with the coordinates ``position_a`` and ``position_b``, the
        starts of the two segments, and ``end_a`` and ``end_b``; ``interaction_standard_error``, 0 where it is
        exact; ``segment_value`` (sequence, segment, target), the Shapley value, with the coordinates
        ``segment_start`` and ``segment_end``, NaN of more than 12 segments; ``mean_reference_prediction``
        (sequence, target), all segments out; ``prediction`` and ``one_hot``.

    Raises
    ------
    InputError
        Segments that overlap or are not in the sequence, references that are no DNA.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda x: x[:, 0, 0] * x[:, 2, 2] + x[:, 1, 1], targets=["y"])
    >>> result = shapley_interactions(
    ...     model, encode_sequences(["ACG"]), segments=[(0, 1), (1, 2), (2, 3)], references="zeros"
    ... )
    >>> result["interaction"].values[0, :, 0], result["segment_value"].values[0, :, 0]
    (array([0., 1., 0.]), array([0.5, 1. , 0.5]))
    """
    sequences = as_sequences(sequences)
    players = _checked_segments(segments, sequences.sizes["position"])
    for name, value in (("n_references", n_references), ("n_samples", n_samples)):
        whole_number(name, value, least=1)
    whole_number("seed", seed)
    model, paths = wrapped_for(sequences, model), Paths(path)
    first, second = np.triu_indices(len(players), k=1)
    exact = len(players) <= EXACT

    def compute(member: SequenceModel, batch: Batch, prediction: NDArray) -> Variables:
        game = _Game(paths.of(member, batch), batch, players, references, n_references, seed, batch_size)
        found = game.exact() if exact else game.sampled(n_samples)
        dims = ("sequence", "pair", "target")
        return {
            "interaction": (dims, found[0]),
            "interaction_standard_error": (dims, found[1]),
            "segment_value": (("sequence", "segment", "target"), found[2]),
            "mean_reference_prediction": (("sequence", "target"), found[3]),
        }

    settings: dict[str, int | float | str] = {
        "references": references if isinstance(references, str) else "given",
        "n_references": n_references,
        "n_segments": len(players),
        "n_samples": 0 if exact else n_samples,
        "seed": seed,
    }
    return run_method(
        "shapley_interactions",
        model,
        sequences,
        compute,
        settings=lambda: {**settings, **paths.settings()},
        batch_size=batch_size,
        coordinates={
            "segment_start": ("segment", players[:, 0]),
            "segment_end": ("segment", players[:, 1]),
            "position_a": ("pair", players[first, 0]),
            "end_a": ("pair", players[first, 1]),
            "position_b": ("pair", players[second, 0]),
            "end_b": ("pair", players[second, 1]),
        },
    )


def _checked_segments(segments: Sequence[tuple[int, int]] | None, length: int) -> NDArray[np.intp]:
    if segments is None:
        edges = np.unique(np.linspace(0, length, _DEFAULT_SEGMENTS + 1).astype(np.intp))
        return np.stack([edges[:-1], edges[1:]], axis=1)
    players = np.array(sorted((int(a), int(b)) for a, b in segments), dtype=np.intp).reshape(-1, 2)
    if len(players) < 2:
        raise InputError(f"segments: expected at least two, got {len(players)}")
    for start, end in players:
        if not 0 <= start < end <= length:
            raise InputError(f"segments: expected 0 <= start < end <= {length}, got {start} to {end}")
    overlaps = np.flatnonzero(players[1:, 0] < players[:-1, 1])
    if len(overlaps):
        a, b = players[overlaps[0]], players[overlaps[0] + 1]
        raise InputError(f"segments: {a[0]} to {a[1]} and {b[0]} to {b[1]} overlap; they must not")
    return players


class _Game:
    """The segments of each sequence against its references, as a game for each target."""

    def __init__(
        self,
        path: EditPath,
        batch: Batch,
        players: NDArray[np.intp],
        references: ArrayLike | str,
        n_references: int,
        seed: int,
        batch_size: int,
    ) -> None:
        self._path, self._batch, self._players = path, batch, players
        self._references, self._n_references = references, n_references
        self._seed, self._batch_size = seed, batch_size
        self._positions = np.concatenate([np.arange(start, end) for start, end in players])
        self._owner = np.repeat(np.arange(len(players)), players[:, 1] - players[:, 0])
        self._pairs = np.triu_indices(len(players), k=1)
        self._shape = len(batch), len(self._pairs[0]), len(path.model.target_names)

    def exact(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Interactions and their errors, values of the segments, and mean predictions without any."""
        n_players = len(self._players)
        sets = (np.arange(2**n_players)[:, np.newaxis] >> np.arange(n_players)) & 1 == 1
        number = np.arange(len(sets))
        size = sets.sum(axis=1)
        interaction, values = np.empty(self._shape), np.empty((len(self._batch), n_players, self._shape[2]))
        background = np.empty((len(self._batch), self._shape[2]))
        of_pair = np.array([1 / ((n_players - 1) * comb(n_players - 2, s)) for s in range(n_players - 1)])
        alone = np.array([1 / (n_players * comb(n_players - 1, s)) for s in range(n_players)])
        for row in range(len(self._batch)):
            # Mean over the references: both indices are linear in the game.
            game = self._values(row, sets).mean(axis=0)
            background[row] = game[0]
            for player in range(n_players):
                out = number[~sets[:, player]]
                gain = game[out + 2**player] - game[out]
                values[row, player] = alone[size[out]] @ gain
            for pair, (a, b) in enumerate(zip(*self._pairs, strict=True)):
                out = number[~sets[:, a] & ~sets[:, b]]
                joint = game[out + 2**a + 2**b] - game[out + 2**a] - game[out + 2**b] + game[out]
                interaction[row, pair] = of_pair[size[out]] @ joint
        return interaction, np.zeros_like(interaction), values, background

    def sampled(self, n_samples: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """As `exact`, from sets that are drawn for each pair; the values of the segments are not."""
        n_players = len(self._players)
        interaction, error = np.empty(self._shape), np.empty(self._shape)
        background = np.empty((len(self._batch), self._shape[2]))
        seeds = content_seeds(codes_of(self._batch.one_hot), self._seed, "sets of shapley_interactions")
        for row in range(len(self._batch)):
            rng = np.random.default_rng(seeds[row])
            nobody = np.zeros((1, n_players), bool)
            background[row] = self._values(row, nobody)[:, 0].mean(axis=0)
            for pair, (a, b) in enumerate(zip(*self._pairs, strict=True)):
                others = np.delete(np.arange(n_players), [a, b])
                sets = np.zeros((n_samples, n_players), bool)
                # All sizes alike, and all sets of a size.
                sizes = rng.integers(0, n_players - 1, size=n_samples)
                order = rng.random((n_samples, len(others))).argsort(axis=1)
                sets[:, others] = order < sizes[:, np.newaxis]
                four = np.repeat(sets[:, np.newaxis], 4, axis=1)
                four[:, [1, 3], a], four[:, [2, 3], b] = True, True
                game = self._values(row, four.reshape(-1, n_players))
                game = game.reshape(len(game), n_samples, 4, -1)
                joint = (game[:, :, 3] - game[:, :, 1] - game[:, :, 2] + game[:, :, 0]).mean(axis=0)
                interaction[row, pair] = joint.mean(axis=0)
                error[row, pair] = joint.std(axis=0, ddof=min(1, n_samples - 1)) / np.sqrt(n_samples)
        values = np.full((len(self._batch), n_players, self._shape[2]), np.nan)
        return interaction, error, values, background

    def _values(self, row: int, sets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Predictions (reference, set, target) of one sequence with only the segments of each set."""
        one = self._batch.rows(np.array([row]))
        given = isinstance(self._references, str)
        kind = self._references if given else make_references(self._batch.one_hot, self._references)[[row]]
        own = make_references(one.one_hot, kind, self._n_references, seed=self._seed)[0]
        out, here = codes_of(own)[:, self._positions], codes_of(one.one_hot)[0, self._positions]
        is_in = sets[:, self._owner]

        def edits_of(numbers: NDArray[np.intp]) -> Edits:
            reference, number = np.divmod(numbers, len(sets))
            bases = np.where(is_in[number], here, out[reference]).astype(np.intp)
            positions = np.broadcast_to(self._positions, bases.shape)
            return Edits(np.zeros(len(numbers), np.intp), positions, bases)

        n = len(own) * len(sets)
        found = np.empty((n, self._shape[2]))
        for numbers, prediction in predict_edits(
            self._path,
            one,
            n,
            edits_of,
            per_sequence=n,
            batch_size=self._batch_size,
            description="sets of segments",
        ):
            found[numbers] = prediction
        return found.reshape(len(own), len(sets), -1)
