"""Fit an architecture to labelled bins; checkpoints let an interrupted run go on."""

from __future__ import annotations

import importlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.architectures import ARCHITECTURES
from kipoi_tfbind.backends.keras_objective import ObjectiveModel
from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.layers import RevCompConv1D
from kipoi_tfbind.notices import notice
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.batches import TrainingBatches
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.metrics import mean_auprc
from kipoi_tfbind.training.motif_filters import set_motif_filters
from kipoi_tfbind.training.regularise import RegularisedLoss
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins, training_bins

log = logging.getLogger(__name__)


def train(
    config: TrainingConfig,
    fasta: str | Path,
    peaks_dir: str | Path,
    run_dir: str | Path,
    *,
    verbose: int | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    bins: tuple[LabelledBins, LabelledBins] | None = None,
) -> keras.Model:
    """Train a model and keep the weights of the epoch with the best mean AUPRC in validation.

    Parameters
    ----------
    config
        The run; see :class:`TrainingConfig`.
    fasta, peaks_dir
        The genome and the folder of the peak files that the configuration names.
    run_dir
        Folder for `model.keras` (best epoch), `history.csv`, `config.yaml` and the checkpoint. A run
        that was interrupted goes on from its last epoch when it is started again with this folder.
    verbose
        Keras' progress: `"auto"`, 0 (silent), 1 (bar) or 2 (a line for each epoch).
    callbacks
        Further Keras callbacks, such as :class:`keras.callbacks.TensorBoard`.
    bins
        Bins to train on and bins to validate with, as `training_bins` and `held_out_bins` gave them for the
        same data, where they are at hand.

    Returns
    -------
    keras.Model
        The best model, as in `model.keras`.

    Raises
    ------
    InputError
        A file is missing or unusable, or `run_dir` holds a run of another configuration.
    """
    run_dir = Path(run_dir)
    _check_same_config(config, run_dir)
    keras.utils.set_random_seed(config.fit.seed)
    model = build_model(config, n_targets=len(config.trained_targets))
    start_from_motifs(model, config.motif_filters)
    genome = Genome(fasta)
    to_train, validation = bins or bins_of_run(config, genome, peaks_dir)
    done = epochs_done(run_dir)
    training = TrainingBatches(to_train, genome, config, first_epoch=len(done))
    # Only now: a run that could not begin, its peak files misspelt say, does not claim the folder.
    run_dir.mkdir(parents=True, exist_ok=True)
    with whole_file(run_dir / "config.yaml") as path:
        path.write_text(config.to_yaml())
    start_at_prevalence(model, training.labels)
    on_logits = model_in_training(model, config, steps=len(training) * config.fit.epochs)
    kept = build_model(config)
    on_logits.fit(
        training,
        epochs=config.fit.epochs,
        shuffle=False,  # the batches are: Keras' own order would not go on after an interruption
        verbose=verbose,
        callbacks=[
            EpochStart(config.fit.seed),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: copy_without_auxiliary(model, kept)),
            KeepBest(
                kept,
                validation.codes(genome, config.length),
                validation.labels,
                run_dir / "model.keras",
                done,
            ),
            keras.callbacks.CSVLogger(run_dir / "history.csv", append=True),
            keras.callbacks.BackupAndRestore(
                run_dir / "checkpoint", double_checkpoint=True, delete_checkpoint=False
            ),
            *callbacks,
        ],
    )
    return keras.models.load_model(run_dir / "model.keras")


def bins_of_run(
    config: TrainingConfig, genome: Genome, peaks_dir: str | Path
) -> tuple[LabelledBins, LabelledBins]:
    """Bins to train on, and bins to validate with."""
    validation = held_out_bins(config, genome, peaks_dir, "validation")
    return training_bins(config, genome, peaks_dir), validation


def build_model(config: TrainingConfig, n_targets: int | None = None) -> keras.Model:
    """Return the untrained model that a configuration describes; by default without auxiliary targets."""
    if config.architecture not in ARCHITECTURES:
        raise InputError(f"architecture {config.architecture!r} is unknown; known: {sorted(ARCHITECTURES)}")
    try:
        model = ARCHITECTURES[config.architecture](
            **config.hyperparameters, n_targets=n_targets or len(config.targets)
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"hyperparameters of {config.architecture}: {error}") from None
    inputs = [tensor.name for tensor in model.inputs]
    if inputs != ["sequence"] or not hasattr(model.output, "shape"):
        raise InputError(
            f"architecture {config.architecture!r} takes {inputs} and gives {model.output_names}; a training "
            "run has sequences alone, and bound or not for each target"
        )
    return model


