"""The model card: what a model is, how it was made, and how well it does, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from kipoi_tfbind.training.card_tables import (
    agreement_table,
    best_baseline,
    calibration_table,
    learned_table,
    metrics_table,
    other_cells_table,
)
from kipoi_tfbind.training.config import TrainingConfig
from kipoi_tfbind.training.conformal import LEVEL
from kipoi_tfbind.training.fidelity import fidelity_section
from kipoi_tfbind.training.learned import FEW_BINS, LEAST_AUROC, LEAST_RESPONSE, N_BACKGROUNDS

_HOW = "`training/{name}.yaml` holds the whole configuration. "
_HOW_MEMBERS = """\
`training/{name}.member-1.yaml` to `.member-{n}.yaml` hold the configurations of the members, and
`training/{name}.members.json` the weights that they got. """

_ONE_CONTIG = """\
- Trained on one chromosome, so less accurate than a model of the whole genome, which the same
  configuration trains.
"""
_CALIBRATION = """
## Calibration and label sets

Fitted on the validation regions, measured on the test regions. *calibrated*: natural log-odds of binding
at the prevalence of the validation bins, from the model's log-odds z. *expected : observed* bound bins, and
*slope*: both 1 where log-odds are calibrated; a ratio that is not 1 beside a slope that is says that bound
bins are more or less frequent in the test regions, for which log-odds are to be restated (below). Label sets
(split conformal, each class by itself): a window can be bound where z is at least *bound from*, and unbound
where z is at most *unbound to*; *covers*: share of the bound and of the unbound test bins whose set has their
label, meant to be {level:.0%}; *both*: share of all bins whose set has both labels.

{table}
"""
_AGREEMENT = """
## Agreement of maps across seeds

How alike DeepSHAP maps of the same bound test windows are between models trained from different random
draws ({n_models} models, up to {n_windows} windows for each target): mean over all pairs of models, with 95%
interval over the windows. *cosine* of the angle between two maps: 1 where they are the same but for their
scale. Its square is the share of one map's sum of squares that the other explains: from 0.9 on more than four
fifths, so that another seed would have shown the same; below 0.7 less than half, so that a single map says as
much of the seed as of the factor, and the mean of several is to be read instead. *top {top}*: share of the
{top} positions of the largest magnitude that both have.

{table}
"""
_ELSEWHERE = """
## In other cell types

The same test regions, with the peaks of the factor in another cell type as labels; *motif* as above.

{table}
"""
_TEMPLATE = """\
# TFBind/{name}

{title}.

| | |
|---|---|
| Input | one-hot DNA, {length} bp (`sequence`: position, base in the order A C G T; N is a row of zeros) |
| Output | probability that the central {bin_length} bp are bound, for each of: {targets} |
| Variant entry | `TFBind/{name}/variants`: log-odds of binding for either allele, {difference} |
| Architecture | {architecture}, {parameters:,} parameters{strands} |
| Trained on | {trained_on} |
| Held out for choosing the epoch | {validation} |
| Held out for the numbers below | {test} |
| Weights | `weights/{name}.keras`, md5 `{md5}` |

## Held-out performance

All {n_bins:,} bins of {bin_length} bp of the test regions, at their real prevalence; a bin is bound where
at least {overlap:.0%} of it, or of a peak, overlaps, and bins that touch a peak with less than that are left
out for that factor. Intervals: {confidence:.0%}, bootstrap over blocks of 100 kb. *motif*: best score of the
JASPAR matrix on either strand of the bin; *k-mer*: logistic regression on 10-mers, similar ones sharing
their weights as in a gapped k-mer SVM; *boosting*: boosted trees on the best scores of many JASPAR
matrices, GC and CpG content; *GC, CpG*: logistic regression on these two alone; all fitted to the same
training bins. *gain*: interval of the model's AUPRC minus the best baseline's, paired. *recall*: largest
share of the bound bins that is called while at most one in ten of the called is unbound.

