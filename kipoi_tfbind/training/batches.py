"""Batches of training windows: shuffled, jittered, augmented, each epoch anew."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.shuffle import shuffle_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.training.augment import augmented_windows, mixed
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.windows import LabelledBins


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled, jittered, augmented one-hot batches, drawn in each epoch from the seed and the epoch alone.

    Full batches only: what is left over after the last one waits for an epoch in which it comes earlier.
    """

    def __init__(self, bins: LabelledBins, genome: Genome, config: TrainingConfig, first_epoch: int = 0):
        super().__init__(workers=1)
        if len(bins) < config.fit.batch_size:
            raise InputError(
                f"{len(bins)} training bins do not make a batch of {config.fit.batch_size}; "
                "reduce batch_size, or train on more peaks"
            )
        self.length, self.fit, self.augment = config.length, config.fit, config.augmentation
        self.codes, self.labels = with_shuffles(
            bins.codes(genome, config.length + 2 * config.fit.jitter),
            bins.labels,
            config.windows.shuffled,
            config.fit.seed,
        )
        self.epoch = first_epoch
        self._draw()

    def _draw(self) -> None:
        rng = np.random.default_rng((self.fit.seed, self.epoch))
        self.order = rng.permutation(len(self.labels))
        self.shift = rng.integers(0, 2 * self.fit.jitter + 1, size=len(self.labels))

    def __len__(self) -> int:
        return len(self.labels) // self.fit.batch_size

    def __getitem__(self, batch: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        rows = self.order[batch * self.fit.batch_size : (batch + 1) * self.fit.batch_size]
        positions = self.shift[rows, None] + np.arange(self.length)
        plain = self.epoch >= self.fit.epochs - self.augment.plain_epochs
        seed, epoch = self.fit.seed, self.epoch
        windows = augmented_windows(
            self.codes[rows[:, None], positions], rows, self.augment, seed=seed, epoch=epoch, plain=plain
        )
        if not self.augment.mixup or plain:
            return windows, self.labels[rows]
        # The batch is one draw: its number follows the last row's, which no window has.
        rng = np.random.default_rng((seed, epoch, len(self.labels) + batch))
        return mixed(windows, self.labels[rows], self.augment.mixup, rng)

    def on_epoch_end(self) -> None:
        """Draw the order and the shifts of the next epoch."""
        self.epoch += 1
        self._draw()


def with_shuffles(
    codes: NDArray[np.uint8], labels: NDArray[np.int8], share: float, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Windows and labels with dinucleotide shuffles of bound windows added, which no factor binds.

    Parameters
    ----------
    codes
        Base codes (window, position).
    labels
        (window, target).
    share
        Shuffles per window that is bound by any factor; of some of them at random where it is below 1.
    seed
        Of the choice and of the shuffles.

    Examples
    --------
    >>> codes, labels = np.array([[0, 1, 2, 3, 0, 2, 1]], np.uint8), np.array([[1, -1]], np.int8)
    >>> with_shuffles(codes, labels, 1, seed=1)[1].tolist()
    [[1, -1], [0, 0]]
    """
    bound = np.flatnonzero((labels == 1).any(axis=1))
    whole, rest = divmod(share, 1)
    part = np.random.default_rng([seed, len(codes)]).permutation(bound)[: round(rest * len(bound))]
    draws = [(bound, int(whole))] * (whole > 0) + [(part, 1)] * (len(part) > 0)
    added = [
        shuffle_codes(codes[rows], n, seed=seed + kind).reshape(-1, codes.shape[1])
        for kind, (rows, n) in enumerate(draws)
    ]
    n_added = sum(map(len, added))
    return np.concatenate([codes, *added]), np.concatenate(
        [labels, np.zeros((n_added, labels.shape[1]), dtype=labels.dtype)]
    )
