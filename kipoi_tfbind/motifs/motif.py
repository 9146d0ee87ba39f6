"""Motifs to embed: matrices of probabilities, and the draws from them.

A motif is a matrix of probabilities. What is embedded in a background is drawn from it (a single sequence
where every row has one base), the same draw whenever the same motif meets the same background: at another
offset, beside another motif, and reverse-complemented on the other strand. So differences between such
patterns are paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.dna.random import content_seeds
from kipoi_tfbind.errors import InputError

IUPAC = {
    **{base: base for base in BASES},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"},
}
_LETTERS = {bases: letter for letter, bases in IUPAC.items()}
_SUM_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif that can be embedded.

    Attributes
    ----------
    name
        Its name in results.
    matrix
        float64 (position, base), probabilities of the bases on the motif's own strand; a row of zeros is N,
        where the background stays as it is.
    is_reverse
        Whether it is embedded as its reverse complement.
    stream
        Motifs of one stream and width are drawn from the same random numbers; by default the motif's own.
    """

    name: str
    matrix: NDArray[np.float64]
    is_reverse: bool = False
    stream: str = ""

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def is_fixed(self) -> bool:
        """Whether it is one sequence: every row has a single base, or none."""
        return bool(((self.matrix > 0).sum(axis=1) <= 1).all())

    @property
    def key(self) -> str:
        """Identity of the motif in its draws, which also depend on the background and the seed."""
        return self.stream or hashlib.sha256(np.ascontiguousarray(self.matrix).tobytes()).hexdigest()

    @property
    def columns(self) -> NDArray[np.intp]:
        """Embedded positions, on the strand of the motif: all but those of N."""
        return np.flatnonzero((self.matrix[::-1] if self.is_reverse else self.matrix).sum(axis=1))

    @property
    def text(self) -> str:
        """IUPAC consensus, as embedded: every base with at least half the probability of the likeliest.

        Examples
        --------
        >>> from kipoi_tfbind import parse_motif
        >>> parse_motif("GATNR").reverse_complement().text
        'YNATC'
        """
        letters = []
        for row in self.matrix[::-1, ::-1] if self.is_reverse else self.matrix:
            likely = "".join(b for b, p in zip(BASES, row, strict=True) if p > 0 and p >= row.max() / 2)
            letters.append(_LETTERS.get(likely, "N"))
        return "".join(letters)

    def reverse_complement(self) -> Motif:
        """The same motif on the other strand; its draws are the reverse complements of this one's."""
        return replace(self, is_reverse=not self.is_reverse)

    def consensus(self) -> Motif:
        """The likeliest sequence, as a motif of that one sequence.

        Examples
        --------
        >>> Motif("m", np.array([[0.1, 0.2, 0.6, 0.1], [0.5, 0, 0, 0.5]])).consensus().text
        'GA'
        """
        likeliest = np.eye(len(BASES))[self.matrix.argmax(axis=1)]
        likeliest[self.matrix.sum(axis=1) == 0] = 0
        return replace(self, matrix=likeliest, stream="")

    def draw(self, uniforms: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Sequences drawn from the motif, from one uniform number for each position.

        Parameters
        ----------
        uniforms
            (draw, position), from 0 to below 1.

        Returns
        -------
        codes
            uint8 (draw, embedded position): base codes at `columns`.
        """
        steps = np.cumsum(self.matrix, axis=1)
        steps /= np.where(steps[:, -1:] > 0, steps[:, -1:], 1)
        codes = (uniforms[:, :, np.newaxis] >= steps[np.newaxis, :, :-1]).sum(axis=2).astype(np.uint8)
        codes = codes[:, self.matrix.sum(axis=1) > 0]
        return (3 - codes[:, ::-1]).astype(np.uint8) if self.is_reverse else codes


def draw_instances(
    motif: Motif, codes: NDArray[np.uint8], *, instance: int = 0, seed: int = 0
) -> NDArray[np.uint8]:
    """Bases to embed in each background: drawn from the motif, the background, the instance and the seed.

    Parameters
    ----------
    motif
        The motif.
    codes
        uint8 base codes of the backgrounds (background, position).
    instance
        Another number is an independent draw, for a second copy in the same background.
    seed
        A whole number from 0 on.

    Returns
    -------
    instances
        uint8 (background, embedded position); (1, embedded position) of a motif that is one sequence.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> from kipoi_tfbind import parse_motif
    >>> draw_instances(parse_motif("GAT"), encode_bases(["AAAA", "CCCC"]))
    array([[2, 0, 3]], dtype=uint8)
    """
    if motif.is_fixed:
        return motif.draw(np.zeros((1, len(motif))))
    seeds = content_seeds(codes, seed, f"motif {motif.key} {instance}")
    uniforms = np.stack([np.random.default_rng(own).random(len(motif)) for own in seeds])
    return motif.draw(uniforms)


def checked_matrix(matrix: NDArray | Sequence[Sequence[float]], name: str) -> NDArray[np.float64]:
    """Check a matrix of probabilities (position, base), called `name` in messages; make its rows sum to 1.

    Raises
    ------
    InputError
        It has another shape, or rows that sum neither to 1 nor to 0.
    """
    try:
        array = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != len(BASES) or not len(array):
        raise InputError(f"{name}: expected a matrix of probabilities (position, 4), got shape {array.shape}")
    total = array.sum(axis=1)
    is_row = (np.abs(total - 1) <= _SUM_TOLERANCE) | (total == 0)
    if not ((array >= 0).all() and is_row.all()) or not array.any():
        raise InputError(
            f"{name}: expected probabilities from 0 on whose rows sum to 1 (or to 0, for N), got a smallest "
            f"of {array.min():.4g} and a sum of {total[np.argmin(is_row)]:.4g}"
        )
    return array / np.where(total > 0, total, 1)[:, np.newaxis]
