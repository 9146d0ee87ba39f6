"""Variant effects as files: an annotated VCF, tables, or several of them at once, in one pass."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.all_snvs import AllSnvs
from kipoi_tfbind.genome.intervals import read_intervals
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.vcf_stream import VcfStream
from kipoi_tfbind.interpret._method import provenance
from kipoi_tfbind.interpret.variants.annotations import annotated, columns, info_keys, status_key, table_of
from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock, VariantEvaluator, VariantOptions
from kipoi_tfbind.interpret.variants.haplotypes import sample_column
from kipoi_tfbind.interpret.variants.null_statistics import q_values
from kipoi_tfbind.interpret.variants.nulls import NullVariants
from kipoi_tfbind.interpret.variants.peaks import PeakPredictions
from kipoi_tfbind.interpret.variants.scored_blocks import added, scored_blocks
from kipoi_tfbind.interpret.variants.scores import (
    check_scores,
    default_scores,
    haplotype_scores,
    null_scores,
)
from kipoi_tfbind.interpret.variants.shuffled_contexts import ShuffledContexts
from kipoi_tfbind.interpret.variants.top import ScoredAllele, strongest
from kipoi_tfbind.models.sequence_model import SequenceModel
from kipoi_tfbind.notices import progress
from kipoi_tfbind.results.annotated_vcf import (
    InfoKey,
    header_with_keys,
)
from kipoi_tfbind.results.background import WriteBehind
from kipoi_tfbind.results.files import OPTION
from kipoi_tfbind.results.late_score import LateScore
from kipoi_tfbind.results.shards import MARK, Shard
from kipoi_tfbind.results.variant_files import VariantFiles
from kipoi_tfbind.results.variant_outputs import STDOUT, check_outputs, kind_of_output
from kipoi_tfbind.results.variant_shards import OwnRecords, Records, write_beside
from kipoi_tfbind.results.variant_tables import TableColumns

# Lines that are scored and written together. Not an option: results are compressed block by block.
BLOCK = 1024


def write_variant_effects(
    model: Any,
    vcf: str | os.PathLike[str] | AllSnvs,
    fasta: str | os.PathLike[str] | Genome,
    outputs: Sequence[str | os.PathLike[str]],
    *,
    options: VariantOptions | None = None,
    scores: Sequence[str] | None = None,
    sample: str | None = None,
    nulls: NullOptions | None = None,
    top: int = 0,
    prefix: str = "TFB",
    shard: Shard | str | None = None,
    restart: bool = False,
) -> VariantEvaluator:
    r"""Score every alternative allele of a VCF and write the scores, block by block, in constant memory.

    An annotated VCF has every byte of the lines that were read; keys are added to INFO. A run that was
    interrupted goes on when it is started again with the same arguments, and ends with the same bytes.

    Parameters
    ----------
    model, vcf, fasta
        As for `variant_effects`; instead of a VCF, every SNV of some intervals.
    outputs
        Names that end in .vcf, .vcf.gz (with its index), .tsv, .tsv.gz, .parquet, .nc; "-" is standard
        output, which gets nothing before the end where there are q-values.
    options
        How variants are scored.
    scores
        Names of the scores to write (`kipoi_tfbind.interpret.variants.scores.SCORES`); by default a few.
    sample
        A sample of the VCF, whose phased alleles are also scored on their own haplotypes
        (`kipoi_tfbind.interpret.variants.haplotypes`).
    nulls
        Null variants that effects are compared with: p-values, q-values, quantiles.
    top
        Number of alleles of the largest effects to remember, for `explain_variants` (`VariantEvaluator.top`).
    prefix
        Beginning of the keys in INFO.
    shard
        Only a share of the lines, such as "2/8": every eighth block of 1,024. `merge_shards` joins the files
        of all shards to the bytes of one run; q-values, which need all alleles, come then.
    restart
        Begin anew instead of going on with an interrupted run.

    Returns
    -------
    VariantEvaluator
        Source of the scores; it has the numbers of alleles, and why some have no score.

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
    shard = Shard.parse(shard) if isinstance(shard, str) else shard
    stream: Records = vcf if isinstance(vcf, AllSnvs) else VcfStream(vcf, in_order=in_order)
    stream = OwnRecords(stream, shard) if shard is not None else stream
    evaluator = VariantEvaluator(model, fasta, options or VariantOptions(), stream.name)
    chosen = list(scores) if scores is not None else _default_scores(evaluator.model)
    check_scores(chosen)
    column = None
    if sample is not None:
        column = sample_column(stream.header, sample, stream.name)
        chosen += [name for name in haplotype_scores() if name not in chosen]
    elif set(chosen) & set(haplotype_scores()):
        raise InputError("scores: those of haplotypes need a sample (sample=; --sample)")
    if nulls is not None:
        nulls.give_to(evaluator)
        more = null_scores(peaks=nulls.peaks is not None)
        chosen += [name for name in more if name not in chosen]
    table_columns = columns(evaluator.model, chosen)
    keys = info_keys(evaluator.model, chosen, prefix)
    attributes = _attributes(evaluator, chosen, prefix) | ({"sample": sample} if sample else {})
    attributes |= nulls.attributes if nulls is not None else {}
    all_keys = [key for key, *_ in keys] + [status_key(prefix)]
    header = header_with_keys(stream.header, all_keys, attributes, prefix, stream.name)
    late = _late_score(keys) if nulls is not None else None
    beside = None
    if isinstance(stream, OwnRecords):
        _refuse_in_shards(sample, top, paths)
        beside = _beside(stream, attributes, evaluator.options, header, late, table_columns)
        attributes = attributes | {"shard": str(shard)}
        header = header_with_keys(stream.header, all_keys, attributes, prefix, stream.name)
    with (
        _ends_at_stdout(paths, late) as own,
        VariantFiles(own, attributes, table_columns, late, beside) as files,
    ):
        files.begin(header, restart=restart)
        evaluator.tallies |= files.tallies
        with (
            progress("variants", unit="allele", initial=files.n_alleles, leave=True) as bar,
            WriteBehind() as writer,
        ):

            def write(block: ScoredBlock) -> None:
                files.tallies = added(files.tallies, block)
                files.top = strongest(block, files.top, top)
                lines = list(annotated(block, keys, prefix))
                files.append(lines, block.records.lines, table_of(block))
                bar.update(len(block))

            for block, is_new in scored_blocks(stream, evaluator, files, column, BLOCK):
                if is_new:
                    writer.call(partial(write, block))
        evaluator.top = [ScoredAllele(*row) for row in files.top]
        files.finish()
    return evaluator


