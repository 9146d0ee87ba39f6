"""Several trained models as one: the weighted mean of their log-odds, with weights for each target."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import kipoi_tfbind.layers  # noqa: F401 (saved models are made of them)
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.results.files import whole_file
from kipoi_tfbind.training.callbacks import predict_codes
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.windows import held_out_bins

log = logging.getLogger(__name__)

# Strength of the pull towards the plain mean, in units of one bin's log-likelihood.
_PENALTY = 20.0


def ensemble_runs(
    run_dirs: Sequence[str | Path], fasta: str | Path, peaks_dir: str | Path, output: str | Path
) -> keras.Model:
    """Make one model of the models of several runs, and write it as a run of its own.

    The weights of the members are fitted for each target on the validation regions
    (:func:`fit_mixture`), so that a member counts where it has learned the factor.

    Parameters
    ----------
    run_dirs
        Folders that :func:`kipoi_tfbind.training.fit.train` wrote, of the same targets. A member of a shorter
        window than the longest sees the middle of it.
    fasta, peaks_dir
        As in training.
    output
        Folder for `model.keras`, `config.yaml` (of the first run of the longest window), `member-1.yaml` and
        so on (of each), and `members.json` (weights of each).

    Raises
    ------
    InputError
        A run has no model, other targets or held-out regions than the first, or windows whose middles are
        not those of the longest.
    """
    folders = [Path(folder) for folder in run_dirs]
    configs = [TrainingConfig.from_yaml(folder / "config.yaml") for folder in folders]
    first, longest = configs[0], max(configs, key=lambda config: config.length)
    for folder, config in zip(folders, configs, strict=True):
        if not (folder / "model.keras").exists():
            raise InputError(f"{folder}: no trained model here; run `kipoi tfbind train` first")
        if (longest.length - config.length) % 2:
            raise InputError(
                f"{folder}: windows of {config.length} bp have no place in the middle of {longest.length} bp"
            )
        for part in ("targets", "validation", "test"):
            if getattr(config, part) != getattr(first, part):
                raise InputError(
                    f"{folder}: {part} differ from those of {folders[0]}; they cannot be one model"
                )
    models = [keras.models.load_model(folder / "model.keras") for folder in folders]
    genome = Genome(fasta)
    bins = held_out_bins(longest, genome, peaks_dir, "validation")
    logits = np.stack(
        [
            predict_codes(_on_logits(model), bins.codes(genome, config.length))
            for model, config in zip(models, configs, strict=True)
        ]
    )
    weights, bias = fit_mixture(logits, bins.labels)
    mixture = mix_models(models, weights, bias)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with whole_file(output / "model.keras") as path:
        mixture.save(path)
    with whole_file(output / "config.yaml") as path:
        path.write_text(longest.to_yaml())
    for index, config in enumerate(configs):
        with whole_file(output / f"member-{index + 1}.yaml") as path:
            path.write_text(config.to_yaml())
    with whole_file(output / "members.json") as path:
        path.write_text(json.dumps(_provenance(configs, weights), indent=1) + "\n")
    return mixture


def fit_mixture(
    logits: NDArray[np.floating], labels: NDArray[np.int8], penalty: float = _PENALTY
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (member, target), not negative, and bias (target) of the members' log-odds.

    Logistic regression for each target on held-out bins, with a penalty on the distance from the plain
    mean: targets with few bound bins stay close to it. As the bins have their real prevalence, the
    mixture is calibrated to it.

    Parameters
    ----------
    logits
        Log-odds (member, bin, target).
    labels
        (bin, target): 1 bound, 0 not bound, -1 ambiguous.
    penalty
        Strength of the pull towards the mean.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(4000, 1))
    >>> labels = (rng.random((4000, 1)) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    >>> weights, bias = fit_mixture(np.stack([truth, rng.normal(size=(4000, 1))]), labels)
    >>> bool(weights[0, 0] > 0.8), bool(weights[1, 0] < 0.2)
    (True, True)
    """
    n_members, _, n_targets = logits.shape
    weights, bias = np.empty((n_members, n_targets)), np.empty(n_targets)
    for column in range(n_targets):
        known = labels[:, column] >= 0
        x, bound = logits[:, known, column].astype(np.float64), labels[known, column] == 1

        def loss(parameters: NDArray, x: NDArray = x, bound: NDArray = bound) -> tuple[float, NDArray]:
            weight, offset = parameters[:-1], parameters[-1]
            value = weight @ x + offset
            away = weight - 1 / n_members
            residual = np.exp(-np.logaddexp(0, -value)) - bound
            total = np.logaddexp(0, value).sum() - value[bound].sum() + penalty / 2 * away @ away
            return float(total), np.append(x @ residual + penalty * away, residual.sum())

        start = np.append(np.full(n_members, 1 / n_members), 0.0)
        bounds = [(0, None)] * n_members + [(None, None)]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
        weights[:, column], bias[column] = found.x[:-1], found.x[-1]
    return weights, bias


def mix_models(models: Sequence[keras.Model], weights: NDArray, bias: NDArray) -> keras.Model:
    """One model of several: `logit` = sum over members of weight times log-odds, plus bias.

    Parameters
    ----------
    models
        Each with a layer `logit` (sequence, target), of the same targets. The window is the longest of
        theirs; the others see its middle.
    weights, bias
        (member, target) and (target).
    """
    length = max(model.input_shape[1] for model in models)
    sequence = keras.Input((length, 4), name="sequence")
    outputs = []
    for index, model in enumerate(models):
        member = _on_logits(model)
        member.name = f"member_{index + 1}"
        beside = (length - model.input_shape[1]) // 2
        middle = keras.layers.Cropping1D(beside, name=f"middle_{index + 1}") if beside else None
        outputs.append(member(middle(sequence) if middle else sequence))
    member_logits = keras.layers.Concatenate(name="member_logits")(outputs)
    return keras.Model(sequence, mixed_probability(member_logits, weights, bias), name="ensemble")


def mixed_probability(member_logits: Any, weights: NDArray, bias: NDArray) -> Any:
    """Probabilities from the log-odds of members, by layers `logit` and `probability`.

    Parameters
    ----------
    member_logits
        Keras tensor (sequence, member times target).
    weights, bias
        (member, target) and (target).
    """
    n_members, n_targets = weights.shape
    mixture = keras.layers.Dense(n_targets, name="logit", trainable=False)
    logit = mixture(member_logits)
    kernel = np.zeros((n_members, n_targets, n_targets))
    kernel[:, np.arange(n_targets), np.arange(n_targets)] = weights
    mixture.set_weights([kernel.reshape(-1, n_targets), bias])
    return keras.layers.Activation("sigmoid", name="probability")(logit)


def _on_logits(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.get_layer("logit").output)


def _provenance(configs: Sequence[TrainingConfig], weights: NDArray) -> list[dict]:
    targets = configs[0].target_names
    return [
        {
            "architecture": config.architecture,
            "seed": config.fit.seed,
            "weights": dict(zip(targets, np.round(row, 3).tolist(), strict=True)),
        }
        for config, row in zip(configs, weights, strict=True)
    ]
