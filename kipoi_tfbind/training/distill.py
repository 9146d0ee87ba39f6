"""Distil an ensemble into a model of a few of its members that says what all of them would say."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import one_hot_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.kipoi_model import mixture_of
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.callbacks import EpochStart, KeepBest, predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.distillation_windows import PART, Distillation, distillation_windows, hard_bins
from kipoi_tfbind.training.fidelity import fidelity
from kipoi_tfbind.training.fit import epochs_done
from kipoi_tfbind.training.metrics import mean_auprc
from kipoi_tfbind.training.objective import cosine_optimizer
from kipoi_tfbind.training.student import DistillationLoss, load_ensemble, on_members, student_of
from kipoi_tfbind.training.windows import POSITIVE, LabelledBins, held_out_bins, training_bins

log = logging.getLogger(__name__)

# Held-out bins of each kind on which the student is compared with the ensemble.
_CHECKED = 4000


def distill(
    ensemble_dir: str | Path,
    fasta: str | Path,
    peaks_dir: str | Path,
    run_dir: str | Path,
    options: Distillation,
    *,
    verbose: int | str = "auto",
) -> keras.Model:
    """Train a student on the log-odds of all members of an ensemble, and write it as a run of its own.

    The student has the layers of the kept members, and from all their features a head for each member of
    the ensemble, so that it gives the ensemble's mean and, as the spread of its heads, how far the members
    are apart (Tran et al. 2020, arXiv:2001.04694). Its heads are mixed with the ensemble's weights. It
    learns from log-odds, not from labels, so that windows need none: shuffled, mutated and random ones are
    among them (Hinton et al. 2015, arXiv:1503.02531). Normalisations stay as the members have them, and
    nothing is dropped.

    Parameters
    ----------
    ensemble_dir
        Folder that :func:`kipoi_tfbind.training.ensemble.ensemble_runs` wrote.
    fasta, peaks_dir
        As in training.
    run_dir
        Folder for `model.keras` (of the epoch with the best mean AUPRC in validation), `history.csv`,
        `distillation.json`, `fidelity.json` (of 4,000 held-out bins:
        :func:`kipoi_tfbind.training.fidelity.fidelity`), the configurations of the ensemble, and the bins and
        log-odds that the student learns from. A run that was interrupted goes on when it is started again
        with this folder.
    options
        See :class:`Distillation`.
    verbose
        Keras' progress.

    Returns
    -------
    keras.Model
        The best student, as in `model.keras`: layers `member_logits`, `logit` and `probability`, as an
        ensemble has.

    Raises
    ------
    InputError
        No ensemble is in the folder, it has no such member, or `run_dir` holds another run.
    """
    ensemble_dir, run_dir = Path(ensemble_dir), Path(run_dir)
    teacher = load_ensemble(ensemble_dir)
    config = TrainingConfig.from_yaml(ensemble_dir / "config.yaml")
    student = student_of(teacher, options.keep, _architectures(ensemble_dir))
    run = _check_same_run(run_dir, ensemble_dir, options)
    genome = Genome(fasta)
    validation = held_out_bins(config, genome, peaks_dir, "validation")
    # Of the ensemble's targets alone: those that helped in its training are none of the student's.
    config = replace(config, auxiliary={})
    bins = training_bins(config, genome, peaks_dir)
    codes = distillation_windows(
        bins.codes(genome, config.length + 2 * config.fit.jitter), bins.labels, config, options
    )
    # Only now: a run that could not begin does not claim the folder.
    _claim(run_dir, ensemble_dir, run)
    if options.hard:
        # Ranking takes minutes: a run that goes on finds the bins in its folder.
        data = repr((run, config, str(genome.path), str(peaks_dir)))
        kept = run_dir / f"hard.{hashlib.md5(data.encode()).hexdigest()}.npz"
        if not kept.exists():
            n_bound = int((bins.labels == POSITIVE).any(axis=1).sum())
            hard_bins(student, n_bound, config, genome, peaks_dir, options).save(kept)
        codes = np.concatenate([codes, LabelledBins.load(kept).codes(genome, config.length)])
    done = epochs_done(run_dir)
    batches = _Batches(codes, _teach(teacher, codes, run_dir), options, first_epoch=len(done))
    weights, bias = mixture_of(teacher)
    in_training = on_members(student)
    in_training.compile(
        cosine_optimizer(options.learning_rate, len(batches) * options.epochs),
        DistillationLoss(weights, bias),
    )
    held_out = validation.codes(genome, config.length)
    if not done:
        value = mean_auprc(validation.labels, predict_codes(student, held_out))
        log.info("at the start: mean AUPRC in validation %.4f", value)
    in_training.fit(
        batches,
        epochs=options.epochs,
        shuffle=False,  # the batches are
        verbose=verbose,
        callbacks=[
            EpochStart(options.seed),
            KeepBest(student, held_out, validation.labels, run_dir / "model.keras", done),
            keras.callbacks.CSVLogger(run_dir / "history.csv", append=True),
            keras.callbacks.BackupAndRestore(
                run_dir / "checkpoint", double_checkpoint=True, delete_checkpoint=False
            ),
        ],
    )
    student = keras.models.load_model(run_dir / "model.keras")
    test = held_out_bins(config, genome, peaks_dir, "test")
    rng = np.random.default_rng(options.seed)
    heads = [
        _members_of((teacher, student), bins.codes(genome, config.length), rng) for bins in (validation, test)
    ]
    found = fidelity(heads[0], heads[1], mixture_of(teacher), config.target_names)
    with whole_file(run_dir / "fidelity.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n")
    return student


def _members_of(
    models: Sequence[keras.Model], codes: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log-odds (member, bin, target) of an ensemble and of its student, of some of the bins."""
    codes = codes[rng.choice(len(codes), min(len(codes), _CHECKED), replace=False)]
    one, two = (
        predict_codes(on_members(model), codes).reshape(len(codes), -1, model.output_shape[1]).swapaxes(0, 1)
        for model in models
    )
    return one, two


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


