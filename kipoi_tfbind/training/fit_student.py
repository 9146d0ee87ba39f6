"""Train a student on the log-odds of its ensemble; checkpoints let an interrupted run go on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.kipoi_model import mixture_of
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.callbacks import EpochStart, predict_codes
from kipoi_tfbind.training.distillation_windows import Distillation
from kipoi_tfbind.training.fit import epochs_done
from kipoi_tfbind.training.objective import cosine_optimizer
from kipoi_tfbind.training.student import DistillationLoss, on_members

log = logging.getLogger(__name__)


def fit_student(
    student: keras.Model,
    windows: tuple[NDArray, NDArray],
    held_out: tuple[NDArray, NDArray],
    run_dir: Path,
    options: Distillation,
    verbose: int | str,
) -> None:
    """Train a student on what its ensemble says; `model.keras` is what was closest to it in validation.

    Parameters
    ----------
    student
        As it begins.
    windows, held_out
        Base codes (window, position), and the ensemble's log-odds (window, member times target) of them: to
        learn from, and of the validation bins.
    run_dir
        Folder of the run, for `history.csv` too; one that was interrupted goes on.
    options
        See :class:`~kipoi_tfbind.training.distillation_windows.Distillation`.
    verbose
        Keras' progress.
    """
    done = epochs_done(run_dir, "validation_loss")
    loss = DistillationLoss(*mixture_of(student))
    # Before the checkpoint's weights are read: how close the student begins.
    keep_closest = KeepClosest(student, *held_out, loss, run_dir / "model.keras", done)
    batches = _Batches(*windows, options, first_epoch=len(done))
    in_training = on_members(student)
    in_training.compile(cosine_optimizer(options.learning_rate, len(batches) * options.epochs), loss)
    in_training.fit(
        batches,
        epochs=options.epochs,
        shuffle=False,  # the batches are
        verbose=verbose,
        callbacks=[
            EpochStart(options.seed),
            keep_closest,
            keras.callbacks.CSVLogger(run_dir / "history.csv", append=True),
            keras.callbacks.BackupAndRestore(
                run_dir / "checkpoint", double_checkpoint=True, delete_checkpoint=False
            ),
        ],
    )


class KeepClosest(keras.callbacks.Callback):
    """After each epoch, how far a student is from its ensemble in validation; saves it where it is closest.

    Not the AUPRC: of a factor with few bound bins in validation it is decided by two or three of them.
    """

    def __init__(
        self,
        student: keras.Model,
        codes: NDArray[np.uint8],
        known: NDArray[np.float32],
        loss: DistillationLoss,
        path: Path,
        done: list[float],
    ):
        super().__init__()
        self.student, self.codes, self.known, self.loss, self.path = student, codes, known, loss, path
        start = self.measure()
        log.info("at the start: loss in validation %.5f", start)
        self.best = min([start, *done])
        if not path.exists():
            self.save()

    def measure(self) -> float:
        """Loss in validation."""
        return float(self.loss(self.known, predict_codes(on_members(self.student), self.codes)))

    def save(self) -> None:
        """Write the student."""
        with whole_file(self.path) as path:
            self.student.save(path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure, and save where it is closest."""
        value = self.measure()
        if logs is not None:
            logs["validation_loss"] = value
        log.info("epoch %d: loss in validation %.5f", epoch + 1, value)
        if value < self.best:
            self.best = value
            self.save()


class _Batches(keras.utils.PyDataset):
    """Shuffled batches of windows and the ensemble's log-odds, from the seed and the epoch alone."""

    def __init__(self, codes: NDArray, logits: NDArray, options: Distillation, first_epoch: int):
        super().__init__(workers=1)
        self.codes, self.logits, self.options, self.epoch = codes, logits, options, first_epoch
        self._draw()

    def _draw(self) -> None:
        self.order = np.random.default_rng((self.options.seed, self.epoch)).permutation(len(self.codes))

    def __len__(self) -> int:
        return len(self.codes) // self.options.batch_size

    def __getitem__(self, batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        size = self.options.batch_size
        rows = self.order[batch * size : (batch + 1) * size]
        return one_hot_codes(self.codes[rows]), self.logits[rows]

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self.epoch += 1
        self._draw()
