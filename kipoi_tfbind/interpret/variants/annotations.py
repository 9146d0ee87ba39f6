"""Scores of a block as the keys of a VCF and as the columns of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock
from kipoi_tfbind.interpret.variants.scores import SCORES
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.results.annotated_vcf import InfoKey, annotated_lines, key_name, number_texts
from kipoi_tfbind.results.variant_tables import TableColumns


def columns(model: SequenceModel, chosen: Sequence[str]) -> TableColumns:
    """Columns of the tables for some scores."""
    by_target = tuple(name for name in chosen if SCORES[name].by_target)
    of_allele = [name for name in chosen if not SCORES[name].by_target]
    if "largest" in of_allele:
        of_allele.append("largest_target")
    return TableColumns(by_target, tuple(of_allele), model.target_names)


def info_keys(
    model: SequenceModel, chosen: Sequence[str], prefix: str
) -> list[tuple[InfoKey, str, int | None]]:
    """Keys of the INFO, each with its score, and the number of its target if it has one."""
    keys: list[tuple[InfoKey, str, int | None]] = []
    for name in chosen:
        score = SCORES[name]
        kind = "Integer" if name == "agreeing" else "Float"
        if score.by_target:
            for i, target in enumerate(model.target_names):
                key = key_name(prefix, score.key, target)
                keys.append((InfoKey(key, f"{target}: {score.meaning}", kind), name, i))
        else:
            keys.append((InfoKey(key_name(prefix, score.key), score.meaning, kind), name, None))
    if "largest" in chosen:
        meaning = "target whose difference is largest"
        keys.append((InfoKey(key_name(prefix, "MAX_TARGET"), meaning, "String"), "largest_target", None))
    return keys


def status_key(prefix: str) -> InfoKey:
    """The key that says why an allele has no score."""
    meaning = "where an allele is not ok, for each allele: ok, padded, contains_n, or why it has no score"
    return InfoKey(key_name(prefix, "STATUS"), meaning, "String")


def annotated(
    block: ScoredBlock, keys: Sequence[tuple[InfoKey, str, int | None]], prefix: str
) -> Iterator[bytes]:
    """Lines of a block with its scores in them, but for q-values, which are known later."""
    texts_of = []
    for key, name, target in keys:
        if name == "effect_q_value":  # added when all p-values are known
            continue
        values = block.scores[name]
        texts_of.append(
            (key.key.encode(), _texts(values if target is None else values[:, target], name, block))
        )
    own = key_name(prefix, "STATUS").encode()
    return annotated_lines(block.records.lines, block.records.line, texts_of, block.status, own)


def _texts(values: NDArray, name: str, block: ScoredBlock) -> list[bytes]:
    if name == "largest_target":
        names = block.targets
        return [key_name(names[i]).encode() if i >= 0 else b"." for i in values.tolist()]
    texts = number_texts(values)
    return [b"." if text == b"-1" else text for text in texts] if values.dtype.kind == "i" else texts


def table_of(block: ScoredBlock) -> dict[str, Any]:
    """Columns of the alleles of a block."""
    records = block.records
    names = np.array([*block.targets, "."], dtype=object)
    return {
        "chrom": [records.contigs[i] for i in records.contig.tolist()],
        "pos": records.pos,
        "variant_id": records.id,
        "ref": records.ref,
        "alt": records.alt,
        "status": block.status,
        "window_start": block.window_start,
        **block.scores,
        "largest_target": names[block.scores["largest_target"]],
    }
