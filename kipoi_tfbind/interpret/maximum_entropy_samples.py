"""Maximum-entropy samples: as random sequences as there are with the prediction that this one has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.dna.one_hot import BASES, N_CODE, codes_of
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.interpret._autocorrelation import autocorrelation_time
from kipoi_tfbind.interpret._batches import Batch
from kipoi_tfbind.interpret._edits import Edits, predict_edits
from kipoi_tfbind.interpret._method import Variables, check_positive, check_range, run_method, wrapped_for
from kipoi_tfbind.interpret._paths import EditPath, Path, Paths
from kipoi_tfbind.memory import check_fits
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.sequences.read import as_sequences

# Proposals that are predicted together where the model is followed step by step: the first one that is
# accepted is made, and the rest are drawn anew from there, so that the chain is what it would be one by one.
_LOOKAHEAD = 8
_BYTES_EACH_PROPOSAL = 24
_CHAINS = 2


def maximum_entropy_samples(
    model: SequenceModel | Any,
    sequences: xr.Dataset,
    *,
    tolerance: float = 0.5,
    n_samples: int = 500,
    thin: int = 20,
    burn_in: int = 2000,
    start: int = 0,
    end: int | None = None,
    seed: int = 0,
    path: Path = "auto",
    batch_size: int = 256,
) -> xr.Dataset:
    """Sample sequences whose prediction is that of each sequence (Finnegan and Song 2017).

    Of all distributions with a given mean distance abs(f(z) - f(x)) of their predictions from that of the
    sequence x, the one of maximum entropy is p(z) ~ exp(-abs(f(z) - f(x)) / tolerance)
    (doi:10.1371/journal.pcbi.1005836, whose distance is one of the last hidden layer; here it is that of the
    target). Two Metropolis chains for each sequence and target begin at x and propose one substitution at a
    time, any with the same probability. What the samples keep of the sequence is what its prediction needs:
    a position's weight is the information in the samples' bases there.

    Parameters
    ----------
    model
        The model, from `load_model` or `as_sequence_model`; or anything that the latter takes. An ensemble is
        sampled as one model: the mean of its members.
    sequences
        Dataset with ``one_hot`` (sequence, position, base).
    tolerance
        By how much predictions may differ, in the unit of the output: the mean distance is about this.
    n_samples
        Samples that are kept, over both chains; an even number.
    thin
        Proposals from one sample to the next.
    burn_in
        Proposals of each chain before the first sample.
    start, end
        Positions to substitute, 0-based, `end` not included; None is the end of the sequence.
    seed
        Of the chains; they also depend on the sequence, and on nothing else.
    path
        As `in_silico_mutagenesis`.
    batch_size
        Number of sequences that are predicted at once.

    Returns
    -------
    xr.Dataset
        ``sampled_base`` (sequence, sample, position, target), the samples as indices in ACGT, 4 for N;
        ``sampled_prediction`` (sequence, sample, target); ``base_probability`` (sequence, position, base,
        target), their logo, and ``position_weight`` (sequence, position, target), its information in bits,
        less what so few samples have by chance (Miller 1955), by how fast the position's own bases change.
        ``acceptance``, ``autocorrelation_time`` (proposals) and ``effective_sample_size`` (sequence, target):
        of the prediction or of the number of bases that are still the sequence's own, whichever changes more
        slowly.

    Raises
    ------
    InputError
        A tolerance or number that is not positive, or another option that is none.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model, encode_sequences
    >>> model = as_sequence_model(lambda x: 5 * x[:, 1, 2], targets=["G in the middle"])
    >>> result = maximum_entropy_samples(model, encode_sequences(["AGT"]), thin=5, burn_in=100)
    >>> result["position_weight"].values[0, :, 0].round(1) + 0.0
    array([0., 2., 0.], dtype=float32)
    """
    sequences = as_sequences(sequences)
    start, end = check_range(start, end, sequences.sizes["position"])
    check_positive("tolerance", tolerance)
    for name, value, least in (("n_samples", n_samples, 1), ("thin", thin, 1), ("burn_in", burn_in, 0)):
        whole_number(name, value, least=least)
    whole_number("seed", seed)
    if n_samples < 4 or n_samples % _CHAINS:
        raise InputError(f"n_samples: expected an even number from 4 on, for two chains, got {n_samples}")
    proposals = burn_in + n_samples * thin
    n_bytes = _BYTES_EACH_PROPOSAL * float(proposals) + float(n_samples) * sequences.sizes["position"]
    check_fits("n_samples", f"{n_samples:,} samples, of {proposals:,} proposals,", n_bytes, "take fewer")
    # Chains of each member would be of other sequences: there is no mean of them.
    model = replace(wrapped_for(sequences, model), members=())
    paths = Paths(path)
    runs = _Chains(start, end, tolerance, n_samples // _CHAINS, thin, burn_in, seed, batch_size)

    def compute(member: SequenceModel, batch: Batch, reference: NDArray) -> Variables:
        return runs.sample(paths.of(member, batch), batch, reference)

    settings: dict[str, int | float | str] = {
        "tolerance": tolerance,
        "n_samples": n_samples,
        "thin": thin,
        "burn_in": burn_in,
        "start": start,
        "end": end,
        "seed": seed,
    }
    return run_method(
        "maximum_entropy_samples",
        model,
        sequences,
        compute,
        settings=lambda: {**settings, **paths.settings()},
        batch_size=batch_size,
        positions=np.arange(start, end),
        coordinates={"chain": ("sample", np.repeat(np.arange(_CHAINS), n_samples // _CHAINS))},
    )


@dataclass(frozen=True)
class _Chains:
    """The chains of all sequences and targets, which are run side by side."""

    start: int
    end: int
    tolerance: float
    n_kept: int
    thin: int
    burn_in: int
    seed: int
    batch_size: int

    @property
    def n_steps(self) -> int:
        return self.burn_in + self.n_kept * self.thin

    def sample(self, path: EditPath, batch: Batch, reference: NDArray) -> Variables:
        """Run the chains, and say what they found."""
        n, n_targets = reference.shape
        codes = codes_of(batch.one_hot)
        kept, values, accepted = self._run(path, batch, codes, reference)
        own = codes[:, np.newaxis, np.newaxis, np.newaxis, self.start : self.end]
        times = _times(values, (kept == own).sum(axis=-1))
        size = _CHAINS * self.n_kept / times
        # (sequence, sample, position, target)
        bases = np.moveaxis(kept.reshape(n, n_targets, _CHAINS * self.n_kept, -1), 1, -1)
        probability = np.stack([(bases == code).mean(axis=1) for code in range(len(BASES))], axis=2)
        sampled = np.moveaxis(values.reshape(n, n_targets, -1), 1, -1)
        weight = _information(probability, self._sizes(kept, own))
        by_target = ("sequence", "target")
        by_dims: dict[str, tuple[tuple[str, ...], NDArray]] = {
            "sampled_prediction": (("sequence", "sample", "target"), sampled),
            "base_probability": (("sequence", "position", "base", "target"), probability),
            "position_weight": (("sequence", "position", "target"), weight),
            "acceptance": (by_target, accepted.mean(axis=-1)),
            "autocorrelation_time": (by_target, self.thin * times),
            "effective_sample_size": (by_target, size),
        }
        found: Variables = {
            name: (dims, array.astype(reference.dtype)) for name, (dims, array) in by_dims.items()
        }
        return found | {"sampled_base": (("sequence", "sample", "position", "target"), bases.astype(np.int8))}

    def _sizes(self, kept: NDArray, own: NDArray) -> NDArray[np.float64]:
        """Number of independent samples (sequence, position, target) of the bases at each position."""
        series = np.moveaxis(kept == own, -1, 2)
        times = _times(series.reshape(series.shape[0], -1, *series.shape[3:]))
        by_position = times.reshape(series.shape[:3]).transpose(0, 2, 1)
        return _CHAINS * self.n_kept / by_position

    def _run(
        self, path: EditPath, batch: Batch, codes: NDArray[np.uint8], reference: NDArray
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Bases and predictions that are kept, and the share of proposals that are accepted.

        They are (sequence, target, chain, draw[, position]), and (sequence, target, chain).
        """
        shape = (*reference.shape, _CHAINS)
        sequence, target, chain = (part.ravel() for part in np.indices(shape))
        proposals = self._proposals(codes, sequence, chain)
        number = np.arange(len(sequence))
        state, value = codes[sequence], reference[sequence, target].copy()
        origin, n_accepted = value.copy(), np.zeros(len(sequence))
        at = np.zeros(len(sequence), np.intp)
        kept = np.empty((len(sequence), self.n_kept, self.end - self.start), np.uint8)
        values = np.empty((len(sequence), self.n_kept), value.dtype)
        rows = batch.rows(sequence)
        ahead = 1 if path.of(1, _LOOKAHEAD) is None else _LOOKAHEAD
        while (at < self.n_steps).any():
            steps = np.minimum(at[:, np.newaxis] + np.arange(ahead), self.n_steps - 1)
            position, shift = (np.take_along_axis(part, steps, axis=1) for part in proposals[:2])
            limit = np.take_along_axis(proposals[2], steps, axis=1)
            new = np.take_along_axis(state, position, axis=1)
            new = np.where(new == N_CODE, N_CODE, (new + shift) % len(BASES))
            proposed = self._predict(path, rows, state, position, new, target)
            further = np.abs(proposed - origin[:, np.newaxis]) - np.abs(value - origin)[:, np.newaxis]
            accepts = (further <= self.tolerance * limit) & (new != N_CODE)
            first = np.where(accepts.any(axis=1), accepts.argmax(axis=1), ahead)
            for k in range(ahead):
                made = (first == k) & (at + k < self.n_steps)
                state[made, position[made, k]], value[made] = new[made, k], proposed[made, k]
                n_accepted += made
                draw, rest = np.divmod(at + k - self.burn_in + 1, self.thin)
                keep = (k <= first) & (at + k < self.n_steps) & (rest == 0) & (draw > 0)
                kept[number[keep], draw[keep] - 1] = state[keep, self.start : self.end]
                values[number[keep], draw[keep] - 1] = value[keep]
            at = np.minimum(at + np.minimum(first + 1, ahead), self.n_steps)
        accepted = (n_accepted / self.n_steps).reshape(shape)
        return kept.reshape(*shape, self.n_kept, -1), values.reshape(*shape, self.n_kept), accepted

    def _proposals(
        self, codes: NDArray[np.uint8], sequence: NDArray[np.intp], chain: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Position, what is added to the base's code, and limit of each proposal (chain, step).

        A proposal is accepted whose distance grows by at most its limit times the tolerance: the limits are
        exponential, so that this has Metropolis' probability.
        """
        seeds = content_seeds(codes, self.seed, "maximum-entropy samples")
        shape = (len(sequence), self.n_steps)
        position, shift, limit = np.empty(shape, np.intp), np.empty(shape, np.intp), np.empty(shape)
        for row, (own, number) in enumerate(zip(sequence, chain, strict=True)):
            rng = np.random.default_rng([*map(int, seeds[own]), int(number)])
            free = self.start + np.flatnonzero(codes[own, self.start : self.end] != N_CODE)
            free = free if len(free) else np.array([self.start])
            position[row] = free[rng.integers(len(free), size=self.n_steps)]
            shift[row] = rng.integers(1, len(BASES), size=self.n_steps)
            limit[row] = rng.exponential(size=self.n_steps)
        return position, shift, limit

    def _predict(
        self,
        path: EditPath,
        rows: Batch,
        state: NDArray[np.uint8],
        position: NDArray[np.intp],
        new: NDArray,
        target: NDArray[np.intp],
    ) -> NDArray:
        """Predictions (chain, proposal) of each chain's own target."""
        n, ahead = position.shape
        now = rows.replaced(np.eye(N_CODE + 1, N_CODE, dtype=rows.one_hot.dtype)[state])

        def edits_of(numbers: NDArray[np.intp]) -> Edits:
            chain, k = np.divmod(numbers, ahead)
            return Edits(chain, position[chain, k, np.newaxis], new[chain, k, np.newaxis].astype(np.intp))

        found: NDArray | None = None
        for numbers, prediction in predict_edits(
            path,
            now,
            n * ahead,
            edits_of,
            per_sequence=_LOOKAHEAD,
            batch_size=self.batch_size,
            description="proposals",
        ):
            if found is None:
                found = np.empty(n * ahead, prediction.dtype)
            found[numbers] = prediction[np.arange(len(numbers)), target[numbers // ahead]]
        return np.empty((n, ahead)) if found is None else found.reshape(n, ahead)


def _times(*series: NDArray) -> NDArray[np.float64]:
    """Autocorrelation time (sequence, target), in draws, of the slowest of series (..., chain, draw)."""
    shape = series[0].shape[:2]
    times = np.array(
        [[autocorrelation_time(each[place]) for each in series] for place in np.ndindex(shape)]
    ).reshape(*shape, len(series))
    slowest = np.nan_to_num(times, nan=0).max(axis=-1)
    # A chain that has not moved at all is one draw.
    return np.where(slowest > 0, slowest, series[0].shape[-1])


def _information(probability: NDArray, size: NDArray) -> NDArray[np.float64]:
    """Bits (sequence, position, target) of base probabilities (sequence, position, base, target)."""
    entropy = -np.where(probability > 0, probability * np.log2(np.maximum(probability, 1e-300)), 0).sum(
        axis=2
    )
    unknown = probability.sum(axis=2) < 0.5
    by_chance = ((probability > 0).sum(axis=2) - 1) / (2 * np.log(2) * size)
    return np.where(unknown, np.nan, np.maximum(np.log2(len(BASES)) - entropy - by_chance, 0))
