"""The alleles of the largest effects, kept while a file is read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock


class ScoredAllele(NamedTuple):
    """An allele and its largest effect.

    Attributes
    ----------
    chrom, pos, variant_id, ref, alt
        As in the VCF; `pos` is 1-based.
    target
        Name of the target of the largest effect.
    effect
        That effect: the difference of logits, or of outputs.
    """

    chrom: str
    pos: int
    variant_id: str
    ref: str
    alt: str
    target: str
    effect: float


def strongest(block: ScoredBlock, before: list[list[Any]], n: int) -> list[list[Any]]:
    """Rows of the `n` strongest alleles so far, as `ScoredAllele` has them, the strongest first."""
    if not n:
        return []
    effect = block.scores["largest"]
    scored = np.flatnonzero(~np.isnan(effect))
    chosen = scored[np.argsort(-np.abs(effect[scored]), kind="stable")[:n]]
    records = block.records
    rows = [
        [
            records.contigs[records.contig[i]],
            int(records.pos[i]),
            records.id[i],
            records.ref[i],
            records.alt[i],
            block.targets[block.scores["largest_target"][i]],
            float(effect[i]),
        ]
        for i in chosen.tolist()
    ]
    return sorted([*before, *rows], key=lambda row: -abs(row[-1]))[:n]
