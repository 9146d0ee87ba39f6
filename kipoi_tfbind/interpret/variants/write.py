"""Variant effects as files: an annotated VCF, tables, or several of them at once, in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.vcf_stream import RecordBlock, VcfStream
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock, VariantEvaluator, VariantOptions
from kipoi_tfbind.interpret.variants.scores import SCORES, check_scores, default_scores
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.results.annotated_vcf import (
    InfoKey,
    annotated_lines,
    header_with_keys,
    key_name,
    number_texts,
)
from kipoi_tfbind.results.variant_files import (
    STDOUT,
    VariantFiles,
    check_outputs,
    checksum,
    kind_of_output,
)
from kipoi_tfbind.results.variant_tables import TableColumns

# Lines that are scored and written together. Not an option: results are compressed block by block.
BLOCK = 4096


def write_variant_effects(
    model: Any,
    vcf: str | os.PathLike[str],
    fasta: str | os.PathLike[str],
    outputs: Sequence[str | os.PathLike[str]],
    *,
    options: VariantOptions | None = None,
    scores: Sequence[str] | None = None,
    prefix: str = "TFB",
    restart: bool = False,
) -> VariantEvaluator:
    r"""Score every alternative allele of a VCF and write the scores, block by block, in constant memory.

    An annotated VCF has every byte of the lines that were read; keys are added to INFO. A run that was
    interrupted goes on when it is started again with the same arguments, and ends with the same bytes.

    Parameters
    ----------
    model, vcf, fasta
        As for `variant_effects`.
    outputs
        Names that end in .vcf, .vcf.gz (with its index), .tsv, .tsv.gz, .parquet, .nc; "-" is standard
        output.
    options
        How variants are scored.
    scores
        Names of the scores to write (`kipoi_tfbind.interpret.variants.scores.SCORES`); by default a few.
    prefix
        What the keys in INFO begin with.
    restart
        Begin anew instead of going on with an interrupted run.

    Returns
    -------
    VariantEvaluator
        What scored them; it has the numbers of alleles, and why some have no score.

    Raises
    ------
    InputError
        A file cannot be read or written, or its REFs are not what the FASTA has; one line says which.

    Examples
    --------
    >>> from kipoi_tfbind import as_sequence_model
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.fa").write_text(">20\nAACCGGTTAACC\n")
    >>> _ = (folder / "a.vcf").write_text(
    ...     "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    ...     "chr20\t5\trs1\tG\tT,<DEL>\t.\t.\tDP=7\n"
    ... )
    >>> model = as_sequence_model(lambda x: x[:, :, 2].sum(axis=1), targets=["G"], length=4)
    >>> done = write_variant_effects(
    ...     model, folder / "a.vcf", folder / "a.fa", [folder / "b.vcf"], scores=["signal_difference"]
    ... )
    >>> print((folder / "b.vcf").read_text().splitlines()[-1].split("\t")[-1])
    DP=7;TFB_DIFF_G=-1,.;TFB_STATUS=ok,symbolic_allele
    """
    check_outputs(outputs)
    paths = [os.fspath(path) for path in outputs]
    in_order = any(kind_of_output(path) == "vcf" and path.endswith("gz") for path in paths)
    stream = VcfStream(vcf, in_order=in_order)
    evaluator = VariantEvaluator(model, fasta, options or VariantOptions(), stream.name)
    chosen = list(scores) if scores is not None else _default_scores(evaluator.model)
    check_scores(chosen)
    columns = _columns(evaluator.model, chosen)
    keys = _info_keys(evaluator.model, chosen, prefix)
    attributes = _attributes(evaluator, chosen, prefix)
    header = header_with_keys(
        stream.header, [key for key, *_ in keys] + [_status_key(prefix)], attributes, prefix, stream.name
    )
    files = VariantFiles(paths, attributes, columns)
    files.begin(header, restart=restart)
    evaluator.tallies |= files.tallies
    with tqdm(desc="variants", unit="allele", initial=files.n_alleles, disable=None, delay=1) as progress:
        for records in () if files.is_complete else _remaining(stream, files):
            block = evaluator.evaluate(records, stream.unit)
            files.tallies = evaluator.tallies
            files.append(
                list(_annotated(block, keys, prefix)), records.lines, table_of(block, columns.targets)
            )
            progress.update(len(block))
    files.finish()
    return evaluator


def _default_scores(model: SequenceModel) -> list[str]:
    return default_scores(len(model.target_names), model.output, len(model.members) or 1)


def _remaining(stream: VcfStream, files: VariantFiles) -> Iterator[RecordBlock]:
    """The blocks that an interrupted run has not done.

    Raises
    ------
    InputError
        The lines that it has done are not those of this file.
    """
    finished = files.n_lines, files.checksum  # which change as blocks are added
    n = skipped = 0
    for records in stream.blocks(BLOCK):
        if n >= finished[0]:
            yield records
            continue
        n += len(records.lines)
        skipped = checksum(records.lines, skipped)
        if n >= finished[0] and (n, skipped) != finished:
            break
    if (n, skipped) != finished:
        raise InputError(
            f"{stream.name}: is not the file that an interrupted run has begun with; use --restart"
        )


def _columns(model: SequenceModel, chosen: Sequence[str]) -> TableColumns:
    by_target = tuple(name for name in chosen if SCORES[name].by_target)
    of_allele = [name for name in chosen if not SCORES[name].by_target]
    if "largest" in of_allele:
        of_allele.append("largest_target")
    return TableColumns(by_target, tuple(of_allele), model.target_names)


def _info_keys(
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


def _status_key(prefix: str) -> InfoKey:
    meaning = "where an allele is not ok, for each allele: ok, padded, contains_n, or why it has no score"
    return InfoKey(key_name(prefix, "STATUS"), meaning, "String")


def _attributes(evaluator: VariantEvaluator, chosen: Sequence[str], prefix: str) -> dict[str, str]:
    options = evaluator.options
    found = provenance(
        "variant_effects",
        evaluator.model,
        vcf=os.path.basename(evaluator.name),
        fasta=os.path.basename(evaluator.genome.path),
        window=evaluator.length,
        indel_anchors=options.indel_anchors,
        shifts=options.shifts,
        scores=" ".join(chosen),
        prefix=prefix,
    )
    return {name: str(value) for name, value in found.items()}


def _annotated(
    block: ScoredBlock, keys: Sequence[tuple[InfoKey, str, int | None]], prefix: str
) -> Iterator[bytes]:
    columns = []
    for key, name, target in keys:
        values = block.scores[name]
        columns.append(
            (key.key.encode(), _texts(values if target is None else values[:, target], name, block))
        )
    status_key = key_name(prefix, "STATUS").encode()
    return annotated_lines(block.records.lines, block.records.line, columns, block.status, status_key)


def _texts(values: NDArray, name: str, block: ScoredBlock) -> list[bytes]:
    if name == "largest_target":
        names = block.targets
        return [key_name(names[i]).encode() if i >= 0 else b"." for i in values.tolist()]
    texts = number_texts(values)
    return [b"." if text == b"-1" else text for text in texts] if values.dtype.kind == "i" else texts


def table_of(block: ScoredBlock, targets: Sequence[str]) -> dict[str, Any]:
    """Columns of the alleles of a block."""
    records = block.records
    names = np.array([*targets, "."], dtype=object)
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


__all__ = ["BLOCK", "STDOUT", "table_of", "write_variant_effects"]
