"""Reading motifs: from a sequence, an IUPAC consensus, a matrix, a MEME file or JASPAR."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kipoi_tfbind.dna.one_hot import BASES
from kipoi_tfbind.errors import InputError, MissingProgramError
from kipoi_tfbind.genome.text_files import numbered_lines
from kipoi_tfbind.motifs.motif import IUPAC, Motif, checked_matrix

JASPAR_RELEASE = "JASPAR2024"
_JASPAR_ID = re.compile(r"[A-Z]{2}\d{4}(\.\d+)?")
_MEME_SUFFIXES = (".meme", ".txt")


def parse_motif(motif: str | Motif | NDArray, *, name: str | None = None) -> Motif:
    """Make a motif of a sequence, a matrix, or the name of one.

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
        return Motif(name or "motif", checked_matrix(motif, name or "motif"))
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
    elif isinstance(motifs, Iterable):
        found = [parse_motif(motif) for motif in motifs]
    else:
        raise InputError(f"motifs: expected a mapping of names to motifs, or a list, got {motifs!r}")
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

    Examples
    --------
    >>> motif = read_jaspar("MA0139.2")
    >>> motif.name, motif.text
    ('CTCF', 'RCCASYAGRKGGCRS')
    """
    own_name, counts = jaspar_counts(matrix_id)
    return Motif(name or own_name, counts / counts.sum(axis=1, keepdims=True))


def jaspar_counts(matrix_id: str) -> tuple[str, NDArray[np.float64]]:
    """Name and counts (position, base) of a matrix of JASPAR 2024, the only reader of it.

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
        raise InputError(f"motif {matrix_id!r}: JASPAR 2024 has no such matrix")
    return found.name, np.array([found.counts[base] for base in BASES], dtype=np.float64).T


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
                motifs[identifier] = Motif(label, checked_matrix(rows, f"{path}: {identifier}"))
                wanted = 0
    if wanted or not motifs:
        problem = f"motif {identifier} ends early" if wanted else "no motif in this file"
        raise InputError(f"{path}: {problem}; expected a file in MEME format")
    return motifs


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
