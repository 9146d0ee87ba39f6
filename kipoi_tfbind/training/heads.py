"""An epoch for each target: the last layer trained on, and of each target its best head kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

import kipoi_tfbind.layers  # noqa: F401 (saved models are made of them)
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.batches import TrainingBatches
from kipoi_tfbind.training.callbacks import EpochStart, predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.metrics import target_auprc
from kipoi_tfbind.training.objective import MaskedCrossEntropy, cosine_optimizer
from kipoi_tfbind.training.windows import LabelledBins

BEST_EPOCH, HEADS = "best_epoch.keras", "heads.csv"


def fit_heads(
    config: TrainingConfig,
    bins: tuple[LabelledBins, LabelledBins],
    genome: Genome,
    run_dir: Path,
    verbose: int | str = "auto",
) -> None:
    """Train the last layer of a run's best epoch on, and keep of each target the head of its own best epoch.

    Heads of different epochs go together only over the same features. So all layers before the last stay as
    they are in `best_epoch.keras`. In `fit.head_epochs` further epochs, of windows without augmentation, the
    last one is trained under the cross-entropy alone, and of each target the weights of the epoch with the
    best AUPRC in validation are kept, those from before included. Writes `heads.csv`, a row for each epoch
    with the AUPRC of each target (epoch 0: before), then `model.keras`. All follows from `best_epoch.keras`:
    after an interruption, it is done again.

    Parameters
    ----------
    bins
        To train on, and to validate with.
    """
    keras.utils.set_random_seed(config.fit.seed)
    # The kept one is not the trained one: which layers are trained is saved with a model.
    kept, trained = (keras.models.load_model(run_dir / BEST_EPOCH) for _ in range(2))
    for layer in trained.layers:
        layer.trainable = layer.name == "logit"
    to_train, validation = bins
    n = len(config.targets)
    to_train = replace(to_train, labels=to_train.labels[:, :n], targets=to_train.targets[:n])
    epochs = config.fit.epochs
    batches = TrainingBatches(to_train, genome, config, first_epoch=epochs)
    choice = _BestHeads(trained, validation.codes(genome, config.length), validation.labels)
    on_logits = keras.Model(trained.input, trained.get_layer("logit").output)
    on_logits.compile(
        cosine_optimizer(
            config.fit.learning_rate, len(batches) * config.fit.head_epochs, config.fit.weight_decay
        ),
        MaskedCrossEntropy([1.0] * n, config.regularise.label_smoothing),
    )
    on_logits.fit(
        batches,
        initial_epoch=epochs,
        epochs=epochs + config.fit.head_epochs,
        shuffle=False,
        verbose=verbose,
        callbacks=[EpochStart(config.fit.seed), choice],
    )
    kept.get_layer("logit").set_weights(choice.weights)
    table = pd.DataFrame(choice.values, columns=list(config.targets))
    table.insert(0, "epoch", range(len(table)))
    table.insert(1, "cpu_seconds", choice.seconds)
    with whole_file(run_dir / HEADS) as path:
        table.to_csv(path, index=False)
    with whole_file(run_dir / "model.keras") as path:
        kept.save(path)


class _BestHeads(keras.callbacks.Callback):
    """Kernel and bias of the last layer, of each target those of its best epoch in validation."""

    def __init__(self, measured: keras.Model, codes: NDArray[np.uint8], labels: NDArray[np.int8]) -> None:
        super().__init__()
        self.measured, self.codes, self.labels = measured, codes, labels
        self.values: list[NDArray[np.float64]] = []
        self.seconds: list[float] = []
        self.weights = self._head()
        self._take(0.0)

    def _head(self) -> list[NDArray]:
        return [ops.convert_to_numpy(weight).copy() for weight in self.measured.get_layer("logit").weights]

    def _take(self, seconds: float) -> None:
        """Measure the heads, and keep those that are better than all before."""
        found = target_auprc(self.labels, predict_codes(self.measured, self.codes))
        better = found > np.max(self.values, axis=0, initial=-np.inf)
        for kept, now in zip(self.weights, self._head(), strict=True):
            kept[..., better] = now[..., better]
        self.values.append(found)
        self.seconds.append(seconds)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measure; the seconds are those of `EpochStart`."""
        self._take((logs or {}).get("cpu_seconds", 0.0))
