"""The model card: what a model is, how it was made, and how well it does, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kipoi_tfbind.training.config import TrainingConfig

_ONE_CONTIG = """\
- Trained on one chromosome, so less accurate than a model of the whole genome, which the same
  configuration trains.
"""
_TEMPLATE = """\
# TFBind/{name}

{title}.

| | |
|---|---|
| Input | one-hot DNA, {length} bp (`sequence`: position, base in the order A C G T; N is a row of zeros) |
| Output | probability that the central {bin_length} bp are bound, for each of: {targets} |
| Variant entry | `TFBind/{name}/variants`: log-odds of binding for either allele, and their difference |
| Architecture | `{architecture}`, {parameters:,} parameters, reverse-complement equivariant |
| Trained on | {trained_on} |
| Held out for choosing the epoch | {validation} |
| Held out for the numbers below | {test} |
| Weights | `weights/{name}.keras`, md5 `{md5}` |

## Held-out performance

All {n_bins:,} bins of {bin_length} bp of the test regions, at their real prevalence; a bin is bound where
at least {overlap:.0%} of it, or of a peak, overlaps, and bins that touch a peak with less than that are left
out for that factor. Intervals: {confidence:.0%}, bootstrap over blocks of 100 kb. *motif*: best score of the
JASPAR matrix on either strand of the bin; *k-mer*: logistic regression on 10-mers, similar ones sharing
their weights as in a gapped k-mer SVM, fitted to the same training bins. *gain*: interval of the model's
AUPRC minus the best baseline's, paired.

{table}

## Use and limits

{limits}- Peaks are calls from one laboratory protocol: absence of a peak is not proof of absence of binding.
- Probabilities are calibrated to the training mix ({negatives}),
  not to the genome: use them to rank and to compare alleles.
- The model reads sequence only, from any assembly.

## How it was made

`training/{name}.yaml` holds the whole configuration. With the chromosome and the peak files at hand:

```
kipoi tfbind train training/{name}.yaml --fasta genome.fa --peaks peaks/ -o run
kipoi tfbind evaluate run --fasta genome.fa --peaks peaks/
kipoi tfbind package run --name {name} --group .
```
"""


def model_card(
    name: str, config: TrainingConfig, metrics: Mapping[str, Any], *, parameters: int, md5: str
) -> str:
    """Return the card of a zoo entry as Markdown, its numbers as they were measured."""
    windows = config.windows
    return _TEMPLATE.format(
        name=name,
        title=config.title or name,
        length=config.length,
        bin_length=windows.bin_length,
        targets=", ".join(config.targets),
        architecture=config.architecture,
        parameters=parameters,
        trained_on=config.trained_on or "not stated",
        validation=", ".join(map(str, config.validation)),
        test=", ".join(map(str, config.test)),
        md5=md5,
        n_bins=metrics["n_bins"],
        overlap=windows.min_overlap,
        confidence=metrics["confidence"],
        table=metrics_table(metrics),
        limits=_ONE_CONTIG if len(config.contigs) == 1 else "",
        negatives=f"{windows.gc_matched:g} GC-matched and {windows.random:g} random bins for each bound one",
    )


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Return the metrics as a Markdown table, a row for each target.

    Parameters
    ----------
    metrics
        What :func:`kipoi_tfbind.training.evaluate.evaluate` returns.
    """
    rows = [
        "| target | bound bins | AUPRC | motif | k-mer | gain | AUROC | motif | k-mer |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for target, result in metrics["targets"].items():
        cells = [target, f"{result['n_positive']:,} of {result['n_bins']:,}"]
        for metric in ("auprc", "auroc"):
            cells += [_interval(result["model"][metric])]
            cells += [f"{result[b][metric]['value']:.3f}" if b in result else "–" for b in ("motif", "kmer")]
            if metric == "auprc":
                best = max(
                    (b for b in ("motif", "kmer") if b in result), key=lambda b: result[b]["auprc"]["value"]
                )
                gain = result[best]["auprc"]
                cells += [f"{gain['gain_low']:+.3f} to {gain['gain_high']:+.3f}"]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _interval(entry: Mapping[str, float]) -> str:
    return f"**{entry['value']:.3f}** ({entry['low']:.3f}–{entry['high']:.3f})"
