"""Blocks of a VCF that an interrupted run has not done, scored one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.vcf_stream import RecordBlock
from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock, VariantEvaluator
from kipoi_tfbind.interpret.variants.haplotypes import with_haplotypes
from kipoi_tfbind.results.background import read_ahead
from kipoi_tfbind.results.variant_files import VariantFiles, checksum
from kipoi_tfbind.results.variant_shards import Records


def scored_blocks(
    stream: Records, evaluator: VariantEvaluator, files: VariantFiles, column: int | None, size: int
) -> Iterator[tuple[ScoredBlock, bool]]:
    """The blocks that are left to write, and before them, for haplotypes, the last one that is written."""
    if files.is_complete:
        return
    skip = column is not None and files.n_lines > 0

    def scored() -> Iterator[ScoredBlock]:
        for records, is_new in read_ahead(_remaining(stream, files, size)):
            if is_new:
                yield evaluator.evaluate(records, stream.unit)
            elif column is not None:
                tallies = dict(evaluator.tallies)
                yield evaluator.evaluate(records, stream.unit)
                evaluator.tallies = tallies

    blocks = scored()
    if column is not None:
        blocks = with_haplotypes(blocks, evaluator.scorer, column)
    for block in blocks:
        yield block, not skip
        skip = False


def added(tallies: dict[str, int], block: ScoredBlock) -> dict[str, int]:
    """Tallies with those of a block: as the evaluator counts, but block by block as they are written."""
    return {name: tallies.get(name, 0) + n for name, n in block.tallies.items()} | {
        name: n for name, n in tallies.items() if name not in block.tallies
    }


def _remaining(stream: Records, files: VariantFiles, size: int) -> Iterator[tuple[RecordBlock, bool]]:
    """The last block that an interrupted run has done, and then, marked as new, those that it has not.

    Raises
    ------
    InputError
        The lines that it has done are not those of this file.
    """
    finished = files.n_lines, files.checksum  # which change as blocks are added
    n = skipped = 0
    for records in stream.blocks(size):
        if n >= finished[0]:
            yield records, True
            continue
        n += len(records.lines)
        skipped = checksum(records.lines, skipped)
        if n >= finished[0]:
            if (n, skipped) != finished:
                break
            yield records, False
    if (n, skipped) != finished:
        raise InputError(
            f"{stream.name}: is not the file that an interrupted run has begun with; use --restart"
        )
