"""One run of a comparison: trained, and measured on bins that had no part in that."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import decode_codes, reverse_complement_codes
from kipoi_tfbind.dna.shuffle import shuffle_codes
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret import in_silico_mutagenesis
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.results.files import save_result, whole_file
from kipoi_tfbind.sequences.read import encode_sequences
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.fit import bins_of_run, train
from kipoi_tfbind.training.heads import HEADS
from kipoi_tfbind.training.learned import motif_response
from kipoi_tfbind.training.metrics import blocks_of
from kipoi_tfbind.training.windows import LabelledBins, held_out_bins

N_BACKGROUNDS = 100
# Bound windows of each target whose maps are compared across seeds, and the length in bp of the maps.
N_MAPS, MAP_LENGTH = 10, 200
_N_STRANDS = 500
RECORD, SCORES, MAPS = "record.json", "scores.npz", "maps.nc"


def finish_run(
    config: TrainingConfig, fasta: str | Path, peaks_dir: str | Path, run_dir: Path, bins_dir: Path
) -> None:
    """Train and measure a run, or what of it is left to do; `record.json` is there when all is done.

    Parameters
    ----------
    config
        The run.
    fasta, peaks_dir
        The genome and the folder of the peak files.
    run_dir
        Folder of the run. Beside what training writes, `scores.npz` (test bins), `maps.nc` and `record.json`.
    bins_dir
        Folder in which bins are kept that several runs share.
    """
    keras.backend.clear_session()
    genome = Genome(fasta)
    training, validation, test = kept_bins(bins_dir, config, genome, peaks_dir)
    train(config, fasta, peaks_dir, run_dir, verbose=0, bins=(training, validation))
    record = measure(config, genome, test, run_dir)
    with whole_file(run_dir / RECORD) as path:
        path.write_text(json.dumps(record, indent=1) + "\n")


def measure(config: TrainingConfig, genome: Genome, bins: LabelledBins, run_dir: Path) -> dict[str, Any]:
    """Measure the model of a run on test bins; write scores and maps, and return the rest.

    Returns
    -------
    dict
        `parameters` (trainable), `cpu_seconds` (of the training steps), `epochs`, `best_epoch`,
        `rc_difference` (largest difference in log-odds between a window and its reverse
        complement), `own_motif`: target -> `value`, `low`, `high` (log-odds).
    """
    model = keras.models.load_model(run_dir / "model.keras")
    predict = partial(predict_codes, keras.Model(model.input, model.get_layer("logit").output))
    codes = bins.codes(genome, config.length)
    blocks = blocks_of(bins.chrom, bins.start)
    with whole_file(run_dir / SCORES) as path:
        np.savez_compressed(path, scores=predict(codes), labels=bins.labels, blocks=blocks)
    save_result(_maps(model, codes, bins.labels, config.target_names), run_dir / MAPS)
    some = codes[np.linspace(0, len(codes) - 1, min(len(codes), _N_STRANDS)).astype(int)]
    history = pd.read_csv(run_dir / "history.csv")
    seconds = history["cpu_seconds"].sum()
    if config.fit.head_epochs:
        seconds += pd.read_csv(run_dir / HEADS)["cpu_seconds"].sum()
    return {
        "parameters": int(sum(np.prod(weight.shape) for weight in model.trainable_weights)),
        "cpu_seconds": float(seconds),
        "epochs": len(history),
        "best_epoch": int(history["validation_auprc"].argmax()) + 1,
        "rc_difference": float(np.abs(predict(some) - predict(reverse_complement_codes(some))).max()),
        "own_motif": _own_motifs(predict, codes, bins.labels, config),
    }


def _own_motifs(
    predict: Any, codes: NDArray[np.uint8], labels: NDArray[np.int8], config: TrainingConfig
) -> dict[str, dict[str, float]]:
    """Response of each target to its own motif, in the same backgrounds for all runs."""
    unbound = np.flatnonzero((labels == 0).all(axis=1))
    chosen = unbound[np.linspace(0, len(unbound) - 1, min(len(unbound), N_BACKGROUNDS)).astype(int)]
    backgrounds = shuffle_codes(codes[chosen], 1, seed=0)[:, 0]
    found = {}
    for target, matrix in config.motifs.items():
        effects = motif_response(predict, backgrounds, matrix)[:, config.target_names.index(target)]
        half = 1.96 * effects.std(ddof=1) / np.sqrt(len(effects))
        mean = effects.mean()
        found[target] = {"value": float(mean), "low": float(mean - half), "high": float(mean + half)}
    return found


def _maps(model: keras.Model, codes: NDArray[np.uint8], labels: NDArray[np.int8], targets: list[str]) -> Any:
    """Mutation maps of the middle of some bound windows of each target, the same ones for all runs.

    Their ids begin with the target's name and a colon.
    """
    rows, ids = [], []
    for column, target in enumerate(targets):
        bound = np.flatnonzero(labels[:, column] == 1)
        chosen = bound[np.linspace(0, len(bound) - 1, min(len(bound), N_MAPS)).astype(int)]
        rows += chosen.tolist()
        ids += [f"{target}:{number}" for number in range(len(chosen))]
    length = codes.shape[1]
    start = max(0, (length - MAP_LENGTH) // 2)
    sequences = encode_sequences(decode_codes(codes[rows]), ids=ids)
    return in_silico_mutagenesis(
        as_sequence_model(model, targets=targets), sequences, start=start, end=min(length, start + MAP_LENGTH)
    )


def kept_bins(
    folder: Path, config: TrainingConfig, genome: Genome, peaks_dir: str | Path
) -> list[LabelledBins]:
    """Training, validation and test bins, from the folder where runs of the same data share them."""
    data = [config.windows, config.targets, config.auxiliary, config.validation, config.test, config.excluded]
    data += [config.contigs, config.length, config.fit.jitter, config.fit.seed, genome.path, peaks_dir]
    key = hashlib.md5(repr(data).encode()).hexdigest()
    paths = [folder / f"{split}.{key}.npz" for split in ("training", "validation", "test")]
    if not all(path.exists() for path in paths):
        made = [
            *bins_of_run(config, genome, peaks_dir),
            held_out_bins(config, genome, peaks_dir, "test"),
        ]
        for path, bins in zip(paths, made, strict=True):
            bins.save(path)
    return [LabelledBins.load(path) for path in paths]
