"""How alike the maps of models are that were trained from different seeds, for their card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind import layers  # noqa: F401 (registers the layers that model files name)
from kipoi_tfbind.dna.one_hot import decode_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.interpret.agreement import MEASURES, agreement, with_means
from kipoi_tfbind.interpret.deep_shap import deep_shap
from kipoi_tfbind.models.load import as_sequence_model
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import followed
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.sequences.read import encode_sequences
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.windows import held_out_bins

N_WINDOWS, N_REFERENCES, TOP = 20, 10, 20


def add_seeds_agreement(
    run_dir: str | Path,
    seed_runs: Sequence[str | Path],
    fasta: str | Path,
    peaks_dir: str | Path,
    *,
    n_windows: int = N_WINDOWS,
) -> dict[str, Any]:
    """Measure how alike maps of several seeds are, and add it to the `metrics.json` of a run.

    Parameters
    ----------
    run_dir
        Folder of the run that the card is of; it was evaluated.
    seed_runs
        Folders of runs of the same targets and window, such as those of other seeds; with the run itself, or
        without it where it is an ensemble of them. At least two.
    fasta, peaks_dir
        As in training.
    n_windows
        Bound windows of the split that was evaluated, for each target.

    Returns
    -------
    dict
        The metrics, with `maps` (`n_models`, `n_windows`, `top`) and for each target `agreement`, of
        :func:`agreement_of_models`.

    Raises
    ------
    InputError
        A run has no model, or other targets or windows; there are fewer than two; or it is not evaluated.
    """
    run_dir = Path(run_dir)
    path = run_dir / "metrics.json"
    if not path.exists():
        raise InputError(f"{path}: no such file; evaluate the run first: kipoi tfbind evaluate")
    config = TrainingConfig.from_yaml(run_dir / "config.yaml")
    models = _models(config, seed_runs)
    metrics: dict[str, Any] = json.loads(path.read_text())
    genome = Genome(fasta)
    bins = held_out_bins(config, genome, peaks_dir, metrics["split"])
    found = agreement_of_models(models, bins.codes(genome, config.length), bins.labels, n_windows=n_windows)
    for target, values in found.items():
        metrics["targets"][target]["agreement"] = values
    metrics["maps"] = {"n_models": len(models), "n_windows": n_windows, "top": TOP}
    with whole_file(path) as partial_path:
        partial_path.write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def agreement_of_models(
    models: Mapping[str, SequenceModel],
    codes: NDArray[np.uint8],
    labels: NDArray[np.int8],
    *,
    n_windows: int = N_WINDOWS,
) -> dict[str, dict[str, Any]]:
    """Agreement of DeepSHAP maps over all pairs of models, of bound windows of each target.

    Parameters
    ----------
    models
        Name -> model, of the same targets.
    codes, labels
        Windows (window, position) and their labels (window, target).
    n_windows
        Windows for each target, evenly over those that are bound; fewer where there are fewer.

    Returns
    -------
    dict
        target -> `n_windows`, and `cosine`, `rank_correlation` and `top_overlap`
        (:func:`~kipoi_tfbind.interpret.agreement.agreement`), each `value`, `low`, `high`: mean over pairs
        and windows, and its interval over the windows.
    """
    targets = next(iter(models.values())).target_names
    result: dict[str, dict[str, Any]] = {}
    for column, target in enumerate(followed(targets, "maps", unit="target")):
        bound = np.flatnonzero(labels[:, column] == 1)
        chosen = bound[np.linspace(0, len(bound) - 1, min(len(bound), n_windows)).astype(int)]
        sequences = encode_sequences(decode_codes(codes[chosen]))
        maps = {
            name: deep_shap(model.select_targets([target]), sequences, n_references=N_REFERENCES)
            for name, model in models.items()
        }
        # A pair of maps, one of which has no contribution at all, agrees in nothing.
        pairs = agreement(maps, top=TOP)[list(MEASURES)].fillna(0)
        means = with_means(pairs.mean("comparison"), MEASURES, confidence=0.95, seed=0)
        result[target] = {"n_windows": len(chosen)} | {
            name: {
                "value": float(means[f"mean_{name}"][0]),
                "low": float(means[f"mean_{name}_low"][0]),
                "high": float(means[f"mean_{name}_high"][0]),
            }
            for name in MEASURES
        }
    return result


def _models(config: TrainingConfig, runs: Sequence[str | Path]) -> dict[str, SequenceModel]:
    """The models of runs, by their folders' names, checked against a configuration."""
    if len(runs) < 2:
        raise InputError(f"runs of other seeds: expected at least two models to compare, got {len(runs)}")
    models: dict[str, SequenceModel] = {}
    for folder in map(Path, runs):
        if not (folder / "model.keras").exists():
            raise InputError(f"{folder}: no trained model here; run `kipoi tfbind train` first")
        other = TrainingConfig.from_yaml(folder / "config.yaml")
        if other.target_names != config.target_names or other.length != config.length:
            raise InputError(f"{folder}: other targets or another window than the run; compare seeds of one")
        model = keras.models.load_model(folder / "model.keras")
        models[str(folder)] = as_sequence_model(model, targets=list(config.targets))
    return models
