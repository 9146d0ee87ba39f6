"""Fit an architecture to labelled bins; checkpoints let an interrupted run go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import ops
from numpy.typing import NDArray

from kipoi_tfbind.architectures import ARCHITECTURES
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.batches import TrainingBatches
from kipoi_tfbind.training.callbacks import EpochStart, KeepBest
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.heads import BEST_EPOCH, fit_heads
from kipoi_tfbind.training.motif_anchor import start_from_motifs
from kipoi_tfbind.training.objective import model_in_training, target_weights
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins, training_bins


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
        Folder for `model.keras` (best epoch), `history.csv`, `config.yaml` and the checkpoint; where heads
        are fitted afterwards, `heads.csv` too. A run that was interrupted goes on from its last epoch when it
        is started again with this folder.
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
    start_from_motifs(model, config.motif_filters, config.regularise.motif_anchor)
    genome = Genome(fasta)
    to_train, validation = bins or bins_of_run(config, genome, peaks_dir)
    done = epochs_done(run_dir)
    training = TrainingBatches(to_train, genome, config, first_epoch=len(done))
    # Only now: a run that could not begin, its peak files misspelt say, does not claim the folder.
    run_dir.mkdir(parents=True, exist_ok=True)
    with whole_file(run_dir / "config.yaml") as path:
        path.write_text(config.to_yaml())
    start_at_prevalence(model, training.labels)
    weights = target_weights(config, training.labels)
    on_logits = model_in_training(model, config, weights, steps=len(training) * config.fit.epochs)
    kept = build_model(config)
    # With heads to fit, `model.keras` is there when they are.
    path_kept = run_dir / (BEST_EPOCH if config.fit.head_epochs else "model.keras")
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
                path_kept,
                done,
            ),
            keras.callbacks.CSVLogger(run_dir / "history.csv", append=True),
            keras.callbacks.BackupAndRestore(
                run_dir / "checkpoint", double_checkpoint=True, delete_checkpoint=False
            ),
            *callbacks,
        ],
    )
    if config.fit.head_epochs and not (run_dir / "model.keras").exists():
        fit_heads(config, (to_train, validation), genome, run_dir, verbose=verbose)
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


def start_at_prevalence(model: keras.Model, labels: NDArray[np.int8]) -> None:
    """Set the biases of the logits to the log-odds of each target among the training labels.

    Bound bins are rare: from a bias of zero, an optimiser spends its first thousand steps on learning
    that, and spoils the features of all targets on the way.
    """
    n_bound = (labels == 1).sum(axis=0) + 1
    n_free = (labels == 0).sum(axis=0) + 1
    model.get_layer("logit").bias.assign(np.log(n_bound / n_free))


def copy_without_auxiliary(trained: keras.Model, kept: keras.Model) -> None:
    """Copy the weights of a model into one that has the first of its targets only."""
    for source, target in zip(trained.weights, kept.weights, strict=True):
        values = ops.convert_to_numpy(source)
        target.assign(values[..., : target.shape[-1]] if target.shape != source.shape else values)


def epochs_done(run_dir: Path, measure: str = "validation_auprc") -> list[float]:
    """A measure in validation of the epochs before the checkpoint, from which an interrupted run goes on.

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
    return pd.read_csv(history)[measure].tolist()


def _check_same_config(config: TrainingConfig, run_dir: Path) -> None:
    path = run_dir / "config.yaml"
    # Read, not compared as text: a run of an earlier version has no entries for options that came later.
    if path.exists() and TrainingConfig.from_yaml(path).to_yaml() != config.to_yaml():
        raise InputError(f"{path}: this folder holds a run of another configuration; give another folder")
