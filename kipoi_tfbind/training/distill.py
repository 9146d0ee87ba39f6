"""Distil an ensemble into a model of a few of its members that says what all of them would say."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.kipoi_model import mixture_of
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.distillation_windows import PART, Distillation, distillation_windows, hard_bins
from kipoi_tfbind.training.fidelity import fidelity, mixed
from kipoi_tfbind.training.fit_student import fit_student
from kipoi_tfbind.training.kept_members import closest_members, shares_of_kept
from kipoi_tfbind.training.student import importance, load_ensemble, on_members, student_of
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
    are apart (Tran et al. 2020, arXiv:2001.04694). Its heads are mixed with the ensemble's weights. Which
    members are kept, and how the heads of the others begin, is fitted to the ensemble's log-odds of the
    validation bins, which it was not trained on: :mod:`kipoi_tfbind.training.kept_members`. It learns from
    log-odds, not from labels, so that windows need none: shuffled, mutated and random ones are among them
    (Hinton et al. 2015, arXiv:1503.02531). Normalisations stay as the members have them, and nothing is
    dropped.

    Parameters
    ----------
    ensemble_dir
        Folder that :func:`kipoi_tfbind.training.ensemble.ensemble_runs` wrote.
    fasta, peaks_dir
        As in training.
    run_dir
        Folder for `model.keras` (of the epoch that is closest to the ensemble in validation), `history.csv`,
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
    options.check_members(len(mixture_of(teacher)[0]))
    config = TrainingConfig.from_yaml(ensemble_dir / "config.yaml")
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
    held_out = validation.codes(genome, config.length)
    known = _teach(teacher, held_out, run_dir / "validation")
    student, kept = _begun(teacher, known, options)
    _write_run(run_dir, {**run, "kept": kept})
    if options.hard:
        # Ranking takes minutes: a run that goes on finds the bins in its folder.
        data = repr((run, config, str(genome.path), str(peaks_dir)))
        hard = run_dir / f"hard.{hashlib.md5(data.encode()).hexdigest()}.npz"
        if not hard.exists():
            n_bound = int((bins.labels == POSITIVE).any(axis=1).sum())
            hard_bins(student, n_bound, config, genome, peaks_dir, options).save(hard)
        codes = np.concatenate([codes, LabelledBins.load(hard).codes(genome, config.length)])
    taught = _teach(teacher, codes, run_dir / "teacher")
    fit_student(student, (codes, taught), (held_out, known), run_dir, options, verbose)
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


def _begun(teacher: keras.Model, known: NDArray, options: Distillation) -> tuple[keras.Model, list[int]]:
    """The student before its training, and the members that it keeps, by log-odds of the validation bins."""
    weights, bias = mixture_of(teacher)
    members = known.reshape(-1, *weights.shape)
    counts = np.asarray(importance(mixed(members.swapaxes(0, 1), weights, bias)))
    keep = options.keep or closest_members(members, counts, weights, options.members)
    log.info("members that are kept: %s", ", ".join(map(str, keep)))
    return student_of(teacher, keep, shares_of_kept(members, counts, keep)), list(keep)


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


def _teach(teacher: keras.Model, codes: NDArray[np.uint8], folder: Path) -> NDArray[np.float32]:
    """Log-odds (window, member times target) of an ensemble; parts that are there are not computed again."""
    heads = on_members(teacher)
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


def _check_same_run(run_dir: Path, ensemble_dir: Path, options: Distillation) -> dict[str, Any]:
    """What the run is made with and of, unless the folder has that of another run."""
    md5 = hashlib.md5((ensemble_dir / "model.keras").read_bytes()).hexdigest()
    run = json.loads(json.dumps({**asdict(options), "ensemble": md5}))
    path = run_dir / "distillation.json"
    if path.exists():
        there = json.loads(path.read_text())
        there.pop("kept", None)
        if there != run:
            raise InputError(
                f"{path}: this folder holds a run with other options, or of another ensemble; give another "
                "folder"
            )
    return run


def _claim(run_dir: Path, ensemble_dir: Path, run: Mapping[str, Any]) -> None:
    """Write what a run is made with, and of, into its folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for source in (
        ensemble_dir / "config.yaml",
        ensemble_dir / "members.json",
        *ensemble_dir.glob("member-*.yaml"),
    ):
        with whole_file(run_dir / source.name) as copy:
            copy.write_text(source.read_text())
    _write_run(run_dir, run)


def _write_run(run_dir: Path, run: Mapping[str, Any]) -> None:
    with whole_file(run_dir / "distillation.json") as new:
        new.write_text(json.dumps(run, indent=1) + "\n")
