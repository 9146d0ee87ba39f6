"""Variants of a sample on their own haplotypes: with its other alternative alleles around them.

Of an allele v on haplotype h, in the window of v (as it is without a sample), with f the model's output:

- effect on the haplotype: f(all of h's alleles in the window) - f(the same without v);
- joint minus sum: f(all) - f(reference) - sum over its alleles i of (f(i alone) - f(reference)); 0 for a
model
  that adds up, missing where v is alone in its window.

All these windows are cut so that v stays where it is: what lies left of it moves to the left. An indel v is
filled as `indel_anchors` says, and the mean is taken. Only genotypes that are written as phased ("0|1") are
put on haplotypes, within one phase set (PS); so are homozygous ones, which are on both, however they are
written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import Changes
from kipoi_tfbind.genome.variant_windows import fill_offsets
from kipoi_tfbind.interpret.variants.evaluate import ScoredBlock
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer

HAPLOTYPES = (1, 2)
_FORMAT, _FIRST_SAMPLE = 8, 9


@dataclass(frozen=True)
class Carried:
    """An allele on a haplotype.

    Attributes
    ----------
    block, row
        Where it is in the blocks.
    contig
        Name of its contig.
    start, size
        0-based start of what is replaced, and how many bases.
    alt
        Base codes of what replaces them.
    phase_set
        Its phase set; None of a homozygous allele, which goes with any.
    """

    block: int
    row: int
    contig: str
    start: int
    size: int
    alt: bytes
    phase_set: bytes | None

    @property
    def shift(self) -> int:
        """Bases that the haplotype has more for it."""
        return len(self.alt) - self.size


def sample_column(header: Sequence[bytes], sample: str, name: str) -> int:
    """Column of a sample, counted from 0.

    Raises
    ------
    InputError
        The VCF has no such sample.
    """
    names = [text.decode() for text in header[-1].rstrip(b"\r\n").split(b"\t")[_FIRST_SAMPLE:]]
    if sample not in names:
        there = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise InputError(f"{name}: no sample {sample!r}; it has {there or 'none'}")
    return _FIRST_SAMPLE + names.index(sample)


def genotype(line: bytes, column: int) -> tuple[list[int], bytes | None]:
    r"""Numbers of the alleles on the haplotypes of a sample, and their phase set.

    Returns
    -------
    alleles, phase_set
        0 for the reference; empty where the genotype is missing, or heterozygous and not phased. The phase
        set is None of a homozygous genotype.

    Examples
    --------
    >>> line = b"20\t1\t.\tA\tC\t.\t.\t.\tGT:PS\t0|1:7\t0/1:.\t1/1:.\n"
    >>> [genotype(line, column) for column in (9, 10, 11)]
    [([0, 1], b'7'), ([], b''), ([1, 1], None)]
    """
    fields = line.rstrip(b"\r\n").split(b"\t")
    keys = fields[_FORMAT].split(b":")
    values = dict(zip(keys, fields[column].split(b":"), strict=False))
    text = values.get(b"GT", b".")
    numbers = text.replace(b"|", b"/").split(b"/")
    if not all(number.isdigit() for number in numbers):
        return [], b""
    alleles = [int(number) for number in numbers]
    if len(set(alleles)) == 1 and len(alleles) > 1:
        return alleles, None
    if b"/" in text:
        return [], b""
    return alleles, values.get(b"PS", b".")


def with_haplotypes(
    blocks: Iterator[ScoredBlock], scorer: AlleleScorer, column: int
) -> Iterator[ScoredBlock]:
    """Add to blocks the scores of a sample's alleles on their own haplotypes.

    Every block is held back until the next is there: windows reach over the ends of blocks.

    Parameters
    ----------
    blocks
        Scored blocks, in the order of the file.
    scorer
        Scorer of changes.
    column
        Column of the sample.
    """
    around: list[ScoredBlock] = []
    for block in blocks:
        around.append(block)
        if len(around) > 1:
            yield _scored(around, len(around) - 2, scorer, column)
        around = around[-2:]
    if around:
        yield _scored(around, len(around) - 1, scorer, column)


def _scored(around: list[ScoredBlock], which: int, scorer: AlleleScorer, column: int) -> ScoredBlock:
    block = around[which]
    n, targets = len(block), len(scorer.model.target_names)
    scores = dict(block.scores)
    for number in HAPLOTYPES:
        effect, excess = (np.full((n, targets), np.nan) for _ in range(2))
        carried = _carried(around, number, column)
        focal = [i for i, each in enumerate(carried) if each.block == which]
        for row, values in _evaluate(carried, focal, block, scorer):
            effect[row], excess[row] = values
        scores[f"haplotype_{number}_effect"] = effect
        scores[f"haplotype_{number}_joint_minus_sum"] = excess
    return replace(block, scores=scores)


def _carried(around: list[ScoredBlock], number: int, column: int) -> list[Carried]:
    """All alleles of a haplotype that can be scored, in the order of the blocks."""
    found = []
    for index, block in enumerate(around):
        changes: Changes = block.changes
        first = np.searchsorted(block.records.line, np.arange(len(block.records.lines)))
        for line_number, line in enumerate(block.records.lines):
            begin = int(first[line_number])
            if begin == len(block) or block.records.line[begin] != line_number:
                continue
            alleles, phase_set = genotype(line, column)
            if len(alleles) < number or not alleles[number - 1]:
                continue
            row = begin + alleles[number - 1] - 1
            if row < len(block) and block.window_start[row] >= 0 and not changes.reason[row]:
                found.append(
                    Carried(
                        index,
                        row,
                        changes.contigs[changes.contig[row]],
                        int(changes.start[row]),
                        int(changes.ref_size[row]),
                        changes.alt[row],
                        phase_set,
                    )
                )
    return found


def _evaluate(
    carried: list[Carried], focal: list[int], block: ScoredBlock, scorer: AlleleScorer
) -> Iterator[tuple[int, tuple[NDArray, NDArray]]]:
    """Effect and joint minus sum of each focal allele."""
    wanted: dict[bytes, int] = {}
    plans = []
    for i in focal:
        own = carried[i]
        start = int(block.window_start[own.row])
        others = _neighbours(carried, i, start, scorer.length)
        plan = []
        for offset in fill_offsets(own.shift, scorer.anchors):
            sets = [[*others, own], others, [], *([each] for each in others), [own]]
            cut = [_window(scorer, start, own, some, offset if own in some else 0) for some in sets]
            plan.append([wanted.setdefault(codes, len(wanted)) for codes in cut])
        plans.append((own.row, len(others), plan))
    if not wanted:
        return
    codes = np.frombuffer(b"".join(wanted), dtype=np.uint8).reshape(len(wanted), scorer.length)
    prediction = scorer.predict_windows(codes)
    for row, n_others, plan in plans:
        effects, excesses = [], []
        for joint, without, reference, *alone in plan:
            effects.append(prediction[joint] - prediction[without])
            singles = sum(prediction[each] - prediction[reference] for each in alone)
            excesses.append(prediction[joint] - prediction[reference] - singles)
        excess = np.mean(excesses, axis=0) if n_others else np.full_like(effects[0], np.nan)
        yield row, (np.mean(effects, axis=0), excess)


def _neighbours(carried: list[Carried], i: int, start: int, length: int) -> list[Carried]:
    """The other alleles of the haplotype that lie in the window, none over another or over the focal one."""
    own = carried[i]
    chosen: list[Carried] = []
    for step in (-1, 1):
        j = i + step
        # Records are sorted by position: alleles further away are not in the window. A repeat may have moved
        # an indel to the left, by less than the window.
        while 0 <= j < len(carried) and carried[j].contig == own.contig:
            each = carried[j]
            if abs(each.start - own.start) > 2 * length:
                break
            inside = start <= each.start and each.start + each.size <= start + length
            fits = own.phase_set is None or each.phase_set in (None, own.phase_set)
            if inside and fits and all(_apart(each, other) for other in [*chosen, own]):
                chosen.append(each)
            j += step
    return sorted(chosen, key=lambda each: (each.start, each.size))


def _apart(one: Carried, other: Carried) -> bool:
    if one.start == other.start and (not one.size or not other.size):
        return False
    return one.start + one.size <= other.start or other.start + other.size <= one.start


def _window(scorer: AlleleScorer, start: int, own: Carried, some: list[Carried], offset: int) -> bytes:
    """Base codes of the haplotype with some alleles, cut so that the focal one stays where it is."""
    margin = sum(max(abs(each.shift), 1) for each in some) + 1
    text = scorer.genome.windows(own.contig, [start - margin], scorer.length + 2 * margin)[0].tobytes()
    first = margin + offset
    for each in sorted(some, key=lambda each: each.start, reverse=True):
        at = each.start - start + margin
        text = text[:at] + each.alt + text[at + each.size :]
        if each is not own and each.start < own.start:
            first += each.shift
    return text[first : first + scorer.length]
