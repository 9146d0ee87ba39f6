"""Held-out metrics of a trained model, beside those of baselines on the same bins."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

import kipoi_tfbind.layers  # noqa: F401 (saved models are made of them)
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.notices import followed
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.baselines import (
    best_motif_score,
    best_motif_scores,
    boosting_scores,
    composition,
    composition_scores,
    jaspar_log_odds,
    kmer_counts,
    kmer_model_scores,
)
from kipoi_tfbind.training.calibration import calibration_metrics, fit_calibration
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.conformal import coverage, fit_label_sets
from kipoi_tfbind.training.learned import what_is_learned
from kipoi_tfbind.training.metrics import block_weights, blocks_of, score_target
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins, training_bins

log = logging.getLogger(__name__)

# The baselines see the bin with a motif's width on either side: a whole window only adds chance matches.
_FLANK = 20
# Predictors that are tested on the peaks of other cell types.
_MOVED = ("model", "motif")


def evaluate(
    run_dir: str | Path,
    fasta: str | Path,
    peaks_dir: str | Path,
    *,
    split: str = "test",
    n_resamples: int = 500,
    prevalence: float | None = None,
    other_cells: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Evaluate the model of a finished run on held-out bins and write `metrics.json` beside it.

    Parameters
    ----------
    run_dir
        Folder that :func:`kipoi_tfbind.training.fit.train` wrote.
    fasta, peaks_dir
        As in training.
    split
        ``"test"`` or ``"validation"``. On the test regions, calibration and label sets are fitted to the
        validation regions and measured as well.
    n_resamples
        Bootstrap samples of 100-kb blocks behind each interval.
    prevalence
        Share of bound bins for which to state everything once more.
    other_cells
        Target -> name of another cell type -> file in `peaks_dir` with its peaks of that factor, on which
        the model is tested too.

    Returns
    -------
    dict
        `split`, `n_bins`, `confidence`, `model_md5`, and for each target `n_positive`, `n_bins`
        (unambiguous), predictor -> metric -> value, low, high (`score_target`), what it has learned
        (`what_is_learned`), and where asked for or possible `calibration`, `label_sets`
        (`held_out_calibration`), `at_prevalence` and `other_cells`.

    Raises
    ------
    InputError
        The run has no model yet, a file is missing, a target has no bound bin in the regions, the
        prevalence is no share, or another cell type is given for what is no target.
    """
    run_dir = Path(run_dir)
    model_path = run_dir / "model.keras"
    if not model_path.exists():
        raise InputError(f"{model_path}: no trained model here; run `kipoi tfbind train` first")
    model_md5 = hashlib.md5(model_path.read_bytes()).hexdigest()
    config = TrainingConfig.from_yaml(run_dir / "config.yaml")
    _check_request(config, prevalence, other_cells or {})
    genome = Genome(fasta)
    bins = held_out_bins(config, genome, peaks_dir, split)
    _check_both_classes(bins, split)
    elsewhere = _labels_in_other_cells(config, genome, peaks_dir, split, other_cells or {})
    model = keras.models.load_model(model_path)
    on_logits = keras.Model(model.input, model.get_layer("logit").output)
    codes = bins.codes(genome, config.length)
    scores = predict_codes(on_logits, codes)
    validation = _validation(config, genome, peaks_dir, on_logits) if split == "test" else None
    training = training_bins(config, genome, peaks_dir)
    baselines = Baselines(config, genome, training, bins)
    learned = what_is_learned(
        partial(predict_codes, on_logits),
        codes,
        bins.labels,
        config.motifs,
        config.target_names,
        (training.labels == 1).sum(axis=0),
        seed=config.fit.seed,
    )
    blocks = blocks_of(bins.chrom, bins.start)
    weights = block_weights(blocks, n_resamples, config.fit.seed)
    targets: dict[str, Any] = {}
    for column, target in enumerate(followed(config.target_names, "targets", unit="target")):
        labels = bins.labels[:, column]
        predictors = {"model": scores[:, column], **baselines.scores(column)}
        targets[target] = {
            "n_positive": int((labels == 1).sum()),
            "n_bins": int((labels >= 0).sum()),
            **score_target(labels, predictors, weights),
            **learned[target],
            **_elsewhere(elsewhere.get(target, {}), predictors, weights),
        }
        if validation is not None:
            log_odds, known = validation[0][:, column], validation[1][:, column]
            targets[target] |= held_out_calibration(
                log_odds, known, scores[:, column], labels, weights, prevalence
            )
        if prevalence is not None:
            at = score_target(labels, {"model": scores[:, column]}, weights, prevalence=prevalence)["model"]
            targets[target]["at_prevalence"] = {"prevalence": prevalence, **at}
        log.info(
            "%s: %s", target, {name: round(targets[target][name]["auprc"]["value"], 3) for name in predictors}
        )
    metrics = {
        "split": split,
        "n_bins": len(bins),
        "confidence": 0.95,
        "model_md5": model_md5,
        "targets": targets,
    }
    with whole_file(run_dir / "metrics.json") as path:
        path.write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def held_out_calibration(
    validation_log_odds: NDArray,
    validation_labels: NDArray[np.int8],
    log_odds: NDArray,
    labels: NDArray[np.int8],
    weights: NDArray[np.uint16],
    prevalence: float | None = None,
) -> dict[str, Any]:
    """Calibration and label sets of one target, fitted to validation bins, measured on test bins.

    Returns
    -------
    dict
        `calibration`: `scale`, `offset`, `prevalence` of the line that is fitted, and on the test bins what
        :func:`~kipoi_tfbind.training.calibration.calibration_metrics` returns; `label_sets`: `level`,
        thresholds `bound_from` and `unbound_to`, and what
        :func:`~kipoi_tfbind.training.conformal.coverage` returns. Each only where the validation bins allow
        it. With a prevalence, `calibration` has `at_prevalence` besides: the same metrics, of log-odds
        restated for it, on test bins weighed to it.
    """
    result: dict[str, Any] = {}
    line = fit_calibration(validation_log_odds, validation_labels)
    if line is not None:
        result["calibration"] = {
            **asdict(line),
            **calibration_metrics(labels, line.log_odds(log_odds), weights),
        }
        if prevalence is not None:
            restated = line.log_odds(log_odds, prevalence)
            result["calibration"]["at_prevalence"] = {
                "prevalence": prevalence,
                "offset": line.offset + float(logit(prevalence) - logit(line.prevalence)),
                **calibration_metrics(labels, restated, weights, prevalence=prevalence),
            }
    label_sets = fit_label_sets(validation_log_odds, validation_labels)
    if label_sets is not None:
        result["label_sets"] = {
            "level": label_sets.level,
            "bound_from": label_sets.bound,
            "unbound_to": label_sets.unbound,
            **coverage(label_sets, log_odds, labels, weights),
        }
    return result


