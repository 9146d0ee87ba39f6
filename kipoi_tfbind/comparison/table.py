"""Table of a comparison: means over seeds, with intervals over seeds and blocks of the genome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kipoi_tfbind.comparison.plan import Comparison, Setting
from kipoi_tfbind.comparison.run import MAPS, RECORD, SCORES
from kipoi_tfbind.interpret.agreement import compare_maps, position_maps
from kipoi_tfbind.results.files import open_result
from kipoi_tfbind.training.learned import LEAST_RESPONSE
from kipoi_tfbind.training.metrics import block_weights, ranking_metrics

N_RESAMPLES = 200
METRICS = ("auprc", "auroc")
_TAILS = (0.025, 0.975)


def comparison_table(comparison: Comparison, runs: Mapping[str, Mapping[int, Path]]) -> pd.DataFrame:
    """Tabulate the runs that are done.

    AUPRC and AUROC are means over targets and seeds. Their intervals (95%) are percentiles over resamples of
    the 100-kb blocks of the test regions and of the seeds together, of one seed over blocks alone. Gains are
    over the first setting, on the same resamples and the seeds that both have.

    Parameters
    ----------
    comparison
        The plan.
    runs
        Name of a setting -> seed -> folder of a run.

    Returns
    -------
    pandas.DataFrame
        A row for each setting, in the plan's order: its levels, `seeds`, `parameters`, `cpu_seconds`,
        `auprc`, `auroc` and `auprc_gain`, each with `_low` and `_high`; `auprc_sd` (over seeds),
        `rc_difference` (largest, log-odds), `own_motif` (of the target that responds least, log-odds),
        `own_motifs` (targets that respond, mean over seeds), `agreement` (mean cosine between maps of two
        seeds) with its interval over windows; `auprc:TARGET`, `own_motif:TARGET`.
    """
    samples = {name: _Samples(by_seed) for name, by_seed in runs.items()}
    first = samples.get(comparison.settings[0].name)
    rows = [
        _row(setting, runs[setting.name], samples[setting.name], first)
        for setting in comparison.settings
        if setting.name in samples
    ]
    return pd.DataFrame(rows)


class _Samples:
    """Metrics of the runs of a setting: of each target, and of resampled blocks.

    Attributes
    ----------
    seeds
        Of the runs.
    values
        metric -> (seed, target).
    resampled
        metric -> (seed, resample), mean over targets.
    """

    def __init__(self, runs: Mapping[int, Path]) -> None:
        self.seeds = list(runs)
        measured = [run_metrics(folder) for folder in runs.values()]
        self.values = {m: np.stack([values[m] for values, _ in measured]) for m in METRICS}
        self.resampled = {m: np.stack([resampled[m] for _, resampled in measured]) for m in METRICS}

    def interval(self, metric: str, minus: _Samples | None = None) -> tuple[float, float, float]:
        """Mean and the ends of its interval, over resamples of blocks and seeds; of a difference if asked."""
        seeds = [seed for seed in self.seeds if minus is None or seed in minus.seeds]
        mine = [self.seeds.index(seed) for seed in seeds]
        values, samples = self.values[metric][mine].mean(axis=1), self.resampled[metric][mine]
        if minus is not None:
            theirs = [minus.seeds.index(seed) for seed in seeds]
            values = values - minus.values[metric][theirs].mean(axis=1)
            samples = samples - minus.resampled[metric][theirs]
        if not seeds:
            return np.nan, np.nan, np.nan
        draws = np.random.default_rng(0).integers(len(seeds), size=(len(seeds), N_RESAMPLES))
        low, high = np.nanquantile(np.take_along_axis(samples, draws, axis=0).mean(axis=0), _TAILS)
        return float(values.mean()), float(low), float(high)


@cache
def run_metrics(folder: Path) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """AUPRC and AUROC of a run: (target), and mean over targets in resamples of blocks (resample).

    Kept: the table is written anew after each run.
    """
    with np.load(folder / SCORES) as file:
        scores, labels, blocks = file["scores"], file["labels"], file["blocks"]
    weights = block_weights(blocks, N_RESAMPLES, 0)
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    resampled: dict[str, list[NDArray]] = {metric: [] for metric in METRICS}
    for label, score in zip(labels.T, scores.T, strict=True):
        known = label >= 0
        bound, once = label[known] == 1, np.ones((1, known.sum()), dtype=np.uint16)
        some = weights[:, known]
        both = (some[:, bound] > 0).any(axis=1) & (some[:, ~bound] > 0).any(axis=1)
        whole, parts = (ranking_metrics(bound, score[known], w) for w in (once, some[both]))
        for metric in METRICS:
            values[metric].append(float(whole[metric][0]))
            # A resample that lacks a class says nothing of this target.
            resampled[metric].append(np.full(len(some), np.nan))
            resampled[metric][-1][both] = parts[metric]
    return (
        {metric: np.array(values[metric]) for metric in METRICS},
        {metric: np.nanmean(resampled[metric], axis=0) for metric in METRICS},
    )


def _row(
    setting: Setting, runs: Mapping[int, Path], samples: _Samples, first: _Samples | None
) -> dict[str, Any]:
    records = [json.loads((folder / RECORD).read_text()) for folder in runs.values()]
    row: dict[str, Any] = {
        **setting.levels,
        "seeds": len(runs),
        "parameters": records[0]["parameters"],
        "cpu_seconds": float(np.mean([record["cpu_seconds"] for record in records])),
    }
    found = {"auprc": samples.interval("auprc"), "auroc": samples.interval("auroc")}
    if first is not None and first is not samples:
        found["auprc_gain"] = samples.interval("auprc", minus=first)
    found["agreement"] = seeds_agreement(list(runs.values()))
    for name, (value, low, high) in found.items():
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    per_seed = samples.values["auprc"].mean(axis=1)
    row["auprc_sd"] = float(per_seed.std(ddof=1)) if len(per_seed) > 1 else np.nan
    row["rc_difference"] = max(record["rc_difference"] for record in records)
    own = [record["own_motif"] for record in records]
    targets = list(own[0])
    responses = {target: float(np.mean([each[target]["value"] for each in own])) for target in targets}
    row["own_motif"] = min(responses.values()) if targets else np.nan
    row["own_motifs"] = float(np.mean([sum(map(_responds, each.values())) for each in own]))
    names = setting.config(0).target_names
    row |= {f"auprc:{name}": v for name, v in zip(names, samples.values["auprc"].mean(axis=0), strict=True)}
    return row | {f"own_motif:{target}": value for target, value in responses.items()}


def _responds(response: Mapping[str, float]) -> bool:
    return response["low"] > 0 and response["value"] >= LEAST_RESPONSE


def seeds_agreement(folders: list[Path]) -> tuple[float, float, float]:
    """Mean cosine between maps of the same windows by models of two seeds, and its interval over windows.

    Of each window the map of the target that it was chosen for; the mean over all pairs of seeds.
    """
    if len(folders) < 2:
        return np.nan, np.nan, np.nan
    maps = [_own_maps(folder) for folder in folders]
    cosines = np.array(
        [
            [compare_maps(a, b, 1)[0] for a, b in zip(one, other, strict=True)]
            for one, other in combinations(maps, 2)
        ]
    )
    # A map without any contribution agrees with none.
    by_window = np.nan_to_num(cosines).mean(axis=0)
    draws = np.random.default_rng(0).integers(len(by_window), size=(1000, len(by_window)))
    low, high = np.quantile(by_window[draws].mean(axis=1), _TAILS)
    return float(by_window.mean()), float(low), float(high)


def _own_maps(folder: Path) -> NDArray[np.float64]:
    """Map (window, position) of each window, of the target that it was chosen for."""
    result = open_result(folder / MAPS)
    names = [str(target) for target in result["target"].values]
    chosen = [names.index(str(name).rsplit(":", 1)[0]) for name in result["id"].values]
    return position_maps(result)[np.arange(len(chosen)), :, chosen]
