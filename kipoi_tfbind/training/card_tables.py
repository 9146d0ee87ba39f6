"""The tables of a model card, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kipoi_tfbind.training.learned import LEARNED

BASELINES = {"motif": "motif", "kmer": "k-mer", "boosting": "boosting", "composition": "GC, CpG"}


def best_baseline(result: Mapping[str, Any]) -> str:
    """Return the name of the baseline with the highest AUPRC."""
    return max((b for b in BASELINES if b in result), key=lambda name: result[name]["auprc"]["value"])


def learned_table(metrics: Mapping[str, Any]) -> str:
    """Return what the model has learned of each target as a Markdown table."""
    rows = _header("target", "own motif", "raised most by", "against shuffles", "verdict")
    for target, result in metrics["targets"].items():
        own, best, shuffles = (result.get(key) for key in ("own_motif", "best_motif", "shuffles"))
        cells = [
            target,
            f"{own['matrix']}: {own['value']:+.2f} ({own['low']:+.2f} to {own['high']:+.2f})" if own else "–",
            f"{best['matrix']}: {best['value']:+.2f}" if best else "–",
            f"{shuffles['auroc']:.3f} ({shuffles['low']:.3f}–{shuffles['high']:.3f})",
            f"**{result['verdict']}**" if result["verdict"] == LEARNED else result["verdict"],
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Return the metrics as a Markdown table, a row for each target.

    Parameters
    ----------
    metrics
        What :func:`kipoi_tfbind.training.evaluate.evaluate` returns.
    """
    rows = _header(
        *("target", "bound bins", "AUPRC", *BASELINES.values(), "gain", "AUROC", "GC, CpG", "recall")
    )
    for target, result in metrics["targets"].items():
        there = [name for name in BASELINES if name in result]
        gain = result[best_baseline(result)]["auprc"]
        cells = [
            target,
            f"{result['n_positive']:,} of {result['n_bins']:,}",
            _interval(result["model"]["auprc"]),
            *(f"{result[name]['auprc']['value']:.3f}" if name in there else "–" for name in BASELINES),
            f"{gain['gain_low']:+.3f} to {gain['gain_high']:+.3f}",
            _interval(result["model"]["auroc"]),
            f"{result['composition']['auroc']['value']:.3f}" if "composition" in there else "–",
            _interval(result["model"]["recall"], bold=False),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def calibration_table(metrics: Mapping[str, Any], *, restated: bool = False) -> str:
    """Return calibration and label sets as a Markdown table; empty where no target has them.

    Parameters
    ----------
    restated
        Give expected : observed, slope and the offset for the prevalence that was asked of `evaluate`.
    """
    rows = _header(
        *("target", "calibrated", "expected : observed", "slope"),
        *("bound from", "unbound to", "covers bound", "covers unbound", "both"),
    )
    first = len(rows)
    for target, result in metrics["targets"].items():
        line, sets = result.get("calibration"), result.get("label_sets")
        if line is None:
            continue
        line = line | line["at_prevalence"] if restated else line
        cells = [
            target,
            f"{line['scale']:.3f} z {line['offset']:+.2f}".replace("-", "− ").replace("+", "+ "),
            *(_interval(line[name], bold=False, digits=2) for name in ("expected_to_observed", "slope")),
            *(f"{sets[name]:.2f}" if sets else "–" for name in ("bound_from", "unbound_to")),
            *(_interval(sets[name], bold=False, digits=2) if sets else "–" for name in ("bound", "unbound")),
            f"{sets['both']['value']:.2f}" if sets else "–",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) if len(rows) > first else ""


def other_cells_table(metrics: Mapping[str, Any]) -> str:
    """Return the metrics on the peaks of other cell types as a Markdown table; empty where there are none."""
    rows = _header("target", "peaks of", "bound bins", "AUPRC", "motif", "AUROC", "recall")
    first = len(rows)
    for target, result in metrics["targets"].items():
        for cell, there in result.get("other_cells", {}).items():
            cells = [
                *(target, cell, f"{there['n_positive']:,}"),
                _interval(there["model"]["auprc"]),
                f"{there['motif']['auprc']['value']:.3f}" if "motif" in there else "–",
                _interval(there["model"]["auroc"]),
                _interval(there["model"]["recall"], bold=False),
            ]
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) if len(rows) > first else ""


def agreement_table(metrics: Mapping[str, Any]) -> str:
    """Return how alike maps of several seeds are as a Markdown table; empty where that was not measured."""
    if "maps" not in metrics:
        return ""
    rows = _header("target", "windows", "cosine", f"top {metrics['maps']['top']}")
    for target, result in metrics["targets"].items():
        found = result["agreement"]
        alike = (_interval(found[name], bold=False, digits=2) for name in ("cosine", "top_overlap"))
        rows.append("| " + " | ".join([target, str(found["n_windows"]), *alike]) + " |")
    return "\n".join(rows)


def _header(*titles: str) -> list[str]:
    return ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]


def _interval(entry: Mapping[str, float], *, bold: bool = True, digits: int = 3) -> str:
    value, low, high = (f"{entry[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{f'**{value}**' if bold else value} ({low}–{high})"