def _check_request(
    config: TrainingConfig, prevalence: float | None, other_cells: Mapping[str, Mapping[str, str]]
) -> None:
    if prevalence is not None and not 0 < prevalence < 1:
        raise InputError(f"prevalence: expected a share between 0 and 1, got {prevalence}")
    if unknown := sorted(set(other_cells) - set(config.targets)):
        raise InputError(f"other cells: {unknown} are no targets; targets: {config.target_names}")


def _validation(
    config: TrainingConfig, genome: Genome, peaks_dir: str | Path, on_logits: keras.Model
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Log-odds and labels (bin, target) of the validation regions."""
    bins = held_out_bins(config, genome, peaks_dir, "validation")
    return predict_codes(on_logits, bins.codes(genome, config.length)), bins.labels


def _labels_in_other_cells(
    config: TrainingConfig,
    genome: Genome,
    peaks_dir: str | Path,
    split: str,
    other_cells: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, NDArray[np.int8]]]:
    """Target -> cell type -> labels (bin) of the same held-out bins by that cell type's peaks."""
    labels: dict[str, dict[str, NDArray[np.int8]]] = {}
    for target, files in other_cells.items():
        for cell, file in files.items():
            there = replace(config, targets={target: (file,)}, auxiliary={}, motifs={})
            bins = held_out_bins(there, genome, peaks_dir, split)
            labels.setdefault(target, {})[cell] = bins.labels[:, 0]
    return labels


def _check_both_classes(bins: LabelledBins, split: str) -> None:
    for column, target in enumerate(bins.targets):
        if not {0, 1} <= set(bins.labels[:, column].tolist()):
            raise InputError(
                f"{target}: the {split} regions lack bins that are bound, or bins that are not; "
                "choose larger regions, or train without this target"
            )


def _elsewhere(
    labels: Mapping[str, NDArray[np.int8]],
    predictors: Mapping[str, NDArray],
    weights: NDArray[np.uint16],
) -> dict[str, Any]:
    """`other_cells`, the metrics of predictors of one target on the labels (bin) of other cell types."""
    moved = {name: predictors[name] for name in _MOVED if name in predictors}
    found = {
        cell: {"n_positive": int((there == 1).sum()), **score_target(there, moved, weights)}
        for cell, there in labels.items()
    }
    return {"other_cells": found} if found else {}


class Baselines:
    """Baseline scores of the held-out bins, for one target after the other."""

    def __init__(
        self, config: TrainingConfig, genome: Genome, training: LabelledBins, held_out: LabelledBins
    ):
        self.config, self.training = config, training
        length = config.windows.bin_length + 2 * _FLANK
        self.codes = held_out.codes(genome, length)
        self.training_kmers = kmer_counts(training.codes(genome, length))
        self.kmers = kmer_counts(self.codes)
        training_codes = training.codes(genome, length)
        self.composition = composition(training_codes), composition(self.codes)
        matrices = [
            jaspar_log_odds(name) for name in sorted({*config.motif_filters, *config.motifs.values()})
        ]
        self.features = tuple(
            np.hstack([best_motif_scores(codes, matrices), share])
            for codes, share in zip((training_codes, self.codes), self.composition, strict=True)
        )

    def scores(self, column: int) -> dict[str, np.ndarray]:
        """Predictor name -> score (bin).

        `motif` where the target has a JASPAR matrix; `kmer`; `composition`; and `boosting`, on the motifs
        of the configuration and on composition.
        """
        matrix_id = self.config.motifs.get(self.config.target_names[column])
        motif = {"motif": best_motif_score(self.codes, jaspar_log_odds(matrix_id))} if matrix_id else {}
        labels = self.training.labels[:, column]
        return motif | {
            "kmer": kmer_model_scores(self.training_kmers, labels, self.kmers),
            "composition": composition_scores(self.composition[0], labels, self.composition[1]),
            "boosting": boosting_scores(self.features[0], labels, self.features[1], self.config.fit.seed),
        }
