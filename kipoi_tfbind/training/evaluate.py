"""Held-out metrics of a trained model, beside those of the two baselines on the same bins."""

from __future__ import annotations

import hashlib
import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

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
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.fit import predict_codes
from kipoi_tfbind.training.learned import what_is_learned
from kipoi_tfbind.training.metrics import BLOCK_LENGTH, block_weights, score_target
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins, training_bins

log = logging.getLogger(__name__)

# The baselines see the bin with a motif's width on either side: a whole window only adds chance matches.
_FLANK = 20


def evaluate(
    run_dir: str | Path,
    fasta: str | Path,
    peaks_dir: str | Path,
    *,
    split: str = "test",
    n_resamples: int = 500,
) -> dict[str, Any]:
    """Evaluate the model of a finished run on held-out bins and write `metrics.json` beside it.

    Parameters
    ----------
    run_dir
        Folder that :func:`kipoi_tfbind.training.fit.train` wrote.
    fasta, peaks_dir
        As in training.
    split
        ``"test"`` or ``"validation"``.
    n_resamples
        Bootstrap samples of 100-kb blocks behind each interval.

    Returns
    -------
    dict
        `split`, `n_bins`, `confidence`, `model_md5`, and for each target `n_positive`, `n_bins`
        (unambiguous), predictor -> metric -> value, low, high (`score_target`), and what it has
        learned (`what_is_learned`).

    Raises
    ------
    InputError
        The run has no model yet, a file is missing, or a target has no bound bin in the regions.
    """
    run_dir = Path(run_dir)
    model_path = run_dir / "model.keras"
    if not model_path.exists():
        raise InputError(f"{model_path}: no trained model here; run `kipoi tfbind train` first")
    model_md5 = hashlib.md5(model_path.read_bytes()).hexdigest()
    config = TrainingConfig.from_yaml(run_dir / "config.yaml")
    genome = Genome(fasta)
    bins = held_out_bins(config, genome, peaks_dir, split)
    _check_both_classes(bins, split)
    model = keras.models.load_model(model_path)
    on_logits = keras.Model(model.input, model.get_layer("logit").output)
    codes = bins.codes(genome, config.length)
    scores = predict_codes(on_logits, codes)
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
    blocks = np.char.add(np.char.add(bins.chrom, ":"), (bins.start // BLOCK_LENGTH).astype(str))
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
        }
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


def _check_both_classes(bins: LabelledBins, split: str) -> None:
    for column, target in enumerate(bins.targets):
        if not {0, 1} <= set(bins.labels[:, column].tolist()):
            raise InputError(
                f"{target}: the {split} regions lack bins that are bound, or bins that are not; "
                "choose larger regions, or train without this target"
            )


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