@contextmanager
def _ends_at_stdout(paths: list[str], late: LateScore | None) -> Iterator[list[str]]:
    """The outputs; where a score is known at the end only, a file for standard output, sent there then."""
    if late is None or STDOUT not in paths:
        yield paths
        return
    with tempfile.TemporaryDirectory(prefix="variants-") as folder:
        whole = os.path.join(folder, "stdout.vcf")
        yield [whole if path == STDOUT else path for path in paths]
        with open(whole, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _default_scores(model: SequenceModel) -> list[str]:
    return default_scores(len(model.target_names), model.output, len(model.members) or 1)


@dataclass(frozen=True)
class NullOptions:
    """Null variants that effects are compared with.

    Attributes
    ----------
    n
        Null variants of each class; or, without regions, shuffles of each variant's own window.
    regions
        BED of where null variants are drawn from.
    peaks
        BED or narrowPeak of real sites, whose predictions those for the alleles are compared with.
    seed
        Of the draws.
    """

    n: int
    regions: str | os.PathLike[str] | None = None
    peaks: str | os.PathLike[str] | None = None
    seed: int = 0

    @property
    def attributes(self) -> dict[str, str]:
        """Settings that a result's numbers depend on."""
        names = {
            name: os.path.basename(os.fspath(path)) if path is not None else "none"
            for name, path in (("null_regions", self.regions), ("peaks", self.peaks))
        }
        return {"null": str(self.n), "null_seed": str(self.seed), **names}

    def give_to(self, evaluator: VariantEvaluator) -> None:
        """Let an evaluator compare with them."""
        scorer = evaluator.scorer
        if self.regions is None:
            evaluator.nulls = ShuffledContexts(scorer, self.n, self.seed)
        else:
            evaluator.nulls = NullVariants(scorer, read_intervals(self.regions), self.n, self.seed)
        if self.peaks is not None:
            evaluator.peaks = PeakPredictions(scorer, read_intervals(self.peaks))


def _late_score(keys: Sequence[tuple[InfoKey, str, int | None]]) -> LateScore:
    own = tuple(key.key.encode() for key, name, _ in keys if name == "effect_q_value")
    return LateScore("effect_q_value", "effect_p_value", q_values, own)


def _refuse_in_shards(sample: str | None, top: int, paths: Sequence[str]) -> None:
    """Refuse what needs neighbouring lines, or all of them.

    Raises
    ------
    InputError
        Something of that was asked for.
    """
    for is_asked, what in (
        (sample is not None, "haplotypes (--sample) need the neighbours of a line"),
        (top > 0, "the strongest alleles (--explain) are known when all are scored"),
        (STDOUT in paths, "standard output has no name to join by"),
    ):
        if is_asked:
            raise InputError(f"--shard: {what}; leave out one of the two")


def _beside(
    stream: OwnRecords,
    attributes: dict[str, str],
    options: VariantOptions,
    header: Sequence[bytes],
    late: LateScore | None,
    table_columns: TableColumns,
) -> Callable[[Sequence[Path], Path], None]:
    """Function that writes what is beside a file of a shard."""

    def write(parts: Sequence[Path], path: Path) -> None:
        marked = stream.facts()
        shard = marked.pop(MARK)
        chosen = {f"{OPTION}{field.name}": str(getattr(options, field.name)) for field in fields(options)}
        facts = {
            "shard": shard,
            "facts": {**attributes, **chosen, **marked},
            "attributes": attributes,
            "header": b"".join(header).decode("latin-1"),
            "blocks": stream.counts,
        }
        write_beside(parts, path, facts, late, table_columns)

    return write


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
