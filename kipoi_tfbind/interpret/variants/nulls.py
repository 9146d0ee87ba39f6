"""Null variants: changes of the same class, drawn from given regions, and scored like the others.

A class is a substitution type, the same on both strands, with CpG told apart (C>T at a CpG, T>A, ...); the
number of bases of a multi-nucleotide substitution; or insertion or deletion of about the same length.
Within a class, nulls are divided into strata by the GC content of the window, and by the model's prediction
for the reference allele, separately for each target: an effect is compared with those of its stratum.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import N_CODE, decode_codes
from kipoi_tfbind.errors import InputError
from kipoi_tfbind.genome.changes import Changes, find_changes
from kipoi_tfbind.genome.intervals import Intervals, check_places
from kipoi_tfbind.genome.reference import Genome
from kipoi_tfbind.genome.variant_windows import reference_windows, unfit_for_length
from kipoi_tfbind.interpret.variants.scoring import AlleleScorer
from kipoi_tfbind.interpret.variants.strata import NULL_SCORES, Strata

_BASES = "ACGT"
_LENGTHS = (1, 2, 3, 6, 11, 21, 51)
_MOST_TRIES = 200


def classes_of(genome: Genome, changes: Changes) -> list[str]:
    r"""Class of each change.

    Examples
    --------
    >>> from kipoi_tfbind.genome.changes import find_changes
    >>> path = getfixture("tmp_path") / "a.fa"
    >>> _ = path.write_text(">20\nAACGGTTACATA\n")
    >>> genome = Genome(path)
    >>> found = find_changes(
    ...     genome, ["20"], np.zeros(4, int), np.array([3, 4, 6, 7]), [*"CGT", "TA"], [*"TAAT"]
    ... )
    >>> classes_of(genome, found)
    ['C>T CpG', 'C>T CpG', 'T>A', 'deletion 1']
    """
    around = reference_windows(genome, changes, changes.start - 1, 3)
    found = []
    for context, size, alt in zip(around, changes.ref_size.tolist(), changes.alt, strict=True):
        shift = len(alt) - size
        if shift:
            kind = "insertion" if shift > 0 else "deletion"
            found.append(f"{kind} {_length_class(abs(shift))}")
        elif size > 1:
            found.append(f"substitution of {size}")
        else:
            own, after, new = int(context[1]), int(context[2]), alt[0]
            if own in (0, 2):  # purines are read on the other strand
                own, after, new = 3 - own, 3 - int(context[0]), 3 - new
            is_cpg = own == 1 and after == 2
            found.append(f"{_BASES[own]}>{_BASES[new]}{' CpG' if is_cpg else ''}")
    return found


def _length_class(length: int) -> int:
    """The shortest length of those that are taken together."""
    return max(each for each in _LENGTHS if each <= length)


def gc_content(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of G and C (window) in base codes (window, position)."""
    return ((codes == 1) | (codes == 2)).mean(axis=1)