def model_in_training(model: keras.Model, config: TrainingConfig, steps: int) -> keras.Model:
    """Compiled model of the logits: the layers of a model, and the loss that a configuration describes."""
    inputs, logits = model.input, model.get_layer("logit").output
    weights = [1.0] * len(config.targets) + [config.fit.auxiliary_weight] * len(config.auxiliary)
    optimizer = cosine_optimizer(config.fit.learning_rate, steps, config.fit.weight_decay)
    loss = MaskedCrossEntropy(weights, config.regularise.label_smoothing)
    if config.regularise.needs_input_gradients:
        on_logits = ObjectiveModel(inputs, logits, RegularisedLoss(loss, config.regularise))
        on_logits.compile(optimizer)
    else:
        on_logits = keras.Model(inputs, logits)
        on_logits.compile(optimizer, loss)
    return on_logits


def start_at_prevalence(model: keras.Model, labels: NDArray[np.int8]) -> None:
    """Set the biases of the logits to the log-odds of each target among the training labels.

    Bound bins are rare: from a bias of zero, an optimiser spends its first thousand steps on learning
    that, and spoils the features of all targets on the way.
    """
    n_bound = (labels == 1).sum(axis=0) + 1
    n_free = (labels == 0).sum(axis=0) + 1
    model.get_layer("logit").bias.assign(np.log(n_bound / n_free))


def start_from_motifs(model: keras.Model, matrix_ids: Sequence[str]) -> None:
    """Set the first filters of the layer `motifs` to JASPAR motifs, on both strands unless it ties them."""
    if matrix_ids:
        layer = model.get_layer("motifs")
        both = not isinstance(layer, RevCompConv1D)
        layer.kernel.assign(set_motif_filters(ops.convert_to_numpy(layer.kernel), matrix_ids, both))


class MaskedCrossEntropy(keras.losses.Loss):
    """Mean binary cross-entropy of logits over the (bin, target) pairs that are not ambiguous (label -1).

    Parameters
    ----------
    weights
        Of each target in the mean.
    smoothing
        Share s of label smoothing: a label y counts as (1 - s) y + s / 2.
    """

    def __init__(self, weights: Sequence[float], smoothing: float = 0.0):
        super().__init__(reduction=None, name="masked_cross_entropy")
        self.weights = np.asarray(weights, dtype=np.float32)
        self.smoothing = smoothing

    def call(self, labels: Any, logits: Any) -> Any:
        """Loss of a batch, a scalar."""
        labels = ops.cast(labels, logits.dtype)
        weights = ops.cast(labels >= 0, logits.dtype) * ops.cast(self.weights, logits.dtype)
        labels = (1 - self.smoothing) * labels + self.smoothing / 2
        losses = ops.relu(logits) - logits * labels + ops.softplus(-ops.abs(logits))
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-6)


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


def copy_without_auxiliary(trained: keras.Model, kept: keras.Model) -> None:
    """Copy the weights of a model into one that has the first of its targets only."""
    for source, target in zip(trained.weights, kept.weights, strict=True):
        values = ops.convert_to_numpy(source)
        target.assign(values[..., : target.shape[-1]] if target.shape != source.shape else values)


def predict_codes(model: keras.Model, codes: NDArray[np.uint8], batch_size: int = 512) -> NDArray[np.float32]:
    """Predictions (sequence, target) for base codes (sequence, position), one-hot only batch by batch."""
    return np.concatenate(
        [
            ops.convert_to_numpy(model.predict_on_batch(one_hot_codes(codes[start : start + batch_size])))
            for start in range(0, len(codes), batch_size)
        ]
    )


def cosine_optimizer(rate: float, steps: int, weight_decay: float = 0.0) -> keras.optimizers.Optimizer:
    """AdamW; its rate rises in the first twentieth of the steps, then falls to 0 as a cosine."""
    warm_up = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up
    )
    return keras.optimizers.AdamW(schedule, weight_decay=weight_decay)


def epochs_done(run_dir: Path) -> list[float]:
    """Mean AUPRC in validation of the epochs before the checkpoint, from which an interrupted run goes on.

    The history is written before the checkpoint, so a run that was killed in between is an epoch ahead
    in it; that epoch will be run again, and its line goes.
    """
    history, checkpoint = run_dir / "history.csv", run_dir / "checkpoint" / "training_metadata.json"
    if not history.exists() or not history.stat().st_size:  # begun, and ended within the first epoch
        return []
    epochs = json.loads(checkpoint.read_text())["epoch"] if checkpoint.exists() else 0
    header_and_epochs = history.read_text().splitlines(keepends=True)[: 1 + epochs]
    with whole_file(history) as path:
        path.write_text("".join(header_and_epochs))
    return pd.read_csv(history)["validation_auprc"].tolist()


def _check_same_config(config: TrainingConfig, run_dir: Path) -> None:
    path = run_dir / "config.yaml"
    # Read, not compared as text: a run of an earlier version has no entries for options that came later.
    if path.exists() and TrainingConfig.from_yaml(path).to_yaml() != config.to_yaml():
        raise InputError(f"{path}: this folder holds a run of another configuration; give another folder")