{table}

{summary}

## What it has learned

Interpret a target whose verdict is *learned*; what the model says of another rests on what surrounds
bound sites (composition, other factors' motifs). *own motif*: log-odds with the consensus of the JASPAR
matrix in the middle of {n_backgrounds} shuffled backgrounds minus log-odds with its scramble, with 95%
interval. *raised most by*: the matrix of the table that does most for the target. *against shuffles*:
AUROC of bound windows against their own dinucleotide shuffles. *learned*: a response of at least
{least_response:g}, its interval above 0, and an AUROC of at least {least_auroc:g}; otherwise *too few
peaks* below {few_bins:,} bound training bins, and *context only*.

{learned}
{agreement}{calibration_section}{fidelity_section}{elsewhere}{earlier}
## Use and limits

{limits}- Peaks are calls from one laboratory protocol: absence of a peak is not proof of absence of binding.
- Probabilities are calibrated to {calibration}.
  Natural log-odds for another prevalence P: add log(P / (1 - P)) - log(Q / (1 - Q)), where Q is the
  prevalence that they are calibrated to.
- The model reads sequence only, from any assembly.

## How it was made

{how}With the chromosome and the peak files at hand:

```
{train}
kipoi tfbind evaluate run --fasta genome.fa --peaks peaks/
kipoi tfbind package run --name {name} --group .
```
"""


def model_card(
    name: str,
    configs: Sequence[TrainingConfig],
    metrics: Mapping[str, Any],
    *,
    parameters: int,
    md5: str,
    earlier: str = "",
    distillation: Mapping[str, Any] | None = None,
    fidelity: Mapping[str, Any] | None = None,
) -> str:
    """Return the card of a zoo entry as Markdown, its numbers as they were measured.

    Parameters
    ----------
    name
        Name of the entry.
    configs
        Configuration of the run, or those of the members of an ensemble.
    metrics
        What :func:`kipoi_tfbind.training.evaluate.evaluate` returns.
    parameters
        Number of the model's parameters.
    md5
        Checksum of its weights.
    earlier
        A paragraph on versions before this one.
    distillation
        What a student of the ensemble was made with, as in its `distillation.json`.
    fidelity
        How much of the ensemble it keeps, as in its `fidelity.json`.
    """
    config = max(configs, key=lambda config: config.length)
    windows = config.windows
    is_ensemble = len(configs) > 1
    return _TEMPLATE.format(
        name=name,
        title=config.title or name,
        length=config.length,
        bin_length=windows.bin_length,
        targets=", ".join(config.targets),
        architecture=_architecture(configs, distillation),
        parameters=parameters,
        difference="their difference, and its standard deviation over the members"
        if is_ensemble
        else "and their difference",
        strands=_strands(configs),
        trained_on=config.trained_on or "not stated",
        validation=", ".join(map(str, config.validation)),
        test=", ".join(map(str, config.test)),
        md5=md5,
        n_bins=metrics["n_bins"],
        overlap=windows.min_overlap,
        confidence=metrics["confidence"],
        table=metrics_table(metrics),
        summary=_summary(metrics),
        calibration_section=_section(_CALIBRATION, calibration_table(metrics), level=LEVEL),
        fidelity_section=fidelity_section(fidelity),
        agreement=_section(_AGREEMENT, agreement_table(metrics), **metrics.get("maps", {})),
        elsewhere=_section(_ELSEWHERE, other_cells_table(metrics)),
        limits=_ONE_CONTIG if len(config.contigs) == 1 else "",
        calibration=fill(
            calibrated_to(configs), 100, subsequent_indent="  ", initial_indent=" " * 33
        ).strip(),
        learned=learned_table(metrics),
        n_backgrounds=N_BACKGROUNDS,
        least_response=LEAST_RESPONSE,
        least_auroc=LEAST_AUROC,
        few_bins=FEW_BINS,
        earlier=f"\n{earlier}\n" if earlier else "",
        how=_HOW_MEMBERS.format(n=len(configs), name=name) if is_ensemble else _HOW.format(name=name),
        train=_commands(name, len(configs), distillation),
    )


def _section(template: str, table: str, **values: Any) -> str:
    """A section of the card, where there is something in its table."""
    return template.format(table=table, **values) if table else ""


def _summary(metrics: Mapping[str, Any]) -> str:
    """How the targets do together, in a sentence or two."""
    results = list(metrics["targets"].values())
    gains = [result[best_baseline(result)]["auprc"] for result in results]
    auprc = [result["model"]["auprc"]["value"] for result in results]
    best = [result[best_baseline(result)]["auprc"]["value"] for result in results]
    ahead, behind = (sum(g["gain_low"] > 0 for g in gains), sum(g["gain_high"] < 0 for g in gains))
    return (
        f"Mean AUPRC {np.mean(auprc):.3f}, of the best baseline for each {np.mean(best):.3f}; ahead of it\n"
        f"with an interval above 0 for {ahead} of {len(gains)}, behind it with one below 0 for {behind}."
    )


def _strands(configs: Sequence[TrainingConfig]) -> str:
    """Whether both strands have one prediction: of every member, or it is not said."""
    kinds = {config.hyperparameters.get("strands", "tied") for config in configs}
    return ", reverse-complement equivariant" if kinds <= {"tied", "siamese"} else ""


def _architecture(configs: Sequence[TrainingConfig], distillation: Mapping[str, Any] | None) -> str:
    """Such as ``a`, or `5 x `a` and 1 x `b``, without the outer backticks of the template."""
    counts = Counter(config.architecture for config in configs)
    if len(configs) == 1:
        return f"`{configs[0].architecture}`"
    members = " and ".join(f"{n} × `{name}`" for name, n in counts.items())
    if distillation is None:
        return f"log-odds of {members}, weighed for each target"
    kept = Counter(configs[number - 1].architecture for number in distillation["kept"])
    body = " and ".join(f"{n} × `{name}`" for name, n in kept.items())
    return f"features of {body}, and from them log-odds of {members}, distilled and weighed for each target"


def calibrated_to(configs: Sequence[TrainingConfig]) -> str:
    """Return what the probabilities of a model are calibrated to, in words.

    An ensemble is fitted to the validation regions; a model of one run is left as it was trained.
    """
    if len(configs) > 1:
        return "the share of bound bins in the validation regions, all of whose bins count"
    windows = configs[0].windows
    shuffled = f", {windows.shuffled:g} shuffles" if windows.shuffled else ""
    bins = f"{windows.gc_matched:g} GC-matched and {windows.random:g} random bins{shuffled}"
    return (
        f"the training mix ({bins} for each bound one), not to the genome; use them to rank and to "
        "compare alleles, or calibrate them as the card says"
    )


def _commands(name: str, n_members: int, distillation: Mapping[str, Any] | None) -> str:
    data = "--fasta genome.fa --peaks peaks/"
    if n_members == 1:
        return f"kipoi tfbind train training/{name}.yaml {data} -o run"
    lines = [
        f"for i in $(seq {n_members}); do",
        f"  kipoi tfbind train training/{name}.member-$i.yaml {data} -o member-$i",
        "done",
        f"kipoi tfbind ensemble $(seq -f member-%g {n_members}) {data} -o run",
    ]
    if distillation is not None:
        lines[-1] = lines[-1].removesuffix("run") + "ensemble"
        not_said = {"keep", "kept", "ensemble"} | ({"members"} if distillation["keep"] else set())
        values = {key: value for key, value in distillation.items() if key not in not_said}
        options = [f"--keep {number}" for number in distillation["keep"]]
        options += [f"--{key.replace('_', '-')} {value:g}" for key, value in values.items()]
        lines.append(f"kipoi tfbind distill ensemble {data} -o run {' '.join(options)}")
    return "\n".join(lines)
