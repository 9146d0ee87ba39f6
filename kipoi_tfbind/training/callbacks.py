"""What happens between the epochs of a training: draws are set, the model is measured, the best one saved."""

from __future__ import annotations

import importlib
import logging
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import MissingProgramError
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.metrics import mean_auprc

log = logging.getLogger(__name__)


def tensorboard_log(run_dir: str | Path) -> keras.callbacks.Callback:
    """Callback of `train` that writes losses and validation into `run_dir/tensorboard`.

    Raises
    ------
    MissingProgramError
        TensorBoard is not installed.
    """
    try:
        importlib.import_module("tensorboard")
    except ImportError:
        raise MissingProgramError(
            "TensorBoard is not installed: pip install 'kipoi_tfbind[tensorboard]', or train without its log"
        ) from None
    return keras.callbacks.TensorBoard(str(Path(run_dir) / "tensorboard"), write_graph=False)


class EpochStart(keras.callbacks.Callback):
    """At the start of each epoch, sets the states of all random layers from the seed and the epoch alone.

    So dropout, too, goes on after an interruption as if there had been none. Takes the CPU seconds of the
    epoch's steps; the first of all callbacks, so that no other one counts.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Set the states."""
        self.began = time.process_time()
        if keras.backend.backend() == "torch":
            # There Keras leaves dropout without a seed of its own to PyTorch's generator.
            (state,) = np.random.SeedSequence((self.seed, epoch)).generate_state(1)
            keras.utils.set_random_seed(int(state))
        for place, layer in enumerate(self.model._flatten_layers()):
            if generator := getattr(layer, "seed_generator", None):
                state = np.random.SeedSequence((self.seed, epoch, place)).generate_state(2)
                generator.state.assign(state)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Log the seconds."""
        if logs is not None:
            logs["cpu_seconds"] = time.process_time() - self.began


class KeepBest(keras.callbacks.Callback):
    """After each epoch, the mean AUPRC of a model in validation; saves it when it is the best so far."""

    def __init__(
        self,
        measured: keras.Model,
        codes: NDArray[np.uint8],
        labels: NDArray[np.int8],
        path: Path,
        done: list[float],
    ):
        super().__init__()
        self.measured, self.codes, self.labels, self.path = measured, codes, labels, path
        self.best = max(done, default=-np.inf)
        self.told = False

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measure, and save where it is the best."""
        scores = predict_codes(self.measured, self.codes)
        value = mean_auprc(self.labels, scores)
        if not np.ptp(scores, axis=0).any() and not self.told:
            self.told = True
            notice(
                f"epoch {epoch + 1}: the prediction is the same for every window of validation. All units of "
                "a layer may have died (ReLU), which nothing undoes: try another seed, or a lower rate"
            )
        if logs is not None:
            logs["validation_auprc"] = value
        log.info("epoch %d: mean AUPRC in validation %.4f", epoch + 1, value)
        if value > self.best:
            self.best = value
            with whole_file(self.path) as path:
                self.measured.save(path)


def predict_codes(model: keras.Model, codes: NDArray[np.uint8], batch_size: int = 512) -> NDArray[np.float32]:
    """Predictions (sequence, target) for base codes (sequence, position), one-hot only batch by batch."""
    return np.concatenate(
        [
            ops.convert_to_numpy(model.predict_on_batch(one_hot_codes(codes[start : start + batch_size])))
            for start in range(0, len(codes), batch_size)
        ]
    )
