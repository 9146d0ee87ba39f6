"""Motifs to embed: from a sequence, an IUPAC consensus, a matrix, a MEME file or JASPAR.

A motif is a matrix of probabilities. What is embedded in a background is drawn from it (a single sequence
where every row has one base), the same draw whenever the same motif meets the same background: at another
offset, beside another motif, and reverse-complemented on the other strand. So differences between such
patterns are paired.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.dna.shuffle import content_seeds
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.text_files import numbered_lines

IUPAC = {
    **{base: base for base in BASES},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"},
}
JASPAR_RELEASE = "JASPAR2024"
_JASPAR_ID = re.compile(r"[A-Z]{2}\d{4}(\.\d+)?")
_LETTERS = {bases: letter for letter, bases in IUPAC.items()}
_MEME_SUFFIXES = (".meme", ".txt")
_SUM_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif that can be embedded.

    Attributes
    ----------
    name
        What results call it.
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
        """What its draws depend on, beside the background and the seed."""
        return self.stream or hashlib.sha256(np.ascontiguousarray(self.matrix).tobytes()).hexdigest()

    @property
    def columns(self) -> NDArray[np.intp]:
        """Positions that are written, as embedded: all but those of N."""
        return np.flatnonzero((self.matrix[::-1] if self.is_reverse else self.matrix).sum(axis=1))

    @property
    def text(self) -> str:
        """IUPAC consensus, as embedded: every base with at least half the probability of the likeliest.

        Examples
        --------
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
            uint8 (draw, written position): base codes at `columns`.
        """
        steps = np.cumsum(self.matrix, axis=1)
        steps /= np.where(steps[:, -1:] > 0, steps[:, -1:], 1)
        codes = (uniforms[:, :, np.newaxis] >= steps[np.newaxis, :, :-1]).sum(axis=2).astype(np.uint8)
        codes = codes[:, self.matrix.sum(axis=1) > 0]
        return (3 - codes[:, ::-1]).astype(np.uint8) if self.is_reverse else codes


def parse_motif(motif: str | Motif | NDArray, *, name: str | None = None) -> Motif:
    """Make a motif of what a user may call one.

    Parameters
    ----------
    motif
        A sequence or IUPAC consensus ("TGASTCA"; N leaves the background as it is, another ambiguous letter
        is drawn evenly); a JASPAR id ("MA0139.2"; without a version, the latest); "FILE" or "FILE:ID" of a
        MEME file (the id where it has several motifs); or a matrix of probabilities (position, base).
    name
        Name of the motif; by default as it was given, or as its file or database has it.

    Returns
    -------
    Motif

    Raises
    ------
    InputError
        It is none of these, or the file has no such motif.
    MissingProgramError
        A JASPAR id, and pyjaspar is not installed.

    Examples
    --------
    >>> parse_motif("TGASTCA").matrix[3]
    array([0. , 0.5, 0.5, 0. ])
    >>> parse_motif(np.full((3, 4), 0.25), name="any").text
    'NNN'
    """
    if isinstance(motif, Motif):
        return motif if name is None else replace(motif, name=name)
    if not isinstance(motif, str):
        return Motif(name or "motif", _checked_matrix(motif, name or "motif"))
    if motif and not set(motif.upper()) - set(IUPAC) - {"N"}:
        rows = [[float(base in IUPAC.get(letter, "")) for base in BASES] for letter in motif.upper()]
        matrix = np.array(rows)
        if not matrix.any():
            raise InputError(f"motif {motif!r}: has no base to embed; N leaves the background as it is")
        return Motif(name or motif.upper(), matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))
    if _JASPAR_ID.fullmatch(motif):
        return read_jaspar(motif, name=name)
    path, _, identifier = motif.rpartition(":") if ":" in motif else (motif, "", "")
    if Path(path).suffix in _MEME_SUFFIXES or os.path.exists(path):
        return _from_meme(path, identifier, name)
    raise InputError(
        f"motif {motif!r}: expected a sequence or IUPAC consensus, a JASPAR id such as MA0139.2, or "
        "FILE.meme or FILE.meme:ID"
    )


def parse_motifs(motifs: Mapping[str, str | Motif | NDArray] | Iterable[str | Motif]) -> dict[str, Motif]:
    """Make motifs, by name, of a mapping or of a list of what `parse_motif` takes.

    Raises
    ------
    InputError
        None is given, two have the same name, or as `parse_motif`.

    Examples
    --------
    >>> {name: motif.text for name, motif in parse_motifs({"AP-1": "TGASTCA", "E-box": "CANNTG"}).items()}
    {'AP-1': 'TGASTCA', 'E-box': 'CANNTG'}
    """
    if isinstance(motifs, str | Motif):
        motifs = [motifs]
    if isinstance(motifs, Mapping):
        found = [parse_motif(motif, name=name) for name, motif in motifs.items()]
    else:
        found = [parse_motif(motif) for motif in motifs]
    if not found:
        raise InputError("motifs: expected at least one, got none")
    names = [motif.name for motif in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"motifs: two have the name {name!r}; give them as a mapping with names of their own"
            )
    return dict(zip(names, found, strict=True))


def read_jaspar(matrix_id: str, *, name: str | None = None) -> Motif:
    """Read a motif of JASPAR 2024, from the copy in the package pyjaspar: no network is used.

    Raises
    ------
    InputError
        JASPAR has no such matrix.
    MissingProgramError
        pyjaspar is not installed.
    """
    try:
        from pyjaspar import jaspardb
    except ImportError:
        raise MissingProgramError("pyjaspar is not installed: pip install 'kipoi_tfbind[motifs]'") from None
    found = jaspardb(release=JASPAR_RELEASE).fetch_motif_by_id(matrix_id)
    if found is None:
        raise InputError(f"motif {matrix_id!r}: {JASPAR_RELEASE} has no such matrix")
    counts = np.array([found.counts[base] for base in BASES], dtype=np.float64).T
    return Motif(name or found.name, counts / counts.sum(axis=1, keepdims=True))


def read_meme(path: str | os.PathLike[str]) -> dict[str, Motif]:
    r"""Read the motifs of a file in minimal MEME format, by id.

    Raises
    ------
    InputError
        There is no such file, it has no motif, or one that cannot be read; the message names the line.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "two.meme"
    >>> _ = path.write_text(
    ...     "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 GATA\n"
    ...     "letter-probability matrix: alength= 4 w= 2\n0 0 1 0\n0.5 0 0 0.5\n"
    ... )
    >>> {name: (motif.name, motif.text) for name, motif in read_meme(path).items()}
    {'M1': ('GATA', 'GW')}
    """
    motifs: dict[str, Motif] = {}
    rows: list[list[float]] = []
    identifier, label, wanted = "", "", 0
    for number, line in numbered_lines(path):
        words = line.split()
        if line.startswith("ALPHABET") and "".join(words[1:]).strip("= ") not in ("", BASES):
            raise InputError(f"{path}: line {number}: expected the alphabet ACGT, got {' '.join(words[1:])}")
        if line.startswith("MOTIF"):
            if len(words) < 2:
                raise InputError(f"{path}: line {number}: expected MOTIF and an id")
            identifier, label = words[1], words[2] if len(words) > 2 else words[1]
            if identifier in motifs:
                raise InputError(f"{path}: line {number}: a second motif with the id {identifier}")
        elif line.startswith("letter-probability"):
            rows, wanted = [], _meme_width(path, number, line)
        elif wanted and words:
            rows.append(_meme_row(path, number, words))
            if len(rows) == wanted:
                motifs[identifier] = Motif(label, _checked_matrix(rows, f"{path}: {identifier}"))
                wanted = 0
    if wanted or not motifs:
        problem = f"motif {identifier} ends early" if wanted else "no motif in this file"
        raise InputError(f"{path}: {problem}; expected a file in MEME format")
    return motifs


def draw_instances(
    motif: Motif, codes: NDArray[np.uint8], *, instance: int = 0, seed: int = 0
) -> NDArray[np.uint8]:
    """What is embedded in each background: drawn from the motif, the background, the instance and the seed.

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
        uint8 (background, written position); (1, written position) of a motif that is one sequence.

    Examples
    --------
    >>> from kipoi_tfbind.dna.one_hot import encode_bases
    >>> draw_instances(parse_motif("GAT"), encode_bases(["AAAA", "CCCC"]))
    array([[2, 0, 3]], dtype=uint8)
    """
    if motif.is_fixed:
        return motif.draw(np.zeros((1, len(motif))))
    seeds = content_seeds(codes, seed, f"motif {motif.key} {instance}")
    uniforms = np.stack([np.random.default_rng(own).random(len(motif)) for own in seeds])
    return motif.draw(uniforms)


def _checked_matrix(matrix: NDArray | Sequence[Sequence[float]], name: str) -> NDArray[np.float64]:
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


def _from_meme(path: str, identifier: str, name: str | None) -> Motif:
    motifs = read_meme(path)
    if not identifier and len(motifs) == 1:
        return parse_motif(next(iter(motifs.values())), name=name)
    labelled = {motif.name: motif for motif in motifs.values()} | motifs
    if identifier not in labelled:
        there = ", ".join(list(motifs)[:5]) + (", ..." if len(motifs) > 5 else "")
        raise InputError(f"{path}: no motif {identifier!r}; give FILE:ID with one of {there}")
    return parse_motif(labelled[identifier], name=name)


def _meme_width(path: str | os.PathLike[str], number: int, line: str) -> int:
    found = re.search(r"w=\s*(\d+)", line)
    if found is None or not int(found[1]):
        raise InputError(f"{path}: line {number}: expected the width of the motif, as w= 12")
    return int(found[1])


def _meme_row(path: str | os.PathLike[str], number: int, words: list[str]) -> list[float]:
    try:
        row = [float(word) for word in words]
    except ValueError:
        row = []
    if len(row) != len(BASES):
        raise InputError(f"{path}: line {number}: expected four probabilities, got {' '.join(words)!r}")
    return row
