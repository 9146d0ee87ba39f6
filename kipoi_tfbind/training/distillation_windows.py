"""What a student is asked about: windows that its ensemble has not learned by heart are the most use."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.arguments import whole_number
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.notices import progress
from kipoi_tfbind.training.batches import with_shuffles
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.windows import POSITIVE, LabelledBins, training_bins

log = logging.getLogger(__name__)

# Windows that a model is asked about between two steps of the bar.
PART = 4096
# Unbound bins that are looked at for each that is taken.
_LOOKED_AT = 8


@dataclass(frozen=True)
class Distillation:
    """What a student begins with, and what it is trained on.

    Parameters
    ----------
    members
        Number of members whose layers the student begins with, those that together come closest to the
        ensemble (:func:`kipoi_tfbind.training.kept_members.closest_members`).
    keep
        Numbers of the members, from 1, to keep instead.
    windows
        Number of windows: training bins of the ensemble and their shuffles, each at a random shift, and
        as many of the other kinds as their shares say.
    mutated
        Share of windows in which each base is redrawn with a probability of up to `mutation_rate`.
    mutation_rate
        See `mutated`.
    recombined
        Share of windows that are one window up to a position in their middle half, and another one from
        there.
    hard
        Share of windows that are bins of the training regions without a peak, of those that the student,
        before its training, ranks first for some target: false alarms, which members do not share.
    random
        Share of random sequences, of the bases of the windows.
    epochs, batch_size, learning_rate
        Of the training.
    seed
        Of the choice of windows and of their order.
    """

    members: int = 1
    keep: tuple[int, ...] = ()
    windows: int = 90_000
    mutated: float = 0.2
    mutation_rate: float = 0.2
    recombined: float = 0.15
    hard: float = 0.45
    random: float = 0.02
    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 3e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("members", "windows", "epochs", "batch_size"):
            whole_number(name, getattr(self, name), least=1)
        whole_number("seed", self.seed)
        for name in ("mutated", "mutation_rate", "recombined", "hard", "random"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        shares = (self.mutated, self.recombined, self.hard, self.random)
        if sum(shares) > 1:
            raise InputError(
                f"mutated, recombined, hard, random: expected shares that sum to 1 at most, got {shares}"
            )
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate: expected a number above 0, got {self.learning_rate}")
        if self.batch_size > self.windows:
            raise InputError(f"batch_size: {self.batch_size} is more than there are windows, {self.windows}")

    def check_members(self, n_members: int) -> None:
        """Refuse members that an ensemble does not have, or that are given twice.

        Raises
        ------
        InputError
            There are such.
        """
        if self.members > n_members:
            raise InputError(f"members: the ensemble has {n_members}, got {self.members}; keep fewer")
        if len(set(self.keep)) < len(self.keep) or not set(self.keep) <= set(range(1, n_members + 1)):
            raise InputError(
                f"keep: expected different numbers of members, from 1 to {n_members}, got {list(self.keep)}"
            )


def distillation_windows(
    codes: NDArray[np.uint8], labels: NDArray[np.int8], config: TrainingConfig, options: Distillation
) -> NDArray[np.uint8]:
    """Base codes (window, position) of the windows that the ensemble is asked about.

    Parameters
    ----------
    codes
        Of the training bins, wider than the model's window by the jitter of `config` on either side.
    labels
        Of the training bins.
    config
        Of the ensemble.
    options
        How many of which kind; hard ones are not among them.
    """
    rng = np.random.default_rng(options.seed)
    codes, _ = with_shuffles(codes, labels, config.windows.shuffled, options.seed)
    n_random = round(options.windows * options.random)
    n_real = options.windows - n_random - round(options.windows * options.hard)
    rows = rng.choice(len(codes), n_real, replace=len(codes) < n_real)
    shift = rng.integers(0, 2 * config.fit.jitter + 1, len(rows))
    windows = codes[rows[:, None], shift[:, None] + np.arange(config.length)]
    n_mutated, n_recombined = (
        round(options.windows * share) for share in (options.mutated, options.recombined)
    )
    recombined = windows[n_mutated : n_mutated + n_recombined]
    other = windows[rng.integers(0, len(windows), len(recombined))]
    cut = rng.integers(config.length // 4, config.length - config.length // 4, (len(recombined), 1))
    recombined[:] = np.where(np.arange(config.length) < cut, recombined, other)
    mutated = windows[:n_mutated]
    rate = options.mutation_rate * rng.random((len(mutated), 1))
    hit = (rng.random(mutated.shape) < rate) & (mutated < 4)
    mutated[hit] = rng.integers(0, 4, int(hit.sum()))
    known = windows[windows < 4]
    drawn = known[rng.integers(0, len(known), (n_random, config.length))]
    return rng.permutation(np.concatenate([windows, drawn]))


def hard_bins(
    student: keras.Model,
    n_bound: int,
    config: TrainingConfig,
    genome: Genome,
    peaks_dir: str | Path,
    options: Distillation,
) -> LabelledBins:
    """Bins without a peak that a student ranks first for some target, in that order.

    Parameters
    ----------
    student
        Before its training.
    n_bound
        Number of the training bins that are bound.
    config
        Of the ensemble, without auxiliary targets.
    genome, peaks_dir
        As in training.
    options
        How many; eight times as many bins, if there are, are looked at.
    """
    n = round(options.windows * options.hard)
    many = replace(config.windows, gc_matched=0.0, random=_LOOKED_AT * n / n_bound)
    bins = training_bins(replace(config, windows=many), genome, peaks_dir)
    bins = bins.select(~(bins.labels == POSITIVE).any(axis=1))
    on_logits = keras.Model(student.input, student.get_layer("logit").output)
    log.info("%d of %d bins without a peak, those that the student ranks first", n, len(bins))
    parts = []
    with progress("bins ranked", total=len(bins), unit="bin") as bar:
        for start in range(0, len(bins), PART):
            part = bins.select(slice(start, start + PART))
            parts.append(predict_codes(on_logits, part.codes(genome, config.length)))
            bar.update(len(part))
    best = np.concatenate(parts).argsort(axis=0)[::-1].argsort(axis=0).min(axis=1)
    return bins.select(np.argsort(best, kind="stable")[:n])