def _teach(teacher: keras.Model, codes: NDArray[np.uint8], run_dir: Path) -> NDArray[np.float32]:
    """Log-odds (window, member times target) of an ensemble; parts that are there are not computed again."""
    heads = on_members(teacher)
    folder = run_dir / "teacher"
    folder.mkdir(exist_ok=True)
    parts = []
    with progress("ensemble's log-odds", total=len(codes), unit="window") as bar:
        for start in range(0, len(codes), PART):
            part = codes[start : start + PART]
            path = folder / f"{start}.npy"
            if not path.exists():
                with whole_file(path) as new, open(new, "wb") as file:
                    np.save(file, predict_codes(heads, part))
            parts.append(np.load(path))
            bar.update(len(part))
    return np.concatenate(parts)


def _architectures(ensemble_dir: Path) -> list[str]:
    return [member["architecture"] for member in json.loads((ensemble_dir / "members.json").read_text())]


def _check_same_run(run_dir: Path, ensemble_dir: Path, options: Distillation) -> str:
    """The text of `distillation.json`, unless the folder has that of another run."""
    md5 = hashlib.md5((ensemble_dir / "model.keras").read_bytes()).hexdigest()
    run = json.dumps({**asdict(options), "ensemble": md5}, indent=1) + "\n"
    path = run_dir / "distillation.json"
    if path.exists() and path.read_text() != run:
        raise InputError(
            f"{path}: this folder holds a run with other options, or of another ensemble; give another folder"
        )
    return run


def _claim(run_dir: Path, ensemble_dir: Path, run: str) -> None:
    """Write what a run is made with, and of, into its folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for source in (
        ensemble_dir / "config.yaml",
        ensemble_dir / "members.json",
        *ensemble_dir.glob("member-*.yaml"),
    ):
        with whole_file(run_dir / source.name) as copy:
            copy.write_text(source.read_text())
    with whole_file(run_dir / "distillation.json") as new:
        new.write_text(run)