@dataclass
class NullVariants:
    """Null variants of any class, drawn when the class is first met.

    Attributes
    ----------
    scorer
        Scorer of changes.
    regions
        Where they are drawn from.
    n
        Number of null variants of each class.
    seed
        Of the draws, which depend on it and on the class alone.
    """

    scorer: AlleleScorer
    regions: Intervals
    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 20:
            raise InputError(f"null: expected at least 20 null variants of each class, got {self.n}")
        check_places(self.regions, self.scorer.genome, 1)
        self._strata: dict[str, Strata] = {}

    def compare(self, changes: Changes, ref: NDArray, effect: NDArray) -> dict[str, NDArray]:
        """Scores (change, target) of effects among nulls of their class and stratum.

        Parameters
        ----------
        changes
            Changes that have been scored.
        ref, effect
            The model's output for the reference allele, and that for the alternative minus it (change,
            target).
        """
        names = np.array(classes_of(self.scorer.genome, changes))
        starts = changes.window_starts(self.scorer.length)
        gc = gc_content(reference_windows(self.scorer.genome, changes, starts, self.scorer.length))
        found = {name: np.full(effect.shape, np.nan) for name in NULL_SCORES}
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            for score, values in (
                self._strata_of(str(name)).compare(gc[rows], ref[rows], effect[rows]).items()
            ):
                found[score][rows] = values
        return found

    def _strata_of(self, name: str) -> Strata:
        if name not in self._strata:
            changes = self.draw(name)
            predictions = self.scorer.predict(changes)
            starts = changes.window_starts(self.scorer.length)
            gc = gc_content(reference_windows(self.scorer.genome, changes, starts, self.scorer.length))
            self._strata[name] = Strata(gc, predictions.ref, predictions.alt - predictions.ref)
        return self._strata[name]

    def draw(self, name: str, *, stream: int = 0) -> Changes:
        """Draw null variants of a class; another stream gives others.

        Raises
        ------
        InputError
            The regions have too few places for it.
        """
        rng = np.random.default_rng([self.seed, stream, zlib.crc32(name.encode())])
        parts: list[Changes] = []
        n = 0
        for _ in range(_MOST_TRIES):
            some = _drawn(self.scorer.genome, self.regions, name, self.n, rng)
            usable = unfit_for_length(self.scorer.genome, some, self.scorer.length, self.scorer.shifts) == ""
            some = some.rows(np.flatnonzero(usable))
            some = some.rows(np.flatnonzero(np.array(classes_of(self.scorer.genome, some)) == name))
            parts.append(some)
            n += len(some)
            if n >= self.n:
                break
        if n < self.n:
            raise InputError(
                f"{self.regions.path}: too few places for {self.n} null variants of the class {name!r} "
                f"(found {n}); give larger regions, or a smaller number"
            )
        return _joined(parts).rows(np.arange(self.n))


def _drawn(genome: Genome, regions: Intervals, name: str, n: int, rng: np.random.Generator) -> Changes:
    """Changes at random places, about as many as are asked for; some may be of another class."""
    size = regions.end - regions.start
    chosen = rng.choice(len(regions), size=4 * n, p=size / size.sum())
    start = regions.start[chosen] + (rng.random(4 * n) * size[chosen]).astype(np.int64)
    kind, _, text = name.rpartition(" ")
    longest = int(text) if text.isdigit() else 1
    if kind in ("insertion", "deletion"):
        upper = [each for each in _LENGTHS if each > longest]
        longest = int(rng.integers(longest, min(upper, default=2 * longest)))
    contig = regions.contig[chosen]
    own = np.empty((4 * n, longest + 1), dtype=np.uint8)
    for i in np.unique(contig):
        here = np.flatnonzero(contig == i)
        own[here] = genome.windows(regions.contigs[i], start[here], longest + 1)
    if kind == "deletion":
        ref, alt = own, own[:, :1]
    elif kind == "insertion":
        # The bases of another place, as they follow each other in genomes.
        ref, alt = own[:, :1], np.hstack([own[:, :1], np.roll(own, 1, axis=0)[:, 1:]])
    else:
        ref = own[:, 1:]
        alt = ((ref + rng.integers(1, 4, ref.shape)) % 4).astype(np.uint8)
        start = start + 1
    known = ((ref != N_CODE).all(axis=1) & (alt != N_CODE).all(axis=1)).nonzero()[0]
    return find_changes(
        genome,
        regions.contigs,
        contig[known],
        start[known] + 1,
        decode_codes(ref[known]),
        decode_codes(alt[known]),
    )


_FIELDS = ("contigs", "contig", "start", "ref_size", "alt", "low", "high", "rounds_up", "reason")


def _joined(parts: Sequence[Changes]) -> Changes:
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in _FIELDS
        if name not in ("contigs", "alt")
    }
    return Changes(contigs=parts[0].contigs, alt=[each for part in parts for each in part.alt], **columns)
